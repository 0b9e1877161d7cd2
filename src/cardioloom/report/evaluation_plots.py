"""Small drawings of an evaluation as the numbers that their template draws: axes, lines, points, bars."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from cardioloom.report.evaluation_words import whole
from cardioloom.report.trend import Tick, round_ticks
from cardioloom.report.words import number

WIDTH, HEIGHT = 340.0, 270.0  # drawing units
LEFT, RIGHT, TOP, BOTTOM = 46.0, 12.0, 10.0, 38.0
ACROSS, DOWN = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
UNIT = (0.0, 1.0)
TICKS = 5  # about so many on an axis
Range = tuple[float, float]
Points = Iterable[Sequence[float]]
Ticks = tuple[tuple[Tick, ...], tuple[Tick, ...]]


@dataclass(frozen=True)
class Plot:
    """One drawing.

    Args:
        title: over it; also what is read aloud, with the caption.
        caption: under it.
        x_label, y_label: of the axes.
        ticks: places on the two axes, drawing units from the left and the top of the inner field.
        lines: (class, path) in the inner field.
        dots: (class, x, y, radius).
        words: (class, x, y, text).
        key: (class of a line, what it is).
    """

    title: str
    caption: str
    x_label: str
    y_label: str
    ticks: Ticks
    lines: tuple[tuple[str, str], ...] = ()
    dots: tuple[tuple[str, float, float, float], ...] = ()
    words: tuple[tuple[str, float, float, str], ...] = ()
    key: tuple[tuple[str, str], ...] = ()
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    top: float = TOP
    across: float = ACROSS
    down: float = DOWN


@dataclass(frozen=True)
class Axes:
    """Values → drawing units of the inner field."""

    x: Range
    y: Range

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a point lies."""
        return (
            round((x - self.x[0]) / (self.x[1] - self.x[0]) * ACROSS, 2),
            round((self.y[1] - y) / (self.y[1] - self.y[0]) * DOWN, 2),
        )

    def path(self, points: Points) -> str:
        """A line through points; what is not finite breaks it."""
        said, is_down = [], False
        for x, y in points:
            is_there = isfinite(x) and isfinite(y)
            if is_there:
                at = self.at(x, y)
                said.append(f"{'L' if is_down else 'M'}{at[0]:g} {at[1]:g}")
            is_down = is_there
        return "".join(said)

    def steps(self, points: Points) -> str:
        """A staircase: each value holds until the next point."""
        stairs: list[tuple[float, float]] = []
        for x, y in points:
            if stairs:
                stairs.append((x, stairs[-1][1]))
            stairs.append((x, y))
        return self.path(stairs)

    def ticks(self, y: Range | None = None) -> Ticks:
        """Of both axes; those of y over a part of it where it is given."""
        part = y or self.y
        across = tuple(Tick(self.at(v, 0)[0], number(v, _digits(self.x))) for v in round_ticks(*self.x, TICKS))
        down = tuple(Tick(self.at(0, v)[1], number(v, _digits(part))) for v in round_ticks(*part, TICKS))
        return across, down


def _digits(axis: Range) -> int:
    spread = axis[1] - axis[0]
    return 0 if spread > 5 else 1 if spread > 0.45 else 2 if spread > 0.045 else 3


def spread(values: Sequence[float], share: float = 0.05) -> Range:
    """A range that holds the values with some room; one of a width even where they are all equal."""
    low, high = min(values), max(values)
    room = (high - low) * share or max(abs(high), 1.0) * share
    return low - room, high + room


def of_label(code: str, found: Mapping[str, Any]) -> tuple[Plot, ...]:
    """The curves of one label that metrics.json holds."""
    makers = (roc, reliability, decision_curve, risk_coverage)
    return tuple(plot for make in makers if (plot := make(code, found)) is not None)


def roc(code: str, found: Mapping[str, Any]) -> Plot | None:
    """Sensitivity over false positive rate; the area with its interval in the key."""
    if not found.get("roc"):
        return None
    axes = Axes(UNIT, UNIT)
    return Plot(
        f"ROC curve of {code}",
        f"{found.get('events', 0):,} positive of {found.get('n', 0):,}",
        "1 − specificity",
        "sensitivity",
        axes.ticks(),
        lines=(("guide", axes.path(((0, 0), (1, 1)))), ("line-1", axes.path(found["roc"]))),
        key=(("line-1", f"AUROC {whole(found.get('auroc'))}"), ("guide", "chance")),
    )


def reliability(code: str, found: Mapping[str, Any]) -> Plot | None:
    """Share of positives over predicted probability, with interval and count of each bin."""
    rows = [row for row in found.get("reliability") or () if "value" in row["observed"]]
    if not rows:
        return None
    axes = Axes(UNIT, (-0.14, 1.0))
    points = [(row["predicted"], row["observed"]["value"]) for row in rows]
    bars = "".join(
        axes.path(((row["predicted"], low), (row["predicted"], high)))
        for row in rows
        if row["observed"].get("interval")
        for low, high in (row["observed"]["interval"],)
    )
    intervals = " with 95 % intervals" if bars else ""
    middle = [axes.at((row["low"] + row["high"]) / 2, -0.1) for row in rows]
    return Plot(
        f"Reliability of {code}",
        f"Points: bins of predicted probability{intervals}; below, the number of studies in each of "
        f"{len(rows)} bins that are not empty.",
        "predicted probability",
        "observed share",
        axes.ticks(UNIT),
        lines=(
            ("guide", axes.path(((0, 0), (1, 1)))),
            ("bar-1", bars),
            ("line-1", axes.path(points)),
        ),
        dots=tuple(("dot-1", *axes.at(x, y), 3.5) for x, y in points),
        words=tuple(("count", x, y, f"{row['n']:,}") for row, (x, y) in zip(rows, middle, strict=True)),
        key=(("line-1", "model"), ("guide", "perfect calibration")),
    )


def decision_curve(code: str, found: Mapping[str, Any]) -> Plot | None:
    """Net benefit over the threshold, beside that of acting on everybody and on nobody."""
    rows = found.get("decision_curve") or ()
    model = [(row["threshold"], row["model"]) for row in rows if isinstance(row.get("model"), (int, float))]
    if not model:
        return None
    everybody = [(row["threshold"], row["treat_all"]) for row in rows]
    top = max([value for _, value in (*model, *everybody)] + [0.01])
    axes = Axes(UNIT, (-0.3 * top, 1.08 * top))
    return Plot(
        f"Decision curve of {code}",
        "What falls below the drawing is worse than acting on nobody by more than a third of the best benefit.",
        "threshold probability",
        "net benefit",
        axes.ticks(),
        lines=(
            ("guide", axes.path(((0, 0), (1, 0)))),
            ("line-3", axes.path(everybody)),
            ("line-1", axes.path(model)),
        ),
        key=(("line-1", "model"), ("line-3", "everybody"), ("guide", "nobody")),
    )


def risk_coverage(code: str, found: Mapping[str, Any]) -> Plot | None:
    """Share of wrong decisions among the studies that the model is surest of."""
    points = found.get("risk_coverage") or ()
    if not points:
        return None
    axes = Axes(UNIT, (0.0, max(0.02, 1.1 * max(risk for _, risk in points))))
    area = found.get("aurc")
    caption = "Share of wrong decisions where only the surest studies are answered."
    return Plot(
        f"Risk over coverage of {code}",
        caption if area is None else f"{caption} Area: {number(area, 4)}.",
        "coverage",
        "risk",
        axes.ticks(),
        lines=(("line-1", axes.path(points)),),
    )


def scatter(code: str, found: Mapping[str, Any]) -> Plot | None:
    """Predicted over true numbers."""
    pairs = found.get("pairs") or ()
    if not pairs:
        return None
    both = spread([value for pair in pairs for value in pair])
    axes = Axes(both, both)
    unit = f", {found['unit']}" if found.get("unit") else ""
    return Plot(
        f"{code}: predicted over measured",
        f"{len(pairs):,} of {found.get('n', len(pairs)):,} studies; the line is equality.",
        f"measured{unit}",
        f"predicted{unit}",
        axes.ticks(),
        lines=(("guide", axes.path(((both[0], both[0]), (both[1], both[1])))),),
        dots=tuple(("dot-2", *axes.at(*pair), 2.4) for pair in pairs),
    )


def bland_altman(code: str, found: Mapping[str, Any]) -> Plot | None:
    """Difference over mean, with bias and limits of agreement."""
    pairs = found.get("pairs") or ()
    if not pairs:
        return None
    points = [((truth + predicted) / 2, predicted - truth) for truth, predicted in pairs]
    levels = [(name, found.get(name) or {}) for name in ("bias", "lower_limit", "upper_limit")]
    levels = [(name, level) for name, level in levels if "value" in level]
    axes = Axes(
        spread([x for x, _ in points]),
        spread([*(y for _, y in points), *(level["value"] for _, level in levels)]),
    )
    unit = f", {found['unit']}" if found.get("unit") else ""
    lines = [
        (
            "line-1" if name == "bias" else "line-3",
            axes.path(((axes.x[0], level["value"]), (axes.x[1], level["value"]))),
        )
        for name, level in levels
    ]
    key = [
        ("line-1" if name == "bias" else "line-3", f"{name.replace('_', ' ')} {whole(level, None)}")
        for name, level in levels
    ]
    return Plot(
        f"{code}: difference over mean",
        f"Bland–Altman: predicted − measured, {len(pairs):,} of {found.get('n', len(pairs)):,} studies.",
        f"mean of both{unit}",
        f"difference{unit}",
        axes.ticks(),
        lines=tuple(lines),
        dots=tuple(("dot-2", *axes.at(*point), 2.4) for point in points),
        key=tuple(key),
    )


def kaplan_meier(curves: Mapping[str, Mapping[str, Any]]) -> Plot | None:
    """Share free of the event over the years, one staircase a group."""
    if not curves:
        return None
    end = max(curve["times"][-1] for curve in curves.values())
    lowest = min(min(curve["survival"]) for curve in curves.values())
    axes = Axes((0.0, end), (0.0 if lowest < 0.6 else max(0.0, lowest - 0.1), 1.0))
    lines, key = [], []
    for n, (name, curve) in enumerate(curves.items(), 1):
        style = f"{1 + (n - 1) % 4}"
        lines.append((f"line-{style}", axes.steps([(0.0, 1.0), *zip(curve["times"], curve["survival"], strict=True)])))
        key.append((f"line-{style}", f"{name} risk: {sum(curve['events']):,} events in {curve['at_risk'][0]:,}"))
    return Plot(
        "Kaplan–Meier curves by risk",
        "Share free of the event. The vertical axis does not begin at 0."
        if axes.y[0] > 0
        else "Share free of the event.",
        "years",
        "free of the event",
        axes.ticks(),
        lines=tuple(lines),
        key=tuple(key),
    )
