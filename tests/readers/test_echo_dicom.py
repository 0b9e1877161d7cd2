from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

import cardioloom
from cardioloom.errors import DamagedFileError, LimitError, MissingExtraError, MissingFactError, ReadError, UsageError
from cardioloom.prepare.echo import PRESETS, prepare_echo
from scans import SECRET, US, US_SINGLE, beat, dataset, picture, refusal, save

pytest.importorskip("PIL")


@pytest.fixture
def real(shared: Path) -> Path:
    return shared / "data/echo/dicom_us_multiframe_pydicom/examples_ybr_color.dcm"


def movie(n_frames: int = 5, *, colour: bool = True) -> np.ndarray:
    shape = (n_frames, 6, 8, 3) if colour else (n_frames, 6, 8)
    return np.random.default_rng(3).integers(0, 256, shape, np.uint8)


def region(**values: object) -> Dataset:
    """A region of tissue over the whole picture, 0.5 mm by 0.25 mm a pixel."""
    found = Dataset()
    stated = {"RegionSpatialFormat": 1, "RegionDataType": 1, "PhysicalUnitsXDirection": 3, "PhysicalUnitsYDirection": 3}
    stated |= {"RegionLocationMinX0": 0, "RegionLocationMinY0": 0, "RegionLocationMaxX1": 7, "RegionLocationMaxY1": 5}
    stated |= {"PhysicalDeltaX": 0.025, "PhysicalDeltaY": 0.05}
    for keyword, value in (stated | values).items():
        setattr(found, keyword, value)
    return found


def echo_file(path: Path, frames: np.ndarray | None = None, **values: object) -> Path:
    stated = {"Modality": "US", "FrameTime": 20} | values
    return save(dataset(US, movie() if frames is None else frames, **stated), path)


def test_a_real_video_is_read_as_pydicom_reads_it(real: Path):
    oracle = json.loads((real.parent / f"{real.name}.oracle.json").read_text())
    echo = cardioloom.read_echo(real)
    assert list(echo.frames.shape) == oracle["shape"]
    assert (echo.frames == dcmread(real).pixel_array).all()
    assert echo.frames.mean() == pytest.approx(oracle["mean"], abs=1e-4)
    assert echo.frames[0].mean() == pytest.approx(oracle["first_frame_mean"], abs=1e-4)
    assert echo.fps == pytest.approx(1000 / oracle["frame_time_ms"])
    assert echo.device == "SonoSite, Inc. Turbo"
    assert dict(echo.patient) == {}
    # The header is of the picture before it was made smaller: its scale does not hold.
    assert echo.pixel_mm is None
    assert any("larger than the picture" in note for note in echo.notes)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_real_video_can_be_prepared(real: Path, name: str):
    preparation = PRESETS[name]()
    prepared = prepare_echo(cardioloom.read_echo(real), preparation)
    n_frames = {"echoclip": 15, "echo112": 32}[name]  # every second of 30; played again
    assert prepared.video.shape == (n_frames, len(preparation.mean), preparation.size, preparation.size)
    assert np.isfinite(prepared.video).all()
    assert prepared.video.std() > 0.15


def test_colours_and_greys_are_kept(tmp_path: Path):
    for colour in (True, False):
        echo = cardioloom.read_echo(echo_file(tmp_path / "x.dcm", movie(colour=colour)))
        assert (echo.frames == movie(colour=colour)).all()
        assert echo.colour == colour
        assert echo.fps == 50
    grey = np.repeat(movie(colour=False)[..., None], 3, axis=3)
    assert (cardioloom.read_echo(echo_file(tmp_path / "x.dcm", grey)).frames == grey[..., 0]).all()
    inverse = echo_file(tmp_path / "x.dcm", movie(colour=False), PhotometricInterpretation="MONOCHROME1")
    assert (cardioloom.read_echo(inverse).frames == 255 - movie(colour=False)).all()


def test_a_palette_becomes_its_colours(tmp_path: Path):
    from pydicom.pixels.processing import apply_color_lut

    data = dcmread(get_testdata_file("examples_palette.dcm", download=False))
    expected = apply_color_lut(data.pixel_array, data)
    if data.get("NumberOfFrames", 1) == 1:
        data.PixelData, data.NumberOfFrames = data.PixelData * 2, 2
        expected = np.stack([expected, expected])
    data.FrameTime = 20
    echo = cardioloom.read_echo(save(data, tmp_path / "x.dcm"))
    assert (echo.frames == (expected >> 8 if expected.dtype == np.uint16 else expected)).all()


@pytest.mark.parametrize(
    ("values", "fps", "words"),
    [
        ({"FrameTime": 25}, 40, None),
        ({"FrameTime": None, "FrameTimeVector": [0, 20, 20, 20, 20]}, 50, None),
        ({"FrameTime": None, "FrameTimeVector": [0, 10, 30, 10, 30]}, 50, "unevenly"),
        ({"FrameTime": None, "ActualFrameDuration": 10}, 100, None),
        ({"FrameTime": None, "CineRate": 33}, 33, "rate is that of display"),
        ({"FrameTime": 0, "RecommendedDisplayFrameRate": 30}, 30, "rate is that of display"),
    ],
)
def test_the_rate_is_stated_in_many_ways(tmp_path: Path, values: dict, fps: float, words: str | None):
    echo = cardioloom.read_echo(echo_file(tmp_path / "x.dcm", **values))
    assert echo.fps == pytest.approx(fps)
    assert any(words in note for note in echo.notes) if words else not echo.notes


def test_a_rate_that_nothing_says_is_asked_for(tmp_path: Path):
    path = echo_file(tmp_path / "x.dcm", FrameTime=None)
    with pytest.raises(MissingFactError, match="give fps="):
        cardioloom.read_echo(path)
    assert cardioloom.read_echo(path, fps=44).fps == 44
    with pytest.raises(UsageError, match="fps must be"):
        cardioloom.read_echo(path, fps=float("nan"))
    told = cardioloom.read_echo(echo_file(tmp_path / "x.dcm"), fps=44, view="a4c")
    assert (told.fps, told.view) == (50, "a4c")
    assert any("fps 44 was not used" in note for note in told.notes)
    with pytest.raises(DamagedFileError, match="frames a second, which cannot be"):
        cardioloom.read_echo(echo_file(tmp_path / "x.dcm", FrameTime="0.00001"))


@pytest.mark.parametrize(
    ("regions", "size"),
    [
        ([region()], (0.5, 0.25)),
        ([region(PhysicalDeltaY=-0.05)], (0.5, 0.25)),
        ([region(RegionLocationMaxX1=3, PhysicalDeltaX=0.1), region()], (0.5, 0.25)),
        ([region(RegionDataType=10), region(RegionSpatialFormat=2)], None),
        ([region(PhysicalUnitsXDirection=4)], None),
        ([region(RegionLocationMaxX1=300)], None),
        ([region(PhysicalDeltaX=0.0)], None),
        ([], None),
    ],
)
def test_the_size_of_a_pixel_is_that_of_the_largest_region_of_tissue(tmp_path: Path, regions: list, size):
    echo = cardioloom.read_echo(echo_file(tmp_path / "x.dcm", SequenceOfUltrasoundRegions=regions))
    assert echo.pixel_mm == (None if size is None else pytest.approx(size))


def test_of_the_patient_age_and_sex_are_kept_and_nothing_else(tmp_path: Path):
    echo = cardioloom.read_echo(echo_file(tmp_path / "x.dcm", SeriesDescription=SECRET, BurnedInAnnotation="YES"))
    assert dict(echo.patient) == {"age": 61, "sex": "F"}
    assert echo.device == "Maker One"
    assert any("may name the patient" in note for note in echo.notes)
    assert "Nightingale" not in repr((echo.notes, echo.source, echo.device, echo.patient, echo.view))


def cut_frame(path: Path, real: Path) -> Path:
    """One JPEG of the file loses its end."""
    from pydicom.encaps import encapsulate, generate_frames

    data = dcmread(real)
    frames = list(generate_frames(data.PixelData, number_of_frames=30))
    frames[7] = frames[7][: len(frames[7]) // 3 * 2]
    data.PixelData = encapsulate(frames)
    return save(data, path)


def test_a_damaged_jpeg_is_refused(tmp_path: Path, real: Path):
    with pytest.raises(DamagedFileError, match=r"frame 8 of x\.dcm could not be decoded"):
        cardioloom.read_echo(cut_frame(tmp_path / "x.dcm", real))
    content = real.read_bytes()
    (tmp_path / "y.dcm").write_bytes(content[: len(content) // 2])
    with pytest.raises(DamagedFileError):
        cardioloom.read_echo(tmp_path / "y.dcm")


def test_a_jpeg_of_another_size_than_stated_is_refused(tmp_path: Path, real: Path):
    data = dcmread(real)
    data.Rows = 120
    with pytest.raises(DamagedFileError):
        cardioloom.read_echo(save(data, tmp_path / "x.dcm"))


@pytest.mark.parametrize(
    ("values", "kind", "words"),
    [
        ({"PixelData": None}, DamagedFileError, "has no pixel data"),
        ({"PixelData": b"\0" * 30}, DamagedFileError, "could not be read as dicom"),
        ({"NumberOfFrames": 1}, DamagedFileError, "a single picture"),
        ({"NumberOfFrames": 0}, DamagedFileError, "states 0 frames"),
        ({"NumberOfFrames": 6}, DamagedFileError, "could not be read as dicom|holds 5"),
        ({"NumberOfFrames": 10**6}, LimitError, "1000000 frames, more than the"),
        ({"Rows": 65535, "Columns": 65535}, LimitError, "frames of 65535 × 65535"),
        ({"Columns": None}, DamagedFileError, "holds no picture"),
        ({"Modality": "XA", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.12.1"}, ReadError, "X-Ray.*not ultrasound"),
        ({"SOPClassUID": US_SINGLE, "NumberOfFrames": None}, DamagedFileError, "a single picture"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_what_is_no_video_is_refused(tmp_path: Path, values: dict, kind: type, words: str):
    with pytest.raises(kind, match=words):
        cardioloom.read_echo(echo_file(tmp_path / "x.dcm", **values))


def test_pixels_of_16_bits_are_refused(tmp_path: Path):
    with pytest.raises(DamagedFileError, match="16 bits"):
        cardioloom.read_echo(echo_file(tmp_path / "x.dcm", movie(colour=False).astype(np.uint16)))


def test_a_decoder_that_is_absent_is_named(real: Path, monkeypatch: pytest.MonkeyPatch):
    from pydicom.pixels.decoders.base import JPEGBaseline8BitDecoder

    for name in list(JPEGBaseline8BitDecoder._available):
        monkeypatch.delitem(JPEGBaseline8BitDecoder._available, name)
    with pytest.raises(MissingExtraError, match=r"JPEG Baseline.*pip install 'cardioloom\[imaging\]'"):
        cardioloom.read_echo(real)


@given(st.data())
@pytest.mark.filterwarnings("ignore")
def test_any_damage_ends_in_one_sentence(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    path = echo_file(tmp_path_factory.mktemp("damage") / "x.dcm")
    content = bytearray(path.read_bytes())
    for _ in range(3):
        at = data.draw(st.integers(132, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(200, len(content)))])
    assert "\n" not in refusal(cardioloom.read_echo, path)


def test_the_command_says_which_function_reads_pictures(tmp_path: Path, real: Path, capsys: pytest.CaptureFixture[str]):
    from cardioloom.app.cli import run

    cine = save(picture(beat(), 0, 0), tmp_path / "cine.dcm")
    nifti, avi, mp4 = tmp_path / "a.nii", tmp_path / "a.avi", tmp_path / "a.mp4"
    nifti.write_bytes(b"\x5c\1" + bytes(342) + b"n+1\0" + bytes(100))
    avi.write_bytes(b"RIFF\0\1\0\0AVI LIST" + bytes(100))
    mp4.write_bytes(b"\0\0\0\x20ftypisom" + bytes(100))
    for path, kind, reader in (
        (real, "Ultrasound Multi-frame Image Storage", "read_echo"),
        (cine, "MR Image Storage", "read_cine"),
        (nifti, "a NIfTI image", "read_cine"),
        (avi, "a video", "read_echo"),
        (mp4, "a video", "read_echo"),
    ):
        assert run(["read", str(path)]) == 1
        error = capsys.readouterr().err
        assert f"{path.name} is {kind}, not an ECG: read it in Python with cardioloom.{reader}" in " ".join(
            error.split()
        )
