"""The cine of cardiac magnetic resonance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import RecordError
from cardioloom.records.ecg import Source
from cardioloom.records.text import printable

CINE_VIEWS = ("sax", "lax_4ch", "lax_2ch", "lax_3ch")  # short axis; long axes of 4, 2 and 3 chambers


@dataclass(frozen=True, eq=False)
class Cine:
    """Moving pictures of one heart beat, in the scanner's arbitrary units.

    Args:
        frames: (time, slice, row, col), float32 or unsigned integers; short-axis slices from the base to the apex
            where that is known.
        spacing_mm: distance between the centres of slices, rows and columns.
        times_ms: (time,) of each frame after the R peak, rising.
        view: one of `CINE_VIEWS`.
        source: the file it came from, if any.
        patient: what the file says of its patient: ``age`` (years), ``sex`` ("M" or "F").
        notes: what was assumed, left out or odd; "simulated" where it is.
        device: what recorded it, if known.

    Raises:
        RecordError: if the values contradict each other (shapes, kinds of number, spacing, order of times, view).
    """

    frames: NDArray[np.float32] | NDArray[np.unsignedinteger]
    spacing_mm: tuple[float, float, float]
    times_ms: NDArray[np.float64]
    view: str
    source: Source | None = None
    patient: Mapping[str, float | str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    device: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "frames", _checked_frames(self.frames))
        object.__setattr__(self, "times_ms", _checked_times(self.times_ms, len(self.frames)))
        object.__setattr__(self, "spacing_mm", _checked_spacing(self.spacing_mm))
        object.__setattr__(self, "notes", tuple(map(printable, self.notes)))
        object.__setattr__(self, "device", printable(self.device) or None if self.device else None)
        if self.view not in CINE_VIEWS:
            raise RecordError(f"the view of a cine must be one of {', '.join(CINE_VIEWS)}, got {self.view!r}")

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(number of times, slices, rows, columns)."""
        times, slices, rows, columns = self.frames.shape
        return times, slices, rows, columns


def _checked_frames(frames: NDArray[Any]) -> NDArray[np.float32] | NDArray[np.unsignedinteger]:
    frames = np.asarray(frames)
    if frames.ndim != 4 or 0 in frames.shape:
        raise RecordError(f"the frames of a cine must have shape (time, slice, row, column), got {frames.shape}")
    if np.issubdtype(frames.dtype, np.unsignedinteger):
        return frames
    if not np.issubdtype(frames.dtype, np.floating):
        raise RecordError(f"the frames of a cine must be floats or unsigned integers, got {frames.dtype}")
    with np.errstate(over="ignore"):
        frames = frames.astype(np.float32, copy=False)
    if not np.isfinite(frames).all():
        raise RecordError("the frames of a cine must be finite, got NaN or infinity: give every pixel a value")
    return frames


def _checked_times(times_ms: NDArray[np.generic], n_times: int) -> NDArray[np.float64]:
    times = np.asarray(times_ms, np.float64)
    if times.shape != (n_times,):
        raise RecordError(f"{n_times} frames need as many times, got shape {times.shape}")
    if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise RecordError("the times of the frames must be finite and rise from frame to frame")
    return times


def _checked_spacing(spacing_mm: tuple[float, float, float]) -> tuple[float, float, float]:
    spacing = tuple(float(value) for value in spacing_mm)
    if len(spacing) != 3 or not all(np.isfinite(value) and value > 0 for value in spacing):
        raise RecordError(f"the spacing must be three positive numbers of mm (slice, row, column), got {spacing}")
    return spacing[0], spacing[1], spacing[2]
