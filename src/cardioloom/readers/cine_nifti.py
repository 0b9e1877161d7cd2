"""NIfTI-1 and -2 cines in one file (.nii, .nii.gz): columns, rows, slices, times.

Rows and columns are those of the file. Where the file says how it lies in the body, a short-axis cine is turned so that
it is seen from the apex, as scanners show it (dcm2niix stores rows from below), with its slices from the base on.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import DamagedFileError, LimitError, MissingExtraError, MissingFactError
from cardioloom.readers.cine_views import HEART_AXIS, settle_view
from cardioloom.readers.limits import MAX_ARRAY_BYTES, check_cine, check_file
from cardioloom.readers.sentences import one_sentence
from cardioloom.records import Cine, Source

Frames = NDArray[np.float32] | NDArray[np.unsignedinteger]
MAGIC_1, MAGIC_2 = b"n+1\0", b"n+2\0"
GZIP_MAGIC = b"\x1f\x8b"
HEADER_BYTES = 544  # of NIfTI-2 with the flag of extensions
MAX_OFFSET_BYTES = 16 << 20  # header extensions before the pixels
MM = {"meter": 1e3, "mm": 1.0, "micron": 1e-3, "unknown": 1.0}
MS = {"sec": 1e3, "msec": 1.0, "usec": 1e-3}
MAX_START_MS = 10_000.0
FRAME_MS = (5.0, 500.0)  # between frames of a cine: what is stated counts only where it lies within


def is_nifti(head: bytes) -> bool:
    """True for the magic of a single-file NIfTI, gzipped or not."""
    if head.startswith(GZIP_MAGIC):
        try:
            head = zlib.decompressobj(wbits=31).decompress(head, HEADER_BYTES)
        except zlib.error:
            return False
    return head[344:348] == MAGIC_1 or head[4:8] == MAGIC_2


def read_nifti(path: Path, view: str | None, frame_ms: float | None) -> Cine:
    """The cine of a NIfTI file.

    Args:
        path: the file.
        view: where the caller says it.
        frame_ms: between frames, for files that do not state it.

    Raises:
        ReadError: if it is damaged, has no times, no real numbers, or no spacing; if its view or times are unknown.
        MissingExtraError: if nibabel is not installed.
    """
    try:
        import nibabel
        from nibabel.filebasedimages import ImageFileError
        from nibabel.spatialimages import HeaderDataError
    except ImportError as error:
        raise MissingExtraError(
            f"NIfTI is read with the package {error.name}, which is not installed: pip install 'cardioloom[imaging]'"
        ) from error
    check_file(path, MAX_ARRAY_BYTES)
    notes: list[str] = []
    with one_sentence(path.name, "nifti", ImageFileError, HeaderDataError, zlib.error):
        head, opened = _head(path)
        kind = nibabel.Nifti1Image if head[344:348] == MAGIC_1 else nibabel.Nifti2Image
        header = kind.header_class(head[: kind.header_class.sizeof_hdr], check=False)
        n_times, n_slices, _rows, _columns = shape = _shape(path.name, header)
        check_cine(path.name, shape)
        spacing = _spacing(path.name, header, notes)
        step, start = _times(path.name, header, frame_ms, notes)
        lies = _lies(path.name, header)
        normal = None if lies is None else np.cross(lies[0], lies[1])
        view = settle_view(path.name, view, [path.name], normal, n_slices, notes)
        with opened(path, "rb") as stream:
            frames = _frames(path.name, kind.from_stream(stream), shape)
        if lies is None:
            notes.append("the file does not say how it lies in the body: rows and slices are as stored")
        elif view == "sax":
            frames = _seen_from_apex(frames, lies, notes)
    times_ms = start + np.arange(n_times, dtype=np.float64) * step
    return Cine(frames, spacing, times_ms, view, Source(path, "nifti", (path,)), notes=tuple(notes))


def _head(path: Path) -> tuple[bytes, Callable[..., Any]]:
    """The header's bytes, and what opens the file: its content decides, not its name."""
    with path.open("rb") as file:
        head = file.read(4096)
    if not head.startswith(GZIP_MAGIC):
        return head, open
    return zlib.decompressobj(wbits=31).decompress(head, HEADER_BYTES), gzip.open


def _shape(name: str, header: Any) -> tuple[int, int, int, int]:
    """(time, slice, row, col), and that the pixels are real numbers that begin where they can."""
    stated = tuple(int(size) for size in header.get_data_shape())
    if len(stated) > 4:
        stated = (*stated[:3], *(size for size in stated[3:] if size != 1))
    if len(stated) != 4 or stated[3] < 2 or min(stated) < 1:
        raise DamagedFileError(
            f"{name} has the shape {' × '.join(map(str, stated))}, but a cine is columns × rows × slices × at least "
            "two times: name the file of the whole beat"
        )
    dtype = header.get_data_dtype()
    if dtype.kind not in "iuf":
        kind = "complex numbers" if dtype.kind == "c" else "colours" if dtype.fields else f"values of type {dtype}"
        raise DamagedFileError(f"{name} holds {kind}, not intensities: store the magnitude in grey")
    if not 0 <= float(header["vox_offset"]) <= MAX_OFFSET_BYTES:
        raise LimitError(
            f"{name} states its pixels to begin at byte {float(header['vox_offset']):g}, beyond the {MAX_OFFSET_BYTES} "
            "accepted: store it without header extensions"
        )
    columns, rows, slices, times = stated
    return times, slices, rows, columns


def _spacing(name: str, header: Any, notes: list[str]) -> tuple[float, float, float]:
    """mm between slices, rows, columns."""
    unit = header.get_xyzt_units()[0]
    columns, rows, slices = (abs(_stated(size)) * MM[unit] for size in header["pixdim"][1:4])
    if not all(np.isfinite(size) and size > 0 for size in (columns, rows, slices)):
        raise DamagedFileError(
            f"{name} states a spacing of {columns:g} × {rows:g} × {slices:g} mm, which cannot be: correct its header"
        )
    if unit == "unknown":
        notes.append("the spacing was taken as mm: the file states no unit")
    return slices, rows, columns


def _stated(value: Any) -> float:
    """The number that was meant by one of single precision: 0.0375, not 0.0375000015."""
    return float(f"{float(value):.7g}")


def _times(name: str, header: Any, frame_ms: float | None, notes: list[str]) -> tuple[float, float]:
    """ms between frames, and of the first."""
    stated, unit = _stated(header["pixdim"][4]), header.get_xyzt_units()[1]
    # Seconds and milliseconds of a cine cannot be mistaken for each other.
    per = [MS[unit]] if unit in MS else list(MS.values())[:2] if unit == "unknown" else []
    steps = [stated * factor for factor in per if FRAME_MS[0] <= stated * factor <= FRAME_MS[1]]
    if not steps:
        if frame_ms is None:
            raise MissingFactError(
                f"{name} states {stated:g} ({unit}) between its frames, which is not {FRAME_MS[0]:g} to "
                f"{FRAME_MS[1]:g} ms: give frame_ms= as the ms between two of them"
            )
        return frame_ms, 0.0
    if frame_ms is not None:
        notes.append(f"frame_ms {frame_ms:g} was not used: the file states {steps[0]:g} ms")
    if unit == "unknown":
        notes.append(f"{steps[0]:g} ms between frames was concluded from its size: the file states no unit of time")
    start = _stated(header["toffset"]) * steps[0] / stated
    if not abs(start) <= MAX_START_MS:
        notes.append("the stated time of the first frame cannot be: it was taken as 0")
        start = 0.0
    return steps[0], start


def _lies(name: str, header: Any) -> NDArray[np.float64] | None:
    """(3, 3): unit vectors (LPS) along which column, row and slice numbers rise; None where the file does not say."""
    if not (int(header["sform_code"]) > 0 or int(header["qform_code"]) > 0):
        return None
    vectors = header.get_best_affine()[:3, :3].T * (-1, -1, 1)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not (np.isfinite(vectors).all() and lengths.min() > 0):
        raise DamagedFileError(f"{name} states a place in the body that cannot be: correct its header")
    return vectors / lengths


def _frames(name: str, image: Any, shape: tuple[int, int, int, int]) -> Frames:
    """(time, slice, row, col): stored unsigned integers of up to 16 bits as they are, all else as float32."""
    # Of the array: the header of a loaded image has forgotten them.
    is_stored = image.get_data_dtype().kind in "iu" and (image.dataobj.slope, image.dataobj.inter) == (1.0, 0.0)
    with np.errstate(over="ignore", invalid="ignore"):
        pixels = image.dataobj.get_unscaled() if is_stored else image.get_fdata(dtype=np.float32, caching="unchanged")
    pixels = np.reshape(pixels, shape[::-1], order="F").transpose(3, 2, 1, 0)
    if is_stored and pixels.min() >= 0 and pixels.max() <= np.iinfo(np.uint16).max:
        return np.ascontiguousarray(pixels, np.uint8 if pixels.dtype == np.uint8 else np.uint16)
    frames = np.ascontiguousarray(pixels, np.float32)
    if not np.isfinite(frames).all():
        raise DamagedFileError(f"{name} holds pixels that are no finite number: give every pixel a value")
    return frames


def _seen_from_apex(frames: Frames, lies: NDArray[np.float64], notes: list[str]) -> Frames:
    rows = slices = 1
    if np.cross(lies[0], lies[1]) @ HEART_AXIS > 0:
        rows = -1
        notes.append("rows were turned upside down: the file stores the heart as seen from its base")
    if lies[2] @ HEART_AXIS < 0:
        slices = -1
        notes.append("slices were put in order from the base to the apex: the file stores them from the apex")
    return frames[:, ::slices, ::rows].copy()
