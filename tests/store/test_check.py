"""`check` finds what is wrong with a cohort folder, one thing at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cardioloom.api.cohorts import cohort
from cardioloom.errors import DamagedFileError, UsageError
from cardioloom.records import ECG, Counts
from cardioloom.store import Entry, Folder, Layout, Plan, ecg_modality
from cardioloom.store.build import build
from cardioloom.store.check import check
from cardioloom.store.layout import FACTS, MANIFEST
from cardioloom.store.shards import write_sum


def change(folder: Folder, name: str, edit: Callable[[list[Any]], Any]) -> None:
    """One column of the table, edited in place."""
    table = pq.read_table(folder.path / MANIFEST)
    values = table[name].to_pylist()
    edit(values)
    kind = table.schema.field(name).type
    column = pa.array(values, kind) if all(not isinstance(v, str) for v in values) else pa.array(values, pa.string())
    pq.write_table(table.set_column(table.column_names.index(name), name, column), folder.path / MANIFEST)


def codes(folder: Folder) -> set[str]:
    return {problem.code for problem in check(folder.path).problems}


def test_a_sound_cohort_has_no_problem_and_says_what_is_missing(sound: Folder):
    found = cohort("check", sound.path)
    assert found.problems == []
    assert found.notes == ["rhythm is missing in 15 of 60 studies"]


def test_a_patient_in_two_splits(folder: Folder):
    def edit(splits: list[Any]) -> None:
        splits[0] = "test" if splits[0] == "train" else "train"

    change(folder, "split", edit)
    (problem,) = [problem for problem in check(folder.path).problems if problem.code == "split_leak"]
    assert problem.text == "1 patient is in more than one split: p000"


def test_one_signal_of_two_patients(folder: Folder):
    def edit(hashes: list[Any]) -> None:
        hashes[40] = hashes[2]

    change(folder, "hash", edit)
    found = check(folder.path)
    (problem,) = [problem for problem in found.problems if problem.code == "same_signal"]
    assert problem.text == "1 ecg signal has two patients: p000 = p013"
    assert "hash" in {problem.code for problem in found.problems}  # study 40 is not what its hash says


@pytest.mark.parametrize("is_own", [True, False])
def test_an_ecg_that_was_rounded_otherwise(is_own: bool, sound: Folder, tmp_path: Path):
    """One ECG; at half its gain, so that it is rounded and has another hash; and 6 µV apart."""
    whole = sound.ecg(sound.cohort().row(0))
    assert whole.counts is not None
    values, gain, baseline = np.asarray(whole.counts.values[:, :]), whole.counts.gain, whole.counts.baseline
    patients = ["p0", "p0" if is_own else "p1", "p2"]

    def make(task: int) -> list[Entry]:
        other = [values, np.rint(values / 2.0), values + 3][task].astype(np.int16)
        samples = Counts(other, gain / [1, 2, 1][task], baseline, (-32768,) * 12)
        return [Entry(f"s{task}", patients[task], {"ecg": ECG(samples, whole.leads, whole.fs)})]

    layout = Layout({"ecg": ecg_modality(whole.fs, whole.seconds)}, whole.fs)
    build(tmp_path / "c", Plan(range(3), make, layout, {}), workers=1)
    found = check(tmp_path / "c")
    problems = [problem.text for problem in found.problems if problem.code == "near_same_signal"]
    notes = [note for note in found.notes if "pair" in note]
    assert len(set(Folder.at(tmp_path / "c").columns["hash"])) == 3
    if is_own:
        assert (problems, notes) == ([], ["1 pair of ECGs of one patient is the same to 5 µV: s0 = s1"])
    else:
        assert (problems, notes) == (["1 pair of ECGs of two patients is the same to 5 µV: s0 = s1"], [])


@pytest.mark.parametrize(
    ("name", "value", "code", "words"),
    [
        ("AF", 3.0, "range", "AF is outside 0 to 1 in 1 study (s007: 3)"),
        ("AF", float("inf"), "range", "s007: inf"),
        ("age", -4.0, "range", "age is outside 0 to 130"),
        ("sex", "X", "sex", "sex must be M or F, got X"),
        ("study_id", "s008", "study_twice", "s008 is there more than once"),
        ("lvef", 1.0, "fingerprint", "fingerprint is another"),
    ],
)
def test_a_value_that_cannot_be(folder: Folder, name: str, value: Any, code: str, words: str):
    change(folder, name, lambda values: values.__setitem__(7, value))
    found = [problem for problem in check(folder.path).problems if problem.code == code]
    assert len(found) == 1
    assert words in found[0].text


def test_a_label_with_text_or_without_any_value(folder: Folder):
    change(folder, "AF", lambda values: values.__setitem__(slice(None), ["yes"] * len(values)))
    change(folder, "lvef", lambda values: values.__setitem__(slice(None), [None] * len(values)))
    texts = [problem.text for problem in check(folder.path).problems]
    assert "AF must be a number, the table holds text" in texts
    assert "the label lvef is missing in every study" in texts


@pytest.mark.parametrize("name", ["ecg/000001.npy", "ecg/000001.scale.npy", "echo/000002.npy"])
def test_a_shard_that_is_changed_cut_or_gone(folder: Folder, name: str):
    path = folder.path / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert f"{name} is not what was written (sha256 differs): copy" in check(folder.path).problems[0].text
    path.write_bytes(whole[: len(whole) // 2])
    assert codes(folder) == {"shard"}
    path.unlink()
    assert f"{name} is missing" in check(folder.path).problems[0].text
    path.write_bytes(whole)
    assert codes(folder) == set()
    path.with_name(path.name + ".sha256").unlink()
    assert "has no .sha256 beside it" in check(folder.path).problems[0].text


def test_rows_that_changed_places(folder: Folder):
    """A shard whose sum is right, but whose rows are not those of the table."""
    path = folder.path / "ecg" / "000000.npy"
    shard = np.load(path)
    shard[[0, 1]] = shard[[1, 0]]
    np.save(path, shard)
    write_sum(path, path)
    (problem,) = check(folder.path).problems
    assert problem.code == "hash"
    assert problem.about == ("s000", "s001")


@pytest.mark.parametrize(("code", "gain"), [("einthoven", None), ("implausible_unit", 0.5)])
def test_leads_and_units_are_looked_at(folder: Folder, code: str, gain: float | None):
    samples, scales = folder.path / "ecg" / "000000.npy", folder.path / "ecg" / "000000.scale.npy"
    shard, scale = np.load(samples), np.load(scales)
    if gain is None:
        shard[:, 2] = -shard[:, 2]
    else:
        scale[:, 0] = gain
    for path, values in ((samples, shard), (scales, scale)):
        np.save(path, values)
        write_sum(path, path)
    found = {problem.code: problem for problem in check(folder.path).problems}
    assert set(found[code].about) == {f"s{k:03d}" for k in range(16)}


def test_a_folder_that_is_no_cohort(folder: Folder, tmp_path: Any):
    with pytest.raises(UsageError, match=r"no complete cohort, it has no cohort\.json"):
        check(tmp_path)
    (folder.path / MANIFEST).write_bytes(b"PAR1 no more")
    with pytest.raises(DamagedFileError, match="cannot be read as Parquet"):
        check(folder.path)
    facts = json.loads((folder.path / FACTS).read_text())
    (folder.path / FACTS).write_text(json.dumps(facts | {"schema": "cardioloom.cohort/9"}))
    with pytest.raises(UsageError, match="cohort/9"):
        check(folder.path)
    (folder.path / FACTS).write_text("{")
    with pytest.raises(DamagedFileError, match=r"cohort\.json cannot be read"):
        check(folder.path)


@pytest.mark.parametrize("name", ["modalities", "labels", "counts", "fingerprint", "leads"])
def test_facts_that_lack_something(folder: Folder, name: str):
    facts = json.loads((folder.path / FACTS).read_text())
    (folder.path / FACTS).write_text(json.dumps({key: value for key, value in facts.items() if key != name}))
    with pytest.raises(DamagedFileError, match=rf"cohort\.json lacks {name}: copy it again"):
        check(folder.path)


@pytest.mark.parametrize("name", ["hash", "hash_echo", "study_id", "shard", "age"])
def test_a_table_that_lacks_a_column(folder: Folder, name: str):
    pq.write_table(pq.read_table(folder.path / MANIFEST).drop([name]), folder.path / MANIFEST)
    with pytest.raises(DamagedFileError, match=rf"cohort\.parquet lacks {name}: copy it again"):
        check(folder.path)


def test_a_row_that_the_shard_does_not_have(folder: Folder):
    def edit(rows: list[Any]) -> None:
        rows[0] = 10**6

    change(folder, "row", edit)
    (problem,) = [problem for problem in check(folder.path).problems if problem.code == "unreadable"]
    assert problem.text.startswith("1 of 60 ECGs looked at cannot be read (ecg/000000.npy has no row 1000000")


def test_a_study_without_a_patient(folder: Folder):
    def edit(patients: list[Any]) -> None:
        patients[0] = patients[40] = None

    change(folder, "patient_id", edit)
    (problem,) = [problem for problem in check(folder.path).problems if problem.code == "no_patient"]
    assert problem.about == ("s000", "s040")
