"""A cohort of cines alone: every verb that needs ECGs says so in the same sentence, and writes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

import small_net
import small_pairs
from cardioloom.app.cli import run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cines")
    small_net.model_folder(folder / "model")
    small_pairs.cohort_at(folder / "cohort", {"train": 2, "validation": 2, "test": 2}, has_ecg=False)
    return folder


@pytest.mark.parametrize(
    "call",
    [
        ["evaluate", "{model}", "{cohort}", "{out}", "--targets", "one:lv_ef<=0.5", "--baselines", "none"],
        ["evaluate", "{model}", "{cohort}", "{out}", "--targets", "nothing", "--split", "all"],
        ["calibrate", "{model}", "{cohort}", "{out}", "--targets", "one:lv_ef<=0.5"],
        ["calibrate", "{model}", "{cohort}", "{out}", "--split", "all"],
        ["embed", "{model}", "{cohort}", "{out}.parquet"],
    ],
)
def test_is_refused(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], call: list[str]):
    places = {"model": made / "model", "cohort": made / "cohort", "out": tmp_path / "out"}
    assert run([word.format(**places) for word in call]) == 2
    said = capsys.readouterr().err
    assert said.endswith(f"{made / 'cohort'} holds cine_sax, no ECGs: name a cohort that has them\n")
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())
