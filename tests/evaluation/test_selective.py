from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation.selective import accuracy_at, binary_confidence, risk_coverage


def test_curve_is_the_mean_loss_of_the_surest():
    rng = np.random.default_rng(0)
    confidence, loss = rng.random(50), rng.random(50)
    curve = risk_coverage(confidence, loss)
    order = sorted(range(50), key=lambda i: -confidence[i])
    for n in range(1, 51):
        assert curve.risk[n - 1] == pytest.approx(np.mean([loss[i] for i in order[:n]]))
        assert curve.coverage[n - 1] == n / 50
        assert curve.confidence[n - 1] == confidence[order[n - 1]]
    assert curve.area == pytest.approx(curve.risk.mean())


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=8), st.integers(0, 99))
def test_ties_count_as_a_random_order_does_on_average(records, seed):
    rng = np.random.default_rng(seed)
    confidence, loss = np.array([r[0] for r in records], float), np.array([r[1] for r in records], float)
    curve = risk_coverage(confidence, loss)
    shuffled = rng.permutation(len(loss))
    np.testing.assert_allclose(risk_coverage(confidence[shuffled], loss[shuffled]).risk, curve.risk)
    broken = [risk_coverage(confidence + 1e-6 * rng.random(len(loss)), loss).area for _ in range(60)]
    assert np.mean(broken) == pytest.approx(curve.area, abs=0.2)
    assert curve.risk[-1] == pytest.approx(loss.mean())


def test_a_good_confidence_has_less_area_than_a_bad_one():
    loss = np.array([0, 0, 0, 1, 1])
    assert risk_coverage(-loss, loss).area < loss.mean() < risk_coverage(loss, loss).area


def test_accuracy_at_coverage():
    confidence, correct = [0.9, 0.8, 0.7, 0.6], [1, 1, 0, 1]
    assert accuracy_at(confidence, correct, 0.5) == 1
    assert accuracy_at(confidence, correct, 0.51) == pytest.approx(2 / 3)
    assert accuracy_at(confidence, correct, 1) == 0.75
    assert accuracy_at(np.arange(10), np.arange(10) >= 3, 0.7) == 1  # 0.7 · 10 is seven records


def test_confidence_is_the_distance_from_the_threshold():
    np.testing.assert_allclose(binary_confidence([0, 0.5, 0.75, 1]), [1, 0, 0.5, 1])
    np.testing.assert_allclose(binary_confidence([0.1, 0.2, 0.6], 0.2), [0.5, 0, 0.5])


@pytest.mark.parametrize(
    "call",
    [
        lambda: risk_coverage([1, 2], [1]),
        lambda: risk_coverage([1, np.nan], [1, 0]),
        lambda: risk_coverage([1, 2], [np.inf, 0]),
        lambda: accuracy_at([1, 2], [1, 0], 0),
        lambda: accuracy_at([1, 2], [1, 0.5], 0.5),
        lambda: binary_confidence([1.2]),
        lambda: binary_confidence([0.2], 1),
    ],
)
def test_wrong_calls_are_refused(call):
    with pytest.raises(UsageError):
        call()


def test_no_record_is_not_estimable():
    with pytest.raises(NotEstimableError):
        risk_coverage(np.zeros(0), np.zeros(0))
