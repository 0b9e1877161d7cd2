"""One label: discrimination, decisions at its threshold, calibration, and the curves that a page draws."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import expit
from scipy.stats import norm

from cardioloom.errors import NotEstimableError
from cardioloom.evaluation import calibration
from cardioloom.evaluation.bootstrap import LEVEL, Resampled, bootstrap, patient_draws
from cardioloom.evaluation.checks import Codes, Floats
from cardioloom.evaluation.conformal import covered_by_sets, fit_sets
from cardioloom.evaluation.decision import decision_curve
from cardioloom.evaluation.estimate import Estimate, estimated, independent, without_interval
from cardioloom.evaluation.judged import Bootstrap, Judged
from cardioloom.evaluation.selective import binary_confidence, risk_coverage
from cardioloom.evaluation.thresholds import decisions_table

DECISIONS = ("sensitivity", "specificity", "ppv", "npv", "f1")
LINE = ("slope", "intercept", "in_the_large")
MAX_POINTS = 200  # of a curve on a page
BINS = 10
ALPHA = 0.1  # share that prediction sets may miss
DIGITS = 6  # of the points of a curve
NO_SETS = "prediction sets need a validation split of other patients to be fitted on, and there is none"


def label(judged: Judged, at: int, row: Mapping[str, Any], drawn: Bootstrap) -> dict[str, Any]:
    """Everything of one label but its prediction sets.

    Args:
        judged: predictions and truth.
        at: number of the label.
        row: its row of `label_table`.
        drawn: how intervals are drawn.
    """
    output, truth, score = judged.outputs[at], judged.truth[:, at], judged.score[:, at]
    known = ~np.isnan(truth)
    decisions = (
        decisions_table(
            truth[known],
            score[known],
            output.threshold,
            judged.patients[known],
            name=output.code,
            draws=drawn.draws,
            seed=drawn.seed,
        )
        if known.any()
        else {}
    )
    none = Estimate(None, reason=f"no study is labelled for {output.code}: name its column, or leave it out")
    return {
        **judged.counts(at),
        "name": output.name,
        "threshold": output.threshold,
        "calibrated": output.calibrated,
        "auroc": row["auroc"],
        "auprc": row["auprc"],
        **{name: decisions.get(name, none).to_json() for name in DECISIONS},
        "calibration": calibrated(truth, score, judged.patients, output.code, drawn),
        **_curves(truth, score, output.threshold, output.code, is_one_each=judged.is_one_each),
    }


def calibrated(truth: Floats, score: Floats, patients: Codes, name: str, drawn: Bootstrap) -> dict[str, Any]:
    """Slope, intercept, calibration in the large, expected calibration error (ten bins of one width) and Brier score.

    Intervals of the line have the variance of whole patients (`clustered_line`). Those of the others are by bootstrap:
    both are sums over patients, so that all draws are one product of matrices.
    """
    known = ~np.isnan(truth)
    y, p, codes = truth[known], score[known], np.unique(patients[known], return_inverse=True)[1]
    n, events = int(known.sum()), int((y == 1).sum())
    line = clustered_line(y, p, codes, name=name)
    found = {term: line[term].to_json() for term in LINE}
    errors = {
        "ece": estimated(lambda: calibration.calibration_error(y, p, bins=BINS, name=name), n, events),
        "brier": estimated(lambda: calibration.brier(y, p, name=name), n, events),
    }
    if errors["brier"].value is None:
        return found | {name: point.to_json() for name, point in errors.items()}
    drawn_errors = _errors_of_draws(y, p, codes, drawn)
    return found | {
        name: Resampled(drawn_errors[name]).estimate(float(point.value or 0.0), n=n, events=events).to_json()
        for name, point in errors.items()
    }


def _errors_of_draws(y: Floats, p: Floats, codes: Codes, drawn: Bootstrap) -> dict[str, Floats]:
    """(draw,) calibration error and Brier score; a draw of one class counts, as both are defined for it."""
    n_patients = int(codes.max()) + 1
    counts = patient_draws(n_patients, draws=drawn.draws, seed=drawn.seed).astype(np.float64)
    size = np.bincount(codes, minlength=n_patients) @ counts
    _, place = calibration.binned(p, BINS, "width")
    gaps = np.zeros((BINS, n_patients))
    np.add.at(gaps, (place, codes), y - p)
    squares = np.bincount(codes, (p - y) ** 2, n_patients)
    return {"ece": np.abs(gaps @ counts).sum(axis=0) / size, "brier": squares @ counts / size}


def clustered_line(y: Floats, p: Floats, codes: Codes, *, name: str = "this label") -> dict[str, Estimate]:
    """As `calibration.calibration_line`, where some studies may be of one patient, and with reasons for what is not
    estimable: calibration in the large is where scores separate the classes, the line is not.

    The variance is the sandwich of Liang & Zeger 1986 (doi:10.1093/biomet/73.1.13) with independence as the working
    correlation: H⁻¹ (Σ over patients of s sᵀ) H⁻¹, s the sum of a patient's scores.

    Args:
        y, p: (study,) truth and probability. codes: (study,) number of the patient, 0 … .
    """
    n, events = len(y), int((y == 1).sum())
    width = float(norm.ppf((1 + LEVEL) / 2))

    def estimate(value: float, variance: float) -> Estimate:
        half = width * float(variance) ** 0.5
        return Estimate(float(value), float(value) - half, float(value) + half, n=n, events=events)

    found: dict[str, Estimate] = {}
    try:
        calibration.checked_label(y, p, "the calibration line", name)
        x = calibration.logit(p)
        large, information = calibration.shift(x, y)
        of_large = information**2 * float((np.bincount(codes, y - expit(large + x)) ** 2).sum())
        found["in_the_large"] = estimate(large, of_large)
        (a, b), bread = calibration.logistic_line(y, p)
        residual = y - expit(a + b * x)
        scores = np.stack([np.bincount(codes, residual), np.bincount(codes, residual * x)], axis=1)
        line = bread @ (scores.T @ scores) @ bread
        return found | {"slope": estimate(b, line[1, 1]), "intercept": estimate(a, line[0, 0])}
    except NotEstimableError as error:
        return {term: Estimate(None, n=n, events=events, reason=str(error)) for term in LINE} | found


def _curves(truth: Floats, score: Floats, threshold: float, name: str, *, is_one_each: bool) -> dict[str, Any]:
    """Reliability, ROC, decision curve, risk over coverage; empty where the label has not both classes."""
    known = ~np.isnan(truth)
    y, p = truth[known], score[known]
    if len(np.unique(y)) < 2:
        return {"reliability": [], "roc": [], "decision_curve": [], "risk_coverage": []}
    wrong = (p >= threshold) != (y == 1)
    curve = risk_coverage(binary_confidence(p, threshold), wrong.astype(float))
    bins = calibration.reliability(y, p, bins=BINS, name=name)
    if not is_one_each:
        bins = [row | {"observed": without_interval(row["observed"], independent("Wilson's interval"))} for row in bins]
    return {
        "reliability": bins,
        "roc": roc_points(y, p),
        "decision_curve": [
            {key: round(value, DIGITS) for key, value in row.items()} for row in decision_curve(y, p, name=name)
        ],
        "risk_coverage": thinned(np.stack([curve.coverage, curve.risk], axis=1)),
        "aurc": curve.area,
    }


def roc_points(y: Floats, p: Floats) -> list[list[float]]:
    """[false positive rate, sensitivity] from (0, 0) to (1, 1), at most `MAX_POINTS` of them.

    Args:
        y, p: (study,) truth 0 or 1, both there, and probability.
    """
    order = np.argsort(-p, kind="stable")
    last = np.append(np.flatnonzero(np.diff(p[order])), len(p) - 1)  # of equal scores only the last is a threshold
    true, false = np.cumsum(y[order])[last], np.cumsum(1 - y[order])[last]
    points = np.stack([false / false[-1], true / true[-1]], axis=1)
    return thinned(np.concatenate([[[0.0, 0.0]], points]))


def thinned(points: Floats) -> list[list[float]]:
    """At most `MAX_POINTS` of the points (point, 2), evenly, the ends among them."""
    if len(points) > MAX_POINTS:
        points = points[np.linspace(0, len(points) - 1, MAX_POINTS).round().astype(int)]
    return np.round(points, DIGITS).tolist()


def one_label_sets(judged: Judged, validation: Judged | None, at: int, drawn: Bootstrap) -> dict[str, Any]:
    """Prediction sets of one label: how often they hold the truth, of all and of each class, and how large they are."""
    if validation is None or len(validation) == 0:
        return {"not_made": NO_SETS}
    code = judged.codes[at]
    column = slice(at, at + 1)
    fitted = fit_sets(validation.truth[:, column], validation.score[:, column], ALPHA, labels=[code])
    (most, n) = fitted.most[0], fitted.n[0]
    if None in most:
        why = f"prediction sets of {code} need {round(1 / ALPHA) - 1} validation studies of each class"
        return {"not_made": f"{why}, got {n[1]} positive and {n[0]} negative: add some"}
    holds = fitted.sets(judged.score[:, column])
    covered = covered_by_sets(judged.truth[:, column], holds)[:, 0]
    sizes = np.bincount(holds[:, 0].sum(axis=1), minlength=3) / len(holds)
    classes = {"coverage": ~np.isnan(covered)}
    classes |= {"positives": judged.truth[:, at] == 1, "negatives": judged.truth[:, at] == 0}
    several = "" if validation.is_one_each else "; several of one patient: the promise is for one study a patient"
    return {
        "fitted_on": f"validation split, {n[1]} positive and {n[0]} negative studies{several}",
        "promised": 1 - ALPHA,
        **{name: _share(covered[mask], judged.patients[mask], name, drawn) for name, mask in classes.items()},
        "empty": float(sizes[0]),
        "one_answer": float(sizes[1]),
        "not_sure": float(sizes[2]),
    }


def _share(covered: Floats, patients: Codes, what: str, drawn: Bootstrap) -> dict[str, Any]:
    """The share that is covered."""
    if len(covered) == 0:
        return Estimate(None, reason=f"coverage of {what} needs such studies, got none: add some").to_json()
    return bootstrap(
        lambda rows: float(covered[rows].mean()), patients.tolist(), draws=drawn.draws, seed=drawn.seed
    ).to_json()
