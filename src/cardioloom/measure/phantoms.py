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
