"""An ECG on paper: where each trace lies on the sheet, and the paths of its default view. All lengths in mm.

The page's script draws the other views with the same rules (templates/report.js).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cardioloom.records import STANDARD_LEADS
from cardioloom.report.marks import Wave, label_width, place_label, start_of, waves_between
from cardioloom.report.strip import Strip, extremes

SPEED = 25.0  # mm/s
PAPER_MM = 250.0  # trace width: 10 s at 25 mm/s
MARGIN_MM = 3.0  # right of the traces
MAX_SHEET_MM = 172.0  # fits A4 and Letter landscape under a few lines of text
POINTS_PER_MM = 20.0
TABLE_MM = (-100, 250)  # lengths whose text is kept at hand
CALIBRATION_S = 0.2
TOP_MARK_MM = 3.0
LABEL_RISE_MM = 6.0  # of a lead's name above 0 mV, where nothing is in its way
LABEL_TOP_MM = 4.0  # kept free above the highest place of a name
GAP_S = 0.04  # shorter gaps break the line without a hatch
USABLE = 0.5  # quality below which lead II gives the rhythm strip to a better lead
COLUMNS = {
    "3x4": (("I", "aVR", "V1", "V4"), ("II", "aVL", "V2", "V5"), ("III", "aVF", "V3", "V6")),
    "6x2": tuple(zip(STANDARD_LEADS[:6], STANDARD_LEADS[6:], strict=True)),
}


@dataclass(frozen=True)
class Layout:
    """Rows of lead indices; a row's leads share its width and follow each other in time."""

    code: str
    label: str
    rows: tuple[tuple[int, ...], ...]

    @property
    def has_rhythm(self) -> bool:
        """True where the last row repeats one lead over the whole width."""
        return len(self.rows[0]) > 1 and len(self.rows[-1]) == 1


@dataclass(frozen=True)
class Cell:
    """One lead's place: origin (x at ``start`` s, y at 0 mV), its width, and what is drawn there.

    ``label_x`` and ``label_rise``: where its name stands, to the right of and above the origin.
    """

    lead: int
    label: str
    derived: bool
    x: float
    y: float
    width: float
    start: float
    trace: str
    gaps: tuple[tuple[float, float], ...]
    label_x: float
    label_rise: float
    waves: tuple[Wave, ...]


@dataclass(frozen=True)
class Sheet:
    """A drawn page of ECG paper."""

    width: float
    height: float
    spacing: float
    gutter: float
    grid_1mm: str
    grid_5mm: str
    calibration: str
    calibration_mv: float
    cells: tuple[Cell, ...]
    marks: tuple[tuple[float, float], ...]
    caption: str
    simultaneous: bool


def layouts(strip: Strip, scores: Mapping[str, float]) -> tuple[Layout, ...]:
    """The layouts a strip can be shown in, the default first.

    Args:
        strip: what is shown.
        scores: quality by lead, 0 to 1: chooses the lead of the rhythm strip.
    """
    rows = Layout("rows", f"{len(strip.leads)} × 1", tuple((k,) for k in range(len(strip.leads))))
    if not set(STANDARD_LEADS) <= set(strip.leads):
        return (rows,)
    rhythm = "II"
    if scores.get("II", 1.0) < USABLE:
        rhythm = max(STANDARD_LEADS, key=lambda lead: scores.get(lead, 0.0))
    index = {lead: k for k, lead in enumerate(strip.leads)}
    three, six = (tuple(tuple(index[lead] for lead in row) for row in COLUMNS[code]) for code in ("3x4", "6x2"))
    classic = Layout("3x4", f"3 × 4 + {rhythm}", (*three, (index[rhythm],)))
    pair = Layout("6x2", "6 × 2", six)
    return (classic, pair, rows) if len(strip.leads) == len(STANDARD_LEADS) else (rows, classic, pair)


def sheet(
    strip: Strip,
    layout: Layout,
    *,
    r_peaks_s: NDArray[np.float64] | None = None,
    waves: Sequence[Mapping[str, float]] = (),
) -> Sheet:
    """The first page in a layout, at 25 mm/s and the strip's gain.

    Args:
        strip: what is shown.
        layout: one of `layouts`.
        r_peaks_s: (beat,) s.
        waves: mark → s, one mapping a beat.
    """
    gain, rows = strip.gain, layout.rows
    gutter = 5 + CALIBRATION_S * SPEED
    up = [max(strip.up[k] for k in row) * gain for row in rows]
    down = [max(strip.down[k] for k in row) * gain for row in rows]
    top = math.ceil(min(45, max(14, up[0] + 6)))
    bottom = math.ceil(min(40, max(11, down[-1] + 8)))
    spacing = _spacing(up, down, MAX_SHEET_MM - top - bottom)
    width, height = gutter + PAPER_MM + MARGIN_MM, top + spacing * (len(rows) - 1) + bottom
    simultaneous = strip.seconds < 0.98 * PAPER_MM / SPEED and any(len(row) > 1 for row in rows)
    cells = []
    for n, row in enumerate(rows):
        y = top + n * spacing
        above = rows[n - 1] if n else ()
        reach = (spacing if n else top) - LABEL_TOP_MM
        cells += _row(strip, row, above, (gutter, y), (spacing, reach), simultaneous, waves)
    pulse_mv = 1.0 if gain >= 5 else 10 / gain
    fine, strong = grid(width, height)
    return Sheet(
        width=width,
        height=height,
        spacing=spacing,
        gutter=gutter,
        grid_1mm=fine,
        grid_5mm=strong,
        calibration=_pulses([top + n * spacing for n in range(len(rows))], pulse_mv * gain),
        calibration_mv=pulse_mv,
        cells=tuple(cells),
        marks=_marks(r_peaks_s, strip, gutter, height - bottom - up[-1] - 2 if layout.has_rhythm else TOP_MARK_MM),
        caption=f"{SPEED:g} mm/s   {gain:g} mm/mV   as recorded, not filtered",
        simultaneous=simultaneous,
    )


def _spacing(up: list[float], down: list[float], room: float) -> float:
    """Rows at least 20 mm apart, wider where neighbours would meet, closer where the sheet is full; whole mm."""
    if len(up) == 1:
        return 0.0
    limit = room / (len(up) - 1)
    need = max(a + b for a, b in zip(down, up[1:], strict=False)) + 2
    return max(1.0, math.floor(min(max(20.0, need), limit, 40.0)))


def _row(
    strip: Strip,
    leads: tuple[int, ...],
    above: tuple[int, ...],
    origin: tuple[float, float],
    rise: tuple[float, float],
    simultaneous: bool,
    waves: Sequence[Mapping[str, float]],
) -> list[Cell]:
    """The cells of one row at ``origin``; ``rise`` is the rows' spacing and the reach of a lead's name."""
    width = PAPER_MM / len(leads)
    seconds = width / SPEED
    cells = []
    for column, lead in enumerate(leads):
        start = 0.0 if simultaneous else column * seconds
        stop = min(start + seconds, strip.seconds)
        first, last = math.ceil(start * strip.fs - 1e-6), math.ceil(stop * strip.fs - 1e-6)
        samples = strip.signal[lead, first : last + 1]  # one more, so that neighbouring columns meet
        name, derived = strip.leads[lead], strip.leads[lead] in strip.derived
        neighbour = strip.signal[above[min(column, len(above) - 1)], first : last + 1] if above else None
        label_x, label_rise = _label(strip, samples, neighbour, label_width(name, derived=derived), width, rise)
        cells.append(
            Cell(
                lead=lead,
                label=name,
                derived=derived,
                x=origin[0] + column * width,
                y=origin[1],
                width=width,
                start=start,
                trace=trace(samples, strip.fs, gain=strip.gain, first_s=first / strip.fs - start),
                gaps=gaps(samples, strip.fs),
                label_x=label_x,
                label_rise=label_rise,
                waves=waves_between(waves, start, stop, speed=SPEED),
            )
        )
    return cells


def _label(
    strip: Strip,
    samples: NDArray[np.float32],
    above: NDArray[np.float32] | None,
    wide: float,
    room: float,
    rise: tuple[float, float],
) -> tuple[float, float]:
    """Where a lead's name stands, clear of its own trace and of the one in the row above."""
    spacing, reach = rise
    traces = [start_of(samples, strip.fs, gain=strip.gain, speed=SPEED)]
    if above is not None:
        traces.append(start_of(above, strip.fs, gain=strip.gain, speed=SPEED) - [0.0, spacing])
    usual = min(LABEL_RISE_MM, 0.3 * spacing) if spacing else LABEL_RISE_MM
    return place_label(traces, wide=wide, room=room, rise=usual, reach=reach)


def _marks(r_peaks_s: NDArray[np.float64] | None, strip: Strip, x: float, y: float) -> tuple[tuple[float, float], ...]:
    """Where the tips of the R peaks' marks lie: over the rhythm strip, else at the top of the sheet."""
    peaks = np.empty(0) if r_peaks_s is None else np.asarray(r_peaks_s, np.float64)
    shown = peaks[(peaks >= 0) & (peaks < min(strip.seconds, PAPER_MM / SPEED))]
    return tuple((round(x + t * SPEED, 2), round(y, 2)) for t in shown.tolist())


def trace(samples: NDArray[np.floating], fs: float, *, gain: float, speed: float = SPEED, first_s: float = 0.0) -> str:
    """The SVG path of one lead: x to the right in time, y downwards, (0, 0) = cell origin at 0 mV.

    Args:
        samples: (time,) mV; NaN breaks the line.
        fs: Hz.
        gain: mm/mV.
        speed: mm/s.
        first_s: where the first sample lies, s after the cell's origin.
    """
    kept = extremes(samples, int(fs / (speed * POINTS_PER_MM / 2)))
    xs = np.round((kept / fs + first_s) * speed, 2) + 0.0
    ys = np.round(-samples[kept].astype(np.float64) * gain, 2) + 0.0
    there = ~np.isnan(ys)
    points = list(map(" ".join, zip(_texts(xs[there]), _texts(ys[there]), strict=True)))
    is_first = there & ~np.concatenate(([False], there[:-1]))
    runs = pairwise([*np.flatnonzero(is_first[there]).tolist(), len(points)])
    return "".join("M" + "L".join(points[a:b]) for a, b in runs)


def _texts(lengths: NDArray[np.float64]) -> list[str]:
    """Lengths in whole 0.01 mm as text with no more digits than they need; the usual ones come from a table."""
    low, high = TABLE_MM
    if lengths.size and (lengths.min() < low or lengths.max() > high):
        return [f"{length:.6g}" for length in lengths.tolist()]
    return _table()[np.rint(100 * lengths).astype(np.intp) - 100 * low].tolist()


@cache
def _table() -> NDArray[np.object_]:
    """Text of every 0.01 mm of `TABLE_MM`: a page holds tens of thousands of lengths."""
    low, high = TABLE_MM
    return np.array([f"{k / 100:.6g}" for k in range(100 * low, 100 * high + 1)], object)


def gaps(samples: NDArray[np.floating], fs: float, *, speed: float = SPEED) -> tuple[tuple[float, float], ...]:
    """(x, width) in mm of every gap of at least 40 ms."""
    missing = np.concatenate(([False], np.isnan(samples), [False]))
    edges = np.flatnonzero(missing[1:] != missing[:-1])
    spans = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    return tuple((round(a / fs * speed, 2), round((b - a) / fs * speed, 2)) for a, b in spans if (b - a) / fs >= GAP_S)


def grid(width: float, height: float, *, step: int = 1) -> tuple[str, str]:
    """The paths of the thin lines, ``step`` mm apart, and of every fifth, strong one."""
    fine, strong = [], []
    for x in range(0, int(width) + 1, step):
        (fine if x % (5 * step) else strong).append(f"M{x} 0V{height:g}")
    for y in range(0, int(height) + 1, step):
        (fine if y % (5 * step) else strong).append(f"M0 {y}H{width:g}")
    return "".join(fine), "".join(strong)


def _pulses(baselines: list[float], height: float) -> str:
    """A calibration pulse (200 ms) on every row's baseline, or on every second, third … where they would touch."""
    step = 1 if len(baselines) == 1 else math.ceil((height + 1) / (baselines[1] - baselines[0]))
    wide = CALIBRATION_S * SPEED
    return "".join(f"M1.5 {y:g}h1v{-height:g}h{wide:g}v{height:g}h1" for y in baselines[::step])
