from __future__ import annotations

import numpy as np
import pytest

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation.checks import check_folds, check_sides, checked, coded_patients, names_of, one_label, unit


@pytest.mark.parametrize(
    ("truth", "score", "says"),
    [
        (["AF", "no"], [0.1, 0.2], "must be numbers"),
        (np.array([1, None], object), [0.1, 0.2], "must be numbers"),
        ([0, 1, 2], [0.1, 0.2, 0.3], "must be 0, 1 or NaN"),
        ([0, 1], [0.1, 1.2], "probabilities from 0 to 1"),
        ([0, 1], [-0.1, 0.2], "probabilities from 0 to 1"),
        ([0, 1], [np.nan, 0.2], "probabilities from 0 to 1"),
        ([0, 1], [0.1, 0.2, 0.3], r"\(2,\) and \(3,\)"),
        ([[[0, 1]]], [[[0.1, 0.2]]], "must both be"),
        ([[0, 1], [1]], [[0.1, 0.2], [0.3]], "rectangular"),
    ],
)
def test_wrong_arguments_are_refused_with_what_to_do(truth, score, says):
    with pytest.raises(UsageError, match=says):
        checked(truth, score)


@pytest.mark.parametrize("shape", [(5, 3), (4, 2, 3), (1, 1)])
@pytest.mark.parametrize("size", [1e-220, 1.0, 1e220])
def test_vectors_of_any_size_get_length_one_and_keep_their_direction(shape, size):
    vectors = np.random.default_rng(0).normal(size=shape)
    found = unit(vectors * size, "embeddings")
    for own, other in zip(vectors.reshape(-1, shape[-1]), found.reshape(-1, shape[-1]), strict=True):
        np.testing.assert_allclose(other, own / sum(own**2) ** 0.5, rtol=1e-12)
    assert found.shape == shape
    assert unit(vectors.astype(np.float32), "embeddings").dtype == np.float64


def test_vectors_without_a_direction_are_counted():
    vectors = np.ones((4, 3, 2), np.float32)
    vectors[0, 1], vectors[2, 2] = 0, 0
    with pytest.raises(UsageError, match=r"^the embeddings must not be zero, got 2 that are and have no cosine: leave"):
        unit(vectors, "the embeddings")
    vectors[1, 0, 1] = np.nan
    with pytest.raises(UsageError, match=r"^the embeddings must be finite, got 1 that are not: leave them out$"):
        unit(vectors, "the embeddings")


def test_one_label_becomes_a_column_and_unlabelled_records_stay():
    truth, score = checked([True, False], [1, 0])
    assert truth.shape == score.shape == (2, 1)
    truth, _ = checked([[np.nan, 1]], [[0.5, 0.5]])
    assert np.isnan(truth[0, 0])


@pytest.mark.parametrize(
    ("truth", "got"),
    [
        ([0, 0, np.nan], "2 negatives and no positive"),
        ([1, 1, 1], "3 positives and no negative"),
        ([np.nan] * 3, "no lab"),
    ],
)
def test_one_class_is_not_estimable(truth, got):
    with pytest.raises(NotEstimableError, match=f"AUROC of AF needs both classes, got {got}"):
        one_label(truth, [0.1, 0.2, 0.3], "AUROC", "AF")


def test_several_labels_are_not_one():
    with pytest.raises(UsageError, match="is of one label, got 2"):
        one_label([[0, 1]], [[0.1, 0.2]], "AUROC", "AF")


def test_patients_are_numbered_in_order_whatever_they_are():
    assert coded_patients(["b", 7, "b", (1, 2)], 4).tolist() == [0, 1, 0, 2]
    assert coded_patients(np.array([5, 5, 3]), 3).tolist() == [0, 0, 1]
    assert coded_patients(None, 3).tolist() == [0, 1, 2]


@pytest.mark.parametrize("patients", [["a"], ["a", None, "b"], [1.0, float("nan"), 2.0]])
def test_unknown_patients_are_refused(patients):
    with pytest.raises(UsageError):
        coded_patients(patients, 3)


def test_a_patient_on_both_sides_and_too_many_folds_are_refused():
    check_sides(["a", "b"], ["c"])
    with pytest.raises(UsageError, match="got 1 patients on both"):
        check_sides(["a", "b"], ["b", "c"])
    check_folds(["a", "b", "b"], 2)
    with pytest.raises(UsageError, match="2 patients allow 2 to 2 folds, got 5"):
        check_folds(["a", "b", "b"], 5)
    with pytest.raises(UsageError):
        check_folds(["a", "b"], 1)


def test_names_are_one_a_label():
    assert names_of(None, 2) == ["label 0", "label 1"]
    for wrong in (["AF"], ["AF", "AF"]):
        with pytest.raises(UsageError, match="different names"):
            names_of(wrong, 2)
