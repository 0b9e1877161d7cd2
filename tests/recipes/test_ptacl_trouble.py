"""What goes wrong in a training of PTACL: interruptions, stages of other runs, cohorts and calls that cannot be."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from cardioloom.api import begin_training
from cardioloom.app.cli import run
from cardioloom.errors import UsageError, WriteError
from cardioloom.models import Model
from cardioloom.models.contract import WEIGHTS
from cardioloom.models.installed import VARIABLE
from cardioloom.recipes.ptacl_keep import Kept
from cardioloom.recipes.ptacl_settings import Settings
from cardioloom.store import Folder
from small_pairs import cohort_at
from tiny_runs import tiny, told
from toy_training import killed_after, log_of, same

pytestmark = [pytest.mark.xdist_group("ptacl"), pytest.mark.usefixtures("cache")]
ASKED: Mapping[str, Any] = {"preset": "tiny", "batch": 8, "epochs": 2, "accelerator": "cpu", "method": "ptacl",
                            "head": "finetune"}  # fmt: skip
STAGES = ["masked_ecg", "masked_cine", "pairs", "head"]  # that take steps
Watch = Callable[[Mapping[str, Any]], None]


def train(cohort: Folder, out: Path, *, watch: Watch | None = None, resume: bool = False, **options: Any) -> Path:
    begin_training("ptacl", cohort.path, out, watch=watch, resume=resume, **{**ASKED, **options})
    return out


def weights(run_folder: Path) -> dict[str, dict[str, Tensor]]:
    """Of all stages."""
    return {path.stem: load_file(path) for path in (run_folder / "stages").iterdir()}


def equal(one: Path, other: Path) -> None:
    """Two runs that ended in the same, to the bit."""
    assert same(weights(one), weights(other))
    assert same(load_file(one / "model" / WEIGHTS), load_file(other / "model" / WEIGHTS))
    assert Model.from_pretrained(one / "model").contract == Model.from_pretrained(other / "model").contract
    assert told(one, "judged.json") == told(other, "judged.json")
    assert log_of(one) == log_of(other)


@pytest.fixture(scope="module")
def whole(pairs: Folder, tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """A run that was never interrupted."""
    return train(pairs, tmp_path_factory.mktemp("whole") / "run")


def stop_in(stage: str, step: int) -> Watch:
    """Interrupts a training when a step of a stage is done."""
    seen: list[str] = []

    def watch(line: Mapping[str, Any]) -> None:
        if "loss" in line:
            if line["step"] == 1:
                seen.append(STAGES[len(seen)])
            if (seen[-1], line["step"]) == (stage, step):
                raise InterruptedError

    return watch


@pytest.mark.parametrize(
    ("stage", "step"),
    [("masked_ecg", 1), ("masked_ecg", 3), ("masked_cine", 1), ("masked_cine", 3), ("pairs", 1), ("pairs", 4),
     ("head", 1), ("head", 3)],
)  # fmt: skip
def test_a_run_that_was_interrupted_ends_in_the_same(stage: str, step: int, whole: Path, pairs: Folder, tmp_path: Path):
    """Before the first checkpoint of a stage, behind one, and between two stages."""
    out = tmp_path / "run"
    with pytest.raises(InterruptedError):
        train(pairs, out, watch=stop_in(stage, step))
    done = list(told(out)["stages"])
    assert done == STAGES[: STAGES.index(stage)]
    assert not (out / "model").exists()
    train(pairs, out, resume=True)
    equal(out, whole)


@pytest.mark.parametrize("stage", ["masked_ecg", "pairs", "head"])
def test_a_stage_that_was_done_but_not_noted_is_done_again(
    stage: str, whole: Path, pairs: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Ended between the weights and run.json."""
    from cardioloom.recipes.run import Run

    note = Run._write

    def late(self: Run) -> None:
        if stage in self.facts["stages"]:
            raise InterruptedError
        note(self)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "_write", late)
        with pytest.raises(InterruptedError):
            train(pairs, tmp_path / "run")
    assert stage not in told(tmp_path / "run")["stages"]
    train(pairs, tmp_path / "run", resume=True)
    equal(tmp_path / "run", whole)


def test_a_judgement_that_was_interrupted_is_made(
    whole: Path, pairs: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch:
        patch.setattr("cardioloom.recipes.ptacl_judge.phenotypes", Mock(side_effect=InterruptedError))
        with pytest.raises(InterruptedError):
            train(pairs, tmp_path / "run")
    assert (tmp_path / "run" / "model").is_dir()
    assert not (tmp_path / "run" / "judged.json").exists()
    train(pairs, tmp_path / "run", resume=True)
    equal(tmp_path / "run", whole)


@pytest.mark.parametrize("options", [{"method": "mmcl"}, {"method": "cmae"}, {"method": "simclr"},
                                     {"method": "cine_supervised", "head": None}])  # fmt: skip
def test_other_methods_go_on_too(options: dict[str, Any], pairs: Folder, tmp_path: Path):
    train(pairs, tmp_path / "whole", **options)
    stopped: list[int] = []

    def stop(line: Mapping[str, Any]) -> None:
        stopped.append(1)
        if len(stopped) == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train(pairs, tmp_path / "run", watch=stop, **options)
    train(pairs, tmp_path / "run", resume=True, **options)
    assert same(weights(tmp_path / "run"), weights(tmp_path / "whole"))
    assert told(tmp_path / "run", "judged.json") == told(tmp_path / "whole", "judged.json")


def test_a_killed_run_goes_on(whole: Path, pairs: Folder, tmp_path: Path, prepared_at: Path):
    """kill -9 in the middle of a training in a process of its own."""
    out = tmp_path / "run"
    command = [sys.executable, "-m", "cardioloom.app.cli", "train", "ptacl", str(pairs.path), str(out)]
    command += ["--preset", "tiny", "--batch", "8", "--epochs", "2", "--accelerator", "cpu"]
    command += ["--method", "ptacl", "--head", "finetune"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", VARIABLE: str(prepared_at)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    killed_after(process, out / "metrics.jsonl", 5)
    assert "judge" not in told(out)["stages"]
    train(pairs, out, resume=True)
    equal(out, whole)


def test_a_finished_run_is_resumed_without_a_change(whole: Path, pairs: Folder):
    files = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    lines: list[Any] = []
    train(pairs, whole, resume=True, watch=lines.append)
    assert lines == []
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*") if path.is_file()} == {
        path: time_ns for path, time_ns in files.items() if path.is_file()
    }
    with pytest.raises(UsageError, match=r"was begun with method 'ptacl', got 'global': resume with the same"):
        train(pairs, whole, resume=True, method="global")


def test_a_full_disk_is_a_sentence_and_the_run_goes_on(
    whole: Path, pairs: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    full = SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    def write(state: Any, path: Any, told: Any = None) -> None:
        if "pairs" in str(path):
            raise full
        save_file(state, path, told)

    with monkeypatch.context() as patch:
        patch.setattr("safetensors.torch.save_file", write)
        with pytest.raises(WriteError, match=r"pairs.safetensors could not be written .* make room .* --resume"):
            train(pairs, tmp_path / "run")
    assert not list((tmp_path / "run").rglob("*.part"))
    assert sorted(weights(tmp_path / "run")) == ["masked_cine", "masked_ecg"]
    train(pairs, tmp_path / "run", resume=True)
    equal(tmp_path / "run", whole)


def test_a_judgement_that_finds_no_room_is_a_sentence(pairs: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    refused = Mock(side_effect=OSError(28, "No space left on device"))
    monkeypatch.setattr("cardioloom.recipes.ptacl_keep.json.dumps", refused)
    from cardioloom.recipes.ptacl_keep import write_judged

    with pytest.raises(WriteError, match=r"judged.json could not be written \(No space left on device\): make room"):
        write_judged(tmp_path, {"mean_r2": 0.0, "test_studies": 1}, {"study_id": ["a"]})
    assert [path.name for path in tmp_path.iterdir()] == ["judged.parquet"]
    monkeypatch.setattr("pyarrow.parquet.write_table", refused)
    with pytest.raises(WriteError, match=r"judged.parquet could not be written \(No space left on device\): make room"):
        write_judged(tmp_path, {}, {"study_id": ["a"]})


# ---- stages of other runs ----


def refused(capsys: pytest.CaptureFixture[str], cohort: Folder | Path, out: Path, *options: str) -> tuple[int, str]:
    """Code and sentence of a call that must fail."""
    path = cohort.path if isinstance(cohort, Folder) else cohort
    code = run(["train", "ptacl", str(path), str(out), *tiny(*options), *options])
    said = " ".join(capsys.readouterr().err.split())
    assert "Traceback" not in said
    return code, said


@pytest.fixture(scope="module")
def first(pairs: Folder, tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """A run of the masked autoencoders of both."""
    return train(pairs, tmp_path_factory.mktemp("first") / "run", method="global", head=None, epochs=1)


def test_stages_of_another_preset_are_refused(first: Path, pairs: Folder, tmp_path: Path, capsys: Any):
    code, said = refused(capsys, pairs, tmp_path / "run", "--init", str(first), "--preset", "small")
    assert code == 2
    assert 'was trained with another preset ("tiny", asked is "small"): begin with a run of the same' in said
    assert not (tmp_path / "run").exists()


def test_stages_of_another_cohort_are_refused(first: Path, tmp_path: Path, capsys: Any):
    other = cohort_at(tmp_path / "other", {"train": 9, "validation": 3}, seed=8)
    code, said = refused(capsys, other, tmp_path / "run", "--init", str(first))
    assert (code, "was trained with another cohort (" in said) == (2, True)
    assert not (tmp_path / "run").exists()


def test_a_run_without_stages_is_refused(pairs: Folder, tmp_path: Path, capsys: Any):
    (tmp_path / "empty").mkdir()
    for name in ("empty", "nowhere"):
        code, said = refused(capsys, pairs, tmp_path / "run", "--init", str(tmp_path / name))
        assert code == 2
        assert f"{name} holds no stage of a PTACL training: name the run folder of" in said
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("damage", ["cut", "rubbish", "empty", "another net", "no header"])
def test_damaged_stages_are_refused(damage: str, first: Path, pairs: Folder, tmp_path: Path, capsys: Any):
    source, target = first / "stages" / "masked_ecg.safetensors", tmp_path / "bad" / "stages" / "masked_ecg.safetensors"
    target.parent.mkdir(parents=True)
    raw = source.read_bytes()
    if damage in ("another net", "no header"):
        import safetensors

        with safetensors.safe_open(source, "pt") as file:
            header = file.metadata()
        state = load_file(source)
        state.pop(sorted(state)[0]) if damage == "another net" else None
        save_file(state, target, header if damage == "another net" else None)
    else:
        target.write_bytes({"cut": raw[: len(raw) // 2], "rubbish": b"rubbish" * 99, "empty": b""}[damage])
    code, said = refused(capsys, pairs, tmp_path / "run", "--init", str(tmp_path / "bad"))
    wanted = {"another net": "holds another net's weights: name another run, or train it again",
              "no header": "was trained with another preset (null"}  # fmt: skip
    assert wanted.get(damage, "cannot be read (") in said
    assert code == (2 if damage == "no header" else 1)
    assert (tmp_path / "run").exists() is (damage == "another net")  # seen only when it is to be filled


def test_damaged_pairs_are_not_trained_anew_in_silence(first: Path, pairs: Folder, tmp_path: Path, capsys: Any):
    shutil.copytree(first / "stages", tmp_path / "bad" / "stages")
    path = tmp_path / "bad" / "stages" / "pairs.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    code, said = refused(capsys, pairs, tmp_path / "run", "--init", str(tmp_path / "bad"), "--method", "global")
    assert (code, "pairs.safetensors cannot be read (" in said) == (1, True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("--seed", "9"), "was trained with another seed (0, asked is 9)"),
        (
            ("--method", "random"),
            "--init has no stage that random takes (it has no stage before its head): leave it out",
        ),
        (("--method", "simclr"), "--init has no stage that simclr takes (it has simclr_ecg): leave it out"),
    ],
)
def test_stages_that_are_not_those_asked_for_are_refused(
    options: tuple[str, ...], what: str, first: Path, pairs: Folder, tmp_path: Path, capsys: Any
):
    code, said = refused(capsys, pairs, tmp_path / "run", "--init", str(first), *options)
    assert (code, what in said) == (2, True), said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("init", ["", ",", " , "])
def test_no_run_to_begin_with_is_a_sentence(init: str, pairs: Folder, tmp_path: Path, capsys: Any):
    code, said = refused(capsys, pairs, tmp_path / "run", "--init", init)
    assert (code, f"--init needs the run folders to begin with, got {init!r}" in said) == (2, True), said
    assert not (tmp_path / "run").exists()


def test_a_model_is_no_run_to_begin_with(first: Path, pairs: Folder, tmp_path: Path, capsys: Any):
    code, said = refused(capsys, pairs, tmp_path / "run", "--init", str(first / "model"))
    assert (code, "is a model: name the run folder of a training" in said) == (2, True), said


def test_pairs_by_another_loss_are_trained_anew_and_it_is_said(first: Path, pairs: Folder, tmp_path: Path, capsys: Any):
    out = tmp_path / "run"
    assert run(["train", "ptacl", str(pairs.path), str(out), *tiny(), "--init", str(first)]) == 0
    stages = json.loads((out / "run.json").read_text())["stages"]
    assert stages["masked_ecg"]["begun_with"] == first.name
    assert stages["pairs"]["not_taken"] == {first.name: ["method"]}
    printed = " ".join(capsys.readouterr().out.split())
    assert f"the pairs were trained anew: those of {first.name} have another method" in printed


def test_a_stage_that_is_taken_keeps_its_length(first: Path, pairs: Folder, tmp_path: Path):
    """A head may be tuned longer on what is there."""
    train(pairs, tmp_path / "run", method="mae", init=str(first))
    stages = json.loads((tmp_path / "run" / "run.json").read_text())["stages"]
    assert (stages["masked_ecg"]["begun_with"], stages["masked_ecg"]["length"]["epochs"]) == (first.name, 1)
    assert (stages["head"]["epochs"], stages["head"]["steps"]) == (2, 4)
    assert weights(tmp_path / "run")["masked_ecg"].keys() == weights(first)["masked_ecg"].keys()
    kept = Kept(tmp_path / "run").told("masked_ecg")
    assert kept == Kept(first).told("masked_ecg")


def test_a_run_that_lost_a_stage_is_a_sentence(pairs: Folder, tmp_path: Path, capsys: Any):
    train(pairs, tmp_path / "run", method="mae", head=None, epochs=1)
    (tmp_path / "run" / "stages" / "masked_ecg.safetensors").unlink()
    code, said = refused(capsys, pairs, tmp_path / "run", "--method", "mae", "--resume")
    assert (code, "masked_ecg.safetensors cannot be read (" in said) == (1, True)


# ---- calls that cannot be ----


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--method", "best"], "the method must be one of ptacl, global, "),
        (["--goal", "survival"], "the goal must be one of regression, retrieval, got 'survival'"),
        (["--head", "linear"], "the head must be one of probe, finetune, got 'linear'"),
        (["--pool", "max"], "the pool must be one of mean, attention, got 'max'"),
        (["--pool", "attention"], "a probe takes the mean of the tokens, got pool 'attention': use --head finetune"),
        (["--preset", "huge"], "the preset must be one of tiny, small, paper, got 'huge'"),
        (["--augment", "mae"], "the augment of pairs must be one of none, "),
        (["--beta", "-1"], "beta must be a finite number from 0 to inf, got -1.0"),
        (["--beta", "inf"], "beta must be a finite number from 0 to inf, got inf"),
        (["--beta", "nan"], "beta must be a finite number from 0 to inf, got nan"),
        (["--weight", "1.5"], "weight must be a finite number from 0 to 1, got 1.5"),
        (["--lr", "0"], "lr must be above 0"),
        (["--lr", "1e38"], "lr must be a finite number from 0 to 1e+30, got 1e+38"),
        (["--epochs", "0"], "epochs must be a whole number of at least 1, got 0"),
        (["--batch", "0"], "batch must be a whole number of at least 1, got 0"),
        (["--batch", "1"], "a batch of 1 has no other patient to be told from, got batch 1: give 2 or more"),
        (["--batch", "1", "--method", "simclr"], "a batch of 1 has no other patient to be told from"),
        (["--seed", "-1"], "seed must be a whole number of at least 0, got -1"),
        (["--seed", "9223372036854775808"], "seed at most 9223372036854775807"),
        (["--targets", "ejection"], "not ejection"),
        (["--targets", ""], "targets need names that differ, got none"),
        (["--targets", "male:sex=M"], "PTACL predicts numbers, got targets of 0 and 1: train ecgfounder on them"),
        (["--targets", "one:lv_mass_g*0"], "lv_mass_g*0"),
        (["--targets", "LVEF:lv_ef"], "lv_ef must lie between 3 and 95 % for LVEF, its median is 0."),
        (["--targets", "LVEDV:lv_edv_ml*0.001"], "must lie between 20 and 800 ml for LVEDV, its median is 0."),
        (["--gamma", "1.5"], "ptacl has no option --gamma: leave it out, or use method, goal"),
        (["--stage", "probe"], "ptacl has no option --stage"),
        (["--leads", "1"], "ptacl has no option --leads"),
        (["--ema", "0.9", "--patience", "3"], "ptacl has no option --ema, --patience"),
        (["--devices", "0"], "devices must be a whole number of at least 1, got 0"),
    ],
)
def test_a_call_that_cannot_be_writes_nothing(
    options: list[str], said: str, pairs: Folder, tmp_path: Path, capsys: Any
):
    code, found = refused(capsys, pairs, tmp_path / "run", *options)
    assert said in found
    assert code == (1 if "ejection" in options else 2)  # the cohort lacks the column; the others are wrong calls
    assert found.count(". ") == 0  # one sentence
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("option", ["method", "goal", "head", "pool", "beta", "weight"])
def test_options_of_ptacl_are_none_of_ecgfounder(option: str, pairs: Folder, tmp_path: Path, capsys: Any):
    value = "0.5" if option in ("beta", "weight") else "mean"
    assert run(["train", "ecgfounder", str(pairs.path), str(tmp_path / "run"), f"--{option}", value]) == 2
    assert f"ecgfounder has no option --{option}: leave it out" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"seed": True}, "seed must be a whole number"),
        ({"epochs": 1.5}, "epochs must be a whole number of at least 1, got 1.5"),
        ({"beta": "1"}, "beta must be a finite number from 0 to inf, got '1'"),
        ({"weight": None}, "weight must be a finite number from 0 to 1, got None"),
        ({"seed": None}, "seed must be a whole number of at least 0, got None"),
        ({"targets": 5}, "targets must be a text, got 5"),
        ({"method": ["ptacl"]}, "the method must be one of"),
        ({"pool": 1}, "the pool must be one of mean, attention, got 1"),
        ({"augment": ["ptacl"]}, "the augment of pairs must be one of"),
    ],
)
def test_settings_that_cannot_be_are_refused(values: dict[str, Any], said: str):
    with pytest.raises(UsageError, match=said):
        Settings(**values)


# ---- cohorts that cannot be ----


@pytest.mark.parametrize(
    ("odd", "options", "said"),
    [
        ({"has_cine": False}, [], "needs ecg and cine_sax, got a cohort with ecg: build one with cine_sax"),
        ({"has_ecg": False}, [], "needs ecg and cine_sax, got a cohort with cine_sax: build one with ecg"),
        ({"has_ecg": False}, ["--method", "mae"], "needs ecg, got a cohort with cine_sax: build one with ecg"),
        ({"pixels": 56}, [], "at least 26 frames of 84 x 84 pixels round the heart, got 30 of 56 x 56"),
        ({"frames": 25}, [], "at least 26 frames of 84 x 84 pixels round the heart, got 25 of 84 x 84"),
        ({"frames": 25}, ["--method", "cine_mae"], "at least 26 frames of 84 x 84 pixels round the heart, got 25"),
        ({"unpaired": range(12)}, [], "has both ecg and cine_sax: build a cohort of pairs"),
        ({"constant": range(12)}, [], "both ecg and cine_sax (a cine of one value only is none: there are 12, the"),
        ({"constant": range(12)}, ["--method", "cine_mae"], "has cine_sax (a cine of one value only is none: there"),
        ({"constant": range(6)}, [], "and cine_sax (a cine of one value only is none: there are 6, the first of sim7-"),
        ({"unpaired": range(6)}, [], "the split train of"),
        ({"unpaired": range(9, 12)}, [], "the split test of"),
        ({"without_ecg": range(6, 9)}, ["--method", "mae"], "the split validation of"),
        ({"factor": 100.0}, [], "lv_ef*100 must lie between 3 and 95 % for LVEF, its median is"),
        ({"unknown": range(12)}, [], "needs two different values in training, got no known value"),
    ],
)
def test_a_cohort_that_cannot_be_is_refused_before_anything_is_written(
    odd: dict[str, Any], options: list[str], said: str, tmp_path: Path, capsys: Any
):
    odd = {name: tuple(value) if isinstance(value, range) else value for name, value in odd.items()}
    folder = cohort_at(tmp_path / "odd", {"train": 6, "validation": 3, "test": 3}, **odd)
    code, found = refused(capsys, folder, tmp_path / "run", *options)
    assert said in found
    assert code == 2
    assert not (tmp_path / "run").exists()


def test_a_cohort_without_a_split_to_train_on_is_refused(tmp_path: Path, capsys: Any):
    folder = cohort_at(tmp_path / "odd", {"fold 1": 3, "fold 2": 3})
    code, said = refused(capsys, folder, tmp_path / "run")
    assert (code, "the cohort needs a split called train, got fold 1, fold 2: split it" in said) == (2, True)
    assert not (tmp_path / "run").exists()


def test_a_cohort_that_needs_one_modality_does_without_the_other(tmp_path: Path, cache: Path):
    ecgs = cohort_at(tmp_path / "ecgs", {"train": 9, "test": 3}, has_cine=False)
    cines = cohort_at(tmp_path / "cines", {"train": 9, "test": 3}, has_ecg=False)
    for folder, method in ((ecgs, "mae"), (ecgs, "random"), (cines, "cine_mae"), (cines, "cine_random")):
        assert run(["train", "ptacl", str(folder.path), str(tmp_path / method), *tiny(method), "--method", method]) == 0


@pytest.mark.parametrize("method", ["ptacl", "supervised", "simclr"])
def test_a_loss_that_is_not_finite_names_its_studies(method: str, pairs: Folder, tmp_path: Path, capsys: Any):
    code, said = refused(capsys, pairs, tmp_path / "run", "--method", method, "--lr", "1e20", "--epochs", "3")
    assert code == 1
    assert " on the studies sim7-" in said
    assert "train with a lower rate; the last checkpoint is from before" in said
    assert not (tmp_path / "run" / "model").exists()
    assert not (tmp_path / "run" / "judged.json").exists()
