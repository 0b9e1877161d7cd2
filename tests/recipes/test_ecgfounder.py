"""ECGFounder trained on a few simulated patients: pretraining, probe, fine-tuning, one lead, another signal, ages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from threading import Event, Timer
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from cardioloom.api import begin_training
from cardioloom.app.cli import run
from cardioloom.errors import PreparationError, UsageError, WriteError
from cardioloom.evaluation.contamination import dataset_name
from cardioloom.models import Model
from cardioloom.models.contract import WEIGHTS
from cardioloom.prepare import PRESETS as PREPARATIONS
from cardioloom.prepare import prepare
from cardioloom.recipes import ecgfounder, frozen, keep
from cardioloom.recipes.ecgfounder_settings import Settings
from cardioloom.recipes.feed import EcgFeed
from cardioloom.recipes.machine import Machine
from cardioloom.recipes.place import read_log
from cardioloom.recipes.run import Run
from cardioloom.store import Folder, Loader
from small_cohort import ONE_CHANNEL, SPLITS, cohort_at, ecg_file, ecg_of
from toy_training import same

pytestmark = pytest.mark.xdist_group("ecgfounder")
TARGETS = "male:sex=M,fast:heart_rate_bpm>=75"
TINY = ("--preset", "tiny", "--batch", "8", "--accelerator", "cpu")


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return cohort_at(tmp_path_factory.mktemp("small") / "cohort")


def train(cohort: Folder, out: Path, *options: str) -> Path:
    """The run folder of a training on the command line that must work."""
    assert run(["train", "ecgfounder", str(cohort.path), str(out), *TINY, *options]) == 0
    return out


@pytest.fixture(scope="session")
def founder(cohort: Folder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a pretrained net."""
    out = tmp_path_factory.mktemp("founder") / "run"
    return train(cohort, out, "--epochs", "2", "--targets", TARGETS, "--name", "small-founder")


@pytest.fixture
def file(cohort: Folder, tmp_path: Path) -> Path:
    """An ECG of the cohort as a file."""
    return ecg_file(cohort, 30, tmp_path)


def probe(cohort: Folder, out: Path, begun_with: Path, *options: str) -> Path:
    """The run folder of a probe of another run's model."""
    return train(cohort, out, "--stage", "probe", "--init", str(begun_with / "model"), *options)


def weights(run: Path) -> dict[str, Tensor]:
    return load_file(run / "model" / WEIGHTS)


def checkpoint(run: Path, stage: str, name: str = "best") -> Mapping[str, Any]:
    return torch.load(run / "checkpoints" / stage / f"{name}.ckpt", weights_only=True)


def encoder(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if not name.startswith("dense.")}


def test_a_pretrained_net_is_a_model(founder: Path, cohort: Folder):
    model = Model.from_pretrained(founder / "model")
    contract = model.contract
    assert (model.name, contract.preparation) == ("small-founder", PREPARATIONS["ecgfounder"])
    assert [output.code for output in contract.task.outputs] == ["male", "fast"]
    assert all(output.calibrated and 0 < output.threshold < 1 for output in contract.task.outputs)
    assert contract.card.trained_on == f"{SPLITS['train']} simulated patients (phantom/1, population hospital)"
    assert contract.card.contamination == (dataset_name(cohort.facts),)
    assert same(weights(founder), dict(checkpoint(founder, "pretrain")["net"]))
    found = model.predict(ecg_of(cohort, 25))
    assert found.probabilities.shape == (1, 2)


def test_the_log_has_a_line_a_step_and_a_validation(founder: Path):
    lines = read_log(founder)
    steps = [line["step"] for line in lines if "loss" in line]
    assert steps == [1, 2, 3, 4, 5, 6]  # 24 patients in batches of 8, twice
    assert [line["step"] for line in lines if "validation" in line] == [3, 6]
    assert all({"loss", "auroc"} == line["validation"].keys() for line in lines if "validation" in line)
    said = json.loads((founder / "run.json").read_text())
    assert said["arguments"]["targets"] == TARGETS
    assert said["stages"]["pretrain"]["steps"] == 6


def test_a_report_says_that_the_patients_were_simulated(founder: Path, file: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["read", str(file), "--model", str(founder / "model")]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "small-founder, trained on 24 simulated patients" in text
    assert "threshold" in text


def test_thresholds_are_those_of_the_validation_split(founder: Path, cohort: Folder):
    """Youden's index by trying every threshold, with predictions from the installed model."""
    model, columns = Model.from_pretrained(founder / "model"), cohort.columns
    rows = np.flatnonzero(columns["split"] == "validation")
    probabilities = np.concatenate([model.predict(ecg_of(cohort, row)).probabilities for row in rows])
    truth = np.stack([columns["sex"][rows] == "M", columns["heart_rate_bpm"][rows] >= 75], axis=1)

    def youden(n: int, threshold: float) -> float:
        said = probabilities[:, n] >= threshold - 1e-6
        return said[truth[:, n]].mean() - said[~truth[:, n]].mean()

    for n, output in enumerate(model.contract.task.outputs):
        best = max(youden(n, threshold) for threshold in probabilities[:, n])
        assert youden(n, output.threshold) == pytest.approx(best)


def test_a_probe_trains_the_head_alone(founder: Path, cohort: Folder, tmp_path: Path):
    options = ["--targets", "af:rhythm=atrial_fibrillation", "--lr", "0.1", "--epochs", "5"]
    out = probe(cohort, tmp_path / "run", founder, *options)
    before, after = weights(founder), weights(out)
    assert same(encoder(before), encoder(after))
    assert after["dense.weight"].shape == (1, before["dense.weight"].shape[1])
    assert after["dense.weight"].abs().max() > 0
    card = Model.from_pretrained(out / "model").contract.card
    assert "begun with small-founder, trained on 24 simulated patients" in card.trained_on
    losses = [line["loss"] for line in read_log(out) if "loss" in line]
    assert losses[-1] < losses[0]


def test_the_head_of_a_probe_takes_features_as_they_are(founder: Path, cohort: Folder, tmp_path: Path):
    """The head was trained on standardised features; folded into the net it gives the same."""
    out = probe(cohort, tmp_path / "run", founder, "--targets", "smoker", "--lr", "0.1")
    head = checkpoint(out, "probe")["net"]
    net = ecgfounder._begin(job_of(cohort, founder, stage="probe", targets="smoker"))
    feed = EcgFeed(Loader(cohort, split="train", batch=8), cohort, PREPARATIONS["ecgfounder"], np.zeros((40, 1)))
    table = frozen.features(net, feed)[:24].double()
    standard = (table - table.mean(0)) / table.std(0, unbiased=False).clamp(min=1e-6)
    wanted = standard @ head["weight"].double().T + head["bias"].double()
    folded = table @ weights(out)["dense.weight"].double().T + weights(out)["dense.bias"].double()
    torch.testing.assert_close(folded, wanted, rtol=1e-3, atol=1e-4)


def job_of(cohort: Folder, founder: Path | None = None, **settings: Any) -> ecgfounder.Job:
    asked = Settings(preset="tiny", **settings)
    if founder is None:
        return ecgfounder.job(cohort, asked, "one")
    return ecgfounder.job(cohort, asked, "one", Model.from_pretrained(founder / "model").contract, weights(founder))


def test_fine_tuning_has_smaller_rates_for_earlier_layers(founder: Path, cohort: Folder, tmp_path: Path):
    out = train(cohort, tmp_path / "run", "--init", str(founder / "model"), "--targets", "smoker", "--epochs", "1")
    groups = checkpoint(out, "finetune", "last")["optimizer"]["param_groups"]
    assert [group["lr_scale"] for group in groups] == [1.0, 0.1, 0.01]
    before, after = weights(founder), weights(out)
    moved = [float((after[name] - before[name]).abs().max()) for name in ("stage_list.3.block_list.0.conv1.conv.weight",
             "first_conv.conv.weight")]  # fmt: skip
    assert moved[0] > 3 * moved[1] > 0
    assert Model.from_pretrained(out / "model").name == "ecgfounder-finetune"


@pytest.mark.parametrize("use_bn", [True, False])
def test_every_parameter_that_is_used_is_in_one_group(use_bn: bool, cohort: Folder):
    asked = job_of(cohort, targets="smoker")
    contract = replace(asked.contract, config={**asked.contract.config, "use_bn": use_bn})
    net = ecgfounder._begin(replace(asked, contract=contract))
    grouped = [p for group in ecgfounder.layers(net) for p in group["params"]]
    assert {id(p) for p in grouped} == {id(p) for p in net.parameters()}
    assert len(grouped) == len(list(net.parameters()))
    net.train()
    net(torch.randn(4, 12, 500))[0].sum().backward()
    with_gradient = {name for name, p in net.named_parameters() if p.grad is not None}
    assert with_gradient == {name for name, p in net.named_parameters() if p.requires_grad}


def test_a_model_of_lead_i(cohort: Folder, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = train(cohort, tmp_path / "run", "--leads", "1", "--epochs", "1", "--targets", TARGETS)
    model = Model.from_pretrained(out / "model")
    assert model.contract.preparation == PREPARATIONS["ecgfounder_1l"]
    assert weights(out)["first_conv.conv.weight"].shape[1] == 1
    alone = ecg_of(cohort, 30).select(["I"])
    np.testing.assert_allclose(
        model.predict(alone).probabilities, model.predict(ecg_of(cohort, 30)).probabilities, atol=1e-6
    )
    probed = probe(cohort, tmp_path / "probe", out, "--leads", "1", "--targets", "smoker")
    assert same(encoder(weights(out)), encoder(weights(probed)))


def test_a_lead_that_is_drawn_is_prepared_as_a_model_of_one_lead_is_given_it(cohort: Folder):
    """Lead I as its own preparation has it in about half of the records, another lead in the others."""
    rows = range(24)
    twelve = torch.from_numpy(
        np.concatenate([prepare(ecg_of(cohort, row), PREPARATIONS["ecgfounder"]).windows for row in rows])
    )
    one = torch.from_numpy(
        np.concatenate([prepare(ecg_of(cohort, row), PREPARATIONS["ecgfounder_1l"]).windows for row in rows])
    )
    torch.manual_seed(0)
    drawn = ecgfounder.augmentation(None, 1)(twelve)
    assert drawn.shape == one.shape
    gap = (drawn - one).abs().amax((1, 2))
    assert 6 <= int((gap < 1e-3).sum()) <= 18
    torch.testing.assert_close(drawn.mean((1, 2)), torch.zeros(24), atol=1e-4, rtol=0)
    torch.testing.assert_close(drawn.std((1, 2), unbiased=False), torch.ones(24), atol=1e-3, rtol=0)


def test_another_signal_than_an_ecg(tmp_path: Path, cohort: Folder):
    pulses = cohort_at(tmp_path / "pulses", (ONE_CHANNEL,), {"train": 8, "validation": 4})
    options = ["--epochs", "1", "--targets", "male:sex=M"]
    lead = train(cohort, tmp_path / "lead", "--leads", "1", *options)
    out = train(pulses, tmp_path / "run", "--leads", "0", "--init", str(lead / "model"), *options)
    model = Model.from_pretrained(out / "model")
    assert model.contract.preparation.leads == (ONE_CHANNEL,)
    assert model.predict(ecg_of(pulses, 9)).probabilities.shape == (1, 1)


def test_a_number_is_estimated_with_an_interval(cohort: Folder, file: Path, tmp_path: Path, capsys: Any):
    out = train(cohort, tmp_path / "run", "--epochs", "2", "--targets", "age,ef:lv_ef")
    task = Model.from_pretrained(out / "model").contract.task
    in_training = cohort.columns["split"] == "train"
    ages = cohort.columns["age"][in_training]
    assert task.kind == "regression"
    assert (task.outputs[0].mean, task.outputs[0].std) == pytest.approx((ages.mean(), ages.std()))
    capsys.readouterr()
    assert run(["read", str(file), "--model", str(out / "model"), "--json", "-"]) == 0
    age, ef = json.loads(capsys.readouterr().out)["estimates"]
    assert (age["code"], ef["code"], age["coverage"]) == ("age", "ef", 0.9)
    assert age["interval"][0] < age["value"] < age["interval"][1]
    assert ages.min() - 20 < age["value"] < ages.max() + 20
    assert "24 simulated patients" in age["trained_on"]
    assert run(["read", str(file), "--model", str(out / "model")]) == 0
    assert "90 % interval" in " ".join(capsys.readouterr().out.split())


def test_intervals_hold_nine_tenths_of_the_validation(cohort: Folder, tmp_path: Path):
    out = train(cohort, tmp_path / "run", "--epochs", "1", "--targets", "age")
    model = Model.from_pretrained(out / "model")
    rows = np.flatnonzero(cohort.columns["split"] == "validation")
    gaps = [abs(model.predict(ecg_of(cohort, row)).probabilities.item() - cohort.columns["age"][row]) for row in rows]
    # ⌈(12 + 1) · 0.9⌉ = the 12th smallest of 12
    assert model.contract.task.outputs[0].half_width == pytest.approx(max(gaps), rel=1e-4)


def test_flags_go_before_the_file_and_the_file_before_the_preset(cohort: Folder, tmp_path: Path):
    (tmp_path / "run.toml").write_text(f'epochs = 1\nlr = 0.5\ntargets = "{TARGETS}"\nname = "by-file"\n')
    out = train(cohort, tmp_path / "run", "--config", str(tmp_path / "run.toml"), "--lr", "0.001")
    asked = json.loads((out / "run.json").read_text())["arguments"]
    assert (asked["epochs"], asked["lr"], asked["targets"], asked["preset"]) == (1, 0.001, TARGETS, "tiny")
    assert read_log(out)[0]["lr"] <= 0.001
    assert len([line for line in read_log(out) if "loss" in line]) == 3
    assert Model.from_pretrained(out / "model").name == "by-file"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("epoch = 5", "sets epoch, which is no option here: use stage, preset,"),
        ("epochs = ", "cannot be read as TOML"),
        ('epochs = "5"', "epochs must be a whole number of at least 1, got '5'"),
        ("lr = true", "lr must be a number of at least 0, got True"),
        ("leads = 3", "the leads must be one of 12, 1, 0, got 3"),
        ("devices = 0", "devices must be a whole number of at least 1, got 0"),
        ("targets = 5", "targets must be a text, got 5"),
        ("name = 5", "name must be a text, got 5"),
        ("[optimiser]\nlr = 1.0", "sets optimiser, which is no option here"),
    ],
)
def test_a_file_that_cannot_be_is_refused(text: str, said: str, cohort: Folder, tmp_path: Path, capsys: Any):
    (tmp_path / "run.toml").write_text(text)
    code = run(["train", "ecgfounder", str(cohort.path), str(tmp_path / "run"), "--config", str(tmp_path / "run.toml")])
    assert (code, said in " ".join(capsys.readouterr().err.split())) == (2, True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--targets", "all:lv_ef<=2"], "all needs two different values in training, got 24 known values, all 1"),
        (["--targets", "rhythm"], "rhythm is one of atrial_fibrillation, "),
        (["--targets", "smoker,age"], "targets must be all 0 or 1, or all numbers (smoker is binary, age is number)"),
        (["--targets", "ejection"], "not ejection"),
        (["--targets", ""], "targets need names that differ, got none"),
        (["--preset", "huge"], "the preset must be one of tiny, small, paper, got 'huge'"),
        (["--stage", "probe"], "probe begins with a model: name one with --init"),
        (["--init", "ptacl-phantom"], "ptacl-phantom is a Readout, and this recipe trains a Net1D: begin with a model"),
        (["--stage", "test"], "the stage must be one of pretrain, probe, finetune"),
        (["--leads", "0"], "leads 0 means the one channel of a cohort, got 12: use 12 or 1"),
        (["--epochs", "0"], "epochs must be a whole number of at least 1, got 0"),
        (["--batch", "0"], "batch must be a whole number of at least 1, got 0"),
        (["--lr", "0"], "lr must be above 0"),
        (["--lr", "1e38"], "lr must be at most 1e+30 and seed at most 9223372036854775807, got 1e+38 and 0"),
        (["--seed", "9223372036854775808"], "seed at most 9223372036854775807, got None and 9223372036854775808"),
        (["--ema", "1"], "ema below 1"),
        (["--gamma", "-1"], "gamma must be a number of at least 0, got -1.0"),
        (["--augment", "wild"], "preset of EcgAugmentation 'wild' is unknown"),
        (["--augment", "ecgfounder_one_lead"], "draws one lead of twelve: leave it out, --leads 1 does that"),
        (["--accelerator", "tpu"], "the accelerator must be one of auto, cpu, cuda"),
    ],
)  # fmt: skip
def test_a_call_that_cannot_be_writes_nothing(
    options: list[str], said: str, cohort: Folder, tmp_path: Path, capsys: Any
):
    code = run(["train", "ecgfounder", str(cohort.path), str(tmp_path / "run"), *options])
    assert said in " ".join(capsys.readouterr().err.split())
    assert code == (1 if "ejection" in options else 2)  # the cohort lacks the column; the others are wrong calls
    assert not (tmp_path / "run").exists()


def test_a_model_of_other_leads_is_refused(founder: Path, cohort: Folder, tmp_path: Path, capsys: Any):
    for leads, said in (("1", "takes 12 leads, got leads 1"), ("0", "takes 12 leads, got leads 0")):
        own = cohort if leads == "1" else cohort_at(tmp_path / "pulses", (ONE_CHANNEL,), {"train": 6})
        options = ["--init", str(founder / "model"), "--leads", leads, "--targets", "male:sex=M"]
        assert run(["train", "ecgfounder", str(own.path), str(tmp_path / "run"), *TINY, *options]) == 2
        assert said in " ".join(capsys.readouterr().err.split())


def test_splits(tmp_path: Path, capsys: Any):
    """Without splits all are trained on; splits of other names are never mixed up."""
    odd = cohort_at(tmp_path / "odd", splits={"fold 1": 4, "fold 2": 4})
    assert run(["train", "ecgfounder", str(odd.path), str(tmp_path / "run"), *TINY, "--targets", "male:sex=M"]) == 2
    assert "the splits fold 1, fold 2, none of which is called train" in " ".join(capsys.readouterr().err.split())
    one = cohort_at(tmp_path / "one", splits={"train": 8})
    options = ["--targets", "male:sex=M", "--epochs", "1"]
    assert run(["train", "ecgfounder", str(one.path), str(tmp_path / "no"), *TINY, *options, "--patience", "2"]) == 2
    assert "patience needs a split called validation, got train" in " ".join(capsys.readouterr().err.split())
    out = train(one, tmp_path / "run", *options)
    assert not Model.from_pretrained(out / "model").contract.task.outputs[0].calibrated


def test_a_finished_run_is_not_done_again(founder: Path, cohort: Folder, capsys: Any):
    files = {path: path.stat().st_mtime_ns for path in founder.rglob("*")}
    train(cohort, founder, "--epochs", "2", "--targets", TARGETS, "--name", "small-founder", "--resume")
    assert "trained 6 steps" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in founder.rglob("*")} == files
    begin = ["train", "ecgfounder", str(cohort.path), str(founder), *TINY]
    assert run(begin) == 2
    assert "holds a run: go on with --resume" in " ".join(capsys.readouterr().err.split())
    assert run([*begin, "--epochs", "3", "--targets", TARGETS, "--name", "small-founder", "--resume"]) == 2
    assert "was begun with epochs 2, got 3" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("options", [{}, {"leads": 1, "augment": "mmcl", "ema": 0.9}], ids=["plain", "drawn"])
def test_an_interrupted_training_ends_in_the_same_model(options: dict[str, Any], cohort: Folder, tmp_path: Path):
    asked = {"preset": "tiny", "batch": 8, "epochs": 3, "targets": TARGETS, "accelerator": "cpu"} | options

    def stop(line: Mapping[str, Any]) -> None:
        if line["step"] == 5:
            raise InterruptedError

    begin_training("ecgfounder", cohort.path, tmp_path / "whole", **asked)
    with pytest.raises(InterruptedError):
        begin_training("ecgfounder", cohort.path, tmp_path / "run", watch=stop, **asked)
    assert not (tmp_path / "run" / "model").exists()
    begin_training("ecgfounder", cohort.path, tmp_path / "run", resume=True, **asked)
    left, right = (Model.from_pretrained(tmp_path / out / "model").contract for out in ("whole", "run"))
    assert left == right
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "run"))


def test_a_record_that_cannot_be_prepared_is_named(cohort: Folder):
    other = replace(PREPARATIONS["ecgfounder"], leads=("I", "X"), name="odd")
    feed = EcgFeed(Loader(cohort, split="train"), cohort, other, np.zeros((40, 1)))
    with pytest.raises(PreparationError, match=r"^sim5-000003-0: leads X are needed"):
        feed.batch(np.array([3]))


def test_a_feed_gives_what_the_model_would_prepare(cohort: Folder):
    """Cohorts of the preparation's own leads and rate take a shorter way, and keep what they prepared."""
    truth = np.arange(80.0).reshape(40, 2)
    loader = Loader(cohort, split="train", batch=7)
    for room in (0, 3 * 4 * 12 * 5000, 1 << 30):
        feed = EcgFeed(loader, cohort, PREPARATIONS["ecgfounder"], truth, keep_bytes=room)
        for _ in range(2):
            batches = list(feed(1, 2))
            assert [len(batch.names) for batch in batches] == [7, 3]
            rows = loader.order(1)[14:]
            assert [name for batch in batches for name in batch.names] == cohort.columns["study_id"][rows].tolist()
            slow = [prepare(ecg_of(cohort, row), feed.preparation).windows[0] for row in rows]
            np.testing.assert_allclose(torch.cat([batch.x for batch in batches]), np.stack(slow), atol=1e-5)
            np.testing.assert_array_equal(torch.cat([batch.y for batch in batches]), truth[rows])
        assert len(feed.kept) == min(10, room // (4 * 12 * 5000))


def test_scores_are_those_of_all_validation_studies(cohort: Folder):
    outputs = np.array([[2.0, -1.0], [-1.0, 1.0], [0.5, np.pi]])
    targets = np.array([[1.0, np.nan], [0.0, 1.0], [1.0, 0.0]])
    found = keep.scores(outputs, targets, "binary")
    p = 1 / (1 + np.exp(-outputs))
    known = ~np.isnan(targets)
    slow = -np.where(targets == 1, np.log(p), np.log(1 - p))[known].mean()
    assert found == pytest.approx({"loss": slow, "auroc": 0.5})
    assert keep.scores(outputs[:1], targets[:1], "binary").keys() == {"loss"}  # one class: no AUROC is made up


def test_a_number_that_does_not_vary_in_the_validation_leaves_the_choice_to_the_others(cohort: Folder, tmp_path: Path):
    """Not to the loss, in which it would count as much as each of them."""
    asked = job_of(cohort, epochs=1, targets="age,lv_ef")
    is_check = cohort.columns["split"] == "validation"
    outputs, targets = np.random.default_rng(0).normal(size=(12, 2)), asked.truth[is_check]
    alone = keep.scores(outputs[:, :1], targets[:, :1], "number")["r2"]
    y = targets[:, 0]
    assert alone == pytest.approx(1 - ((y - outputs[:, 0]) ** 2).sum() / ((y - y.mean()) ** 2).sum())
    for value in (1.5, np.nan):
        asked.truth[is_check, 1] = value
        assert keep.scores(outputs, asked.truth[is_check], "number")["r2"] == alone
    asked.truth[is_check, 1] = 1.5
    opened = Run.open(tmp_path / "run", {}, resume=False)
    opened.begin(is_main=True)
    said = ecgfounder.train(asked, opened, Machine(accelerator="cpu").start())
    assert said["watched"] == "r2"
    asked.truth[is_check, 0] = 0.5
    assert keep.scores(outputs, asked.truth[is_check], "number").keys() == {"loss"}


def test_a_net_that_gives_nothing_finite_is_refused(cohort: Folder, tmp_path: Path, capsys: Any):
    """The last step spoils the weights: its own loss and gradient were finite."""
    options = ["--targets", TARGETS, "--batch", "64", "--epochs", "1", "--lr", "1e30", "--preset", "tiny"]
    assert run(["train", "ecgfounder", str(cohort.path), str(tmp_path / "run"), *options]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "values of the validation that are not finite: train with a lower rate" in said
    assert not (tmp_path / "run" / "model").exists()


def test_a_probe_refuses_augmentation(founder: Path, cohort: Folder, tmp_path: Path, capsys: Any):
    options = ["--stage", "probe", "--init", str(founder / "model"), "--targets", "smoker", "--augment", "mmcl"]
    assert run(["train", "ecgfounder", str(cohort.path), str(tmp_path / "run"), *TINY, *options]) == 2
    assert "a probe sees its records as they are, got augment 'mmcl'" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()


def test_a_second_training_in_the_same_folder_is_refused(cohort: Folder, tmp_path: Path):
    asked = {"preset": "tiny", "batch": 8, "epochs": 1, "targets": TARGETS, "accelerator": "cpu"}
    refused = []

    def watch(line: Mapping[str, Any]) -> None:
        if line["step"] == 1:
            with pytest.raises(UsageError, match=r"another training is at work in .*: wait for it") as caught:
                begin_training("ecgfounder", cohort.path, tmp_path / "run", resume=True, **asked)
            refused.append(caught)

    begin_training("ecgfounder", cohort.path, tmp_path / "run", watch=watch, **asked)
    assert len(refused) == 1
    assert not (tmp_path / "run" / ".lock").exists()
    begin_training("ecgfounder", cohort.path, tmp_path / "run", resume=True, **asked)


def test_a_model_that_finds_no_room_is_a_sentence(cohort: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The checkpoints are there by then, and the same call with --resume writes the model."""
    asked = {"preset": "tiny", "batch": 8, "epochs": 1, "targets": TARGETS, "accelerator": "cpu"}
    full = SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    with monkeypatch.context() as patch:
        patch.setattr("safetensors.torch.save_file", Mock(side_effect=full))
        with pytest.raises(WriteError, match=r"model could not be written .* --resume"):
            begin_training("ecgfounder", cohort.path, tmp_path / "run", **asked)
    assert not (tmp_path / "run" / "model").exists()
    begin_training("ecgfounder", cohort.path, tmp_path / "run", resume=True, **asked)
    Model.from_pretrained(tmp_path / "run" / "model")


def test_who_leaves_a_feed_early_does_not_wait(cohort: Folder, monkeypatch: pytest.MonkeyPatch):
    """One batch was asked for: of those made ready ahead, none is begun after that but the one in work."""
    feed = EcgFeed(Loader(cohort, split="train", batch=2), cohort, PREPARATIONS["ecgfounder"], np.zeros((40, 1)))
    whole, begun, may_go_on = feed.batch, [], Event()

    def slow(rows: Any) -> Any:
        begun.append(rows)
        if len(begun) == 2:
            assert may_go_on.wait(60)
        return whole(rows)

    monkeypatch.setattr(feed, "batch", slow)
    batches = feed(0)
    next(batches)
    Timer(0.2, may_go_on.set).start()
    batches.close()
    assert len(begun) <= 2


def test_the_machine_of_a_run_is_in_its_arguments(founder: Path):
    asked = json.loads((founder / "run.json").read_text())["arguments"]
    assert {name: asked[name] for name in ("accelerator", "devices", "nodes")} == {
        "accelerator": "cpu", "devices": Machine().devices, "nodes": 1
    }  # fmt: skip
