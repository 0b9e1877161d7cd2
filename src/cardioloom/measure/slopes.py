"""Smoothed signals and their slopes, the raw material of the delineation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardioloom.prepare.beats_envelope import good_length

PAD_SECONDS = 1.0
LEAST_PAD = 32  # samples


def smoothed(rows: NDArray[np.floating], fs: float, cutoff_hz: float) -> NDArray[np.float64]:
    """(lead, time) rows after a Gaussian low-pass without phase shift; see `Spectrum`."""
    return Spectrum.of(rows, fs).smoothed(cutoff_hz)


def finer(rows: NDArray[np.float64], times: int) -> NDArray[np.float64]:
    """(lead, times · time) the band-limited signal between its samples; sample k of the rows is sample times · k."""
    if times == 1:
        return rows
    spectrum = Spectrum.of(rows, 1.0)
    values, length = spectrum.values.copy(), spectrum.length
    values[:, -1] /= 2  # the highest frequency of an even length becomes two
    between = np.fft.irfft(values, length * times, axis=1) * times
    return between[:, spectrum.pad * times : (spectrum.pad + rows.shape[1]) * times]


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Transformed rows, to be smoothed in several ways.

    Args:
        values: (lead, frequency).
        hz: (frequency,)
        length: of the transform, samples.
        pad: samples of padding before the rows.
        n_samples: of the rows.
    """

    values: NDArray[np.complexfloating]
    hz: NDArray[np.floating]
    length: int
    pad: int
    n_samples: int

    @classmethod
    def of(cls, rows: NDArray[np.floating], fs: float) -> Spectrum:
        """The transform of (lead, time) rows, whose ends are continued point-symmetrically."""
        pad = min(rows.shape[1] - 1, max(LEAST_PAD, round(PAD_SECONDS * fs)))
        left = 2 * rows[:, :1] - rows[:, pad:0:-1]
        right = 2 * rows[:, -1:] - rows[:, -2 : -pad - 2 : -1]
        padded = np.concatenate([left, rows, right], axis=1)
        length = good_length(padded.shape[1])
        return cls(np.fft.rfft(padded, length, axis=1), np.fft.rfftfreq(length, 1 / fs), length, pad, rows.shape[1])

    def smoothed(self, cutoff_hz: float) -> NDArray[np.float64]:
        """(lead, time) the rows after a Gaussian low-pass whose gain at the cutoff is 1/√2."""
        return self._back(self.values * self._gain(cutoff_hz))

    def slope(self, cutoff_hz: float) -> NDArray[np.float64]:
        """(lead, time) derivative of `smoothed`, per second."""
        return self._back(self.values * self._gain(cutoff_hz) * (2j * np.pi * self.hz))

    def _gain(self, cutoff_hz: float) -> NDArray[np.floating]:
        return np.exp(-0.5 * np.log(2) * (self.hz / cutoff_hz) ** 2)

    def _back(self, values: NDArray[np.complexfloating]) -> NDArray[np.float64]:
        return np.fft.irfft(values, self.length, axis=1)[:, self.pad : self.pad + self.n_samples]
