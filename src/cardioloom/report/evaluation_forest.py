"""Subgroups of an evaluation as forest plots: one row a group, its metric with the interval on one scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cardioloom.report.evaluation_words import Cell, Notes, count, estimate
from cardioloom.report.trend import Tick, round_ticks
from cardioloom.report.words import number

WIDTH, ROOM = 300.0, 8.0  # drawing units
OPEN = 6  # outputs whose plots are open from the start


@dataclass(frozen=True)
class Line:
    """One row: a group's counts, its metric, and where it lies on the scale (drawing units, None = not estimable)."""

    name: str
    n: Cell
    events: Cell
    value: Cell
    at: float | None = None
    low: float | None = None
    high: float | None = None
    is_cut: bool = False


@dataclass(frozen=True)
class Forest:
    """The subgroups of one output.

    Args:
        code: of the output.
        metric: what the scale shows.
        whole: the row of all studies.
        groups: (column, rows).
        ticks: of the scale.
        reference: place of the value of all studies, None = not estimable.
        notes: (where, reason).
        is_open: whether it is unfolded.
    """

    code: str
    metric: str
    whole: Line
    groups: tuple[tuple[str, tuple[Line, ...]], ...]
    ticks: tuple[Tick, ...]
    reference: float | None
    notes: tuple[tuple[str, str], ...]
    has_events: bool
    is_open: bool
    width: float = WIDTH


def forests(metrics: Mapping[str, Any]) -> tuple[Forest, ...]:
    """One an output, in its order; none where there are no subgroups."""
    groups = {column: rows for column, rows in (metrics.get("subgroups") or {}).items() if rows}
    is_label = metrics.get("kind") != "regression"
    outputs = metrics.get("labels" if is_label else "numbers") or {}
    if not groups:
        return ()
    key = "auroc" if is_label else "mae"
    return tuple(
        _forest(code, own.get(key), groups, is_label=is_label, is_open=n < OPEN)
        for n, (code, own) in enumerate(outputs.items())
    )


def _forest(
    code: str, whole: Mapping[str, Any] | None, groups: Mapping[str, Any], *, is_label: bool, is_open: bool
) -> Forest:
    digits = 3 if is_label else None
    every = [whole, *(row.get(code) for rows in groups.values() for row in rows.values())]
    low, high = _scale([found for found in every if found and "value" in found], is_label=is_label)
    notes = Notes()

    def place(value: float) -> float:
        return round(ROOM + (min(max(value, low), high) - low) / (high - low) * (WIDTH - 2 * ROOM), 2)

    def line(name: str, found: Mapping[str, Any] | None, where: str) -> Line:
        n, events = (count((found or {}).get(counted)) for counted in ("n", "events"))
        cell = estimate(found, notes, where, digits)
        if not found or "value" not in found:
            return Line(name, n, events, cell)
        ends = found.get("interval") or (found["value"],) * 2
        is_cut = ends[0] < low or ends[1] > high
        return Line(name, n, events, cell, place(found["value"]), place(ends[0]), place(ends[1]), is_cut)

    made = tuple(
        (column, tuple(line(name, row.get(code), f"{column} {name}") for name, row in rows.items()))
        for column, rows in groups.items()
    )
    own = line("all", whole, "all studies")
    ticks = tuple(Tick(place(v), number(v, _digits(high - low))) for v in round_ticks(low, high, 4))
    metric = "AUROC" if is_label else "mean absolute error"
    return Forest(code, metric, own, made, ticks, own.at, notes.all(), is_label, is_open)


def _scale(found: list[Mapping[str, Any]], *, is_label: bool) -> tuple[float, float]:
    """Limits that hold the values and their intervals; an AUROC's lie within 0 and 1."""
    ends = [end for one in found for end in (*(one.get("interval") or ()), one["value"])]
    if not ends:
        return 0.0, 1.0
    low, high = min(ends), max(ends)
    room = max(0.02 * (high - low), 1e-6 * max(abs(high), 1.0))
    low, high = low - room, high + room
    if is_label:
        return max(0.0, min(low, 0.5)), 1.0
    return min(0.0, low), high


def _digits(spread: float) -> int:
    return 0 if spread > 5 else 1 if spread > 0.45 else 2
