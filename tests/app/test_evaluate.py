"""`evaluate`, as a verb and as a command: the three files, and a sentence for each call that cannot be."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

import evaluated
import small_net
from cardioloom.api.evaluating import evaluate, evaluate_with
from cardioloom.app.cli import run
from cardioloom.errors import WriteError
from cardioloom.evaluation import measured
from cardioloom.models import Model
from cardioloom.models.runtime import TorchRunner
from cardioloom.records import ECG
from cardioloom.store import Folder

FEW = ("--draws", "100", "--baselines", "none")


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return evaluated.cohort_at(tmp_path_factory.mktemp("evaluated") / "c").path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, cohort: Path) -> Path:
    """A run on the cohort, which learned "one" from its column y_one and "two" from y_two."""
    facts = {"cohort": Folder.at(cohort).facts["fingerprint"]}
    stages = {"pretrain": {"targets": ["one:y_one", "two:y_two"], "kind": "binary"}}
    return evaluated.run_folder(tmp_path_factory.mktemp("runs") / "r", stages=stages, **facts)


@pytest.fixture(scope="session")
def number(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return evaluated.number_model(tmp_path_factory.mktemp("numbers") / "m")


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory, trained: Path, cohort: Path) -> Path:
    """An evaluation with everything."""
    out = tmp_path_factory.mktemp("whole") / "e"
    options = ["--draws", "100", "--survival", "one_years,one_event,one", "--by", "word", "--workers", "1"]
    assert run(["evaluate", str(trained), str(cohort), str(out), *options]) == 0
    return out


def metrics_of(out: Path) -> dict[str, Any]:
    return json.loads((out / "metrics.json").read_text(), parse_constant=pytest.fail)


def test_metrics_are_those_of_the_predictions(whole: Path, cohort: Path, trained: Path):
    found, table = metrics_of(whole), pq.read_table(whole / "predictions.parquet")
    assert found["schema"] == "cardioloom.evaluation/1"
    assert found["cohort"]["split"] == "test"
    rows = {name: np.array(table[name].to_pylist(), float) for name in ("truth_one", "score_one", "score_three")}
    known = ~np.isnan(rows["truth_one"])
    own = found["labels"]["one"]
    assert own["auroc"]["value"] == pytest.approx(roc_auc_score(rows["truth_one"][known], rows["score_one"][known]))
    assert (own["n"], own["events"]) == (known.sum(), rows["truth_one"][known].sum())
    assert set(table["split"].to_pylist()) == {"test"}
    assert table["abstained"].null_count == len(table) == found["cohort"]["studies"]
    assert found["cohort"]["patients"] == len(set(table["patient_id"].to_pylist())) == 24
    assert "truth_three" in table.column_names
    # The scores are what the model says of these studies.
    folder, model = Folder.at(cohort), Model.from_pretrained(trained / "model")
    studies = folder.cohort(folder.ecg)
    names = studies.column("study_id").tolist()
    for study, score in list(zip(table["study_id"].to_pylist(), rows["score_one"], strict=True))[::9]:
        assert model.predict(studies[names.index(study)]).probabilities.mean(axis=0)[0] == pytest.approx(score)


def test_everything_has_its_place(whole: Path):
    found = metrics_of(whole)
    assert set(found["labels"]) == {"one", "two", "three"}
    assert set(found["subgroups"]) == {"sex", "age", "site", "word"}
    assert found["centres"]["column"] == "site"
    assert sum(row["studies"] for row in found["centres"]["rows"].values()) == found["cohort"]["studies"]
    assert set(found["baselines"]) == {"age_sex", "measure", "random_encoder"}
    for own in found["baselines"].values():
        assert "value" in own["labels"]["one"]
        # Some patients have two studies, which DeLong's test may not take for independent.
        assert own["difference"]["one"]["method"] == "bootstrap of patients"
        assert own["fitted_on"].endswith("of 36 patients")
    assert "16 features" in found["baselines"]["random_encoder"]["features"]
    assert "measurements and statements" in found["baselines"]["measure"]["features"]
    assert found["contamination"]["verdict"] == "same cohort, other split"
    assert found["survival"]["output"] == "one"
    assert found["survival"]["left_out"] == {"event before the ECG": 7}  # six patients, one twice
    page = (whole / "report.html").read_text()
    assert f"{found['labels']['one']['auroc']['value']:.3f}"[:4] in page.replace("−", "-")


def test_one_class_and_no_truth_are_not_estimable(whole: Path):
    found = metrics_of(whole)
    for code, reason in (("two", "no positive"), ("three", "no labelled record")):
        own = found["labels"][code]
        assert "value" not in own["auroc"]
        assert reason in own["auroc"]["not_estimable"]
    assert "no study is labelled for three" in found["labels"]["three"]["sensitivity"]["not_estimable"]
    assert "0 positives" in found["baselines"]["age_sex"]["labels"]["two"]["not_estimable"]


def test_a_second_call_measures_nothing_and_says_the_same(
    whole: Path, trained: Path, cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    again = tmp_path / "again"
    shutil.copytree(whole, again)
    monkeypatch.setattr(measured, "features", lambda *_: pytest.fail("measured again"))
    told: list[str] = []
    options = {"draws": 100, "survival": "one_years,one_event,one", "by": "word"}
    evaluate_with(str(trained), cohort, again, progress=lambda what, *_: told.append(what), **options)
    first, second = metrics_of(whole), metrics_of(again)
    assert first.pop("created") <= second.pop("created")
    assert first == second
    assert (whole / "predictions.parquet").read_bytes() == (again / "predictions.parquet").read_bytes()
    assert {"predicting", "judging", "judging subgroups"} <= set(told)


def test_a_number(number: Path, cohort: Path, tmp_path: Path):
    found = evaluate(str(number), cohort, tmp_path / "e", draws=100, baselines="age_sex,random_encoder").metrics
    own = found["numbers"]["ef"]
    table = pq.read_table(tmp_path / "e" / "predictions.parquet")
    truth, score = (np.array(table[name].to_pylist()) for name in ("truth_ef", "score_ef"))
    assert own["mae"]["value"] == pytest.approx(np.abs(truth - score).mean())
    assert own["coverage"]["found"]["value"] == pytest.approx((np.abs(truth - score) <= 20).mean())
    assert "sex F" in own["coverage"]["by"]
    assert set(found["baselines"]["age_sex"]["labels"]) == {"ef"}
    assert (tmp_path / "e" / "report.html").stat().st_size > 1000


def test_what_is_to_be_predicted_is_no_baseline(number: Path, cohort: Path, tmp_path: Path):
    options = {"targets": "ef:age", "draws": 100, "baselines": "age_sex"}
    own = evaluate(str(number), cohort, tmp_path / "e", **options).metrics["baselines"]["age_sex"]
    assert own["features"] == "sex; ridge regression"
    assert own["labels"]["ef"]["value"] > 3  # years: the age itself would make it 0


def test_simulated_patients_are_called_so(
    number: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(evaluated, "PATIENTS", 12)
    facts = {"statement": "simulated patients: no person's data", "generator": "phantom/1"}
    folder = evaluated.cohort_at(tmp_path / "c", **facts)
    assert run(["evaluate", str(number), str(folder.path), str(tmp_path / "e"), *FEW]) == 0
    out = tmp_path / "e"
    assert "simulated patients" in capsys.readouterr().out
    assert metrics_of(out)["cohort"]["simulated"] is True
    assert "simulated patients" in (out / "report.html").read_text()
    facts_of_table = pq.read_schema(out / "predictions.parquet").metadata
    assert b"simulated patients" in facts_of_table[b"cardioloom.statement"]


def test_a_study_without_an_answer_is_counted(
    trained: Path, cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    plain = Folder.ecg

    def flat(self: Folder, row: dict[str, Any]) -> ECG:
        ecg = plain(self, row)
        return replace(ecg, samples=np.zeros_like(ecg.signal)) if row["study_id"] == "s004-0" else ecg

    monkeypatch.setattr(Folder, "ecg", flat)
    assert run(["evaluate", str(trained), str(cohort), str(tmp_path / "e"), *FEW]) == 0
    found, table = metrics_of(tmp_path / "e"), pq.read_table(tmp_path / "e" / "predictions.parquet").to_pylist()
    assert [row["study_id"] for row in found["excluded"]] == ["s004-0"]
    assert "no signal" in found["excluded"][0]["reason"]
    (own,) = (row for row in table if row["study_id"] == "s004-0")
    assert own["score_one"] is None
    assert own["abstained"] == found["excluded"][0]["reason"]
    assert "1 studies without an answer" in capsys.readouterr().out


def test_a_net_that_fails_on_one_study_is_asked_for_the_others(
    trained: Path, cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    call, odd = TorchRunner.__call__, []

    def failing(self: TorchRunner, windows: np.ndarray) -> Any:
        logits, features = call(self, windows)
        odd[:] = odd or [windows[5].copy()] if len(windows) == 8 else odd
        for n, window in enumerate(windows):
            if odd and np.array_equal(window, odd[0]):
                logits[n] = np.nan
        return logits, features

    monkeypatch.setattr(TorchRunner, "__call__", failing)
    found = evaluate(str(trained), cohort, tmp_path / "e", draws=100, baselines="none", batch=8).metrics
    assert ["not finite" in row["reason"] for row in found["excluded"]] == [True]


def test_splits(trained: Path, cohort: Path, tmp_path: Path):
    found = evaluate(str(trained), cohort, tmp_path / "all", split="all", draws=100, baselines="age_sex").metrics
    assert found["cohort"]["patients"] == evaluated.PATIENTS
    assert found["contamination"]["verdict"] == "trained on this split"
    assert "none is left" in found["baselines"]["age_sex"]["not_made"]
    assert "validation split" in found["labels"]["one"]["sets"]["not_made"]
    train = evaluate(str(trained), cohort, tmp_path / "train", split="train", draws=100, baselines="age_sex").metrics
    assert "train is judged" in train["baselines"]["age_sex"]["not_made"]


def test_an_evaluation_is_replaced_by_its_like_alone(
    trained: Path, number: Path, cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "e"
    assert run(["evaluate", str(trained), str(cohort), str(out), *FEW]) == 0
    assert run(["evaluate", str(trained / "model"), str(cohort), str(out), *FEW, "--seed", "1"]) == 0
    assert metrics_of(out)["seed"] == 1
    before = (out / "metrics.json").read_bytes()
    assert run(["evaluate", str(number), str(cohort), str(out), *FEW]) == 2
    assert "another model's weights or another cohort" in capsys.readouterr().err
    assert (out / "metrics.json").read_bytes() == before


def test_a_place_that_cannot_be_made(trained: Path, cohort: Path, tmp_path: Path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(WriteError, match="cannot be made"):
        evaluate(str(trained), cohort, tmp_path / "file" / "e", draws=100)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--split", "fold9"), "the cohort has the splits train, validation, test, all, not 'fold9'"),
        (("--targets", "one:word"), "word is one of no, yes: write one:word=WORD"),
        (("--targets", "one:ef"), "ef holds other numbers"),
        (("--targets", "one:gone"), "the cohort has no column gone"),
        (("--targets", "AF:y_one"), "has the outputs one, two, three, got AF"),
        (("--by", "ef"), "ef holds numbers, subgroups are by a text or by 0 and 1"),
        (("--centre", "hospital"), "no column 'hospital'"),
        (("--survival", "one_years,one_event"), "the model has 3 outputs"),
        (("--survival", "negative_years,one_event,one"), "time must be positive, in years"),
        (("--survival", "word,one_event,one"), "word is a text column"),
        (("--baselines", "magic"), "baselines are age_sex, measure, random_encoder or none, got magic"),
        (("--draws", "3"), "at least 100 draws, got 3"),
        (("--batch", "0"), "--batch must be"),
        (("--lead", "II"), "takes 12 leads, got --lead II"),
    ],
)
def test_wrong_calls_are_one_sentence(
    trained: Path,
    cohort: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    sentence: str,
):
    given = [*(FEW if options[0] not in FEW else ()), *options]
    assert run(["evaluate", str(trained), str(cohort), str(tmp_path / "e"), *given]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert not (tmp_path / "e").exists()


def test_all_censored_is_not_estimable(trained: Path, cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    options = ["--survival", "one_years,none_event,one"]
    assert run(["evaluate", str(trained), str(cohort), str(tmp_path / "e"), *FEW, *options]) == 0
    assert "all censored" in metrics_of(tmp_path / "e")["survival"]["harrell_c"]["not_estimable"]
    assert "all censored" in capsys.readouterr().out


def test_places_that_hold_something_else(
    trained: Path, cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "metrics.json").write_text("[]")
    for name, sentence in (("mine", "thesis.tex"), ("file", "is a file"), ("odd", "no evaluation")):
        assert run(["evaluate", str(trained), str(cohort), str(tmp_path / name), *FEW]) == 2
        assert sentence in capsys.readouterr().err


def test_models_and_cohorts_that_do_not_fit(
    number: Path, trained: Path, cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
):
    monkeypatch.setattr(evaluated, "PATIENTS", 12)
    one_lead = evaluated.cohort_at(tmp_path / "one", ("I",))
    other = small_net.contract("other")
    codes = tuple(replace(output, code=f"x{output.code}") for output in other.task.outputs)
    small_net.model_folder(tmp_path / "other", replace(other, task=replace(other.task, outputs=codes)))
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "run.json").write_text("{}")
    (tmp_path / "damaged").mkdir()
    shutil.copytree(trained, tmp_path / "damaged" / "r")
    (tmp_path / "damaged" / "r" / "run.json").write_text("{")
    for model, where, code, sentence in (
        (number, one_lead.path, 2, "abstains from all"),
        (tmp_path / "other", cohort, 2, "no column called xone or y_xone"),
        (tmp_path / "unfinished", cohort, 2, "no model yet"),
        (tmp_path / "damaged" / "r", cohort, 1, "cannot be read as JSON"),
        (tmp_path / "nothing", cohort, 2, "no model is called"),
        (number, tmp_path, 2, "no complete cohort"),
    ):
        assert run(["evaluate", str(model), str(where), str(tmp_path / "e"), *FEW]) == code
        assert sentence in capsys.readouterr().err


def test_a_patient_on_both_sides_is_refused(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(evaluated, "PATIENTS", 12)
    folder = evaluated.cohort_at(tmp_path / "c")
    path = folder.path / "cohort.parquet"
    table = pq.read_table(path)
    patients = table["patient_id"].to_pylist()
    patients[-1] = patients[0]  # of another split
    at = table.column_names.index("patient_id")
    pq.write_table(table.set_column(at, table.schema.field(at), [patients]), path)
    assert run(["evaluate", str(trained), str(folder.path), str(tmp_path / "e"), *FEW]) == 1
    assert "a split is by patient" in capsys.readouterr().err
