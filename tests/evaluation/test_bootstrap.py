from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation import bootstrap_kernels as kernels
from cardioloom.evaluation.bootstrap import Resampled, bootstrap, drawn, patient_draws, resample
from cardioloom.evaluation.bootstrap_labels import bootstrap_labels, label_table, macro_of_draws
from cardioloom.evaluation.checks import coded_patients
from cardioloom.evaluation.discrimination import auroc

PEERS = {"auroc": roc_auc_score, "auprc": average_precision_score}


def cohort(seed: int = 0, n_records: int = 400, n_labels: int = 4):
    """Truth with gaps, tied scores, several records a patient."""
    rng = np.random.default_rng(seed)
    truth = (rng.random((n_records, n_labels)) < np.linspace(0.05, 0.6, n_labels)).astype(float)
    score = np.clip(rng.normal(0.4 + 0.2 * truth, 0.2), 0, 1).round(2)
    truth[rng.random(truth.shape) < 0.1] = np.nan
    return truth, score, rng.integers(0, n_records * 2 // 3, n_records)


def test_draws_are_of_patients_and_the_same_however_many_are_asked_for():
    counts = patient_draws(50, draws=200, seed=3)
    assert counts.shape == (50, 200)
    assert (counts.sum(axis=0) == 50).all()
    assert (counts[:, :100] == patient_draws(50, draws=100, seed=3)).all()
    assert (counts != patient_draws(50, draws=200, seed=4)).any()
    assert len({column.tobytes() for column in counts.T}) == 200
    assert (counts[:, 7] == np.bincount(drawn(50, 7, 3), minlength=50)).all()
    # Poisson-like: a patient is left out of a share (1 − 1/n)ⁿ of the draws.
    left_out = (patient_draws(200, draws=1000) == 0).mean()
    assert left_out == pytest.approx((1 - 1 / 200) ** 200, abs=0.005)


def test_draws_of_one_seed_are_these():
    """The stream is part of the result: an interval in print must come out again."""
    assert drawn(10, 0, 0).tolist() == [0, 0, 6, 2, 3, 1, 1, 5, 5, 5]
    assert drawn(10, 999, 5).tolist() == [0, 1, 7, 2, 9, 2, 2, 3, 1, 7]


@pytest.mark.parametrize("metric", ["auroc", "auprc"])
@pytest.mark.parametrize("plain", [False, True])
def test_every_draw_equals_scikit_learn_on_the_repeated_records(metric: str, plain: bool):
    truth, score, patients = cohort()
    values = bootstrap_labels(metric, truth, score, patients, draws=300, seed=5, plain=plain)
    counts = patient_draws(len(set(patients)), draws=300, seed=5)[coded_patients(patients, len(truth))]
    for label in range(truth.shape[1]):
        known = ~np.isnan(truth[:, label])
        for draw in (*range(0, 300, 20), kernels.LANES - 1, kernels.LANES, 299):
            rows = np.repeat(np.flatnonzero(known), counts[known, draw])
            expected = PEERS[metric](truth[rows, label], score[rows, label])
            assert values[draw, label] == pytest.approx(expected, abs=1e-12)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4), st.integers(0, 5)), min_size=1, max_size=25))
def test_compiled_and_plain_are_the_same_with_any_ties(records):
    positive, level, patients = (np.array(column) for column in zip(*records, strict=True))
    both = [
        bootstrap_labels("auroc", positive, level / 4, patients, draws=100, plain=plain, threads=1)
        for plain in (False, True)
    ]
    np.testing.assert_array_equal(*both)
    both = [
        bootstrap_labels("auprc", positive, level / 4, patients, draws=100, plain=plain, threads=1)
        for plain in (False, True)
    ]
    np.testing.assert_allclose(*both, atol=1e-13)


def test_threads_change_nothing():
    truth, score, patients = cohort(1)
    one, four = (bootstrap_labels("auroc", truth, score, patients, draws=100, threads=n) for n in (1, 4))
    assert one.tobytes() == four.tobytes()


def test_weights_of_sixteen_bits_give_the_same():
    positive, score = np.array([True, False, True, False]), np.array([0.5, 0.5, 0.8, 0.2])
    records = kernels.sort(positive, score, np.arange(4))
    weights = np.array([[300], [2], [1], [1]], np.uint16)
    for one_pass in (kernels.auroc_pass, kernels.auroc_numpy):
        twice, n_positive, n_negative = np.zeros(1, np.int64), np.zeros(1, np.int32), np.zeros(1, np.int32)
        one_pass(records.patient, records.kind, weights, twice, n_positive, n_negative)
        assert (twice[0], n_positive[0], n_negative[0]) == (300 * (2 * 1 + 2) + 2 * 3, 301, 3)


def test_draws_of_one_class_are_counted_and_too_many_refuse_the_interval():
    truth, score = np.zeros(40), np.linspace(0, 1, 40)
    truth[:1] = 1  # absent from 36 % of the draws
    values = bootstrap_labels("auroc", truth, score, None)[:, 0]
    assert np.isnan(values).mean() == pytest.approx((1 - 1 / 40) ** 40, abs=0.05)
    resampled = Resampled(values)
    assert resampled.n_estimable == np.isfinite(values).sum()
    with pytest.raises(NotEstimableError, match=f"got {resampled.n_estimable} of 1000"):
        resampled.interval()
    estimate = resampled.estimate(0.0, n=40, events=1).to_json()
    assert "interval" not in estimate
    assert "95%" in estimate["no_interval"]


def test_the_generic_bootstrap_is_the_fast_one():
    truth, score, patients = cohort(2, n_labels=1)
    codes = coded_patients(patients, len(truth))
    slow = resample(lambda rows: auroc(truth[rows], score[rows]), codes, draws=100, seed=9)
    np.testing.assert_allclose(
        slow, bootstrap_labels("auroc", truth, score, patients, draws=100, seed=9)[:, 0], atol=1e-12
    )
    estimate = bootstrap(lambda rows: auroc(truth[rows], score[rows]), patients, draws=100, seed=9, events=3)
    assert (estimate.low, estimate.high) == pytest.approx(tuple(np.quantile(slow, [0.025, 0.975])))
    assert estimate.value == auroc(truth, score)
    assert (estimate.n, estimate.events) == (len(truth), 3)


def test_an_interval_covers_as_often_as_it_says():
    """The mean of normal values: the share of 200 intervals that hold the true mean is near 95 %."""
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        values = rng.normal(size=60)
        estimate = bootstrap(lambda rows, values=values: values[rows].mean(), 60, draws=150, seed=trial)
        hits += estimate.low < 0 < estimate.high
    assert 0.90 < hits / 200 < 0.98


def test_records_of_one_patient_stay_together():
    """Each patient copied ten times tells no more: the interval stays as wide."""
    truth, score, _ = cohort(3, n_records=120, n_labels=1)
    truth = np.nan_to_num(truth)
    patients = np.arange(120)
    once = label_table(truth, score, patients)[0]["auroc"]
    often = label_table(np.repeat(truth, 10, 0), np.repeat(score, 10, 0), np.repeat(patients, 10))[0]["auroc"]
    assert often["interval"] == pytest.approx(once["interval"], abs=1e-12)
    assert often["n"] == 10 * once["n"]


def test_what_no_record_can_give_is_not_estimable():
    estimate = bootstrap(lambda rows: auroc(np.zeros(len(rows)), np.zeros(len(rows))), 20)
    assert estimate.value is None
    assert "needs both classes" in str(estimate.reason)


def test_the_table_names_labels_macro_and_what_is_left_out():
    truth, score, patients = cohort(4)
    truth[:, 0] = 0
    *rows, whole = label_table(truth, score, patients, labels=["WPW", "AF", "RBBB", "PVC"])
    assert [row["label"] for row in rows] == ["WPW", "AF", "RBBB", "PVC"]
    assert "not_estimable" in rows[0]["auroc"]
    assert rows[1]["auroc"]["interval"][0] < rows[1]["auroc"]["value"] < rows[1]["auroc"]["interval"][1]
    assert whole["auroc"]["value"] == pytest.approx(np.mean([row["auroc"]["value"] for row in rows[1:]]))
    assert list(whole["left_out"]) == ["WPW"]
    *_, whole = label_table(truth[:, :1], score[:, :1], patients)
    assert "not_estimable" in whole["auroc"]


def test_macro_of_a_draw_is_over_the_labels_it_can_give():
    values = np.array([[0.5, 1.0], [np.nan, 0.8], [np.nan, np.nan]])
    np.testing.assert_array_equal(macro_of_draws(values), [0.75, 0.8, np.nan])


@pytest.mark.parametrize(
    "call",
    [
        lambda: patient_draws(0),
        lambda: patient_draws(5, draws=10),
        lambda: patient_draws(5, seed=-1),
        lambda: bootstrap(len, None),
        lambda: Resampled(np.zeros(100), level=1.5).interval(),
        lambda: bootstrap_labels("f1", [0, 1], [0.1, 0.2], None),
        lambda: bootstrap_labels("auroc", [], [], None),
    ],
)
def test_wrong_calls_are_refused(call):
    with pytest.raises(UsageError):
        call()
