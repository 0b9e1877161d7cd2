"""What happened to the patients: Kaplan–Meier curves by risk group, the log-rank test, calibration at a horizon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation.checks import Floats
from cardioloom.evaluation.estimate import Estimate
from cardioloom.evaluation.survival import (
    checked_horizon,
    checked_outcome,
    finite,
    product_limit,
)


@dataclass(frozen=True)
class KaplanMeier:
    """One curve; arrays are (times,), at the distinct times of events and of censoring, ascending.

    Args:
        times: years.
        survival: share free of the event just after each time.
        low, high: its interval; NaN where none is defined (before the first event, and where nobody is left).
        at_risk: patients under observation just before each time.
        events: events at each time.
    """

    times: Floats
    survival: Floats
    low: Floats
    high: Floats
    at_risk: NDArray[np.int64]
    events: NDArray[np.int64]

    def at(self, horizon: float) -> Estimate:
        """Survival at a horizon in years; no value where no patient was followed that long."""
        years, n = checked_horizon(horizon), int(self.at_risk[0])
        k = int(np.searchsorted(self.times, years, side="right")) - 1
        died = int(self.events[: k + 1].sum())
        if years > self.times[-1] and self.survival[-1] > 0:
            reason = f"survival at {years:g} years needs patients followed that long, got {self.times[-1]:g} years"
            return Estimate(None, n=n, events=died, reason=f"{reason}: shorten the horizon")
        value = float(self.survival[k]) if k >= 0 else 1.0
        if k < 0 or np.isnan(self.low[k]):
            reason = "nobody is left" if value == 0 else "no event by then"
            return Estimate(value, n=n, events=died, reason=f"{reason}: Greenwood's variance is not defined")
        return Estimate(value, float(self.low[k]), float(self.high[k]), n=n, events=died)

    def to_json(self) -> dict[str, Any]:
        """Lists for a plot; None where no interval is defined."""
        columns: dict[str, Any] = {name: getattr(self, name).tolist() for name in ("times", "survival")}
        for name in ("low", "high"):
            columns[name] = [None if np.isnan(bound) else bound for bound in getattr(self, name).tolist()]
        return columns | {"at_risk": self.at_risk.tolist(), "events": self.events.tolist()}


def kaplan_meier(time: ArrayLike, event: ArrayLike, *, coverage: float = 0.95) -> KaplanMeier:
    """Kaplan–Meier with Greenwood's variance and the interval on the log(−log) scale, as lifelines gives it.

    Kaplan and Meier 1958; Greenwood 1926; Kalbfleisch and Prentice, The Statistical Analysis of Failure Time Data,
    2nd edition. A curve without an event stays at 1 and has no interval.

    Args:
        time: (record,) years, positive.
        event: (record,) bool, False = censored.
        coverage: of the pointwise interval.

    Raises:
        UsageError: time, event or coverage cannot be.
    """
    if not 0 < coverage < 1:
        raise UsageError(f"the coverage of an interval lies between 0 and 1, got {coverage}")
    times, survival, at_risk, died = product_limit(*checked_outcome(time, event))
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.cumsum(died / (at_risk * (at_risk - died)))
        log_survival = np.log(survival)
        width = norm.ppf((1 + coverage) / 2) * np.sqrt(variance) / np.abs(log_survival)
        defined = (survival > 0) & (survival < 1)
        low = np.where(defined, np.exp(log_survival * np.exp(width)), np.nan)
        high = np.where(defined, np.exp(log_survival * np.exp(-width)), np.nan)
    return KaplanMeier(times, survival, low, high, at_risk, died)


def risk_groups(risk: ArrayLike, *, groups: int = 4, cuts: ArrayLike | None = None) -> NDArray[np.int64]:
    """Group (record,) of each patient, 0 = lowest risk; equal risks share a group.

    Args:
        risk: (record,) finite.
        groups: groups of about equal size, by quantiles of these risks.
        cuts: ascending limits chosen beforehand, in place of quantiles; a risk equal to a limit is above it.

    Raises:
        NotEstimableError: risks so tied that they do not make that many groups.
        UsageError: risk, groups or cuts cannot be.
    """
    risks = finite(risk, "risk")
    if cuts is not None:
        limits = finite(cuts, "cuts")
        if (np.diff(limits) <= 0).any():
            raise UsageError(f"cuts must be ascending limits of risk, got {limits.tolist()}")
        return np.searchsorted(limits, risks, side="right")
    if groups < 2 or groups > len(risks):
        raise UsageError(f"groups must be from 2 to the {len(risks)} patients, got {groups}")
    limits = np.quantile(risks, np.arange(1, groups) / groups)
    _, group = np.unique(np.searchsorted(limits, risks, side="right"), return_inverse=True)
    if group.max() + 1 < groups:
        raise NotEstimableError(
            f"{groups} risk groups need as many distinct levels of risk, got {group.max() + 1} groups after ties: "
            "ask for fewer groups"
        )
    return group


def kaplan_meier_by_group(
    time: ArrayLike, event: ArrayLike, group: ArrayLike, *, coverage: float = 0.95
) -> dict[Any, KaplanMeier]:
    """One curve a group, in the order of the groups; ``group`` (record,) as of ``risk_groups``, or names.

    Raises:
        UsageError: as ``kaplan_meier``, or groups of other patients.
    """
    (years, events), groups = checked_outcome(time, event), checked_groups(group, len(np.asarray(time)))
    return {
        name.item(): kaplan_meier(years[groups == name], events[groups == name], coverage=coverage)
        for name in np.unique(groups)
    }


def log_rank(time: ArrayLike, event: ArrayLike, group: ArrayLike) -> float:
    """p of the log-rank test that all groups share one survival curve (Mantel 1966; computed by lifelines).

    Args:
        time, event: as in ``kaplan_meier``.
        group: (record,) as of ``risk_groups``, or names.

    Raises:
        NotEstimableError: one group only, or all censored.
        UsageError: time, event or group cannot be.
    """
    from lifelines.statistics import multivariate_logrank_test

    (years, events), groups = checked_outcome(time, event), checked_groups(group, len(np.asarray(time)))
    names, codes = np.unique(groups, return_inverse=True)
    if len(names) < 2 or not events.any():
        got = f"{len(names)} groups and {np.count_nonzero(events)} events"
        raise NotEstimableError(f"the log-rank test needs two groups and an event, got {got}")
    return float(multivariate_logrank_test(years, codes, events).p_value)


def calibration_at(
    time: ArrayLike, event: ArrayLike, predicted: ArrayLike, horizon: float, *, groups: int = 10
) -> list[dict[str, Any]]:
    """Predicted risk against observed risk, 1 − Kaplan–Meier, by tenths of predicted risk.

    D'Agostino and Nam, Handbook of Statistics 2003;23:1–25. A group that is not followed to the horizon says so.

    Args:
        time, event: as in ``kaplan_meier``.
        predicted: (record,) probability of an event by the horizon.
        horizon: years.
        groups: groups of about equal size.

    Returns:
        One row a group: group, n, predicted (its mean), observed (an Estimate as JSON).

    Raises:
        NotEstimableError: all censored, or risks so tied that they do not make the groups.
        UsageError: time, event, predicted, horizon or groups cannot be.
    """
    years, events = checked_outcome(time, event)
    risks = probabilities(predicted, len(years))
    if not events.any():
        raise NotEstimableError(f"calibration needs events, got {len(years)} patients who are all censored")
    group = risk_groups(risks, groups=groups)
    return [
        {
            "group": k,
            "n": int(np.count_nonzero(group == k)),
            "predicted": float(risks[group == k].mean()),
            "observed": observed_risk(years[group == k], events[group == k], horizon).to_json(),
        }
        for k in range(groups)
    ]


def observed_risk(time: ArrayLike, event: ArrayLike, horizon: float, *, coverage: float = 0.95) -> Estimate:
    """Risk of the event by the horizon (years) with its interval: 1 − Kaplan–Meier; errors of ``kaplan_meier``."""
    alive = kaplan_meier(time, event, coverage=coverage).at(horizon)
    if alive.value is None:
        return alive
    bounds = (None, None) if alive.low is None or alive.high is None else (1 - alive.high, 1 - alive.low)
    return Estimate(1 - alive.value, *bounds, n=alive.n, events=alive.events, reason=alive.reason)


def checked_groups(group: ArrayLike, n_records: int) -> NDArray[Any]:
    """Groups (record,) of any one type; UsageError where they are of other patients."""
    groups = np.asarray(group)
    if groups.shape != (n_records,):
        raise UsageError(f"group must be one value a record, got shape {groups.shape} for {n_records} records")
    return groups


def probabilities(values: ArrayLike, n_records: int) -> Floats:
    """Probabilities (record,); UsageError outside 0–1 or of other patients."""
    given = finite(values, "the predicted risk")
    if given.shape != (n_records,):
        raise UsageError(f"predicted risks must be of the same patients, got {len(given)} for {n_records} records")
    if given.min() < 0 or given.max() > 1:
        raise UsageError(f"a predicted risk lies between 0 and 1, got {given.min():g} to {given.max():g}")
    return given
