"""Numbers of several outputs in one: means of their R², r and errors, each with an interval over patients."""

from __future__ import annotations

from typing import Any

import numpy as np

from cardioloom.errors import NotEstimableError
from cardioloom.evaluation import regression
from cardioloom.evaluation.bootstrap import Resampled
from cardioloom.evaluation.checks import Floats
from cardioloom.evaluation.estimate import Estimate
from cardioloom.evaluation.judged import Bootstrap, Judged
from cardioloom.evaluation.sums import drawn_sums, patient_sums

MEANS = ("r2", "r", "mae", "mae_in_sd")
FLAT = 1e-12  # a variance below this share of that of all studies is rounding


def over_outputs(judged: Judged, drawn: Bootstrap) -> dict[str, Any]:
    """Means over the outputs of a regression; the same patients are drawn for all outputs. Empty for one output.

    Args:
        judged: predictions and truth.
        drawn: how intervals are drawn.

    Returns:
        ``r2``, ``r``, ``mae`` (where all outputs have one unit), ``mae_in_sd`` (errors in standard deviations of the
        truth), ``outputs`` that they are of, ``left_out`` {output: why it has no R²}.
    """
    if len(judged.outputs) < 2:
        return {}
    left_out, at = {}, []
    for k, code in enumerate(judged.codes):
        try:
            regression.r_squared(judged.truth[:, k], judged.score[:, k])
            at.append(k)
        except NotEstimableError as error:
            left_out[code] = str(error)
    found: dict[str, Any] = {"outputs": [judged.codes[k] for k in at], "left_out": left_out}
    n = int((~np.isnan(judged.truth[:, at])).any(axis=1).sum()) if at else 0
    if len(at) < 2:
        reason = f"a mean over outputs needs two with measured numbers that vary, got {len(at)}: add studies"
        return found | {name: Estimate(None, n=n, reason=reason).to_json() for name in MEANS}
    terms = np.concatenate([_terms(judged.truth[:, k], judged.score[:, k]) for k in at], axis=1)
    sums = patient_sums(terms, judged.patients)
    of_draws = drawn_sums(sums, draws=drawn.draws, seed=drawn.seed)
    sd = [float(np.nanstd(judged.truth[:, k])) for k in at]
    point, draws = (
        np.mean([_metrics(own, sd[k]) for k, own in enumerate(np.split(given, len(at), axis=1))], axis=0)
        for given in (sums.sum(axis=0, keepdims=True), of_draws)
    )
    without = _not_estimable(judged, at)
    for k, name in enumerate(MEANS):
        estimate = Resampled(draws[k]).estimate(float(point[k, 0]), n=n)
        found[name] = (Estimate(None, n=n, reason=without[name]) if without.get(name) else estimate).to_json()
    return found


def _terms(truth: Floats, score: Floats) -> Floats:
    """(study, 7) what the metrics are made of: 1, y, y², p, p², y·p, |p − y|, in standard deviations from the mean of
    the truth; 0 where that is not known."""
    known = ~np.isnan(truth)
    mean, sd = truth[known].mean(), truth[known].std()
    y, p = ((np.where(known, values, mean) - mean) / sd for values in (truth, score))
    return np.stack([known.astype(float), y, y * y, p, p * p, y * p, np.abs(p - y)], axis=1)


def _metrics(sums: Floats, sd: float) -> Floats:
    """(metric, draw) of `MEANS`; NaN where a draw cannot give it.

    Args:
        sums: (draw, 7) of `_terms`.
        sd: of the truth of all studies, in its unit.
    """
    n, y, yy, p, pp, yp, errors = sums.T
    with np.errstate(divide="ignore", invalid="ignore"):
        of_truth, of_score, both = yy - y * y / n, pp - p * p / n, yp - y * p / n
        of_truth, of_score = (np.where(own > FLAT * n, own, np.nan) for own in (of_truth, of_score))
        squared = yy - 2 * yp + pp
        r2, r = 1 - squared / of_truth, np.clip(both / np.sqrt(of_truth * of_score), -1, 1)
        return np.stack([r2, r, errors / n * sd, errors / n / np.sqrt(of_truth / n)])


def _not_estimable(judged: Judged, at: list[int]) -> dict[str, str]:
    """Metric → why a mean of it says nothing."""
    found = {}
    for k in at:
        own = judged.score[~np.isnan(judged.truth[:, k]), k]
        if own.min() == own.max():
            found["r"] = f"Pearson's r needs predictions that vary, got {len(own)} equal ones of {judged.codes[k]}"
    units = {judged.outputs[k].unit for k in at}
    if len(units) > 1 or units == {""}:
        said = ", ".join(sorted(unit or "none" for unit in units))
        found["mae"] = f"a mean of errors needs outputs of one unit, got {said}: take the errors in standard deviations"
    return found
