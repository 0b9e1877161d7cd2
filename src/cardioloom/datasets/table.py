"""Any CSV of paths and labels.

Columns: ``file`` (beside the CSV, or absolute) and ``patient_id`` are needed; ``study_id``, ``record`` (which recording
of a file of many), ``split``, ``age`` (years), ``sex``, ``date`` (ISO 8601), and ``fs``, ``leads``, ``unit`` for files
that do not state them, are taken where they are there. ``cine`` is a cine of the same heart (short axis: a file, or a
folder of DICOM files; beside the CSV, or absolute; empty = none), ``cine_view`` its view where the files do not say it.
Every other column is a label: numbers or text, not both; an empty field is not known.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from datetime import date
from math import isfinite
from pathlib import Path
from typing import Any

from cardioloom.datasets.listed import Listed, Wanted, WantedCine
from cardioloom.errors import ReadError, UsageError
from cardioloom.readers.told import Told
from cardioloom.records.cine import CINE_VIEWS

NEEDED = ("file", "patient_id")
PICTURES = ("cine", "cine_view")
KNOWN = (*NEEDED, "study_id", "record", "split", "age", "sex", "date", "fs", "leads", "unit", *PICTURES)
# Names that cohorts use themselves: of their own columns, of pictures, and all that begin with "hash".
TAKEN = ("shard", "row", "changes", *PICTURES)
FACTS = ("file", "patient_id", "study_id", "split", "sex", "date")  # columns that every cohort has
SEXES = {"m": "M", "male": "M", "f": "F", "female": "F"}
Row = Mapping[str, str]


def listed(source: Path, labels: Sequence[str] | None = None) -> Listed:
    """The recordings of a CSV.

    Args:
        source: the CSV, UTF-8; fields apart by commas, semicolons or tabs.
        labels: the columns that are labels; every column of no other meaning where None.

    Raises:
        ReadError: if the CSV cannot be read.
        UsageError: if columns are missing, or a value cannot be what its column is.
    """
    source = Path(source)
    rows = read_rows(source)
    columns = list(rows[0])
    if missing := [name for name in (*NEEDED, *(labels or ())) if name not in columns]:
        raise UsageError(
            f"{source.name} needs the columns {', '.join(missing)}, got {', '.join(columns)}: add or rename them"
        )
    chosen = [name for name in columns if name not in KNOWN] if labels is None else list(labels)
    if taken := [name for name in chosen if name in TAKEN or name.startswith("hash")]:
        raise UsageError(f"{source.name} has a label {taken[0]!r}, a name that cohorts use themselves: rename it")
    if facts := [name for name in chosen if name in FACTS]:
        raise UsageError(f"{facts[0]} is no label, every cohort has it: leave it out of the labels")
    known = {name: kind_of(name, [row[name] for row in rows], source.name) for name in chosen}
    studies = study_ids(rows, source.name)
    wanted = tuple(
        _wanted(row, study, known, source, number)
        for number, (row, study) in enumerate(zip(rows, studies, strict=True), 2)
    )
    told = {"source": source.name, "licence": "not stated"}
    return Listed(wanted, known, told, hashlib.sha256(source.read_bytes()).hexdigest())


def read_rows(source: Path) -> list[Row]:
    """The rows of a CSV with a header, name → text.

    Raises:
        ReadError: if it cannot be read, has no row, a row is longer than the header, or columns lack a name of their
            own.
    """
    try:
        text = source.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise ReadError(f"{source} cannot be read as a table ({reason}): give a CSV in UTF-8") from error
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    try:
        table = csv.DictReader(io.StringIO(text, ""), delimiter=delimiter, restkey="", restval="", strict=True)
        rows = list(table)
    except csv.Error as error:
        raise ReadError(f"{source.name} is no CSV ({error}): write it again") from error
    if not rows:
        raise ReadError(f"{source.name} has no row below its header: fill it in")
    _refuse_names(source.name, [name.strip() for name in table.fieldnames or ()])
    for number, row in enumerate(rows, 2):
        if "" in row:
            raise ReadError(f"{source.name}, row {number}, has more fields than the header: quote those with commas")
    return [{name.strip(): value.strip() for name, value in row.items()} for row in rows]


def _refuse_names(source: str, names: Sequence[str]) -> None:
    if "" in names:
        raise ReadError(f"{source}: its column {names.index('') + 1} has no name: name it, or leave it out")
    if twice := [name for name in names if names.count(name) > 1]:
        raise ReadError(f"{source} has two columns named {twice[0]!r}: rename or remove one")


def kind_of(name: str, values: Sequence[str], source: str) -> dict[str, Any]:
    """What a label is: "binary" (0 or 1), "number" or "text".

    Raises:
        UsageError: if some values are numbers and some text.
    """
    known = [(number, value) for number, value in enumerate(values, 2) if value]
    numbers = {value: as_number(value) for _, value in known}
    words = [(number, value) for number, value in known if numbers[value] is None]
    if words and len(words) < len(known):
        number, value = words[0]
        raise UsageError(
            f"the label {name} of {source} is a number in {len(known) - len(words)} rows and text in {len(words)} "
            f"(row {number}: {value!r}): write numbers, or leave the field empty where it is not known"
        )
    if words:
        return {"kind": "text"}
    if set(numbers.values()) <= {0.0, 1.0}:
        return {"kind": "binary", "low": 0.0, "high": 1.0}
    return {"kind": "number"}


def as_number(text: str) -> float | None:
    """The finite number that a text is, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) else None


def study_ids(rows: Sequence[Row], source: str) -> list[str]:
    """The ``study_id`` column, or names made of the files'.

    Raises:
        UsageError: if one is empty or there twice.
    """
    if "study_id" in rows[0]:
        ids = [row["study_id"] for row in rows]
    else:
        stems = [Path(row["file"]).with_suffix("").as_posix().strip("./").replace("/", "__") for row in rows]
        ids = [f"{stem}-{row['record']}" if row.get("record") else stem for stem, row in zip(stems, rows, strict=True)]
    refuse_twins(ids, source)
    return ids


def refuse_twins(ids: Sequence[str], source: str) -> None:
    """Raise UsageError if a study of a table (one a row, below the header) has no name, or another's."""
    seen: dict[str, int] = {}
    for number, name in enumerate(ids, 2):
        if not name:
            raise UsageError(f"{source}, row {number}, has no study_id: fill it in")
        if name in seen:
            raise UsageError(f"{source} has the study {name!r} in rows {seen[name]} and {number}: name each once")
        seen[name] = number


def _wanted(row: Row, study: str, labels: Mapping[str, Mapping[str, Any]], source: Path, number: int) -> Wanted:
    place = f"{source.name}, row {number},"
    for name in NEEDED:
        if not row[name]:
            raise UsageError(f"{place} has no {name}: fill it in, or leave the row out")
    values = {
        name: row[name] or None if known["kind"] == "text" else as_number(row[name]) for name, known in labels.items()
    }
    fs = _number(row, "fs", place)
    leads = tuple(lead.strip() for lead in row["leads"].split()) if row.get("leads") else None
    return Wanted(
        file=source.parent / row["file"],
        name=row["file"],
        study_id=study,
        patient_id=row["patient_id"],
        record=row.get("record") or None,
        told=Told(fs, leads, row.get("unit") or None),
        split=row.get("split") or None,
        age=_number(row, "age", place),
        sex=sex_of(row.get("sex", ""), place),
        date=_date(row.get("date", ""), place),
        cine=_cine(row, source, place),
        labels=values,
    )


def _cine(row: Row, source: Path, place: str) -> WantedCine | None:
    name, view = row.get("cine", ""), row.get("cine_view", "")
    if view and view not in CINE_VIEWS:
        raise UsageError(f"{place} has cine_view {view!r}: write sax, or leave it empty")
    return WantedCine(source.parent / name, name, view or None) if name else None


def _number(row: Row, name: str, place: str) -> float | None:
    text = row.get(name, "")
    number = as_number(text)
    if text and number is None:
        raise UsageError(f"{place} has {name} {text!r}: write a number, or leave it empty")
    return number


def sex_of(text: str, place: str) -> str | None:
    """ "M", "F" or, for an empty field, None; also "male", "Female" …

    Raises:
        UsageError: for anything else.
    """
    if text and text.lower() not in SEXES:
        raise UsageError(f"{place} has sex {text!r}: write M or F, or leave it empty")
    return SEXES.get(text.lower())


def _date(text: str, place: str) -> str | None:
    try:
        return date.fromisoformat(text[:10]).isoformat() if text else None
    except ValueError as error:
        raise UsageError(f"{place} has date {text!r}: write it like 2026-01-31, or leave it empty") from error
