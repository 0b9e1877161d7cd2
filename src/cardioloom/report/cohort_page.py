"""A cohort on one HTML page: what it is, what its check found, Table 1, and some of its patients."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cardioloom.records import ECG, STANDARD_LEADS
from cardioloom.report import paper, words
from cardioloom.report.html import environment
from cardioloom.report.strip import Strip, extremes, strip_of

if TYPE_CHECKING:
    from markupsafe import Markup

POINTS_PER_MM = 5.0  # of a trace: at two pixels a millimetre more would not be seen
PICTURES = {
    "cine_sax": "Cine, short axis",
    "cine_lax_4ch": "Cine, long axis, four chambers",
    "echo": "Echocardiogram",
}
PHASES = ("end-diastole", "end-systole")


@dataclass(frozen=True)
class TableGroup:
    """Rows of a table that belong to one variable.

    Args:
        name: of the variable.
        rows: (value, one cell a column); the value is "" where the variable has one row alone.
    """

    name: str
    rows: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, eq=False)
class Picture:
    """Two frames of one modality.

    Args:
        modality: as the cohort calls it.
        frames: (2, row, col) uint8 at end-diastole and at end-systole.
        numbers: of the two frames, from 1.
    """

    modality: str
    frames: NDArray[np.uint8]
    numbers: tuple[int, int]


@dataclass(frozen=True, eq=False)
class PatientView:
    """One study of one patient.

    Args:
        study: its id.
        who: age, sex and split in words, those that are known.
        ecg: if there is one.
        pictures: of the modalities that there are.
        text: of the report, "" = none.
        labels: (name, value in words) of those that are shown.
        lacking: in sentences, what could not be shown.
    """

    study: str
    who: tuple[str, ...] = ()
    ecg: ECG | None = None
    pictures: tuple[Picture, ...] = ()
    text: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    lacking: tuple[str, ...] = ()


@dataclass(frozen=True)
class CohortPage:
    """What the page shows.

    Args:
        name: of the cohort.
        statement: that is to be read first ("simulated patients: …"), "" = none.
        facts: (term, words).
        problems: (code, sentence) that the check found.
        notes: of the check.
        columns: of both tables: all, and each split.
        table: Table 1: studies, patients, age, sex, labels that are numbers.
        counts: labels that are 0 or 1, or texts.
        not_counted: why there is no table, "" = there is one.
        n_patients: in the cohort.
        patients: that are shown.
    """

    name: str
    statement: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    problems: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    table: tuple[TableGroup, ...] = ()
    counts: tuple[TableGroup, ...] = ()
    not_counted: str = ""
    n_patients: int = 0
    patients: tuple[PatientView, ...] = ()


def render(page: CohortPage) -> str:
    """The page as one HTML5 document without scripts, for the screen and for A4 or Letter paper in landscape.

    It loads nothing from anywhere (its Content-Security-Policy forbids it), escapes whatever came from a file and
    leaves its control characters out.
    """
    return (
        environment()
        .get_template("cohort.html.j2")
        .render(
            page=page,
            patients=[_shown(patient) for patient in page.patients],
            breakable=_breakable,
            has_pictures=any(patient.pictures for patient in page.patients),
            not_a_diagnosis=words.NOT_A_DIAGNOSIS,
            for_research=words.FOR_RESEARCH,
        )
    )


def _breakable(name: str) -> Markup:
    """A column's name that may go on in the next line after each underscore."""
    from markupsafe import Markup, escape

    return escape(words.clean(name)).replace("_", Markup("_<wbr>"))


def data_uri(pixels: NDArray[np.uint8]) -> str:
    """(row, col) uint8 grey values as a PNG in a data URI."""
    return "data:image/png;base64," + base64.b64encode(png(pixels)).decode("ascii")


def png(pixels: NDArray[np.uint8]) -> bytes:
    """(row, col) uint8 grey values as a PNG file (ISO/IEC 15948), without loss."""
    height, width = pixels.shape
    rows = np.zeros((height, width + 1), np.uint8)  # each row begins with the number of its filter: 0, none
    rows[:, 1:] = pixels
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def _shown(patient: PatientView) -> Mapping[str, Any]:
    """What the template draws of one patient."""
    return {
        "own": patient,
        "drawing": None if patient.ecg is None else _drawing(patient.ecg),
        "pictures": [_picture(picture) for picture in patient.pictures],
    }


def _picture(picture: Picture) -> Mapping[str, Any]:
    ends = zip(PHASES, picture.numbers, picture.frames, strict=True)
    return {
        "title": PICTURES.get(picture.modality, picture.modality.replace("_", " ")),
        "frames": [{"phase": phase, "number": number, "uri": data_uri(frame)} for phase, number, frame in ends],
        "width": picture.frames.shape[2],
        "height": picture.frames.shape[1],
    }


def _drawing(ecg: ECG) -> Mapping[str, Any]:
    """The ECG on paper: 2.5 s of each standard lead, one column after the other; of other leads the first 10 s."""
    strip = strip_of(ecg)
    layout = paper.layouts(strip, {})[0]
    if set(STANDARD_LEADS) == set(strip.leads):
        layout = replace(layout, rows=layout.rows[:-1])  # without the rhythm strip
    sheet = paper.sheet(strip, layout)
    cells = tuple(replace(cell, trace=_thin(strip, cell)) for cell in sheet.cells)
    gaps = sum(width for cell in cells for _, width in cell.gaps)
    return {
        "sheet": replace(sheet, cells=cells),
        "notes": [*strip.notes, *(["Hatched: not recorded."] if gaps else [])],
        "leads": ", ".join(strip.leads),
        "seconds": words.duration(min(cells[0].width / paper.SPEED, strip.seconds)),
    }


def _thin(strip: Strip, cell: paper.Cell) -> str:
    """The path of a cell with a tenth of the samples or so; each peak stays where it is."""
    stop = min(cell.start + cell.width / paper.SPEED, strip.seconds)
    first, last = ceil(cell.start * strip.fs - 1e-6), ceil(stop * strip.fs - 1e-6)
    samples = strip.signal[cell.lead, first : last + 1]
    kept = extremes(samples, int(2 * strip.fs / (paper.SPEED * POINTS_PER_MM)))
    x = ((first + kept) / strip.fs - cell.start) * paper.SPEED
    y = -samples[kept].astype(np.float64) * strip.gain
    path, is_down = [], False
    for along, height in zip(x.tolist(), y.tolist(), strict=True):
        is_there = height == height  # not NaN
        if is_there:
            path.append(f"{'L' if is_down else 'M'}{along:.2f} {height + 0.0:.2f}")
        is_down = is_there
    return "".join(path)
