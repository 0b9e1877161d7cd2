"""Cohorts of a few simulated patients with their splits stated, for the tests of recipes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from cardioloom.api.simulating import entries
from cardioloom.records import ECG
from cardioloom.store import Entry, Folder, Layout, Plan, ecg_modality
from cardioloom.store.build import build
from cardioloom.writers import write

SPLITS: Mapping[str, int] = {"train": 24, "validation": 12, "test": 4}
LABELS = ("rhythm", "lv_ef", "heart_rate_bpm", "smoker", "antihypertensives", "site")
ONE_CHANNEL = "PPG"


def make(patient: int, *, leads: tuple[str, ...] | None = None, splits: Mapping[str, int] = SPLITS) -> Iterable[Entry]:
    """A patient's study; where one lead is wanted, lead II under another name, as if it were another signal."""
    names = [name for name, n in splits.items() for _ in range(n)]
    (entry,) = entries(patient, seed=5, population="hospital", parts=("ecg", "labels"), studies="first")
    ecg = entry.records["ecg"]
    assert isinstance(ecg, ECG)
    if leads:
        ecg = ECG(ecg.signal[[1]], leads, ecg.fs)
    labels = {name: entry.labels[name] for name in LABELS}
    yield replace(entry, records={"ecg": ecg}, split=names[patient] if names else None, labels=labels)


def cohort_at(path: Path, leads: tuple[str, ...] | None = None, splits: Mapping[str, int] = SPLITS) -> Folder:
    """Such a cohort in a folder."""
    layout = Layout(
        {"ecg": ecg_modality(500.0, 10.0, *([leads] if leads else []))}, **({"leads": leads} if leads else {})
    )
    facts = {
        "source": "simulated patients",
        "licence": "none",
        "generator": "phantom/1",
        "population": "hospital",
        "seed": 5,
    }
    kinds = {"rhythm": "text", "site": "text", "smoker": "binary", "antihypertensives": "binary"}
    labels = {name: {"kind": kinds.get(name, "number")} for name in LABELS}
    tasks = range(sum(splits.values()) or 6)
    build(path, Plan(tasks, partial(make, leads=leads, splits=splits), layout, {}, facts, labels), workers=1)
    return Folder.at(path)


def row_of(cohort: Folder, row: int) -> dict[str, Any]:
    """Column → value of a study."""
    return {name: values[row] for name, values in cohort.columns.items()}


def ecg_of(cohort: Folder, row: int) -> ECG:
    """The ECG of a study."""
    return cohort.ecg(row_of(cohort, row))


def ecg_file(cohort: Folder, row: int, at: Path) -> Path:
    """The same as a file in a folder."""
    write(ecg_of(cohort, row), at / "ecg.hea")
    return at / "ecg.hea"
