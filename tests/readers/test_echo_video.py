from __future__ import annotations

import struct
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cardioloom
from cardioloom.errors import (
    DamagedFileError,
    LimitError,
    MissingExtraError,
    MissingFactError,
    ReadError,
    UnknownFormatError,
)
from cardioloom.readers import limits
from scans import refusal, video

pytest.importorskip("av")


def movie(n_frames: int = 12, *, colour: bool = True) -> np.ndarray:
    """(time, 48, 64, 3): a smooth picture that moves, so that lossy codecs keep it."""
    time, row, column = np.ogrid[:n_frames, :48, :64]
    red = 128 + 90 * np.sin((column + 2 * time) / 9 + row / 17)
    green = 128 + 90 * np.cos((row - time) / 11 + column / 40)
    blue = 128 + 60 * np.sin((column - row + 3 * time) / 13)
    return np.stack([red, green, blue] if colour else [red] * 3, axis=-1).round().astype(np.uint8)


@pytest.mark.parametrize(("codec", "pix_fmt"), [("rawvideo", "bgr24"), ("ffv1", "bgr0"), ("png", "rgb24")])
def test_a_lossless_video_is_the_array_it_was_made_of(tmp_path: Path, codec: str, pix_fmt: str):
    echo = cardioloom.read_echo(video(tmp_path / "x.avi", movie(), codec, pix_fmt, fps=50))
    assert (echo.frames == movie()).all()
    assert (echo.fps, echo.colour, echo.pixel_mm, echo.view) == (50, True, None, "")
    assert echo.source is not None
    assert echo.source.format == "avi"
    assert echo.notes == ()


@pytest.mark.parametrize(("codec", "pix_fmt"), [("ffv1", "gray"), ("ffv1", "bgr0"), ("rawvideo", "bgr24")])
def test_a_video_without_colour_is_grey(tmp_path: Path, codec: str, pix_fmt: str):
    echo = cardioloom.read_echo(video(tmp_path / "x.avi", movie(colour=False), codec, pix_fmt))
    assert not echo.colour
    assert (echo.frames == movie(colour=False)[..., 0]).all()


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [("x.avi", "mjpeg", "yuvj420p"), ("x.mp4", "mpeg4", "yuv420p"), ("x.avi", "mpeg4", "yuv420p")],
)
def test_a_lossy_video_is_near_the_array_it_was_made_of(tmp_path: Path, name: str, codec: str, pix_fmt: str):
    frames = movie(30)
    path = video(tmp_path / name, frames, codec, pix_fmt, fps=Fraction(30000, 1001), b="4000000", qmin="1", qmax="3")
    echo = cardioloom.read_echo(path)
    assert echo.frames.shape == frames.shape
    assert echo.fps == pytest.approx(30000 / 1001, rel=1e-4)
    error = np.abs(echo.frames.astype(float) - frames).mean()
    assert error < 5
    other = np.abs(np.roll(echo.frames, 1, axis=0).astype(float) - frames).mean()
    assert other > 2 * error  # the order of the frames
    assert np.abs(echo.frames[..., ::-1].astype(float) - frames).mean() > 5 * error  # and of the channels


def test_a_grey_video_without_chroma_comes_back_grey(tmp_path: Path):
    echo = cardioloom.read_echo(video(tmp_path / "x.mp4", movie(colour=False), "mpeg4", "yuv420p", qmin="1", qmax="2"))
    assert not echo.colour
    assert np.abs(echo.frames.astype(float) - movie(colour=False)[..., 0]).mean() < 3


@given(n_frames=st.integers(1, 9), rows=st.integers(2, 20), columns=st.integers(2, 20), fps=st.integers(1, 500))
@settings(max_examples=25)
def test_any_size_and_rate_is_read(
    tmp_path_factory: pytest.TempPathFactory, n_frames: int, rows: int, columns: int, fps: int
):
    frames = np.random.default_rng(rows).integers(0, 256, (n_frames, rows, columns, 3), np.uint8)
    echo = cardioloom.read_echo(video(tmp_path_factory.mktemp("any") / "x.avi", frames, "ffv1", "bgr0", fps))
    assert (echo.frames == frames).all()
    assert echo.fps == fps


def patched_avi(path: Path, *, scale: int | None = None, rate: int | None = None, length: int | None = None) -> Path:
    """The stream header's scale, rate and number of frames (and the file's microseconds a frame) replaced."""
    content = bytearray(path.read_bytes())
    at = content.index(b"strh") + 8
    for offset, value in ((20, scale), (24, rate), (32, length)):
        if value is not None:
            struct.pack_into("<I", content, at + offset, value)
    if rate == 0:
        struct.pack_into("<I", content, content.index(b"avih") + 8, 0)
    if length is not None:
        struct.pack_into("<I", content, content.index(b"avih") + 8 + 16, length)
    path.write_bytes(content)
    return path


def test_a_million_frames_are_refused_before_one_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = patched_avi(video(tmp_path / "x.avi", movie(), "rawvideo", "bgr24"), length=10**6)
    with pytest.raises(LimitError, match="1000000 frames, more than the 20000 accepted"):
        cardioloom.read_echo(path)


def test_more_frames_than_stated_meet_the_limit_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = patched_avi(video(tmp_path / "x.avi", movie(), "rawvideo", "bgr24"), length=1)
    assert any("states 1 frames and holds 12" in note for note in cardioloom.read_echo(path).notes)
    monkeypatch.setattr(limits, "MAX_VIDEO_FRAMES", 10)
    with pytest.raises(LimitError, match="11 frames"):
        cardioloom.read_echo(path)
    monkeypatch.setattr(limits, "MAX_VIDEO_FRAMES", 20)
    monkeypatch.setattr(limits, "MAX_VIDEO_BYTES", 48 * 64 * 3 * 5)
    with pytest.raises(LimitError, match="48 × 64 pixels"):
        cardioloom.read_echo(path)


@pytest.mark.parametrize("name", ["x.avi", "x.mp4"])
@pytest.mark.parametrize("part", [0.02, 0.5, 0.9])
def test_a_truncated_video_is_refused(tmp_path: Path, name: str, part: float):
    path = video(tmp_path / name, movie(40), "mpeg4", "yuv420p")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(DamagedFileError):
        cardioloom.read_echo(path)


def test_a_video_of_no_frames_is_refused(tmp_path: Path):
    path = patched_avi(video(tmp_path / "x.avi", movie(), "rawvideo", "bgr24"), length=0)
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"movi") + 4])
    with pytest.raises(DamagedFileError, match="no frame that can be decoded"):
        cardioloom.read_echo(path)


def test_a_rate_of_zero_is_asked_for(tmp_path: Path):
    """FFmpeg would say 25 frames a second."""
    path = patched_avi(video(tmp_path / "x.avi", movie(), "rawvideo", "bgr24"), rate=0)
    with pytest.raises(MissingFactError, match="states no frame rate: give fps="):
        cardioloom.read_echo(path)
    assert cardioloom.read_echo(path, fps=60).fps == 60


def test_a_rate_that_cannot_be_is_refused(tmp_path: Path):
    path = patched_avi(video(tmp_path / "x.avi", movie(), "rawvideo", "bgr24"), scale=1, rate=10**9)
    with pytest.raises(DamagedFileError, match=r"1e\+09 frames a second, which cannot be"):
        cardioloom.read_echo(path)
    path = patched_avi(video(tmp_path / "x.avi", movie(), "rawvideo", "bgr24", fps=40), scale=0)
    assert cardioloom.read_echo(path).fps == 40  # by the file's header


def test_other_things_with_the_suffix_are_refused(tmp_path: Path):
    path = tmp_path / "x.avi"
    path.write_text("this is no video\n" * 50)
    with pytest.raises(UnknownFormatError, match="not an echocardiogram: convert it to AVI, MP4 or DICOM"):
        cardioloom.read_echo(path)
    path.write_bytes(b"")
    with pytest.raises(DamagedFileError, match="is empty"):
        cardioloom.read_echo(path)
    path.write_bytes(b"RIFF\0\1\0\0AVI LIST" + bytes(300))
    with pytest.raises(DamagedFileError):
        cardioloom.read_echo(path)
    with pytest.raises(ReadError, match="does not exist"):
        cardioloom.read_echo(tmp_path)


def test_sound_alone_is_refused(tmp_path: Path):
    import av

    with av.open(str(tmp_path / "x.avi"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        for packet in [*stream.encode(sound), *stream.encode()]:
            container.mux(packet)
    with pytest.raises(DamagedFileError, match="holds no video"):
        cardioloom.read_echo(tmp_path / "x.avi")


@given(st.data())
@settings(max_examples=40)
def test_any_damage_ends_in_one_sentence(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    name, codec = data.draw(st.sampled_from([("x.avi", "mpeg4"), ("x.mp4", "mpeg4"), ("x.avi", "mjpeg")]))
    path = tmp_path_factory.mktemp("damage") / name
    video(path, movie(4), codec, "yuvj420p" if codec == "mjpeg" else "yuv420p")
    content = bytearray(path.read_bytes())
    for _ in range(4):
        content[data.draw(st.integers(12, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    assert "\n" not in refusal(cardioloom.read_echo, path)


def test_a_package_that_is_absent_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = video(tmp_path / "x.avi", movie(2), "rawvideo", "bgr24")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'cardioloom\[imaging\]'"):
        cardioloom.read_echo(path)
