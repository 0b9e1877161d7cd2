"""AUROC and average precision of many bootstrap draws at once: each label is sorted once, each draw is one pass.

A draw gives every record an integer weight, how often its patient was drawn. AUROC is then
Σ w⁺ · (W⁻ below + W⁻ tied / 2) / (W⁺ · W⁻): sums of integers, so that the compiled and the numpy pass give the same
bits, and those of a count of pairs among the repeated records.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardioloom.evaluation.checks import Bools, Codes, Floats

Array = NDArray[Any]

# What a record is, in ascending order of the scores; within a tie the negatives come first.
POSITIVE = 1
TIED = 2  # with a record of the other class: the negative that opens such a tie, or a positive in it
CLOSES = 4  # the lowest record of a group of equal scores that has positives
LANES = 256  # draws that go together: their sums stay in the first cache


@dataclass(frozen=True)
class Sorted:
    """The labelled records of one label in ascending order of their scores.

    Args:
        patient: (record,) uint32 number of the record's patient.
        kind: (record,) uint8, the flags above.
    """

    patient: NDArray[np.uint32]
    kind: NDArray[np.uint8]


def sort(positive: Bools, score: Floats, patient: Codes) -> Sorted:
    """Sort one label. All arguments (record,), labelled records only."""
    order = np.lexsort((positive, score))
    positive, score = positive[order], score[order]
    opens = np.ones(len(score), bool)
    opens[1:] = score[1:] != score[:-1]
    group = np.cumsum(opens) - 1
    n_positive = np.bincount(group, positive)
    mixed = (n_positive > 0) & (n_positive < np.bincount(group))
    kind = positive * np.uint8(POSITIVE)
    kind |= (mixed[group] & (positive | opens)) * np.uint8(TIED)
    kind |= (opens & (n_positive > 0)[group]) * np.uint8(CLOSES)
    return Sorted(patient[order].astype(np.uint32), kind)


def auroc_pass(patient: Array, kind: Array, weights: Array, twice: Array, n_positive: Array, n_negative: Array) -> None:
    """Sums of AUROC for some draws, in one pass over the sorted records. Compiled.

    Args:
        patient, kind: (record,) of `Sorted`.
        weights: (patient, draw) how often each patient was drawn.
        twice: (draw,) int64, zero, written: twice the weighted number of pairs in the right order.
        n_positive, n_negative: (draw,) int32, zero, written: weighted numbers of records.
    """
    lanes = weights.shape[1]
    before = np.zeros(lanes, np.int32)
    for i in range(len(patient)):
        row, what = weights[patient[i]], kind[i]
        if what & POSITIVE:
            if what & TIED:
                for d in range(lanes):
                    twice[d] += np.int64(row[d]) * (np.int64(before[d]) + np.int64(n_negative[d]))
            else:
                for d in range(lanes):
                    twice[d] += np.int64(row[d]) * np.int64(n_negative[d]) * np.int64(2)
            for d in range(lanes):
                n_positive[d] += np.int32(row[d])
        else:
            if what & TIED:
                before[:] = n_negative
            for d in range(lanes):
                n_negative[d] += np.int32(row[d])


def precision_pass(patient: Array, kind: Array, weights: Array, area: Array, n_true: Array, n_false: Array) -> None:
    """Sums of average precision for some draws, in one pass down the sorted records. Compiled.

    Args:
        patient, kind, weights: as `auroc_pass`.
        area: (draw,) float64, zero, written: Σ positives of a group of equal scores · precision from there up.
        n_true, n_false: (draw,) int32, zero, written: weighted numbers of positives and negatives.
    """
    lanes = weights.shape[1]
    here = np.zeros(lanes, np.int32)
    for k in range(len(patient)):
        i = len(patient) - 1 - k
        row, what = weights[patient[i]], kind[i]
        if what & POSITIVE:
            for d in range(lanes):
                here[d] += np.int32(row[d])
        else:
            for d in range(lanes):
                n_false[d] += np.int32(row[d])
        if what & CLOSES:
            for d in range(lanes):
                n_true[d] += here[d]
                found = max(n_true[d] + n_false[d], 1)
                area[d] += np.float64(here[d]) * np.float64(n_true[d]) / np.float64(found)
                here[d] = 0


def auroc_numpy(
    patient: Array, kind: Array, weights: Array, twice: Array, n_positive: Array, n_negative: Array
) -> None:
    """`auroc_pass` in plain numpy: cumulated negatives, looked up below and within the tie of each positive."""
    positive = (kind & POSITIVE) > 0
    tied = (kind & TIED) > 0
    n_before = np.cumsum(~positive)  # negatives up to each record
    below = np.maximum.accumulate(np.where(~positive & tied, n_before - 1, 0))[positive]
    within = n_before[positive]
    below = np.where(tied[positive], below, within)
    cumulated = np.zeros((int((~positive).sum()) + 1, weights.shape[1]), np.int32)
    np.cumsum(weights[patient[~positive]], axis=0, dtype=np.int32, out=cumulated[1:])
    of_positives = weights[patient[positive]]
    pairs = np.take(cumulated, within, axis=0).astype(np.int64)
    pairs += np.take(cumulated, below, axis=0)
    twice += np.einsum("pd,pd->d", pairs, of_positives.astype(np.int64))
    n_positive += of_positives.sum(axis=0, dtype=np.int32)
    n_negative += cumulated[-1]


def precision_numpy(patient: Array, kind: Array, weights: Array, area: Array, n_true: Array, n_false: Array) -> None:
    """`precision_pass` in plain numpy."""
    patient, kind = patient[::-1], kind[::-1]
    positive = ((kind & POSITIVE) > 0)[:, None]
    drawn = weights[patient].astype(np.int32)
    closes = (kind & CLOSES) > 0
    true = np.cumsum(np.where(positive, drawn, 0), axis=0, dtype=np.int32)[closes]
    false = np.cumsum(np.where(positive, 0, drawn), axis=0, dtype=np.int32)
    here = np.diff(true, axis=0, prepend=np.int32(0))
    area += (here * (true / np.maximum(true + false[closes], 1))).sum(axis=0)
    n_true += here.sum(axis=0)
    n_false += false[-1]
