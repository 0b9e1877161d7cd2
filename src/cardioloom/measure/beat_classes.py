"""Beats of one shape together, so that an ectopic beat enters neither the median beat nor the usual intervals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cardioloom.measure.order import median
from cardioloom.measure.slopes import smoothed

CUTOFF_HZ = 25.0
WINDOW_S = (0.08, 0.12)  # of the QRS round R that is compared
LAG_S, LAG_STEP_S = 0.024, 0.004  # R peaks of the same shape lie this near to each other
LEAST_ALIKE = 0.9  # correlation over leads and time with the median of the class
MAX_CLASSES = 12  # what is left then is noise: one class more for all of it
RIVAL = 0.6  # a class with this share of the largest one's beats and a clearly narrower QRS is the dominant one …
NARROWER_MS = 20.0  # … by this much (ventricular bigeminy)


def beat_classes(
    rows: NDArray[np.floating], r_peaks: NDArray[np.int64], qrs_ms: NDArray[np.float64], fs: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Group beats by the shape of their QRS over leads.

    Args:
        rows: (lead, time) finite, each lead in units of its own amplitude.
        r_peaks: (beat,) samples.
        qrs_ms: (beat,) QRS durations, NaN where unknown.
        fs: sampling rate, Hz.

    Returns:
        (beat,) class, 0 for the dominant shape, then by number of beats; and (beat,) how many samples later than its
        R peak a beat fits the median of its class best.
    """
    n_beats = len(r_peaks)
    classes, shifts = np.full(n_beats, -1), np.zeros(n_beats, np.int64)
    if not n_beats or not len(rows):
        return np.zeros(n_beats, np.int64), shifts
    smooth = smoothed(np.asarray(rows, np.float64), fs, CUTOFF_HZ)
    parts, lags = _lagged(smooth, r_peaks, fs)
    middle = len(lags) // 2
    for number in range(MAX_CLASSES):
        free = np.flatnonzero(classes < 0)
        if not len(free):
            break
        first = parts[middle, _most_typical(parts[middle, free], free)]
        same, best = _alike(parts[:, free], first)
        if same.any():  # again with the median of what one beat found
            same, best = _alike(parts[:, free], median(parts[best[same], free[same]], axis=0))
        if not same.any():
            same[0] = True
        classes[free[same]] = number
        shifts[free[same]] = lags[best[same]]
    classes[classes < 0] = MAX_CLASSES
    return _ranked(classes, qrs_ms), shifts


def _lagged(
    smooth: NDArray[np.float64], r_peaks: NDArray[np.int64], fs: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(lag, beat, lead, time) surroundings of the R peaks without their means, and the lags in samples."""
    step, most = max(1, round(LAG_STEP_S * fs)), round(LAG_S * fs)
    lags = np.arange(-(most // step), most // step + 1) * step
    window = np.arange(-round(WINDOW_S[0] * fs), round(WINDOW_S[1] * fs) + 1, max(1, round(fs / 250)))
    at = np.clip(r_peaks[None, :, None] + lags[:, None, None] + window, 0, smooth.shape[1] - 1)
    parts = smooth[:, at].transpose(1, 2, 0, 3)
    return parts - parts.mean(axis=3, keepdims=True), lags


def _correlation(parts: NDArray[np.float64], template: NDArray[np.float64]) -> NDArray[np.float64]:
    """(lag, beat) correlation over leads and time."""
    size = np.sqrt(np.einsum("gblt,gblt->gb", parts, parts) * np.einsum("lt,lt->", template, template))
    return np.einsum("gblt,lt->gb", parts, template) / np.maximum(size, 1e-12)


def _alike(parts: NDArray[np.float64], template: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """(beat,) which of the beats (lag, beat, lead, time) resemble a template, and the index of their best lag."""
    alike = _correlation(parts, template)
    return alike.max(axis=0) >= LEAST_ALIKE, alike.argmax(axis=0)


def _most_typical(parts: NDArray[np.float64], free: NDArray[np.int64]) -> int:
    """The beat that most of the others resemble."""
    flat = parts.reshape(len(parts), -1)
    flat = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)
    return int(free[(flat @ flat.T >= LEAST_ALIKE - 0.05).sum(axis=1).argmax()])


def _ranked(classes: NDArray[np.int64], qrs_ms: NDArray[np.float64]) -> NDArray[np.int64]:
    """Classes renumbered: the dominant one first, then by their number of beats."""
    names, counts = np.unique(classes, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    names, counts = names[order], counts[order]
    width = np.array([_median(qrs_ms[classes == name]) for name in names])
    rivals = np.flatnonzero((counts >= RIVAL * counts[0]) & (width <= width[0] - NARROWER_MS))
    if len(rivals):
        first = rivals[width[rivals].argmin()]
        names = np.concatenate([names[first : first + 1], np.delete(names, first)])
    rank = {name: number for number, name in enumerate(names.tolist())}
    return np.array([rank[name] for name in classes.tolist()], np.int64)


def _median(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else np.nan
