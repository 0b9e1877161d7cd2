"""`cardioloom calibrate MODEL COHORT OUT`, with good and with bad input."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from scipy.special import expit

import small_net
from cardioloom.api import calibrate, load, read
from cardioloom.app.cli import run
from cardioloom.errors import UsageError
from cardioloom.evaluation.calibration import calibration_slope
from cardioloom.evaluation.conformal import conformal_quantile
from cardioloom.models import Model, adding, ecgfounder
from cardioloom.models.contract import WEIGHTS, Contract
from cardioloom.models.task import Output, Task
from cardioloom.records import ECG
from cardioloom.simulator import draw
from cardioloom.simulator import ecg as simulated_ecg
from cardioloom.store import Entry, Folder, Layout, Plan, ecg_modality
from cardioloom.store.build import build
from synthetic import ecg, write_wfdb

FS, SECONDS, N = 100.0, 2.0, 900
BASES = 20  # simulated ECGs, from which studies are cut
TIMES = 3.0  # by which the logits of the model are too large


def beats() -> list[ECG]:
    """Simulated patients' ECGs at 100 Hz."""
    return [simulated_ecg(draw(11, k)) for k in range(BASES)]


def signals() -> list[ECG]:
    """Two seconds each, cut from simulated ECGs at 100 Hz: other places, other sizes."""
    random = np.random.default_rng(5)
    bases = beats()
    found = []
    for k in range(N):
        own = bases[k % BASES]
        step = round(own.fs / FS)
        start = int(random.integers(0, own.signal.shape[1] - step * int(FS * SECONDS)))
        cut = own.signal[:, start : start + step * int(FS * SECONDS) : step]
        found.append(ECG((cut * random.uniform(0.7, 1.4)).astype(np.float32), own.leads, FS))
    return found


def model_at(folder: Path, made: Contract, shift: np.ndarray, scale: np.ndarray) -> Path:
    """The small net with logits scale · (logit − shift)."""
    state = small_net.state(made, seed=3)
    weight, bias = state["dense.weight"], state["dense.bias"]
    state["dense.weight"] = weight * weight.new_tensor(scale)[:, None]
    state["dense.bias"] = (bias - bias.new_tensor(shift)) * bias.new_tensor(scale)
    folder.mkdir(parents=True)
    weights = folder.with_name(f"{folder.name}-{WEIGHTS}")
    save_file({name: value.contiguous() for name, value in state.items()}, weights)
    adding.build(made, weights, folder)
    return folder


def logits_of(folder: Path, ecgs: list[ECG]) -> np.ndarray:
    """(study, output) of one window each, from the probabilities."""
    found = np.concatenate([said.probabilities for said in Model.from_pretrained(folder).stream(ecgs)])
    return np.log(found) - np.log1p(-found)


class Made:
    """A cohort of simulated ECGs whose labels follow a model's own logits, and that model with logits too large.

    Columns: y_one, y_two (0/1), three (3 positives), word (text), size (a number that follows the first logit).
    """

    def __init__(self, path: Path):
        ecgs = signals()
        plainly = model_at(path / "plain", small_net.contract("plain"), np.zeros(3), np.ones(3))
        plain = logits_of(plainly, ecgs)
        shift, scale = plain.mean(axis=0), 1.5 / plain.std(axis=0)
        self.logits = (plain - shift) * scale
        random = np.random.default_rng(8)
        self.truth = (random.random((N, 3)) < expit(self.logits)).astype(float)
        self.truth[:, 2] = np.arange(N) % 300 == 1
        self.size = 50 + 10 * self.logits[:, 0] + random.normal(0, 4, N)
        self.split = ["train", "validation", "test"]
        self.model = model_at(path / "model", small_net.contract("model"), shift, TIMES * scale)
        numbers = Task("regression", (Output("size", "size", "size", unit="mL", mean=50.0, std=10.0),))
        config = {**small_net.contract().config, "n_classes": 1}
        self.ecgs = ecgs
        self.regression = self._regression(path, replace(small_net.contract("sizes"), task=numbers, config=config))
        self.cohort = self._cohort(path / "cohort")
        self.stored = list(self.cohort.cohort(self.cohort.ecg))  # in counts
        self.logits = (logits_of(plainly, self.stored) - shift) * scale

    def _regression(self, path: Path, made: Contract) -> Path:
        state = load_file(self.model / WEIGHTS)
        state = {name: value[:1] / TIMES if name.startswith("dense.") else value for name, value in state.items()}
        weights = path / "sizes.safetensors"
        save_file({name: value.contiguous() for name, value in state.items()}, weights)
        folder = path / "sizes"
        folder.mkdir()
        adding.build(made, weights, folder)
        return folder

    def entry(self, k: int) -> list[Entry]:
        labels: dict[str, float | str | None] = {
            "y_one": self.truth[k, 0],
            "y_two": self.truth[k, 1] if k % 10 else None,
            "three": self.truth[k, 2],
            "word": "yes" if self.truth[k, 0] else "no",
            "size": self.size[k],
        }
        return [Entry(f"s{k:03d}", f"p{k:03d}", {"ecg": self.ecgs[k]}, split=self.split[k % 3], labels=labels)]

    def _cohort(self, path: Path) -> Folder:
        labels = {name: {"kind": "binary", "low": 0.0, "high": 1.0} for name in ("y_one", "y_two", "three")}
        labels |= {"word": {"kind": "text"}, "size": {"kind": "number"}}
        layout = Layout({"ecg": ecg_modality(FS, SECONDS)}, FS, shard_rows=300)
        facts = {"source": "simulated patients", "licence": "none", "generator": "phantom/1", "population": "general"}
        build(path, Plan(range(N), self.entry, layout, {}, facts, labels), workers=1)
        return Folder.at(path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("calibrate"))


def test_a_model_that_is_too_sure_is_brought_back_on_patients_it_was_not_fitted_on(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "out"
    assert run(["calibrate", str(made.model), str(made.cohort.path), str(out)]) == 0
    said = capsys.readouterr().out
    model = Model.from_pretrained(out)
    one, two, three = model.contract.task.outputs
    before = Model.from_pretrained(made.model).contract.task.outputs
    # What was not fitted stays, all of it, and the reason is told.
    assert three == before[2]
    assert "three stays: a recalibration of three needs 20 positives and 20 negatives, got 3 and 297" in said
    assert one.calibrated
    assert two.calibrated
    assert not three.calibrated
    for output in (one, two):
        assert output.slope == pytest.approx(1 / TIMES, rel=0.35)
        assert re.search(rf"{output.code} .*1 → {output.slope:.3g}", said)
    assert (out / WEIGHTS).read_bytes() == (made.model / WEIGHTS).read_bytes()
    assert model.name == "model-calibrated"

    # On the split itself the slope is 1 by construction; on other patients as far as 300 of them can tell.
    for folder, at, slope, within in (
        (made.model, 2, 1 / TIMES, 0.35),
        (out, 1, 1.0, 1e-3),
        (out, 2, 1.0, 0.35),
    ):
        answers = list(Model.from_pretrained(folder).stream(made.stored[at::3]))
        score = np.concatenate([answer.probabilities for answer in answers])
        assert calibration_slope(made.truth[at::3, 0], score[:, 0]) == pytest.approx(slope, rel=within)


def test_slope_and_threshold_are_those_of_the_validation_split(made: Made, tmp_path: Path):
    """Against scikit-learn's logistic regression without penalty, and a threshold found by trying each score."""
    from sklearn.linear_model import LogisticRegression

    done = calibrate(str(made.model), made.cohort.path, tmp_path / "out")
    own = np.arange(N) % 3 == 1
    known = own & (np.arange(N) % 10 != 0)
    for n, mask in ((0, own), (1, known)):
        x, y = TIMES * made.logits[mask, n], made.truth[mask, n]
        line = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(x[:, None], y)
        output = done.fitted[n].after
        assert output.slope == pytest.approx(line.coef_[0, 0], rel=2e-3)
        assert output.intercept == pytest.approx(line.intercept_[0], abs=2e-3)
        score = expit(output.slope * x + output.intercept)
        best = max((np.mean(score[y == 1] >= t) - np.mean(score[y == 0] >= t), t) for t in score)[1]
        assert output.threshold == pytest.approx(best, abs=1e-5)
        assert (done.fitted[n].n, done.fitted[n].events) == (mask.sum(), y.sum())


def test_the_card_says_on_whom_and_keeps_what_it_said(made: Made, tmp_path: Path):
    done = calibrate(str(made.model), made.cohort.path, tmp_path / "out", rule="sensitivity", target=0.9, name="ours")
    card = Model.from_pretrained(done.model).contract.card
    old = Model.from_pretrained(made.model).contract.card
    assert card.notes == (*old.notes, done.note)
    assert done.name == "ours"
    fingerprint = made.cohort.facts["fingerprint"]
    for words in (
        "thresholds (sensitivity 0.9)",
        f"simulated patients (cohort {fingerprint[:12]})",
        "split validation, 300 records of 300 patients",
        f"one (n 300, {int(made.truth[1::3, 0].sum())} positive)",
        "as before: three",
    ):
        assert words in done.note
    assert card.trained_on == f"{old.trained_on}; calibrated on simulated patients"
    assert not re.search(r"20\d\d-\d\d", done.note)
    chosen = done.fitted[0].after
    own = TIMES * made.logits[1::3, 0]
    found = expit(chosen.slope * own + chosen.intercept) >= chosen.threshold - 1e-6
    assert 0.9 <= found[made.truth[1::3, 0] == 1].mean() < 0.92


def test_read_shows_the_new_threshold(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    done = calibrate(str(made.model), made.cohort.path, tmp_path / "out")
    record = write_wfdb(tmp_path / "a.hea", ecg(fs=FS, seconds=2))
    assert run(["read", str(record), "--json", "-", "--model", str(done.model)]) == 0
    report = json.loads(capsys.readouterr().out)
    found = {row["code"]: row for row in report["findings"] if row["source"] == done.name}
    assert found["one"]["threshold"] == done.fitted[0].after.threshold
    assert "not calibrated" not in found["one"]["evidence"]
    assert "not calibrated" in found["three"]["evidence"]
    (model,) = report["provenance"]["models"]
    assert model["thresholds"] == "1 thresholds not calibrated"
    assert "simulated patients" in model["trained_on"]


def test_a_number_gets_its_interval(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out"
    call = ["calibrate", str(made.regression), str(made.cohort.path), str(out), "--coverage", "0.8"]
    assert run(call) == 0
    assert "none →" in capsys.readouterr().out
    (output,) = Model.from_pretrained(out).contract.task.outputs
    residual = np.abs(made.size - (50 + 10 * made.logits[:, 0]))
    assert output.half_width == pytest.approx(conformal_quantile(residual[1::3], 0.2), rel=1e-3)
    assert output.coverage == 0.8
    assert np.mean(residual[2::3] <= output.half_width) == pytest.approx(0.8, abs=0.07)
    record = write_wfdb(tmp_path / "a.hea", ecg(fs=FS, seconds=2))
    (estimate,) = (one for one in read(record, model=[str(out)]).estimates if one.code == "size")
    assert estimate.interval[1] - estimate.interval[0] == pytest.approx(2 * output.half_width)


def test_windows_of_a_long_record_are_pooled_as_reports_pool_them(made: Made):
    """One window gives its own logit, however large; several the logit of their mean probability."""
    from cardioloom.evaluation.site import _pooled

    for logit in (-800.0, -3.0, 0.0, 40.0):
        assert _pooled(np.array([logit])) == pytest.approx(logit)
    p = expit(np.array([-2.0, 1.0, 3.0])).mean()
    assert _pooled(np.array([-2.0, 1.0, 3.0])) == pytest.approx(np.log(p / (1 - p)))


def test_text_labels_are_compared(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    call = ["calibrate", str(made.model), str(made.cohort.path)]
    assert run([*call, str(tmp_path / "a"), "--targets", "one:word"]) == 2
    assert "word is one of no, yes: write one:word=WORD" in capsys.readouterr().err
    assert run([*call, str(tmp_path / "b"), "--targets", "one:word=yes"]) == 0
    assert "two stays: not asked for" in capsys.readouterr().out
    outputs = Model.from_pretrained(tmp_path / "b").contract.task.outputs
    assert [output.calibrated for output in outputs] == [True, False, False]
    assert outputs[0].slope == pytest.approx(1 / TIMES, rel=0.35)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--targets", "one:size"], "one is a label of 0 and 1, size holds other numbers"),
        (["--targets", "four:y_one"], "model has the outputs one, two, three, got four"),
        (["--targets", "one:nothing"], "not nothing"),
        (["--method", "isotonic"], "fit_isotonic"),
        (["--method", "magic"], "the method must be platt, got 'magic'"),
        (["--rule", "sensitivity"], "rule 'sensitivity' needs a target"),
        (["--target", "0.9"], "rule 'youden' takes no target"),
        (["--rule", "specificity", "--target", "1.5"], "must be above 0 and up to 1"),
        (["--coverage", "90"], "the coverage must lie between 0 and 1, got 90"),
        (["--split", "other"], "not 'other'"),
        (["--lead", "II"], "model takes 12 leads, got the lead 'II'"),
        (["--batch", "0"], "at least one window"),
        (["--name", " "], "--name must be a name"),
    ],
)
def test_wrong_calls_are_one_sentence(
    options: list[str], words: str, made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    code = run(["calibrate", str(made.model), str(made.cohort.path), str(tmp_path / "out"), *options])
    said = capsys.readouterr()
    assert code in (1, 2)
    assert words in said.err
    assert len(said.err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_what_exists_is_left_alone(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out"
    out.mkdir()
    assert run(["calibrate", str(made.model), str(made.cohort.path), str(out)]) == 2
    assert f"{out} exists" in capsys.readouterr().err
    assert list(out.iterdir()) == []


def test_too_few_positives_of_every_output_write_nothing(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "out"
    assert run(["calibrate", str(made.model), str(made.cohort.path), str(out), "--targets", "three:three"]) == 1
    said = capsys.readouterr().err
    assert "no output could be calibrated, nothing was written" in said
    assert "three: a recalibration of three needs 20 positives" in said
    assert not out.exists()


def test_the_limit_of_thresholds_that_nobody_set_goes_with_them(made: Made, tmp_path: Path):
    """ECGFounder's card says that its thresholds are not calibrated: true of those that stay, and of no other."""
    contract = Model.from_pretrained(made.model).contract
    bare = tmp_path / "bare"
    bare.mkdir()
    adding.build(contract.with_card(limits=ecgfounder.LIMITS), made.model / WEIGHTS, bare)
    left, *others = Model.from_pretrained(
        calibrate(str(bare), made.cohort.path, tmp_path / "a").model
    ).contract.card.limits
    assert left.startswith("1 of the 3 thresholds are 0.5 and not calibrated")
    assert tuple(others) == ecgfounder.LIMITS[1:]
    again = calibrate(str(tmp_path / "a"), made.cohort.path, tmp_path / "b", targets="one:y_one")
    assert Model.from_pretrained(again.model).contract.card.limits == (left, *others)
    done = replace(contract.task, outputs=tuple(replace(one, calibrated=True) for one in contract.task.outputs))
    whole = tmp_path / "whole"
    whole.mkdir()
    adding.build(replace(contract, task=done).with_card(limits=ecgfounder.LIMITS), made.model / WEIGHTS, whole)
    calibrate(str(whole), made.cohort.path, tmp_path / "c")
    assert Model.from_pretrained(tmp_path / "c").contract.card.limits == ecgfounder.LIMITS[1:]


def test_other_leads_are_refused(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    layout = Layout({"ecg": ecg_modality(FS, SECONDS, ("II", "V5"))}, FS, ("II", "V5"), shard_rows=50)
    labels = {"y_one": {"kind": "binary", "low": 0.0, "high": 1.0}}

    def two_leads(k: int) -> list[Entry]:
        (whole,) = made.entry(k)
        return [replace(whole, records={"ecg": made.ecgs[k].select(("II", "V5"))}, labels={"y_one": float(k % 2)})]

    build(
        tmp_path / "two", Plan(range(50), two_leads, layout, {}, {"source": "x", "licence": "none"}, labels), workers=1
    )
    assert run(["calibrate", str(made.model), str(tmp_path / "two"), str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "model abstains from every ECG" in said
    assert "V6" in said
    assert not (tmp_path / "out").exists()


def test_what_the_model_was_trained_on_is_refused(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """By its card, by the run folder it lies in; the other splits of that cohort are taken."""
    fingerprint = made.cohort.facts["fingerprint"]
    contract = Model.from_pretrained(made.model).contract
    told = contract.with_card(source=f"cardioloom recipe ecgfounder, cohort {fingerprint[:12]}")
    trained = tmp_path / "trained"
    trained.mkdir()
    adding.build(told, made.model / WEIGHTS, trained)
    in_run = tmp_path / "run" / "model"
    Model.from_pretrained(made.model).save(in_run)
    targets = {"stages": {"pretrain": {"targets": ["one:word=yes"]}}}
    (in_run.parent / "run.json").write_text(json.dumps({"cohort": fingerprint, **targets}), encoding="utf-8")
    for folder in (trained, in_run, in_run.parent):
        for split in ("train", "all"):
            call = ["calibrate", str(folder), str(made.cohort.path), str(tmp_path / "out"), "--split", split]
            assert run(call) == 2
            assert "was trained on split train of this cohort" in capsys.readouterr().err
    done = calibrate(str(in_run), made.cohort.path, tmp_path / "out", split="test")
    assert done.fitted[0].stays is None  # the column that the run was trained on has another name
    for damaged in ("{", "[]", '{"stages": 1}'):  # it would say what the model was trained on
        (in_run.parent / "run.json").write_text(damaged, encoding="utf-8")
        assert run(["calibrate", str(in_run), str(made.cohort.path), str(tmp_path / "x"), "--split", "train"]) == 1
        assert "run.json cannot be read as JSON" in capsys.readouterr().err
    assert "split test" in done.note
    whole = calibrate(str(made.model), made.cohort.path, tmp_path / "whole", split="all")
    assert whole.n == N
    assert "all studies train validation test" in whole.note


def test_calibrating_again_goes_on_from_the_weights(made: Made, tmp_path: Path):
    """Slopes are of the net's own logits, so that a second calibration does not build on the first."""
    first = calibrate(str(made.model), made.cohort.path, tmp_path / "a")
    again = calibrate(str(first.model), made.cohort.path, tmp_path / "b")
    assert again.fitted[0].after == first.fitted[0].after
    assert again.name == "model-calibrated"
    assert load(write_wfdb(tmp_path / "a.hea", ecg(fs=FS, seconds=2))).fs == FS


def test_an_installed_model_is_called_as_its_folder(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CARDIOLOOM_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "cache" / "models" / "ours"
    with pytest.raises(UsageError, match="give --name ours"):
        calibrate(str(made.model), made.cohort.path, out)
    calibrate(str(made.model), made.cohort.path, out, name="ours")
    assert Model.from_pretrained("ours").name == "ours"
