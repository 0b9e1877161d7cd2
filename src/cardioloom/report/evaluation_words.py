"""Values of metrics.json as words, tables and notes; nothing here is HTML, and nothing is decided."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cardioloom.report.words import number

DIGITS = 3  # of metrics without a unit
NOT_ESTIMABLE = "not estimable"
ABSENT = "–"
Metric = Mapping[str, Any]  # an `Estimate` as JSON


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Args:
        text: what it says.
        interval: in words, "" = none.
        kind: "num", "text", or "none" for what is not estimable.
    """

    text: str
    interval: str = ""
    kind: str = "num"


@dataclass(frozen=True)
class Table:
    """A table of the page.

    Args:
        caption: what it shows.
        columns: headings; the first is that of the rows' names.
        rows: (name, cells).
        notes: (where, reason) of what is not estimable.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    notes: tuple[tuple[str, str], ...] = ()


@dataclass
class Notes:
    """Reasons, each once, with all the places that they are of."""

    places: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, where: str) -> None:
        """Note a reason."""
        there = self.places.setdefault(reason, [])
        if where not in there:
            there.append(where)

    def all(self) -> tuple[tuple[str, str], ...]:
        """(places, reason)."""
        return tuple((", ".join(places), reason) for reason, places in self.places.items())


def estimate(found: Metric | None, notes: Notes, where: str, digits: int | None = DIGITS) -> Cell:
    """A metric as a cell; what is not estimable puts its reason among the notes.

    Args:
        found: the metric, None where metrics.json has none.
        notes: are added to.
        where: the metric's name in a note.
        digits: after the point; None = three significant ones.
    """
    if not found:
        return Cell(ABSENT)
    if "value" not in found:
        notes.add(str(found.get("not_estimable") or found.get("not_made") or "no reason is given"), where)
        return Cell(NOT_ESTIMABLE, kind="none")
    shown = number(float(found["value"]), digits)
    if reason := found.get("no_interval"):
        notes.add(f"no interval: {reason}", where)
        return Cell(shown, "no interval")
    return Cell(shown, interval(found, digits))


def interval(found: Metric, digits: int | None = DIGITS) -> str:
    """The interval in words, "" = none."""
    if not found.get("interval"):
        return ""
    low, high = (float(end) for end in found["interval"])
    return f"{number(low, digits)}{' to ' if low < 0 else '–'}{number(high, digits)}"


def whole(found: Metric | None, digits: int | None = DIGITS) -> str:
    """A metric in one line: ``"0.93 (0.90–0.95)"``, or why there is none."""
    cell = estimate(found, notes := Notes(), "", digits)
    if cell.kind == "none":
        return f"{NOT_ESTIMABLE}: {notes.all()[0][1]}"
    return f"{cell.text} ({cell.interval})" if cell.interval else cell.text


def p_value(p: float | None) -> str:
    """p in words; a dash where there is none."""
    if p is None:
        return ABSENT
    return "< 0.001" if p < 0.001 else number(p, 3)


def count(value: Any) -> Cell:
    """A whole number."""
    return Cell(ABSENT if value is None else f"{int(value):,}")


def text(value: Any) -> Cell:
    """Words, aligned as such."""
    return Cell(str(value) or ABSENT, kind="text")


def of_metrics(
    caption: str,
    rows: Mapping[str, Mapping[str, Any]],
    columns: Sequence[tuple[str, str]],
    *,
    first: str = "Output",
    digits: int | None = DIGITS,
) -> Table:
    """A table of counts and metrics.

    Args:
        caption: of the table.
        rows: name → key → value.
        columns: (key, heading); of a key without a metric the cell is the count.
        first: heading of the rows' names.
        digits: of the metrics.
    """
    notes, made = Notes(), []
    for name, row in rows.items():
        cells = [_any(row.get(key), notes, f"{heading} of {name}", digits) for key, heading in columns]
        made.append((name, tuple(cells)))
    return Table(caption, (first, *(heading for _, heading in columns)), tuple(made), notes.all())


def _any(value: Any, notes: Notes, where: str, digits: int | None) -> Cell:
    if value is None or isinstance(value, Mapping):
        return estimate(value, notes, where, digits)
    if isinstance(value, bool):
        return text("yes" if value else "no")
    if isinstance(value, int):
        return count(value)
    return Cell(number(value, digits)) if isinstance(value, float) else text(value)


def listed(names: Iterable[str], at_most: int = 12) -> str:
    """Names with commas between them, the first ones of many."""
    every = list(names)
    rest = len(every) - at_most
    return ", ".join(every[:at_most]) + (f" and {rest} more" if rest > 0 else "")
