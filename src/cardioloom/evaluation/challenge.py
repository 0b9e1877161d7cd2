"""The score of the PhysioNet/CinC Challenges 2020 and 2021: wrong answers that lead to like treatment cost less.

Perez Alday et al. 2020, doi:10.1088/1361-6579/abc960, and Reyna et al. 2021, doi:10.23919/CinC53138.2021.9662687. The
table of 2021 comes with the package (its licence is beside it); that of 2020 is read from the user's file.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation.checks import Bools, Floats, numbers

SINUS_RHYTHM = "426783006"
# Classes that 2020's table holds in two rows and that count as one.
SAME_IN_2020 = (("713427006", "59118001"), ("284470004", "63593006"), ("427172004", "17338001"))


@dataclass(frozen=True)
class ChallengeWeights:
    """The reward for answering a class (column) where another (row) is true.

    Args:
        classes: SNOMED CT codes of each class; several codes count as the same.
        values: (class, class).
    """

    classes: tuple[tuple[str, ...], ...]
    values: Floats


def load_weights(path: str | Path | None = None, *, same: Sequence[Sequence[str]] = SAME_IN_2020) -> ChallengeWeights:
    """The table of weights.

    Args:
        path: of a CSV table whose first row and column are codes, ``|`` between those of one class; None = 2021's.
        same: codes that count as one class though the table gives each a row (as 2020's does); the first that is
            there keeps its row.

    Raises:
        UsageError: if the file is no square table of numbers under the same codes.
    """
    table = files(__package__ or __name__).joinpath("challenge_2021/weights.csv") if path is None else Path(path)
    rows = [row for row in csv.reader(table.read_text(encoding="utf-8").splitlines()) if row]
    name = "weights.csv" if path is None else Path(path).name
    if not rows or [row[0] for row in rows[1:]] != rows[0][1:] or any(len(row) != len(rows[0]) for row in rows):
        raise UsageError(f"{name} must be a square table with the same codes in its first row and column")
    try:
        values = np.array([[float(cell) for cell in row[1:]] for row in rows[1:]])
    except ValueError:
        raise UsageError(
            f"{name} must hold numbers below its codes, got text: give the challenge's weights.csv"
        ) from None
    if not np.isfinite(values).all():
        raise UsageError(f"{name} must hold finite weights, got NaN or infinite ones")
    return _merged([tuple(code.strip() for code in head.split("|")) for head in rows[0][1:]], values, same)


def _merged(classes: list[tuple[str, ...]], values: Floats, same: Sequence[Sequence[str]]) -> ChallengeWeights:
    """The table with one row and column for codes that are the same."""
    for group in same:
        rows = [i for i, codes in enumerate(classes) if set(codes) & set(group)]
        if len(rows) > 1:
            classes[rows[0]] = tuple(code for row in rows for code in classes[row])
            keep = [i for i in range(len(classes)) if i not in rows[1:]]
            classes, values = [classes[i] for i in keep], values[np.ix_(keep, keep)]
    return ChallengeWeights(tuple(classes), values)


def challenge_score(
    truth: ArrayLike, decided: ArrayLike, codes: Sequence[str], *, weights: ChallengeWeights | None = None
) -> float:
    """The normalised score: 1 = every record right, 0 = sinus rhythm and nothing else everywhere; may be negative.

    A record with several true or answered classes counts each pair 1 / (number of classes true or answered), so that
    answering more does not pay. Codes that the table has not are left out, as in the challenge; its classes that no
    column has are never true and never answered.

    Args:
        truth, decided: (record, label) 0 or 1; the challenge knows no unlabelled pair, so NaN is refused.
        codes: SNOMED CT code of each label.
        weights: None = 2021's.

    Raises:
        UsageError: if arguments are not that, or no code is in the table.
        NotEstimableError: if answering sinus rhythm everywhere is already right, so that there is no scale.
    """
    weights = weights or load_weights()
    true, answered = (classes_of(values, codes, weights) for values in (truth, decided))
    if true.shape != answered.shape:
        raise UsageError(f"truth and decisions must have the same shape, got {len(true)} and {len(answered)} records")
    inactive = np.zeros_like(true)
    sinus = [i for i, names in enumerate(weights.classes) if SINUS_RHYTHM in names]
    if not sinus:
        raise UsageError(f"the table of weights needs sinus rhythm ({SINUS_RHYTHM}), which scores 0")
    inactive[:, sinus[0]] = True
    got, right, nothing = (reward(true, answer, weights.values) for answer in (answered, true, inactive))
    if math.isclose(right, nothing, rel_tol=1e-12, abs_tol=1e-12):
        raise NotEstimableError(
            f"the challenge score needs records other than sinus rhythm, got {len(true)} that answering it always gets "
            "right: add others"
        )
    return (got - nothing) / (right - nothing)


def classes_of(values: ArrayLike, codes: Sequence[str], weights: ChallengeWeights) -> Bools:
    """(record, class) from (record, label): a class is there where any label of its codes is.

    Raises:
        UsageError: if values are not 0 or 1, codes are not one a label, or none is in the table.
    """
    array = numbers(values, "truth and decisions")
    if array.ndim != 2 or not ((array == 0) | (array == 1)).all():
        raise UsageError(
            "the challenge score needs 0 or 1 for every (record, label): apply thresholds, drop unlabelled"
        )
    if array.shape[1] != len(codes):
        raise UsageError(f"{array.shape[1]} labels need as many codes, got {len(codes)}")
    found = np.zeros((len(array), len(weights.classes)), bool)
    known = {code: i for i, names in enumerate(weights.classes) for code in names}
    if not known.keys() & {str(code) for code in codes}:
        raise UsageError(f"none of the {len(codes)} codes is in the table of weights: give SNOMED CT codes")
    for column, code in zip(array.T, codes, strict=True):
        if str(code) in known:
            found[:, known[str(code)]] |= column == 1
    return found


def reward(true: Bools, answered: Bools, values: Floats) -> float:
    """Σ of records Σ of (true class, answered class) of their weight / number of classes true or answered."""
    share = 1.0 / np.maximum((true | answered).sum(axis=1), 1)
    confusion = (true * share[:, None]).T @ answered.astype(float)  # (true class, answered class)
    return float((values * confusion).sum())
