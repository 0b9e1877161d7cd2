"""Thresholds, chosen on validation records, and what decisions at a threshold are worth on other records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation.bootstrap import DRAWS, LEVEL, Resampled, patient_draws
from cardioloom.evaluation.checks import Bools, Floats, Patients, checked, coded_patients, numbers, one_label
from cardioloom.evaluation.estimate import Estimate, estimated

RULES = ("youden", "f1", "sensitivity", "specificity")
FIXED = ("sensitivity", "specificity")  # rules that need a target
METRICS = ("sensitivity", "specificity", "ppv", "npv", "f1", "accuracy", "balanced_accuracy")
SAME = 1e-12  # goodness that differs by less is the same: rounding must not choose the threshold


@dataclass(frozen=True)
class Confusion:
    """Counts of decisions; each metric raises NotEstimableError where its denominator is empty."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int
    name: str = "this label"

    @property
    def n(self) -> int:
        """Labelled records."""
        return self.true_positive + self.false_positive + self.false_negative + self.true_negative

    @property
    def positives(self) -> int:
        """Records that are positive in truth."""
        return self.true_positive + self.false_negative

    def _share(self, metric: str, part: float, whole: float, lacking: str) -> float:
        if whole == 0:
            raise NotEstimableError(
                f"{metric} of {self.name} needs {lacking}, got none among {self.n} records: add some or leave it out"
            )
        return part / whole

    def sensitivity(self) -> float:
        """TP / (TP + FN)."""
        return self._share("sensitivity", self.true_positive, self.positives, "positives")

    def specificity(self) -> float:
        """TN / (TN + FP)."""
        return self._share("specificity", self.true_negative, self.n - self.positives, "negatives")

    def ppv(self) -> float:
        """Positive predictive value, TP / (TP + FP): at the prevalence of these records."""
        called = self.true_positive + self.false_positive
        return self._share("positive predictive value", self.true_positive, called, "records called positive")

    def npv(self) -> float:
        """Negative predictive value, TN / (TN + FN): at the prevalence of these records."""
        called = self.true_negative + self.false_negative
        return self._share("negative predictive value", self.true_negative, called, "records called negative")

    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN)."""
        if self.positives == 0:
            return self._share("F1", 0, 0, "positives")
        twice = 2 * self.true_positive
        return self._share("F1", twice, twice + self.false_positive + self.false_negative, "positives")

    def accuracy(self) -> float:
        """(TP + TN) / all."""
        return self._share("accuracy", self.true_positive + self.true_negative, self.n, "labelled records")

    def balanced_accuracy(self) -> float:
        """(sensitivity + specificity) / 2."""
        return (self.sensitivity() + self.specificity()) / 2


def confusion(
    truth: ArrayLike, score: ArrayLike, threshold: float, *, above: bool = False, name: str = "this label"
) -> Confusion:
    """Count the decisions at a threshold.

    Args:
        truth: (record,) 0 or 1, NaN = not labelled, which is left out. score: (record,) probabilities.
        threshold: positive is ``score >= threshold``; with ``above`` it is ``score > threshold``, as in ECGFounder's
            published evaluation, where the record that a Youden threshold was taken from then falls below it.

    Raises:
        UsageError: if truth, scores or the threshold are not that.
    """
    true_positive, false_positive, false_negative, true_negative = _cells(truth, score, threshold, above)
    return Confusion(
        int(true_positive.sum()), int(false_positive.sum()), int(false_negative.sum()), int(true_negative.sum()), name
    )


def _cells(truth: ArrayLike, score: ArrayLike, threshold: float, above: bool) -> tuple[Bools, Bools, Bools, Bools]:
    """(record,) each: true positive, false positive, false negative, true negative; none where not labelled."""
    truth, score = checked(truth, score)
    if truth.shape[1] != 1:
        raise UsageError(f"decisions are of one label, got {truth.shape[1]}: call it for each column")
    if np.isnan(threshold):
        raise UsageError("a threshold must be a number, got NaN: choose it on validation records")
    called = score[:, 0] > threshold if above else score[:, 0] >= threshold
    positive, negative = truth[:, 0] == 1, truth[:, 0] == 0
    return positive & called, negative & called, positive & ~called, negative & ~called


def choose_threshold(
    truth: ArrayLike,
    score: ArrayLike,
    rule: str = "youden",
    *,
    target: float | None = None,
    grid: ArrayLike | None = None,
    above: bool = False,
    name: str = "this label",
) -> float:
    """The threshold that a rule finds best on these (validation) records.

    Among equally good ones the highest of the scores (fewest called positive), the lowest of a grid.

    Args:
        truth, score: (record,) as `confusion`.
        rule: "youden" (sensitivity + specificity, which is also balanced accuracy; Youden 1950), "f1", "sensitivity"
            (the best specificity with at least the target sensitivity) or "specificity" (the reverse).
        target: of the last two, above 0 and up to 1.
        grid: candidates; None = every score that occurs.
        above: positive is ``score > threshold`` while choosing.

    The two published ECGFounder evaluations are ``grid=np.arange(0.01, 1, 0.01), above=True`` and the default, each
    followed by `confusion` with ``above=True``.

    Raises:
        UsageError: if an argument is not that.
        NotEstimableError: if there is one class only, or no candidate reaches the target.
    """
    check_rule(rule, target)
    positive, score = one_label(truth, score, "a threshold", name)
    if grid is None:
        candidates = np.unique(score)[::-1]
        if above:  # the lowest score itself would never be called
            candidates = np.append(candidates, np.nextafter(candidates[-1], -1))
    else:
        candidates = numbers(grid, "the grid").ravel()
    good = _goodness(positive, score, candidates, above, rule, target)
    if len(good) == 0 or good.max() == -np.inf:
        raise NotEstimableError(
            f"no threshold of {len(candidates)} gives {name} a {rule} of {target}: lower the target"
        )
    return float(candidates[np.flatnonzero(good >= good.max() - SAME)[0]])


def check_rule(rule: str, target: float | None) -> None:
    """Raise UsageError unless rule and target belong together."""
    if rule not in RULES:
        raise UsageError(f"rules for a threshold are {', '.join(RULES)}, got {rule!r}")
    if (rule in FIXED) != (target is not None):
        raise UsageError(f"rule {rule!r} {'needs a' if rule in FIXED else 'takes no'} target, got {target}")
    if target is not None and not 0 < target <= 1:
        raise UsageError(f"the target {rule} must be above 0 and up to 1, got {target}")


def _goodness(
    positive: Bools, score: Floats, candidates: Floats, above: bool, rule: str, target: float | None
) -> Floats:
    """(candidate,) what the rule maximises; −∞ where the target is missed."""
    side = "right" if above else "left"
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    true_positive = n_positive - np.searchsorted(np.sort(score[positive]), candidates, side)
    false_positive = n_negative - np.searchsorted(np.sort(score[~positive]), candidates, side)
    sensitivity, specificity = true_positive / n_positive, 1 - false_positive / n_negative
    if rule == "youden":
        return sensitivity + specificity
    if rule == "f1":
        return 2 * true_positive / (true_positive + false_positive + n_positive)
    fixed, free = (sensitivity, specificity) if rule == "sensitivity" else (specificity, sensitivity)
    return np.where(fixed >= float(target or 0) - SAME, free, -np.inf)


def decisions_table(
    truth: ArrayLike,
    score: ArrayLike,
    threshold: float,
    patients: Patients,
    *,
    above: bool = False,
    name: str = "this label",
    draws: int = DRAWS,
    seed: int = 0,
    level: float = LEVEL,
) -> dict[str, Estimate]:
    """Every metric of METRICS at a threshold that was fixed elsewhere, with patient-level bootstrap intervals.

    Arguments as `confusion` and `bootstrap`. The counts of a draw are sums over its patients, so all draws are one
    product of matrices.

    Raises:
        UsageError: as `confusion` and `bootstrap`.
    """
    whole = confusion(truth, score, threshold, above=above, name=name)
    cells = _cells(truth, score, threshold, above)
    coded = coded_patients(patients, len(cells[0]))
    n_patients = int(coded.max(initial=-1)) + 1
    counts = patient_draws(n_patients, draws=draws, seed=seed)
    of_patient = np.stack([np.bincount(coded, cell, n_patients) for cell in cells])
    drawn = [Confusion(a, b, c, d, name) for a, b, c, d in (of_patient @ counts.astype(float)).astype(int).T.tolist()]
    return {
        metric: _interval(
            estimated(getattr(whole, metric), whole.n, whole.positives), [getattr(c, metric) for c in drawn], level
        )
        for metric in METRICS
    }


def _interval(point: Estimate, metric_of_draws: list[Callable[[], float]], level: float) -> Estimate:
    """The point with its interval; unchanged where it is not estimable."""
    if point.value is None:
        return point
    values = [estimated(metric, 0).value for metric in metric_of_draws]
    resampled = Resampled(np.array([np.nan if value is None else value for value in values]), level)
    return resampled.estimate(point.value, n=point.n, events=point.events)
