"""A long recording at a glance: rate, atrial fibrillation, ectopic beats and pauses over the hours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cardioloom.records import Report
from cardioloom.report.trend import Tick, round_ticks
from cardioloom.report.words import duration, number

WIDTH, LEFT, RIGHT, TOP = 720.0, 62.0, 66.0, 18.0  # drawing units
RATE_HEIGHT, LANE, LANE_GAP, AXIS = 120.0, 20.0, 10.0, 36.0
COUNTED = (("pvc", "PVC"), ("pac", "PAC"), ("pauses", "Pauses"))
STEPS_S = (60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 14400, 21600, 43200, 86400)
MAX_TICKS, MAX_ROWS = 12, 24
DAY_S = 86_400.0

Block = Mapping[str, Any]


@dataclass(frozen=True)
class Lane:
    """A row under the rate: its name, top, the words at its end, and its bars as one path."""

    name: str
    top: float
    said: str
    path: str
    unknown: str = ""


@dataclass(frozen=True)
class Day:
    """The drawing of a long recording and its table; ``rows`` are cells of words, the last row is the whole."""

    line: str
    band: str
    lanes: tuple[Lane, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    x_label: str
    step: str
    rows: tuple[tuple[str, ...], ...]
    height: float
    width: float = WIDTH
    left: float = LEFT
    right: float = WIDTH - RIGHT
    bottom: float = TOP + RATE_HEIGHT


def day_of(report: Report) -> Day | None:
    """The overview of ``report.attachments["rhythm_blocks"]``; None where there is none."""
    blocks: Any = sorted(report.attachments.get("rhythm_blocks") or (), key=lambda block: block["start_s"])  # type: ignore[call-overload]
    if not blocks:
        return None
    end = max(block["start_s"] + block["seconds"] for block in blocks)
    start = report.study.ecg.start
    step = next((s for s in STEPS_S if end / s <= MAX_ROWS), math.ceil(end / MAX_ROWS / DAY_S) * DAY_S)
    groups = _grouped(blocks, step)
    low, high = _axis(blocks)

    def x(t: float) -> float:
        return LEFT + t / end * (WIDTH - LEFT - RIGHT)

    def y(rate: float) -> float:
        return TOP + (high - rate) / (high - low) * RATE_HEIGHT

    line, band = _rates(blocks, x, y)
    lanes = [_af_lane(blocks, x)]
    for n, (key, name) in enumerate(COUNTED, 1):
        lanes.append(_count_lane(key, name, groups, step, end, n, x))
    return Day(
        line=line,
        band=band,
        lanes=tuple(lanes),
        x_ticks=tuple(Tick(x(t), text) for t, text in _clock_ticks(end, start)),
        y_ticks=tuple(Tick(y(rate), f"{rate:g}") for rate in round_ticks(low, high, 4)),
        x_label="time of day"
        if start
        else "time since the start, h"
        if end > 3 * 3600
        else "time since the start, min",
        step="hour" if step == 3600 else f"{step / 3600:g} h" if step > 3600 else f"{step / 60:g} min",
        rows=_table(groups, blocks, start),
        height=_lane_top(len(lanes) - 1) + LANE + AXIS,
    )


def _known(value: Any) -> bool:
    return value is not None and math.isfinite(value)


def _grouped(blocks: Sequence[Block], step: float) -> list[tuple[float, list[Block]]]:
    """(start in s, its blocks) of every step that holds any."""
    groups: dict[float, list[Block]] = {}
    for block in blocks:
        groups.setdefault(block["start_s"] // step * step, []).append(block)
    return list(groups.items())


def _axis(blocks: Sequence[Block]) -> tuple[float, float]:
    """Whole tens around the rates, at least 40 bpm apart."""
    rates = [block[key] for block in blocks for key in ("rate_min", "rate", "rate_max") if _known(block[key])] or [60.0]
    low, high = math.floor(min(rates) / 10) * 10, math.ceil(max(rates) / 10) * 10
    return low, max(high, low + 40)


def _rates(blocks: Sequence[Block], x: Any, y: Any) -> tuple[str, str]:
    """Paths of the mean rate and of the span from the lowest to the highest; blocks without a rate leave a gap."""
    line, band, drawing = [], [], False
    for block in blocks:
        a, b = x(block["start_s"]), x(block["start_s"] + block["seconds"])
        if _known(block["rate"]):
            line.append(f"{'L' if drawing else 'M'}{(a + b) / 2:.1f} {y(block['rate']):.1f}")
        drawing = _known(block["rate"])
        if _known(block["rate_min"]) and _known(block["rate_max"]):
            band.append(
                f"M{a:.1f} {y(block['rate_min']):.1f}V{y(block['rate_max']):.1f}H{b:.1f}V{y(block['rate_min']):.1f}Z"
            )
    # A lone block still shows: a path of one point draws nothing.
    return "".join(line) + ("h0.1" if len(line) == 1 else ""), "".join(band)


def _lane_top(n: int) -> float:
    return TOP + RATE_HEIGHT + LANE_GAP + n * (LANE + LANE_GAP)


def _af_lane(blocks: Sequence[Block], x: Any) -> Lane:
    top = _lane_top(0)

    def boxes(state: bool | None) -> str:
        spans = [(x(b["start_s"]), x(b["start_s"] + b["seconds"])) for b in blocks if b["af"] is state]
        return "".join(f"M{a:.1f} {top:g}H{b:.1f}V{top + LANE:g}H{a:.1f}Z" for a, b in spans)

    share, judged = _af(blocks)
    return Lane("AF", top, f"{100 * share / judged:.0f} %" if judged else "not judged", boxes(True), boxes(None))


def _af(blocks: Sequence[Block]) -> tuple[float, float]:
    """Seconds in atrial fibrillation, and seconds in which it could be judged."""
    found = sum(block["seconds"] for block in blocks if block["af"] is True)
    return found, sum(block["seconds"] for block in blocks if block["af"] is not None)


def _count_lane(
    key: str, name: str, groups: list[tuple[float, list[Block]]], step: float, end: float, n: int, x: Any
) -> Lane:
    top = _lane_top(n)
    counts = [(start, sum(block[key] for block in blocks)) for start, blocks in groups]
    most = max(count for _, count in counts)
    path = ""
    for start, count in counts:
        if count:
            a, b = x(start) + 0.5, x(min(end, start + step)) - 0.5
            path += f"M{a:.1f} {top + LANE:g}V{top + LANE * (1 - count / most):.1f}H{b:.1f}V{top + LANE:g}Z"
    return Lane(name, top, f"max {most:,}" if most else "none", path)


def _clock_ticks(end: float, start: datetime | None) -> list[tuple[float, str]]:
    """(s from the start, words): times of day on whole steps where the start is known, else hours or minutes."""
    step = next((s for s in STEPS_S if end / s <= MAX_TICKS), math.ceil(end / MAX_TICKS / DAY_S) * DAY_S)
    if start is None:
        unit = 3600 if end > 3 * 3600 else 60
        return [(k * step, f"{k * step / unit:g}") for k in range(int(end / step) + 1)]
    since_midnight = start.hour * 3600 + start.minute * 60 + start.second
    first = math.ceil(since_midnight / step) * step - since_midnight
    times = [first + k * step for k in range(int((end - first) / step) + 1)]
    return [(t, f"{start + timedelta(seconds=t):%H:%M}") for t in times]


def _table(
    groups: list[tuple[float, list[Block]]], blocks: Sequence[Block], start: datetime | None
) -> tuple[tuple[str, ...], ...]:
    def begin(t: float) -> str:
        return f"{start + timedelta(seconds=t):%H:%M}" if start else duration(t) if t else "0 s"

    rows = [(begin(t), *_cells(inside)) for t, inside in groups]
    return (*rows, ("Whole", *_cells(blocks))) if len(rows) > 1 else (("Whole", *_cells(blocks)),)


def _cells(blocks: Sequence[Block]) -> tuple[str, ...]:
    """Beats, mean, lowest and highest rate, share of atrial fibrillation, and the counts of some blocks."""
    beats = sum(block["beats"] for block in blocks)
    rated = [block for block in blocks if _known(block["rate"])]
    weight = sum(block["seconds"] for block in rated)
    mean = sum(block["rate"] * block["seconds"] for block in rated) / weight if weight else math.nan
    lowest = min((block["rate_min"] for block in blocks if _known(block["rate_min"])), default=math.nan)
    highest = max((block["rate_max"] for block in blocks if _known(block["rate_max"])), default=math.nan)
    found, judged = _af(blocks)
    af = f"{100 * found / judged:.0f} %" if judged else "not judged"
    counts = (f"{sum(block[key] for block in blocks):,}" for key, _ in COUNTED)
    return (f"{beats:,}", number(mean, 0), number(lowest, 0), number(highest, 0), af, *counts)
