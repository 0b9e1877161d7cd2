"""Which peaks of the combined envelope are beats: likeness to the recurring QRS, then the best chain through time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cardioloom.prepare.beats_envelope import middle, window_starts

DOMINANCE_SECONDS = 0.1  # a candidate is the largest value this far to both sides
REFRACTORY_SECONDS = 0.18  # 333 bpm
AFTER_SECONDS, AFTER_SHARE = 0.36, 0.5  # a peak this soon after one twice as high is its T wave
BEFORE_SECONDS, BEFORE_SHARE = 0.3, 0.45  # a peak this soon before one twice as high is its P wave
LEVEL_SECONDS = 2.0  # every such window holds a beat at 30 bpm
LEVEL_QUANTILE = 0.75  # of the windows' maxima: survives a pause of half the record
SURE_HEIGHT = 0.4  # of the level: beats for the first guess of rate and pattern
FLOOR_HEIGHT = 0.12  # of the level: nothing lower is considered
BEAT_SCORE = 0.32  # height × trust above which a candidate adds to the chain
MAX_HEIGHT = 1.2
CALM_SECONDS = 0.6
CALM_FULL, CALM_NONE = 0.05, 0.2  # median of the envelope around a candidate, of the level
TRUST_NOISY, TRUST_CALM = 0.3, 0.8  # share of the score that does not depend on likeness
SHORT_RR, SHORT_COST_NOISY, SHORT_COST_CALM = 0.7, 1.0, 0.4  # RR below this share of the usual costs, up to …
LONG_RR, FAR_RR, LONG_COST = 1.5, 2.0, 0.3  # a gap costs little, and no more beyond: pauses are real
PATTERN_SECONDS = 0.064  # half width of the QRS pattern
PATTERN_SHIFT = 2  # grid points a candidate may be off
PATTERN_BEATS = 48  # at most, for the patterns
PATTERN_LIKENESS = 0.6
MIN_SHARE = 0.15  # of the beats that share a pattern
MIN_BEATS = 3  # for a pattern or a usual RR
NEIGHBOURS = 6  # RR intervals to each side that make the usual RR


def find_beats(combined: NDArray[np.float32], band: NDArray[np.complex64], fs: float) -> NDArray[np.intp]:
    """Grid points of the beats.

    Args:
        combined: (point,) envelope over leads.
        band: (lead, point) analytic signal of the leads by their weight, zero where not recorded.
        fs: rate of the points, Hz.
    """
    points = _local_maxima(combined, max(1, round(DOMINANCE_SECONDS * fs)))
    if not points.size:
        return points
    level = _level(combined, points, fs)
    high = combined[points] > FLOOR_HEIGHT * level
    points, level = points[high], level[high]
    height = combined[points] / level
    sure = points[_sure(points / fs, height)]
    likeness, calm = _likeness(band, points, sure, fs), _calm(combined, level, points, fs)
    return points[_chain(points / fs, height, likeness, calm, sure / fs)]


def _local_maxima(x: NDArray[np.float32], reach: int) -> NDArray[np.intp]:
    """Points that are positive and the first largest within ``reach`` to both sides."""
    edge = np.full(reach, -1, x.dtype)
    highest, width = np.concatenate([edge, x, edge]), 1
    while width < reach:
        step = min(width, reach - width)
        highest, width = np.maximum(highest[:-step], highest[step:]), width + step
    return np.flatnonzero((x > 0) & (x > highest[: x.size]) & (x >= highest[reach + 1 :]))


def _level(x: NDArray[np.float32], points: NDArray[np.intp], fs: float) -> NDArray[np.float64]:
    """(candidate,) the usual height of a beat there: running median of window maxima, at least half of the whole's."""
    starts = window_starts(x.size, round(LEVEL_SECONDS * fs))
    maxima = np.maximum.reduceat(x, starts)
    overall = upper_quantile(maxima[maxima > 0], LEVEL_QUANTILE)
    padded = np.concatenate([maxima[:1], maxima[:1], maxima, maxima[-1:], maxima[-1:]])
    running = middle(np.lib.stride_tricks.sliding_window_view(padded, 5))
    return np.maximum(np.interp(points, starts + 0.5 * x.size / starts.size, running), 0.5 * overall)


def upper_quantile(x: NDArray[np.floating], q: float) -> float:
    """The ``q`` quantile, the higher neighbour where it falls between two; 0 for no values."""
    return float(np.sort(x)[int(np.ceil(q * (x.size - 1)))]) if x.size else 0.0


def _sure(seconds: NDArray[np.float64], height: NDArray[np.float64]) -> list[int]:
    """Candidates that are high and neither T nor P wave of a neighbour."""
    kept: list[int] = []
    for i in np.flatnonzero(height > SURE_HEIGHT).tolist():
        if kept:
            apart = seconds[i] - seconds[kept[-1]]
            if apart < REFRACTORY_SECONDS or (apart < BEFORE_SECONDS and height[kept[-1]] < BEFORE_SHARE * height[i]):
                if height[i] > height[kept[-1]]:
                    kept[-1] = i
                continue
            if apart < AFTER_SECONDS and height[i] < AFTER_SHARE * height[kept[-1]]:
                continue
        kept.append(i)
    return kept


def _calm(
    x: NDArray[np.float32], level: NDArray[np.float64], points: NDArray[np.intp], fs: float
) -> NDArray[np.float64]:
    """(candidate,) 1 where the envelope is quiet around it, 0 where noise fills the time between beats."""
    reach = round(CALM_SECONDS * fs)
    around = points[:, None] + np.arange(-reach, reach + 1, 2)
    background = middle(x.take(around, mode="clip")) / level
    return np.clip((CALM_NONE - background) / (CALM_NONE - CALM_FULL), 0, 1)


def _likeness(
    band: NDArray[np.complex64], points: NDArray[np.intp], sure: NDArray[np.intp], fs: float
) -> NDArray[np.float32]:
    """(candidate,) correlation over leads and time, 0 to 1, with the nearer of at most two recurring patterns."""
    likeness = np.zeros(points.size, np.float32)
    if sure.size < MIN_BEATS:
        return likeness + 1
    reach = round(PATTERN_SECONDS * fs)
    by_time = np.ascontiguousarray(band.T)
    beats, size = _segments(by_time, sure[:: -(-sure.size // PATTERN_BEATS)], reach)
    patterns = _patterns(beats / size[:, None])
    shifts = np.arange(-PATTERN_SHIFT, PATTERN_SHIFT + 1)
    candidates, size = _segments(by_time, (points[:, None] + shifts).ravel(), reach)
    for pattern in patterns:
        alike = np.einsum("ct,t->c", candidates, pattern.conj()).real / size
        likeness = np.maximum(likeness, alike.reshape(points.size, -1).max(axis=1))
    return likeness if likeness.any() else likeness + 1


def _patterns(beats: NDArray[np.complex64]) -> list[NDArray[np.complex64]]:
    """At most two mean beats of unit length from (beat, time × lead) of unit length: the commonest, and the next."""
    patterns: list[NDArray[np.complex64]] = []
    # einsum, not @: threads of BLAS cost more than they give on arrays of this size.
    product = np.einsum("at,bt->ab", beats, beats.conj())
    alike = np.abs(product)
    alike[alike < PATTERN_LIKENESS] = 0
    for _ in range(2):
        centre = int(alike.sum(axis=1).argmax())
        members = np.flatnonzero(alike[centre])
        if members.size < max(MIN_BEATS, MIN_SHARE * len(beats)):
            break
        # Members may sit a few points apart: turn each to the phase of the centre before the mean.
        turn = product[members, centre]
        pattern = ((turn / np.abs(turn)).conj()[:, None] * beats[members]).mean(axis=0)
        offset = np.einsum("at,t->a", beats[members], pattern.conj()).mean()
        patterns.append(pattern * (offset / max(abs(offset) * float(np.linalg.norm(pattern)), 1e-20)))
        alike[members] = 0
        alike[:, members] = 0
    return patterns


def _segments(
    by_time: NDArray[np.complex64], points: NDArray[np.intp], reach: int
) -> tuple[NDArray[np.complex64], NDArray[np.float32]]:
    """(candidate, time × lead) around points of (point, lead), and their lengths as vectors (candidate,)."""
    window = points[:, None] + np.arange(-reach, reach + 1)
    parts = by_time.take(window, axis=0, mode="clip").reshape(points.size, -1)
    flat = parts.view(np.float32)
    return parts, np.sqrt(np.maximum(np.einsum("ct,ct->c", flat, flat), np.float32(1e-20)))


def _chain(
    seconds: NDArray[np.float64],
    height: NDArray[np.float64],
    likeness: NDArray[np.float32],
    calm: NDArray[np.float64],
    sure_seconds: NDArray[np.float64],
) -> list[int]:
    """Indices of the candidates that make the best chain.

    Dynamic programming: a chain's worth is the sum of its candidates' scores, less what unusual RR intervals cost.
    In calm stretches height alone decides; in noise a beat must look like the others and come in time.
    """
    trust = TRUST_NOISY + (TRUST_CALM - TRUST_NOISY) * calm
    score = np.minimum(height, MAX_HEIGHT) * (trust + (1 - trust) * likeness) - BEAT_SCORE
    short_cost = SHORT_COST_NOISY + (SHORT_COST_CALM - SHORT_COST_NOISY) * calm
    usual = _usual_rr(seconds, sure_seconds).tolist()
    t, h, s, cost = (values.tolist() for values in (seconds, height, score, short_cost))
    worth, before, leader = [0.0] * len(t), [-1] * len(t), list[int]()
    for j in range(len(t)):
        best, link = 0.0, -1
        horizon = max(1.0, FAR_RR * usual[j])
        for i in range(j - 1, -1, -1):
            apart = t[j] - t[i]
            if _excluded(apart, h[i], h[j]):
                continue
            value = worth[i] - _rr_cost(apart / usual[j], cost[j])
            if value > best:
                best, link = value, i
            if apart > horizon:
                # Longer gaps all cost the same, so that only the best of the earlier chains matters.
                value = worth[leader[i]] - _rr_cost(apart / usual[j], cost[j])
                if value > best:
                    best, link = value, leader[i]
                break
        worth[j], before[j] = best + s[j], link
        leader.append(j if not leader or worth[j] > worth[leader[-1]] else leader[-1])
    chain: list[int] = []
    j = int(np.argmax(worth)) if worth and max(worth) > 0 else -1
    while j >= 0:
        chain.append(j)
        j = before[j]
    return chain[::-1]


def _excluded(apart: float, earlier: float, later: float) -> bool:
    """Whether two candidates, ``apart`` seconds, of these heights cannot both be beats that follow each other."""
    return (
        apart < REFRACTORY_SECONDS
        or (apart < AFTER_SECONDS and later < AFTER_SHARE * earlier)
        or (apart < BEFORE_SECONDS and earlier < BEFORE_SHARE * later)
    )


def _rr_cost(ratio: float, short_cost: float) -> float:
    """What an RR interval costs by its ratio to the usual; nothing where that is unknown (NaN)."""
    if ratio > LONG_RR:
        return LONG_COST * (min(ratio, FAR_RR) - LONG_RR)
    return short_cost * (SHORT_RR - ratio) / SHORT_RR if ratio < SHORT_RR else 0.0


def _usual_rr(seconds: NDArray[np.float64], sure_seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """(candidate,) running median RR, s; NaN where too few beats are sure."""
    if sure_seconds.size < MIN_BEATS:
        return np.full(seconds.size, np.nan)
    rr = np.diff(sure_seconds)
    reach = min(NEIGHBOURS, rr.size - 1)
    padded = np.concatenate([rr[reach:0:-1], rr, rr[-2 : -reach - 2 : -1]])
    running = middle(np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1))
    return np.interp(seconds, sure_seconds[1:], running)
