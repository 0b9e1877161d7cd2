"""Echo videos become arrays as stated; crop and size as the official code of EchoCLIP."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardioloom.errors import PreparationError, UsageError
from cardioloom.prepare.echo import PRESETS, EchoPreparation, cropped, echoclip, prepare_echo, resized, simulated
from cardioloom.records.echo import Echo


def video(n_frames: int = 40, rows: int = 30, cols: int = 30, colour: bool = False) -> Echo:
    shape = (n_frames, rows, cols, 3) if colour else (n_frames, rows, cols)
    return Echo(np.random.default_rng(3).integers(0, 256, shape, np.uint8), 30.0, "a4c")


@pytest.mark.parametrize("case", range(4))
def test_crop_and_size_follow_the_official_code(shared: Path, case: int):
    golden = np.load(shared / "golden/echoclip/crop_and_scale_open.npz")
    width, height, zoom, kind = golden[f"p{case}"]
    crop = cropped(golden[f"i{case}"][None], width / height, float(zoom))
    ours = resized(crop, (int(height), int(width)), "cubic" if kind == 2 else "linear")[0]
    apart = np.abs(ours.astype(int) - golden[f"o{case}"].astype(int))
    assert apart.max() <= 1
    assert apart.mean() < 0.1


def test_where_the_official_crop_fails_ours_keeps_the_picture():
    frames = video(1, 100, 101).frames[..., None]
    assert cropped(frames, 1.0).shape == (1, 100, 101, 1)


@given(st.integers(3, 60), st.integers(3, 60), st.integers(1, 80), st.sampled_from(["linear", "cubic"]))
def test_an_even_picture_stays_even(rows: int, cols: int, size: int, kind: str):
    frames = np.full((2, rows, cols, 1), 77, np.uint8)
    assert (resized(frames, (size, size), kind) == 77).all()


def test_linear_size_is_that_of_an_interpolation_by_hand():
    frames = video(1, 12, 17).frames[..., None]
    out = resized(frames, (20, 9), "linear")[0, :, :, 0]
    row, col = (7 + 0.5) * 12 / 20 - 0.5, (4 + 0.5) * 17 / 9 - 0.5
    i, j = int(row), int(col)
    f, g = row - i, col - j
    corner = frames[0, i : i + 2, j : j + 2, 0].astype(float)
    expected = np.array([1 - f, f]) @ corner @ np.array([1 - g, g])
    assert abs(out[7, 4] - expected) <= 0.51


def test_echoclip_takes_every_second_of_40_frames_in_three_channels():
    prepared = prepare_echo(video(70, 300, 400), echoclip())
    assert prepared.video.shape == (20, 3, 224, 224)
    assert prepared.video.dtype == np.float32
    assert prepared.frames.tolist() == list(range(0, 40, 2))
    grey = (prepared.video * np.array(echoclip().sd)[:, None, None] + np.array(echoclip().mean)[:, None, None]) * 255
    np.testing.assert_allclose(grey[:, 0], grey[:, 2], atol=1e-3)


def test_short_videos():
    assert prepare_echo(video(25), echoclip()).frames.tolist() == list(range(0, 25, 2))
    looped = prepare_echo(video(20), simulated())
    assert looped.frames.tolist() == [*range(20), *range(12)]
    assert "played again" in looped.notes[0]
    held = prepare_echo(video(20), replace(simulated(), shorter="repeat_last"))
    assert held.frames.tolist() == [*range(20), *[19] * 12]
    with pytest.raises(PreparationError, match="at least 32 frames, got 20"):
        prepare_echo(video(20), replace(simulated(), shorter="refuse"))


def test_colour_becomes_grey_where_one_channel_is_asked():
    prepared = prepare_echo(video(32, 112, 112, colour=True), simulated())
    assert prepared.video.shape == (32, 1, 112, 112)
    assert prepared.notes == ("colour was turned into grey",)
    assert -1 <= prepared.video.min() < prepared.video.max() <= 1


@pytest.mark.parametrize("preset", PRESETS.values())
def test_equal_to_its_json(preset):
    written = json.loads(json.dumps(preset().to_json()))
    assert EchoPreparation.from_json(written) == preset()


def test_json_with_too_much_or_too_little_is_refused():
    values = simulated().to_json()
    with pytest.raises(UsageError, match="crop"):
        EchoPreparation.from_json(values | {"crop": 1})
    del values["trim"]
    with pytest.raises(UsageError, match="lacks trim"):
        EchoPreparation.from_json(values)


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 0},
        {"size": 1.5},
        {"step": 0},
        {"n_frames": -1},
        {"trim": 0.5},
        {"trim": float("nan")},
        {"interpolation": "nearest"},
        {"shorter": "guess"},
        {"mean": (0.5, 0.5)},
        {"sd": (0.0,)},
    ],
)
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(UsageError, match="|".join(wrong)):
        replace(simulated(), **wrong)
