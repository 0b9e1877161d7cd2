"""Decision curves: is acting on a model better than acting on everybody or on nobody."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation.calibration import checked_label
from cardioloom.evaluation.checks import Floats
from cardioloom.evaluation.survival import checked_risk, finite
from cardioloom.evaluation.survival_curves import kaplan_meier, probabilities

THRESHOLDS = tuple(k / 100 for k in range(1, 100))


def net_benefit(
    truth: ArrayLike, score: ArrayLike, thresholds: ArrayLike = THRESHOLDS, *, name: str = "this label"
) -> Floats:
    """True positives less false positives at the threshold's odds, per record (threshold,).

    Vickers and Elkin, Medical Decision Making 2006;26:565–574: TP/n − FP/n · pt/(1 − pt). A score at the threshold
    is positive.

    Args:
        truth: (record,) 0/1, NaN = not labelled.
        score: (record,) probabilities.
        thresholds: (threshold,) probabilities pt at which one would act, between 0 and 1, both excluded.

    Raises:
        NotEstimableError: the labelled records are of one class.
        UsageError: truth, score or thresholds cannot be.
    """
    y, p = checked_label(truth, score, "net benefit", name)
    at = checked_thresholds(thresholds)
    order = np.argsort(p)
    first = np.searchsorted(p[order], at, side="left")
    below = np.concatenate(([0.0], np.cumsum(y[order])))[first]
    true_positives = y.sum() - below
    false_positives = len(y) - first - true_positives
    return (true_positives - false_positives * odds(at)) / len(y)


def net_benefit_of_all(prevalence: float, thresholds: ArrayLike = THRESHOLDS) -> Floats:
    """Net benefit (threshold,) of acting on everybody; that of acting on nobody is 0."""
    return prevalence - (1 - prevalence) * odds(checked_thresholds(thresholds))


def decision_curve(
    truth: ArrayLike, score: ArrayLike, thresholds: ArrayLike = THRESHOLDS, *, name: str = "this label"
) -> list[dict[str, Any]]:
    """Rows of threshold, model, treat_all, treat_none and avoided; arguments and errors of ``net_benefit``.

    ``avoided`` counts interventions spared per 100 patients against acting on everybody without missing more disease
    (Vickers and Elkin 2006): 100 · (model − treat_all) / odds of the threshold.
    """
    y, _ = checked_label(truth, score, "the decision curve", name)
    return rows(checked_thresholds(thresholds), net_benefit(truth, score, thresholds, name=name), float(y.mean()))


def decision_curve_at(
    time: ArrayLike,
    event: ArrayLike,
    predicted: ArrayLike,
    horizon: float,
    thresholds: ArrayLike = THRESHOLDS,
) -> list[dict[str, Any]]:
    """The decision curve for an event by a horizon in censored data; rows as in ``decision_curve``.

    Vickers et al., BMC Med Inform Decis Mak 2008;8:53: the share of true positives is that of patients at or above the
    threshold times their 1 − Kaplan–Meier at the horizon. Where those patients are not followed so long, the row has
    ``not_estimable`` in place of the model's value.

    Args:
        time: (record,) years, positive.
        event: (record,) bool, False = censored.
        predicted: (record,) probability of an event by the horizon.
        horizon: years.
        thresholds: as in ``net_benefit``.

    Raises:
        NotEstimableError: all censored, no event by the horizon, or follow-up that does not reach it.
        UsageError: an argument cannot be.
    """
    years, events, _ = checked_risk(time, event, predicted)
    risks, at = probabilities(predicted, len(years)), checked_thresholds(thresholds)
    alive = kaplan_meier(years, events).at(horizon)
    if alive.value is None:
        raise NotEstimableError(str(alive.reason))
    if alive.value == 1:
        raise NotEstimableError(f"a decision curve at {horizon:g} years needs an event by then: lengthen the horizon")
    benefits: list[float | str] = []
    for threshold, weight in zip(at, odds(at), strict=True):
        chosen = risks >= threshold
        if not chosen.any():
            benefits.append(0.0)
            continue
        free = kaplan_meier(years[chosen], events[chosen]).at(horizon)
        if free.value is None:
            benefits.append(str(free.reason))
        else:
            benefits.append(float(chosen.mean() * ((1 - free.value) - free.value * weight)))
    return rows(at, benefits, 1 - alive.value)


def rows(thresholds: Floats, benefits: Floats | list[float | str], prevalence: float) -> list[dict[str, Any]]:
    """The table of a decision curve; a benefit that is a sentence is the reason why there is none."""
    table: list[dict[str, Any]] = []
    everybody = net_benefit_of_all(prevalence, thresholds)
    for threshold, benefit, treat_all in zip(thresholds.tolist(), benefits, everybody.tolist(), strict=True):
        row: dict[str, Any] = {"threshold": threshold, "treat_all": treat_all, "treat_none": 0.0}
        if isinstance(benefit, str):
            row["not_estimable"] = benefit
        else:
            row["model"] = float(benefit)
            row["avoided"] = float(100 * (benefit - treat_all) * (1 - threshold) / threshold)
        table.append(row)
    return table


def odds(thresholds: Floats) -> Floats:
    """pt / (1 − pt) (threshold,)."""
    return thresholds / (1 - thresholds)


def checked_thresholds(thresholds: ArrayLike) -> Floats:
    """(threshold,) between 0 and 1, both excluded; UsageError otherwise."""
    at = finite(thresholds, "thresholds")
    if at.min() <= 0 or at.max() >= 1:
        raise UsageError(f"thresholds lie between 0 and 1, both excluded, got {at.tolist()[:5]}")
    return at
