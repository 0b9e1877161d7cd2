"""The T wave in each lead: onset, peak, end.

The signal between QRS and the next P is a chain of flanks between its extrema. The T wave ends with the last flank that
is high against the highest; its peak is where that flank begins. So a biphasic T ends with its second phase.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CUTOFF_HZ = 9.0
AFTER_QRS_S = 0.05
LONGEST_S = 0.52  # from the end of the QRS to the end of T
RR_SHARE = 0.70  # T ends before this share of the RR interval
BEFORE_QRS_S = 0.04
SHORTEST_S = 0.1  # a shorter stretch between two QRS leaves no room for a T wave
LEAST_HEIGHT = 0.02  # of the lead's amplitude
LAST_FLANK = 0.65  # of the highest flank's height
END_SHARE, ONSET_SHARE = 0.33, 0.35  # of the flank's steepest slope
# A beat that resembles the others takes its marks from their mean, shifted by up to the lag.
LAG_S, LEAST_ALIKE = 0.02, 0.6
# After the usual time of the T wave a flank counts less and less, so that a U wave or the next P is not taken for a low
# T: a normal curve of this spread from this long after the QRS onset on, both in s · √(RR in s), as Bazett has QT.
LATE, SPREAD = 0.45, 0.12


@dataclass(frozen=True)
class Room:
    """First and last sample in which a wave is looked for."""

    first: int
    last: int


def t_room(
    beat: int,
    r_peaks: NDArray[np.int64],
    onset: NDArray[np.float64],
    end: NDArray[np.float64],
    n_samples: int,
    fs: float,
) -> Room | None:
    """Where the T wave of a beat can be, given the QRS onsets and ends (samples) of all beats."""
    is_last = beat + 1 == len(r_peaks)
    neighbour = beat - 1 if is_last else beat + 1
    rr = abs(int(r_peaks[neighbour] - r_peaks[beat])) if 0 <= neighbour < len(r_peaks) else fs
    first = int(end[beat] + AFTER_QRS_S * fs)
    last = min(end[beat] + LONGEST_S * fs, r_peaks[beat] + RR_SHARE * rr, n_samples - 1)
    if not is_last:
        last = min(last, onset[beat + 1] - BEFORE_QRS_S * fs)
    return Room(first, int(last)) if last - first >= SHORTEST_S * fs else None


def t_of_leads(smooth: NDArray[np.float64], room: Room, late: float, spread: float) -> NDArray[np.float64]:
    """(3, lead) onset, peak and end of T, samples; NaN where a lead shows none.

    Args:
        smooth: (lead, time) smoothed at `CUTOFF_HZ`, in units of the lead's amplitude.
        room: where to look.
        late, spread: the sample from which on flanks count less, and how fast, samples (see `LATE`).
    """
    return np.array([t_marks(row, room, late, spread) for row in smooth]).T


def t_marks(smooth: NDArray[np.float64], room: Room, late: float, spread: float) -> tuple[float, float, float]:
    """`t_of_leads` of one lead (time,)."""
    part = smooth[room.first : room.last + 1]
    steep = np.diff(part)
    turns = np.flatnonzero((steep[1:] > 0) != (steep[:-1] > 0)) + 1
    edges = np.concatenate([[0], turns, [len(part) - 1]])
    middle = room.first + (edges[1:] + edges[:-1]) / 2
    heights = np.abs(np.diff(part[edges])) * np.exp(-0.5 * (np.maximum(middle - late, 0) / spread) ** 2)
    if len(heights) < 2 or heights[1:].max() < LEAST_HEIGHT:
        return np.nan, np.nan, np.nan
    # The first flank comes down from the QRS and begins no T wave.
    flank = 1 + int(np.flatnonzero(heights[1:] >= LAST_FLANK * heights[1:].max())[-1])
    begin, stop = int(edges[flank]), int(edges[flank + 1])
    steep = np.abs(steep)
    end = begin + _fades(steep[begin:stop], END_SHARE)
    onset = begin - _fades(steep[int(edges[flank - 1]) : begin][::-1], ONSET_SHARE)
    # Reaching the end of the room with the slope still there is no end of T but its cutting off.
    is_cut = end >= len(part) - 1
    return room.first + onset, room.first + begin, np.nan if is_cut else room.first + end


def _fades(steep: NDArray[np.float64], share: float) -> int:
    """How far along a flank the slope has fallen below a share of its maximum, or the flank's end."""
    top = int(steep.argmax())
    below = np.flatnonzero(steep[top:] <= share * steep[top])
    return top + int(below[0]) if len(below) else len(steep)
