from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation import conformal
from cardioloom.evaluation.bootstrap import bootstrap
from cardioloom.evaluation.conformal import (
    ConformalInterval,
    ConformalSets,
    conformal_quantile,
    coverage_of,
    covered_by_sets,
    fit_interval,
    fit_sets,
)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=60), st.integers(1, 19))
def test_quantile_is_the_smallest_that_enough_scores_reach(scores, twentieths):
    """In integers: the smallest score s with 20 · #{≤ s} ≥ (n + 1)(20 − twentieths)."""
    need = (len(scores) + 1) * (20 - twentieths)
    enough = [s for s in sorted(scores) if 20 * sum(other <= s for other in scores) >= need]
    if enough:
        assert conformal_quantile(scores, twentieths / 20) == enough[0]
    else:
        with pytest.raises(NotEstimableError, match=f"got {len(scores)}"):
            conformal_quantile(scores, twentieths / 20)


def test_rounding_does_not_take_a_record_more():
    assert conformal_quantile(range(1, 10), 0.7) == 3  # 10 · (1 − 0.7) = 3.0000000000000004
    assert conformal_quantile(range(1, 10), 0.1) == 9
    with pytest.raises(NotEstimableError, match="at least 9 calibration records, got 8"):
        conformal_quantile(range(8), 0.1)


@pytest.mark.parametrize("scaled", [False, True])
def test_intervals_cover_new_records_as_promised(scaled: bool):
    """Over 400 calibration sets the mean coverage is ⌈(n+1)(1−α)⌉/(n+1), by exchangeability."""
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(400):
        spread = rng.uniform(0.5, 2, 1039) if scaled else np.ones(1039)
        truth = rng.normal(0, spread)
        scale = spread if scaled else None
        fitted = fit_interval(truth[:39], np.zeros(39), 0.1, scale=None if scale is None else scale[:39])
        low, high = fitted.around(np.zeros(1000), scale=None if scale is None else scale[39:])
        covered.append(((low <= truth[39:]) & (truth[39:] <= high)).mean())
    assert np.mean(covered) == pytest.approx(36 / 40, abs=0.01)


def test_intervals_are_json_and_leave_out_what_was_not_measured():
    fitted = fit_interval([1, 2, np.nan, 4.0], [0, 0, 0, 0], 0.5)
    assert fitted == ConformalInterval(2.0, 0.5, 3)
    assert ConformalInterval(**json.loads(json.dumps(fitted.to_json()))) == fitted
    low, high = fitted.around([10.0])
    assert (low[0], high[0]) == (8, 12)


def labelled(n: int, seed: int):
    rng = np.random.default_rng(seed)
    truth = (rng.random((n, 2)) < [0.1, 0.5]).astype(float)
    score = np.clip(rng.normal(0.25 + 0.3 * truth, 0.2), 0, 1)
    return truth, score


def test_sets_keep_the_promise_for_each_class_and_not_only_on_average():
    truth, score = labelled(4000, 0)
    later, later_score = labelled(20000, 1)
    by_class, together = (fit_sets(truth, score, 0.1, by_class=apart) for apart in (True, False))
    for label in range(2):
        for positive in (0, 1):
            chosen = later[:, label] == positive
            found = covered_by_sets(later, by_class.sets(later_score))[chosen, label].mean()
            assert found == pytest.approx(0.9, abs=0.03)
    covered = covered_by_sets(later, together.sets(later_score))
    assert covered.mean(axis=0) == pytest.approx([0.9, 0.9], abs=0.02)
    assert covered[later[:, 0] == 1, 0].mean() < 0.7  # what class-conditional sets are for


def test_sets_follow_the_definition():
    truth, score = [[0], [0], [0], [1], [1], [1]], [[0.1], [0.2], [0.5], [0.4], [0.7], [0.9]]
    fitted = fit_sets(truth, score, 0.5, labels=["AF"])
    assert fitted.most[0] == (0.2, pytest.approx(0.3))  # the second of three
    assert fitted.n == ((3, 3),)
    sets = fitted.sets([[0.1], [0.5], [0.8]])
    assert sets[:, 0].tolist() == [[True, False], [False, False], [False, True]]
    np.testing.assert_array_equal(covered_by_sets([[0], [1], [np.nan]], sets)[:, 0], [1, 0, np.nan])
    stored = json.loads(json.dumps(fitted.to_json()))
    assert stored["labels"] == ["AF"]
    assert isinstance(fitted, ConformalSets)


def test_a_class_too_rare_to_calibrate_is_never_excluded():
    truth, score = labelled(200, 2)
    truth[:, 0] = 0
    truth[:3, 0] = 1
    fitted = fit_sets(truth, score, 0.1)
    assert fitted.most[0][1] is None
    assert fitted.n[0] == (197, 3)
    assert fitted.sets(score)[:, 0, 1].all()
    assert not fitted.sets(score)[:, 0, 0].all()


def test_coverage_of_all_and_of_two_groups():
    rng = np.random.default_rng(3)
    is_female = rng.random(400) < 0.3
    covered = (rng.random(400) < np.where(is_female, 0.7, 0.95)).astype(float)
    covered[:20] = np.nan
    parts = (slice(None), is_female, ~is_female)
    whole, women, men = (coverage_of(covered[own], np.arange(400)[own]) for own in parts)
    assert whole["value"] == np.nanmean(covered)
    assert women["interval"][1] < men["interval"][0]
    assert women["n"] + men["n"] == whole["n"] == 380
    assert "not_estimable" in coverage_of(np.array([np.nan]), np.zeros(1, np.int64))


def test_coverage_is_drawn_as_the_bootstrap_draws_it():
    rng = np.random.default_rng(5)
    covered = (rng.random(90) < 0.8).astype(float)
    covered[:9] = np.nan
    patients, group = rng.integers(0, 30, 90), rng.choice(["a", "b"], 90)
    for chosen in (group != "", group == "a", group == "b"):
        found = coverage_of(covered[chosen], patients[chosen], draws=150, seed=7, level=0.9)
        known = ~np.isnan(covered) & chosen
        own = covered[known]
        slow = bootstrap(lambda rows, y=own: y[rows].mean(), patients[known].tolist(), draws=150, seed=7, level=0.9)
        assert found == slow.to_json()


@pytest.mark.parametrize("n", [1, 2, 21, 400])
@pytest.mark.parametrize("level", [0.9, 0.95])
@pytest.mark.parametrize("is_covered", [False, True])
def test_where_none_or_all_are_covered_the_interval_is_the_exact_one_of_the_patients(
    n: int, level: float, is_covered: bool
):
    """Two records a patient say no more than one: they are covered together or not at all."""
    found = coverage_of(np.full(2 * n, float(is_covered)), np.repeat(np.arange(n), 2), draws=100, level=level)
    expected = binomtest(n * is_covered, n).proportion_ci(level, method="exact")
    assert (found["value"], found["n"]) == (float(is_covered), 2 * n)
    assert found["interval"] == pytest.approx(list(expected), rel=1e-9)


def test_the_exact_interval_draws_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(conformal, "drawn_sums", lambda *_, **__: pytest.fail("drawn"))
    assert "interval" in coverage_of(np.ones(40), np.arange(40))


def test_a_single_patient_who_is_covered_now_and_then_has_no_exact_interval():
    found = coverage_of(np.array([1.0, 0.0]), np.zeros(2, np.int64), draws=100)
    assert found["interval"] == [0.5, 0.5]


@pytest.mark.parametrize(
    "call",
    [
        lambda: coverage_of(np.ones(3), np.arange(3), level=2.0),
        lambda: conformal_quantile([1, 2], 0),
        lambda: conformal_quantile([1, np.nan], 0.5),
        lambda: fit_interval([1, 2], [1]),
        lambda: fit_interval([1, 2], [1, np.inf]),
        lambda: fit_interval([1, 2], [1, 2], scale=[1, 0]),
        lambda: ConformalInterval(1, 0.1, 9).around([1], scale=[1]),
        lambda: ConformalInterval(1, 0.1, 9, scaled=True).around([1]),
        lambda: fit_sets([0, 1], [0.1, 0.2], 1.0),
        lambda: fit_sets([0, 1], [0.1, 1.2]),
        lambda: fit_sets(*labelled(20, 0)).sets([0.1]),
        lambda: fit_sets(*labelled(20, 0)).sets([[0.1, 1.1]]),
        lambda: covered_by_sets([0, 1], np.ones((2, 1), bool)),
        lambda: coverage_of(np.ones(3), np.arange(3), draws=10),
        lambda: coverage_of(np.ones(3), np.arange(3), seed=-1),
    ],
)
def test_wrong_calls_are_refused(call):
    with pytest.raises(UsageError):
        call()
