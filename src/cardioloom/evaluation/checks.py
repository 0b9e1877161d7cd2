"""What a metric accepts: truth, probabilities and patients, checked once with one sentence for each fault."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cardioloom.errors import NotEstimableError, UsageError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Codes = NDArray[np.int64]
Patients = Iterable[Hashable] | NDArray[Any] | None


def checked(truth: ArrayLike, score: ArrayLike) -> tuple[Floats, Floats]:
    """Truth and score as (record, label) arrays; one label may be given as (record,).

    Args:
        truth: (record, label) 0 or 1, NaN = not labelled.
        score: (record, label) probabilities in [0, 1].

    Raises:
        UsageError: if shapes differ, truth is text or neither 0 nor 1, or a score is no probability.
    """
    truth, score = numbers(truth, "truth"), numbers(score, "scores")
    if truth.shape != score.shape or truth.ndim not in (1, 2):
        raise UsageError(
            f"truth and scores must both be (record, label), got {truth.shape} and {score.shape}: give as many scores"
        )
    known = truth[~np.isnan(truth)]
    if not ((known == 0) | (known == 1)).all():
        raise UsageError("truth must be 0, 1 or NaN (not labelled), got other numbers: give one column for each label")
    if not ((score >= 0) & (score <= 1)).all():  # NaN compares as False
        raise UsageError("scores must be probabilities from 0 to 1, got values outside or NaN: apply the sigmoid first")
    if truth.ndim == 1:
        return truth[:, None], score[:, None]
    return truth, score


def numbers(values: ArrayLike, what: str) -> Floats:
    """The values as float64.

    Raises:
        UsageError: if they are text or objects, or rows of different lengths.
    """
    try:
        array = np.asarray(values)
    except ValueError:
        raise UsageError(
            f"{what} must be a rectangular array, got rows of different lengths: pad or split them"
        ) from None
    if array.dtype.kind not in "biuf":
        raise UsageError(f"{what} must be numbers, got {array.dtype.name}: turn names into columns of 0 and 1 first")
    return array.astype(np.float64)


def unit(embeddings: NDArray[Any], what: str) -> Floats:
    """(…, width) vectors of length 1, in double precision.

    Args:
        embeddings: (…, width) numbers.
        what: whose they are, as in "embeddings of the queries".

    Raises:
        UsageError: if one is not finite, or zero.
    """
    found = embeddings.astype(np.float64)
    if bad := int((~np.isfinite(found).all(axis=-1)).sum()):
        raise UsageError(f"{what} must be finite, got {bad} that are not: leave them out")
    largest = np.abs(found).max(axis=-1, keepdims=True)
    if zero := int((largest == 0).sum()):
        raise UsageError(f"{what} must not be zero, got {zero} that are and have no cosine: leave them out")
    found /= largest  # squares of very large or small numbers would not be finite, or zero
    return found / np.linalg.norm(found, axis=-1, keepdims=True)


def one_label(truth: ArrayLike, score: ArrayLike, metric: str, name: str) -> tuple[Bools, Floats]:
    """The labelled records of one label: positive (record,), score (record,).

    Raises:
        UsageError: as `checked`, and if there is more than one label.
        NotEstimableError: if only one class is left.
    """
    truth, score = checked(truth, score)
    if truth.shape[1] != 1:
        raise UsageError(f"{metric} is of one label, got {truth.shape[1]}: call it for each column, or `macro`")
    labelled = ~np.isnan(truth[:, 0])
    positive = truth[labelled, 0] == 1
    need_both_classes(positive, metric, name)
    return positive, score[labelled, 0]


def need_both_classes(positive: Bools, metric: str, name: str) -> None:
    """Raise NotEstimableError unless there are positives and negatives."""
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if n_positive and n_negative:
        return
    if n_negative or n_positive:
        got = f"{n_negative} negatives and no positive" if n_negative else f"{n_positive} positives and no negative"
    else:
        got = "no labelled record"
    missing = "negatives" if n_positive else "positives"
    raise NotEstimableError(f"{metric} of {name} needs both classes, got {got}: add {missing} or leave the label out")


def names_of(labels: Sequence[str] | None, n_labels: int) -> list[str]:
    """The labels' names, "label 0" … where none are given.

    Raises:
        UsageError: if their number is another, or a name is there twice.
    """
    names = [f"label {i}" for i in range(n_labels)] if labels is None else [str(name) for name in labels]
    if len(names) != n_labels or len(set(names)) != n_labels:
        raise UsageError(
            f"{n_labels} labels need as many different names, got {len(names)} ({len(set(names))} different)"
        )
    return names


def coded_patients(patients: Patients, n_records: int) -> Codes:
    """(record,) number of each record's patient, 0 … in the order of first appearance; None = each record its own.

    Raises:
        UsageError: if there is not one patient a record, or a patient is None or NaN.
    """
    if patients is None:
        return np.arange(n_records, dtype=np.int64)
    given = patients.tolist() if isinstance(patients, np.ndarray) else list(patients)
    if len(given) != n_records:
        raise UsageError(f"{n_records} records need one patient each, got {len(given)}")
    if any(patient is None or patient != patient for patient in given):
        raise UsageError(
            "every record needs its patient, got None or NaN: name unknown patients one by one or drop them"
        )
    numbers_of: dict[Hashable, int] = {}
    return np.array([numbers_of.setdefault(patient, len(numbers_of)) for patient in given], dtype=np.int64)


def check_sides(fitted: Iterable[Hashable], judged: Iterable[Hashable]) -> None:
    """Refuse patients on both sides: those of `fitted` (training, calibration, thresholds) must not be judged.

    Raises:
        UsageError: if a patient is in both.
    """
    both = len(set(fitted) & set(judged))
    if both:
        raise UsageError(f"a patient must be on one side only, got {both} patients on both: split by patient")


def check_folds(patients: Iterable[Hashable], n_folds: int) -> None:
    """Refuse more folds than patients, and fewer than two.

    Raises:
        UsageError: if the folds cannot be filled.
    """
    n_patients = len(set(patients))
    if n_folds < 2 or n_folds > n_patients:
        raise UsageError(f"{n_patients} patients allow 2 to {n_patients} folds, got {n_folds}: ask for fewer folds")
