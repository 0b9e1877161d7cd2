"""What is written over the traces of an ECG on paper: lead names where they can be read, and the waves of each beat.

All lengths in mm; y downwards from the lead's 0 mV.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# A lead's name: the room its letters take, and how far it may move to the right to stay clear of the traces.
LETTER_MM, LETTER_HEIGHT_MM, CLEAR_MM = 2.5, 2.8, 0.6
LABEL_X_MM, LABEL_SHIFTS = 1.2, 8
SHIFT_MM = 2.0
LABEL_ROOM_MM = 36.0  # of the trace that a name can lie on
# The bracket of a wave reaches from this far above 0 mV to this far below.
BRACKET_UP_MM, BRACKET_DOWN_MM = 2.5, 4.0
LETTER_SHIFT_MM = {"p": -0.6, "qrs": 0.8, "t": 0.0}  # P and QRS lie so close that their letters would touch
WAVES = (("p", "P", "p_on", "p_off"), ("qrs", "QRS", "qrs_on", "qrs_off"), ("t", "T", "t_on", "t_off"))


@dataclass(frozen=True)
class Wave:
    """A wave of one beat: its kind (p, qrs, t), its letters, its bracket's path and the middle of its letters."""

    kind: str
    letters: str
    path: str
    letters_x: float


def place_label(
    traces: Iterable[NDArray[np.float64]], *, wide: float, room: float, rise: float, reach: float
) -> tuple[float, float]:
    """Where a lead's name stands so that no trace runs through it, else where the fewest do.

    Args:
        traces: each (points, 2) mm from the cell's origin, NaN = not recorded: the lead's own and the one above.
        wide: width of the name, mm.
        room: width of the cell, mm.
        rise: where the name stands if it can, mm above the cell's origin.
        reach: the highest it may stand, mm above the cell's origin.

    Returns:
        (mm to the right, mm above) of the origin.
    """
    best, place = math.inf, (LABEL_X_MM, rise)
    rises = np.arange(rise, max(rise, reach) + 1e-9, 1.0)
    lines = [_segments(points) for points in traces]
    for n in range(LABEL_SHIFTS):
        x = LABEL_X_MM + n * SHIFT_MM
        if n and x + wide > room:
            break
        for k, height in enumerate(rises.tolist()):
            # A step to the right costs as much as two upwards.
            if k + 2 * n >= best:
                break
            cost = 100.0 * sum(_hits(line, x, wide, height) for line in lines) + k + 2 * n
            if cost < best:
                best, place = cost, (round(x, 2), round(height, 2))
    return place


def _segments(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(segments, 4): smallest and largest x, smallest and largest y of each piece of a trace."""
    a, b = points[:-1], points[1:]
    return np.concatenate(
        [np.minimum(a, b)[:, :1], np.maximum(a, b)[:, :1], np.minimum(a, b)[:, 1:], np.maximum(a, b)[:, 1:]], axis=1
    )


def _hits(line: NDArray[np.float64], x: float, wide: float, rise: float) -> int:
    """How many pieces of a trace run through the room of a name."""
    left, right, top, bottom = line.T
    inside = (right > x - CLEAR_MM) & (left < x + wide + CLEAR_MM)
    return int((inside & (top < CLEAR_MM - rise) & (bottom > -rise - LETTER_HEIGHT_MM - CLEAR_MM)).sum())


def start_of(samples: NDArray[np.floating], fs: float, *, gain: float, speed: float) -> NDArray[np.float64]:
    """(points, 2) mm: the part of a trace that its name could lie on, for `place_label`."""
    part = np.asarray(samples[: math.ceil(LABEL_ROOM_MM / speed * fs)], np.float64)
    return np.stack([np.arange(len(part)) / fs * speed, -part * gain], axis=1)


def label_width(name: str, *, derived: bool = False) -> float:
    """Width of a lead's name, mm; ``derived`` adds the word."""
    return LETTER_MM * len(name) + 12.0 * derived


def waves_between(beats: Sequence[Mapping[str, float]], start: float, stop: float, *, speed: float) -> tuple[Wave, ...]:
    """The brackets of the waves that lie in a cell.

    Args:
        beats: mark (``p_on`` … ``t_off``) → s, one mapping a beat; a wave without both ends is left out.
        start, stop: s, what the cell shows.
        speed: mm/s.
    """
    found = []
    for beat in beats:
        for kind, letters, on, off in WAVES:
            first, last = float(beat.get(on, math.nan)), float(beat.get(off, math.nan))
            if not (first < last and last >= start and first < stop):
                continue
            a = round((max(first, start) - start) * speed, 2)
            b = round((min(last, stop) - start) * speed, 2)
            path = f"M{a:g} {-BRACKET_UP_MM:g}V{BRACKET_DOWN_MM:g}H{b:g}V{-BRACKET_UP_MM:g}"
            found.append(Wave(kind, letters, path, round((a + b) / 2 + LETTER_SHIFT_MM[kind], 2)))
    return tuple(found)
