from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation.compare import (
    compare_macro,
    delong,
    delong_covariance,
    paired_bootstrap,
    placements,
    two_sided_p,
)
from cardioloom.evaluation.discrimination import auroc, macro


def two_models(seed: int = 0, n: int = 300, gain: float = 0.1):
    """Truth, and two related scores with ties, the first better."""
    rng = np.random.default_rng(seed)
    truth = (rng.random(n) < 0.4).astype(float)
    shared = rng.normal(0.4 + 0.1 * truth, 0.15)
    first = np.clip(shared + gain * truth + rng.normal(0, 0.05, n), 0, 1).round(2)
    return truth, first, np.clip(shared + rng.normal(0, 0.05, n), 0, 1).round(2)


def slow_delong(truth, first, second) -> tuple[float, float, float]:
    """Equations 4 to 6 of DeLong et al. 1988, every pair by itself: difference, its variance, p."""
    of_positives, of_negatives = [], []
    for score in (first, second):
        x, y = score[truth == 1], score[truth == 0]
        psi = [[1.0 if a > b else 0.5 if a == b else 0.0 for b in y] for a in x]
        of_positives.append([sum(row) / len(y) for row in psi])
        of_negatives.append([sum(row[j] for row in psi) / len(x) for j in range(len(y))])
    area = [sum(values) / len(values) for values in of_positives]
    variance = 0.0
    for side in (of_positives, of_negatives):
        m = len(side[0])
        gaps = [(a - area[0]) - (b - area[1]) for a, b in zip(*side, strict=True)]
        variance += sum(gap**2 for gap in gaps) / (m - 1) / m
    difference = area[0] - area[1]
    return difference, variance, 2 * (1 - norm.cdf(abs(difference) / variance**0.5))


@pytest.mark.parametrize("seed", range(4))
def test_delong_agrees_with_every_pair_counted(seed: int):
    truth, first, second = two_models(seed, n=80, gain=0.03)
    difference, variance, p = slow_delong(truth, first, second)
    found = delong(truth, first, second)
    assert found.difference.value == pytest.approx(difference, abs=1e-13)
    reach = norm.ppf(0.975) * variance**0.5
    assert (found.difference.low, found.difference.high) == pytest.approx((difference - reach, difference + reach))
    assert found.p == pytest.approx(p, rel=1e-9)
    assert (found.first, found.second) == pytest.approx((auroc(truth, first), auroc(truth, second)), abs=1e-14)
    assert found.to_json()["method"] == "DeLong"


@settings(max_examples=40)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=4, max_size=30))
def test_placements_average_to_the_auroc(records):
    positive, score = np.array([r[0] for r in records]), np.array([r[1] for r in records]) / 4
    positive[:2] = True, False
    of_positives, of_negatives = placements(positive, score)
    assert of_positives.mean() == pytest.approx(auroc(positive, score), abs=1e-12)
    assert of_negatives.mean() == pytest.approx(auroc(positive, score), abs=1e-12)


def test_delongs_spread_is_that_of_new_samples():
    areas, variances = [], []
    for seed in range(300):
        truth, first, _ = two_models(seed, n=120)
        area, covariance = delong_covariance(truth == 1, first[None])
        areas.append(area[0])
        variances.append(covariance[0, 0])
    assert np.mean(variances) ** 0.5 == pytest.approx(np.std(areas), rel=0.1)


def test_swapping_the_models_turns_the_sign():
    truth, first, second = two_models()
    there, back = delong(truth, first, second), delong(truth, second, first)
    assert there.difference.value == pytest.approx(-back.difference.value)
    assert there.p == pytest.approx(back.p)
    assert there.p < 0.001


def test_no_variance_is_no_p_value():
    truth, first, _ = two_models()
    same = delong(truth, first, first / 2)
    assert same.difference.value == 0
    assert same.p is None
    assert "no variance" in same.difference.to_json()["no_interval"]


def test_delong_refuses_what_it_cannot_judge():
    truth, first, second = two_models()
    delong(truth, first, second, patients=range(len(truth)))
    with pytest.raises(UsageError, match="one record a patient, got 300 of 299: use paired_bootstrap"):
        delong(truth, first, second, patients=[0, *range(len(truth) - 1)])
    with pytest.raises(NotEstimableError, match="needs both classes"):
        delong(np.zeros(300), first, second)
    with pytest.raises(NotEstimableError, match="two records of each class, got 1"):
        delong([1, 0, 0], [0.1, 0.2, 0.3], [0.1, 0.3, 0.2])


def test_paired_bootstrap_agrees_with_delong_on_independent_records():
    truth, first, second = two_models(gain=0.04)
    expected = delong(truth, first, second)
    found = paired_bootstrap(
        lambda rows: auroc(truth[rows], first[rows]),
        lambda rows: auroc(truth[rows], second[rows]),
        len(truth),
        draws=300,
    )
    assert found.difference.value == pytest.approx(expected.difference.value)
    assert found.difference.low == pytest.approx(expected.difference.low, abs=0.015)
    assert found.difference.high == pytest.approx(expected.difference.high, abs=0.015)
    fast = compare_macro("auroc", truth, first, second, None, draws=300)
    assert (fast.difference.low, fast.difference.high) == pytest.approx((found.difference.low, found.difference.high))
    assert fast.p == found.p


def test_macro_averages_are_compared_on_the_same_draws():
    parts = [two_models(seed, gain=0.05) for seed in range(5)]
    truth, first, second = (np.stack(columns, axis=1) for columns in zip(*parts, strict=True))
    patients = np.arange(300) // 2
    found = compare_macro("auprc", truth, first, second, patients)
    assert found.first == macro("auprc", truth, first).value
    assert found.difference.value == pytest.approx(found.first - found.second)
    assert 0 < found.difference.low < found.difference.value < found.difference.high
    assert found.p == pytest.approx(2 / 1001)
    same = compare_macro("auroc", truth, first, first, patients)
    assert (same.difference.low, same.difference.high, same.p) == (0, 0, 1)


def test_p_under_no_difference_is_uniform():
    small = 0
    for seed in range(200):
        truth, _, second = two_models(seed, n=100, gain=0)
        _, first, _ = two_models(seed, n=100, gain=0)
        small += delong(truth, first, second).p < 0.1
    assert 0.05 < small / 200 < 0.16


def test_p_counts_draws_on_the_smaller_side():
    assert two_sided_p(np.array([1.0] * 98 + [-1.0] * 1 + [np.nan])) == pytest.approx(2 * 2 / 100)
    assert two_sided_p(np.zeros(100)) == 1


def test_too_few_positives_leave_the_difference_without_an_interval():
    truth = np.zeros(60)
    truth[:1] = 1
    score = np.linspace(0, 1, 60)
    found = compare_macro("auroc", truth, score, score[::-1], None)
    assert found.difference.low is None
    assert found.p is None
    assert "95%" in found.to_json()["difference"]["no_interval"]
