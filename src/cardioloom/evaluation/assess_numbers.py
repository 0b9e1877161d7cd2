"""One number that a model estimates: errors, agreement, and how often its interval holds the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.stats import norm

from cardioloom.errors import NotEstimableError
from cardioloom.evaluation import regression
from cardioloom.evaluation.bootstrap import bootstrap
from cardioloom.evaluation.checks import Codes, Floats
from cardioloom.evaluation.conformal import coverage_of
from cardioloom.evaluation.estimate import Estimate
from cardioloom.evaluation.groups import ordered
from cardioloom.evaluation.judged import Bootstrap, Judged

MAX_PAIRS = 500  # of truth and prediction on a page
METRICS: dict[str, Callable[[Floats, Floats], float]] = {
    "r2": regression.r_squared,
    "r": regression.pearson_r,
    "mae": regression.mean_absolute_error,
    "rmse": regression.root_mean_square_error,
}
Z = float(norm.ppf(0.975))  # limits of agreement enclose 95 % of the differences


def number(judged: Judged, at: int, drawn: Bootstrap) -> dict[str, Any]:
    """Everything of one number.

    Args:
        judged: predictions and truth.
        at: number of the output.
        drawn: how intervals are drawn.
    """
    output = judged.outputs[at]
    known = ~np.isnan(judged.truth[:, at])
    truth, score, patients = judged.truth[known, at], judged.score[known, at], judged.patients[known]
    return {
        "n": len(truth),
        "name": output.name,
        "unit": output.unit,
        "calibrated": output.calibrated,
        **{name: metric_of(metric, truth, score, patients, drawn) for name, metric in METRICS.items()},
        **agreement(truth, score, patients, drawn),
        "coverage": coverage(judged, at, drawn),
        "pairs": pairs(truth, score),
    }


def metric_of(
    metric: Callable[[Floats, Floats], float], truth: Floats, score: Floats, patients: Codes, drawn: Bootstrap
) -> dict[str, Any]:
    """A metric of numbers (study,), all known, with its patient-level interval."""
    return bootstrap(
        lambda rows: metric(truth[rows], score[rows]), patients.tolist(), draws=drawn.draws, seed=drawn.seed
    ).to_json()


def agreement(truth: Floats, score: Floats, patients: Codes, drawn: Bootstrap) -> dict[str, Any]:
    """Bias and limits of agreement: with Student's intervals (Bland and Altman 1999) where each study is of another
    patient, else with those of the bootstrap of patients."""
    if len(np.unique(patients)) == len(patients):
        try:
            found = regression.bland_altman(truth, score)
        except NotEstimableError as error:
            found = dict.fromkeys(("bias", "lower", "upper"), Estimate(None, n=len(truth), reason=str(error)))
        named = {"bias": found["bias"], "lower_limit": found["lower"], "upper_limit": found["upper"]}
        return {name: estimate.to_json() for name, estimate in named.items()}

    def limit(times: float) -> Callable[[Floats, Floats], float]:
        def value(y: Floats, p: Floats) -> float:
            if len(y) < 2:
                raise NotEstimableError(f"limits of agreement need two measured studies, got {len(y)}: add some")
            return float((p - y).mean() + times * (p - y).std(ddof=1))

        return value

    limits = {"bias": limit(0.0), "lower_limit": limit(-Z), "upper_limit": limit(Z)}
    return {name: metric_of(metric, truth, score, patients, drawn) for name, metric in limits.items()}


def coverage(judged: Judged, at: int, drawn: Bootstrap) -> dict[str, Any]:
    """How often the model's interval holds the truth, of all and by subgroup, and how wide it is.

    Returns:
        ``target`` (the share that is promised), ``half_width``, ``mean_width`` in the unit of the output,
        ``width_in_sd`` in standard deviations of the truth, ``found``, ``by`` {"sex F": the same of that group}, and
        ``short_in``: groups whose coverage is below the promise with its whole 95 % interval.
    """
    output = judged.outputs[at]
    if output.half_width is None:
        reason = f"{output.code} has no interval yet: calibrate the model"
        return {"target": output.coverage, "found": Estimate(None, reason=reason).to_json(), "by": {}}
    truth = judged.truth[:, at]
    within = (np.abs(truth - judged.score[:, at]) <= output.half_width).astype(float)
    covered = np.where(np.isnan(truth), np.nan, within)
    options = {"draws": drawn.draws, "seed": drawn.seed}
    by = {
        f"{column} {name}": coverage_of(covered[words == name], judged.patients[words == name], **options)
        for column, words in judged.groups.items()
        for name in ordered(column, words)
    }
    width, sd = 2 * output.half_width, float(np.nanstd(truth)) if (~np.isnan(truth)).any() else 0.0
    return {
        "target": output.coverage,
        "half_width": output.half_width,
        "mean_width": width,
        "width_in_sd": width / sd if sd > 0 else None,
        "found": coverage_of(covered, judged.patients, **options),
        "by": by,
        "short_in": [name for name, one in by.items() if _is_short(one, output.coverage)],
    }


def _is_short(found: Mapping[str, Any], promised: float) -> bool:
    """Whether the whole interval lies below; one of no width, as of a single patient, is the bootstrap's silence."""
    low, high = found.get("interval") or (0.0, 1.0)
    return low < high < promised


def pairs(truth: Floats, score: Floats) -> list[list[float]]:
    """[truth, predicted] of at most `MAX_PAIRS` studies, evenly by their order in the cohort."""
    found = np.stack([truth, score], axis=1)
    if len(found) > MAX_PAIRS:
        found = found[np.linspace(0, len(found) - 1, MAX_PAIRS).round().astype(int)]
    return [[float(f"{value:.6g}") for value in pair] for pair in found.tolist()]
