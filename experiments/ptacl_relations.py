"""What the paper's tables show, asked of what was found: each relation with its two numbers."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean

from ptacl_tables import (
    NOT_RUN,
    NOTHING,
    TWICE,
    Found,
    Value,
    distance,
    judged,
    label,
    mean_p1,
    mean_p1_once,
    mean_r2,
    mean_r2_once,
    number,
    table,
)

GOALS = (("retrieval", "_retrieval"), ("regression", ""))  # and how the runs of each are called
# Methods of which the first should have the smaller mean R², and the smaller P@1.
LESS = (
    ("random", "simclr"),
    ("simclr", "mae"),
    ("cine_random", "cine_simclr"),
    ("cine_simclr", "cine_mae"),
    ("no_unimodal", "ptacl"),
    ("mae", "global"),
    ("global", "ptacl"),
    ("ptacl", "ptacl_ft"),
)
LESS_P1 = tuple((f"global{tail}", f"ptacl{tail}") for _, tail in GOALS)
# Methods whose mean R² is compared though the paper says nothing of it.
UNSTATED = (
    ("ptacl", "ptacl_rolled"),
    ("global", "ptacl_rolled"),
    ("global_retrieval", "ptacl_retrieval"),
    ("ptacl_retrieval", "ptacl_rolled_retrieval"),
    ("global_retrieval", "ptacl_rolled_retrieval"),
)


def key(what: str, first: str, second: str) -> str:
    """What the difference of two methods is kept under."""
    return f"{what}: {second} − {first}"


@dataclass(frozen=True)
class Relation:
    """One that should hold.

    Args:
        text: what should hold.
        numbers: the two, as text.
        difference: second less first with its interval, as text.
        holds: None = not run.
        is_open: whether the interval of the difference holds zero.
        by_seed: in how many seeds it holds, of how many.
    """

    text: str
    numbers: str
    difference: str
    holds: bool | None
    by_seed: str
    is_open: bool = False


def relations(found: Found) -> list[Relation]:
    """Those of the paper, on the seeds that both sides have."""
    rows = []
    for first, second in LESS:
        sign = "≤" if (first, second) == ("global", "ptacl") else "<"
        text = f"mean R²: {label(first)} {sign} {label(second)}"
        holds = operator.le if sign == "≤" else operator.lt
        rows.append(_relation(found, text, first, second, mean_r2, holds, beside=mean_r2_once))
    for (goal, _), names in zip(GOALS, LESS_P1, strict=True):
        text = f"mean P@1, goal {goal}: global < PTACL"
        rows.append(_relation(found, text, *names, mean_p1, operator.lt, beside=mean_p1_once))
    for goal, tail in GOALS:
        for name, method in (("PTACL", f"ptacl{tail}"), ("PTACL, cines begin anywhere,", f"ptacl_rolled{tail}")):
            text = f"distance from the diagonal, goal {goal}: {name} at most half of global"
            rows.append(_relation(found, text, f"global{tail}", method, distance, lambda a, b: 2 * b <= a))
            rows.append(_against(found, f"goal {goal}: {name} below the best constant answer", method))
    return rows


def _relation(
    found: Found,
    text: str,
    first: str,
    second: str,
    of: Value,
    holds: Callable[[float, float], bool],
    beside: Value | None = None,
) -> Relation:
    """Of two methods, means over the seeds that both have; ``beside``: the same two without `TWICE`, shown with it."""
    one, other = judged(found, first), judged(found, second)
    both = [(of(one[seed]), of(other[seed])) for seed in one if seed in other]
    pairs = [(a, b) for a, b in both if a is not None and b is not None]
    if not pairs:
        return Relation(text, NOT_RUN, NOTHING, None, NOTHING)
    a, b = (fmean(side) for side in zip(*pairs, strict=True))
    numbers = f"{number(a)}, {number(b)}"
    if beside is not None:
        sides = [[beside(runs[seed]) for seed in one if seed in other] for runs in (one, other)]
        numbers += " (" + ", ".join(number(fmean(v for v in side if v is not None)) for side in sides) + ")"
    by_seed = f"{sum(holds(*pair) for pair in pairs)} of {len(pairs)}"
    difference = (NOTHING, False)
    if beside is not None:
        difference = _difference(found, key("P@1" if of is mean_p1 else "R²", first, second), len(pairs))
    return Relation(text, numbers, difference[0], holds(a, b), by_seed, difference[1])


def _difference(found: Found, name: str, seeds: int) -> tuple[str, bool]:
    """Second less first, as `ptacl_differences` keeps it, and whether its interval holds zero.

    Not run where it is of other seeds than the numbers beside it.
    """
    kept = found.get("differences", {}).get(name)
    if kept is None or kept["seeds"] != seeds:
        return NOT_RUN, False
    text = number(kept["difference"]["value"])
    if (ends := kept["difference"].get("interval")) is None:
        return text, True
    return f"{text} ({' to '.join(map(number, ends))})", ends[0] <= 0 <= ends[1]


def _against(found: Found, text: str, method: str) -> Relation:
    """Whether the phases are nearer than the best answer that is the same for each of them."""
    text = f"distance from the diagonal, {text}"
    said = [one["phases"]["distance"] for one in judged(found, method).values() if one.get("phases")]
    pairs = [(one["value"], one["constant"]) for one in said]
    if not pairs:
        return Relation(text, NOT_RUN, NOTHING, None, NOTHING)
    a, b = (fmean(side) for side in zip(*pairs, strict=True))
    numbers = f"{number(a)}, {number(b)} (chance: {number(said[0]['chance'])})"
    return Relation(text, numbers, NOTHING, a < b, f"{sum(x < y for x, y in pairs)} of {len(pairs)}")


def unstated_table(found: Found) -> str:
    """Differences that nothing is expected of."""
    rows = []
    for first, second in UNSTATED:
        goal = next(goal for goal, tail in GOALS if second.endswith(tail))
        names = [label(method.removesuffix("_retrieval")) for method in (first, second)]
        said = _relation(found, " → ".join(names), first, second, mean_r2, operator.lt, beside=mean_r2_once)
        rows.append([goal, said.text, said.numbers, said.difference, said.by_seed])
    head = ["goal", "from → to", f"mean R² of the two (without {TWICE[1]})", "difference (95 % interval)"]
    return table([*head, "seeds in which it is above 0"], rows)


def relations_table(found: Found) -> str:
    """Each relation with its two numbers."""
    said = {True: "holds", False: "**does not hold**", None: NOT_RUN}
    rows = [
        [one.text, one.numbers, one.difference, said[one.holds] + ", but open" * one.is_open, one.by_seed]
        for one in relations(found)
    ]
    head = [
        "relation",
        f"the two numbers (without {TWICE[1]})",
        "difference (95 % interval)",
        "",
        "seeds in which it holds",
    ]
    return table(head, rows)
