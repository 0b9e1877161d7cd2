"""What this library refuses to swallow: every limit on input, in one place."""

from __future__ import annotations

from math import prod
from pathlib import Path

from cardioloom.errors import DamagedFileError, LimitError

MAX_HEADER_BYTES = 1 << 20  # text headers (WFDB .hea): 1 MiB
MAX_TEXT_BYTES = 512 << 20  # CSV: up to about twice that in memory
MAX_ARRAY_BYTES = 2 << 30  # formats that are read whole: NPY, NPZ, MAT, DICOM
MAX_FILE_BYTES = 64 << 30  # formats that are read by blocks: WFDB, EDF, BDF, HDF5
MAX_LEADS = 256
MAX_SAMPLES = 14 * 24 * 3600 * 1000  # a lead: 14 days at 1000 Hz
MAX_VALUES_IN_MEMORY = 1 << 28  # leads × samples held at once by readers that read whole records
MAX_FS_HZ = 1e6
# Longer records than this are not decoded at once: their `Counts.values` is a window on the file.
LAZY_VALUES = 1 << 25  # leads × samples
MAX_CINE_VALUES = 1 << 28  # times × slices × rows × columns: 1 GiB as float32
MAX_VIDEO_FRAMES = 20_000  # over five minutes at 60 frames a second
MAX_VIDEO_BYTES = 2 << 30  # frames × rows × columns × channels
MAX_SERIES_FILES = 20_000  # in a folder of DICOM pictures


def check_file(path: Path, max_bytes: int | None = None) -> int:
    """The file's size, bytes; ``max_bytes`` is `MAX_FILE_BYTES` unless a format has less.

    Raises:
        DamagedFileError: if it is empty.
        LimitError: if it is larger than ``max_bytes``.
    """
    size, max_bytes = path.stat().st_size, max_bytes or MAX_FILE_BYTES
    if size == 0:
        raise DamagedFileError(f"{path.name} is empty (0 bytes): export or copy it again")
    if size > max_bytes:
        raise LimitError(
            f"{path.name} has {size} bytes, more than the {max_bytes} accepted for its format: split it or convert it"
        )
    return size


def check_shape(name: str, n_leads: int, n_samples: int, *, in_memory: bool = False) -> None:
    """Refuse a record of more leads or samples than the limits.

    Raises:
        LimitError: naming what exceeds which limit.
    """
    if n_leads > MAX_LEADS:
        raise LimitError(f"{name} has {n_leads} channels, more than the {MAX_LEADS} accepted: split it")
    if n_samples > MAX_SAMPLES:
        raise LimitError(f"{name} has {n_samples} samples a lead, more than the {MAX_SAMPLES} accepted: split it")
    if in_memory and n_leads * n_samples > MAX_VALUES_IN_MEMORY:
        raise LimitError(
            f"{name} has {n_leads} × {n_samples} values, more than the {MAX_VALUES_IN_MEMORY} that its format can be "
            "read with: convert it to WFDB, which is read by blocks"
        )


def check_cine(name: str, shape: tuple[int, int, int, int]) -> None:
    """Refuse a cine (time, slice, row, col) of more pixels than `MAX_CINE_VALUES`, before any is decoded.

    Raises:
        LimitError: naming both.
    """
    if prod(shape) > MAX_CINE_VALUES:
        times, slices, rows, columns = shape
        raise LimitError(
            f"{name} has {times} times × {slices} slices × {rows} × {columns} pixels, more than the {MAX_CINE_VALUES} "
            "accepted: split it or crop it"
        )


def check_video(name: str, n_frames: int, rows: int, columns: int, channels: int) -> None:
    """Refuse a video of more frames or bytes than `MAX_VIDEO_FRAMES` and `MAX_VIDEO_BYTES`.

    Raises:
        LimitError: naming what exceeds which limit.
    """
    if n_frames > MAX_VIDEO_FRAMES:
        raise LimitError(f"{name} has {n_frames} frames, more than the {MAX_VIDEO_FRAMES} accepted: cut it")
    if n_frames * rows * columns * channels > MAX_VIDEO_BYTES:
        raise LimitError(
            f"{name} has {n_frames} frames of {rows} × {columns} pixels, more than the {MAX_VIDEO_BYTES} bytes "
            "accepted: cut it or make it smaller"
        )
