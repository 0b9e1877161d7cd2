"""A folder with ``records.csv`` and recordings of ten public sources of 12-lead ECGs, with harmonised labels.

The table has the columns source, record_id, path, patient_id, age, sex, fs, n_leads and ``y_*`` (1, 0, empty = the
source does not annotate it): CPSC-2018 (two forms), LUDB, CPSC-Extra, PTB-XL (500 and 100 Hz), Chapman–Ningbo, PTB
diagnostic, SPH, CODE-15. Rate and leads are told to the readers, because some of these files state neither.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from cardioloom.datasets.listed import Listed, Wanted
from cardioloom.datasets.table import Row, as_number, kind_of, read_rows, refuse_twins, sex_of
from cardioloom.errors import UsageError
from cardioloom.readers.told import Told
from cardioloom.records import STANDARD_LEADS

TABLE = "records.csv"
NEEDED = ("source", "record_id", "path", "patient_id", "age", "sex", "fs", "n_leads")


def listed(source: Path) -> Listed:
    """The recordings of the folder; those without a signal in it (a path of no file) are not left out here.

    Raises:
        ReadError: if its table cannot be read.
        UsageError: if it is no such folder, or a recording is listed twice.
    """
    table = Path(source) / TABLE
    rows = read_rows(table)
    if missing := [name for name in NEEDED if name not in rows[0]]:
        raise UsageError(f"{table} lacks the columns {', '.join(missing)}: name the folder of the ten sources")
    names = [name for name in rows[0] if name.startswith("y_")]
    labels = {name: kind_of(name, [row[name] for row in rows], TABLE) for name in names}
    labels["source"] = {"kind": "text"}
    wanted = tuple(_wanted(row, names, Path(source), number) for number, row in enumerate(rows, 2))
    refuse_twins([one.study_id for one in wanted], TABLE)
    facts = {"source": "ten public sources of 12-lead ECGs", "licence": "by source, see LICENSES.md of the folder"}
    return Listed(wanted, labels, facts, hashlib.sha256(table.read_bytes()).hexdigest())


def _wanted(row: Row, labels: list[str], folder: Path, number: int) -> Wanted:
    leads = STANDARD_LEADS if row["n_leads"] == str(len(STANDARD_LEADS)) else None
    return Wanted(
        file=folder / row["path"],
        name=row["path"],
        study_id=f"{row['source']}-{row['record_id']}",
        patient_id=f"{_publisher(row['source'])}-{row['patient_id']}",
        told=Told(as_number(row["fs"]), leads, "mV"),
        age=as_number(row["age"]),
        sex=sex_of(row["sex"], f"{TABLE}, row {number},"),
        labels={name: as_number(row[name]) for name in labels} | {"source": row["source"]},
    )


def _publisher(source: str) -> str:
    """Sources of one publisher share their patients: the two forms of CPSC-2018, the two rates of PTB-XL."""
    return source.removesuffix("_struct").removesuffix("_100hz")
