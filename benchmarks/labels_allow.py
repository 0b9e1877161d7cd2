"""What the labels allow: the best F1 that any one limit on a measured quantity could reach; for statements.py.

The limit is fitted on all the records it is scored on. It is an upper bound of what another limit could give, not a
result: where it lies below an aim, no limit on that quantity meets the aim with these labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FEW = 3  # a source with fewer positives has no row of its own


@dataclass(frozen=True, eq=False)
class Labelled:
    """The records of one statement that are labelled and judged.

    Args:
        code: of the statement.
        quantity: its name and unit.
        limit: ours.
        above: whether the statement is made above the limit, else below it.
        source: (record,) names.
        truth: (record,) labels.
        said: (record,) ours.
        value: (record,) the quantity; NaN where it was not measured, which no limit finds.
        eligible: (record,) whether our rule holds but for the limit; None where there is no such rule.
    """

    code: str
    quantity: str
    limit: float
    above: bool
    source: NDArray[np.str_]
    truth: NDArray[np.bool_]
    said: NDArray[np.bool_]
    value: NDArray[np.float64]
    eligible: NDArray[np.bool_] | None


def f1(truth: NDArray[np.bool_], said: NDArray[np.bool_]) -> float:
    """2 TP / (2 TP + FP + FN); NaN with nothing labelled and nothing said."""
    total = int(truth.sum() + said.sum())
    return 2.0 * int((truth & said).sum()) / total if total else float("nan")


def best_limit(truth: NDArray[np.bool_], value: NDArray[np.float64], *, above: bool) -> tuple[float, float]:
    """(F1, limit) of the limit with the best F1, half-way between two values of the quantity."""
    signed = value if above else -value
    known = np.unique(signed[np.isfinite(signed)])
    if not len(known):
        return 0.0, float("nan")
    limits = np.concatenate([[known[0] - 1.0], (known[1:] + known[:-1]) / 2])
    reached = [f1(truth, signed > limit) for limit in limits]  # NaN is above nothing
    best = int(np.argmax(reached))
    return reached[best], float(limits[best] if above else -limits[best])


def rows(labelled: Labelled) -> list[dict[str, object]]:
    """One row for all sources together, and one for each with some positives."""
    names = [name for name in np.unique(labelled.source) if labelled.truth[labelled.source == name].sum() >= FEW]
    every = np.ones(len(labelled.truth), bool)
    parts = [("all", every), *((str(name), labelled.source == name) for name in names)]
    return [_row(labelled, name, part) for name, part in parts]


def _row(labelled: Labelled, source: str, part: NDArray[np.bool_]) -> dict[str, object]:
    truth, value = labelled.truth[part], labelled.value[part]
    over = value > labelled.limit if labelled.above else value < labelled.limit
    alone = best_limit(truth, value, above=labelled.above)
    row: dict[str, object] = {"bench": "statements_labels_allow", "statement": labelled.code}
    row |= {"quantity": labelled.quantity, "source": source, "labelled": int(truth.sum()), "not": int((~truth).sum())}
    row |= {"range labelled": _range(value[truth]), "range not": _range(value[~truth])}
    row |= {"F1 of ours": _two(f1(truth, labelled.said[part])), "our limit": labelled.limit}
    row |= {"F1 of our limit alone": _two(f1(truth, over))}
    row |= {"upper bound, any limit alone": _two(alone[0]), "at": _short(alone[1])}
    rule = (float("nan"), float("nan"))
    if labelled.eligible is not None:
        rule = best_limit(truth, np.where(labelled.eligible[part], value, np.nan), above=labelled.above)
    return row | {"upper bound, our rule with any limit": _two(rule[0]), "at ": _short(rule[1])}


def _range(values: NDArray[np.float64]) -> str:
    known = values[np.isfinite(values)]
    if not len(known):
        return ""
    low, first, middle, third, high = np.percentile(known, (0, 10, 50, 90, 100))
    return f"{low:.0f}–{high:.0f} (10 % {first:.0f}, median {middle:.0f}, 90 % {third:.0f})"


def _two(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 3)


def _short(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 1)


def stacked(source: Sequence[str], truth: Sequence[bool], said: Sequence[bool], value: Sequence[float]) -> tuple:
    """The lists of a `Labelled` as arrays, in its order."""
    return np.array(source), np.array(truth, bool), np.array(said, bool), np.array(value, float)
