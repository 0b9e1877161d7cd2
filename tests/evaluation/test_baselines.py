"""What is reached without the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

import evaluated
from cardioloom import measure
from cardioloom.errors import UsageError
from cardioloom.evaluation import measured as measured_room
from cardioloom.evaluation.baselines import (
    BASELINES,
    Sides,
    asked_for,
    baseline,
    demographics,
    estimator,
    fitted_scores,
    table_of,
)
from cardioloom.evaluation.judged import Bootstrap, Judged
from cardioloom.evaluation.measured import features, measured
from cardioloom.models.task import Output
from cardioloom.store import Folder
from synthetic import ecg

DRAWN = Bootstrap(draws=100, seed=3)
OUTPUTS = (Output("AF", "a", "rhythm"), Output("RBBB", "b", "conduction"))


def sides(n: int = 200, *, rare: int = 40, seed: int = 0) -> tuple[Judged, Sides]:
    """A first label that the features show, a second one of ``rare`` positives in training."""
    random = np.random.default_rng(seed)
    truth = (random.random((2 * n, 2)) < 0.4).astype(float)
    truth[n:, 1] = np.arange(n) < rare
    x = np.stack([truth[:, 0] + random.normal(size=2 * n), random.normal(size=2 * n)], axis=1)
    x[random.random(x.shape) < 0.1] = np.nan
    score = np.clip(0.5 + 0.2 * (truth - 0.5) + 0.2 * random.normal(size=truth.shape), 0, 1)
    judged = Judged.of("multi_label", OUTPUTS, truth[:n], score[:n], list(range(n)))
    return judged, Sides(x[n:], x[:n], truth[n:], n, "two numbers")


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_beside_the_model(name: str):
    judged, both = sides()
    found = baseline(name, judged, both, DRAWN)
    assert found["fitted_on"] == "train split, 200 studies of 200 patients"
    assert found["metric"] == "auroc"
    assert list(found["labels"]) == list(found["difference"]) == ["AF", "RBBB"]
    assert found["labels"]["AF"]["value"] > 0.65
    for code, at in (("AF", 0), ("RBBB", 1)):
        own = roc_auc_score(judged.truth[:, at], judged.score[:, at])
        difference = found["difference"][code]
        assert difference["value"] == pytest.approx(own - found["labels"][code]["value"])
        assert difference["method"] == "DeLong"
        assert difference["interval"][0] < difference["value"] < difference["interval"][1]
    assert found["macro_difference"]["method"] == "bootstrap of patients"
    assert found["macro"]["value"] == pytest.approx(np.mean([row["value"] for row in found["labels"].values()]))
    assert baseline(name, judged, both, DRAWN) == found


def test_age_and_sex_are_logistic_regression():
    judged, both = sides()
    whole = Sides(np.nan_to_num(both.fitted), np.nan_to_num(both.judged), both.truth, 200, "")
    scores, without = fitted_scores(estimator("age_sex", "multi_label", 0), whole, judged.codes, judged.kind)
    assert without == {}
    mean, sd = whole.fitted.mean(axis=0), whole.fitted.std(axis=0)
    own = LogisticRegression(max_iter=500).fit((whole.fitted - mean) / sd, both.truth[:, 0])
    expected = own.predict_proba((whole.judged - mean) / sd)[:, 1]
    np.testing.assert_allclose(scores[:, 0], expected, atol=1e-6)


def test_patients_with_several_studies_are_drawn_whole():
    judged, both = sides()
    several = Judged.of("multi_label", OUTPUTS, judged.truth, judged.score, np.arange(200) // 2)
    found = baseline("age_sex", several, both, DRAWN)
    assert found["difference"]["AF"]["method"] == "bootstrap of patients"
    alone = baseline("age_sex", judged, both, DRAWN)
    assert found["difference"]["AF"]["value"] == pytest.approx(alone["difference"]["AF"]["value"])


def test_too_few_to_be_fitted_on():
    judged, both = sides(rare=3)
    found = baseline("age_sex", judged, both, DRAWN)
    assert "got 3 positives and 197 negatives" in found["labels"]["RBBB"]["not_estimable"]
    assert found["difference"]["RBBB"] == {"not_estimable": found["labels"]["RBBB"]["not_estimable"]}
    assert found["macro"]["value"] == pytest.approx(found["labels"]["AF"]["value"])
    # The average of the model is over the same labels, so that the difference is that of the two beside it.
    assert found["macro_model"]["value"] == pytest.approx(roc_auc_score(judged.truth[:, 0], judged.score[:, 0]))
    difference = found["macro_model"]["value"] - found["macro"]["value"]
    assert found["macro_difference"]["value"] == pytest.approx(difference)
    both.truth[:] = np.nan
    assert "0 positives" in baseline("age_sex", judged, both, DRAWN)["not_made"]


def test_one_class_among_the_judged():
    judged, both = sides()
    judged.truth[:, 0] = 0
    found = baseline("age_sex", judged, both, DRAWN)
    assert "no positive" in found["labels"]["AF"]["not_estimable"]
    assert "no positive" in found["difference"]["AF"]["not_estimable"]


@pytest.mark.parametrize("name", BASELINES)
def test_numbers(name: str):
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 2))
    truth = 60 + 8 * x[:, :1] + random.normal(size=(300, 1))
    outputs = (Output("ef", "ejection fraction", "function", unit="%"),)
    score = truth[:150] + 6 * random.normal(size=(150, 1))
    truth[:5] = np.nan
    judged = Judged.of("regression", outputs, truth[:150], score, np.arange(150) // 2)
    found = baseline(name, judged, Sides(x[150:], x[:150], truth[150:], 150, ""), DRAWN)
    own = np.abs(judged.truth - judged.score)[5:].mean()
    assert found["metric"] == "mae"
    assert found["labels"]["ef"]["value"] < 4
    assert found["difference"]["ef"]["value"] == pytest.approx(own - found["labels"]["ef"]["value"])
    assert "macro" not in found
    few = Sides(x[150:160], x[:150], truth[150:160], 10, "")
    assert "20 measured studies" in baseline(name, judged, few, DRAWN)["not_made"]


def test_names():
    assert asked_for("age_sex, measure,age_sex") == ("age_sex", "measure")
    assert asked_for("none") == ()
    with pytest.raises(UsageError, match="age_sex, measure, random_encoder or none, got sex"):
        asked_for("sex")


def test_tables():
    found = demographics(np.array([50.0, np.nan]), np.array(["M", None], object))
    np.testing.assert_array_equal(found, [[50, 1], [np.nan, np.nan]])
    np.testing.assert_array_equal(table_of([{"a": 1.0}, {"b": 2.0}], ["a", "b"]), [[1, np.nan], [np.nan, 2]])
    assert table_of([], ["a"]).shape == (0, 1)


def test_features_are_what_is_measured():
    record = ecg(bpm=66)
    found, told = features(record, 70.0, "F"), measure.ecg(record, age=70.0, sex="F")
    for name, own in told.measurements.items():
        assert found[name] == own.value
    for own in told.findings:
        assert found.get(f"is {own.code}") == own.present
    assert found["heart_rate"] == pytest.approx(66, abs=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return evaluated.cohort_at(tmp_path_factory.mktemp("measured") / "c")


def test_nothing_is_measured_twice(folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    n_measured: list[int] = []
    plain = measured_room.features
    monkeypatch.setattr(measured_room, "features", lambda *said: n_measured.append(1) or plain(*said))
    monkeypatch.setattr(measured_room, "CHUNK", 2)
    keep, told = tmp_path / "m.parquet", []
    first = measured(folder, np.arange(3), keep, version="1", tick=lambda done, total: told.append((done, total)))
    assert told == [(2, 3), (3, 3)]
    assert all(row["heart_rate"] > 40 for row in first)
    again = measured(folder, np.arange(4), keep, version="1")
    assert (again[:3], len(n_measured)) == (first, 4)
    # What is to be predicted is not told, and then it is another measurement.
    measured(folder, np.arange(1), keep, version="1", told=("sex",))
    assert len(n_measured) == 5
    measured(folder, np.arange(1), keep, version="2")
    assert len(n_measured) == 6
    keep.write_bytes(b"nothing")
    with pytest.raises(UsageError, match="remove it"):
        measured(folder, np.arange(1), keep, version="1")


@pytest.mark.slow
def test_processes_measure_the_same(folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(measured_room, "WORTH_A_PROCESS", 1)
    rows = np.arange(40)
    alone = measured(folder, rows, tmp_path / "a", version="1")
    assert measured(folder, rows, tmp_path / "b", version="1", workers=2) == alone
