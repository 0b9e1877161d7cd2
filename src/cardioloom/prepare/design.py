"""Coefficients of recursive filters, from their formulas: `scipy.signal` would cost more than a second to import.

Equal to the last bit to what scipy gives on the same machine.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Ratio = tuple[NDArray[np.float64], NDArray[np.float64]]


def notch(fs: float, hz: float, q: float) -> Ratio:
    """Second-order notch (``scipy.signal.iirnotch``); Orfanidis, Introduction to Signal Processing, eq. 11.3.4–11.3.7.

    Args:
        fs: sampling rate, Hz.
        hz: frequency of the zero, below ``fs / 2``.
        q: quality factor: frequency over the width at −3 dB.

    Returns:
        numerator and denominator (3,) of the transfer function, in falling powers of z.
    """
    relative = 2 * hz / fs
    turn, width = relative * math.pi, relative / q * math.pi  # radians a sample
    gain = 1 / (1 + math.tan(width / 2))
    numerator = gain * np.array([1.0, -2 * math.cos(turn), 1.0])
    return numerator, np.array([1.0, -2 * gain * math.cos(turn), 2 * gain - 1])


def butterworth_bandpass(fs: float, low: float, high: float, order: int) -> Ratio:
    """Butterworth band-pass (``scipy.signal.butter``): analogue low-pass, shifted to the band, bilinear transform.

    Oppenheim & Schafer, Discrete-Time Signal Processing, section 7.1 and appendix B.

    Args:
        fs: sampling rate, Hz.
        low, high: edges at −3 dB, Hz, within 0 and ``fs / 2``.
        order: of the low-pass prototype, 1 or more.

    Returns:
        numerator and denominator (2 * order + 1,) of the transfer function, in falling powers of z.
    """
    # With the rate taken as 2, the bilinear transform is s = 4 (z − 1) / (z + 1).
    begin, end = (4 * np.tan(np.pi * (2 * np.array([low, high]) / fs) / 2)).tolist()
    width, centre = end - begin, math.sqrt(begin * end)
    # Poles of the prototype lie on the left half of the unit circle; each becomes two round the band's centre.
    prototype = -np.exp(1j * np.pi * np.arange(1 - order, order, 2) / (2 * order)) * width / 2
    apart = np.sqrt(prototype**2 - centre**2)
    analogue = np.concatenate([prototype + apart, prototype - apart])
    poles = (4 + analogue) / (4 - analogue)
    # The zeros at 0 and at infinity become 1 and −1.
    gain = width**order * (4.0**order / np.prod(4 - analogue)).real
    numerator = gain * np.poly(np.repeat([1.0, -1.0], order))
    denominator = np.poly(poles).real  # the poles come in conjugate pairs
    return np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)


def settled(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    """The state in which a constant input of 1 has settled (``scipy.signal.lfilter_zi``).

    The fixed point of one step of direct form II transposed: zᵢ = zᵢ₊₁ + bᵢ₊₁ − aᵢ₊₁ (z₀ + b₀).

    Args:
        numerator, denominator: (n,) both of one length, the denominator beginning with 1.

    Returns:
        (n - 1,)
    """
    step = np.eye(len(denominator) - 1) - np.eye(len(denominator) - 1, k=1)
    step[:, 0] += denominator[1:]
    return np.linalg.solve(step, numerator[1:] - denominator[1:] * numerator[0])
