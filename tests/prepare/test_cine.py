from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardioloom.errors import PreparationError, UsageError
from cardioloom.prepare.cine import (
    CinePreparation,
    crop,
    heart_centre,
    prepare_cine,
    prepare_cine_told,
    ptacl,
    resample_pixels,
    sample_frames,
    scale_intensity,
)
from cardioloom.records.cine import Cine


def beating(centre: tuple[float, float], n_times: int = 20, shape: tuple[int, int] = (100, 120)) -> np.ndarray:
    """(time, row, col): a disc whose radius changes over the beat, in front of something bright that stays."""
    row, column = np.arange(shape[0])[:, None], np.arange(shape[1])[None, :]
    away = np.hypot(row - centre[0], column - centre[1])
    radius = 16 + 4 * np.cos(2 * np.pi * np.arange(n_times) / n_times)
    frames = 100.0 * np.clip(radius[:, None, None] - away + 0.5, 0, 1)
    frames[:, :8, :] = 250
    noise = np.random.default_rng(0).normal(0, 3, frames.shape)
    return np.abs(frames + noise).astype(np.float32)


def as_cine(frames: np.ndarray, spacing: tuple[float, float] = (1.8, 1.8)) -> Cine:
    return Cine(frames[:, None].astype(np.float32), (8.0, *spacing), np.arange(len(frames)) * 20.0, "sax")


@pytest.mark.parametrize("centre", [(50.0, 60.0), (40.0, 80.0), (62.0, 40.0)])
def test_the_heart_is_where_the_picture_moves(centre: tuple[float, float]):
    assert heart_centre(beating(centre)) == pytest.approx(centre, abs=2.0)


def test_a_picture_that_stays_has_its_middle():
    assert heart_centre(np.ones((5, 11, 21), np.float32)) == (5.0, 10.0)
    assert heart_centre(np.ones((1, 11, 21), np.float32)) == (5.0, 10.0)


def test_the_heart_of_real_cines_is_found(shared):
    nibabel = pytest.importorskip("nibabel")
    folders = sorted((shared / "data/cmr/sunnybrook_4d_nifti").glob("SCD*"))
    assert len(folders) == 4
    for folder in folders:
        pixels = np.asarray(nibabel.load(next(folder.glob("*sax_4d.nii.gz"))).dataobj, np.float32)
        mask = np.asarray(nibabel.load(next(folder.glob("*ed_gt.nii.gz"))).dataobj)
        middle = pixels.shape[2] // 2
        found = heart_centre(pixels[:, :, middle].transpose(2, 1, 0))
        column, row = (places.mean() for places in np.nonzero(mask[:, :, middle] == 3))  # of the left cavity
        # the middle of both ventricles lies beside that of the left one, within the heart
        assert np.hypot(found[0] - row, found[1] - column) * 1.37 < 40


@given(st.integers(1, 40), st.integers(1, 60))
def test_frames_are_sampled_round_the_beat(n_times: int, n_frames: int):
    phases = np.arange(n_times) / n_times
    wave = np.cos(2 * np.pi * phases).astype(np.float32)[:, None, None]
    sampled = sample_frames(wave, n_frames)
    assert sampled.shape == (n_frames, 1, 1)
    assert sampled[0, 0, 0] == wave[0, 0, 0]
    places = np.arange(n_frames) * n_times / n_frames
    slow = np.interp(places, np.arange(n_times), wave[:, 0, 0], period=n_times)
    assert np.allclose(sampled[:, 0, 0], slow, atol=1e-5)


def test_larger_pixels_keep_the_mean_and_smaller_ones_the_ramp():
    frames = np.random.default_rng(1).random((2, 60, 40)).astype(np.float32)
    coarse = resample_pixels(frames, (1.0, 1.5), 3.0)
    assert coarse.shape == (2, 20, 20)
    assert coarse.mean() == pytest.approx(frames.mean(), abs=0.02)
    ramp = np.broadcast_to(np.arange(30, dtype=np.float32), (1, 30, 30))
    finer = resample_pixels(ramp, (2.0, 2.0), 1.0)
    assert finer.shape == (1, 60, 60)
    assert np.allclose(finer[0, 0, 1:-1], np.arange(60)[1:-1] / 2 - 0.25, atol=1e-4)
    assert resample_pixels(frames, (2.0, 2.0), 2.0) is frames


@given(st.floats(-30, 50), st.floats(-30, 50), st.integers(1, 40))
def test_a_crop_is_the_picture_and_zeros(row: float, column: float, size: int):
    frames = np.arange(1, 1 + 2 * 20 * 25, dtype=np.float32).reshape(2, 20, 25)
    cut = crop(frames, (row, column), size)
    top, left = round(row - (size - 1) / 2), round(column - (size - 1) / 2)
    for r in range(size):
        for c in range(0, size, 7):
            inside = 0 <= top + r < 20 and 0 <= left + c < 25
            assert cut[1, r, c] == (frames[1, top + r, left + c] if inside else 0)


def test_what_is_cut_is_the_frames_to_the_bit_and_dark_beyond(monkeypatch: pytest.MonkeyPatch):
    frames = np.random.default_rng(2).normal(-3000.0, 700.0, (12, 30, 84)).astype(np.float32)
    monkeypatch.setattr("cardioloom.prepare.cine.scale_intensity", lambda cut, *_: cut)
    made = CinePreparation("test", n_frames=12, centre="picture")
    cut = prepare_cine_told(as_cine(frames), made).frames
    assert cut.dtype == np.float32
    assert np.array_equal(cut[:, 27:57], frames)
    assert set(cut[:, :27].ravel()) | set(cut[:, 57:].ravel()) == {frames.min()}


def test_intensities_are_scaled_and_clipped():
    frames = np.linspace(0, 1000, 1001, dtype=np.float32).reshape(1, 7, 143)
    whole, most = scale_intensity(frames, "minmax", -1, 1), scale_intensity(frames, "percentile", 0, 1)
    assert (whole.min(), whole.max()) == (-1, 1)
    assert most.ravel()[500] == pytest.approx(0.5)
    assert most.ravel()[10] == 0
    assert most.ravel()[991] == 1
    with pytest.raises(PreparationError, match="one value"):
        scale_intensity(np.ones((1, 3, 3), np.float32), "minmax", 0, 1)


def test_a_cine_is_prepared_whole():
    made = CinePreparation("test", n_frames=10, size=48, spacing_mm=2.0)
    array = prepare_cine(as_cine(beating((40.0, 80.0)), (1.5, 2.5)), made)
    assert array.shape == (10, 48, 48)
    assert array.dtype == np.float32
    assert array.min() >= -1
    assert array.max() <= 1
    assert array[0, 24, 24] > 0.5  # the heart is in the middle
    assert np.array_equal(array, prepare_cine(as_cine(beating((40.0, 80.0)), (1.5, 2.5)), made))


def test_a_preparation_is_its_json():
    made = CinePreparation("test", size=96, spacing_mm=1.8)
    assert CinePreparation.from_json(json.loads(json.dumps(made.to_json()))) == made
    with pytest.raises(UsageError, match="sise"):
        CinePreparation.from_json({"name": "test", "sise": 3})
    with pytest.raises(UsageError, match="lacks name, low: write each value down"):
        CinePreparation.from_json({k: v for k, v in made.to_json().items() if k not in ("name", "low")})


@pytest.mark.parametrize(
    "wrong",
    [
        {"view": "axial"},
        {"centre": "apex"},
        {"intensity": "z"},
        {"size": 0},
        {"spacing_mm": 0.0},
        {"low": 1.0},
        {"fewest_frames": 0},
    ],
)
def test_a_preparation_that_cannot_be_is_refused(wrong: dict[str, object]):
    with pytest.raises(UsageError):
        CinePreparation("test", **wrong)  # type: ignore[arg-type]


def test_another_view_or_slice_is_refused():
    cine = as_cine(beating((40.0, 80.0)))
    with pytest.raises(PreparationError, match="lax_4ch"):
        prepare_cine(cine, CinePreparation("test", view="lax_4ch"))
    with pytest.raises(PreparationError, match="slices 0 to 0"):
        prepare_cine(cine, CinePreparation("test"), slice_index=1)


@pytest.mark.parametrize(
    ("n_times", "spacing", "shape", "changes"),
    [
        (50, (1.8, 1.8), (100, 120), ()),
        (50, (1.8000001, 1.7999999), (100, 120), ()),
        (20, (1.8, 1.8), (100, 120), ("resampled",)),
        (50, (1.5, 1.8), (120, 120), ("rescaled",)),
        (50, (1.8, 1.8), (100, 80), ("padded",)),
        (20, (1.4, 1.4), (100, 120), ("resampled", "rescaled", "padded")),
    ],
)
def test_ptacl_is_one_size_whatever_the_scanner_gives(
    n_times: int, spacing: tuple[float, float], shape: tuple[int, int], changes: tuple[str, ...]
):
    centre = shape[0] / 2, shape[1] / 2
    cine = as_cine(beating(centre, n_times, shape), spacing)
    prepared = prepare_cine_told(cine, ptacl())
    assert prepared.changes == changes
    assert prepared.frames.shape == (50, 84, 84)
    assert (prepared.frames.min(), prepared.frames.max()) == (0, 255)
    assert np.array_equal(prepared.frames, prepare_cine(cine, ptacl()))
    # The disc keeps its area in mm²: radius 20 pixels at the first frame.
    found = (prepared.frames[0, 15:69, 15:69] > 52).sum() * 1.8**2
    assert found == pytest.approx(np.pi * 20**2 * np.prod(spacing), rel=0.05)


def test_a_beat_of_few_frames_is_refused():
    frames = beating((50.0, 60.0), 9)
    with pytest.raises(
        PreparationError, match="ptacl needs at least 10 frames of the beat, got 9: give the whole cine"
    ):
        prepare_cine(as_cine(frames), ptacl())
    assert prepare_cine(as_cine(beating((50.0, 60.0), 10)), ptacl()).shape == (50, 84, 84)


@pytest.mark.parametrize("value", [0, 7, 3000])
def test_a_cine_of_one_value_has_no_picture_though_it_is_smaller_than_the_cut(value: int):
    with pytest.raises(PreparationError, match=f"one value only, {value}.0"):
        prepare_cine(as_cine(np.full((20, 40, 40), value)), ptacl())


def test_beyond_the_picture_it_is_dark_whatever_the_intensities_begin_with():
    frames = np.pad(beating((20.0, 20.0), 20, (40, 40)), 0)
    low, high = (prepare_cine(as_cine(frames + offset), ptacl()) for offset in (0, 4096))
    assert np.abs(low - high).max() < 0.01
    assert low[0, 0, 0] == high[0, 0, 0] == 0
