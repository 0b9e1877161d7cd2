"""What can be seen of each lead in windows of 2.5 s: the raw material of signal quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

WINDOW_S = 2.5
SPAN_WINDOWS = 4  # the baseline's wander is that of 10 s, the length of a resting ECG
CELLS = 25  # a window has as many cells of 0.1 s, in which stillness is looked for
STILL_CELLS = 10
STILL_MV = 0.005  # less than the 5 µV that IEC 60601-2-25 lets a recorder ignore
# Amplitudes are robust: from the 0.2nd to the 99.8th percentile, so that one spike does not hide a flat lead.
PERCENTILES = (0.002, 0.998)
JUDGED_S = 0.25  # a window with less recording than this says nothing
UPPER_QUARTILE = 0.75
WANDER_WINDOW_S = 1.2  # longer than one beat at 60 bpm, so that QRS and T average out
NOISE_WINDOW_S = 0.02
CLIPPED_RUN_S = 0.008  # a run at the very same extreme value is as long as this
SD_OF_MAD = 1.4826  # SD of a normal distribution over its median absolute deviation


@dataclass(frozen=True, eq=False)
class Windows:
    """Each lead (row) in each window (column), (lead, window).

    Args:
        recorded_s: recorded time, s.
        still_s: time in which the lead moves by less than 5 µV for a second, s.
        clipped_s: time in runs at the very extreme value, s.
        amplitude_mv: 0.2nd to 99.8th percentile without the slow baseline, mV; 0 where nothing is recorded.
        noise_mv: SD of the noise faster than about 20 ms, mV.
        wander_mv: movement of the slow baseline, peak to peak over the 10 s the window lies in, mV.
        begin_s, end_s: (window,) s of the recording.
        quiet_s: (window,) time in cells of 0.1 s in which every lead moves by less than 5 µV, s.
        still_stretches_s: (2, stretch) begin and end of the times in which every lead is still, s of the recording.
    """

    recorded_s: NDArray[np.float64]
    still_s: NDArray[np.float32]
    clipped_s: NDArray[np.float32]
    amplitude_mv: NDArray[np.float32]
    noise_mv: NDArray[np.float32]
    wander_mv: NDArray[np.float32]
    begin_s: NDArray[np.float64]
    end_s: NDArray[np.float64]
    quiet_s: NDArray[np.float64]
    still_stretches_s: NDArray[np.float64]

    @cached_property
    def judged(self) -> NDArray[np.bool_]:
        """(lead, window) where enough is recorded to say something."""
        return self.recorded_s >= np.minimum(JUDGED_S, self.end_s - self.begin_s)

    @cached_property
    def moves(self) -> NDArray[np.bool_]:
        """(lead, window) judged, and not flat."""
        return self.judged & (self.amplitude_mv >= STILL_MV)

    @cached_property
    def usual_amplitude_mv(self) -> NDArray[np.float64]:
        """(lead,) an upper quartile over windows, since those in a pause show no QRS; 0 where nothing is recorded."""
        usual = self.amplitude_mv.max(axis=1).astype(np.float64)
        for row, moves in enumerate(self.moves):
            if moves.any():
                ascending = np.sort(self.amplitude_mv[row, moves])
                usual[row] = ascending[int(UPPER_QUARTILE * (len(ascending) - 1))]
        return usual


def windows(signal: NDArray[np.float32], fs: float, begin_s: float = 0.0) -> Windows:
    """Look at each lead window by window.

    Args:
        signal: (lead, time) mV, NaN = not recorded.
        fs: sampling rate, Hz.
        begin_s: time of the first sample, s of the recording.
    """
    bridged, recorded = bridged_gaps(signal)
    width = max(3, 2 * round(NOISE_WINDOW_S / 2 * fs) + 1)
    slow, fast = moving_means(bridged, max(1, round(WANDER_WINDOW_S * fs)), width)
    fast = np.subtract(bridged, fast, out=fast)
    fast /= np.sqrt(1 - 1 / width)  # the mean holds this share of white noise
    n_recorded = folded(recorded, fs).sum(axis=2)
    moved, quick, base = (_without_gaps(rows, recorded, fs) for rows in (bridged - slow, fast, slow))
    moved.sort(axis=2)
    amplitude = _ranked(moved, n_recorded, PERCENTILES[1]) - _ranked(moved, n_recorded, PERCENTILES[0])
    first = np.arange(n_recorded.shape[1]) * window_samples(fs)
    still, together, quiet = still_cells(signal, fs)
    cell = window_samples(fs) // CELLS
    still_samples = still.repeat(cell, axis=1)[:, : signal.shape[1]] & recorded
    return Windows(
        recorded_s=n_recorded / fs,
        still_s=(folded(still_samples, fs).sum(axis=2) / fs).astype(np.float32),
        clipped_s=_clipped_seconds(signal, fs),
        amplitude_mv=np.nan_to_num(amplitude),
        noise_mv=_noise(quick, n_recorded),
        wander_mv=_wander(base),
        begin_s=first / fs + begin_s,
        end_s=np.minimum(first + window_samples(fs), signal.shape[1]) / fs + begin_s,
        quiet_s=np.add.reduceat(quiet, first // cell) * cell / fs,
        still_stretches_s=np.minimum(runs(together) * cell, signal.shape[1]).T / fs + begin_s,
    )


def joined(parts: Sequence[Windows]) -> Windows:
    """The windows of successive parts of a recording as one."""
    return Windows(*(np.concatenate([getattr(part, f.name) for part in parts], axis=-1) for f in fields(Windows)))


def window_samples(fs: float) -> int:
    """Length of a window in samples."""
    return CELLS * max(1, round(WINDOW_S / CELLS * fs))


def folded(rows: NDArray, fs: float) -> NDArray:
    """(row, time) → (row, window, time in the window); the end is filled with NaN, or with False."""
    width = window_samples(fs)
    n_windows = -(-rows.shape[1] // width)
    fill = np.nan if np.issubdtype(rows.dtype, np.floating) else 0
    padded = np.full((len(rows), n_windows * width), fill, rows.dtype)
    padded[:, : rows.shape[1]] = rows
    return padded.reshape(len(rows), n_windows, width)


def runs(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(run, 2) first index and one past the last of each run of True."""
    return np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]]))).reshape(-1, 2)


def still_cells(
    signal: NDArray[np.float32], fs: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Which cells of 0.1 s move by less than 5 µV.

    Args:
        signal: (lead, time) mV, NaN = not recorded.
        fs: sampling rate, Hz.

    Returns:
        (lead, cell): the lead is still for a second round it; (cell,): all leads are, unrecorded ones not counted;
        (cell,): all leads are in this cell alone.
    """
    cells = folded(signal, fs).reshape(len(signal), -1, window_samples(fs) // CELLS)
    n_cells = -(-signal.shape[1] // cells.shape[2])
    low, high = np.fmin.reduce(cells[:, :n_cells], axis=2), np.fmax.reduce(cells[:, :n_cells], axis=2)
    quiet = ~(high - low >= STILL_MV).any(axis=0) & ~np.isnan(high).all(axis=0)
    width = min(STILL_CELLS, n_cells)
    low = np.fmin.reduce(np.lib.stride_tricks.sliding_window_view(low, width, axis=1), axis=2)
    high = np.fmax.reduce(np.lib.stride_tricks.sliding_window_view(high, width, axis=1), axis=2)
    still, missing = high - low < STILL_MV, np.isnan(high)
    together = (still | missing).all(axis=0) & still.any(axis=0)
    return _covered(still, width), _covered(together[None], width)[0], quiet


def moving_mean(rows: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Mean over ``width`` samples round each one, over fewer at the ends; (…, time)."""
    return moving_means(rows, width)[0]


def moving_means(rows: NDArray[np.float64], *widths: int) -> list[NDArray[np.float64]]:
    """`moving_mean` for each of the widths."""
    n, widest = rows.shape[-1], max(widths)
    # Running totals, repeated at both ends, so that the difference of two slices is the sum over a window.
    first = widest // 2 + 1
    total = np.zeros((*rows.shape[:-1], n + 2 * first))
    np.cumsum(rows, axis=-1, out=total[..., first : first + n])
    total[..., first + n :] = total[..., first + n - 1 : first + n]
    index, means = np.arange(n), []
    for width in widths:
        begin, end = first - 1 - width // 2, first - 1 + (width + 1) // 2
        count = np.minimum(index + (width + 1) // 2, n) - np.maximum(index - width // 2, 0)
        mean = total[..., end : end + n] - total[..., begin : begin + n]
        means.append(np.divide(mean, count, out=mean))
    return means


def bridged_gaps(signal: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(lead, time) with gaps bridged by straight lines, 0 where nothing is recorded; and what was recorded."""
    recorded = np.isfinite(signal)
    bridged = signal.astype(np.float64)
    for row in np.flatnonzero(~recorded.all(axis=1)):
        known = np.flatnonzero(recorded[row])
        bridged[row] = np.interp(np.arange(signal.shape[1]), known, bridged[row, known]) if known.size else 0.0
    return bridged, recorded


def _without_gaps(rows: NDArray[np.float64], recorded: NDArray[np.bool_], fs: float) -> NDArray[np.float32]:
    single = rows.astype(np.float32)
    if not recorded.all():
        single[~recorded] = np.nan
    return folded(single, fs)


def _ranked(ascending: NDArray[np.float32], count: NDArray[np.int64], share: float) -> NDArray[np.float32]:
    """(lead, window) quantile of values sorted along the last axis, NaN last; NaN where the count is 0."""
    rank = np.rint(share * np.maximum(count - 1, 0)).astype(np.int64)
    return np.take_along_axis(ascending, rank[..., None], axis=2)[..., 0]


def _noise(fast: NDArray[np.float32], count: NDArray[np.int64]) -> NDArray[np.float32]:
    """SD from the median absolute deviation, which ignores the QRS: it fills a tenth of the time."""
    fast.sort(axis=2)
    away = np.abs(fast - _ranked(fast, count, 0.5)[..., None])
    away.sort(axis=2)
    return np.nan_to_num(SD_OF_MAD * _ranked(away, count, 0.5))


def _wander(slow: NDArray[np.float32]) -> NDArray[np.float32]:
    starts = np.arange(0, slow.shape[1], SPAN_WINDOWS)
    low = np.fmin.reduceat(np.fmin.reduce(slow, axis=2), starts, axis=1)
    high = np.fmax.reduceat(np.fmax.reduce(slow, axis=2), starts, axis=1)
    return np.nan_to_num(high - low).repeat(SPAN_WINDOWS, axis=1)[:, : slow.shape[1]]


def _covered(starts: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """(row, cell) True in the ``width`` cells from each start."""
    covered = np.zeros((len(starts), starts.shape[1] + width - 1), np.bool_)
    for shift in range(width):
        covered[:, shift : shift + starts.shape[1]] |= starts
    return covered


def _clipped_seconds(signal: NDArray[np.float32], fs: float) -> NDArray[np.float32]:
    """Seconds of runs at a lead's highest or lowest value; 0 where that extreme is near the baseline."""
    run = max(4, round(CLIPPED_RUN_S * fs))
    clipped = np.zeros(signal.shape, np.bool_)
    for extremes in (np.fmin.reduce(signal, axis=1), np.fmax.reduce(signal, axis=1)):
        at_extreme = signal == extremes[:, None]
        for row in np.flatnonzero(at_extreme.sum(axis=1) >= run):
            middle = np.nanmedian(signal[row])
            spread = SD_OF_MAD * np.nanmedian(np.abs(signal[row] - middle))
            if abs(extremes[row] - middle) <= max(5 * spread, STILL_MV):
                continue
            for first, end in runs(at_extreme[row]):
                clipped[row, first:end] |= end - first >= run
    return (folded(clipped, fs).sum(axis=2) / fs).astype(np.float32)
