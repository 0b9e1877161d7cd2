"""The median beat of the dominant shape, freed from the wandering baseline, with its marks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cardioloom.measure.delineation import Marks
from cardioloom.measure.order import median

BEFORE_S, AFTER_S = 0.4, 0.7  # round R, less where the heart is fast
AFTER_SHARE = 0.8  # of the RR interval
LEVEL_S = 0.012  # the level before the QRS is the mean of this much …
LEVEL_BACK_S = 0.004  # … that ends this long before the onset


def without_baseline(signal: NDArray[np.floating], marks: Marks, fs: float) -> NDArray[np.float64]:
    """(lead, time) minus straight lines through the levels just before each QRS (the PR segments).

    Straight lines where Meyer & Keiser 1977 (doi:10.1016/0010-4809(77)90048-0) take cubic splines: these overshoot
    at missed beats.
    """
    onset = marks.over_leads["qrs_on"]
    onset = np.where(np.isfinite(onset), onset, marks.r_peaks - 0.04 * fs)
    stop = np.round(onset - LEVEL_BACK_S * fs).astype(int)
    width = max(1, round(LEVEL_S * fs))
    stop = stop[stop - width >= 0]
    result = np.asarray(signal, np.float64)
    if not len(stop):
        return result
    levels = result[:, stop[:, None] - np.arange(width)].mean(axis=2)  # (lead, beat)
    time, centre = np.arange(result.shape[1]), stop - (width - 1) / 2
    for row, level in zip(result := result.copy(), levels, strict=True):
        known = np.isfinite(level)
        if known.any():
            row -= np.interp(time, centre[known], level[known])
    return result


def median_beat(
    signal: NDArray[np.float64], centres: NDArray[np.int64], fs: float, *, rr_s: float
) -> tuple[NDArray[np.float64], int]:
    """Median over beats of the surroundings of their centres.

    Args:
        signal: (lead, time) without baseline, NaN = not recorded.
        centres: (beat,) samples, aligned by shape.
        fs: sampling rate, Hz.
        rr_s: usual RR interval, s; the window ends before the next beat.

    Returns:
        (lead, time), NaN where no beat was recorded; and the sample of the R peak in it.
    """
    before, after = round(BEFORE_S * fs), round(min(AFTER_S, AFTER_SHARE * rr_s) * fs)
    window = centres[:, None] + np.arange(-before, after + 1)
    whole = ((window >= 0) & (window < signal.shape[1])).all(axis=1)
    if whole.any():
        window = window[whole]
    parts = np.take(signal, np.clip(window, 0, signal.shape[1] - 1), axis=1)  # (lead, beat, time)
    parts = np.where((window >= 0) & (window < signal.shape[1]), parts, np.nan)
    result = np.full((len(signal), window.shape[1]), np.nan)
    cut = np.isnan(parts).any(axis=(1, 2))
    result[~cut] = median(parts[~cut], axis=1)
    for row, part in zip(result[cut], parts[cut], strict=True):
        there = np.isfinite(part).any(axis=0)
        row[there] = np.nanmedian(part[:, there], axis=0)
    return result, before
