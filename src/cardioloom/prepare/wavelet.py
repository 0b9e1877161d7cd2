"""Baseline and noise of an ECG taken away in the levels of a wavelet transform."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import PreparationError
from cardioloom.prepare.median import compiled

# Scaling filter of Daubechies' wavelet with six vanishing moments ("db6"), of sum √2 and square sum 1.
# Daubechies, Ten Lectures on Wavelets (1992), chapter 6.
SCALING = (
    0.11154074335010947,
    0.49462389039845306,
    0.7511339080210954,
    0.31525035170919763,
    -0.22626469396543983,
    -0.12976686756726194,
    0.09750160558732304,
    0.027522865530305727,
    -0.03158203931748603,
    0.0005538422011614961,
    0.004777257510945511,
    -0.0010773010853084796,
)
HALF = len(SCALING) // 2


def wavelet_band(signal: NDArray[np.floating], *, levels: float = 8, finest: float = 2) -> NDArray[np.float64]:
    """The signal without its slowest and its fastest part in a wavelet transform: baseline and noise.

    Discrete transform with db6 and half-sample symmetric ends; the approximation of the last level and the details of
    the first ``finest`` levels become zero, and the rest is put together again. At 500 Hz, 8 levels and 2 finest keep
    about 1 to 62 Hz. Linear: nothing depends on a threshold. PTACL (Selivanov et al. 2025, arXiv:2506.20683) says
    "8 levels" and names no wavelet and no rule, after Martis et al. 2013 (Biomed Signal Process Control 8:437–448): db6
    and the levels that are dropped are our choice.

    Args:
        signal: (..., time), finite, at least ``11 * 2 ** levels`` samples: else the ends reach every coefficient.
        levels: whole number from 1.
        finest: whole number from 0, at most ``levels``.

    Returns:
        (..., time) float64, in the unit of the signal.

    Raises:
        PreparationError: if the signal is too short or not finite, or a number lies outside its range.
    """
    if not (1 <= levels <= 30 and 0 <= finest <= levels and levels == int(levels) and finest == int(finest)):
        raise PreparationError(f"a wavelet transform needs whole levels, got {levels:g} with {finest:g} finest")
    levels, finest = int(levels), int(finest)
    out = np.array(signal, np.float64, order="C")
    if out.shape[-1] < (shortest := (2 * HALF - 1) << levels):
        raise PreparationError(f"{levels} levels of a wavelet need {shortest} samples, got {out.shape[-1]}: use fewer")
    if not np.isfinite(out).all():
        raise PreparationError("a wavelet needs finite samples, got NaN or infinite ones: replace them first")
    compiled(keep_band)(out.reshape(-1, out.shape[-1]), levels, finest)
    return out


def keep_band(rows: NDArray[np.float64], levels: int, finest: int) -> None:
    """`wavelet_band` of each row (row, time) in place. Compiled.

    Even and odd samples are kept apart, so that the filters run over neighbours in memory. The high-pass is the
    low-pass turned round with every other sign changed; details that are dropped are never computed.
    """
    n_samples = rows.shape[1]
    sizes = np.empty(levels + 1, np.int64)
    sizes[0] = n_samples
    for level in range(levels):
        sizes[level + 1] = (sizes[level] + 2 * HALF - 1) // 2
    even, odd = np.empty(sizes[1] + HALF), np.empty(sizes[1] + HALF)
    low, details = np.empty(n_samples + 1), np.empty((levels, sizes[1]))
    for row in rows:
        low[:n_samples] = row
        for level in range(levels):
            size, half = sizes[level], sizes[level + 1]
            # Entry k holds samples 2 (k − 5) and 2 (k − 5) + 1; both ends are continued symmetrically.
            for k in range(size // 2):
                even[k + HALF - 1], odd[k + HALF - 1] = low[2 * k], low[2 * k + 1]
            for k in range(HALF - 1):
                even[k], odd[k] = low[2 * (HALF - 1 - k) - 1], low[2 * (HALF - 1 - k) - 2]
            for k in range(size // 2 + HALF - 1, half + HALF - 1):
                place = 2 * (k - HALF + 1)
                even[k] = low[place if place < size else 2 * size - 1 - place]
                odd[k] = low[2 * size - 2 - place]
            if level >= finest:
                for k in range(half):
                    total = 0.0
                    for i in range(HALF):
                        total += (
                            SCALING[2 * HALF - 1 - 2 * i] * even[k + i] - SCALING[2 * HALF - 2 - 2 * i] * odd[k + i]
                        )
                    details[level, k] = total
            for k in range(half):
                total = 0.0
                for i in range(HALF):
                    total += SCALING[2 * i] * even[k + i] + SCALING[2 * i + 1] * odd[k + i]
                low[k] = total
        low[:] = 0.0
        for level in range(levels - 1, -1, -1):
            size = sizes[level]
            for k in range(sizes[level + 1]):
                even[k] = low[k]
            for k in range((size + 1) // 2):
                first, second = 0.0, 0.0
                for i in range(HALF):
                    first += SCALING[2 * HALF - 2 - 2 * i] * even[k + i]
                    second += SCALING[2 * HALF - 1 - 2 * i] * even[k + i]
                if level >= finest:
                    for i in range(HALF):
                        first += SCALING[2 * i + 1] * details[level, k + i]
                        second -= SCALING[2 * i] * details[level, k + i]
                low[2 * k], low[2 * k + 1] = first, second
        row[:] = low[:n_samples]
