"""Targets that are a column times a factor, or the difference of two: through `evaluate` and `calibrate`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import evaluated
from cardioloom.app.cli import run
from cardioloom.models import Model
from cardioloom.store import Folder
from pages import Page

FEW = ("--draws", "100", "--baselines", "none")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return evaluated.cohort_at(tmp_path_factory.mktemp("reckoned") / "c").path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose training says that "ef" was a difference."""
    folder = tmp_path_factory.mktemp("runs") / "r"
    folder.mkdir()
    evaluated.number_model(folder / "model")
    stages = {"pretrain": {"targets": ["ef:ef - one_years"], "kind": "number"}}
    (folder / "run.json").write_text(json.dumps({"schema": "cardioloom.run/1", "arguments": {}, "stages": stages}))
    return folder


def truth_of(out: Path, cohort: Path, *columns: str) -> tuple[np.ndarray, ...]:
    """The truth of predictions.parquet, and columns of the manifest for the same studies."""
    table = pq.read_table(out / "predictions.parquet")
    names = Folder.at(cohort).columns["study_id"].tolist()
    rows = [names.index(study) for study in table["study_id"].to_pylist()]
    found = (Folder.at(cohort).columns[name][rows].astype(float) for name in columns)
    return (np.array(table["truth_ef"].to_pylist(), float), *found)


def test_a_factor(trained: Path, cohort: Path, tmp_path: Path):
    out = tmp_path / "e"
    assert run(["evaluate", str(trained), str(cohort), str(out), "--targets", "ef:ef*0.5", *FEW]) == 0
    truth, ef = truth_of(out, cohort, "ef")
    np.testing.assert_array_equal(truth, 0.5 * ef)
    assert json.loads((out / "metrics.json").read_text())["targets"] == ["ef:ef*0.5"]


def test_the_difference_that_a_run_was_trained_on(trained: Path, cohort: Path, tmp_path: Path):
    out = tmp_path / "e"
    assert run(["evaluate", str(trained), str(cohort), str(out), *FEW]) == 0
    truth, ef, years = truth_of(out, cohort, "ef", "one_years")
    np.testing.assert_array_equal(truth, ef - years)
    own = json.loads((out / "metrics.json").read_text())["numbers"]["ef"]["coverage"]
    assert own["mean_width"] == 40
    assert own["width_in_sd"] == pytest.approx(40 / truth.std())
    order = [name for name in own["by"] if name.startswith("age")]
    assert order == [f"age {name}" for name in ("< 50", "50–64", "65–79", "≥ 80") if f"age {name}" in order]
    assert {"sex F", "sex M"} <= set(own["by"])
    assert "Coverage of the intervals by group" in Page((out / "report.html").read_text()).text


def test_calibration_uses_the_difference(trained: Path, cohort: Path, tmp_path: Path):
    """The truth is a few units lower than the column: the new interval is that of the difference."""
    for name, options in (("as_trained", []), ("column", ["--targets", "ef:ef"])):
        asked = ["--coverage", "0.7", "--name", name, *options]
        assert run(["calibrate", str(trained), str(cohort), str(tmp_path / name), *asked]) == 0
    made = [Model.from_pretrained(tmp_path / name).contract.task.outputs[0] for name in ("as_trained", "column")]
    model = Model.from_pretrained(trained / "model")
    folder = Folder.at(cohort)
    studies = folder.cohort(folder.ecg).split("validation")
    score = np.array([said.probabilities.mean(axis=0)[0] for said in model.stream(iter(studies))])
    for output, truth in zip(
        made, (studies.column("ef") - studies.column("one_years"), studies.column("ef")), strict=True
    ):
        rank = int(np.ceil((len(score) + 1) * 0.7))
        assert output.half_width == pytest.approx(np.sort(np.abs(truth - score))[rank - 1], rel=1e-5)
    assert made[0].half_width != made[1].half_width


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ("ef:ef-one_years", "a difference has spaces, write ef - one_years|no column ef-one_years"),
        ("ef:ef - nothing", "not nothing|no column ef - nothing"),
        ("ef:ef*0", "the factor of a target must be a number other than 0"),
        ("ef:ef - one_years*2", "a target is a difference or has a factor"),
        ("ef:word*2", "reckons with word, which is a column of words"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    targets: str, said: str, trained: Path, cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(["evaluate", str(trained), str(cohort), str(tmp_path / "e"), "--targets", targets, *FEW]) != 0
    words = " ".join(capsys.readouterr().err.split())
    assert any(part in words for part in said.split("|")), words
    assert "Traceback" not in words
    assert not (tmp_path / "e" / "metrics.json").exists()
