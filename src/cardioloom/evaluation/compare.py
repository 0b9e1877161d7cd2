"""Two models on the same records: is the difference more than chance?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation.bootstrap import DRAWS, LEVEL, Resampled, coded, resample
from cardioloom.evaluation.bootstrap_labels import bootstrap_labels, macro_of_draws
from cardioloom.evaluation.checks import Bools, Codes, Floats, Patients, coded_patients, one_label
from cardioloom.evaluation.discrimination import macro
from cardioloom.evaluation.estimate import Estimate

NO_VARIANCE = 1e-12  # of an AUROC difference: rounding of scores that order all pairs alike


@dataclass(frozen=True)
class Comparison:
    """A metric of two models on the same records.

    Args:
        first, second: the metric of each.
        difference: first − second, with its interval or the reason why there is none.
        p: two-sided, of no difference; None where `difference` has no interval.
        method: "DeLong" or "bootstrap of patients".
    """

    first: float
    second: float
    difference: Estimate
    p: float | None
    method: str

    def to_json(self) -> dict[str, Any]:
        """As a plain dict."""
        known = {"first": self.first, "second": self.second, "difference": self.difference.to_json()}
        return known | {"p": self.p, "method": self.method}


def placements(positive: Bools, score: Floats) -> tuple[Floats, Floats]:
    """Share of negatives below each positive, and of positives above each negative, ties counting one half.

    From mid-ranks among all and within the class (Sun & Xu 2014, doi:10.1109/LSP.2014.2337313): O(n log n).

    Args:
        positive, score: (record,).

    Returns:
        (positive record,), (negative record,); the mean of either is the AUROC.
    """
    from scipy.stats import rankdata

    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    ranks = rankdata(score)
    of_positives = (ranks[positive] - rankdata(score[positive])) / n_negative
    of_negatives = 1 - (ranks[~positive] - rankdata(score[~positive])) / n_positive
    return of_positives, of_negatives


def delong_covariance(positive: Bools, scores: Floats) -> tuple[Floats, Floats]:
    """AUROC of each score and their covariance (DeLong, DeLong & Clarke-Pearson 1988, doi:10.2307/2531595).

    Args:
        positive: (record,). scores: (score, record).

    Returns:
        (score,) and (score, score).

    Raises:
        NotEstimableError: if a class has fewer than two records.
    """
    fewest = min(int(positive.sum()), int((~positive).sum()))
    if fewest < 2:
        raise NotEstimableError(f"a variance by DeLong needs two records of each class, got {fewest} of one: add some")
    parts = [placements(positive, score) for score in scores]
    of_positives, of_negatives = (np.stack(side) for side in zip(*parts, strict=True))
    covariance = np.atleast_2d(np.cov(of_positives)) / of_positives.shape[1]
    covariance = covariance + np.atleast_2d(np.cov(of_negatives)) / of_negatives.shape[1]
    return of_positives.mean(axis=1), covariance


def delong(
    truth: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    *,
    patients: Patients = None,
    level: float = LEVEL,
    name: str = "this label",
) -> Comparison:
    """Compare the AUROC of two scores of the same records by DeLong's test.

    Args:
        truth: (record,) 0 or 1, NaN = not labelled. first, second: (record,) probabilities.
        patients: (record,) DeLong takes records as independent: a patient who is there twice is refused.

    Raises:
        UsageError: if arguments are not that, or a patient has several records.
        NotEstimableError: if a class has fewer than two records.
    """
    if patients is not None:
        codes = coded_patients(patients, len(np.asarray(truth)))
        if len(np.unique(codes)) < len(codes):
            raise UsageError(
                f"DeLong's test needs one record a patient, got {len(codes)} of {len(np.unique(codes))}: "
                "use paired_bootstrap, which draws patients"
            )
    positive, one = one_label(truth, first, "AUROC", name)
    _, other = one_label(truth, second, "AUROC", name)
    areas, covariance = delong_covariance(positive, np.stack([one, other]))
    area, another = float(areas[0]), float(areas[1])
    difference, variance = area - another, float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    n, events = len(positive), int(positive.sum())
    if variance <= NO_VARIANCE**2:
        reason = f"the two scores of {name} differ alike on every record: their difference has no variance"
        return Comparison(area, another, Estimate(difference, n=n, events=events, reason=reason), None, "DeLong")
    from scipy.stats import norm

    spread = variance**0.5
    reach = float(norm.ppf((1 + level) / 2)) * spread
    estimate = Estimate(difference, difference - reach, difference + reach, n=n, events=events)
    return Comparison(area, another, estimate, float(2 * norm.sf(abs(difference) / spread)), "DeLong")


def paired_bootstrap(
    first: Callable[[Codes], float],
    second: Callable[[Codes], float],
    patients: Patients | int,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    level: float = LEVEL,
) -> Comparison:
    """Compare any metric of two models on the same draws of the patients.

    Args:
        first, second: metrics of record numbers, as in `bootstrap`.
        patients, draws, seed, level: as in `bootstrap`.

    Raises:
        UsageError: as `bootstrap`.
        NotEstimableError: if all records together cannot give the metric.
    """
    codes = coded(patients)
    rows = np.arange(len(codes))
    values = float(first(rows)), float(second(rows))
    differences = resample(lambda drawn: first(drawn) - second(drawn), codes, draws=draws, seed=seed)
    return _compared(values, Resampled(differences, level), n=len(codes))


def compare_macro(
    metric: str,
    truth: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    patients: Patients,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    level: float = LEVEL,
) -> Comparison:
    """Compare the macro average of "auroc" or "auprc" of two models over many labels, by paired bootstrap of patients.

    Args:
        truth, first, second: (record, label).
        patients: (record,) None = each record its own.

    Raises:
        UsageError: as `bootstrap_labels`.
        NotEstimableError: if no label has both classes.
    """
    values = macro(metric, truth, first).value, macro(metric, truth, second).value
    drawn = [bootstrap_labels(metric, truth, score, patients, draws=draws, seed=seed) for score in (first, second)]
    differences = macro_of_draws(drawn[0]) - macro_of_draws(drawn[1])
    return _compared(values, Resampled(differences, level), n=len(np.asarray(truth)))


def _compared(values: tuple[float, float], differences: Resampled, *, n: int) -> Comparison:
    """The comparison from the differences of the draws."""
    estimate = differences.estimate(values[0] - values[1], n=n)
    p = None if estimate.low is None else two_sided_p(differences.values)
    return Comparison(values[0], values[1], estimate, p, "bootstrap of patients")


def two_sided_p(differences: Floats) -> float:
    """Twice the smaller share of draws on either side of 0, by (count + 1) / (draws + 1), at most 1.

    The inverse of the percentile interval: p < 5 % where the 95 % interval leaves out 0. The added one keeps p above 0
    (Davison & Hinkley 1997, §4.4).

    Args:
        differences: (draw,) NaN = not estimable, left out.
    """
    found = differences[np.isfinite(differences)]
    fewer = min(int((found <= 0).sum()), int((found >= 0).sum()))
    return min(1.0, 2 * (fewer + 1) / (len(found) + 1))
