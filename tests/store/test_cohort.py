"""The noun: a lazy table of studies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from cardioloom.errors import RecordError
from cardioloom.records.cohort import Cohort

VALUES: dict[str, list[Any]] = {
    "study_id": ["s1", "s2", "s3", "s4"],
    "patient_id": ["a", "b", "a", "c"],
    "split": ["train", "test", "train", None],
    "age": [61.0, None, 62.0, 40.0],
    "sex": ["F", "M", "F", None],
    "AF": [1, 0, None, 1],
    "rhythm": ["sinus", "fibrillation", None, "sinus"],
    "shard": [0, 0, 1, 1],
    "row": [0, 1, 0, 1],
}
LABELS = ("AF", "rhythm")


def made(**other: Any) -> Cohort:
    return Cohort.of(pa.table(VALUES | other), dict, LABELS)


def test_pandas_and_pyarrow_make_the_same_cohort():
    frame = Cohort.of(pd.DataFrame(VALUES), dict, LABELS)
    assert frame.fingerprint() == made().fingerprint()
    assert frame.row(1)["age"] is None
    assert frame.row(2) == made().row(2)


def test_nothing_is_loaded_before_it_is_asked_for():
    asked: list[str] = []
    cohort = Cohort.of(pa.table(VALUES), lambda row: asked.append(row["study_id"]), LABELS)
    part = cohort.split("train")
    assert (len(part), part.n_patients, asked) == (2, 1, [])
    _ = part[1]
    assert asked == ["s3"]
    assert cohort.splits == ("train", "test")


def test_the_fingerprint_is_of_the_content_not_of_the_order_or_the_place():
    turned = {name: values[::-1] for name, values in VALUES.items()}
    moved = made(shard=[5, 5, 5, 5])
    assert Cohort.of(pa.table(turned), dict, LABELS).fingerprint() == made().fingerprint() == moved.fingerprint()
    for other in ({"AF": [1, 0, 0, 1]}, {"sex": ["F", "M", "F", "M"]}, {"split": ["train", "test", "train", "test"]}):
        assert made(**other).fingerprint() != made().fingerprint()


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"split": ["train", "test", "test", None]}, "1 patient is in more than one split \\(a\\)"),
        ({"split": ["train", "test", None, None]}, "more than one split"),
        ({"study_id": ["s1", "s2", "s1", "s4"]}, "s1 twice"),
        ({"patient_id": ["a", None, "a", "c"]}, "each study needs a patient_id"),
    ],
)
def test_what_cannot_be_is_refused(other: dict[str, Any], words: str):
    with pytest.raises(RecordError, match=words):
        made(**other)


def test_columns_that_are_absent_or_mixed_are_refused():
    with pytest.raises(RecordError, match="patient_id"):
        Cohort({"study_id": np.array(["a"])}, dict)
    with pytest.raises(RecordError, match="numbers and text"):
        Cohort.of(pd.DataFrame(VALUES | {"AF": [1, "yes", 0, 0]}), dict, LABELS)
    with pytest.raises(RecordError, match="not nonsense"):
        made().column("nonsense")
    with pytest.raises(RecordError, match="splits train, test, not 'fold1'"):
        made().split("fold1")


def test_table_1_counts_what_is_known():
    lines = {line["variable"]: line for line in made().table_1()}
    assert lines["patients"] == {"variable": "patients", "all": "3", "train": "1", "test": "1"}
    assert lines["AF"]["all"] == "2 (66.7%)"
    assert lines["AF missing"]["all"] == "1"
    assert lines["rhythm = sinus"] == {
        "variable": "rhythm = sinus",
        "all": "2 (50.0%)",
        "train": "1 (50.0%)",
        "test": "0 (0.0%)",
    }
    assert lines["age"]["all"] == "54.33 (12.4)"
    assert lines["age"]["test"] == "–"


def test_table_1_takes_a_number_for_a_number_whatever_its_values_are():
    columns = {name: np.array(values, object) for name, values in VALUES.items() if name not in ("age", "AF", "rhythm")}
    columns |= {"AF": np.array([1.0, 0.0, np.nan, 1.0]), "beats": np.array([0.0, 1.0, 1.0, 0.0])}
    columns["axis"] = np.array([-15.0, -16.5, -15.25, -15.57])
    lines = {line["variable"]: line for line in Cohort(columns, dict, ("AF", "beats", "axis"), ("AF",)).table_1()}
    assert lines["AF"]["all"] == "2 (66.7%)"
    assert lines["beats"]["all"] == "0.5 (0.577)"
    assert lines["axis"]["all"] == "−15.58 (0.656)"


def test_a_number_that_is_missing_is_no_patient():
    columns = {"study_id": np.array(["a", "b"]), "patient_id": np.array([1.0, np.nan])}
    with pytest.raises(RecordError, match="each study needs a patient_id"):
        Cohort(columns, dict)
