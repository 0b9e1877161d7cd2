"""Do the beats of a recording resemble each other? What noise alone looks like, beats found in it do not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cardioloom.measure.windows import bridged_gaps, moving_means

SMOOTH_S = 0.02  # averages out the noise of muscles, not the QRS
TREND_S = 0.2  # what is slower is baseline and T wave
REACH_S = 0.06  # the QRS lies this near to the R peak


def likeness(signal: NDArray[np.float32], r_peaks: NDArray[np.int64], fs: float) -> NDArray[np.float64]:
    """Correlation of each QRS, over all leads, with the mean of all the others.

    Args:
        signal: (lead, time) mV, NaN = not recorded.
        r_peaks: (beat,) samples, ascending.
        fs: sampling rate, Hz.

    Returns:
        (beat,) from -1 to 1; near 0 for what was found in noise; 0 where there is only one beat.
    """
    if len(r_peaks) < 2:
        return np.zeros(len(r_peaks))
    beats = _shapes(signal, r_peaks, fs)
    others = (beats.sum(axis=0) - beats) / (len(beats) - 1)
    size = np.linalg.norm(beats, axis=1) * np.linalg.norm(others, axis=1)
    return np.einsum("bt,bt->b", beats, others) / np.maximum(size, 1e-12)


def best_match(signal: NDArray[np.float32], r_peaks: NDArray[np.int64], fs: float) -> NDArray[np.float64]:
    """Correlation of each QRS with that other one which resembles it most: high in bigeminy too, low in noise.

    Args and shape as in `likeness`.
    """
    if len(r_peaks) < 2:
        return np.zeros(len(r_peaks))
    beats = _shapes(signal, r_peaks, fs)
    beats = beats / np.maximum(np.linalg.norm(beats, axis=1, keepdims=True), 1e-12)
    match = beats @ beats.T
    np.fill_diagonal(match, -1.0)
    return match.max(axis=1).astype(np.float64)


def _shapes(signal: NDArray[np.float32], r_peaks: NDArray[np.int64], fs: float) -> NDArray[np.float64]:
    """(beat, lead × time) smoothed and without baseline, each lead in units of its own spread."""
    rows, recorded = bridged_gaps(signal)
    smooth, trend = moving_means(rows, max(1, round(SMOOTH_S * fs)), max(2, round(TREND_S * fs)))
    rows = np.subtract(smooth, trend, out=smooth)
    rows[~recorded] = 0.0
    rows /= np.maximum(rows.std(axis=1, keepdims=True), 1e-12)
    reach = max(1, round(REACH_S * fs))
    around = r_peaks[:, None] + np.arange(-reach, reach + 1)
    return rows.take(around, axis=1, mode="clip").transpose(1, 0, 2).reshape(len(r_peaks), -1)
