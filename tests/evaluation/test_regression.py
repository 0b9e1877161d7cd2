"""Errors of numbers against scikit-learn and scipy, and Bland–Altman limits by simulation."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr
from sklearn import metrics

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation.regression import (
    bland_altman,
    mean_absolute_error,
    pearson_r,
    r_squared,
    regression_table,
    root_mean_square_error,
)


def pairs(seed: int, n: int = 50):
    rng = np.random.default_rng(seed)
    truth = rng.normal(55, 10, n)
    return truth, 0.8 * truth + rng.normal(8, 5, n)


@pytest.mark.parametrize("seed", range(3))
def test_metrics_equal_scikit_learn_and_scipy(seed):
    truth, predicted = pairs(seed)
    assert r_squared(truth, predicted) == pytest.approx(metrics.r2_score(truth, predicted), abs=1e-12)
    assert mean_absolute_error(truth, predicted) == pytest.approx(metrics.mean_absolute_error(truth, predicted))
    expected = metrics.root_mean_squared_error(truth, predicted)
    assert root_mean_square_error(truth, predicted) == pytest.approx(expected)
    assert pearson_r(truth, predicted) == pytest.approx(pearsonr(truth, predicted)[0], abs=1e-12)
    holes = np.append(truth, np.nan), np.append(predicted, 3.0)
    assert r_squared(*holes) == r_squared(truth, predicted)
    assert bland_altman(*holes) == bland_altman(truth, predicted)


@given(st.integers(0, 1000), st.floats(0.1, 10), st.floats(-50, 50))
def test_correlation_ignores_scale_and_shift_and_errors_do_not(seed, scale, shift):
    truth, predicted = pairs(seed, 20)
    assert pearson_r(truth, scale * predicted + shift) == pytest.approx(pearson_r(truth, predicted), abs=1e-9)
    before: Any = bland_altman(truth, predicted)["bias"].value
    assert bland_altman(truth, predicted + shift)["bias"].value == pytest.approx(before + shift, abs=1e-9)
    assert root_mean_square_error(truth, predicted) >= mean_absolute_error(truth, predicted)


def test_limits_are_those_of_the_paper():
    # Bland and Altman 1999, section 3.1: SE of a limit is s·√(1/n + 1.96²/(2(n−1))), about 1.71·s/√n.
    truth, predicted = pairs(4, 100)
    found: Any = bland_altman(truth, predicted)
    s = np.std(predicted - truth, ddof=1)
    assert found["upper"].value - found["bias"].value == pytest.approx(1.959964 * s, rel=1e-6)
    assert found["lower"].value + found["upper"].value == pytest.approx(2 * found["bias"].value)
    half = found["upper"].high - found["upper"].value
    assert half == pytest.approx(1.984217 * s * np.sqrt(1 / 100 + 1.959964**2 / (2 * 99)), rel=1e-6)
    assert half / (1.984217 * s / 10) == pytest.approx(1.71, abs=0.01)
    wide: Any = bland_altman(truth, predicted, coverage=0.99)
    assert wide["upper"].value > found["upper"].value


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng, draws, held = np.random.default_rng(0), 3000, np.zeros(3)
    true = {"bias": 2.0, "lower": 2 - 1.959964 * 3, "upper": 2 + 1.959964 * 3}
    for _ in range(draws):
        found: Any = bland_altman(np.zeros(60), rng.normal(2, 3, 60))
        held += [found[name].low <= value <= found[name].high for name, value in true.items()]
    # The normal approximation of a limit is a little off at n = 60.
    assert np.all(np.abs(held / draws - 0.95) < 4 * np.sqrt(0.95 * 0.05 / draws) + 0.005)


def test_what_data_do_not_give_is_not_estimable():
    with pytest.raises(NotEstimableError, match="the truth to vary, got 3 equal"):
        r_squared([5.0, 5.0, 5.0], [1.0, 2.0, 3.0])
    with pytest.raises(NotEstimableError, match="the predictions to vary"):
        pearson_r([1.0, 2.0, 3.0], [5.0, 5.0, 5.0])
    with pytest.raises(NotEstimableError, match="needs 1 measured records, got 0 of 2"):
        mean_absolute_error([np.nan, np.nan], [1.0, 2.0])
    with pytest.raises(NotEstimableError, match="needs 3 measured"):
        bland_altman([1.0, 2.0], [1.0, 2.0])
    table = regression_table([4.0, 4.0, np.nan], [1.0, 2.0, 3.0])
    assert table["mean_absolute_error"] == {"n": 2, "value": 2.5}
    assert "vary" in table["r_squared"]["not_estimable"]
    assert "3 measured" in table["bland_altman"]["not_estimable"]
    assert set(regression_table(*pairs(0))["bland_altman"]) == {"bias", "lower", "upper"}
    json.dumps(regression_table(*pairs(0)))


@pytest.mark.parametrize(
    ("truth", "predicted", "says"),
    [
        (["a", "b"], [1.0, 2.0], "numbers"),
        ([1.0, 2.0], [1.0], "shapes"),
        ([[1.0, 2.0]], [[1.0, 2.0]], "one number a record"),
        ([1.0, 2.0], [1.0, np.nan], "finite"),
        ([1.0, np.inf], [1.0, 2.0], "finite"),
    ],
)
def test_what_cannot_be_is_refused(truth, predicted, says):
    with pytest.raises(UsageError, match=says):
        root_mean_square_error(truth, predicted)


def test_coverage_is_a_share():
    with pytest.raises(UsageError, match="coverage"):
        bland_altman(*pairs(0), coverage=95)
