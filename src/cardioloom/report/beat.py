"""The median beat of each lead on paper, its ST levels, and the axes as a wheel."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardioloom.records import STANDARD_LEADS, Measurement, Report
from cardioloom.report import marks, paper, words

ENLARGED = 2  # the paper and what is on it: a small square is 2 mm wide
SPEED = ENLARGED * paper.SPEED  # mm/s
GAINS = (10.0, 5.0, 2.0, 1.0)  # mm/mV before enlarging; less where the traces would not fit
MAX_HEIGHT_MM = 180.0
MAX_LEADS = 16
BEFORE_S, AFTER_S, SPARE_S = 0.3, 0.5, 0.05  # shown round R, wider where a mark lies outside
LABEL_MM, SPARE_MM, GAP_MM, LEGEND_MM = 4.0, 1.5, 4.0, 5.0
LINES = {"p_on": "P", "qrs_on": "Q", "qrs_off": "J", "t_off": "T"}
ST_POINTS = {"j": "J", "j60": "J+60 ms", "j80": "J+80 ms"}
# The hexaxial reference: where each lead looks from, degrees.
HEXAXIAL = {"I": 0, "II": 60, "aVF": 90, "III": 120, "aVR": -150, "aVL": -30}
RADIUS, CENTRE = 72.0, 105.0
NEEDLES = (("p", "P", "p_axis", 0.42), ("t", "T", "t_axis", 0.62), ("qrs", "QRS", "qrs_axis", 0.82))


@dataclass(frozen=True)
class Panel:
    """One lead's median beat: origin (x at the window's start, y at 0 mV), name and trace, mm."""

    label: str
    x: float
    y: float
    label_x: float
    label_rise: float
    trace: str


@dataclass(frozen=True)
class BeatSheet:
    """The median beats drawn on paper, mm; ``lines`` are the wave marks, ``letters`` (x, y, letter) name them."""

    width: float
    height: float
    grid_1mm: str
    grid_5mm: str
    panels: tuple[Panel, ...]
    lines: str
    letters: tuple[tuple[float, float, str], ...]
    caption: str


def beat_of(report: Report) -> BeatSheet | None:
    """The median beats of ``report.attachments["median_beat"]`` on paper; None where there are none."""
    beat: Any = report.attachments.get("median_beat")
    leads = {name: np.asarray(row, np.float64) for name, row in beat["leads"].items()} if beat else {}
    leads = {name: row for name, row in leads.items() if np.isfinite(row).any()}
    if not leads:
        return None
    fs, r = float(beat["fs"]), int(beat["r"])
    at = {name: float(t) for name, t in beat.get("marks", {}).items() if name in LINES and t is not None}
    at = {name: t for name, t in at.items() if math.isfinite(t)}
    n_samples = max(map(len, leads.values()))
    first = max(0, r + math.floor(min([-BEFORE_S, *(t - SPARE_S for t in at.values())]) * fs))
    last = min(n_samples - 1, r + math.ceil(max([AFTER_S, *(t + SPARE_S for t in at.values())]) * fs))
    shown = {name: row[first : last + 1] for name, row in leads.items()}
    inside = {name: (t * fs + r - first) / fs for name, t in at.items() if first <= t * fs + r <= last}
    return _sheet(shown, fs, inside, (last - first) / fs * SPEED)


def _rows(leads: Mapping[str, object]) -> list[list[str]]:
    """The standard twelve as on a 3 × 4 sheet, other leads below or alone in rows of four."""
    standard = [lead for lead in STANDARD_LEADS if lead in leads]
    whole = len(standard) == len(STANDARD_LEADS)
    rows = [list(row) for row in paper.COLUMNS["3x4"]] if whole else []
    rest = [lead for lead in ((*standard, *leads) if not whole else leads) if not whole or lead not in standard]
    rest = list(dict.fromkeys(rest))[: MAX_LEADS - len(standard) * whole]
    return rows + [rest[k : k + 4] for k in range(0, len(rest), 4)]


def _sheet(leads: Mapping[str, NDArray[np.float64]], fs: float, at: Mapping[str, float], wide: float) -> BeatSheet:
    rows = _rows(leads)
    up = np.array([max(0.0, *(float(np.nanmax(leads[lead])) for lead in row)) for row in rows])
    down = np.array([max(0.0, *(-float(np.nanmin(leads[lead])) for lead in row)) for row in rows])

    def height(gain: float) -> float:
        spare = LABEL_MM + 2 * SPARE_MM
        return float(np.ceil((up + down) * gain + spare).sum()) + LEGEND_MM

    usual = next((gain for gain in GAINS if height(ENLARGED * gain) <= MAX_HEIGHT_MM), 1.0 / height(1.0))
    gain = ENLARGED * usual
    width = math.ceil(max(map(len, rows)) * (wide + GAP_MM) + GAP_MM)
    panels, lines, letters, top = [], [], [], 0.0
    for n, row in enumerate(rows):
        tall = math.ceil((up[n] + down[n]) * gain + LABEL_MM + 2 * SPARE_MM)
        y = round(top + LABEL_MM + SPARE_MM + up[n] * gain, 2)
        for column, lead in enumerate(row):
            x = round(GAP_MM + column * (wide + GAP_MM), 2)
            panels.append(_panel(lead, leads[lead], fs, gain, x, y, (wide, y - top - 4)))
            lines += [f"M{x + t * SPEED:.6g} {top + LABEL_MM:g}V{top + tall:g}" for t in at.values()]
            letters += [(round(x + t * SPEED, 2), top + tall + 3.4, LINES[name]) for name, t in at.items()]
        top += tall
    last = max((y for _, y, _ in letters), default=0.0)
    fine, strong = paper.grid(width, height(gain), step=ENLARGED)
    return BeatSheet(
        width=width,
        height=height(gain),
        grid_1mm=fine,
        grid_5mm=strong,
        panels=tuple(panels),
        lines="".join(lines),
        letters=tuple(letter for letter in letters if letter[1] == last),
        caption=f"{paper.SPEED:g} mm/s, {usual:.3g} mm/mV, enlarged: a small square is 40 ms by {1 / usual:.3g} mV",
    )


def _panel(
    lead: str, row: NDArray[np.float64], fs: float, gain: float, x: float, y: float, room: tuple[float, float]
) -> Panel:
    wide, reach = room
    start = marks.start_of(row, fs, gain=gain, speed=SPEED)
    usual = min(marks.BRACKET_UP_MM + 3.5, reach)
    label_x, rise = marks.place_label([start], wide=marks.label_width(lead), room=wide, rise=usual, reach=reach)
    return Panel(lead, x, y, label_x, rise, paper.trace(row, fs, gain=gain, speed=SPEED))


def st_table(report: Report) -> list[tuple[str, list[str]]]:
    """(lead, ST level in mV at J, J + 60 ms and J + 80 ms) in words; empty where no level was measured."""
    rows = []
    for lead, found in report.beats.leads.items():
        levels: Any = found.get("st_mv") or {}
        values = [levels.get(point) for point in ST_POINTS]
        if any(value is not None for value in values):
            rows.append((lead, ["–" if value is None else signed(float(value)) for value in values]))
    rank = {lead: k for k, lead in enumerate(STANDARD_LEADS)}
    return sorted(rows, key=lambda row: rank.get(row[0], len(rank)))


def signed(millivolts: float) -> str:
    """``0.123`` → ``"+0.12"``; ``-0.001`` → ``"0.00"``."""
    text = words.number(millivolts, 2)
    return f"+{text}" if round(millivolts, 2) > 0 else text


@dataclass(frozen=True)
class Needle:
    """An axis on the wheel: its kind, letters and words, the needle's tip and where its letters stand."""

    kind: str
    letters: str
    words: str
    x: float
    y: float
    text_x: float
    text_y: float


@dataclass(frozen=True)
class Wheel:
    """The hexaxial circle: ``spokes`` (lead, x, y), the sector of the normal QRS axis and the needles."""

    spokes: tuple[tuple[str, float, float, float, float], ...]
    sector: str
    needles: tuple[Needle, ...]
    size: float = 2 * CENTRE
    radius: float = RADIUS


def wheel_of(measurements: Mapping[str, Measurement]) -> Wheel | None:
    """The axes of P, QRS and T in the frontal plane: 0° = lead I to the right, +90° = aVF downwards; None without."""
    needles = []
    for kind, letters, name, share in NEEDLES:
        axis = measurements.get(name)
        if axis is None or axis.unit != "deg" or not math.isfinite(axis.value):
            continue
        (x, y), (text_x, text_y) = _polar(axis.value, RADIUS * share), _polar(axis.value, RADIUS * share + 9)
        said = f"{letters} {words.quantity(axis.value, 'deg')}"
        needles.append(Needle(kind, letters, said, x, y, text_x, text_y))
    if not needles:
        return None
    (ax, ay), (bx, by) = _polar(-30, RADIUS), _polar(90, RADIUS)
    sector = f"M{CENTRE:g} {CENTRE:g}L{ax} {ay}A{RADIUS:g} {RADIUS:g} 0 0 1 {bx} {by}Z"
    spokes = tuple((lead, *_polar(angle, RADIUS), *_polar(angle, RADIUS + 16)) for lead, angle in HEXAXIAL.items())
    return Wheel(spokes, sector, tuple(needles))


def _polar(degrees: float, radius: float) -> tuple[float, float]:
    angle = math.radians(degrees)
    return round(CENTRE + radius * math.cos(angle), 1), round(CENTRE + radius * math.sin(angle), 1)
