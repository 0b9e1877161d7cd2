from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import JPEGLosslessSV1, generate_uid

import cardioloom
from cardioloom.errors import (
    DamagedFileError,
    LimitError,
    MissingExtraError,
    MissingFactError,
    ReadError,
    SomeFailedError,
    UnknownFormatError,
)
from cardioloom.prepare.cine import crop, heart_centre
from cardioloom.readers import limits
from scans import ENHANCED_MR, SAX, SAX_NORMAL, beat, dataset, picture, refusal, save, series


@pytest.fixture(scope="module")
def sunnybrook(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sunnybrook")
    with zipfile.ZipFile(shared / "data/cmr/sunnybrook_dicom/SCD0000101.zip") as archive:
        archive.extractall(folder)
    return folder / "SCD0000101"


def test_a_real_series_is_read(shared: Path, sunnybrook: Path):
    oracle = json.loads((shared / "data/cmr/sunnybrook_dicom/SCD0000101_oracle.json").read_text())
    (cine,) = cardioloom.read_cine(sunnybrook)
    assert cine.shape == (oracle["frames_per_slice"], 2, oracle["rows"], oracle["columns"])
    assert cine.frames[0, 0].mean() == pytest.approx(oracle["mean_of_first_file"], rel=1e-12)
    assert list(cine.spacing_mm[1:]) == oracle["pixel_spacing"]
    assert cine.spacing_mm[0] == pytest.approx(20.0, abs=0.01)  # every second slice of 10 mm
    assert any("10.0 mm is stated" in note for note in cine.notes)
    assert cine.times_ms[0] == pytest.approx(18.9873409)
    assert np.diff(cine.times_ms) == pytest.approx(np.full(19, 37.97468), abs=1e-3)
    assert (cine.view, cine.device, dict(cine.patient)) == ("sax", "GE MEDICAL SYSTEMS SIGNA HDx", {})
    for time, number in ((0, 81), (7, 88), (19, 100)):
        assert (cine.frames[time, 0] == dcmread(sunnybrook / f"{number}.dcm").pixel_array).all()
        assert (cine.frames[time, 1] == dcmread(sunnybrook / f"{number + 40}.dcm").pixel_array).all()


def test_the_same_heart_in_dicom_and_nifti_is_the_same(shared: Path, sunnybrook: Path):
    pytest.importorskip("nibabel")
    folder = shared / "data/cmr/sunnybrook_4d_nifti/SCD0000101"
    oracle = json.loads((folder / "SCD0000101_oracle.json").read_text())
    (whole,), (cut,) = (cardioloom.read_cine(path) for path in (sunnybrook, folder / "SCD0000101_sax_4d.nii.gz"))
    column, row = oracle["crop_origin_xy"]
    assert (whole.frames[:, :, row : row + 112, column : column + 112] == cut.frames[:, [4, 6]]).all()


def test_the_heart_is_found_in_the_whole_field_of_view(shared: Path, sunnybrook: Path):
    nibabel = pytest.importorskip("nibabel")
    folder = shared / "data/cmr/sunnybrook_4d_nifti/SCD0000101"
    mask = np.asarray(nibabel.load(folder / "SCD0000101_sax_ed_gt.nii.gz").dataobj).transpose(2, 1, 0)
    column, row = json.loads((folder / "SCD0000101_oracle.json").read_text())["crop_origin_xy"]
    (cine,) = cardioloom.read_cine(sunnybrook)
    for place, index in ((0, 4), (1, 6)):
        ventricle = np.zeros((1, 256, 256), np.float32)
        ventricle[0, row : row + 112, column : column + 112] = mask[index] > 0
        cut = crop(ventricle, heart_centre(cine.frames[:, place].astype(np.float32)), 84)
        assert cut.sum() >= 0.97 * ventricle.sum() > 1000


@settings(max_examples=15)
@given(seed=st.integers(0, 1000), n_times=st.integers(2, 5), n_slices=st.integers(1, 4))
def test_files_in_any_order_give_slices_from_the_base_and_frames_in_time(
    tmp_path_factory: pytest.TempPathFactory, seed: int, n_times: int, n_slices: int
):
    frames = beat(n_times, n_slices)
    (cine,) = cardioloom.read_cine(series(tmp_path_factory.mktemp("series"), frames, seed))
    assert (cine.frames == frames).all()
    assert cine.frames.dtype == np.uint16
    assert cine.times_ms == pytest.approx(12.5 + 40 * np.arange(n_times))
    assert cine.spacing_mm == pytest.approx((8, 1.5, 1.25), abs=1e-4)


def test_of_the_patient_age_and_sex_are_kept_and_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (cine,) = cardioloom.read_cine(series(tmp_path / "one", beat()))
    assert dict(cine.patient) == {"age": 61, "sex": "F"}
    assert cine.device == "Maker One"
    assert "Nightingale" not in repr((cine.notes, cine.source, cine.device, cine.patient, cine.view))
    save(picture(beat(), 0, 0), tmp_path / "one" / "twin.dcm")
    with pytest.raises(ReadError) as caught:
        cardioloom.read_cine(tmp_path / "one")
    assert "Nightingale" not in str(caught.value) + caplog.text


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.uint8])
def test_slope_and_intercept_are_applied(tmp_path: Path, dtype: type):
    frames = beat(2, 2).astype(dtype)
    (cine,) = cardioloom.read_cine(series(tmp_path, frames, RescaleSlope="0.5", RescaleIntercept="-3"))
    assert cine.frames.dtype == np.float32
    assert cine.frames == pytest.approx(frames * 0.5 - 3)


@pytest.mark.parametrize("words", ["4CH", "cine_4ch_bSSFP", "HLA", "four-chamber"])
def test_the_view_is_taken_from_the_description(tmp_path: Path, words: str):
    (cine,) = cardioloom.read_cine(series(tmp_path, beat(n_slices=1), SeriesDescription=words))
    assert cine.view == "lax_4ch"


def test_a_view_that_nothing_says_is_asked_for(tmp_path: Path):
    horizontal = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
    folder = series(tmp_path / "one", beat(n_slices=1), **horizontal)
    with pytest.raises(MissingFactError, match="series 7 of one does not say which view"):
        cardioloom.read_cine(folder)
    assert cardioloom.read_cine(folder, view="lax_2ch")[0].view == "lax_2ch"


def test_series_and_directions_of_a_folder_are_kept_apart(tmp_path: Path):
    frames = beat()
    series(tmp_path / "a", frames)
    series(tmp_path / "b", frames + 1, SeriesInstanceUID="1.2.9", SeriesNumber=9)
    turned = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "SeriesDescription": "4ch"}
    series(tmp_path / "c", frames[:, :1] + 2, **turned)  # the same series, another plane
    series(tmp_path / "d", frames[:1], SeriesInstanceUID="1.2.10", SeriesNumber=10)  # still pictures
    (tmp_path / "notes.txt").write_text("not a picture")
    found = cardioloom.read_cine(tmp_path)
    assert sorted((int(cine.frames.min()), cine.view, cine.shape[1]) for cine in found) == [
        (1, "sax", 3),
        (2, "sax", 3),
        (3, "lax_4ch", 1),
    ]


def test_slices_that_are_series_of_their_own_become_one_stack(tmp_path: Path):
    frames = beat(4, 4)
    for place in range(4):
        for time in range(4):
            one = picture(frames, time, place, SeriesInstanceUID=f"1.2.{place + 1}", SeriesNumber=20 + place)
            save(one, tmp_path / f"{place}" / f"{time}.dcm")
    (cine,) = cardioloom.read_cine(tmp_path)
    assert (cine.frames == frames).all()
    assert any("4 series of one slice each" in note for note in cine.notes)


def test_a_series_that_fails_is_reported_beside_those_that_are_read(tmp_path: Path):
    series(tmp_path / "a", beat())
    broken = series(tmp_path / "b", beat(), SeriesInstanceUID="1.2.9", SeriesNumber=9)
    next(broken.iterdir()).unlink()
    with pytest.raises(SomeFailedError) as caught:
        cardioloom.read_cine(tmp_path)
    assert len(caught.value.done) == 1
    assert "series 9" in str(caught.value)


def test_times_of_slices_that_differ_are_their_median(tmp_path: Path):
    frames = beat(4, 3)
    for place, step in enumerate((40, 44, 60)):
        for time in range(4):
            save(picture(frames, time, place, TriggerTime=step * time), tmp_path / f"{place}{time}.dcm")
    (cine,) = cardioloom.read_cine(tmp_path)
    assert cine.times_ms.tolist() == [0, 44, 88, 132]
    assert any("differ by up to 48 ms" in note for note in cine.notes)


def test_a_frame_that_is_missing_in_every_slice_is_noted(tmp_path: Path):
    frames = beat(6, 2)
    for place in range(2):
        for time in (0, 1, 2, 4, 5):
            save(picture(frames, time, place), tmp_path / f"{place}{time}.dcm")
    assert any("a frame may be missing" in note for note in cardioloom.read_cine(tmp_path)[0].notes)


@pytest.mark.parametrize("trigger", [None, 0])
def test_without_times_the_numbers_and_the_beat_are_used(tmp_path: Path, trigger: float | None):
    folder = series(tmp_path / "a", beat(), TriggerTime=trigger)
    (cine,) = cardioloom.read_cine(folder)
    assert (cine.frames == beat()).all()
    assert cine.times_ms.tolist() == [0, 40, 80, 120]
    assert any("state no times" in note for note in cine.notes)
    folder = series(tmp_path / "b", beat(), TriggerTime=trigger, NominalInterval=None, HeartRate=60)
    assert cardioloom.read_cine(folder)[0].times_ms.tolist() == [0, 250, 500, 750]
    folder = series(tmp_path / "c", beat(), TriggerTime=trigger, NominalInterval=None, HeartRate=None)
    with pytest.raises(MissingFactError, match="give frame_ms="):
        cardioloom.read_cine(folder)
    assert cardioloom.read_cine(folder, frame_ms=30)[0].times_ms.tolist() == [0, 30, 60, 90]
    folder = series(tmp_path / "d", beat(), TriggerTime=trigger, InstanceNumber=None)
    with pytest.raises(DamagedFileError, match="neither times nor an order"):
        cardioloom.read_cine(folder)


def enhanced(frames: np.ndarray) -> Dataset:
    """All pictures of a series in one object, in no order."""
    n_times, n_slices = frames.shape[:2]
    order = np.random.default_rng(1).permutation(n_times * n_slices)
    data = dataset(ENHANCED_MR, frames.reshape(-1, *frames.shape[2:])[order], SeriesNumber=3, SeriesInstanceUID="1.2")
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = [f"{value:.8f}" for value in SAX.ravel()]
    measures.PixelSpacing, measures.SliceThickness, measures.SpacingBetweenSlices = [1.5, 1.25], 6, 8
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    data.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for time, place in (divmod(int(number), n_slices) for number in order):
        group, position, heart = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [f"{value:.8f}" for value in np.array([10, 20, 30]) - 8 * place * SAX_NORMAL]
        heart.NominalCardiacTriggerDelayTime = 30.0 * time
        group.PlanePositionSequence, group.CardiacSynchronizationSequence = [position], [heart]
        groups.append(group)
    data.PerFrameFunctionalGroupsSequence = groups
    return data


def test_a_series_in_one_file_is_read(tmp_path: Path):
    path = save(enhanced(beat()), tmp_path / "all.dcm")
    (cine,) = cardioloom.read_cine(path)
    assert (cine.frames == beat()).all()
    assert cine.times_ms.tolist() == [0, 30, 60, 90]
    assert cine.spacing_mm == pytest.approx((8, 1.5, 1.25), abs=1e-4)


@pytest.mark.parametrize("name", ["MR_small_RLE.dcm", "MR_small_jp2klossless.dcm"])
def test_compressed_pictures_are_decoded(tmp_path: Path, name: str):
    from pydicom.data import get_testdata_file

    plain = dcmread(get_testdata_file("MR_small.dcm", download=False)).pixel_array
    for time in range(2):
        data = dcmread(get_testdata_file(name, download=False))
        data.TriggerTime, data.SOPInstanceUID, data.SeriesDescription = 30 * time, generate_uid(), "sax"
        data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        save(data, tmp_path / f"{time}.dcm")
    (cine,) = cardioloom.read_cine(tmp_path)
    assert (cine.frames[1, 0] == plain).all()


def without_slice(folder: Path) -> None:
    for time in range(4):
        save(picture(beat(4, 4), time, 3), folder / f"more{time}.dcm")
    for file in folder.glob("*.dcm"):
        if -8 * 1.2 < np.array(dcmread(file).ImagePositionPatient, float) @ SAX_NORMAL - START < -8 * 0.8:
            file.unlink()


START = np.array([10, 20, 30]) @ SAX_NORMAL
BAD = [
    (lambda folder: next(folder.iterdir()).unlink(), DamagedFileError, "slices of 3 and of 4 times"),
    (lambda folder: save(picture(beat(), 1, 1), folder / "copy.dcm"), DamagedFileError, "slices of 4 and of 5 times"),
    (without_slice, DamagedFileError, "8.0 to 16.0 mm apart"),
    (lambda folder: [file.unlink() for file in folder.iterdir()], ReadError, "no DICOM file was found"),
]


@pytest.mark.parametrize(("change", "kind", "words"), BAD)
def test_a_series_that_is_not_whole_is_refused(tmp_path: Path, change, kind: type, words: str):
    folder = series(tmp_path / "heart", beat())
    change(folder)
    with pytest.raises(kind, match=words):
        cardioloom.read_cine(folder)


def test_two_pictures_of_one_place_and_time_are_refused(tmp_path: Path):
    series(tmp_path / "a", beat())
    series(tmp_path / "b", beat())
    with pytest.raises(DamagedFileError, match="two pictures of one place and time"):
        cardioloom.read_cine(tmp_path)


SPOILT = [
    ({"PixelSpacing": [0, 1]}, "distance of its pixels of 0 mm"),
    ({"PixelSpacing": None}, "does not state the distance of its pixels"),
    ({"ImagePositionPatient": None}, "does not state the position"),
    ({"ImageOrientationPatient": None}, "does not state the orientation"),
    ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "an orientation that cannot be"),
    ({"Rows": None}, "holds no picture"),
]


@pytest.mark.parametrize(("values", "words"), SPOILT)
def test_a_picture_without_its_facts_is_refused(tmp_path: Path, values: dict[str, object], words: str):
    path = save(picture(beat(), 0, 0, **values), tmp_path / "one.dcm")
    with pytest.raises(DamagedFileError, match=words):
        cardioloom.read_cine(path)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"PixelData": None}, "has no pixel data"),
        ({"PixelData": b"\0" * 20}, "could not be read as dicom"),
        ({"BitsAllocated": 7}, "could not be read as dicom|could not be decoded"),
        ({"RescaleSlope": "1e300"}, "no number|could not be read"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_pixels_that_are_damaged_are_refused(tmp_path: Path, values: dict[str, object], words: str):
    with pytest.raises(DamagedFileError, match=words):
        cardioloom.read_cine(series(tmp_path, beat(), **values))


def test_one_picture_or_another_thing_is_refused(tmp_path: Path):
    alone = save(picture(beat(), 0, 0), tmp_path / "one.dcm")
    with pytest.raises(DamagedFileError, match="1 still picture of MR, but a cine needs at least two times"):
        cardioloom.read_cine(alone)
    other = save(picture(beat(), 0, 0, SOPClassUID="1.2.840.10008.5.1.4.1.1.2"), tmp_path / "ct.dcm")
    with pytest.raises(ReadError, match="CT Image Storage, not a picture of MR"):
        cardioloom.read_cine(other)
    two = save(picture(beat(), 0, 0, SOPClassUID="1.2.3\\1.2.4"), tmp_path / "two.dcm")
    with pytest.raises(ReadError, match="of an unknown class, not a picture of MR"):
        cardioloom.read_cine(two)
    for name, content in (("x.zip", b"PK\3\4" + bytes(100)), ("x.nii", b"hello"), ("x.dcm", b"hello " * 90)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UnknownFormatError, match="not a cine: unpack or convert"):
            cardioloom.read_cine(tmp_path / name)
    with pytest.raises(ReadError, match="does not exist"):
        cardioloom.read_cine(tmp_path / "none")


def test_a_sequence_that_breaks_off_is_refused(tmp_path: Path):
    path = save(enhanced(beat()), tmp_path / "x.dcm")
    content = path.read_bytes()
    at = content.index(b"\x00\x52\x30\x92SQ")  # the sequence of frames: its first item loses its tag
    path.write_bytes(content[: at + 12] + bytes(8) + content[at + 20 :])
    with pytest.raises(DamagedFileError, match=r"x\.dcm"):
        cardioloom.read_cine(path)


def test_limits_are_asked_before_anything_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    huge = save(picture(beat(), 0, 0, Rows=65535, Columns=65535), tmp_path / "one.dcm")
    with pytest.raises(LimitError, match="65535 × 65535 pixels"):
        cardioloom.read_cine(huge)
    frames = save(picture(beat(), 0, 0, NumberOfFrames=10**9), tmp_path / "two.dcm")
    with pytest.raises(LimitError, match="1000000000 times"):
        cardioloom.read_cine(frames)
    folder = series(tmp_path / "all", beat())
    monkeypatch.setattr(limits, "MAX_CINE_VALUES", beat().size - 1)
    with pytest.raises(LimitError, match="series 7 of all has 4 times × 3 slices"):
        cardioloom.read_cine(folder)


def test_a_compression_that_nothing_decodes_is_named(tmp_path: Path):
    data = picture(beat(), 0, 0)
    for time in range(2):
        data.TriggerTime = 10 * time
        data.file_meta.TransferSyntaxUID = JPEGLosslessSV1
        data.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\4\0\0\0\xff\xd8\xff\xd9\xfe\xff\xdd\xe0\0\0\0\0"
        data["PixelData"].is_undefined_length = True
        data["PixelData"].VR = "OB"
        save(data, tmp_path / f"{time}.dcm")
    try:
        import gdcm  # noqa: F401  # type: ignore[import-not-found]
    except ImportError:
        with pytest.raises(MissingExtraError, match="pip install python-gdcm"):
            cardioloom.read_cine(tmp_path)
    else:
        with pytest.raises(DamagedFileError):
            cardioloom.read_cine(tmp_path)


@given(st.data())
@pytest.mark.filterwarnings("ignore")
def test_any_damage_of_a_file_ends_in_one_sentence(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    path = save(enhanced(beat(2, 2, 3, 3)), tmp_path_factory.mktemp("damage") / "all.dcm")
    content = bytearray(path.read_bytes())
    for _ in range(3):
        at = data.draw(st.integers(132, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(200, len(content)))])
    assert "\n" not in refusal(cardioloom.read_cine, path)
