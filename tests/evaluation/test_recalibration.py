"""A site's calibration: fitted as scikit-learn does, kept as JSON, refused where the records do not carry it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation.calibration import calibration_error, calibration_slope
from cardioloom.evaluation.recalibration import Recalibration, fit_isotonic, fit_platt


def scored(seed: int, n: int = 3000):
    rng = np.random.default_rng(seed)
    x = rng.normal(-1, 2, n)
    return (rng.random(n) < expit(0.5 * x - 1)).astype(float), expit(x)


def test_platt_equals_scikit_learn():
    truth, score = scored(0)
    fitted = LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000).fit(logit(score)[:, None], truth)
    ours = fit_platt(truth, score)
    new = np.linspace(0.01, 0.99, 50)
    np.testing.assert_allclose(ours.apply(new), fitted.predict_proba(logit(new)[:, None])[:, 1], atol=1e-7)


def test_isotonic_equals_scikit_learn():
    truth, score = scored(0)
    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(score, truth)
    new = np.linspace(0, 1, 200).reshape(20, 10)
    np.testing.assert_allclose(fit_isotonic(truth, score).apply(new), fitted.predict(new.ravel()).reshape(20, 10))


@pytest.mark.parametrize("fit", [fit_platt, fit_isotonic])
def test_it_calibrates_other_records_of_the_site(fit):
    fitted = fit(*scored(1))
    truth, score = scored(2)
    assert calibration_error(truth, fitted.apply(score)) < calibration_error(truth, score) / 3
    if fit is fit_platt:
        assert calibration_slope(truth, fitted.apply(score)) == pytest.approx(1, abs=0.1)


FITTED = [fit_platt(*scored(1, 1000)), fit_isotonic(*scored(1, 1000))]


@pytest.mark.parametrize("fitted", FITTED, ids=lambda fitted: fitted.kind)
@given(scores=st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_it_never_reverses_the_order_and_survives_json(fitted, scores):
    given_back = Recalibration.from_json(json.loads(json.dumps(fitted.to_json())))
    assert given_back == fitted
    mapped = given_back.apply(np.sort(scores))
    assert (np.diff(mapped) >= 0).all()
    assert (mapped >= 0).all()
    assert (mapped <= 1).all()


@pytest.mark.parametrize(("fit", "least"), [(fit_platt, 20), (fit_isotonic, 100)])
def test_too_few_of_a_class_are_refused(fit, least):
    rng = np.random.default_rng(0)
    truth = np.r_[np.ones(least - 1), np.zeros(500)]
    score = np.clip(0.3 * truth + rng.random(len(truth)) * 0.6, 0, 1)
    with pytest.raises(NotEstimableError, match=f"AF needs {least} positives and {least} negatives, got {least - 1}"):
        fit(truth, score, name="AF")
    with pytest.raises(NotEstimableError, match=f"got 500 and {least - 1}"):
        fit(1 - truth, 1 - score)
    assert fit(truth, score, least=least - 1).kind in ("platt", "isotonic")
    with pytest.raises(NotEstimableError, match="both classes"):
        fit(np.zeros(50), np.full(50, 0.1))


@pytest.mark.parametrize("fit", [fit_platt, fit_isotonic])
def test_backward_or_equal_scores_are_refused(fit):
    truth, score = scored(3)
    with pytest.raises(NotEstimableError, match="got the reverse"):
        fit(truth, 1 - score)
    with pytest.raises(NotEstimableError):
        fit(truth, np.full(len(truth), 0.5))


def test_separated_scores_have_no_platt_slope():
    truth = np.r_[np.zeros(50), np.ones(50)]
    with pytest.raises(NotEstimableError, match="separate"):
        fit_platt(truth, 0.2 + 0.6 * truth)


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("beta", {"a": 1}),
        ("platt", {"slope": 1.0}),
        ("platt", {"slope": -1.0, "intercept": 0.0}),
        ("platt", {"slope": float("nan"), "intercept": 0.0}),
        ("isotonic", {"score": [0.1, 0.1], "probability": [0.2, 0.3]}),
        ("isotonic", {"score": [0.1, 0.2], "probability": [0.3, 0.2]}),
        ("isotonic", {"score": [0.1, 0.2], "probability": [0.3, 1.2]}),
        ("isotonic", {"score": [0.1, 0.2], "probability": [0.3]}),
        ("isotonic", {"score": [], "probability": []}),
    ],
)
def test_a_map_that_cannot_be_is_refused(kind, parameters):
    with pytest.raises(UsageError):
        Recalibration(kind, parameters)
    with pytest.raises(UsageError):
        Recalibration.from_json({"kind": kind, "parameters": parameters})


def test_apply_and_from_json_refuse_what_is_none():
    fitted = Recalibration("platt", {"slope": 1.0, "intercept": 0.0})
    for wrong in (1.1, -0.1, float("nan")):
        with pytest.raises(UsageError, match="0 to 1"):
            fitted.apply([0.5, wrong])
    np.testing.assert_allclose(fitted.apply([0.2, 0.7]), [0.2, 0.7])
    for stored in ({"kind": "platt"}, {"kind": "platt", "parameters": [1, 2]}):
        with pytest.raises(UsageError, match="kind and parameters"):
            Recalibration.from_json(stored)
