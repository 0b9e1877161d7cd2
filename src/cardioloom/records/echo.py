"""The echocardiogram: one video."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import RecordError
from cardioloom.records.ecg import Source
from cardioloom.records.text import printable


@dataclass(frozen=True, eq=False)
class Echo:
    """A video of the heart by ultrasound, grey or in colour. Its texts are kept without control characters.

    Args:
        frames: (time, row, col) or (time, row, col, channel) uint8; three channels are red, green, blue.
        fps: frames a second.
        view: name of the view (``"a4c"`` is the apical four-chamber view), "" = not known.
        pixel_mm: size of a pixel as (row, col) in mm, None = not known.
        device: what recorded it, if known.
        source: the file it came from, if any.
        notes: what was assumed, left out or odd; they become warnings of the report.
        patient: what the file says of its patient: ``age`` (years), ``sex`` ("M" or "F").

    Raises:
        RecordError: if the values contradict each other (shape, type, rate, size of a pixel).
    """

    frames: NDArray[np.uint8]
    fps: float
    view: str = ""
    pixel_mm: tuple[float, float] | None = None
    device: str | None = None
    source: Source | None = None
    notes: tuple[str, ...] = ()
    patient: Mapping[str, float | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        frames = np.asarray(self.frames)
        if frames.dtype != np.uint8 or frames.ndim not in (3, 4):
            shape = "(time, row, col) or (time, row, col, channel)"
            raise RecordError(f"the frames must be uint8 of shape {shape}, got {frames.dtype} {frames.shape}")
        if 0 in frames.shape:
            raise RecordError(f"an echocardiogram needs at least one frame of one pixel, got shape {frames.shape}")
        if frames.ndim == 4 and frames.shape[3] not in (1, 3):
            raise RecordError(f"frames must have one channel (grey) or three (colour), got {frames.shape[3]}")
        object.__setattr__(self, "frames", frames[..., 0] if frames.shape[3:] == (1,) else frames)
        object.__setattr__(self, "fps", float(self.fps))
        if not (isfinite(self.fps) and self.fps > 0):
            raise RecordError(f"the frame rate must be a positive number a second, got {self.fps}")
        if self.pixel_mm is not None:
            object.__setattr__(self, "pixel_mm", _checked_size(self.pixel_mm))
        object.__setattr__(self, "view", printable(self.view))
        object.__setattr__(self, "device", printable(self.device) or None if self.device else None)
        object.__setattr__(self, "notes", tuple(map(printable, self.notes)))

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return self.frames.shape[0]

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns) of a frame."""
        return self.frames.shape[1], self.frames.shape[2]

    @property
    def colour(self) -> bool:
        """Whether the frames have channels."""
        return self.frames.ndim == 4

    @property
    def seconds(self) -> float:
        """Duration, s."""
        return self.n_frames / self.fps

    @property
    def times_ms(self) -> NDArray[np.floating]:
        """(time,) when each frame was taken after the first, ms."""
        return np.arange(self.n_frames) * (1000 / self.fps)

    def grey(self) -> NDArray[np.uint8]:
        """(time, row, col) brightness: ITU-R BT.601 luma of colour frames, grey frames as they are."""
        if not self.colour:
            return self.frames
        luma = self.frames @ np.array([0.299, 0.587, 0.114], np.float32)
        return np.round(luma).astype(np.uint8)


def _checked_size(pixel_mm: tuple[float, float]) -> tuple[float, float]:
    if len(pixel_mm) != 2 or not all(isfinite(side) and side > 0 for side in pixel_mm):
        raise RecordError(f"the size of a pixel must be two positive numbers of mm (row, col), got {pixel_mm}")
    return float(pixel_mm[0]), float(pixel_mm[1])
