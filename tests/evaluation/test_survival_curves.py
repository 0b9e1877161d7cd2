"""Kaplan–Meier curves, groups, the log-rank test and calibration at a horizon against lifelines and by hand."""

from __future__ import annotations

import json
from typing import Any, cast

import numpy as np
import pytest
from scipy.stats import CensoredData, chi2, ecdf
from scipy.stats import logrank as scipy_logrank

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation.survival_curves import (
    calibration_at,
    kaplan_meier,
    kaplan_meier_by_group,
    log_rank,
    observed_risk,
    risk_groups,
)


def cohort(seed: int, n: int = 300):
    rng = np.random.default_rng(seed)
    risk = rng.normal(size=n)
    time, censoring = rng.exponential(np.exp(-risk)) * 3, rng.exponential(4.0, n)
    event = time <= censoring
    return np.ceil(np.minimum(time, censoring) * 6) / 6, event, risk


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("coverage", [0.95, 0.8])
def test_curve_and_interval_equal_lifelines(seed, coverage):
    from lifelines import KaplanMeierFitter

    time, event, _ = cohort(seed)
    ours = kaplan_meier(time, event, coverage=coverage)
    fitted = KaplanMeierFitter(alpha=1 - coverage).fit(time, event)
    table = fitted.event_table.loc[ours.times]
    np.testing.assert_allclose(ours.survival, fitted.survival_function_at_times(ours.times), atol=1e-12)
    np.testing.assert_array_equal(ours.at_risk, table["at_risk"])
    np.testing.assert_array_equal(ours.events, table["observed"])
    theirs = fitted.confidence_interval_survival_function_.loc[ours.times].to_numpy()
    known = ~np.isnan(ours.low)
    assert known.sum() > 10
    np.testing.assert_allclose(np.column_stack((ours.low, ours.high))[known], theirs[known], atol=1e-10)
    # lifelines says 1 before the first event, where no variance is defined.
    assert np.all((ours.survival[~known] == 1) | (ours.survival[~known] == 0))


def test_curve_equals_scipy_and_the_textbook():
    time, event, _ = cohort(11)
    ours = kaplan_meier(time, event)
    theirs = ecdf(CensoredData(uncensored=time[event], right=time[~event])).sf
    np.testing.assert_allclose(ours.survival, theirs.evaluate(ours.times), atol=1e-12)
    by_hand = kaplan_meier([1.0, 2.0, 2.0, 3.0, 4.0], np.array([True, True, False, False, True]))
    np.testing.assert_allclose(by_hand.survival, [4 / 5, 4 / 5 * 3 / 4, 3 / 5, 0])
    assert by_hand.at_risk.tolist() == [5, 4, 2, 1]


def test_survival_at_a_horizon_says_where_follow_up_ends():
    time, event = np.array([1.0, 2.0, 3.0, 4.0]), np.array([True, False, True, False])
    curve = kaplan_meier(time, event)
    assert curve.at(1.0).value == pytest.approx(0.75)
    assert curve.at(0.5).value == 1
    assert "no event by then" in str(curve.at(0.5).reason)
    assert curve.at(3.5).value == pytest.approx(0.375)
    assert curve.at(3.5).events == 2
    late = curve.at(4.5)
    assert late.value is None
    assert "shorten the horizon" in str(late.reason)
    dead = kaplan_meier([1.0, 2.0], np.array([True, True])).at(9.0)
    assert (dead.value, dead.low) == (0.0, None)
    assert json.loads(json.dumps(curve.to_json()))["low"][-1] is not None
    assert observed_risk(time, event, 1.0).value == pytest.approx(0.25)
    risk, alive = observed_risk(time, event, 1.0), cast(Any, curve.at(1.0))
    assert (risk.low, risk.high) == (pytest.approx(1 - alive.high), pytest.approx(1 - alive.low))


def test_a_curve_without_events_is_flat_and_has_no_interval():
    curve = kaplan_meier([1.0, 2.0], np.array([False, False]))
    assert curve.survival.tolist() == [1, 1]
    assert curve.to_json()["low"] == [None, None]


def test_interval_holds_the_truth_as_often_as_it_says():
    rng, held, draws = np.random.default_rng(5), 0, 2500
    for _ in range(draws):
        time, end = rng.exponential(2.0, 120), rng.uniform(0.5, 5, 120)
        at: Any = kaplan_meier(np.minimum(time, end), time <= end).at(1.5)
        held += at.low <= np.exp(-1.5 / 2.0) <= at.high
    # Four standard errors of a share of draws, so that only a wrong interval fails.
    assert abs(held / draws - 0.95) < 4 * np.sqrt(0.95 * 0.05 / draws)


def test_groups_are_of_equal_size_and_keep_ties_together():
    risk = np.random.default_rng(0).permutation(100) / 100
    assert np.bincount(risk_groups(risk, groups=4)).tolist() == [25, 25, 25, 25]
    tied = risk_groups([0.1, 0.1, 0.1, 0.2, 0.3, 0.4], groups=2)
    assert tied.tolist() == [0, 0, 0, 1, 1, 1]
    assert risk_groups([0.1, 0.5, 0.7], cuts=[0.5]).tolist() == [0, 1, 1]
    with pytest.raises(NotEstimableError, match="fewer groups"):
        risk_groups([0.5] * 10, groups=2)
    with pytest.raises(UsageError, match="ascending"):
        risk_groups([0.1, 0.5], cuts=[0.5, 0.2])
    with pytest.raises(UsageError, match="groups must be"):
        risk_groups([0.1, 0.5], groups=3)


def test_curves_by_group_are_those_of_the_group():
    time, event, risk = cohort(2)
    group = risk_groups(risk, groups=3)
    curves = kaplan_meier_by_group(time, event, group)
    assert list(curves) == [0, 1, 2]
    low, middle, high = (cast(Any, curves[k].at(2.0).value) for k in range(3))
    assert low > middle > high
    np.testing.assert_array_equal(curves[1].survival, kaplan_meier(time[group == 1], event[group == 1]).survival)
    assert list(kaplan_meier_by_group(time, event, np.where(group == 0, "low", "high"))) == ["high", "low"]


def mantel(time, event, group) -> float:
    """p by the definition: observed less expected events of each group, and their covariance."""
    names = np.unique(group)
    excess, covariance = np.zeros(len(names)), np.zeros((len(names), len(names)))
    for at in np.unique(time[event]):
        at_risk = np.array([np.sum((group == name) & (time >= at)) for name in names])
        died = np.array([np.sum((group == name) & (time == at) & event) for name in names])
        n, d = at_risk.sum(), died.sum()
        excess += died - d * at_risk / n
        if n > 1:
            share = at_risk / n
            covariance += d * (n - d) / (n - 1) * (np.diag(share) - np.outer(share, share))
    return float(chi2.sf(excess[1:] @ np.linalg.solve(covariance[1:, 1:], excess[1:]), len(names) - 1))


@pytest.mark.parametrize("groups", [2, 3])
def test_log_rank_equals_the_definition(groups):
    time, event, risk = cohort(2, 120)
    noise = np.random.default_rng(1).normal(size=len(risk)) * 3
    group = risk_groups(risk + noise, groups=groups)
    assert 1e-6 < mantel(time, event, group) < 0.9
    assert log_rank(time, event, group) == pytest.approx(mantel(time, event, group), rel=1e-9)


def test_log_rank_of_two_groups_equals_scipy():
    time, event, risk = cohort(2, 120)
    group = risk_groups(risk, groups=2)
    sides = [CensoredData(uncensored=time[(group == k) & event], right=time[(group == k) & ~event]) for k in (0, 1)]
    assert log_rank(time, event, group) == pytest.approx(scipy_logrank(sides[0], sides[1]).pvalue, rel=1e-6)


def test_log_rank_needs_two_groups_and_an_event():
    with pytest.raises(NotEstimableError, match="1 groups and 1 events"):
        log_rank([1.0, 2.0], np.array([True, False]), [0, 0])
    with pytest.raises(NotEstimableError, match="0 events"):
        log_rank([1.0, 2.0], np.array([False, False]), [0, 1])
    with pytest.raises(UsageError, match="group must be"):
        log_rank([1.0, 2.0], np.array([True, False]), [0])


def test_calibration_at_a_horizon_of_the_true_risk_lies_in_its_intervals():
    rng = np.random.default_rng(3)
    rate = np.exp(rng.normal(size=20_000))
    time, end = rng.exponential(1 / rate) * 5, rng.uniform(0.5, 8, len(rate))
    seen, event = np.minimum(time, end), time <= end
    table = calibration_at(seen, event, 1 - np.exp(-rate * 2 / 5), 2.0)
    assert [row["n"] for row in table] == [2000] * 10
    inside = [row["observed"]["interval"][0] < row["predicted"] < row["observed"]["interval"][1] for row in table]
    assert sum(inside) >= 8
    wrong = calibration_at(seen, event, (1 - np.exp(-rate * 2 / 5)) / 2, 2.0)
    assert all(row["observed"]["value"] > row["predicted"] for row in wrong)
    json.dumps(table)


def test_calibration_says_which_group_is_not_followed_so_long():
    time = np.array([1.0, 1.5, 2.0, 1.0, 6.0, 7.0])
    event = np.array([True, False, False, True, True, False])
    table = calibration_at(time, event, [0.1, 0.2, 0.3, 0.6, 0.7, 0.8], 5.0, groups=2)
    assert "shorten the horizon" in table[0]["observed"]["not_estimable"]
    assert table[1]["observed"]["value"] == pytest.approx(1 / 3)


def test_what_cannot_be_is_refused():
    event = np.array([True, False])
    with pytest.raises(NotEstimableError, match="all censored"):
        calibration_at([1.0, 2.0], ~np.array([True, True]), [0.1, 0.2], 1.0, groups=2)
    with pytest.raises(UsageError, match="between 0 and 1"):
        calibration_at([1.0, 2.0], event, [0.1, 1.2], 1.0, groups=2)
    with pytest.raises(UsageError, match="same patients"):
        calibration_at([1.0, 2.0], event, [0.1], 1.0, groups=2)
    with pytest.raises(UsageError, match="coverage"):
        kaplan_meier([1.0, 2.0], event, coverage=95)
    with pytest.raises(UsageError, match="positive"):
        kaplan_meier([1.0, -2.0], event)
    with pytest.raises(UsageError, match="horizon"):
        kaplan_meier([1.0, 2.0], event).at(-1)
