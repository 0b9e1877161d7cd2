"""Filters, scaling and resampling of ECGs: pure functions over (..., lead, time), float64 inside.

The result of a record is the same whatever batch it is in, and the input is left untouched.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import PreparationError
from cardioloom.prepare import design
from cardioloom.prepare.median import compiled, rolling_median

LANES = 16  # leads that the compiled recursion advances side by side in vector registers
MAX_DENOMINATOR = 1000  # of the ratio of two sampling rates
Coefficients = tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]


def notch(signal: NDArray[np.floating], fs: float, *, hz: float = 50.0, q: float = 30.0) -> NDArray[np.float64]:
    """Remove the mains frequency: second-order notch, forward and backward (``scipy.signal.iirnotch``, ``filtfilt``).

    Args:
        signal: (..., time), finite, more than 9 samples.
        fs: sampling rate, Hz.
        hz: frequency to remove.
        q: quality factor: frequency over the width at −3 dB.

    Returns:
        (..., time) float64, in the unit of the signal.

    Raises:
        PreparationError: if the signal is too short or not finite, or the frequency does not lie below ``fs / 2``.
    """
    _check_band("notch", fs, hz, hz)
    return _filtfilt("notch", signal, _notch_coefficients(float(fs), float(hz), float(q)))


def bandpass(
    signal: NDArray[np.floating], fs: float, *, low: float = 0.67, high: float = 40.0, order: int = 4
) -> NDArray[np.float64]:
    """Butterworth band-pass, forward and backward (``scipy.signal.butter``, ``filtfilt`` with its usual padding).

    Args:
        signal: (..., time), finite, more than ``6 * order + 3`` samples.
        fs: sampling rate, Hz.
        low, high: band edges, Hz (−3 dB each way, so −6 dB in all).
        order: of the low-pass prototype; the band-pass has twice as many poles.

    Returns:
        (..., time) float64, in the unit of the signal.

    Raises:
        PreparationError: if the signal is too short or not finite, or the band does not lie within 0 and ``fs / 2``.
    """
    _check_band("band-pass", fs, low, high)
    return _filtfilt("band-pass", signal, _bandpass_coefficients(float(fs), float(low), float(high), int(order)))


def median_baseline(signal: NDArray[np.floating], fs: float, *, seconds: float = 0.4) -> NDArray[np.float64]:
    """The signal minus its rolling median.

    Args:
        signal: (..., time), finite; the median sees zeros beyond both ends (``scipy.signal.medfilt``).
        fs: sampling rate, Hz.
        seconds: length of the median; ``int(seconds * fs) + 1`` samples, one more if that is even.

    Returns:
        (..., time) float64, in the unit of the signal.

    Raises:
        PreparationError: if the signal is not finite.
    """
    kernel = int(seconds * fs) + 1
    kernel += 1 - kernel % 2
    baseline = rolling_median(signal, kernel)
    return np.subtract(signal, baseline, out=baseline)


def zscore_record(signal: NDArray[np.floating], *, epsilon: float = 1e-8) -> NDArray[np.float64]:
    """Subtract the mean of all leads of a record together, divide by their standard deviation.

    Args:
        signal: (..., lead, time).
        epsilon: added to the (population) standard deviation, in the unit of the signal.

    Returns:
        (..., lead, time) float64, no unit; a constant record becomes zeros.
    """
    signal = np.asarray(signal, np.float64)
    out = np.empty(signal.shape)
    records = signal.reshape(-1, signal.shape[-2] * signal.shape[-1])
    for record, scaled in zip(records, out.reshape(records.shape), strict=True):
        # One record at a time: numpy's order of summation, and so the last bit, then never depends on the batch.
        np.subtract(record, record.mean(), out=scaled)
        scaled /= np.sqrt(np.mean(scaled * scaled)) + epsilon
    return out


def resample_polyphase(signal: NDArray[np.floating], fs_in: float, fs_out: float) -> NDArray[np.float64]:
    """Another sampling rate by polyphase filtering with anti-aliasing (``scipy.signal.resample_poly``).

    The low-pass is scipy's (Kaiser window, β = 5); beyond both ends the line through the first and last sample
    continues, so that an offset does not ring there.

    Args:
        signal: (..., time), finite.
        fs_in, fs_out: rates, Hz; their ratio is taken as the nearest fraction with a denominator up to 1000.

    Returns:
        (..., ceil(time * fs_out / fs_in)) float64, in the unit of the signal.

    Raises:
        PreparationError: if a rate is not positive or no such fraction is near.
    """
    from scipy.signal import resample_poly

    signal = np.asarray(signal, np.float64)
    ratio = rate_ratio(fs_in, fs_out)
    if ratio == 1:
        return signal.copy()
    return resample_poly(signal, ratio.numerator, ratio.denominator, axis=-1, padtype="line")


def rate_ratio(fs_in: float, fs_out: float) -> Fraction:
    """The ratio ``fs_out / fs_in`` by which `resample_polyphase` resamples.

    Raises:
        PreparationError: if a rate is not positive, or no fraction of small whole numbers is near the ratio.
    """
    if not (np.isfinite(fs_in) and np.isfinite(fs_out) and fs_in > 0 and fs_out > 0):
        raise PreparationError(f"sampling rates must be positive numbers of Hz, got {fs_in} and {fs_out}")
    ratio = (Fraction(fs_out) / Fraction(fs_in)).limit_denominator(MAX_DENOMINATOR)
    if abs(float(ratio) * fs_in / fs_out - 1) > 1e-4:
        raise PreparationError(f"{fs_in} Hz cannot be resampled to {fs_out} Hz: resample it before to a rate between")
    return ratio


def resample_official(signal: NDArray[np.floating], fs_in: float, length: int = 5000) -> NDArray[np.float64]:
    """ECGFounder's own ``resample_unequal``, for parity only: any duration is stretched to ``length`` samples.

    Linear interpolation between grids that include both end points, without anti-aliasing. The official code compares
    the length with the input's *rate*: equal, the signal stays as it is; at twice the length (10 000 Hz), every second
    sample is taken whatever the duration.

    Args:
        signal: (..., time).
        fs_in: sampling rate of the input, Hz; used in the two comparisons only.
        length: number of samples of the result (the official ``fs_out``).

    Returns:
        (..., length) float64, except in the two cases above.
    """
    signal = np.asarray(signal, np.float64)
    if int(fs_in) == length:
        return signal.copy()
    if int(fs_in) == 2 * length:
        return signal[..., ::2].copy()
    old, new = np.linspace(0, 1, signal.shape[-1]), np.linspace(0, 1, length)
    rows = signal.reshape(-1, signal.shape[-1])
    return np.stack([np.interp(new, old, row) for row in rows]).reshape(*signal.shape[:-1], length)


def _check_band(name: str, fs: float, low: float, high: float) -> None:
    if not 0 < low <= high < fs / 2:
        raise PreparationError(
            f"a {name} at {low:g}–{high:g} Hz needs a rate above {2 * high:g} Hz, got {fs:g} Hz: resample it first"
        )


@lru_cache
def _notch_coefficients(fs: float, hz: float, q: float) -> Coefficients:
    return _with_start(*design.notch(fs, hz, q))


@lru_cache
def _bandpass_coefficients(fs: float, low: float, high: float, order: int) -> Coefficients:
    return _with_start(*design.butterworth_bandpass(fs, low, high, order))


def _with_start(b: NDArray[np.float64], a: NDArray[np.float64]) -> Coefficients:
    """(b, a, state in which a constant input of 1 has settled); tuples, so that numba knows their length.

    The settled state is solved for with LAPACK, whose rounding differs between processors: in the 0.67–40 Hz
    band-pass by 1e-4 of the state, 1e-6 mV of the result. Equality with scipy holds on the same machine only.
    """
    b, a = b / a[0], a / a[0]
    return tuple(b.tolist()), tuple(a.tolist()), tuple(design.settled(b, a).tolist())


def _filtfilt(name: str, signal: NDArray[np.floating], coefficients: Coefficients) -> NDArray[np.float64]:
    """Forward–backward filtering along time; equal to ``scipy.signal.filtfilt`` of each lead."""
    out = np.array(signal, np.float64, order="C")
    edge = 3 * len(coefficients[0])
    if out.shape[-1] <= edge:
        raise PreparationError(f"a {name} needs more than {edge} samples, got {out.shape[-1]}: pad or leave it out")
    if not np.isfinite(out).all():
        raise PreparationError(f"a {name} needs finite samples, got NaN or infinite ones: replace them first")
    compiled(filtfilt_rows)(out.reshape(-1, out.shape[-1]), *coefficients, edge)
    return out


def filtfilt_rows(
    rows: NDArray[np.float64], b: tuple[float, ...], a: tuple[float, ...], settled: tuple[float, ...], edge: int
) -> None:
    """Filter each row (row, time) forward and backward in place. Compiled.

    Direct form II transposed with the additions in scipy's order, so the results are equal to the last bit; odd
    extension by ``edge`` samples. Up to `LANES` rows advance together, which is where the speed comes from.
    """
    n_rows, n_samples = rows.shape
    extended = np.zeros((n_samples + 2 * edge, LANES))
    state = np.zeros((len(b), LANES))  # the last row stays 0
    for start in range(0, n_rows, LANES):
        lanes = min(LANES, n_rows - start)
        for i in range(n_samples):
            for lane in range(lanes):
                extended[edge + i, lane] = rows[start + lane, i]
        first, last = edge, edge + n_samples - 1
        for i in range(1, edge + 1):
            for lane in range(LANES):
                extended[first - i, lane] = 2 * extended[first, lane] - extended[first + i, lane]
                extended[last + i, lane] = 2 * extended[last, lane] - extended[last - i, lane]
        for direction in (1, -1):
            at = 0 if direction == 1 else len(extended) - 1
            for k in range(len(b) - 1):
                for lane in range(LANES):
                    state[k, lane] = settled[k] * extended[at, lane]
            for _ in range(len(extended)):
                for lane in range(LANES):
                    x = extended[at, lane]
                    y = state[0, lane] + b[0] * x
                    for k in range(len(b) - 1):
                        state[k, lane] = state[k + 1, lane] + x * b[k + 1] - y * a[k + 1]
                    extended[at, lane] = y
                at += direction
        for i in range(n_samples):
            for lane in range(lanes):
                rows[start + lane, i] = extended[edge + i, lane]
