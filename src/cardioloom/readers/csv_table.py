"""The shape of a text table and its numbers: separator, header, units, decimal comma, time axis."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import DamagedFileError
from cardioloom.readers.told import millivolts_per
from cardioloom.records import is_ecg_name, standard_lead

BLOCK_LINES = 1 << 14  # lines that are turned into numbers at once
SECONDS = {"s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "ms": 1e-3, "msec": 1e-3, "us": 1e-6, "min": 60.0}
_TIME = re.compile(r"(?:elapsed[ _]?)?(?:time|t)(?:stamp)?(?:[ _]*[\[(]?([a-z]+)[\])]?)?", re.IGNORECASE)
_SAMPLE = re.compile(r"(?:samples?|index|idx|n|#)?[ _]*(?:number|no|nr|index|#)?\.?", re.IGNORECASE)
# "MI" is the infarction far more often than the modified lead I; the rest are columns about ECGs and leads.
_NO_LEAD = re.compile(
    r"^MI$|(?:ids?|file|path|label|name|code|leads?|count|number|order|rate|size|type|source|quality)$", re.IGNORECASE
)


@dataclass(frozen=True)
class Table:
    """How a text table is laid out.

    Args:
        separator: what stands between cells.
        names: one a column; None where there is no header.
        units: one a column; None where it states none.
        first: index of the first line of data.
        cells: the first line of data, split.
    """

    separator: str
    names: tuple[str, ...] | None
    units: tuple[str | None, ...]
    first: int
    cells: tuple[str, ...]

    @property
    def time(self) -> int | None:
        """The column of times, if it is one of numbers."""
        found = [n for n, name in enumerate(self.names or ()) if _TIME.fullmatch(name.strip())]
        return found[0] if found and is_number(self.cells[found[0]]) else None

    def is_axis(self, column: int) -> bool:
        """True for a column that counts time or samples."""
        name = (self.names or ())[column].strip()
        return bool(_TIME.fullmatch(name) or _SAMPLE.fullmatch(name))


def table_of(lines: Sequence[str]) -> Table | None:
    """The layout by a file's first lines, or None where they are no table."""
    rows = [n for n, line in enumerate(lines) if line.strip() and not line.startswith("#")]
    if not rows:
        return None
    separator = next((mark for mark in "\t;," if mark in lines[rows[0]]), ",")
    cells = [_split(lines[row], separator) for row in rows[:3]]
    if _is_data(cells[0]):
        return Table(separator, None, (None,) * len(cells[0]), rows[0], tuple(cells[0]))
    named = [_name_and_unit(cell) for cell in cells[0]]
    names, units = [name for name, _ in named], [unit for _, unit in named]
    at = 1
    if len(cells) > 2 and any(map(millivolts_per, cells[1])) and not any(map(is_number, cells[1])):
        units = [given or below or None for given, below in zip(units, cells[1], strict=False)]  # a row of units
        at = 2
    if len(cells) <= at or len(cells[at]) != len(names) or len(units) != len(names):
        return None
    return Table(separator, tuple(names), tuple(units), rows[at], tuple(cells[at]))


def names_lead(name: str) -> bool:
    """True where a column's name is that of a lead; ``ecg_id`` and its like are not."""
    return standard_lead(name) is not None or (is_ecg_name(name) and not _NO_LEAD.search(name.strip()))


def is_number(cell: str) -> bool:
    """True for a number with decimal point or comma."""
    return (
        re.fullmatch(r"\s*[+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][+-]?\d+)?\s*|\s*nan\s*", cell, re.IGNORECASE) is not None
    )


def number_blocks(
    name: str, lines: Iterable[str], table: Table, columns: Sequence[int]
) -> Iterator[NDArray[np.float64]]:
    """Values of some columns in blocks of rows, (row, column); an empty cell is NaN.

    Args:
        name: the file's name, for messages.
        lines: of the whole file; are walked once, and once more to find what is wrong.
        table: their layout.
        columns: which to read.

    Raises:
        DamagedFileError: naming the first line that is ragged or holds text, or if a value is infinite.
    """
    rest, marks = islice(lines, table.first, None), set()
    while some := list(islice(rest, BLOCK_LINES)):
        body = [line for line in some if line.strip()]
        marks |= {line.count(table.separator) for line in body}
        if len(marks) > 1:
            _refuse(name, lines, table, columns)
        try:
            values = _numbers(body, table.separator, columns)
        except ValueError:
            _refuse(name, lines, table, columns)
            raise
        if np.isinf(values).any():
            raise DamagedFileError(f"{name} holds infinite values: leave the cell empty for what was not recorded")
        yield values


def _numbers(body: Sequence[str], mark: str, columns: Sequence[int]) -> NDArray[np.float64]:
    text = "\n".join(body)
    if not text:
        return np.empty((0, len(columns)))
    if mark != "," and "," in text:
        text = text.replace(",", ".")
    ends = text.startswith(mark) or text.endswith(mark)
    # A quick look first: most tables have no empty cell.
    if ends or " " in text or any(pair in text for pair in (mark * 2, mark + "\n", "\n" + mark)):
        text = re.sub(rf"(?:(?<=[{mark}\n])|^)[ \r]*(?=[{mark}\n]|$)", "nan", text)
    if '"' in text:
        text = text.replace('"', "")
    return np.loadtxt(text.split("\n"), delimiter=mark, usecols=list(columns), ndmin=2, comments=None)


def rate_of(name: str, times: NDArray[np.float64]) -> float:
    """The sampling rate of a regular time axis, Hz: the shortest number that gives these times.

    Args:
        times: (time,), s, as rounded as the file has them.

    Raises:
        DamagedFileError: if the axis has gaps, stands still or runs back.
    """
    steps = len(times) - 1
    span = times[-1] - times[0]
    if not np.isfinite(times).all() or span <= 0:
        raise DamagedFileError(f"{name} has a time column that is empty or does not rise: export it again")
    mean = steps / span
    fine = max(1e-12, 4 * np.spacing(np.abs(times).max()))
    coarse = next((10.0**-d for d in range(13) if np.abs(times - np.round(times, d)).max() <= fine), fine)
    # Rounding moves a time by half of its last decimal, so the line through both ends by one at most.
    off = np.abs(times - times[0] - np.arange(len(times)) / mean)
    if off.max() > coarse + 0.05 / mean or np.ptp(np.diff(times)) > 1.01 * coarse + 0.05 / mean:
        raise DamagedFileError(f"{name} has an irregular time column: resample it or split it at its gaps")
    for digits in range(1, 18):
        rate = float(f"{mean:.{digits}g}")
        if abs(times[0] + steps / rate - times[-1]) <= (0.5 * coarse if coarse > 1e-9 else fine):
            return rate
    return mean


def _split(line: str, separator: str) -> list[str]:
    cells = next(csv.reader([line.strip("\r\n")], delimiter=separator), [])
    return [cell.strip().strip("'") for cell in cells]


def _is_data(cells: Sequence[str]) -> bool:
    return any(map(is_number, cells)) and all(is_number(cell) or not cell for cell in cells)


def _name_and_unit(cell: str) -> tuple[str, str | None]:
    """``"V1 (µV)"`` → V1, µV; ``"II_uV"`` → II, uV; ``"RESP [Ohm]"`` → RESP, Ohm; ``"Lead I (Einthoven)"`` as it is."""
    match = re.fullmatch(r"(.*?)[\s_]*\[([^\]]*)\]", cell) or re.fullmatch(r"(.*?)[\s_]*\(([^)]*)\)", cell)
    if match and ("[" in cell or millivolts_per(match[2]) is not None or match[2].lower() in SECONDS):
        return match[1], match[2]
    match = re.fullmatch(r"(.+?)[\s_]+([mnuµμ]?V)", cell)
    return (match[1], match[2]) if match else (cell, None)


def _refuse(name: str, lines: Iterable[str], table: Table, columns: Sequence[int]) -> None:
    """Name the first line that is ragged or holds text."""
    width = len(table.cells)
    for number, line in enumerate(islice(lines, table.first, None), table.first + 1):
        if not line.strip():
            continue
        cells = line.split(table.separator)
        if len(cells) != width:
            raise DamagedFileError(f"{name}, line {number}, has {len(cells)} cells, not {width}: export it again")
        for cell in (cells[column].strip().strip('"') for column in columns):
            if cell and not is_number(cell) and "inf" not in cell.lower():
                raise DamagedFileError(f"{name}, line {number}, has text where a number should be: export it again")
