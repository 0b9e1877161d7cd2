"""PTACL and what it is compared with, trained on a few simulated patients through the command line, and put to use."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from cardioloom.app.cli import run
from cardioloom.evaluation.phenotypes import TEN
from cardioloom.models import Model
from cardioloom.models.contract import WEIGHTS
from cardioloom.prepare import PRESETS as PREPARATIONS
from cardioloom.recipes.place import read_log
from cardioloom.recipes.ptacl_settings import METHODS
from cardioloom.recipes.ptacl_sizes import PRESETS
from cardioloom.store import Folder
from small_cohort import ecg_file, ecg_of
from small_pairs import SPLITS, cohort_at
from tiny_runs import tiny, told
from toy_training import same

pytestmark = [pytest.mark.xdist_group("ptacl"), pytest.mark.usefixtures("cache")]
SIMULATED = f"{SPLITS['train']} simulated patients (phantom/1, population hospital)"
CODES = [one.code for one in TEN]


def train(cohort: Folder, out: Path, *options: str) -> Path:
    """The run folder of a training that must work."""
    assert run(["train", "ptacl", str(cohort.path), str(out), *tiny(*options), *options]) == 0
    return out


@pytest.fixture(scope="module")
def base(pairs: Folder, tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """A run of PTACL itself, whose stages the others begin with."""
    return train(pairs, tmp_path_factory.mktemp("base") / "run", "--name", "small-ptacl")


def numbers(value: Any) -> Iterator[float]:
    """Every number in a nest."""
    if isinstance(value, dict):
        for one in value.values():
            yield from numbers(one)
    elif isinstance(value, list):
        for one in value:
            yield from numbers(one)
    elif isinstance(value, float):
        yield value


def stages_of(method: str) -> list[str]:
    """Stages that a method must go through."""
    asked, found = METHODS[method], []
    for modality in ("ecg", "cine") if asked.pairs else (asked.modality,):
        if asked.first in ("masked", "simclr") and not (asked.pairs == "stills" and modality == "cine"):
            found.append(f"{asked.first}_{modality}")
    if asked.first == "labels":
        found.append("labels_cine")
    return [*found, *(["pairs"] if asked.pairs else []), "head", "judge"]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_and_is_judged(
    method: str, base: Path, pairs: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    asked = METHODS[method]
    takes = {name for name in stages_of(method) if name.startswith("masked_") or (name, method) == ("pairs", "ptacl")}
    out = train(pairs, tmp_path / "run", "--method", method, *(["--init", str(base)] if takes else []))
    printed = capsys.readouterr().out
    stages = told(out)["stages"]
    assert list(stages) == stages_of(method)
    begun = {name for name, said in stages.items() if said.get("begun_with") == base.name}
    assert begun == takes
    steps = sum(said.get("steps", 0) for said in stages.values())
    assert f"trained {steps} steps, best validation r2 " in " ".join(printed.split())
    judged = told(out, "judged.json")
    assert (judged["method"], judged["preset"], judged["trained_on"]) == (method, "tiny", SIMULATED)
    assert (judged["head"], judged["pool"]) == (asked.head, asked.pool)
    assert [row["code"] for row in judged["outputs"]] == CODES
    assert all(math.isfinite(number) for number in numbers(judged))
    assert judged["mean_r2"] == pytest.approx(np.mean([row["r2"] for row in judged["outputs"]]))
    assert judged["test_studies"] == SPLITS["test"]
    has_phases = asked.pairs in ("local", "global", "cosine")
    assert {"retrieval", "phases", "beats"} <= judged.keys() if has_phases else "phases" not in judged
    assert (out / "stages" / "head.safetensors").is_file()
    assert (out / "model").is_dir() is (asked.modality == "ecg")
    if asked.modality == "ecg":
        model = Model.from_pretrained(out / "model")
        assert model.name == f"{method}-tiny"
        assert model.contract.card.trained_on == SIMULATED
        assert f"method {method}" in model.contract.card.source


def test_what_a_run_leaves(base: Path, pairs: Folder):
    assert sorted(path.stem for path in (base / "stages").iterdir()) == ["head", "masked_cine", "masked_ecg", "pairs"]
    assert not list(base.rglob("*.part"))
    stages = told(base)["stages"]
    assert all(stages[name]["studies"] == SPLITS["train"] for name in ("masked_ecg", "masked_cine", "pairs"))
    assert stages["head"]["targets"] == [one.target for one in TEN]
    judged = told(base, "judged.json")
    # Each ECG without phases is counted, in training and in the test.
    for beats in (stages["pairs"]["beats"], judged["beats"]):
        assert beats.keys() == {"studies", "irregular", "too_few_beats"}
    assert judged["beats"]["studies"] == SPLITS["test"]
    unusable = judged["beats"]["irregular"] + judged["beats"]["too_few_beats"]
    assert judged["phases"]["distance"]["n_unusable"] == unusable
    assert judged["phases"]["distance"]["n_records"] == SPLITS["test"]
    steps = {}
    for line in read_log(base):
        if "loss" in line:
            steps[line["stage"]] = steps.get(line["stage"], 0) + 1
    assert steps == {"masked_ecg": 2, "masked_cine": 2, "pairs": 2}  # 16 patients in batches of 8, once


def test_what_is_judged_is_there_study_by_study(base: Path, pairs: Folder):
    """So that two runs can be compared on the same patients."""
    table, judged = pq.read_table(base / "judged.parquet"), told(base, "judged.json")
    test = pairs.columns["split"] == "test"
    for name in ("study_id", "patient_id"):
        assert table[name].to_pylist() == pairs.columns[name][test].tolist()
    for row in judged["outputs"]:
        truth, estimate = (table[f"{row['code']}_{side}"].to_numpy() for side in ("truth", "estimate"))
        known = ~np.isnan(truth)
        assert row["mae"] == pytest.approx(np.abs(truth - estimate)[known].mean())
        hit = table[f"{row['code']}_hit"].to_numpy()
        assert judged["retrieval"]["phenotypes"][row["code"]]["precision"]["1"] == pytest.approx(np.nanmean(hit))
    lvm = pairs.columns["lv_mass_g"][test]
    np.testing.assert_allclose(table["LVM_truth"].to_numpy(), lvm.astype(float), rtol=1e-5)


def test_the_first_blocks_are_those_of_the_stage_before(base: Path):
    """And all that comes after them has learned from the pairs."""
    pairs = load_file(base / "stages" / "pairs.safetensors")
    held = PRESETS["tiny"].frozen_blocks
    for side in ("ecg", "cine"):
        alone = load_file(base / "stages" / f"masked_{side}.safetensors")
        mine = {name: value for name, value in alone.items() if name.startswith("encoder.")}
        parts = ("encoder.embedding.", "encoder.positions.", *(f"encoder.blocks.{n}." for n in range(held)))
        equal = {name for name, value in mine.items() if torch.equal(value, pairs[f"paired.{side}.{name}"])}
        assert equal == {name for name in mine if name.startswith(parts)}


def test_the_model_is_the_encoder_of_the_pairs_with_a_head(base: Path):
    pairs, model = load_file(base / "stages" / "pairs.safetensors"), load_file(base / "model" / WEIGHTS)
    for name, value in model.items():
        if name.startswith("encoder."):
            assert torch.equal(value, pairs[f"paired.ecg.{name}"])
    assert same(model, load_file(base / "stages" / "head.safetensors"))


@pytest.fixture(scope="module")
def tuned(base: Path, pairs: Folder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fine-tuned with attention pooling, on the pairs of the run before."""
    out = tmp_path_factory.mktemp("tuned") / "run"
    options = ["--head", "finetune", "--pool", "attention", "--targets", "LVEDV:lv_edv_ml,mass:lv_mass_g"]
    return train(pairs, out, *options, "--init", str(base))


def test_fine_tuning_begins_with_the_pairs_of_another_run(tuned: Path, base: Path):
    stages = told(tuned)["stages"]
    assert {stages[name]["begun_with"] for name in ("pairs", "masked_ecg")} == {"run"}
    assert (stages["head"]["steps"], stages["head"]["watched"]) == (2, "r2")
    judged = told(tuned, "judged.json")
    assert (judged["head"], judged["pool"]) == ("finetune", "attention")
    assert [row["code"] for row in judged["outputs"]] == ["LVEDV", "mass"]
    model = Model.from_pretrained(tuned / "model")
    assert model.contract.config["pool"] == "attention"
    before = load_file(base / "model" / WEIGHTS)["encoder.embedding.proj.weight"]
    last = torch.load(tuned / "checkpoints" / "head" / "last.ckpt", weights_only=True)["net"]
    assert not torch.equal(before, last["encoder.embedding.proj.weight"])  # all weights were trained
    assert [(output.code, output.unit) for output in model.contract.task.outputs] == [("LVEDV", "ml"), ("mass", "")]


@pytest.mark.parametrize(
    "options", [("--goal", "retrieval"), ("--beta", "0.5"), ("--weight", "0.25"), ("--augment", "none")]
)
def test_pairs_of_another_goal_are_trained_anew(options: tuple[str, ...], base: Path, pairs: Folder, tmp_path: Path):
    """What was trained alone is the same; the pairs are not, and are not mistaken for it."""
    out = train(pairs, tmp_path / "run", "--init", str(base), *options)
    stages = told(out)["stages"]
    assert {stages[name]["begun_with"] for name in ("masked_ecg", "masked_cine")} == {"run"}
    assert stages["pairs"]["steps"] == 2
    one, other = (load_file(run_folder / "stages" / "pairs.safetensors") for run_folder in (base, out))
    assert not same(one, other)


def test_the_same_call_gives_the_same_model(base: Path, pairs: Folder, tmp_path: Path):
    """And a run that took every stage from another is that run."""
    again = train(pairs, tmp_path / "again", "--name", "small-ptacl")
    taken = train(pairs, tmp_path / "taken", "--name", "small-ptacl", "--init", str(base))
    for other in (again, taken):
        assert same(load_file(base / "model" / WEIGHTS), load_file(other / "model" / WEIGHTS))
        assert told(base, "judged.json") == told(other, "judged.json")
    seeded = train(pairs, tmp_path / "seeded", "--seed", "1")
    assert not same(load_file(base / "model" / WEIGHTS), load_file(seeded / "model" / WEIGHTS))


def test_values_of_a_file_are_taken(pairs: Folder, base: Path, tmp_path: Path):
    (tmp_path / "run.toml").write_text('method = "mae"\nseed = 0\nname = "by-file"\ntargets = "LVM:lv_mass_g"\n')
    out = train(pairs, tmp_path / "run", "--config", str(tmp_path / "run.toml"), "--init", str(base))
    asked = told(out)["arguments"]
    assert (asked["method"], asked["seed"], asked["preset"]) == ("mae", 0, "tiny")
    assert Model.from_pretrained(out / "model").name == "by-file"


# ---- what is left out ----


def test_studies_without_a_partner_are_counted(tmp_path: Path, cache: Path):
    """They teach their own encoder, and the ECGs of them the head."""
    odd = cohort_at(tmp_path / "odd", {"train": 12, "validation": 5, "test": 5}, unpaired=(1, 4, 18), without_ecg=(2,))
    out = train(odd, tmp_path / "run")
    stages = told(out)["stages"]
    found = {
        name: (stages[name]["studies"], stages[name]["left_out"]) for name in ("masked_ecg", "masked_cine", "pairs")
    }
    assert found == {"masked_ecg": (11, 1), "masked_cine": (10, 2), "pairs": (9, 3)}
    judged = told(out, "judged.json")
    assert (judged["test_studies"], judged["test_left_out"]) == (4, 1)
    assert judged["beats"]["studies"] == 4


def test_a_cine_without_a_picture_is_none(tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]):
    """One value in all frames, in training and in the test: left out of cines and pairs as if it were not there."""
    splits = {"train": 12, "validation": 5, "test": 5}
    odd = cohort_at(tmp_path / "odd", splits, constant=(4, 19))
    same_without = cohort_at(tmp_path / "without", splits, unpaired=(4, 19))
    printed = []
    for folder in (odd, same_without):
        out = train(folder, tmp_path / f"run-{folder.path.name}", "--name", "one")
        printed.append(" ".join(capsys.readouterr().out.split()))
        stages = told(out)["stages"]
        found = {
            name: (stages[name]["studies"], stages[name]["left_out"]) for name in ("masked_ecg", "masked_cine", "pairs")
        }
        assert found == {"masked_ecg": (12, 0), "masked_cine": (11, 1), "pairs": (11, 1)}
        assert (told(out, "judged.json")["test_studies"], told(out, "judged.json")["test_left_out"]) == (4, 1)
    assert told(tmp_path / "run-odd", "judged.json") == told(tmp_path / "run-without", "judged.json")
    said = "2 studies have a cine of one value only (sim7-000004-0): counted as without a cine"
    assert said in printed[0]
    assert "one value" not in printed[1]
    assert all("1 studies of the training split lack an ECG or a cine" in text for text in printed)
    train(odd, tmp_path / "run-odd", "--name", "one", "--resume")
    assert said in " ".join(capsys.readouterr().out.split())


def test_unknown_phenotypes_teach_nothing(tmp_path: Path, cache: Path):
    odd = cohort_at(tmp_path / "odd", {"train": 12, "validation": 5, "test": 5}, unknown=(0, 7, 13, 18))
    out = train(odd, tmp_path / "run", "--method", "supervised")
    judged = told(out, "judged.json")
    assert all(row["n"] == 4 for row in judged["outputs"])
    known = [n for n in range(12) if n not in (0, 7)]
    task = Model.from_pretrained(out / "model").contract.task
    assert task.outputs[0].mean == pytest.approx(odd.columns["lv_edv_ml"][known].astype(float).mean())


def test_without_validation_and_test(tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]):
    alone = cohort_at(tmp_path / "alone", {"train": 10})
    for options in (("--method", "mae"), ("--method", "supervised"), ("--method", "global")):
        out = train(alone, tmp_path / options[-1], *options)
        assert "best validation" not in capsys.readouterr().out
        assert not (out / "judged.json").exists()
        outputs = Model.from_pretrained(out / "model").contract.task.outputs
        assert not any(output.calibrated for output in outputs)


# ---- in use ----


@pytest.fixture
def file(pairs: Folder, tmp_path: Path) -> Path:
    """An ECG of the test split as a file."""
    return ecg_file(pairs, 30, tmp_path)


def test_a_report_shows_ten_phenotypes(base: Path, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    page = tmp_path / "page.html"
    command = ["read", str(file), "--model", str(base / "model")]
    assert run([*command, "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)["estimates"]
    assert [one["code"] for one in found] == CODES
    for one, phenotype in zip(found, TEN, strict=True):
        assert (one["name"], one["unit"], one["coverage"]) == (phenotype.name, phenotype.unit, 0.9)
        assert one["interval"][0] < one["value"] < one["interval"][1]
        assert one["trained_on"] == SIMULATED
    assert run([*command, "--html", str(page)]) == 0
    text, html = " ".join(capsys.readouterr().out.split()), " ".join(page.read_text().split())
    assert "simulated patients" in text
    assert "simulated patients" in html
    for phenotype in TEN:
        assert phenotype.name in html
        assert phenotype.unit in html


def test_what_the_model_says_is_what_was_judged(base: Path, pairs: Folder):
    """From a file on its own as from the cohort: the same preparation, both halves, the same scale."""
    model = Model.from_pretrained(base / "model")
    assert model.contract.preparation == PREPARATIONS["ptacl"]
    rows = np.flatnonzero(pairs.columns["split"] == "test")
    said = np.concatenate([model.predict(ecg_of(pairs, row)).probabilities for row in rows])
    truth = pairs.columns["lv_mass_g"][rows].astype(float)
    row = told(base, "judged.json")["outputs"][CODES.index("LVM")]
    assert row["mae"] == pytest.approx(np.abs(said[:, CODES.index("LVM")] - truth).mean(), rel=1e-3)


def test_intervals_are_those_of_the_validation(base: Path, pairs: Folder):
    model = Model.from_pretrained(base / "model")
    rows = np.flatnonzero(pairs.columns["split"] == "validation")
    said = np.concatenate([model.predict(ecg_of(pairs, row)).probabilities for row in rows])
    gaps = np.abs(said[:, CODES.index("RVEDV")] - pairs.columns["rv_edv_ml"][rows])
    output = model.contract.task.outputs[CODES.index("RVEDV")]
    # ⌈(10 + 1) · 0.9⌉ = the 10th smallest of 10
    assert output.half_width == pytest.approx(gaps.max(), rel=1e-4)


def test_it_is_evaluated_calibrated_and_embedded(
    base: Path, pairs: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    options = ["--draws", "100", "--baselines", "none"]
    assert run(["evaluate", str(base), str(pairs.path), str(tmp_path / "evaluation"), *options]) == 0
    metrics = json.loads((tmp_path / "evaluation" / "metrics.json").read_text())
    judged = told(base, "judged.json")["outputs"]
    text = json.dumps(metrics)
    assert all(code in text for code in CODES)
    assert "simulated patients" in " ".join((tmp_path / "evaluation" / "report.html").read_text().split())
    found = metrics["outputs"]["LVM"] if "outputs" in metrics else metrics["numbers"]["LVM"]
    assert next(iter(r2_of(found))) == pytest.approx(judged[CODES.index("LVM")]["r2"], rel=1e-3)
    calibrated = tmp_path / "calibrated"
    assert run(["calibrate", str(base), str(pairs.path), str(calibrated)]) == 0
    assert Model.from_pretrained(calibrated).contract.preparation == PREPARATIONS["ptacl"]
    capsys.readouterr()
    index = tmp_path / "index.parquet"
    assert run(["embed", str(base / "model"), str(pairs.path), str(index), "--split", "test"]) == 0
    table = pq.read_table(index)
    assert table.num_rows == SPLITS["test"]
    vectors = np.array(table["embedding"].to_pylist())
    assert vectors.shape == (SPLITS["test"], PRESETS["tiny"].ecg.width)
    assert {"study_id", "patient_id", "lv_edv_ml", "rv_ef"} <= set(table.column_names)
    rows = np.flatnonzero(pairs.columns["split"] == "test")
    own = Model.from_pretrained(base / "model").predict(ecg_of(pairs, rows[0]))
    assert own.probabilities.shape == (1, len(TEN))


def r2_of(found: Any) -> Iterator[float]:
    """The values under a key "r2" in a nest."""
    if isinstance(found, dict):
        for key, value in found.items():
            if key == "r2":
                yield value["value"] if isinstance(value, dict) else value
            else:
                yield from r2_of(value)


def test_similar_hearts_are_found_by_a_file(base: Path, pairs: Folder, file: Path, tmp_path: Path, capsys: Any):
    index = tmp_path / "index.parquet"
    assert run(["embed", str(base / "model"), str(pairs.path), str(index)]) == 0
    capsys.readouterr()
    told_to = tmp_path / "found.json"
    options = ["--model", str(base / "model"), "-k", "3", "--json", str(told_to)]
    assert run(["similar", str(file), str(index), *options]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "simulated patients" in printed
    assert str(pairs.columns["study_id"][30]) in printed  # the ECG itself is the nearest
