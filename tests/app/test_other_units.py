"""The truth of a phenotype in another unit than the model's: refused by `evaluate` and by `calibrate`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import evaluated
import small_net
from cardioloom.app.cli import run
from cardioloom.models.task import Output, Task
from pages import Page


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its column "ef" is in per cent."""
    return evaluated.cohort_at(tmp_path_factory.mktemp("units") / "c").path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models that call their output LVEF: "percent", and "share", whose output has no unit."""
    folder = tmp_path_factory.mktemp("models")
    for name, unit, scale in (("percent", "%", 1.0), ("share", "", 0.01)):
        made = small_net.contract(name)
        output = Output("LVEF", "LVEF", "function", unit=unit, mean=55 * scale, std=8 * scale, half_width=20 * scale)
        task = Task("regression", (output,))
        small_net.model_folder(folder / name, replace(made, config={**made.config, "n_classes": 1}, task=task))
    return folder


def call(verb: str, model: Path, cohort: Path, out: Path, targets: str) -> list[str]:
    few = ["--draws", "100", "--baselines", "none"] if verb == "evaluate" else ["--coverage", "0.7"]
    return [verb, str(model), str(cohort), str(out), "--targets", targets, *few]


@pytest.mark.parametrize("verb", ["evaluate", "calibrate"])
@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ("LVEF:ef*0.01", r"ef*0.01 must lie between 3 and 95 % for LVEF, its median is 0.5"),
        ("LVEF:ef*100", r"ef*100 must lie between 3 and 95 % for LVEF, its median is 5"),
    ],
)
def test_a_share_where_the_model_says_per_cent(
    verb: str, targets: str, said: str, models: Path, cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(call(verb, models / "percent", cohort, tmp_path / "out", targets)) == 2
    words = " ".join(capsys.readouterr().err.split())
    assert said in words
    assert "write LVEF:ef" in words
    assert "Traceback" not in words
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("verb", ["evaluate", "calibrate"])
@pytest.mark.parametrize(("model", "targets"), [("percent", "LVEF:ef"), ("share", "LVEF:ef*0.01")])
def test_the_unit_of_the_model_is_taken(
    verb: str, model: str, targets: str, models: Path, cohort: Path, tmp_path: Path
):
    assert run(call(verb, models / model, cohort, tmp_path / "out", targets)) == 0


def test_the_page_says_how_many_groups_were_looked_at(models: Path, cohort: Path, tmp_path: Path):
    out = tmp_path / "e"
    assert run(call("evaluate", models / "percent", cohort, out, "LVEF:ef")) == 0
    by = json.loads((out / "metrics.json").read_text())["numbers"]["LVEF"]["coverage"]["by"]
    n = sum("value" in one for one in by.values())
    assert f"{n} groups × outputs were looked at" in Page((out / "report.html").read_text()).text
