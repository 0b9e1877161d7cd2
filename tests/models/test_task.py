"""Tasks: equal to their JSON; logits become findings with probability, threshold and reason."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardioloom.errors import ModelError
from cardioloom.models.task import UNCALIBRATED, Output, Task

text = st.text(max_size=12)
OUTPUTS = st.builds(
    Output,
    text,
    text,
    text,
    st.floats(0, 1, exclude_min=True, exclude_max=True),
    st.booleans(),
    st.booleans(),
    st.none() | text,
)
TASKS = st.lists(OUTPUTS, min_size=1, max_size=4, unique_by=lambda output: output.code).map(
    lambda outputs: Task("multi_label", tuple(outputs))
)
AF = Output("AF", "ATRIAL FIBRILLATION", "rhythm", 0.3, snomed="164889003")
NOW = Output("now", "ST NOW DEPRESSED IN", "ST-T", single_ecg=False)
TWO = Task("multi_label", (AF, NOW))


@given(task=TASKS)
def test_a_task_equals_its_json(task: Task):
    assert Task.from_json(json.loads(json.dumps(task.to_json()))) == task


@pytest.mark.parametrize("key", ["kind", "outputs"])
def test_an_absent_key_of_a_task_is_named(key: str):
    values = TWO.to_json()
    del values[key]
    with pytest.raises(ModelError, match=f"absent: {key}"):
        Task.from_json(values)


@pytest.mark.parametrize("key", list(TWO.to_json()["outputs"][0]))
def test_an_absent_key_of_an_output_is_named(key: str):
    values = TWO.to_json()
    del values["outputs"][1][key]
    with pytest.raises(ModelError, match=f"absent: {key}"):
        Task.from_json(values)


def test_unknown_keys_are_named():
    with pytest.raises(ModelError, match="unknown: loss"):
        Task.from_json(TWO.to_json() | {"loss": "bce"})
    values = TWO.to_json()
    values["outputs"][0]["weight"] = 2
    with pytest.raises(ModelError, match="unknown: weight"):
        Task.from_json(values)


@pytest.mark.parametrize("threshold", [0, 1, -0.1, 1.5, float("nan"), float("inf"), True, "0.5", None])
def test_a_threshold_that_cannot_be_is_refused(threshold: object):
    with pytest.raises(ModelError, match="threshold of AF must lie between 0 and 1"):
        replace(AF, threshold=threshold)


@pytest.mark.parametrize(
    ("key", "value"), [("calibrated", "no"), ("single_ecg", 1), ("code", 3), ("snomed", 164889003)]
)
def test_values_of_another_kind_are_refused(key: str, value: object):
    with pytest.raises(ModelError, match=key):
        replace(AF, **{key: value})


@pytest.mark.parametrize("outputs", [(), (AF, AF)])
def test_outputs_must_be_there_and_differ(outputs: tuple[Output, ...]):
    with pytest.raises(ModelError, match="outputs whose codes differ"):
        Task("multi_label", outputs)


def test_another_kind_of_task_is_refused():
    with pytest.raises(ModelError, match="must be one of multi_label, regression, embedding, got 'multi_class'"):
        Task("multi_class", (AF,))


@given(logit=st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_probabilities_of_any_logit(logit: float):
    """Against the two forms that are exact on their side of zero; no overflow on either."""
    found = float(TWO.probabilities(np.array([logit], np.float32))[0])
    tail = np.exp(-abs(np.float64(logit)))
    assert found == pytest.approx(tail / (1 + tail) if logit < 0 else 1 / (1 + tail), rel=1e-12, abs=0)
    assert 0 <= found <= 1


def logit(p: float) -> float:
    return float(np.log(p / (1 - p)))


def test_one_window():
    found, compared = TWO.decode(np.array([[logit(0.4), 3.0]], np.float32), [(0.0, 10.0)], "net")
    assert found.code == "AF"
    assert found.snomed == "164889003"
    assert found.source == "net"
    assert found.present is True  # 0.4 reaches 0.3
    assert found.probability == pytest.approx(0.4, abs=1e-6)
    assert found.threshold == 0.3
    assert found.spans_s == ((0.0, 10.0),)
    assert found.evidence == f"probability 0.40, threshold 0.30; {UNCALIBRATED}"
    assert compared.present is None
    assert compared.spans_s == ()
    assert compared.evidence == "compares with an earlier ECG, which is not at hand"
    assert compared.probability is not None


def test_several_windows_are_averaged_and_the_highest_is_named():
    each = [0.1, 0.6, 0.5]
    logits = np.array([[logit(p), 0.0] for p in each])
    spans = [(0.0, 10.0), (10.0, 20.0), (14.0, 24.0)]
    found = TWO.decode(logits, spans, "net")[0]
    assert found.probability == pytest.approx(0.4, abs=1e-6)
    assert found.spans_s == (spans[1], spans[2])
    assert "mean of 3 windows, highest 0.60 at 10–20 s" in found.evidence
    absent = TWO.decode(logits - 2, spans, "net")[0]
    assert absent.present is False
    assert absent.spans_s == ()


def test_the_threshold_itself_is_present_and_a_calibrated_one_is_not_doubted():
    task = Task("multi_label", (Output("x", "X", "rhythm", 0.5, calibrated=True),))
    found = task.decode(np.zeros((1, 1)), [(0, 10)], "net")[0]
    assert found.present is True
    assert found.evidence == "probability 0.50, threshold 0.50"


@pytest.mark.parametrize("shape", [(1, 3), (2,), (1, 1)])
def test_another_number_of_logits_is_refused(shape: tuple[int, ...]):
    with pytest.raises(ModelError, match="the task has 2 outputs, got logits"):
        TWO.decode(np.zeros(shape), [(0, 10)], "net")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_logit_that_is_not_finite_is_never_a_probability(value: float):
    with pytest.raises(ModelError, match="not finite"):
        TWO.decode(np.array([[0.0, value]]), [(0, 10)], "net")
