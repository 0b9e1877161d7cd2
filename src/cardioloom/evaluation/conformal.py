"""Split-conformal prediction: intervals and sets that hold the truth at least as often as promised.

Fitted on records of patients that neither trained the model nor are judged. If those and later records are exchangeable
(so with one record a patient), the truth is covered with probability ≥ 1 − α on average (Vovk, Gammerman & Shafer 2005;
Lei et al. 2018, doi:10.1080/01621459.2017.1307116). It is no promise for a subgroup: see `coverage_of` of its records.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation.bootstrap import DRAWS, LEVEL, Resampled, check_draws, check_level
from cardioloom.evaluation.checks import Bools, Codes, Floats, checked, coded_patients, names_of, numbers
from cardioloom.evaluation.estimate import Estimate
from cardioloom.evaluation.sums import drawn_sums, patient_sums


def conformal_quantile(scores: ArrayLike, alpha: float) -> float:
    """The ⌈(n + 1)(1 − α)⌉-th smallest of n conformity scores.

    Raises:
        UsageError: if α is not between 0 and 1, or a score is NaN.
        NotEstimableError: if n is so small that only an infinite value would keep the promise.
    """
    check_alpha(alpha)
    scores = numbers(scores, "conformity scores").ravel()
    if np.isnan(scores).any():
        raise UsageError("conformity scores must be numbers, got NaN: drop records without truth")
    rank = math.ceil((len(scores) + 1) * (1 - alpha) - 1e-9)  # 10 · (1 − 0.7) is 3, not 3.000…04
    if rank > len(scores):
        need = math.ceil((1 - alpha) / alpha - 1e-9)
        raise NotEstimableError(
            f"a coverage of {1 - alpha:.3g} needs at least {need} calibration records, got {len(scores)}: add some"
        )
    return float(np.partition(scores, rank - 1)[rank - 1])


def check_alpha(alpha: float) -> None:
    """Raise UsageError unless 0 < α < 1."""
    if not 0 < alpha < 1:
        raise UsageError(f"alpha, the share that may be missed, must be between 0 and 1, got {alpha}")


@dataclass(frozen=True)
class ConformalInterval:
    """How wide to draw an interval around a prediction.

    Args:
        reach: in the unit of the prediction, or of its scale.
        alpha: share that may be missed.
        n: calibration records.
        scaled: the reach is a multiple of a predicted spread of each record.
    """

    reach: float
    alpha: float
    n: int
    scaled: bool = False

    def around(self, predicted: ArrayLike, *, scale: ArrayLike | None = None) -> tuple[Floats, Floats]:
        """(record,) lower and upper end.

        Raises:
            UsageError: if a scale is missing, superfluous or not positive.
        """
        predicted = numbers(predicted, "predictions")
        if (scale is not None) != self.scaled:
            raise UsageError(f"these intervals were fitted {'with' if self.scaled else 'without'} a scale: do the same")
        reach = self.reach * (1.0 if scale is None else _positive(scale))
        return predicted - reach, predicted + reach

    def to_json(self) -> dict[str, Any]:
        """As a plain dict."""
        return asdict(self)


def fit_interval(
    truth: ArrayLike, predicted: ArrayLike, alpha: float = 0.1, *, scale: ArrayLike | None = None
) -> ConformalInterval:
    """Fit intervals of a regression on calibration records: the quantile of |truth − predicted| (/ scale).

    Args:
        truth: (record,) NaN = not measured, which is left out. predicted: (record,) finite.
        scale: (record,) > 0, a predicted spread: wider where the model is less sure (Lei et al. 2018, §5.2).

    Raises:
        UsageError: if arguments are not that.
        NotEstimableError: if there are too few records for α.
    """
    truth, predicted = numbers(truth, "truth"), numbers(predicted, "predictions")
    if truth.shape != predicted.shape or truth.ndim != 1 or not np.isfinite(predicted).all():
        raise UsageError(
            f"truth and finite predictions must both be (record,), got {truth.shape} and {predicted.shape}"
        )
    residual = np.abs(truth - predicted) / (1.0 if scale is None else _positive(scale))
    residual = residual[~np.isnan(truth)]
    return ConformalInterval(conformal_quantile(residual, alpha), alpha, len(residual), scale is not None)


def _positive(scale: ArrayLike) -> Floats:
    """The scale, which must be finite and above 0."""
    values = numbers(scale, "the scale")
    if not (np.isfinite(values) & (values > 0)).all():
        raise UsageError("the scale must be finite and above 0 for every record")
    return values


@dataclass(frozen=True)
class ConformalSets:
    """Which answers to keep for each label: {no}, {yes}, both ("not sure") or, rarely, none ("unlike those seen").

    Args:
        labels: names.
        most: for each label, the largest 1 − p(answer) that keeps the answers (no, yes); None = too few calibration
            records of that class, and its answer is always kept, which keeps the promise.
        n: for each label, calibration records of the classes (no, yes).
        alpha: share that may be missed, of each class where ``by_class``, else of all.
        by_class: fitted for each class apart.
    """

    labels: tuple[str, ...]
    most: tuple[tuple[float | None, float | None], ...]
    n: tuple[tuple[int, int], ...]
    alpha: float
    by_class: bool

    def sets(self, score: ArrayLike) -> Bools:
        """(record, label, 2) whether the set holds no and yes, from probabilities (record, label)."""
        _, score = checked(np.zeros(np.shape(score)), score)
        if score.shape[1] != len(self.labels):
            raise UsageError(f"these sets are of {len(self.labels)} labels, got {score.shape[1]}")
        limits = np.array([[np.inf if limit is None else limit for limit in pair] for pair in self.most])
        return np.stack([score, 1 - score], axis=-1) <= limits

    def to_json(self) -> dict[str, Any]:
        """As a plain dict."""
        return asdict(self)


def fit_sets(
    truth: ArrayLike,
    score: ArrayLike,
    alpha: float = 0.1,
    *,
    labels: Sequence[str] | None = None,
    by_class: bool = True,
) -> ConformalSets:
    """Fit prediction sets of each label on calibration records: LAC, 1 − p(true answer) (Sadinle, Lei & Wasserman 2019,
    doi:10.1080/01621459.2017.1395341).

    Args:
        truth: (record, label) 0 or 1, NaN = not labelled, which is left out. score: (record, label) probabilities.
        by_class: each class keeps its promise: of rare positives, too, at least 1 − α are covered (label-conditional;
            Vovk 2012). Else all together, and the rare class may be missed far more often.

    Raises:
        UsageError: as `checked`, or if α is not between 0 and 1.
    """
    check_alpha(alpha)
    truth, score = checked(truth, score)
    most, n = [], []
    for column, scores in zip(truth.T, score.T, strict=True):
        parts = [scores[column == 0], 1 - scores[column == 1]]
        n.append((len(parts[0]), len(parts[1])))
        if by_class:
            most.append((_limit(parts[0], alpha), _limit(parts[1], alpha)))
        else:
            most.append((_limit(np.concatenate(parts), alpha),) * 2)
    return ConformalSets(tuple(names_of(labels, truth.shape[1])), tuple(most), tuple(n), alpha, by_class)


def _limit(scores: Floats, alpha: float) -> float | None:
    """The quantile, None where there are too few scores: an infinite one, in words that JSON knows."""
    try:
        return conformal_quantile(scores, alpha)
    except NotEstimableError:
        return None


def covered_by_sets(truth: ArrayLike, sets: Bools) -> Floats:
    """(record, label) 1 where the set holds the truth, 0 where not, NaN where not labelled."""
    truth, _ = checked(truth, np.zeros(np.shape(truth)))
    if sets.shape != (*truth.shape, 2):
        raise UsageError(f"sets must be (record, label, 2), got {sets.shape} for truth {truth.shape}")
    holds = np.where(truth == 1, sets[..., 1], sets[..., 0]).astype(float)
    return np.where(np.isnan(truth), np.nan, holds)


def coverage_of(
    covered: Floats, patients: Codes, *, draws: int = DRAWS, seed: int = 0, level: float = LEVEL
) -> dict[str, Any]:
    """The share with its patient-level bootstrap interval as JSON, or that there is none.

    Where the truth is covered in all records, or in none, each draw of the patients gives the same: then the interval
    is the exact one of as many patients (Clopper & Pearson 1934, doi:10.1093/biomet/26.4.404).

    Args:
        covered: (record,) 0 or 1, NaN = without truth.
        patients: (record,) codes.
        draws, seed, level: of the interval.
    """
    known = ~np.isnan(covered)
    covered, patients = covered[known], patients[known]
    n = len(covered)
    if n == 0:
        return Estimate(None, reason="coverage needs records with truth, got none: add some").to_json()
    share, codes = float(covered.mean()), coded_patients(patients, n)
    n_patients = int(codes.max()) + 1
    check_level(level)
    check_draws(n_patients, draws, seed)
    if share in (0.0, 1.0):
        return Estimate(share, *_exact(share, n_patients, level), n=n).to_json()
    values = np.stack([covered, np.ones(n)], axis=1)
    sums = drawn_sums(patient_sums(values, codes), draws=draws, seed=seed)
    return Resampled(sums[:, 0] / sums[:, 1], level).estimate(share, n=n).to_json()


def _exact(share: float, n: int, level: float) -> tuple[float, float]:
    """The shares that are not refuted, to either side, by none or by all of n."""
    end = ((1 - level) / 2) ** (1 / n)
    return (0.0, 1 - end) if share == 0 else (end, 1.0)
