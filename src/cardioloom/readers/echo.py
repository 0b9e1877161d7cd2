"""Echocardiogram files → `Echo`: AVI, MP4 and multi-frame ultrasound DICOM. The content decides, not the suffix."""

from __future__ import annotations

from math import isfinite
from pathlib import Path

from cardioloom.errors import ReadError, UnknownFormatError, UsageError
from cardioloom.readers import dicom
from cardioloom.readers.echo_dicom import read_ultrasound
from cardioloom.readers.echo_video import read_video
from cardioloom.readers.limits import check_file
from cardioloom.readers.pictures import is_video, reader_of
from cardioloom.readers.sentences import clean
from cardioloom.records import Echo, printable

HEAD_BYTES = 4096


def read_echo(path: Path, *, fps: float | None = None, view: str = "") -> Echo:
    """The video of one file.

    Args:
        path: the file.
        fps: frames a second, for files that do not state it.
        view: name of the view (``"a4c"``), "" = not known; files do not say it.

    Raises:
        ReadError: in one sentence, if the file cannot become a record.
        MissingExtraError: if a package that the format needs is not installed.
        UsageError: if ``fps`` cannot be.
    """
    path = Path(path)
    if fps is not None and not (isfinite(fps) and fps > 0):
        raise UsageError(f"fps must be a positive number of frames a second, got {fps}")
    if not path.is_file():
        raise ReadError(printable(f"{path} does not exist or is not a file: check the path"))
    check_file(path)
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    try:
        if is_video(head):
            return read_video(path, fps, view)
        if dicom.sniff(path, head):
            return read_ultrasound(path, fps, view)
    except ReadError as error:
        clean(error)
        raise
    kind, reader = reader_of(head) or ("in no format of videos that is known here", None)
    cure = f"read it with {reader}" if reader else "convert it to AVI, MP4 or DICOM"
    raise UnknownFormatError(printable(f"{path.name} is {kind}, not an echocardiogram: {cure}"))
