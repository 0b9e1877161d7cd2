"""`simulate` and `cohort`, as verbs and as commands."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import cardioloom
from cardioloom.api.cohorts import build_cohort, parse_shares
from cardioloom.api.simulating import build_simulated, labels_of
from cardioloom.app.cli import run
from cardioloom.errors import UsageError
from cardioloom.simulator import draw
from cardioloom.simulator.electrocardiogram import ecg as simulated_ecg
from cardioloom.store import Folder, Loader
from cardioloom.store.check import check
from synthetic import ecg, write_wfdb

SEED = 5


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulated") / "c"
    assert (
        run(["simulate", str(out), "--patients", "6", "--seed", str(SEED), "--only", "ecg,text", "--workers", "1"]) == 0
    )
    return out


@pytest.fixture
def table(tmp_path: Path) -> Path:
    for k in range(4):
        write_wfdb(tmp_path / f"r{k}.hea", ecg(seconds=2.0, fs=100.0, bpm=60 + k, seed=k))
    lines = ["file,patient_id,AF", *(f"r{k}.hea,p{k},{k % 2}" for k in range(4))]
    (path := tmp_path / "table.csv").write_text("\n".join(lines))
    return path


def test_simulated_patients_are_what_the_simulator_gives(simulated: Path):
    found = Folder.at(simulated)
    cohort = found.cohort()
    assert len(cohort) == 6
    for k in range(6):
        heart, study = draw(SEED, k), cohort[k]
        np.testing.assert_array_equal(study.ecg.signal, simulated_ecg(heart).signal)
        own = labels_of(heart, heart)
        assert {name: study.facts[name] for name in found.facts["labels"]} == own
        assert own["lv_edv_ml"] - own["lv_esv_ml"] == pytest.approx(own["stroke_volume_ml"])
        assert study.text
        assert found.text(cohort.row(k), "report_long") != study.text
        assert found.text(cohort.row(k), "of_another_name") is None
    assert check(simulated).problems == []


def test_the_folder_says_that_nobody_is_a_patient(simulated: Path):
    facts = json.loads((simulated / "cohort.json").read_text())
    assert facts["schema"] == "cardioloom.cohort/1"
    assert facts["source"] == "simulated patients"
    assert facts["generator"].startswith("phantom/")
    assert (facts["fs"], facts["unit"], facts["counts"]["patients"]) == (500.0, "mV", 6)
    assert facts["labels"]["diagnosis"] == {"kind": "text"}
    assert facts["labels"]["lv_ef"] == {"kind": "number", "low": 0.0, "high": 1.0}


def test_more_patients_and_other_parts_change_nobody(simulated: Path, tmp_path: Path):
    build_simulated(tmp_path / "c", patients=9, seed=SEED, only="ecg", workers=1)
    small, large = Folder.at(simulated).columns, Folder.at(tmp_path / "c").columns
    for name in ("study_id", "hash", "split", "age", "lv_ef", "diagnosis", "af_years"):
        assert small[name].tolist() == large[name][:6].tolist()


def test_all_studies_of_a_patient_are_in_one_split(tmp_path: Path):
    build_simulated(tmp_path / "c", patients=8, seed=2, only="labels", population="hospital", studies="all", workers=1)
    cohort = Folder.at(tmp_path / "c").cohort()  # would refuse a patient in two splits
    assert cohort.n_patients == 8 < len(cohort)
    by_patient = {}
    for row in map(cohort.row, range(len(cohort))):
        by_patient.setdefault(row["patient_id"], []).append(row)
    for rows in by_patient.values():
        assert [row["date"] for row in rows] == sorted(row["date"] for row in rows)
        assert rows[0]["years_since_first"] == 0.0
        assert len({row["died"] for row in rows}) == 1


@pytest.mark.slow
def test_every_modality_is_there_and_paired(tmp_path: Path):
    build_simulated(tmp_path / "c", patients=3, seed=1, workers=1)
    assert check(tmp_path / "c").problems == []
    modalities = ("ecg", "cine_sax", "cine_lax_4ch", "echo")
    (batch,) = Loader(Folder.at(tmp_path / "c"), modalities, batch=3).batches(0)
    assert [batch.counts[name].shape[1:] for name in modalities] == [
        (12, 5000),
        (50, 84, 84),
        (50, 84, 84),
        (2, 32, 112, 112),
    ]
    from cardioloom.simulator.cine import cine
    from cardioloom.simulator.echo import echo

    for at, row in enumerate(batch.rows):
        heart = draw(1, int(row))
        np.testing.assert_array_equal(batch.counts["cine_sax"][at], cine(heart).frames[:, 0])
        np.testing.assert_array_equal(batch.counts["echo"][at, 1], echo(heart, video=1).frames)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--patients", "0"], "--patients must be at least 1, got 0"),
        (["--patients", "2", "--only", "ecg,mri"], "--only takes ecg, cine, echo, text, labels, got mri"),
        (["--patients", "2", "--population", "mars"], "the population must be one of general, hospital, got 'mars'"),
    ],
)
def test_a_wrong_call_of_simulate_exits_2(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(["simulate", str(tmp_path / "c"), *arguments]) == 2
    assert words in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "c").exists()


def test_building_and_checking_exit_0_and_problems_exit_1(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = str(tmp_path / "c")
    options = ["--fs", "100", "--seconds", "2", "--workers", "1"]
    assert run(["cohort", "build", str(table), out, *options]) == 0
    assert run(["cohort", "check", out]) == 0
    shard = tmp_path / "c" / "ecg" / "000000.npy"
    shard.write_bytes(shard.read_bytes()[:-100])
    capsys.readouterr()
    assert run(["cohort", "check", out]) == 1
    assert "ecg/000000.npy is not what was written" in " ".join(capsys.readouterr().err.split())


def test_a_recording_that_fails_exits_1_and_the_others_are_there(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    table.write_text(table.read_text() + "\nabsent.hea,p9,1")
    assert (
        run(["cohort", "build", str(table), str(tmp_path / "c"), "--fs", "100", "--seconds", "2", "--workers", "1"])
        == 1
    )
    assert "absent.hea" in capsys.readouterr().err
    assert len(Folder.at(tmp_path / "c").cohort()) == 4
    assert (tmp_path / "c" / "failed.csv").is_file()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dataset": "nonsense"}, "dataset must be one of table, ten_sources"),
        ({"shares": "train:1"}, "--shares must be written like train=0.7"),
        ({"shares": "train=1,test=-1"}, "share above 0"),
        ({"split_by": "age"}, "rule of splits must be one of stratified, hash"),
        ({"fit": "stretch"}, "fit must be one of resample, refuse"),
        ({"fs": 333.0, "seconds": 0.1}, "whole number of samples"),
        ({"labels": "LVEF"}, "needs the columns LVEF"),
    ],
)
def test_a_wrong_call_of_build_says_what_is_right(options: dict, words: str, table: Path, tmp_path: Path):
    with pytest.raises(UsageError, match=words):
        build_cohort(table, tmp_path / "c", workers=1, **options)
    assert not (tmp_path / "c" / "cohort.json").exists()


def test_places_that_cannot_be(table: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="too few places"):
        cardioloom.cohort("build", table)
    with pytest.raises(UsageError, match="say with --dataset what it is"):
        cardioloom.cohort("build", tmp_path, tmp_path / "c")
    with pytest.raises(UsageError, match="check takes one cohort folder"):
        cardioloom.cohort("check", tmp_path, tmp_path / "c")


def test_records_of_another_rate_are_refused_where_that_is_asked_for(table: Path, tmp_path: Path):
    built = build_cohort(table, tmp_path / "a", fs=500.0, seconds=2.0, workers=1)
    assert built.facts["counts"]["changes"] == {"ecg: resampled": 4, "ecg: rounded": 4}
    assert built.facts["rules"]["shorter"] == "continued_as_not_recorded"
    with pytest.raises(cardioloom.errors.WriteError, match="takes 1000 samples at 500 Hz, got 200 at 100 Hz"):
        build_cohort(table, tmp_path / "b", fs=500.0, seconds=2.0, fit="refuse", workers=1)


@pytest.mark.parametrize(
    ("verb", "builder"), [(cardioloom.cohort, build_cohort), (cardioloom.simulate, build_simulated)]
)
def test_a_verb_and_its_builder_take_the_same_with_the_same_defaults(verb: Callable, builder: Callable):
    own, other = (inspect.signature(call).parameters for call in (verb, builder))
    assert set(other) - set(own) == {"progress"}
    assert set(own) - set(other) <= {"action", "html"}
    for name in set(own) & set(other) - {"out"}:  # check takes one place
        assert own[name].default == other[name].default, name


def test_shares_are_read():
    assert parse_shares("a=0.5, b=0.5") == {"a": 0.5, "b": 0.5}
