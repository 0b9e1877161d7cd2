"""Echocardiograms exported as video: AVI and MP4, through PyAV."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import DamagedFileError, MissingExtraError, MissingFactError
from cardioloom.readers.echo_dicom import MAX_FPS, without_colour
from cardioloom.readers.limits import MAX_ARRAY_BYTES, check_file, check_video
from cardioloom.readers.sentences import one_sentence
from cardioloom.records import Echo, Source

HEAD_BYTES = 4096


def read_video(path: Path, fps: float | None, view: str) -> Echo:
    """The first video stream of a file, in grey where it has no colour.

    Args:
        path: the file.
        fps: frames a second, for files that do not state it.
        view: name of the view, "" = not known.

    Raises:
        ReadError: if it is damaged, empty, too large, or of unknown rate.
        MissingExtraError: if PyAV is not installed.
    """
    try:
        import av
        from av.error import FFmpegError
    except ImportError as error:
        raise MissingExtraError(
            f"videos are read with the package {error.name}, which is not installed: pip install 'cardioloom[imaging]'"
        ) from error
    check_file(path, MAX_ARRAY_BYTES)
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    form = "avi" if head.startswith(b"RIFF") else "mp4"
    notes: list[str] = []
    with one_sentence(path.name, form, FFmpegError), av.open(str(path), format=form) as container:
        if not container.streams.video:
            raise DamagedFileError(f"{path.name} holds no video: name a file with moving pictures")
        stream = container.streams.video[0]
        check_video(path.name, max(stream.frames, 1), stream.height, stream.width, 3)
        stated = float(stream.average_rate or 0) if form == "mp4" or _avi_states_rate(head) else 0.0
        rate = _rate(path.name, stated, fps, notes)
        frames = _frames(path.name, container, stream, notes)
    return Echo(frames, rate, view, source=Source(path, form, (path,)), notes=tuple(notes))


def _avi_states_rate(head: bytes) -> bool:
    """Whether the header of the file, or of its video stream, has a rate: FFmpeg takes 25 a second where none has."""
    main, stream = head.find(b"avih"), head.find(b"vids", max(head.find(b"strh"), 0))
    if main < 0 or stream < 0 or len(head) < max(main + 12, stream + 28):
        return True  # further in than this looks: FFmpeg decides
    scale, rate = struct.unpack_from("<II", head, stream + 20)
    return bool(struct.unpack_from("<I", head, main + 8)[0] or (scale and rate))


def _rate(name: str, stated: float, told: float | None, notes: list[str]) -> float:
    """Frames a second; `stated` is 0 where the file does not say it."""
    if not stated:
        if told is None:
            raise MissingFactError(f"{name} states no frame rate: give fps= as frames a second")
        return told
    if not 0 < stated <= MAX_FPS:
        raise DamagedFileError(f"{name} states {stated:g} frames a second, which cannot be: correct the file")
    if told is not None and told != stated:
        notes.append(f"fps {told:g} was not used: the file states {stated:g}")
    return stated


def _frames(name: str, container: Any, stream: Any, notes: list[str]) -> NDArray[np.uint8]:
    """(time, row, col) where red, green and blue are equal in all frames, else (time, row, col, 3)."""
    rows, columns = stream.height, stream.width
    frames: list[NDArray[np.uint8]] = []
    times: list[float] = []
    for frame in container.decode(stream):
        if (frame.height, frame.width) != (rows, columns):
            raise DamagedFileError(f"{name} changes its size at frame {len(frames) + 1}: export it again")
        check_video(name, len(frames) + 1, rows, columns, 3)
        frames.append(without_colour(frame.to_ndarray(format="rgb24")[None])[0])
        times.append(float(frame.time if frame.time is not None else np.nan))
    _check_count(name, len(frames), stream.frames, notes)
    steps = np.diff(times)
    if len(steps) and np.isfinite(steps).all() and steps.max() > 1.5 * np.median(steps):
        notes.append("the frames lie unevenly in time: their mean rate was taken")
    has_colour = any(frame.ndim == 3 for frame in frames)
    out = np.empty((len(frames), rows, columns, 3)[: 3 + has_colour], np.uint8)
    for index, frame in enumerate(frames):
        out[index] = frame[..., None] if has_colour and frame.ndim == 2 else frame
    return out


def _check_count(name: str, there: int, stated: int, notes: list[str]) -> None:
    """Refuse a video without frames, or with fewer than stated; one less is how some writers count."""
    if there == 0:
        raise DamagedFileError(f"{name} holds no frame that can be decoded: export or copy it again")
    if there < stated - 1:
        raise DamagedFileError(
            f"{name} states {stated} frames but {there} can be decoded: it is truncated, export or copy it again"
        )
    if stated and there != stated:
        notes.append(f"the file states {stated} frames and holds {there}")
