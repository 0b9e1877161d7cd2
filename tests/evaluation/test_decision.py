"""Net benefit against counting by hand, and the censored curve against the uncensored one."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation.decision import decision_curve, decision_curve_at, net_benefit, net_benefit_of_all


@given(st.integers(0, 200), st.integers(5, 60))
def test_net_benefit_is_that_of_the_definition(seed, n):
    rng = np.random.default_rng(seed)
    score = np.round(rng.random(n), 1)
    truth = np.r_[0.0, 1.0, (rng.random(n - 2) < score[2:]).astype(float)]
    thresholds = [0.05, 0.1, 0.3, 0.5, 0.9]
    for threshold, found in zip(thresholds, net_benefit(truth, score, thresholds), strict=True):
        positive = score >= threshold
        expected = np.sum(positive & (truth == 1)) / n
        expected -= np.sum(positive & (truth == 0)) / n * threshold / (1 - threshold)
        assert found == pytest.approx(expected, abs=1e-12)


def test_the_worked_case():
    # 100 patients, 20 with disease; at 20 % the model finds 15 of them beside 16 false alarms: (15 − 16/4)/100.
    truth = np.r_[np.ones(20), np.zeros(80)]
    score = np.r_[np.full(15, 0.6), np.full(5, 0.1), np.full(16, 0.6), np.full(64, 0.1)]
    (row,) = decision_curve(truth, score, [0.2])
    assert row["model"] == pytest.approx(0.11)
    assert row["treat_all"] == pytest.approx(0.0)
    assert row["treat_none"] == 0
    assert row["avoided"] == pytest.approx(44)
    json.dumps(decision_curve(truth, score))
    assert len(decision_curve(truth, score)) == 99


def test_everybody_above_the_threshold_is_acting_on_everybody():
    truth, score = [0, 1, 1, 0, np.nan], [0.6, 0.7, 0.8, 0.9, 0.1]
    np.testing.assert_allclose(net_benefit(truth, score, [0.3, 0.5]), net_benefit_of_all(0.5, [0.3, 0.5]))
    assert net_benefit(truth, score, [0.95])[0] == 0


def test_calibrated_scores_never_do_worse_than_all_or_none():
    rng = np.random.default_rng(0)
    score = rng.beta(1, 3, 100_000)
    for row in decision_curve((rng.random(len(score)) < score).astype(int), score):
        assert row["model"] > max(row["treat_all"], 0) - 0.003


def test_the_censored_curve_is_the_plain_one_without_censoring():
    rng = np.random.default_rng(1)
    risk = np.round(rng.random(500), 2)
    time = np.where(rng.random(500) < risk, 1.0, 3.0)
    plain = decision_curve((time <= 2).astype(int), risk, [0.1, 0.4, 0.8])
    for ours, expected in zip(
        decision_curve_at(time, np.ones(500, bool), risk, 2.0, [0.1, 0.4, 0.8]), plain, strict=True
    ):
        assert ours == pytest.approx(expected, abs=1e-12)


def test_the_censored_curve_gives_what_uncensored_patients_would():
    rng = np.random.default_rng(2)
    rate = np.exp(rng.normal(-1, 1, 40_000))
    time, end, risk = rng.exponential(1 / rate), rng.uniform(0.2, 5, len(rate)), 1 - np.exp(-rate * 2)
    thresholds = [0.1, 0.3, 0.5, 0.7]
    truth = net_benefit((time <= 2).astype(int), risk, thresholds)
    rows = decision_curve_at(np.minimum(time, end), time <= end, risk, 2.0, thresholds)
    np.testing.assert_allclose([row["model"] for row in rows], truth, atol=0.015)


def test_a_threshold_whose_patients_leave_early_says_so():
    time, event = np.array([1.0, 1.0, 4.0, 5.0]), np.array([True, False, True, False])
    low, high = decision_curve_at(time, event, [0.8, 0.9, 0.1, 0.2], 3.0, [0.05, 0.85])
    assert "model" in low
    assert "shorten the horizon" in high["not_estimable"]
    (nobody,) = decision_curve_at(time, event, [0.8, 0.9, 0.1, 0.2], 3.0, [0.95])
    assert nobody["model"] == 0


def test_what_data_do_not_give_is_not_estimable():
    for metric in (net_benefit, decision_curve):
        with pytest.raises(NotEstimableError, match="both classes"):
            metric([0, 0], [0.1, 0.2])
    time = [1.0, 2.0, 3.0]
    with pytest.raises(NotEstimableError, match="all censored"):
        decision_curve_at(time, np.zeros(3, bool), [0.1, 0.2, 0.3], 2.0)
    with pytest.raises(NotEstimableError, match="needs an event by then"):
        decision_curve_at(time, np.array([False, True, False]), [0.1, 0.2, 0.3], 1.5)
    with pytest.raises(NotEstimableError, match="shorten the horizon"):
        decision_curve_at(time, np.array([False, True, False]), [0.1, 0.2, 0.3], 9.0)


@pytest.mark.parametrize("thresholds", [[0.0], [1.0], [0.5, 1.5], [], ["a"], [np.nan]])
def test_thresholds_lie_between_0_and_1(thresholds):
    with pytest.raises(UsageError):
        net_benefit([0, 1], [0.1, 0.2], thresholds)
    with pytest.raises(UsageError):
        decision_curve_at([1.0, 2.0], np.array([True, False]), [0.1, 0.2], 1.5, thresholds)


def test_scores_that_are_no_probabilities_are_refused():
    with pytest.raises(UsageError, match="0 to 1"):
        decision_curve([0, 1], [0.1, 20])
    with pytest.raises(UsageError, match="between 0 and 1"):
        decision_curve_at([1.0, 2.0], np.array([True, False]), [0.1, 20], 1.5)
