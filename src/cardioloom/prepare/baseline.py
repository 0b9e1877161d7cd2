"""The input of MMCL: clipped, without a baseline found by asymmetric least squares, scaled by groups of leads.

Turgut et al. 2025 (doi:10.1016/j.media.2024.103451), after github.com/oetu/MMCL-ECG-CMR @ 533409f.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import PreparationError
from cardioloom.prepare.median import compiled

LANES = 16  # leads that the compiled solver advances side by side
GROUPS = (slice(0, 3), slice(3, 6), slice(6, 12))  # limb, augmented and chest leads of the standard order


def clip_record(signal: NDArray[np.floating], *, deviations: float = 4.0) -> NDArray[np.float64]:
    """Samples beyond so many standard deviations of the whole record become that value, above and below zero.

    The limits lie around zero, not around the mean, as in the authors' code: the deviation is a population one.

    Args:
        signal: (..., lead, time).
        deviations: above 0.

    Returns:
        (..., lead, time) float64, in the unit of the signal.
    """
    signal = np.asarray(signal, np.float64)
    out = np.empty(signal.shape)
    records = signal.reshape(-1, signal.shape[-2] * signal.shape[-1])
    for record, clipped in zip(records, out.reshape(records.shape), strict=True):
        limit = deviations * record.std()
        np.clip(record, -limit, limit, out=clipped)
    return out


def least_squares_baseline(
    signal: NDArray[np.floating], *, stiffness: float = 1e7, p: float = 0.3, iterations: float = 5
) -> NDArray[np.float64]:
    """The signal minus its baseline by asymmetric least squares (Eilers & Boelens 2005).

    The baseline z minimises sum w (y − z)² + stiffness · sum (second difference of z)²; w is 1 at first, then p where
    y is above z, 1 − p below, and 0 where they are equal. The matrix has five diagonals: it is solved in time that
    grows with the number of samples.

    Args:
        signal: (..., time), finite, more than 2 samples.
        stiffness: λ above 0, of the baseline, in samples⁴.
        p: weight of samples above the baseline, between 0 and 1.
        iterations: a whole number, at least 1.

    Returns:
        (..., time) float64, in the unit of the signal.

    Raises:
        PreparationError: if the signal is too short or not finite, or a number lies outside its range.
    """
    if not (stiffness > 0 and 0 < p < 1 and iterations >= 1 and iterations == int(iterations)):
        numbers = f"stiffness {stiffness:g}, p {p:g}, iterations {iterations:g}"
        raise PreparationError(f"a baseline needs a stiffness above 0, p in 0–1 and whole iterations, got {numbers}")
    signal = np.asarray(signal, np.float64)
    if signal.shape[-1] < 3:
        raise PreparationError(f"a baseline needs at least 3 samples, got {signal.shape[-1]}: leave it out")
    if not np.isfinite(signal).all():
        raise PreparationError("a baseline needs finite samples, got NaN or infinite ones: replace them first")
    out = np.array(signal, order="C")
    inner = np.full(out.shape[-1] - 2, float(stiffness))
    near, far = np.append(np.convolve(inner, [-2.0, -2.0]), 0.0), np.append(inner, [0.0, 0.0])
    penalty = np.stack([np.convolve(inner, [1.0, 4.0, 1.0]), near, far])
    compiled(subtract_baselines)(out.reshape(-1, out.shape[-1]), penalty, float(p), int(iterations), LANES)
    return out


def zscore_groups(signal: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean 0 and (population) standard deviation 1 of limb, augmented and chest leads, each group together.

    Args:
        signal: (..., 12 leads in the standard order, time).

    Returns:
        (..., 12, time) float64, no unit; a constant group becomes zeros.

    Raises:
        PreparationError: if there are not 12 leads.
    """
    signal = np.asarray(signal, np.float64)
    if signal.ndim < 2 or signal.shape[-2] != GROUPS[-1].stop:
        raise PreparationError(f"groups of leads need 12 leads in the standard order, got the shape {signal.shape}")
    out = np.empty(signal.shape)
    for record, scaled in zip(signal.reshape(-1, *signal.shape[-2:]), out.reshape(-1, *signal.shape[-2:]), strict=True):
        for group in GROUPS:
            np.subtract(record[group], record[group].mean(), out=scaled[group])
            deviation = np.sqrt(np.mean(scaled[group] * scaled[group]))
            scaled[group] *= 1 / deviation if deviation > np.finfo(np.float64).tiny else 0.0
    return out


def subtract_baselines(
    rows: NDArray[np.float64], penalty: NDArray[np.float64], p: float, iterations: int, at_once: int
) -> None:
    """Take the baseline of each row (row, time) from it, in place. Compiled.

    Each iteration factors the matrix, whose upper three diagonals are the ``penalty`` (3, time) plus the weights, as
    L D Lᵀ and solves; up to ``at_once`` rows advance together.
    A row whose samples all lie on its baseline has no weight left and keeps the baseline that it has.
    """
    n_rows, n = rows.shape
    shape = (n, min(at_once, n_rows))
    y, z, weight = np.zeros(shape), np.zeros(shape), np.ones(shape)
    inverse, first, second = np.ones(shape), np.zeros(shape), np.zeros(shape)  # 1 / D, and L below its diagonal
    settled = np.zeros(shape[1], np.bool_)
    for start in range(0, n_rows, at_once):
        lanes = min(at_once, n_rows - start)
        for lane in range(lanes):
            settled[lane] = False
            for i in range(n):
                y[i, lane] = rows[start + lane, i]
                weight[i, lane] = 1.0
        for iteration in range(iterations):
            for i in range(n):
                for lane in range(lanes):
                    pivot, below = penalty[0, i] + weight[i, lane], penalty[1, i]
                    value = weight[i, lane] * y[i, lane]
                    if i > 0:
                        # first and second still hold D · L here: one division a row is enough.
                        step = first[i - 1, lane] * inverse[i - 1, lane]
                        pivot -= step * first[i - 1, lane]
                        below -= step * second[i - 1, lane]
                        value -= step * z[i - 1, lane]
                    if i > 1:
                        step = second[i - 2, lane] * inverse[i - 2, lane]
                        pivot -= step * second[i - 2, lane]
                        value -= step * z[i - 2, lane]
                    inverse[i, lane] = 1.0 / pivot
                    first[i, lane], second[i, lane], z[i, lane] = below, penalty[2, i], value
            for i in range(n - 1, -1, -1):
                for lane in range(lanes):
                    value = z[i, lane]
                    if i < n - 1:
                        value -= first[i, lane] * z[i + 1, lane]
                    if i < n - 2:
                        value -= second[i, lane] * z[i + 2, lane]
                    z[i, lane] = value * inverse[i, lane]
            for lane in range(lanes):
                if settled[lane]:
                    continue
                n_weighted = 0
                for i in range(n):
                    gap = y[i, lane] - z[i, lane]
                    weight[i, lane] = p if gap > 0 else (1 - p if gap < 0 else 0.0)
                    n_weighted += gap != 0
                if n_weighted < 2 or iteration == iterations - 1:
                    settled[lane] = True
                    for i in range(n):
                        rows[start + lane, i] = y[i, lane] - z[i, lane]
                        weight[i, lane] = 1.0
