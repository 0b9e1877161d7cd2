"""R peaks from all usable leads together.

Envelope of the QRS band per lead → mean over leads by their quality → the best chain of beats → place on the leads.
Every step is relative to the lead's own level, so that amplitudes in any unit give the same beats.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import PreparationError
from cardioloom.prepare.beats_chain import LEVEL_QUANTILE, LEVEL_SECONDS, find_beats
from cardioloom.prepare.beats_envelope import (
    Grid,
    analytic_band,
    filled,
    middle,
    smoothed,
    window_starts,
    without_spikes,
)

MIN_FS_HZ, MIN_SECONDS = 50.0, 1.0
MIN_RECORDED_SECONDS = 0.5
MAX_SHARE_AT_RAIL, MAX_SHARE_STILL = 0.8, 0.97
BURST, ROUNDING = 0.05, 1e-6  # a level below these shares of the lead's highest value: one burst, nothing else
MAX_PEAKINESS = 30.0  # a lead with silence between its beats is not better than a very clean one
NOISE_PEAKINESS, LEAST_WEIGHT = 2.0, 0.05  # level over median of an envelope of Gaussian noise: about 2
PLACE_SECONDS = 0.1  # the R peak lies this near to the envelope's maximum,
EARLY_SECONDS, SPREAD_SECONDS = 0.03, 0.05  # rather before it than after it: S waves and wide QRS follow R
TREND_SECONDS = 0.03  # deflections are measured from the mean of this much to both sides
BLOCK_SECONDS, OVERLAP_SECONDS = 600.0, 10.0
BATCH_VALUES = 1 << 20  # samples that are transformed at once: stays in the cache


def r_peaks(signal: NDArray[np.floating], fs: float) -> NDArray[np.int64]:
    """Sample index of the R peak of each beat, found on all usable leads together.

    The R peak is where the QRS deflects furthest from its surroundings over leads. Noise is not refused: a record
    without any beat gives what resembles beats most, so ask for quality elsewhere.

    Args:
        signal: (lead, time) in any unit, NaN = not recorded.
        fs: sampling rate, Hz, at least 50.

    Returns:
        (beat,) ascending sample indices; empty where no lead is usable.

    Raises:
        PreparationError: if the shape is not (lead, time), the rate is below 50 Hz or the signal shorter than 1 s.
    """
    signal = np.asarray(signal)
    if signal.ndim != 2:
        raise PreparationError(f"a signal must have the shape (lead, time), got {signal.shape}: reshape it")
    return r_peaks_batch(signal[None], fs)[0]


def r_peaks_batch(signals: NDArray[np.floating], fs: float) -> list[NDArray[np.int64]]:
    """`r_peaks` of many records of one length and rate: the same indices in fewer passes.

    Args:
        signals: (record, lead, time) in any unit, NaN = not recorded.
        fs: sampling rate, Hz, at least 50.

    Returns:
        one (beat,) array of ascending sample indices a record.

    Raises:
        PreparationError: if the shape is not (record, lead, time), or as `r_peaks`.
    """
    signals = np.asarray(signals)
    if signals.ndim != 3:
        raise PreparationError(f"signals must have the shape (record, lead, time), got {signals.shape}: reshape them")
    if not (np.isfinite(fs) and fs >= MIN_FS_HZ):
        raise PreparationError(f"R peaks need at least {MIN_FS_HZ:g} Hz, got {fs:g} Hz: record at a higher rate")
    n_records, n_leads, n_samples = signals.shape
    if n_samples < MIN_SECONDS * fs:
        raise PreparationError(
            f"R peaks need at least {MIN_SECONDS:g} s, got {n_samples / fs:g} s: give a longer signal"
        )
    at_once = max(1, BATCH_VALUES // max(1, n_leads * n_samples))
    parts: list[list[NDArray[np.int64]]] = [[] for _ in range(n_records)]
    for start, stop, first, last in _blocks(n_samples, fs):
        for record in range(0, n_records, at_once):
            found = _together(signals[record : record + at_once, :, start:stop], fs)
            for part, peaks in zip(parts[record : record + at_once], found, strict=True):
                peaks = peaks + start
                part.append(peaks[(peaks >= first) & (peaks < last)])
    return [np.concatenate(part) for part in parts]


def usable_leads(signal: NDArray[np.floating], fs: float) -> NDArray[np.bool_]:
    """(…, lead) whether a lead can show beats: half a second recorded, not flat, not stuck.

    Stuck means: 80 % of its samples at its highest or lowest value, or 97 % equal to the sample before.


    Args:
        signal: (…, lead, time) in any unit, NaN = not recorded.
        fs: sampling rate, Hz.
    """
    signal = np.asarray(signal)
    low, high = signal.min(axis=-1, initial=np.inf), signal.max(axis=-1, initial=-np.inf)
    if np.isnan(low).any():
        low, high = np.fmin.reduce(signal, axis=-1, initial=np.inf), np.fmax.reduce(signal, axis=-1, initial=-np.inf)
    n_recorded = np.isfinite(signal).sum(axis=-1)
    at_rail = np.maximum((signal == low[..., None]).sum(axis=-1), (signal == high[..., None]).sum(axis=-1))
    still = (signal[..., 1:] == signal[..., :-1]).sum(axis=-1)
    moves = (high > low) & (at_rail < MAX_SHARE_AT_RAIL * n_recorded) & (still < MAX_SHARE_STILL * n_recorded)
    return moves & (n_recorded >= MIN_RECORDED_SECONDS * fs)


def _blocks(n_samples: int, fs: float) -> Iterator[tuple[int, int, int, int]]:
    """(start, stop) of each block with its overlaps, and (first, last) of what it answers for."""
    length, overlap = round(BLOCK_SECONDS * fs), round(OVERLAP_SECONDS * fs)
    count = max(1, round(n_samples / length))
    bounds = [n_samples * k // count for k in range(count + 1)]
    for first, last in pairwise(bounds):
        yield max(0, first - overlap), min(n_samples, last + overlap), first, last


def _together(signals: NDArray[np.floating], fs: float) -> list[NDArray[np.int64]]:
    """R peaks of (record, lead, time): one pass over all their leads, then record by record."""
    if not np.issubdtype(signals.dtype, np.floating):
        signals = signals.astype(np.float64)
    recorded = np.isfinite(signals)
    if not recorded.all():
        signals = np.where(recorded, signals, np.nan)
    usable = usable_leads(signals, fs)
    if not usable.any():
        return [np.empty(0, np.int64)] * len(signals)
    rows_recorded = recorded[usable]
    rows = without_spikes(filled(signals[usable], rows_recorded), fs)
    band, grid = analytic_band(rows, fs)
    known = _known(rows_recorded, grid)
    envelopes = smoothed(np.sqrt(band.real**2 + band.imag**2), grid.fs)
    envelopes = envelopes if known.all() else envelopes * known
    ends = np.cumsum(usable.sum(axis=1)).tolist()
    return [
        _one_record(rows[a:b], rows_recorded[a:b], band[a:b], envelopes[a:b], known[a:b], grid, fs)
        for a, b in zip([0, *ends[:-1]], ends, strict=True)
    ]


def _known(recorded: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
    """(row, point) whether the sample at a grid point, or one beside it, was recorded (row, time).

    The neighbours count so that scattered losses do not blind a lead.
    """
    if recorded.all():
        return np.ones((len(recorded), grid.n_points), np.bool_)
    near = grid.samples(np.arange(grid.n_points))[:, None] + np.arange(-1, 2)
    return np.logical_or.reduce(recorded.take(near, axis=1, mode="clip"), axis=2)


def _one_record(
    rows: NDArray[np.float32],
    recorded: NDArray[np.bool_],
    band: NDArray[np.complex64],
    envelopes: NDArray[np.float32],
    known: NDArray[np.bool_],
    grid: Grid,
    fs: float,
) -> NDArray[np.int64]:
    """R peaks of the usable leads (lead, time) of one record; ``band``, ``envelopes``, ``known`` are (lead, point)."""
    if not len(rows):
        return np.empty(0, np.int64)
    level, alive = _lead_level(envelopes, known, grid.fs)
    if not alive.all():
        rows, recorded, band = rows[alive], recorded[alive], band[alive]
        envelopes, known = envelopes[alive], known[alive]
    weight, combined = _combined(envelopes / level[:, None].astype(np.float32), known)
    scale = (np.sqrt(weight) / level).astype(np.float32)[:, None]
    beats = find_beats(combined, band * (scale if known.all() else scale * known), grid.fs)
    return _placed(rows * scale, recorded, grid.samples(beats), fs)


def _lead_level(
    envelopes: NDArray[np.float32], known: NDArray[np.bool_], fs: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The envelope's usual height at a beat, an upper quantile of the windows' maxima; and which leads have one.

    A lead that is silent but for one burst is left out (lead,); the levels are of the others (lead alive,).
    """
    starts = window_starts(envelopes.shape[1], round(LEVEL_SECONDS * fs))
    maxima = np.sort(np.maximum.reduceat(envelopes, starts, axis=1), axis=1).astype(np.float64)
    # Windows without any recorded sample have a maximum of 0 and sort first: the quantile is of the others.
    n_empty = starts.size - np.logical_or.reduceat(known, starts, axis=1).sum(axis=1)
    rank = n_empty + np.ceil(LEVEL_QUANTILE * (starts.size - 1 - n_empty)).astype(np.int64)
    level = maxima[np.arange(len(maxima)), np.minimum(rank, starts.size - 1)]
    for share in (BURST, ROUNDING):
        if (alive := level > share * maxima[:, -1]).any():
            return level[alive], alive
    return np.maximum(maxima[:, -1], 1e-12), np.ones(len(maxima), np.bool_)


def _combined(
    relative: NDArray[np.float32], known: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Weights (lead,) and weighted mean (point,) of envelopes (lead, point) in units of their level."""
    # Bursts far above the level count by their logarithm, so that one lead's artefact cannot outvote the others.
    height = np.minimum(relative, 1) + np.log(np.maximum(relative, 1))
    if known.all():
        usual = middle(relative[:, ::2])
    else:
        usual = np.array([middle(row[k]) if k.any() else 1.0 for row, k in zip(relative, known, strict=True)])
    peakiness = 1 / np.maximum(usual.astype(np.float64), 1 / MAX_PEAKINESS)
    weight = np.maximum(peakiness - NOISE_PEAKINESS, LEAST_WEIGHT)
    mean = _weighted_mean(height, weight, known)
    if len(height) > 2:
        centred, target = height - height.mean(axis=1, keepdims=True), mean - mean.mean()
        # einsum, not @: threads of BLAS cost more than they give on arrays of this size.
        size = np.sqrt(np.einsum("lt,lt->l", centred, centred) * np.einsum("t,t->", target, target))
        agreement = np.einsum("lt,t->l", centred, target) / np.maximum(size, 1e-12)
        weight = weight * np.maximum(agreement, LEAST_WEIGHT) ** 2
        mean = _weighted_mean(height, weight, known)
    return weight, mean


def _weighted_mean(
    height: NDArray[np.float32], weight: NDArray[np.float64], known: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """(point,) mean over the leads recorded there; 0 where none is."""
    single = weight.astype(np.float32)
    total = single.sum() if known.all() else np.einsum("l,lt->t", single, known)
    return np.einsum("l,lt->t", single, height) / np.maximum(total, np.float32(1e-12))


def _placed(
    rows: NDArray[np.float32], recorded: NDArray[np.bool_], near: NDArray[np.int64], fs: float
) -> NDArray[np.int64]:
    """Samples near the given ones where leads (lead, time) deflect furthest from their running mean, all together."""
    if not near.size:
        return near
    reach, trend = round(PLACE_SECONDS * fs), max(1, round(TREND_SECONDS * fs))
    window = near[:, None] + np.arange(-reach - trend - 1, reach + trend + 1)  # (beat, time)
    around = rows.take(window, axis=1, mode="clip")  # (lead, beat, time)
    total = np.cumsum(around, axis=2)
    mean = (total[:, :, 2 * trend + 1 :] - total[:, :, : -2 * trend - 1]) / (2 * trend + 1)
    energy = around[:, :, trend + 1 : -trend] - mean
    sample = window[:, trend + 1 : -trend]
    if not recorded.all():
        energy[~recorded.take(sample, axis=1, mode="clip")] = 0
    energy = np.einsum("lbt,lbt->bt", energy, energy)
    energy[(sample < 0) | (sample >= rows.shape[1])] = 0
    away = (np.arange(-reach, reach + 1) / fs + EARLY_SECONDS) / SPREAD_SECONDS
    best = (energy * np.exp(-0.5 * away**2)).argmax(axis=1)
    beats = np.arange(near.size)
    return np.unique(sample[beats, best][energy[beats, best] > 0])
