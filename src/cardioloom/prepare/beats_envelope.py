"""From leads to the energy of their QRS band on a common coarse grid: fill, remove spikes, band-pass, envelope."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

BAND_HZ = (6.0, 22.0)  # where the QRS stands out from P, T, wander and muscle (Thakor 1984: 10–25 Hz; wide QRS lower)
BAND_ORDER = 6  # Butterworth magnitude, each side, zero phase
GRID_HZ = 125.0  # about; the exact rate makes the transform's length a good one
PAD_SECONDS = 0.6
SMOOTH_SECONDS = 0.08
SPIKE_SECONDS = 0.005
SPIKE_SHARE = 0.35  # of the lead's peak-to-peak; a narrow QRS loses less than this within 5 ms
SPIKE_MIN_FS_HZ = 240.0


@dataclass(frozen=True, eq=False)
class Grid:
    """Points every ``step`` samples from sample ``first`` (both may be fractional); ``fs`` of the points, Hz."""

    first: float
    step: float
    fs: float
    n_points: int

    def samples(self, points: NDArray[np.integer]) -> NDArray[np.int64]:
        """The samples nearest to grid points."""
        return np.rint(self.first + points * self.step).astype(np.int64)


def filled(rows: NDArray[np.floating], recorded: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(row, time) centred and scaled to ±1, gaps bridged by straight lines."""
    if not recorded.all():
        rows = np.where(recorded, rows, 0)
        time = np.arange(rows.shape[1])
        for row in np.flatnonzero(~recorded.all(axis=1)):
            known = np.flatnonzero(recorded[row])
            rows[row] = np.interp(time, known, rows[row, known])
    centred = rows - rows.mean(axis=1, keepdims=True, dtype=np.float64).astype(rows.dtype)
    peak = np.maximum(centred.max(axis=1, keepdims=True), -centred.min(axis=1, keepdims=True))
    # Divided in the precision given, so that neither huge offsets nor tiny units are lost in float32.
    return (centred / np.maximum(peak, np.finfo(rows.dtype).tiny)).astype(np.float32, copy=False)


def without_spikes(rows: NDArray[np.float32], fs: float) -> NDArray[np.float32]:
    """(row, time) with pacemaker spikes, a few ms wide and tall, replaced by straight lines."""
    if fs < SPIKE_MIN_FS_HZ:
        return rows
    n_samples = rows.shape[1]
    k = max(1, round(SPIKE_SECONDS * fs))
    count = max(1, n_samples // round(2 * fs))
    windows = rows[:, : n_samples // count * count].reshape(len(rows), count, -1)
    least = SPIKE_SHARE * middle(windows.max(axis=2) - windows.min(axis=2))
    rise = rows[:, k:] - rows[:, :-k]
    suspect = np.flatnonzero((rise.max(axis=1) > least) & (rise.min(axis=1) < -least))
    if not suspect.size:
        return rows
    up, down = rise[suspect, :-k], -rise[suspect, k:]
    limit = least[suspect, None]
    spike = (np.minimum(up, down) > limit) | (np.maximum(up, down) < -limit)
    rows, time = rows.copy(), np.arange(n_samples)
    for row, hit in zip(suspect, spike, strict=True):
        centres = np.flatnonzero(hit) + k
        bad = np.zeros(n_samples, bool)
        bad[np.clip(centres[:, None] + np.arange(-k, k + 1), 0, n_samples - 1)] = True
        good = np.flatnonzero(~bad)
        if good.size:
            rows[row] = np.interp(time, good, rows[row, good])
    return rows


def analytic_band(rows: NDArray[np.float32], fs: float) -> tuple[NDArray[np.complex64], Grid]:
    """(row, point) analytic signal of the QRS band on the coarse grid.

    Band-pass, Hilbert transform and decimation are one pair of FFTs.
    """
    n_samples = rows.shape[1]
    pad = round(PAD_SECONDS * fs)
    n_in, n_out, gain = _plan(n_samples + 2 * pad, fs)
    spectrum = np.fft.rfft(np.pad(rows, ((0, 0), (pad, n_in - n_samples - pad)), mode="reflect"))
    kept = np.zeros((len(rows), n_out), np.complex64)
    kept[:, 1 : gain.size + 1] = spectrum[:, 1 : gain.size + 1] * gain
    step = n_in / n_out
    start, stop = int(np.ceil(pad / step)), int((pad + n_samples - 1) / step) + 1
    band = np.fft.ifft(kept, axis=1)[:, start:stop]
    return band.astype(np.complex64, copy=False), Grid(start * step - pad, step, fs / step, stop - start)


@lru_cache(maxsize=16)
def _plan(n_at_least: int, fs: float) -> tuple[int, int, NDArray[np.float32]]:
    """Lengths of the forward and the inverse transform, and the band's gain from the first harmonic on."""
    n_in = good_length(n_at_least)
    n_out = good_length(int(np.ceil(n_in * GRID_HZ / fs)))
    hz = np.arange(1, min(n_in // 2 + 1, n_out // 2)) * (fs / n_in)
    below, above = (BAND_HZ[0] / hz) ** (2 * BAND_ORDER), (hz / BAND_HZ[1]) ** (2 * BAND_ORDER)
    return n_in, n_out, (((1 + below) * (1 + above)) ** -0.5).astype(np.float32)


def smoothed(rows: NDArray[np.float32], fs: float) -> NDArray[np.float32]:
    """(row, point) convolved with a Hann window of `SMOOTH_SECONDS`, mirrored at the ends."""
    half = round(SMOOTH_SECONDS * fs / 2)
    if half < 1:
        return rows
    taps = np.hanning(2 * half + 3)[1:-1].astype(np.float32)
    taps /= taps.sum()
    n_points = rows.shape[1]
    padded = np.concatenate([rows[:, half:0:-1], rows, rows[:, -2 : -half - 2 : -1]], axis=1)
    out = taps[half] * rows
    for d in range(1, half + 1):
        out += taps[half + d] * (padded[:, half - d : half - d + n_points] + padded[:, half + d : half + d + n_points])
    return out


def middle(x: NDArray[np.floating]) -> NDArray[np.floating]:
    """Upper median along the last axis; a third of the time of `np.median` on short rows."""
    half = x.shape[-1] // 2
    return np.partition(x, half, axis=-1)[..., half]


def window_starts(n: int, width: int) -> NDArray[np.intp]:
    """Starts of the equal windows, each about ``width`` long, that cover ``n`` points; for ``ufunc.reduceat``."""
    count = max(1, n // max(1, width))
    return (np.arange(count) * n) // count


def good_length(n: int) -> int:
    """The least even 5-smooth number ≥ ``n``: fast to transform."""
    best = 1 << max(1, (n - 1).bit_length())
    five = 1
    while five < best:
        odd = five
        while odd < best:
            quotient = -(-n // odd)
            best = min(best, odd << max(1, (quotient - 1).bit_length()))
            odd *= 3
        five *= 5
    return best
