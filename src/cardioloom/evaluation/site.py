"""A model's task set to a site: slope, intercept and threshold of its labels, width of the intervals of its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, log_expit

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation.checks import Floats, numbers
from cardioloom.evaluation.conformal import fit_interval
from cardioloom.evaluation.recalibration import fit_platt
from cardioloom.evaluation.thresholds import check_rule, choose_threshold
from cardioloom.models.task import Output, Task

METHODS = ("platt",)
INSIDE = (1e-6, 1 - 1e-6)  # a threshold of 0 or 1 would say the same of everybody
WITHIN = 15.0  # logits that `calibration.logit` does not cut off


@dataclass(frozen=True)
class Wanted:
    """What to fit.

    Args:
        method: "platt": slope and intercept of the logit.
        rule: by which thresholds are chosen, see `thresholds.choose_threshold`.
        target: of the rules "sensitivity" and "specificity".
        coverage: that intervals of numbers are to have.

    Raises:
        UsageError: if a value cannot be.
    """

    method: str = "platt"
    rule: str = "youden"
    target: float | None = None
    coverage: float = 0.9

    def __post_init__(self) -> None:
        if self.method == "isotonic":
            raise UsageError(
                "an isotonic map is no slope and intercept, which is what a model keeps: use platt, or in Python "
                "cardioloom.evaluation.recalibration.fit_isotonic on the scores"
            )
        if self.method not in METHODS:
            raise UsageError(f"the method must be {', '.join(METHODS)}, got {self.method!r}")
        check_rule(self.rule, self.target)
        if not 0 < self.coverage < 1:
            raise UsageError(f"the coverage must lie between 0 and 1, got {self.coverage}: 0.9 is usual")


@dataclass(frozen=True)
class Fitted:
    """One output before and after.

    Args:
        before, after: the output; equal where it stays.
        n: records with truth.
        events: positives among them, None for numbers.
        stays: why nothing was fitted, a sentence, or None.
    """

    before: Output
    after: Output
    n: int
    events: int | None
    stays: str | None = None


def fit_outputs(
    task: Task,
    given: Sequence[NDArray[np.floating]],
    truth: ArrayLike,
    wanted: Wanted,
    *,
    asked: Sequence[str] | None = None,
) -> tuple[Fitted, ...]:
    """Fit each output on local records, of patients that the model was not trained on.

    A label gets slope and intercept (Platt 1999) of its logit and then its threshold, on the mean over a record's
    windows as `Task.decode` takes it; a number gets the width of its split-conformal interval. What the records do not
    give stays as it was, all of it: a threshold belongs to a slope.

    Args:
        task: of the model.
        given: (record) of (window, output), what the net gives: logits, or standardised numbers.
        truth: (record, output) 0 and 1, or numbers in their units; NaN = not known.
        wanted: what to fit.
        asked: codes of the outputs to fit; the others stay. All where None.

    Raises:
        UsageError: if truth and outputs do not belong together, or the truth of a label is not 0 or 1.
    """
    known = numbers(truth, "truth")
    if known.shape != (len(given), len(task.outputs)):
        raise UsageError(
            f"truth must be (record, output) {(len(given), len(task.outputs))}, got {known.shape}: a row a record"
        )
    fit = _label if task.kind == "multi_label" else _number
    fitted = []
    for n, output in enumerate(task.outputs):
        has_truth = ~np.isnan(known[:, n])
        windows = [np.asarray(given[i], np.float64)[:, n] for i in np.flatnonzero(has_truth).tolist()]
        own = known[has_truth, n]
        events = int(own.sum()) if task.kind == "multi_label" else None
        if asked is not None and output.code not in asked:
            fitted.append(Fitted(output, output, len(own), events, "not asked for: no column holds its truth"))
            continue
        try:
            fitted.append(Fitted(output, fit(output, windows, own, wanted), len(own), events))
        except NotEstimableError as error:
            fitted.append(Fitted(output, output, len(own), events, str(error)))
    return tuple(fitted)


def _label(output: Output, windows: list[Floats], truth: Floats, wanted: Wanted) -> Output:
    """Slope, intercept, threshold."""
    logits = np.array([_pooled(own) for own in windows])
    # Beyond its limits `fit_platt` cuts logits off; a net that is too sure of itself has many such.
    shrink = max(1.0, float(np.abs(logits).max(initial=0)) / WITHIN)
    line = fit_platt(truth, expit(logits / shrink), name=output.code).parameters
    slope, intercept = float(line["slope"]) / shrink, float(line["intercept"])
    scores = [float(expit(slope * own + intercept).mean()) for own in windows]
    chosen = choose_threshold(truth, scores, wanted.rule, target=wanted.target, name=output.code)
    threshold = float(np.clip(chosen, *INSIDE))
    return replace(output, slope=slope, intercept=intercept, threshold=threshold, calibrated=True)


def _pooled(logits: Floats) -> float:
    """The logit of the mean of a record's probabilities, exact however large; of one window its own."""
    yes, no = (np.logaddexp.reduce(log_expit(sign * logits)) for sign in (1.0, -1.0))
    return float(yes - no)


def _number(output: Output, windows: list[Floats], truth: Floats, wanted: Wanted) -> Output:
    """Half width of the interval."""
    predicted = np.array([output.mean + output.std * own.mean() for own in windows])
    reach = fit_interval(truth, predicted, 1 - wanted.coverage).reach
    return replace(output, half_width=reach, coverage=wanted.coverage, calibrated=True)


def note(fitted: Sequence[Fitted], wanted: Wanted, *, cohort: str, split: str, n: int, n_patients: int) -> str:
    """What a card says of a site's calibration: what was fitted, how, on whom. No date, no name of a patient.

    Args:
        fitted: of `fit_outputs`.
        wanted: what was to be fitted.
        cohort: its source and fingerprint.
        split: of the cohort.
        n, n_patients: records and patients in it that the model answered for.
    """
    done = [one for one in fitted if one.stays is None]
    is_label = any(one.events is not None for one in done)
    target = "" if wanted.target is None else f" {wanted.target:g}"
    how = (
        f"slope and intercept ({wanted.method}), thresholds ({wanted.rule}{target})"
        if is_label
        else f"split-conformal intervals of coverage {wanted.coverage:g}"
    )
    whom = ", ".join(_counted(one) for one in done)
    stayed = [one.before.code for one in fitted if one.stays is not None]
    stayed_words = f"; as before: {', '.join(stayed)}" if stayed else ""
    return (
        f"calibrated to a site: {how} on {cohort}, {split}, {n} records of {n_patients} patients: {whom}{stayed_words}"
    )


def _counted(one: Fitted) -> str:
    events = "" if one.events is None else f", {one.events} positive"
    return f"{one.before.code} (n {one.n}{events})"
