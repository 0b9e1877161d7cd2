"""Mains hum: a narrow line at 50 or 60 Hz that stands out of its neighbourhood."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cardioloom.measure.windows import SD_OF_MAD, moving_mean

LINES_HZ = (50.0, 60.0)
HALF_WIDTH_HZ = 0.4  # mains frequency and the recorder's clock are that exact
AROUND_HZ = (1.5, 6.0)  # the neighbourhood on both sides that the line must exceed
LEAST_MV = 0.02  # amplitude; less disappears in the width of a trace
LEAST_RATIO = 6.0  # against the neighbourhood's amplitude density
FAST_S = 0.02  # what is slower is no hum; a whole period at 50 Hz
# Spikes of a pacemaker come as regularly as hum, and their harmonics may lie on its line: what stands this many SD out
# of the fast part of a lead is cut down to it. Hum alone stands out by 1.5.
CUT_SD = 4.0


def mains_hum(signal: NDArray[np.floating], fs: float) -> list[tuple[float, float] | None]:
    """The stronger line of each lead as (Hz, amplitude in mV), or None where none stands out.

    Args:
        signal: (lead, time) mV, NaN = not recorded (taken as 0).
        fs: sampling rate, Hz.
    """
    n_samples = signal.shape[1]
    if n_samples < 2 * fs:
        return [None] * len(signal)
    rows, gain = _without_spikes(np.nan_to_num(signal.astype(np.float64)), fs)
    window = np.hanning(n_samples)
    # Scaled so that a sine of amplitude A has a peak of A.
    amplitude = np.abs(np.fft.rfft(rows * window, axis=1)) * 2 / window.sum()
    hz = np.fft.rfftfreq(n_samples, 1 / fs)
    found: list[tuple[float, float] | None] = [None] * len(signal)
    for line in LINES_HZ:
        distance = np.abs(hz - line)
        if line + AROUND_HZ[1] > fs / 2:
            continue
        peak = amplitude[:, distance <= HALF_WIDTH_HZ].max(axis=1) / gain(line)
        around = np.median(amplitude[:, (distance >= AROUND_HZ[0]) & (distance <= AROUND_HZ[1])], axis=1) / gain(line)
        for lead in np.flatnonzero((peak >= LEAST_MV) & (peak >= LEAST_RATIO * around)):
            before = found[lead]
            if before is None or before[1] < peak[lead]:
                found[lead] = (line, float(peak[lead]))
    return found


def _without_spikes(rows: NDArray[np.float64], fs: float) -> tuple[NDArray[np.float64], Callable[[float], float]]:
    """(lead, time) the fast part without what stands out of it, and its gain at a frequency in Hz."""
    width = max(2, round(FAST_S * fs))
    fast = rows - moving_mean(rows, width)
    limit = CUT_SD * SD_OF_MAD * np.median(np.abs(fast), axis=1, keepdims=True)

    def gain(hz: float) -> float:
        turn = np.pi * hz / fs
        return float(abs(1 - np.sin(width * turn) / (width * np.sin(turn))))

    return np.clip(fast, -limit, limit), gain
