"""Text tables: a column a lead, or (time, lead, value) rows, or bare numbers; and the export of Apple Health.

This library's own CSV has ``time_s`` as its first column, then a column a lead in mV; an empty cell is "not recorded".
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import DamagedFileError, MissingFactError, NotAnECGError
from cardioloom.readers.arrays import Stated, ecg_of
from cardioloom.readers.csv_apple import is_apple, read_apple
from cardioloom.readers.csv_table import SECONDS, Table, is_number, names_lead, number_blocks, rate_of, table_of
from cardioloom.readers.limits import MAX_TEXT_BYTES, check_file, check_shape
from cardioloom.readers.told import Told, millivolts_per, settle_unit
from cardioloom.records import ECG

HEAD_LINES = 1000  # among these the table must begin
OWN_TIME = "time_s"
TABLE_SUFFIXES = frozenset({".csv", ".tsv"})
LEAD_COLUMN = re.compile(r"leads?|channel", re.IGNORECASE)
VALUE_COLUMN = re.compile(r"values?|amplitude|voltage|signal|ecg", re.IGNORECASE)
PLAUSIBLE_HZ = (50.0, 20_000.0)
_BINARY = bytes(set(range(32)) - {9, 10, 12, 13})


def sniff(path: Path, head: bytes) -> bool:
    """True for text with a table's suffix, and for any text whose columns are leads."""
    lines = _head_lines(head)
    if not lines:
        return False
    return path.suffix.lower() in TABLE_SUFFIXES or _is_ecg(lines) or _is_bare(path, lines)


def in_folder(_path: Path, head: bytes) -> bool:
    """True where the columns are leads: tables of other things, and bare numbers, are passed over."""
    return _is_ecg(_head_lines(head))


def read(path: Path, told: Told) -> Iterator[ECG]:
    """The ECG of a text table.

    Raises:
        ReadError: if facts are missing, a line is ragged or holds text, or no column is a lead.
    """
    check_file(path, MAX_TEXT_BYTES)
    lines = Lines(path)
    head = list(islice(lines, HEAD_LINES))
    if is_apple(head):
        yield read_apple(path, list(lines), told)
        return
    table = table_of(head)
    if table is None:
        raise DamagedFileError(f"{path.name} has no line of numbers below its header: export it again")
    check_shape(path.name, len(table.cells), 0)
    if table.names is None:
        if not all(is_number(cell) or not cell for cell in table.cells):
            raise NotAnECGError(f"{path.name} has no column of numbers: export a column a lead")
        factor = 1.0 if told.unit is None else settle_unit(path.name, None, told, None, [])
        _, values = _columns(path.name, lines, table, range(len(table.cells)), [factor] * len(table.cells))
        stated = Stated(unit=None if told.unit is None else "mV")
        yield ecg_of(path, "csv", values.T, stated, Told(told.fs, told.leads))
    elif long := _long_columns(table):
        yield _read_long(path, lines, table, long, told)
    else:
        yield _read_wide(path, lines, table, told)


class Lines:
    """The lines of a text file, read from it each time they are walked."""

    def __init__(self, path: Path):
        self.path, self.encoding = path, _encoding(path)

    def __iter__(self) -> Iterator[str]:
        with self.path.open(encoding=self.encoding) as file:
            for line in file:
                yield line.removesuffix("\n")


def _encoding(path: Path) -> str:
    """UTF-8, with or without a byte order mark, else Latin-1."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8-sig"


def _decoded(data: bytes) -> str:
    """UTF-8, with or without a byte order mark, else Latin-1."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _head_lines(head: bytes) -> list[str]:
    """The whole lines of a file's first bytes; none where they are not text."""
    if head.translate(None, _BINARY) != head:
        return []
    lines = _decoded(head.rsplit(b"\n", 1)[0] if b"\n" in head else head).splitlines()
    return [line for line in lines if len(line) < len(head) + 1]


def _is_ecg(lines: Sequence[str]) -> bool:
    """True where the head of a file names leads over numbers."""
    if is_apple(lines):
        return True
    table = table_of(lines)
    if table is None or table.names is None:
        return False
    if long := _long_columns(table):
        return names_lead(table.cells[long[1]]) and is_number(table.cells[long[2]])
    found = [n for n, name in enumerate(table.names) if names_lead(name) and is_number(table.cells[n])]
    # A lead or two among many columns is chance, and x, y, z alone are as likely an accelerometer's.
    are_most = table.time is not None or 2 * len(found) >= len(table.names)
    return are_most and any(len(table.names[n].strip()) > 1 or table.names[n].strip() == "I" for n in found)


def _is_bare(path: Path, lines: Sequence[str]) -> bool:
    table = table_of(lines)
    return path.suffix.lower() == ".txt" and table is not None and table.names is None


def _read_wide(path: Path, lines: Lines, table: Table, told: Told) -> ECG:
    """A column a lead."""
    notes: list[str] = []
    names = table.names or ()
    columns = _lead_columns(path.name, table, told, notes)
    own = "mV" if names[:1] == (OWN_TIME,) else None
    units = [table.units[column] or own for column in columns]
    has_unit = any(units) or told.unit is not None
    about_units: list[str] = []
    factors = [settle_unit(path.name, unit, told, None, about_units) if has_unit else 1.0 for unit in units]
    times, values = _columns(path.name, lines, table, columns, factors)
    fs = None if table.time is None else _rate(path.name, table, times, told, notes)
    leads = tuple(names[column] for column in columns)
    leads = leads if any(map(names_lead, leads)) else None
    stated = Stated(fs=fs, leads=leads, unit="mV" if has_unit else None)
    return ecg_of(path, "csv", values.T, stated, Told(told.fs, told.leads), notes=dict.fromkeys(notes + about_units))


def _columns(
    name: str, lines: Lines, table: Table, columns: Sequence[int], factors: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Times (row,), empty without a time column, and samples (row, column) in mV; never the whole text in memory."""
    used = [*columns] if table.time is None else [table.time, *columns]
    times, samples = [np.empty(0)], []
    for block in number_blocks(name, lines, table, used):
        if table.time is not None:
            times.append(block[:, 0].copy())
        with np.errstate(over="ignore"):
            samples.append((block[:, len(used) - len(columns) :] * np.array(factors)).astype(np.float32))
    return np.concatenate(times), np.concatenate(samples)


def _lead_columns(name: str, table: Table, told: Told, notes: list[str]) -> list[int]:
    """The columns that are leads: by their names, or, where none is one, those that the caller names."""
    names = table.names or ()
    others = [column for column in range(len(names)) if not table.is_axis(column)]
    leads = [
        column
        for column in others
        if names_lead(names[column]) and (unit := table.units[column], unit is None or millivolts_per(unit))[1]
    ]
    if not leads and told.leads is not None:
        return others
    if not leads:
        listed = ", ".join(names)[:200]
        raise NotAnECGError(f"{name} has the columns {listed}, none of which is an ECG lead: name them with --leads")
    if left_out := [names[column] for column in others if column not in leads]:
        notes.append(f"columns left out because their name or unit is not that of an ECG lead: {', '.join(left_out)}")
    return leads


def _rate(name: str, table: Table, times: NDArray[np.float64], told: Told, notes: list[str]) -> float | None:
    """The rate of the time column, Hz; None where one sample gives none, or its unit is unknown but a rate is told."""
    column = table.time
    if column is None or len(times) < 2:
        return None
    header = (table.names or ())[column].strip()
    suffix = re.fullmatch(r".*[\s_]+([A-Za-z]+)", header)
    unit = (table.units[column] or (suffix[1] if suffix else "")).strip("'").lower()
    if unit in SECONDS:
        return rate_of(name, times * SECONDS[unit] if SECONDS[unit] != 1.0 else times)
    if told.fs is not None:
        notes.append(f"the column {header} was not used: it states no unit")
        return None
    fs = rate_of(name, times)
    if not PLAUSIBLE_HZ[0] <= fs <= PLAUSIBLE_HZ[1]:
        raise MissingFactError(f"{name} has a column {header} that states no unit: give the rate with --fs HZ")
    notes.append(f"the column {header} was taken as seconds, which gives {fs:g} Hz: it states no unit")
    return fs


def _long_columns(table: Table) -> tuple[int, int, int] | None:
    """(time or sample, lead, value) columns of a table with a row a value, or None."""
    names = table.names or ()
    lead = [n for n, name in enumerate(names) if LEAD_COLUMN.fullmatch(name.strip())]
    value = [n for n, name in enumerate(names) if VALUE_COLUMN.fullmatch(name.strip())]
    axis = [n for n in range(len(names)) if table.is_axis(n)]
    if len(lead) == len(value) == 1 and axis and not is_number(table.cells[lead[0]]):
        return axis[0], lead[0], value[0]
    return None


def _read_long(path: Path, lines: Lines, table: Table, columns: tuple[int, int, int], told: Told) -> ECG:
    """A row a value; what no row gives is "not recorded"."""
    axis, lead, value = columns
    cells = np.concatenate([*number_blocks(path.name, lines, table, (axis, value))])
    body = (line for line in islice(lines, table.first, None) if line.strip())
    names = [line.split(table.separator)[lead].strip().strip("\"'") for line in body]
    leads = tuple(dict.fromkeys(names))
    check_shape(path.name, len(leads), len(names) // max(1, len(leads)), in_memory=True)
    number = {name: row for row, name in enumerate(leads)}
    rows = np.array([number[name] for name in names])
    times, at = np.unique(cells[:, 0], return_inverse=True)
    signal = np.full((len(leads), len(times)), np.nan)
    if np.bincount(rows * len(times) + at).max() > 1:
        raise DamagedFileError(f"{path.name} gives a lead two values at one time: export it again")
    signal[rows, at] = cells[:, 1]
    notes: list[str] = []
    fs = _rate(path.name, table, times, told, notes) if axis == table.time else None
    stated = Stated(fs=fs, leads=leads, unit=table.units[value])
    return ecg_of(path, "csv", signal, stated, told, notes=notes)
