"""Calibration metrics against scikit-learn, scipy and numerical derivatives."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation.calibration import (
    brier,
    calibration_error,
    calibration_in_the_large,
    calibration_intercept,
    calibration_line,
    calibration_slope,
    reliability,
    wilson,
)


def scored(seed: int, n: int = 600, *, slope: float = 1.0, intercept: float = 0.0):
    """Outcomes of known risks, and scores whose true calibration line is slope and intercept."""
    rng = np.random.default_rng(seed)
    x = rng.normal(-1, 1.5, n)
    return (rng.random(n) < expit(intercept + slope * x)).astype(float), expit(x)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("equal", "theirs"), [("width", "uniform"), ("mass", "quantile")])
def test_reliability_curve_equals_scikit_learn(seed, equal, theirs):
    truth, score = scored(seed)
    rows = reliability(truth, score, bins=8, equal=equal)
    shares, means = calibration_curve(truth, score, n_bins=8, strategy=theirs)
    np.testing.assert_allclose([row["observed"]["value"] for row in rows], shares, atol=1e-12)
    np.testing.assert_allclose([row["predicted"] for row in rows], means, atol=1e-12)
    assert sum(row["n"] for row in rows) == len(truth)
    assert sum(row["observed"]["events"] for row in rows) == truth.sum()
    gaps = sum(row["n"] * abs(row["predicted"] - row["observed"]["value"]) for row in rows) / len(truth)
    assert calibration_error(truth, score, bins=8, equal=equal) == pytest.approx(gaps, abs=1e-12)
    assert brier(truth, score) == pytest.approx(brier_score_loss(truth, score), abs=1e-12)
    json.dumps(rows)


@given(st.integers(0, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_solves_its_equation(case):
    positives, n = case
    if n == 0:
        with pytest.raises(UsageError):
            wilson(0, 0)
        return
    low, high = wilson(positives, n)
    z, share = 1.959963984540054, positives / n
    middle, half = share + z * z / (2 * n), z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    assert low == pytest.approx((middle - half) / (1 + z * z / n), abs=1e-12)
    assert high == pytest.approx((middle + half) / (1 + z * z / n), abs=1e-12)


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.5, -0.7), (1.8, 0.4)])
def test_slope_and_intercept_equal_scikit_learn(slope, intercept):
    truth, score = scored(9, slope=slope, intercept=intercept)
    fitted = LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000).fit(logit(score)[:, None], truth)
    assert calibration_slope(truth, score) == pytest.approx(fitted.coef_[0, 0], abs=1e-6)
    assert calibration_intercept(truth, score) == pytest.approx(fitted.intercept_[0], abs=1e-6)
    root = brentq(lambda a: np.sum(truth - expit(a + logit(score))), -10, 10, xtol=1e-13)
    assert calibration_in_the_large(truth, score) == pytest.approx(root, abs=1e-9)


def test_wald_intervals_come_from_the_curvature():
    truth, score = scored(2, slope=0.8, intercept=0.2)
    line: Any = calibration_line(truth, score)
    x = logit(score)
    best = np.array([line["intercept"].value, line["slope"].value])

    def likelihood(a: float, b: float) -> float:
        return float(np.sum(truth * (a + b * x) - np.logaddexp(0, a + b * x)))

    h, hessian = 1e-3, np.empty((2, 2))
    for i, u in enumerate(np.eye(2) * h):
        for j, v in enumerate(np.eye(2) * h):
            corners = [likelihood(*(best + s * u + r * v)) * s * r for s in (1, -1) for r in (1, -1)]
            hessian[i, j] = sum(corners) / (4 * h * h)
    error = np.sqrt(np.diag(np.linalg.inv(-hessian)))
    for name, expected in zip(("intercept", "slope"), error, strict=True):
        assert line[name].high - line[name].value == pytest.approx(1.959964 * expected, rel=1e-4)
    assert line["slope"].events == truth.sum()


def test_perfect_scores_are_found_calibrated_and_wrong_ones_not():
    line: Any = calibration_line(*scored(0, 20_000))
    assert line["slope"].low < 1 < line["slope"].high
    assert line["intercept"].low < 0 < line["intercept"].high
    assert line["in_the_large"].low < 0 < line["in_the_large"].high
    truth, score = scored(0, 20_000, slope=0.5, intercept=1.0)
    line = calibration_line(truth, score)
    assert line["slope"].high < 0.6
    assert calibration_in_the_large(truth, score) > 0.5
    assert calibration_error(truth, score) > 10 * calibration_error(*scored(0, 20_000))


@given(st.integers(0, 50))
def test_order_of_records_and_unlabelled_ones_do_not_matter(seed):
    truth, score = scored(seed, 80)
    order = np.random.default_rng(seed).permutation(len(truth) + 1)
    more = np.append(truth, np.nan)[order], np.append(score, 0.5)[order]
    for metric in (brier, calibration_error, calibration_slope, calibration_in_the_large):
        assert metric(*more) == pytest.approx(metric(truth, score), abs=1e-9)
    tied = np.round(score, 1)
    for row, turned in zip(
        reliability(truth, tied, equal="mass"), reliability(truth[::-1], tied[::-1], equal="mass"), strict=True
    ):
        assert row["observed"] == turned["observed"]
        assert row["predicted"] == pytest.approx(turned["predicted"], abs=1e-12)


@pytest.mark.parametrize("n", [40, 1000, 100_000])
@pytest.mark.parametrize("seed", range(10))
def test_the_line_solves_its_equations_whatever_the_size(seed, n):
    truth, score = scored(seed, n, slope=0.5, intercept=-1.0)
    line: Any = calibration_line(truth, score)
    x = logit(score)
    residual = truth - expit(line["intercept"].value + line["slope"].value * x)
    assert abs(residual.sum()) / n < 1e-9
    assert abs(residual @ x) / n < 1e-9
    assert abs(np.sum(truth - expit(line["in_the_large"].value + x))) / n < 1e-9


@pytest.mark.parametrize("score", [0.0, 1.0, 1e-5])
def test_scores_far_off_are_found_far_off_in_the_large(score):
    truth = np.r_[np.ones(30), np.zeros(10)]
    expected = logit(0.75) - logit(np.clip(score, 1e-7, 1 - 1e-7))
    assert calibration_in_the_large(truth, np.full(40, score)) == pytest.approx(expected, abs=1e-6)


def test_certain_scores_have_a_slope():
    truth, score = scored(1)
    score[:3], truth[:3] = [0.0, 1.0, 1.0], [0.0, 1.0, 0.0]
    assert np.isfinite(calibration_slope(truth, score))


METRICS = [brier, calibration_error, reliability, calibration_slope, calibration_in_the_large, calibration_line]


@pytest.mark.parametrize("metric", METRICS)
def test_one_class_is_not_estimable(metric):
    with pytest.raises(NotEstimableError, match="of AF needs both classes"):
        metric([0, 0, 0], [0.0, 0.0, 0.1], name="AF")
    with pytest.raises(NotEstimableError, match="needs both classes"):
        metric([np.nan, np.nan], [0.2, 0.3])


@pytest.mark.parametrize("score", [[0.1, 0.2, 0.8, 0.9], [0.9, 0.8, 0.2, 0.1], [0.1, 0.5, 0.5, 0.9], [0.5] * 4])
def test_separated_or_equal_scores_have_no_slope(score):
    with pytest.raises(NotEstimableError, match="overlap"):
        calibration_slope([0, 0, 1, 1], score)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("truth", "score"),
    [
        ([0, 1], [0.1, 1.2]),
        ([0, 1], [-0.1, 0.2]),
        ([0, 1], [0.1, np.nan]),
        ([0, 2], [0.1, 0.2]),
        (["no", "yes"], [0.1, 0.2]),
        ([0, 1], [0.1]),
        ([0, 1], ["a", "b"]),
    ],
)
def test_what_cannot_be_is_refused(metric, truth, score):
    with pytest.raises(UsageError):
        metric(truth, score)


def test_bins_and_coverage_are_checked():
    truth, score = scored(0, 50)
    with pytest.raises(UsageError, match="bins"):
        reliability(truth, score, bins=0)
    with pytest.raises(UsageError, match="width or mass"):
        calibration_error(truth, score, equal="size")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="coverage"):
        calibration_line(truth, score, coverage=95)
