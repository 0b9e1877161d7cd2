"""The P wave in each lead: onset, peak, end; and whether there is one at all.

A bump before every QRS is found in any ECG, fibrillation too. It counts as a P wave only where the stretch before the
QRS has the same shape over leads and beats: a P wave repeats, fibrillation does not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cardioloom.measure.over_leads import quantile
from cardioloom.measure.repeats import FEW_BEATS, level, likeness
from cardioloom.measure.t_wave import Room

ROUGH_HZ, FINE_HZ = 9.0, 16.0
LONGEST_S = 0.30  # from P onset to QRS onset
SHORTEST_ROOM_S = 0.06
BEFORE_QRS_S = 0.005
MARGIN_S = 0.02  # a P peak lies this far from both ends of where it is looked for
LEAST_HEIGHT = 0.012  # of the lead's amplitude
# P begins with the first flank and ends with the last one that are this high against the highest, so that both phases
# of a biphasic P are in it.
FIRST_FLANK, LAST_FLANK = 0.35, 0.8
ON_SHARE, OFF_SHARE = 0.2, 0.4  # of the flank's steepest slope
FOOT_S = 0.005  # so much the smoothing widens a P wave at either foot, against the experts' marks
BACK_S, ON_S = 0.08, 0.03  # the second look is this much wider than the median of the first
LONGEST_P_S = 0.17  # a first flank that is further from the end belongs to another wave
LAG_S = 0.04  # a beat's P may come this much earlier or later than usual before its QRS
SHAPE_S, SHAPE_STOP_S = 0.24, 0.01  # the stretch before the QRS whose shape is compared
LEAST_ALIKE = 0.6  # correlation of a beat with the others; fewer beats' P is then another wave, or none
EARLY, USUAL_QUANTILE = 0.8, 0.6  # of the usual interval, which is this quantile: also where every second beat is early
ALIKE_QUANTILE, LEAST_ALIKE_RECORD = 0.6, 0.65  # no P wave at all where this quantile over beats is lower


def p_room(beat: int, qrs_onset: NDArray[np.float64], earliest: float, fs: float) -> Room | None:
    """Where the P wave of a beat can be: up to 0.3 s before the QRS and not before ``earliest`` (end of T)."""
    last = int(qrs_onset[beat] - BEFORE_QRS_S * fs)
    first = int(max(earliest, last - LONGEST_S * fs, 0))
    return Room(first, last) if last - first >= SHORTEST_ROOM_S * fs else None


def p_of_leads(fine: NDArray[np.float64], rough: NDArray[np.float64], room: Room, fs: float) -> NDArray[np.float64]:
    """(3, lead) onset, peak and end of P, samples; NaN where a lead shows none.

    Args:
        fine, rough: (lead, time) smoothed at `FINE_HZ` and `ROUGH_HZ`, in units of the lead's amplitude.
        room: where to look: roughly in all of it, then finely where most leads show a bump.
        fs: sampling rate, Hz.
    """
    first = np.array([p_marks(row, room, fs) for row in rough])
    if np.isfinite(first[:, 1]).any():
        begin, _, stop = quantile(first.T, 0.5)
        closer = Room(int(max(room.first, begin - BACK_S * fs)), int(min(room.last, stop + ON_S * fs)))
        room = closer if closer.last - closer.first >= SHORTEST_ROOM_S * fs else room
    return np.array([p_marks(row, room, fs) for row in fine]).T


def p_marks(smooth: NDArray[np.float64], room: Room, fs: float) -> tuple[float, float, float]:
    """Onset, peak, end of the highest bump in the room in one lead (time,), samples; NaN where there is none."""
    bump = level(smooth[room.first : room.last + 1])
    margin = round(MARGIN_S * fs)
    if len(bump) <= 2 * margin + 2:
        return np.nan, np.nan, np.nan
    height = np.abs(bump)
    peak = margin + int(height[margin : len(bump) - margin].argmax())
    if height[peak] < LEAST_HEIGHT:
        return np.nan, np.nan, np.nan
    steep = np.diff(bump)
    turns = np.flatnonzero((steep[1:] > 0) != (steep[:-1] > 0)) + 1
    edges = np.concatenate([[0], turns, [len(bump) - 1]])
    heights = np.abs(np.diff(bump[edges]))
    last = int(np.flatnonzero(heights >= LAST_FLANK * heights.max())[-1])
    near = edges[1:] >= edges[last + 1] - LONGEST_P_S * fs
    first = int(np.flatnonzero((heights >= FIRST_FLANK * heights.max()) & near)[0])
    steep = np.abs(steep)
    onset = edges[first + 1] - _fades(steep[edges[first] : edges[first + 1]][::-1], ON_SHARE)
    end = edges[last] + _fades(steep[edges[last] : edges[last + 1]], OFF_SHARE)
    foot = FOOT_S * fs
    return room.first + min(onset + foot, peak), room.first + peak, room.first + max(end - foot, peak)


def _fades(steep: NDArray[np.float64], share: float) -> int:
    """How far along a flank the slope has fallen below a share of its steepest, or the flank's end."""
    top = int(steep.argmax())
    below = np.flatnonzero(steep[top:] <= share * steep[top])
    return top + int(below[0]) if len(below) else len(steep)


def has_p(smooth: NDArray[np.float64], qrs_onset: NDArray[np.float64], fs: float) -> NDArray[np.bool_]:
    """(beat,) whether the stretch before each QRS repeats itself over beats.

    Args:
        smooth: (lead, time) usable leads, smoothed, each in units of its own amplitude.
        qrs_onset: (beat,) samples.
        fs: sampling rate, Hz.
    """
    length = round(SHAPE_S * fs) - round(SHAPE_STOP_S * fs)
    start = np.round(qrs_onset).astype(int) - round(SHAPE_S * fs)
    whole = np.flatnonzero(start >= 0)
    if len(whole) < FEW_BEATS:
        return np.ones(len(qrs_onset), bool)  # too few beats to repeat anything: a bump is believed
    parts = level(smooth[:, start[whole, None] + np.arange(length)].transpose(1, 0, 2))
    usual = ~_early(qrs_onset)[whole]
    if usual.sum() < FEW_BEATS:
        usual[:] = True
    alike = np.full(len(qrs_onset), np.nan)
    alike[whole] = likeness(parts, usual)
    if np.quantile(alike[whole[usual]], ALIKE_QUANTILE) < LEAST_ALIKE_RECORD:
        return np.zeros(len(qrs_onset), bool)
    return ~(alike < LEAST_ALIKE)  # a first beat without room before it is believed


def _early(qrs_onset: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(beat,) beats that come early: their P wave, if they have one, has another shape or lies in the T wave."""
    interval = np.diff(qrs_onset)
    usual = np.quantile(interval, USUAL_QUANTILE) if len(interval) else 0.0
    return np.concatenate([[False], interval < EARLY * usual])
