"""Smoothed signals and their slopes, the raw material of the delineation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cardioloom.prepare.beats_envelope import good_length

PAD_SECONDS = 1.0
LEAST_PAD = 32  # samples


def smooth_and_slope(
    rows: NDArray[np.floating], fs: float, cutoff_hz: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A Gaussian low-pass without phase shift, and its derivative.

    Args:
        rows: (lead, time), finite.
        fs: sampling rate, Hz.
        cutoff_hz: where the gain is 1/√2.

    Returns:
        (lead, time) smoothed, and (lead, time) slope per second. Ends are continued point-symmetrically.
    """
    spectrum, pad, length, hz = _spectrum(rows, fs, cutoff_hz)
    smooth = np.fft.irfft(spectrum, length, axis=1)[:, pad : pad + rows.shape[1]]
    slope = np.fft.irfft(spectrum * (2j * np.pi * hz), length, axis=1)[:, pad : pad + rows.shape[1]]
    return smooth, slope


def smoothed(rows: NDArray[np.floating], fs: float, cutoff_hz: float) -> NDArray[np.float64]:
    """The first part of `smooth_and_slope`."""
    spectrum, pad, length, _ = _spectrum(rows, fs, cutoff_hz)
    return np.fft.irfft(spectrum, length, axis=1)[:, pad : pad + rows.shape[1]]


def finer(rows: NDArray[np.float64], times: int) -> NDArray[np.float64]:
    """(lead, times · time) the band-limited signal between its samples; sample k of the rows is sample times · k."""
    if times == 1:
        return rows
    spectrum, pad, length, _ = _spectrum(rows, 1.0, np.inf)
    spectrum[:, -1] /= 2  # the highest frequency of an even length becomes two
    between = np.fft.irfft(spectrum, length * times, axis=1) * times
    return between[:, pad * times : (pad + rows.shape[1]) * times]


def _spectrum(
    rows: NDArray[np.floating], fs: float, cutoff_hz: float
) -> tuple[NDArray[np.complexfloating], int, int, NDArray[np.floating]]:
    """Transform of the smoothed rows, samples of padding before them, the transform's length, and frequencies, Hz."""
    pad = min(rows.shape[1] - 1, max(LEAST_PAD, round(PAD_SECONDS * fs)))
    left = 2 * rows[:, :1] - rows[:, pad:0:-1]
    right = 2 * rows[:, -1:] - rows[:, -2 : -pad - 2 : -1]
    padded = np.concatenate([left, rows, right], axis=1)
    length = good_length(padded.shape[1])
    hz = np.fft.rfftfreq(length, 1 / fs)
    return np.fft.rfft(padded, length, axis=1) * np.exp(-0.5 * np.log(2) * (hz / cutoff_hz) ** 2), pad, length, hz
