"""Cardiac MRI cines → `Cine`: NIfTI, and DICOM as a file or a folder. The content decides, not the suffix."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from pathlib import Path

from cardioloom.errors import ReadError, UnknownFormatError, UsageError
from cardioloom.readers import dicom
from cardioloom.readers.cine_dicom import read_series
from cardioloom.readers.cine_nifti import is_nifti, read_nifti
from cardioloom.readers.cine_views import check_view
from cardioloom.readers.limits import check_file
from cardioloom.readers.pictures import reader_of
from cardioloom.readers.sentences import clean
from cardioloom.records import Cine, printable

HEAD_BYTES = 4096


def read_cines(path: Path, *, view: str | None = None, frame_ms: float | None = None) -> Iterator[Cine | ReadError]:
    """The cines of a NIfTI file, a DICOM file, or every DICOM series in a folder and below.

    Args:
        path: the file or folder.
        view: one of `CINE_VIEWS`, where the files do not say it; then of all of them.
        frame_ms: between two frames, for files that do not state their times.

    Yields:
        a `Cine`; of a file or series of many that cannot be one, the error in its place.

    Raises:
        ReadError: in one sentence, if nothing there is a cine.
        MissingExtraError: if a package that the format needs is not installed.
        UsageError: if a value given here cannot be.
    """
    path = Path(path)
    check_view(view)
    if frame_ms is not None and not (isfinite(frame_ms) and frame_ms > 0):
        raise UsageError(f"frame_ms must be a positive number of ms, got {frame_ms}")
    try:
        if _is_nifti(path):
            yield read_nifti(path, view, frame_ms)
            return
        for result in read_series(path, view, frame_ms):
            yield clean(result) if isinstance(result, ReadError) else result
    except ReadError as error:
        clean(error)
        raise


def _is_nifti(path: Path) -> bool:
    """Whether it is NIfTI; False for DICOM and for folders.

    Raises:
        ReadError: if it is neither.
    """
    if path.is_dir():
        return False
    if not path.is_file():
        raise ReadError(f"{path} does not exist: check the path")
    check_file(path)
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if is_nifti(head) or dicom.sniff(path, head):
        return is_nifti(head)
    kind, reader = reader_of(head) or ("in no format of cines that is known here", None)
    cure = f"read it with {reader}" if reader else "unpack or convert it to NIfTI (one file) or DICOM"
    raise UnknownFormatError(printable(f"{path.name} is {kind}, not a cine: {cure}"))
