"""Onset and end of the QRS complex in each lead.

From the steepest point near the R peak outward, to where the slope stays below a small share of the steepest: the slope
criterion of Laguna et al. 1994 (doi:10.1006/cbmr.1994.1006), with a gap that bridges notches and S waves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

# A broad QRS without a sharp corner may rest on a plateau as long as the gap: it has two steep flanks, and the level at
# one of the bounds is far from that at the other. Then the other flank is looked for.
STEP_SHARE = 0.5  # of the deflection between the bounds: so far apart are the levels at the two
FLANK_SHARE = 0.4  # of the steepest slope: the other flank; ST and T are less steep
FLANK_S = 0.13  # as far beyond the bound
FLANK_ON_SHARE, FLANK_ON_NOISE = 0.1, 4.0  # as `ON_SHARE` and `ON_NOISE`: so far back, P is near
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
    signed = slope[:, np.clip(window, 0, slope.shape[1] - 1)].transpose(1, 0, 2)  # (beat, lead, time)
    signed = np.where(inside[:, None], signed, 0.0)
    around = np.abs(signed)
    near = slice(back - round(NEAR_S[0] * fs), back + round(NEAR_S[1] * fs))
    steepest = near.start + around[:, :, near].argmax(axis=2)  # (beat, lead)
    top = np.take_along_axis(around, steepest[..., None], axis=2)[..., 0]
    least_on, least_off = np.maximum(ON_SHARE * top, ON_NOISE * usual), np.maximum(OFF_SHARE * top, OFF_NOISE * usual)
    gaps = _Gaps(around, least_on, least_off, max(1, round(ON_GAP_S * fs)), max(1, round(OFF_GAP_S * fs)))
    n, visible = around.shape[2], top >= LEAST_RATIO * usual
    beats, leads = np.indices(steepest.shape)
    onset, end = gaps.onset(beats, leads, steepest), gaps.end(beats, leads, steepest)
    before, after = _other_flanks(signed, onset, end, np.where(visible, top, np.inf), round(FLANK_S * fs))
    gaps = replace(gaps, least_on=np.maximum(FLANK_ON_SHARE * top, FLANK_ON_NOISE * usual))
    for flanks, bounds, bound in ((before, onset, gaps.onset), (after, end, gaps.end)):
        beats, leads = np.nonzero(flanks >= 0)
        bounds[beats, leads] = bound(beats, leads, flanks[beats, leads])
    start = (r_peaks - back)[:, None]
    found_on, found_off = visible & (onset > 0), visible & (end < n - 1)
    return np.where(found_on, start + onset, np.nan), np.where(found_off, start + end, np.nan)


@dataclass(frozen=True, eq=False)
class _Gaps:
    """|slope| round each beat (beat, lead, time), what of it is quiet, and how many quiet samples end a QRS."""

    steep: NDArray[np.float64]
    least_on: NDArray[np.float64]  # (beat, lead)
    least_off: NDArray[np.float64]
    on: int
    off: int

    def onset(self, beats: NDArray[np.int64], leads: NDArray[np.int64], flank: NDArray[np.int64]) -> NDArray[np.int64]:
        """The onset before a flank (…,) of these beats and leads (…,)."""
        active = (self.steep[beats, leads] > self.least_on[beats, leads][..., None])[..., ::-1]
        return active.shape[-1] - 1 - _walk(active, active.shape[-1] - 1 - flank, self.on)

    def end(self, beats: NDArray[np.int64], leads: NDArray[np.int64], flank: NDArray[np.int64]) -> NDArray[np.int64]:
        """The end after a flank (…,)."""
        return _walk(self.steep[beats, leads] > self.least_off[beats, leads][..., None], flank, self.off)


def _other_flanks(
    slope: NDArray[np.float64], onset: NDArray[np.int64], end: NDArray[np.int64], top: NDArray[np.float64], reach: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(beat, lead) the steepest sample of the flank before the onset, and after the end, that is missing; else −1.

    Args:
        slope: (beat, lead, time).
        onset, end, top: (beat, lead) bounds found so far in samples, steepest |slope| (infinite: not looked at).
        reach: samples.
    """
    time = np.arange(slope.shape[2])
    level = np.cumsum(slope, axis=2)
    first, last = (np.take_along_axis(level, at[..., None], axis=2) for at in (onset, end))
    between = (time >= onset[..., None]) & (time <= end[..., None])
    span = np.where(between, level, first).max(axis=2) - np.where(between, level, first).min(axis=2)
    step = (last - first)[..., 0]
    before, after = np.full(onset.shape, -1), np.full(onset.shape, -1)
    for pair in zip(*np.nonzero((np.abs(step) > STEP_SHARE * span) & np.isfinite(top)), strict=True):
        back = -np.sign(step[pair]) * slope[pair]  # positive where the level returns
        begin = max(0, onset[pair] - reach)
        found = []
        for flanks, start, part in (
            (before, begin, back[begin : onset[pair]]),
            (after, end[pair], back[end[pair] : end[pair] + reach]),
        ):
            if len(part) and part.max() >= FLANK_SHARE * top[pair]:
                found.append((float(part.max()), flanks, start + int(part.argmax())))
        if found:
            _, flanks, at = max(found, key=lambda one: one[0])
            flanks[pair] = at
    return before, after


def _usual_slope(steep: NDArray[np.float64], r_peaks: NDArray[np.int64], fs: float) -> NDArray[np.float64]:
    """(lead,) the usual |slope| between waves: of the half of the time that is quiet, or less of it at fast rates."""
    rr = float(np.median(np.diff(r_peaks))) / fs if len(r_peaks) > 1 else QUIET_RR_S
    share = 0.5 * min(1.0, max(0.1, rr / QUIET_RR_S))
    return USUAL / NormalDist().inv_cdf((1 + share) / 2) * np.quantile(steep, share, axis=1)


def _walk(active: NDArray[np.bool_], origin: NDArray[np.int64], gap: int) -> NDArray[np.int64]:
    """(…,) the last active sample (…, time) from ``origin`` on before ``gap`` inactive ones follow."""
    n = active.shape[-1]
    time = np.arange(n)
    last = np.where(active & (time >= origin[..., None]), time, -1)
    last = np.maximum.accumulate(np.maximum(last, np.where(time == origin[..., None], time, -1)), axis=-1)
    ends = (time[1:] - last[..., :-1] > gap) & (time[1:] > origin[..., None])
    first = np.where(ends.any(axis=-1), ends.argmax(axis=-1), n - 1)
    return np.take_along_axis(last, first[..., None], axis=-1)[..., 0]
