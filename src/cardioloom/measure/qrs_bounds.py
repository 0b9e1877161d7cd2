"""Onset and end of the QRS complex in each lead.

From the steepest point near the R peak outward, to where the slope stays below a small share of the steepest: the slope
criterion of Laguna et al. 1994 (doi:10.1006/cbmr.1994.1006), with a gap that bridges notches and S waves.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

CUTOFF_HZ = 20.0
NEAR_S = (0.07, 0.09)  # the steepest point lies this near before and after the R peak
REACH_S = (0.17, 0.26)  # the QRS reaches at most this far before and after the R peak
ON_SHARE, OFF_SHARE = 0.02, 0.05  # of the steepest slope
ON_GAP_S, OFF_GAP_S = 0.01, 0.02  # as long as this below the share ends the QRS
ON_NOISE, OFF_NOISE = 2.0, 2.5  # the share is never below this many times the lead's usual slope between beats
LEAST_RATIO = 6.0  # a lead whose steepest slope is below this many times the usual one has no visible QRS
USUAL = 0.6  # times the SD that a quantile of |slope| stands for: the level between the waves
QUIET_RR_S = 0.75  # that quantile is the median, and a lower one where beats follow each other faster than this


def qrs_bounds(
    slope: NDArray[np.float64], r_peaks: NDArray[np.int64], fs: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Onset and end of each QRS in each lead.

    Args:
        slope: (lead, time) of the signal smoothed at `CUTOFF_HZ`.
        r_peaks: (beat,) samples, ascending.
        fs: sampling rate, Hz.

    Returns:
        onsets and ends, (beat, lead) samples; NaN where a lead shows no QRS or no end within reach.
    """
    steep = np.abs(slope)
    usual = _usual_slope(steep, r_peaks, fs)
    back, ahead = (round(seconds * fs) for seconds in REACH_S)
    window = r_peaks[:, None] + np.arange(-back, ahead + 1)  # (beat, time)
    inside = (window >= 0) & (window < slope.shape[1])
    around = steep[:, np.clip(window, 0, slope.shape[1] - 1)].transpose(1, 0, 2)  # (beat, lead, time)
    around = np.where(inside[:, None], around, 0.0)
    near = slice(back - round(NEAR_S[0] * fs), back + round(NEAR_S[1] * fs))
    steepest = near.start + around[:, :, near].argmax(axis=2)  # (beat, lead)
    top = np.take_along_axis(around, steepest[..., None], axis=2)[..., 0]
    least_on, least_off = np.maximum(ON_SHARE * top, ON_NOISE * usual), np.maximum(OFF_SHARE * top, OFF_NOISE * usual)
    n = around.shape[2]
    backward = (around > least_on[..., None])[..., ::-1]
    onset = n - 1 - _walk(backward, n - 1 - steepest, max(1, round(ON_GAP_S * fs)))
    end = _walk(around > least_off[..., None], steepest, max(1, round(OFF_GAP_S * fs)))
    visible = top >= LEAST_RATIO * usual
    start = (r_peaks - back)[:, None]
    found_on, found_off = visible & (onset > 0), visible & (end < n - 1)
    return np.where(found_on, start + onset, np.nan), np.where(found_off, start + end, np.nan)


def _usual_slope(steep: NDArray[np.float64], r_peaks: NDArray[np.int64], fs: float) -> NDArray[np.float64]:
    """(lead,) the usual |slope| between waves: of the half of the time that is quiet, or less of it at fast rates."""
    rr = float(np.median(np.diff(r_peaks))) / fs if len(r_peaks) > 1 else QUIET_RR_S
    share = 0.5 * min(1.0, max(0.1, rr / QUIET_RR_S))
    return USUAL / NormalDist().inv_cdf((1 + share) / 2) * np.quantile(steep, share, axis=1)


def _walk(active: NDArray[np.bool_], origin: NDArray[np.int64], gap: int) -> NDArray[np.int64]:
    """(beat, lead) the last active sample (beat, lead, time) from ``origin`` on before ``gap`` inactive ones follow."""
    n = active.shape[2]
    time = np.arange(n)
    last = np.where(active & (time >= origin[..., None]), time, -1)
    last = np.maximum.accumulate(np.maximum(last, np.where(time == origin[..., None], time, -1)), axis=2)
    ends = (time[1:] - last[..., :-1] > gap) & (time[1:] > origin[..., None])
    first = np.where(ends.any(axis=2), ends.argmax(axis=2), n - 1)
    return np.take_along_axis(last, first[..., None], axis=2)[..., 0]
