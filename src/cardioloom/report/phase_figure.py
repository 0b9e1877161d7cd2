"""A figure of aligned phases for print: ECG phases down, cine phases across, the beat and the frames along the sides.

All lengths in tenths of a millimetre; the figure is 180 mm wide, the width of two columns of a journal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cardioloom.errors import UsageError
from cardioloom.report.cohort_page import data_uri
from cardioloom.report.html import environment
from cardioloom.report.trend import Tick
from cardioloom.report.words import number
from cardioloom.writers.atomic import replacing

WIDTH = 1800.0
EDGE, AXIS_NAME, BEAT, NUMBERS, GAP = 20.0, 36.0, 150.0, 46.0, 40.0
TITLE, FRAME_GAP, LEADERS, UNDER, FOOT = 66.0, 8.0, 14.0, 286.0, 70.0  # heights
PER_ROW = 3
TITLE_SIZE, SMALLEST, LETTER = 32.0, 20.0, 0.6  # of a title; a letter is about so wide, in sizes
FRAME = 1.86  # width of a frame in cells: frames stand in two rows, so that each is nearly two cells wide
MOST_PHASES = 60  # more cells would be too small for print
ROOM_FOR_NUMBER = 30.0  # where cells are narrower, not each has its number
# Seventeen steps of viridis (Smith & van der Walt 2015, CC0): equal steps to the eye, also to one that is colour-blind.
VIRIDIS = np.array(
    [
        *((68, 1, 84), (72, 24, 106), (71, 45, 123), (66, 64, 134), (59, 82, 139)),
        *((51, 99, 141), (44, 114, 142), (38, 129, 142), (33, 144, 140), (31, 159, 136)),
        *((40, 174, 128), (62, 188, 116), (93, 201, 99), (130, 211, 76), (171, 220, 50)),
        *((213, 226, 26), (253, 231, 37)),
    ],
    np.float64,
)
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])  # of sRGB, for black or white on a colour

Pixels = NDArray[np.uint8]
Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Panel:
    """One heat map.

    Args:
        title: over it.
        similarity: (ECG phase, cine phase) mean cosines.
        distance: of `evaluation.phases.diagonal_distance`; written under it.
        limits: of its colour scale; lowest and highest similarity where not given.
    """

    title: str
    similarity: ArrayLike
    distance: Mapping[str, Any] | None = None
    limits: tuple[float, float] | None = None


@dataclass(frozen=True)
class Map:
    """A panel as its template draws it: place of its first cell, cells (x, y, colour), dots (x, y, colour)."""

    title: str
    x: float
    y: float
    cells: tuple[tuple[float, float, str], ...]
    dots: tuple[tuple[float, float, str], ...]
    scale: tuple[str, str]
    said: tuple[str, ...]
    is_first: bool


@dataclass(frozen=True)
class Layout:
    """Lengths of the figure: panels in a row, the first one's left end, side of a heat map, of a cell and of a frame,
    what stands above a heat map, and the whole height."""

    per_row: int
    left: float
    side: float
    cell: float
    frame: float
    above: float
    height: float


def draw(
    panels: Sequence[Panel],
    beat: ArrayLike,
    frames: ArrayLike,
    path: str | Path,
    *,
    beat_name: str = "mean beat",
    made_on: str = "",
) -> None:
    """Write the figure as SVG.

    A dot marks the cine phase most similar to each ECG phase in the mean; outlined cells are of the same phase. Each
    panel has a colour scale of its own, with its ends written on it.

    Args:
        panels: one or more, of one number of phases; three in a row.
        beat: (sample,) the mean beat of one lead, from R wave to R wave; drawn downwards along the ECG phases.
        frames: (phase, row, col) one picture for each cine phase; grey values from the lowest to the highest of all.
        path: ends in .svg.
        beat_name: written over the beat, for instance the lead's name.
        made_on: whose hearts these are, e.g. "500 simulated patients"; written under the figure.

    Raises:
        UsageError: if the shapes do not fit, a number is not finite, or the path ends otherwise.
    """
    target = Path(path)
    if target.suffix.lower() != ".svg":
        raise UsageError(f"a figure of phases is written as .svg, got {target.suffix or 'no suffix'}: rename it")
    with replacing(target) as part:
        part.write_text(render(panels, beat, frames, beat_name=beat_name, made_on=made_on), encoding="utf-8")


def render(
    panels: Sequence[Panel], beat: ArrayLike, frames: ArrayLike, *, beat_name: str = "mean beat", made_on: str = ""
) -> str:
    """The text of the file that `draw` writes; arguments and errors as there."""
    matrices = [_matrix(panel) for panel in panels]
    if len({len(matrix) for matrix in matrices}) != 1:
        raise UsageError(
            f"a figure of phases takes panels of one number of phases, got {[len(matrix) for matrix in matrices]}"
        )
    n_phases = len(matrices[0])
    if n_phases > MOST_PHASES:
        raise UsageError(f"a figure has room for {MOST_PHASES} phases, got {n_phases}: average neighbours")
    pictures = _pictures(frames, n_phases)
    line = _finite(beat, 1, "the beat", "(sample,)")
    if len(line) < 2:
        raise UsageError(f"the beat needs two samples or more, got {len(line)}")
    at = _layout(len(panels), n_phases)
    maps = [_map(panel, matrix, at, n) for n, (panel, matrix) in enumerate(zip(panels, matrices, strict=True))]
    lower = -LEADERS - at.frame
    places = [((t + 0.5) * at.cell, lower if t % 2 else lower - FRAME_GAP - at.frame) for t in range(n_phases)]
    longest = max(1, *(len(panel.title) for panel in panels))
    return (
        environment()
        .get_template("phase_figure.svg.j2")
        .render(
            at=at,
            maps=maps,
            ticks=[Tick((k + 0.5) * at.cell, f"{k + 1}") for k in range(0, n_phases, ceil(ROOM_FOR_NUMBER / at.cell))],
            frames=[{"uri": data_uri(one), "x": x, "y": y} for one, (x, y) in zip(pictures, places, strict=True)],
            beat=_beat_path(line, at.side),
            beat_width=BEAT,
            beat_name=beat_name,
            numbers=NUMBERS,
            axis_at=at.left - NUMBERS - BEAT - AXIS_NAME / 2,
            title_size=max(SMALLEST, min(TITLE_SIZE, at.side / LETTER / longest)),
            title_at=TITLE - 26 - at.above,
            stops=[_hex(colour) for colour in VIRIDIS],
            made_on=made_on,
            width=WIDTH,
            edge=EDGE,
        )
    )


def _layout(n_panels: int, n_phases: int) -> Layout:
    """As many panels in a row as leave the rows alike."""
    n_rows = ceil(n_panels / PER_ROW)
    per_row = ceil(n_panels / n_rows)
    left = EDGE + AXIS_NAME + BEAT + NUMBERS
    # Half a frame hangs over at the first and the last column.
    side = (WIDTH - left - EDGE - (per_row - 1) * (NUMBERS + GAP)) / (per_row + FRAME / 2 / n_phases)
    if side > WIDTH / 2:  # one panel alone stands in the middle
        left += (side - WIDTH / 2) / 2
        side = WIDTH / 2
    cell = side / n_phases
    frame = min(FRAME * cell, cell + NUMBERS + GAP)
    above = TITLE + 2 * frame + FRAME_GAP + LEADERS
    return Layout(per_row, left, side, cell, frame, above, n_rows * (above + side + UNDER) + FOOT)


def _map(panel: Panel, matrix: Matrix, at: Layout, n: int) -> Map:
    """Where each cell lies and what is written round them."""
    row, column = divmod(n, at.per_row)
    x, y = at.left + column * (at.side + NUMBERS + GAP), row * (at.above + at.side + UNDER) + at.above
    cell = at.cell
    low, high = panel.limits or (float(matrix.min()), float(matrix.max()))
    if not (np.isfinite([low, high]).all() and low <= high):
        raise UsageError(f"the ends of a colour scale ascend, got {low} and {high}")
    colours = _colours((matrix - low) / (high - low if high > low else 1.0))
    cells = tuple(
        (t * cell, k * cell, _hex(colours[k, t])) for k in range(len(matrix)) for t in range(len(matrix))
    )  # by row
    dots = []
    for k, t in enumerate(matrix.argmax(axis=1).tolist()):
        is_light = colours[k, t] @ LUMINANCE > 128
        dots.append(((t + 0.5) * cell, (k + 0.5) * cell, "#111" if is_light else "#fff"))
    digits = 2 if high - low >= 0.1 or high == low else 3
    scale = (number(low, digits), number(high, digits))
    return Map(panel.title, x, y, cells, tuple(dots), scale, _said(panel.distance), column == 0)


def _said(distance: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The lines under a panel."""
    if distance is None:
        return ()
    lines = [f"mean distance from the diagonal: {number(distance['value'], 2)} phases"]
    if "interval" in distance:
        low, high = (number(end, 2) for end in distance["interval"])
        lines.append(f"{100 * distance['level']:g} % interval {low} to {high}")
    way = "round the beat; " if distance["circular"] else ""
    return (*lines, f"{way}chance {number(distance['chance'], 2)}; n = {distance['n']:,}")


def _beat_path(beat: Matrix, side: float) -> str:
    """The beat from top to bottom, positive to the right."""
    low, high = float(beat.min()), float(beat.max())
    across = (beat - low) / (high - low if high > low else 1.0) * BEAT * 0.9 + BEAT * 0.05
    down = np.linspace(0, side, len(beat))
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in zip(across.tolist(), down.tolist(), strict=True))


def _pictures(frames: ArrayLike, n_phases: int) -> list[Pixels]:
    """(row, col) grey values, darkest 0 and brightest 255 over all."""
    found = _finite(frames, 3, "the frames", "(phase, row, col)")
    if len(found) != n_phases:
        raise UsageError(f"{n_phases} phases need a frame each, got {len(found)}: give one picture a phase")
    low, high = float(found.min()), float(found.max())
    grey = (found - low) * (255 / (high - low) if high > low else 0.0)
    return list(np.rint(grey).astype(np.uint8))


def _matrix(panel: Panel) -> Matrix:
    """The similarities; UsageError unless they are square and finite."""
    matrix = _finite(panel.similarity, 2, "a similarity of phases", "(ECG phase, cine phase)")
    if matrix.shape[0] != matrix.shape[1]:
        raise UsageError(f"a similarity of phases is square, got shape {matrix.shape}")
    return matrix


def _finite(values: ArrayLike, ndim: int, what: str, axes: str) -> Matrix:
    found = np.asarray(values)
    if found.ndim != ndim or not found.size or found.dtype.kind not in "biuf":
        raise UsageError(f"{what} must be numbers {axes}, got {found.dtype.name} of shape {found.shape}")
    if not np.isfinite(found).all():
        raise UsageError(f"{what} must be finite, got NaN or infinity")
    return found.astype(np.float64)


def _colours(shares: Matrix) -> Matrix:
    """(…, 3) red, green and blue from 0 to 255 for shares of the scale; what lies outside has the colour of its end."""
    places = np.linspace(0, 1, len(VIRIDIS))
    return np.stack([np.interp(shares, places, VIRIDIS[:, channel]) for channel in range(3)], axis=-1)


def _hex(colour: Matrix) -> str:
    red, green, blue = np.rint(colour).astype(int).tolist()
    return f"#{red:02x}{green:02x}{blue:02x}"
