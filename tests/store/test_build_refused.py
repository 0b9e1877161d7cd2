"""What a build refuses at once, and what it reads again after it was mended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cardioloom.api import cohorts
from cardioloom.api.cohorts import build_cohort
from cardioloom.api.simulating import build_simulated
from cardioloom.errors import UsageError, WriteError
from cardioloom.store import Entry, Layout, Plan, ecg_modality
from cardioloom.store.build import build
from cardioloom.store.layout import FAILED
from synthetic import ecg, write_wfdb

OPTIONS: dict[str, Any] = {"fs": 100.0, "seconds": 2.0, "workers": 1}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A CSV of three recordings; the split of one patient has a name of its own."""
    for k in range(3):
        write_wfdb(tmp_path / f"r{k}.hea", ecg(seconds=2.0, fs=100.0, seed=k))
    rows = ["file,patient_id,split", "r0.hea,a,valid", "r1.hea,b,", "r2.hea,c,"]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    return tmp_path / "t.csv"


def test_a_split_without_a_share_is_refused_before_anything_is_read(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(cohorts, "entries", None)
    with pytest.raises(UsageError, match="the split 'valid' is not among train, validation, test: give it a share"):
        build_cohort(table, tmp_path / "c", **OPTIONS)
    assert not (tmp_path / "c").exists()


def test_splits_of_other_names_stay_where_each_patient_has_one_or_the_rest_is_hashed(table: Path, tmp_path: Path):
    hashed = build_cohort(table, tmp_path / "c", split_by="hash", **OPTIONS)
    assert hashed.facts["counts"]["splits"]["valid"] == 1
    table.write_text("file,patient_id,split\nr0.hea,a,valid\nr1.hea,b,valid")
    assert build_cohort(table, tmp_path / "d", **OPTIONS).facts["counts"]["splits"] == {"valid": 2}


def test_files_that_were_put_in_place_are_read_by_the_same_call(tmp_path: Path):
    (tmp_path / "t.csv").write_text("file,patient_id\nr.hea,p\n")
    with pytest.raises(WriteError, match=r"r\.hea does not exist"):
        build_cohort(tmp_path / "t.csv", tmp_path / "c", **OPTIONS)
    assert (tmp_path / "c" / FAILED).exists()
    write_wfdb(tmp_path / "r.hea", ecg(seconds=2.0, fs=100.0, seed=0))
    built = build_cohort(tmp_path / "t.csv", tmp_path / "c", **OPTIONS)
    assert (built.facts["counts"]["studies"], built.failed) == (1, ())
    assert not (tmp_path / "c" / FAILED).exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"workers": 0}, "workers must be at least 1, got 0"),
        ({"workers": -2}, "workers must be at least 1, got -2"),
        ({"seconds": float("inf")}, "a whole number of samples"),
        ({"seconds": 1e9}, "at most"),
        ({"fs": 1e300}, "at most"),
        ({"leads": "I,II,i"}, "lead I is named twice"),
        ({"leads": ","}, "no lead is named"),
    ],
)
def test_values_that_cannot_be(table: Path, tmp_path: Path, options: dict[str, Any], words: str):
    table.write_text(table.read_text().replace("valid", "train"))
    with pytest.raises(UsageError, match=words):
        build_cohort(table, tmp_path / "c", **OPTIONS | options)


def test_more_patients_than_can_be_counted(tmp_path: Path):
    with pytest.raises(UsageError, match="at most"):
        build_simulated(tmp_path / "c", patients=10**20)


def test_too_little_memory_is_a_sentence(tmp_path: Path):
    def make(task: int) -> list[Entry]:
        return [np.empty((1 << 61,), np.uint8)]  # pyright: ignore[reportReturnType]

    plan = Plan([1], make, Layout({"ecg": ecg_modality(100.0, 2.0)}, 100.0), {})
    with pytest.raises(WriteError, match="not enough memory"):
        build(tmp_path / "c", plan, workers=1)
