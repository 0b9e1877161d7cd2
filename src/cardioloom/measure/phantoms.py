"""Beats that are none: what the detector finds where there is nothing but noise or a moving baseline.

The detector is free of scale and finds what resembles beats most; whether that is a heart is decided here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cardioloom.measure.likeness import best_match, likeness
from cardioloom.measure.windows import bridged_gaps, moving_mean

REACH_S = 0.06  # the QRS lies this near to the R peak
TREND_S = 0.3  # what is slower is baseline
LOW_SHARE = 0.2  # beats lower than this share of the highest one …
LOW_MV = 0.15  # … or, in the tallest lead, than this …
ALIKE = 0.6  # … are believed only where they resemble each other this much
NOISE = 0.55  # beats of which even the best matches resemble each other less than this are noise, however high …
NOISE_LEADS = 3  # … where this many leads make a chance match improbable
FEW = 2  # beats, of which the detector, which has no pattern then, may have taken the T wave
T_AWAY_S = (0.08, 0.45)  # as far from its QRS
STEEPER = 2.0  # the QRS against the T wave
SMOOTH_S = 0.02
PLACE_S = 0.06  # deflections are measured from the mean of so much, as `r_peaks` does


def without_phantoms(signal: NDArray[np.float32], r_peaks: NDArray[np.int64], fs: float) -> NDArray[np.int64]:
    """The R peaks without those of low beats that do not resemble each other.

    Args:
        signal: (lead, time) mV, NaN = not recorded.
        r_peaks: (beat,) samples, ascending.
        fs: sampling rate, Hz.
    """
    if not len(r_peaks):
        return r_peaks
    low = _low(signal, r_peaks, fs)
    if len(r_peaks) > 2 and len(signal) >= NOISE_LEADS and np.mean(best_match(signal, r_peaks, fs)) < NOISE:
        return r_peaks[~low] if low.any() else r_peaks[:0]
    if not low.any() or len(r_peaks) == 1:
        return r_peaks
    # A single low beat among others resembles nothing and goes.
    return r_peaks[~low] if float(np.mean(likeness(signal, r_peaks[low], fs))) < ALIKE else r_peaks


def on_the_qrs(signal: NDArray[np.float32], r_peaks: NDArray[np.int64], fs: float) -> NDArray[np.int64]:
    """One or two R peaks moved to a much steeper deflection nearby: to the QRS if they sit on its T wave.

    Args and shape as in `without_phantoms`.
    """
    if not 0 < len(r_peaks) <= FEW:
        return r_peaks
    rows, _ = bridged_gaps(signal)
    width = max(2, round(SMOOTH_S * fs))
    slope = np.abs(np.diff(moving_mean(rows, width), axis=1, append=rows[:, -1:])).sum(axis=0)
    slope[-width:] = 0.0
    height = ((rows - moving_mean(rows, max(2, round(PLACE_S * fs)))) ** 2).sum(axis=0)
    steep = moving_mean(slope, 2 * width)
    near, far = (round(away * fs) for away in T_AWAY_S)
    placed = []
    for peak in r_peaks.tolist():
        at = max(0, peak - far) + int(steep[max(0, peak - far) : peak + far + 1].argmax())
        is_taken = any(other != peak and abs(other - at) <= near for other in r_peaks.tolist())
        if abs(at - peak) > near and steep[at] > STEEPER * steep[max(0, peak - near) : peak + near + 1].max():
            first = max(0, at - near)
            peak = peak if is_taken else first + int(height[first : at + near + 1].argmax())
        placed.append(peak)
    return np.unique(np.array(placed, np.int64))


def _low(signal: NDArray[np.float32], r_peaks: NDArray[np.int64], fs: float) -> NDArray[np.bool_]:
    middle, tallest = _heights(signal, r_peaks, fs)
    return (middle < LOW_SHARE * middle.max()) | (tallest < LOW_MV)


def _heights(
    signal: NDArray[np.float32], r_peaks: NDArray[np.int64], fs: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(beat,) peak to peak near each R peak, mV: the median over leads, and the tallest lead."""
    rows, _ = bridged_gaps(signal)
    rows = rows - moving_mean(rows, max(2, round(TREND_S * fs)))
    reach = max(1, round(REACH_S * fs))
    around = rows.take(r_peaks[:, None] + np.arange(-reach, reach + 1), axis=1, mode="clip")
    heights = np.ptp(around, axis=2)  # (lead, beat)
    moving = heights.max(axis=1) > 0
    heights = heights[moving] if moving.any() else heights
    return np.median(heights, axis=0), heights.max(axis=0)
