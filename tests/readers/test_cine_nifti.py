from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cardioloom
from cardioloom.errors import DamagedFileError, LimitError, MissingExtraError, MissingFactError, ReadError, UsageError
from cardioloom.prepare.cine import CinePreparation, crop, heart_centre, prepare_cine, resample_pixels, sample_frames
from cardioloom.readers.cine_nifti import is_nifti
from scans import SAX, SAX_NORMAL, beat, refusal

nibabel = pytest.importorskip("nibabel")
SUBJECTS = ("SCD0000101", "SCD0000201", "SCD0000301", "SCD0000401")
LPS = np.diag([-1, -1, 1.0])


def affine_of(row: int = 1, slices: int = 1, spacing: tuple[float, float, float] = (1.25, 1.5, 8.0)) -> np.ndarray:
    """RAS affine of short-axis planes; ``row`` = -1 stores rows from below, ``slices`` = -1 from the apex."""
    affine = np.eye(4)
    affine[:3, :3] = LPS @ np.stack([SAX[0], row * SAX[1], -slices * SAX_NORMAL], axis=1) * spacing
    return affine


def write(
    path: Path, pixels: np.ndarray, affine: np.ndarray | None = None, unit: str | None = "sec", step=0.04
) -> Path:
    """A NIfTI of pixels (col, row, slice, time)."""
    image = nibabel.Nifti1Image(pixels, affine_of() if affine is None else affine, dtype=pixels.dtype)
    if pixels.ndim == 4:
        image.header.set_zooms((*image.header.get_zooms()[:3], step))
    image.header.set_xyzt_units("mm", unit)
    nibabel.save(image, path)
    return path


def stored(frames: np.ndarray) -> np.ndarray:
    return frames.transpose(3, 2, 1, 0)


def patched(path: Path, at: int, value: bytes) -> Path:
    content = bytearray(path.read_bytes())
    content[at : at + len(value)] = value
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("subject", SUBJECTS)
def test_real_cines_are_read_as_nibabel_reads_them(shared: Path, subject: str):
    folder = shared / "data/cmr/sunnybrook_4d_nifti" / subject
    oracle = json.loads((folder / f"{subject}_oracle.json").read_text())
    path = folder / f"{subject}_sax_4d.nii.gz"
    (cine,) = cardioloom.read_cine(path)
    image = nibabel.load(path)
    assert cine.shape == tuple(oracle["shape_xyzt"][::-1])
    assert (cine.frames.transpose(3, 2, 1, 0) == np.asarray(image.dataobj)).all()  # base first, as they are stored
    assert cine.frames.dtype == np.uint16
    assert cine.spacing_mm == pytest.approx(np.array(image.header.get_zooms()[2::-1]), rel=1e-6)
    assert cine.spacing_mm[0] == pytest.approx(oracle["slice_step_from_image_position_mm"], rel=1e-4)
    assert cine.spacing_mm[1:] == pytest.approx(oracle["pixel_spacing_mm"], rel=1e-6)
    assert cine.times_ms == pytest.approx(np.arange(20) * oracle["nominal_interval_ms"] / 20, abs=1e-3)
    assert cine.view == "sax"
    assert cine.source is not None
    assert (cine.source.format, cine.source.file) == ("nifti", path)


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize(("spacing_mm", "share"), [(1.8, 1.0), (None, 0.9)])
def test_the_heart_lies_within_what_is_prepared(shared: Path, subject: str, spacing_mm: float | None, share: float):
    """Of 1.8 mm, the pixels of the papers, all of the left ventricle; of 1.3 mm most: these hearts are dilated."""
    folder = shared / "data/cmr/sunnybrook_4d_nifti" / subject
    (cine,) = cardioloom.read_cine(folder / f"{subject}_sax_4d.nii.gz")
    mask = np.asarray(nibabel.load(folder / f"{subject}_sax_ed_gt.nii.gz").dataobj).transpose(2, 1, 0)
    middle = cine.shape[1] // 2
    array = prepare_cine(cine, CinePreparation("test", n_frames=26, size=84, spacing_mm=spacing_mm))
    assert array.shape == (26, 84, 84)
    assert (array.min(), array.max()) == (-1, 1)
    frames, ventricle = cine.frames[:, middle].astype(np.float32), (mask[middle] > 0).astype(np.float32)[None]
    frames = sample_frames(frames, 26)
    if spacing_mm is not None:
        frames, ventricle = (resample_pixels(x, cine.spacing_mm[1:], spacing_mm) for x in (frames, ventricle))
    cut = crop(ventricle, heart_centre(frames), 84)[0]
    assert ventricle.sum() > 700
    assert cut.sum() >= (share - 1e-6) * ventricle.sum()
    weights = cut / cut.sum()
    for axis in (0, 1):
        assert 21 < (weights.sum(axis=1 - axis) * np.arange(84)).sum() < 63  # its centre: in the middle half


@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_cavity_is_where_its_mask_is(shared: Path, subject: str):
    folder = shared / "data/cmr/sunnybrook_4d_nifti" / subject
    (cine,) = cardioloom.read_cine(folder / f"{subject}_sax_4d.nii.gz")
    mask = np.asarray(nibabel.load(folder / f"{subject}_sax_ed_gt.nii.gz").dataobj).transpose(2, 1, 0)
    oracle = json.loads((folder / f"{subject}_oracle.json").read_text())
    middle = cine.shape[1] // 2
    frame = cine.frames[oracle["ed_frame_index0"], middle]
    assert frame[mask[middle] == 3].mean() > 1.4 * frame[mask[middle] == 2].mean()
    assert (mask == 3).sum() * np.prod(cine.spacing_mm) / 1000 == pytest.approx(oracle["lv_edv_ml_mask"], rel=1e-3)


@pytest.mark.parametrize(("rows", "slices"), [(1, 1), (-1, 1), (1, -1), (-1, -1)])
def test_a_short_axis_is_seen_from_the_apex_whatever_is_stored(tmp_path: Path, rows: int, slices: int):
    frames = beat()
    turned = frames[:, ::slices, ::rows]
    path = write(tmp_path / "heart.nii.gz", stored(turned), affine_of(rows, slices))
    (cine,) = cardioloom.read_cine(path)
    assert (cine.frames == frames).all()
    assert cine.view == "sax"  # by how the planes lie
    assert len([note for note in cine.notes if "rows were turned" in note or "put in order" in note]) == (
        (rows < 0) + (slices < 0)
    )


def test_long_axes_stay_as_they_are_stored(tmp_path: Path):
    frames = beat(n_slices=1)
    path = write(tmp_path / "x.nii", stored(frames), affine_of(-1))
    (cine,) = cardioloom.read_cine(path, view="lax_4ch")
    assert (cine.frames == frames).all()
    assert cine.view == "lax_4ch"


@pytest.mark.parametrize(
    ("name", "view"),
    [("a_la_4ch.nii", "lax_4ch"), ("2CH-cine.nii", "lax_2ch"), ("p_3ch.nii", "lax_3ch"), ("short_axis.nii", "sax")],
)
def test_the_view_is_taken_from_the_name(tmp_path: Path, name: str, view: str):
    affine = np.diag([1.0, 1, 8, 1])  # horizontal planes: no short axis
    (cine,) = cardioloom.read_cine(write(tmp_path / name, stored(beat()), affine))
    assert cine.view == view
    assert any(view in note for note in cine.notes)


def test_a_view_that_nothing_says_is_asked_for(tmp_path: Path):
    path = write(tmp_path / "x.nii", stored(beat(n_slices=6)), np.diag([1.0, 1, 8, 1]))
    with pytest.raises(MissingFactError, match="give view= as one of sax, lax_4ch"):
        cardioloom.read_cine(path)
    with pytest.raises(UsageError, match="view must be one of"):
        cardioloom.read_cine(path, view="psax")


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_kind_of_number_gives_the_same_values(tmp_path: Path, kind: type, order: str):
    frames = beat(2, 2)
    path = write(tmp_path / "x.nii", stored(frames).astype(np.dtype(kind).newbyteorder(order)))
    (cine,) = cardioloom.read_cine(path)
    assert (cine.frames == frames).all()
    assert cine.frames.dtype == {np.uint8: np.uint8, np.int16: np.uint16}.get(kind, np.float32)


def test_slope_and_intercept_are_applied(tmp_path: Path):
    frames = beat(2, 2).astype(np.int16) - 30
    image = nibabel.Nifti1Image(stored(frames), affine_of())
    image.header.set_slope_inter(0.5, 3)
    image.header.set_zooms((1.25, 1.5, 8, 0.04))
    image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, tmp_path / "x.nii")
    patched(tmp_path / "x.nii", 112, np.array([0.5, 3], "<f4").tobytes())
    (cine,) = cardioloom.read_cine(tmp_path / "x.nii")
    assert cine.frames == pytest.approx(np.asarray(nibabel.load(tmp_path / "x.nii").dataobj).transpose(3, 2, 1, 0))
    assert cine.frames.dtype == np.float32
    negative = write(tmp_path / "y.nii", stored(frames))
    assert (cardioloom.read_cine(negative)[0].frames == frames).all()


def test_the_second_version_and_a_wrong_suffix_are_read(tmp_path: Path):
    frames = beat()
    image = nibabel.Nifti2Image(stored(frames), affine_of())
    image.header.set_zooms((1.25, 1.5, 8, 0.04))
    nibabel.save(image, tmp_path / "x.nii")
    packed = tmp_path / "y.nii"
    packed.write_bytes(gzip.compress((tmp_path / "x.nii").read_bytes()))
    for path in (tmp_path / "x.nii", packed):
        assert is_nifti(path.read_bytes()[:4096])
        assert (cardioloom.read_cine(path)[0].frames == frames).all()


@given(step=st.floats(5, 500), unit=st.sampled_from(["sec", "msec", "usec", "unknown"]))
def test_times_are_stated_in_any_unit(tmp_path_factory: pytest.TempPathFactory, step: float, unit: str):
    path = tmp_path_factory.mktemp("times") / "x.nii"
    factor = {"sec": 1e-3, "usec": 1e3}.get(unit, 1)
    write(path, stored(beat()), unit=unit, step=step * factor)
    (cine,) = cardioloom.read_cine(path)
    assert cine.times_ms == pytest.approx(np.arange(4) * step, rel=1e-5)
    assert any("no unit of time" in note for note in cine.notes) == (unit == "unknown")


@pytest.mark.parametrize("step", [0.0, 1.0, 3600.0])
def test_a_time_that_cannot_be_is_asked_for(tmp_path: Path, step: float):
    path = write(tmp_path / "x.nii", stored(beat()), step=step)
    with pytest.raises(MissingFactError, match="give frame_ms="):
        cardioloom.read_cine(path)
    (cine,) = cardioloom.read_cine(path, frame_ms=33)
    assert cine.times_ms.tolist() == [0, 33, 66, 99]
    with pytest.raises(UsageError, match="frame_ms must be"):
        cardioloom.read_cine(path, frame_ms=-1)


def test_a_file_without_a_place_in_the_body_is_kept_as_stored(tmp_path: Path):
    path = write(tmp_path / "x_sax.nii", stored(beat()))
    patched(path, 252, bytes(4))
    (cine,) = cardioloom.read_cine(path)
    assert (cine.frames == beat()).all()
    assert any("does not say how it lies" in note for note in cine.notes)


@pytest.mark.parametrize("part", [0.3, 0.9])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_truncated_file_is_refused(tmp_path: Path, part: float, suffix: str):
    pixels = np.random.default_rng(0).integers(0, 999, (20, 20, 4, 5), np.int16)
    path = write(tmp_path / f"x{suffix}", pixels)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(DamagedFileError, match="could not be read as nifti"):
        cardioloom.read_cine(path)
    path.write_bytes(content[:300])
    with pytest.raises(ReadError):
        cardioloom.read_cine(path)


BAD = [
    (beat()[0], "at least two times"),
    (beat(n_times=1), "at least two times"),
    (beat().astype(np.complex64), "holds complex numbers"),
    (np.full((2, 2, 4, 4), np.nan, np.float32), "no finite number"),
    (np.full((2, 2, 4, 4), np.inf, np.float64), "no finite number"),
    (np.full((2, 2, 4, 4), 1e300, np.float64), "no finite number"),
]


@pytest.mark.parametrize(("frames", "words"), BAD)
def test_what_is_no_cine_is_refused(tmp_path: Path, frames: np.ndarray, words: str):
    with pytest.raises(DamagedFileError, match=words):
        cardioloom.read_cine(write(tmp_path / "x.nii", frames.T))


def test_colours_are_refused(tmp_path: Path):
    pixels = np.zeros((4, 4, 2, 3), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    with pytest.raises(DamagedFileError, match="holds colours"):
        cardioloom.read_cine(write(tmp_path / "x.nii", pixels))


PATCHES = [
    (80, np.float32(0), DamagedFileError, "a spacing of 0 "),
    (84, np.float32(np.nan), DamagedFileError, "a spacing of .*nan"),
    (42, np.array([32767] * 4, "<i2"), LimitError, "more than the"),
    (42, np.int16(-5), DamagedFileError, "at least two times"),
    (108, np.float32(1e9), LimitError, "beyond the"),
    (40, np.int16(99), ReadError, "x.nii"),
    (280, np.zeros(12, "<f4"), DamagedFileError, "place in the body that cannot be"),
]


@pytest.mark.parametrize(("at", "value", "kind", "words"), PATCHES)
def test_a_header_that_cannot_be_is_refused_before_reading(tmp_path: Path, at, value, kind, words: str):
    path = patched(write(tmp_path / "x.nii", stored(beat())), at, value.tobytes())
    with pytest.raises(kind, match=words):
        cardioloom.read_cine(path)


@given(st.data())
def test_any_damage_ends_in_one_sentence(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    path = write(tmp_path_factory.mktemp("damage") / "x.nii", stored(beat(2, 2, 3, 3)))
    for _ in range(3):
        at = data.draw(st.integers(0, 351))
        patched(path, at, data.draw(st.binary(min_size=1, max_size=4)))
    assert "\n" not in refusal(cardioloom.read_cine, path)


def test_a_package_that_is_absent_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import sys

    path = write(tmp_path / "x.nii", stored(beat()))
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'cardioloom\[imaging\]'"):
        cardioloom.read_cine(path)
