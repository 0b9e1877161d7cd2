"""Age groups, and in what order the groups of a column are told."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

AGES = ((50.0, "< 50"), (65.0, "50–64"), (80.0, "65–79"), (np.inf, "≥ 80"))


def ages(years: NDArray[np.float64]) -> NDArray[np.object_]:
    """(study,) years → the group of each in words, None = not known."""
    at = np.searchsorted([limit for limit, _ in AGES], years, side="right")
    return np.array([None if np.isnan(y) else AGES[k][1] for y, k in zip(years, at, strict=True)], object)


def ordered(column: str, words: NDArray[np.object_]) -> list[str]:
    """The groups that are there: ages from young to old, others by name."""
    there = {word for word in words.tolist() if word is not None}
    known = [word for _, word in AGES if word in there] if column == "age" else []
    return known + sorted(there - set(known))
