"""Is a cohort folder what it says, and fit to train on? What is wrong, in sentences."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import CardioloomError, ReadError
from cardioloom.measure.check import check as check_ecg
from cardioloom.records import MAX_AGE_YEARS
from cardioloom.records.cohort import counted, patients_in_two_splits
from cardioloom.store import near
from cardioloom.store.entry import hash_column
from cardioloom.store.fit import signal_hash
from cardioloom.store.opening import Folder
from cardioloom.store.shards import file_sum, sum_file

LOOKED_AT = 500  # ECGs whose leads and unit are looked at; each takes milliseconds
SOME = 3


@dataclass(frozen=True)
class Problem:
    """What is wrong: a code for programs, a sentence for people, and what it is about."""

    code: str
    text: str
    about: tuple[str, ...] = ()


@dataclass
class Checked:
    """What `check` found.

    Args:
        folder: that was checked.
        problems: for which it fails.
        notes: which are worth knowing.
    """

    folder: Folder
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, code: str, text: str, about: Iterable[object] = ()) -> None:
        """One more problem."""
        self.problems.append(Problem(code, text, tuple(map(str, about))))


def check(path: str | Path, *, looked_at: int = LOOKED_AT) -> Checked:
    """Leaks by patient and by signal, sums and hashes, ranges of labels, missing values, leads and units.

    A signal is the same where it is so to the bit, or to its rounding by another publisher (`near`).

    Args:
        path: a complete cohort folder.
        looked_at: at most so many ECGs, evenly spread, are checked for unit, contradicting limb leads and empty leads;
            sums and hashes are checked of all.

    Raises:
        UsageError: if the folder is no complete cohort.
        DamagedFileError: if its table cannot be read.
        MissingExtraError: if pyarrow is absent.
    """
    folder = Folder.at(path)
    found = Checked(folder)
    _leaks(found)
    _table(found)
    bad = set(_sums(found))
    _hashes(found, bad)
    _signals(found, bad, looked_at)
    return found


def _leaks(found: Checked) -> None:
    columns = found.folder.columns
    if leaks := patients_in_two_splits(columns):
        n = counted(len(leaks), "patient is", "patients are")
        found.add("split_leak", f"{n} in more than one split: {_some(leaks)}", leaks)
    for modality in found.folder.layout.modalities:
        owners: defaultdict[str, dict[str, None]] = defaultdict(dict)
        for value, patient in zip(columns[hash_column(modality)], columns["patient_id"], strict=True):
            if value is not None:
                owners[value][str(patient)] = None
        shared = [_some(patients, " = ") for patients in owners.values() if len(patients) > 1]
        if shared:
            n = counted(len(shared), f"{modality} signal has", f"{modality} signals have")
            found.add("same_signal", f"{n} two patients: {_some(shared)}", shared)
        repeats = len([1 for value in columns[hash_column(modality)] if value is not None]) - len(owners)
        if repeats and not shared:
            n = counted(repeats, f"{modality} signal is", f"{modality} signals are")
            found.notes.append(f"{n} there more than once, of the same patient")


def _table(found: Checked) -> None:
    folder, columns = found.folder, found.folder.columns
    studies, counts = np.unique(columns["study_id"].astype(str), return_counts=True)
    if (counts > 1).any():
        found.add("study_twice", f"study_id {_some(studies[counts > 1])} is there more than once", studies[counts > 1])
    if nameless := [
        study for study, patient in zip(columns["study_id"], columns["patient_id"], strict=True) if patient is None
    ]:
        found.add("no_patient", f"each study needs a patient_id, none is there of {_some(nameless)}", nameless)
    stated = folder.facts["counts"]["studies"]
    if len(columns["study_id"]) != stated:
        found.add("counts", f"cohort.json says {stated} studies, the table has {len(columns['study_id'])}")
    elif not any(problem.code in ("study_twice", "split_leak", "no_patient") for problem in found.problems):
        own = folder.cohort().fingerprint()
        if own != folder.facts["fingerprint"]:
            found.add("fingerprint", "the table is not the one that was built: its fingerprint is another")
    _range(found, "age", 0.0, MAX_AGE_YEARS)
    if wrong := sorted({str(sex) for sex in columns["sex"] if sex not in (None, "M", "F")}):
        found.add("sex", f"sex must be M or F, got {_some(wrong)}", wrong)
    for name, known in folder.facts["labels"].items():
        if name not in columns:
            found.add("label_absent", f"the label {name} of cohort.json is no column of the table")
            continue
        if known.get("low") is not None or known.get("high") is not None:
            _range(found, name, known.get("low"), known.get("high"))
        _missing(found, name)


def _range(found: Checked, name: str, low: float | None, high: float | None) -> None:
    values = found.folder.columns[name]
    if values.dtype == object:
        if any(value is not None for value in values):
            found.add("label_text", f"{name} must be a number, the table holds text", [name])
        return
    low, high = -np.inf if low is None else low, np.inf if high is None else high
    outside = (values < low) | (values > high) | np.isinf(values)
    if outside.any():
        example = values[outside][0]
        studies = found.folder.columns["study_id"][outside]
        found.add(
            "range",
            f"{name} is outside {low:g} to {high:g} in {counted(outside.sum(), 'study', 'studies')} "
            f"({studies[0]}: {example:g})",
            studies,
        )


def _missing(found: Checked, name: str) -> None:
    values = found.folder.columns[name]
    gone = np.array([value is None for value in values]) if values.dtype == object else np.isnan(values)
    if gone.all():
        found.add("label_missing", f"the label {name} is missing in every study", [name])
    elif gone.any():
        found.notes.append(f"{name} is missing in {gone.sum()} of {len(values)} studies")


def _sums(found: Checked) -> Iterator[int]:
    """Check the sum of every shard; yields the numbers of those that are wrong."""
    folder = found.folder
    for shard in np.unique(folder.columns["shard"]).tolist():
        paths = [folder.path / "text" / f"{shard:06d}.parquet"] if folder.layout.has_text else []
        for modality in folder.layout.modalities.values():
            paths += modality.files(folder.path, shard)
        wrong = [(path, reason) for path in paths if (reason := _wrong(path))]
        for path, reason in wrong:
            name = path.relative_to(folder.path)
            found.add("shard", f"{name} {reason}: copy it again from where it was built", [name])
        if wrong:
            yield shard


def _wrong(path: Path) -> str | None:
    try:
        stated = sum_file(path).read_text().split()[0]
        return None if file_sum(path) == stated else "is not what was written (sha256 differs)"
    except FileNotFoundError as error:
        return "is missing" if Path(error.filename) == path else "has no .sha256 beside it"
    except (OSError, IndexError, UnicodeDecodeError) as error:
        return f"cannot be read ({type(error).__name__})"


def _hashes(found: Checked, bad: set[int]) -> None:
    """Whether each row of the table tells the hash of the ECG that lies in its place; and which are nearly the same."""
    if "ecg" not in found.folder.layout.modalities:
        return
    wrong, right, known = [], [], []
    leads = found.folder.layout.leads
    for row in _rows(found.folder, bad):
        try:
            counts, (gain, baseline) = found.folder.stored(row, "ecg")
        except ReadError:
            wrong.append(row["study_id"])  # a row that the shard does not have
            continue
        if signal_hash(counts, gain, baseline, leads) != row["hash"]:
            wrong.append(row["study_id"])
            continue
        right.append(row)
        known.append(near.levels(counts, gain, baseline, leads))
    if wrong:
        n = counted(
            len(wrong), "study has another ECG than its hash says", "studies have another ECG than their hash says"
        )
        found.add("hash", f"{n}: {_some(wrong)}", wrong)
    if known:
        _near(found, right, np.stack(known))


def _near(found: Checked, rows: list[dict[str, Any]], known: NDArray[np.float32]) -> None:
    """ECGs that differ by their rounding alone."""
    two, own = [], []
    for one, other in near.alike(found.folder, rows, known):
        pair = f"{one['study_id']} = {other['study_id']}"
        (own if one["patient_id"] == other["patient_id"] else two).append(pair)
    rest = f"the same to {near.TOLERANCE_MV * 1000:g} µV"
    if two:
        n = counted(len(two), "pair of ECGs of two patients is", "pairs of ECGs of two patients are")
        found.add("near_same_signal", f"{n} {rest}: {_some(two)}", two)
    if own:
        n = counted(len(own), "pair of ECGs of one patient is", "pairs of ECGs of one patient each are")
        found.notes.append(f"{n} {rest}: {_some(own)}")


def _rows(folder: Folder, bad: set[int]) -> Iterator[dict[str, Any]]:
    """The rows with an ECG, those of shards that are wrong left out; place, hash and name alone."""
    names = ("study_id", "patient_id", "shard", "row", "hash", "changes")
    for values in zip(*(folder.columns[name].tolist() for name in names), strict=True):
        row: dict[str, Any] = {name: value for name, value in zip(names, values, strict=True)}  # noqa: C416 (types)
        if row["hash"] is not None and row["shard"] not in bad:
            yield row


def _signals(found: Checked, bad: set[int], looked_at: int) -> None:
    """Unit, limb leads and empty leads of some ECGs, as `read` checks them."""
    if "ecg" not in found.folder.layout.modalities:
        return
    rows = list(_rows(found.folder, bad))
    rows = [rows[at] for at in np.unique(np.linspace(0, len(rows) - 1, min(looked_at, len(rows))).astype(int))]
    about: defaultdict[str, list[str]] = defaultdict(list)
    empty: Counter[str] = Counter()
    unreadable: dict[str, str] = {}
    for row in rows:
        try:
            notices, leads = check_ecg(found.folder.ecg(row))
        except CardioloomError as error:
            unreadable[row["study_id"]] = str(error)
            continue
        for notice in notices:
            about[notice.code].append(row["study_id"])
        empty.update(leads)
        if len(leads) == len(found.folder.layout.leads):
            about["empty"].append(row["study_id"])
    if unreadable:
        n, (study, reason) = len(unreadable), next(iter(unreadable.items()))
        found.add("unreadable", f"{n} of {len(rows)} ECGs looked at cannot be read ({reason}): {study}", unreadable)
    for code, studies in about.items():
        words = WORDS.get(code, code)
        words = words.replace("have ", "has ", 1) if len(studies) == 1 else words
        found.add(code, f"{len(studies)} of {len(rows)} ECGs looked at {words}: {_some(studies)}", studies)
    if empty:
        leads = ", ".join(f"{lead} in {count}" for lead, count in empty.most_common())
        found.notes.append(f"leads without a signal, of {len(rows)} ECGs looked at: {leads}")


WORDS = {
    "implausible_unit": "have an implausible amplitude, the unit may be another",
    "amplitudes_not_physical": "have leads that were scaled one by one, so that amplitudes are not physical",
    "einthoven": "have limb leads that contradict each other",
    "empty": "have no signal in any lead",
}


def _some(names: Iterable[object], between: str = ", ") -> str:
    words = [str(name) for name in names]
    return between.join(words[:SOME]) + (f" and {len(words) - SOME} more" if len(words) > SOME else "")
