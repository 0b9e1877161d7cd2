"""Predicted against measured numbers: R², Pearson's r, mean errors, and agreement after Bland and Altman.

All functions take truth (record,) with NaN = not measured, and predicted (record,), in one unit. They raise
NotEstimableError where the measured records do not give the metric, and UsageError where the arguments cannot be.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm, t

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation.checks import Floats, numbers
from cardioloom.evaluation.estimate import Estimate, estimated


def r_squared(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Coefficient of determination 1 − Σ(y − ŷ)² / Σ(y − ȳ)²; below 0 = worse than the mean. The truth must vary."""
    y, p = checked_numbers(truth, predicted, least=2)
    varies(y, "R²", "the truth")
    return float(1 - ((y - p) ** 2).sum() / ((y - y.mean()) ** 2).sum())


def pearson_r(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Pearson's correlation; blind to bias and scale. Needs truth and predictions that vary."""
    y, p = checked_numbers(truth, predicted, least=2)
    varies(y, "Pearson's r", "the truth")
    varies(p, "Pearson's r", "the predictions")
    a, b = (y - y.mean()) / np.abs(y - y.mean()).max(), (p - p.mean()) / np.abs(p - p.mean()).max()
    return float(np.clip(a @ b / np.sqrt((a @ a) * (b @ b)), -1, 1))


def mean_absolute_error(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Mean of |ŷ − y|, in the unit of the truth."""
    y, p = checked_numbers(truth, predicted)
    return float(np.abs(p - y).mean())


def root_mean_square_error(truth: ArrayLike, predicted: ArrayLike) -> float:
    """√ mean (ŷ − y)², in the unit of the truth."""
    y, p = checked_numbers(truth, predicted)
    return float(np.sqrt(((p - y) ** 2).mean()))


def bland_altman(truth: ArrayLike, predicted: ArrayLike, *, coverage: float = 0.95) -> dict[str, Estimate]:
    """``bias``, ``lower`` and ``upper`` limit of agreement of ŷ − y, each with its 95 % interval.

    Bland and Altman, Statistical Methods in Medical Research 1999;8:135–160: limits bias ± z·s; standard errors
    s/√n of the bias and s·√(1/n + z²/(2(n − 1))) of a limit, with Student's t of n − 1.

    Args:
        coverage: share of differences that the limits enclose (0.95: z = 1.96).

    Raises:
        NotEstimableError: fewer than three measured records.
    """
    if not 0 < coverage < 1:
        raise UsageError(f"the coverage of limits lies between 0 and 1, got {coverage}")
    y, p = checked_numbers(truth, predicted, least=3)
    n, z, width = len(y), float(norm.ppf((1 + coverage) / 2)), float(t.ppf(0.975, len(y) - 1))
    bias, s = float((p - y).mean()), float((p - y).std(ddof=1))
    of_bias, of_limit = width * s / n**0.5, width * s * (1 / n + z**2 / (2 * (n - 1))) ** 0.5
    found = {"bias": (bias, of_bias), "lower": (bias - z * s, of_limit), "upper": (bias + z * s, of_limit)}
    return {name: Estimate(value, value - half, value + half, n=n) for name, (value, half) in found.items()}


METRICS = {
    "r_squared": r_squared,
    "pearson_r": pearson_r,
    "mean_absolute_error": mean_absolute_error,
    "root_mean_square_error": root_mean_square_error,
}


def regression_table(truth: ArrayLike, predicted: ArrayLike) -> dict[str, Any]:
    """All metrics of this page as JSON; what these data do not give says why."""
    n = int(np.count_nonzero(~np.isnan(paired(truth, predicted)[0])))
    table: dict[str, Any] = {
        name: estimated(lambda metric=metric: metric(truth, predicted), n).to_json() for name, metric in METRICS.items()
    }
    try:
        agreement = {name: found.to_json() for name, found in bland_altman(truth, predicted).items()}
    except NotEstimableError as error:
        agreement = Estimate(None, n=n, reason=str(error)).to_json()
    return table | {"bland_altman": agreement}


def checked_numbers(truth: ArrayLike, predicted: ArrayLike, *, least: int = 1) -> tuple[Floats, Floats]:
    """Truth and prediction (record,) of the measured records; NotEstimableError where they are fewer than ``least``."""
    y, p = paired(truth, predicted)
    measured = ~np.isnan(y)
    if measured.sum() < least:
        raise NotEstimableError(
            f"this metric needs {least} measured records, got {measured.sum()} of {len(y)}: add records"
        )
    if not (np.isfinite(y[measured]).all() and np.isfinite(p[measured]).all()):
        raise UsageError(
            "truth and predictions must be finite, got infinite truth or a prediction that is not a number"
        )
    return y[measured], p[measured]


def paired(truth: ArrayLike, predicted: ArrayLike) -> tuple[Floats, Floats]:
    """Both as float64 (record,); UsageError for text and for shapes that differ."""
    y, p = numbers(truth, "truth"), numbers(predicted, "predictions")
    if y.ndim != 1 or y.shape != p.shape:
        raise UsageError(f"truth and predictions must be one number a record, got shapes {y.shape} and {p.shape}")
    return y, p


def varies(values: Floats, metric: str, what: str) -> None:
    """NotEstimableError where all values are equal."""
    if values.min() == values.max():
        raise NotEstimableError(f"{metric} needs {what} to vary, got {len(values)} equal values: add records")
