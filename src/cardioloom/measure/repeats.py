"""The wave that repeats itself: its mean over the beats that show it, and where each of them does.

Marks set on the mean of many beats are steadier than marks of single beats; a beat that looks different is left to
its own marks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardioloom.measure.order import median

FEW_BEATS = 3  # fewer cannot repeat anything
MANY_BEATS = 8  # from here on the median of all stands for that of the others
STEP_S = 0.004  # lags are tried in steps of this
GAIN = 0.02  # a shift must raise the correlation by this much


@dataclass(frozen=True, eq=False)
class Repeats:
    """What repeats itself before or after an anchor in each beat.

    Args:
        mean: one (lead, time) a smoothing: means over the alike beats, without the line through the window's ends.
        first: the sample, relative to the anchor, of the window's first value.
        alike: (beat,) correlation with the other beats' median over leads and time; NaN where the window is cut
            or does not fit.
        lags: (beat,) samples by which the beat's wave comes later than the mean's.
    """

    mean: tuple[NDArray[np.float64], ...]
    first: int
    alike: NDArray[np.float64]
    lags: NDArray[np.int64]


def repeats(
    smoothed: tuple[NDArray[np.float64], ...],
    anchors: NDArray[np.float64],
    window: tuple[int, int],
    *,
    fits: NDArray[np.bool_],
    most_lag: int,
    least_alike: float,
    fs: float,
) -> Repeats | None:
    """Compare the same stretch of all beats.

    Args:
        smoothed: (lead, time) signals of the same leads, each smoothed in its own way; the first is compared.
        anchors: (beat,) samples.
        window: first and last sample of the stretch, relative to the anchors.
        fits: (beat,) whether the stretch holds nothing but the wave there, not the next QRS or the last T.
        most_lag: a beat's wave may come this many samples earlier or later.
        least_alike: correlation from which a beat takes part in the mean.
        fs: sampling rate, Hz.

    Returns:
        None where fewer than three beats have the whole stretch and fit.
    """
    smooth, (first, last) = smoothed[0], window
    length = last - first + 1
    start = np.round(anchors).astype(int) + first
    whole = np.flatnonzero((start >= 0) & (start + length <= smooth.shape[1]) & fits)
    if len(whole) < FEW_BEATS or length < 3:
        return None
    alike, lags = np.full(len(anchors), np.nan), np.zeros(len(anchors), np.int64)
    parts = level(smooth[:, start[whole, None] + np.arange(length)].transpose(1, 0, 2))
    alike[whole] = likeness(parts)
    chosen = np.flatnonzero(alike >= least_alike)
    if len(chosen) < FEW_BEATS:
        chosen = whole
    template = parts[np.isin(whole, chosen)].mean(axis=0)
    if most_lag:
        step = max(1, round(STEP_S * fs))
        tried = np.arange(-(most_lag // step), most_lag // step + 1) * step
        lags[whole] = _best_lags(smooth, start[whole], template, tried)
    at = np.clip((start + lags)[chosen, None] + np.arange(length), 0, smooth.shape[1] - 1)
    return Repeats(tuple(level(rows[:, at].mean(axis=1)) for rows in smoothed), first, alike, lags)


def level(parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Minus the line through both ends, along the last axis."""
    ramp = np.linspace(0, 1, parts.shape[-1])
    return parts - parts[..., :1] - ramp * (parts[..., -1:] - parts[..., :1])


def likeness(parts: NDArray[np.float64], usual: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """(beat,) correlation of each beat (beat, lead, time) with the median of the other ``usual`` ones (beat,)."""
    usual = np.ones(len(parts), bool) if usual is None else usual
    alike = np.zeros(len(parts))
    everyone = median(parts[usual], axis=0)
    for n, part in enumerate(parts):
        others = everyone
        if usual[n] and usual.sum() < MANY_BEATS:
            others = median(parts[usual & (np.arange(len(parts)) != n)], axis=0)
        size = np.sqrt((part**2).sum() * (others**2).sum())
        alike[n] = float((part * others).sum() / size) if size > 0 else 0.0
    return alike


def _best_lags(
    smooth: NDArray[np.float64], start: NDArray[np.int64], template: NDArray[np.float64], tried: NDArray[np.int64]
) -> NDArray[np.int64]:
    """(beat,) the lag at which a beat resembles the template (lead, time) clearly more than without one."""
    length = template.shape[1]
    at = start[:, None] + tried  # (beat, lag)
    inside = (at >= 0) & (at + length <= smooth.shape[1])
    span = np.clip(start[:, None] + np.arange(tried[0], tried[-1] + length), 0, smooth.shape[1] - 1)
    alike, power = _levelled(smooth[:, span], tried - tried[0], template)
    own = np.sqrt(power) * np.sqrt((template**2).sum())
    scores = np.where(inside, alike / np.maximum(own, 1e-12), -1.0).T
    still = scores[np.flatnonzero(tried == 0)[0]]
    return np.where(scores.max(axis=0) > still + GAIN, tried[scores.argmax(axis=0)], 0)


def _levelled(
    stretch: NDArray[np.float64], begin: NDArray[np.int64], template: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(beat, part) products, with the template (lead, time) and with itself, of `level` of parts of (lead, beat, time).

    The parts that begin at the given samples overlap, so they are not made: sums over time alone are needed.
    """
    n = template.shape[1]
    ramp, before = np.linspace(0, 1, n), np.zeros((*stretch.shape[:2], 1))

    def summed(values: NDArray[np.float64]) -> NDArray[np.float64]:
        total = np.concatenate([before, np.cumsum(values, axis=2)], axis=2)
        return total[:, :, begin + n] - total[:, :, begin]

    first = stretch[:, :, begin]
    rise = stretch[:, :, begin + n - 1] - first
    total = summed(stretch)
    with_ramp = (summed(stretch * np.arange(stretch.shape[2])) - begin * total) / (n - 1)
    parts = np.lib.stride_tricks.sliding_window_view(stretch, n, axis=2)[
        :, :, :: begin[-1] // max(1, len(begin) - 1) or 1
    ]
    alike = np.einsum("lbgt,lt->bg", parts, template)
    alike -= np.einsum("lbg,l->bg", first, template.sum(axis=1)) + np.einsum("lbg,l->bg", rise, template @ ramp)
    line = first * (n * first - 2 * total) + rise * (ramp @ ramp * rise - 2 * with_ramp + 2 * ramp.sum() * first)
    return alike, np.maximum((summed(stretch**2) + line).sum(axis=0), 0.0)
