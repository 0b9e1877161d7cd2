"""Models on the command line: weights, doctor, read --model, embed; with good and with bad input."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

import small_net
from cardioloom import api
from cardioloom.app.cli import run
from cardioloom.errors import ModelError, UsageError
from cardioloom.models import Model, adding
from cardioloom.models.contract import CONTRACT, WEIGHTS
from synthetic import ecg, write_wfdb


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache; the only known model is the small one."""
    monkeypatch.setenv("CARDIOLOOM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(adding, "KNOWN", {"small": small_net.contract})
    return tmp_path / "cache"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "small.pth"
    torch.save({"state_dict": small_net.state(small_net.contract())}, path)
    return path


@pytest.fixture
def installed(cache: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert run(["weights", "add", "small", str(checkpoint)]) == 0
    capsys.readouterr()
    return cache / "models" / "small"


@pytest.fixture
def nothing_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package without models of its own: what it ships is tested in tests/models/test_shipped.py."""
    monkeypatch.setattr("cardioloom.models.installed.SHIPPED", tmp_path / "shipped")


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return write_wfdb(tmp_path / "a.hea", ecg(fs=100.0, seconds=10))


def test_weights_from_nothing_to_a_model(cache: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["weights", "list"]) == 0
    shown = capsys.readouterr().out
    assert "not installed" in shown
    assert "Models lie in" in shown
    assert run(["weights", "show", "small"]) == 0
    assert "not installed" in capsys.readouterr().out
    assert run(["weights", "add", "small", str(checkpoint)]) == 0
    shown = capsys.readouterr().out
    assert "takes: I, II, III, aVR, aVL, aVF, V1, V2, V3, V4, V5, V6 in mV at 100 Hz, windows of 2 s" in shown
    assert "gives: 3 outputs, 0 of their thresholds calibrated" in shown
    assert sorted(path.name for path in (cache / "models" / "small").iterdir()) == [
        "golden.safetensors",
        "model.json",
        "weights.safetensors",
    ]
    assert {row["name"]: row["installed"] for row in api.weights("list")["models"]} == {
        "small": True,
        "ptacl-phantom": True,
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["frob"], "frob"),
        (["add", "small"], "weights add needs name and file, got no file"),
        (["list", "small"], "weights list takes no name, got small"),
        (["show", "other"], "no model is called 'other'"),
        (["add", "other", "x.pth"], "no model is called 'other'"),
        (["show", "small", "--sha256", "00"], "--sha256 and --revision belong to add and fetch"),
    ],
)
def test_wrong_calls_exit_2(arguments: list[str], words: str, cache: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["weights", *arguments]) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert len(said.err.splitlines()) == 1
    assert not cache.exists()


def test_a_refused_checkpoint_exits_1_and_leaves_nothing(
    cache: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
):
    checkpoint.write_bytes(checkpoint.read_bytes()[:-200])
    assert run(["weights", "add", "small", str(checkpoint)]) == 1
    assert "nothing was written" in capsys.readouterr().err
    assert not list(cache.rglob("*.safetensors"))


def test_read_asks_the_model(installed: Path, record: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    page = tmp_path / "page.html"
    assert run(["read", str(record), "--json", "-", "--html", str(page), "--model", "small"]) == 0
    report = json.loads(capsys.readouterr().out)
    said = {row["code"]: row for row in report["findings"] if row["source"] == "small"}
    model = Model.from_pretrained("small")
    prediction = model.predict(api.load(record))
    assert {code: row["probability"] for code, row in said.items()} == {
        finding.code: finding.probability for finding in prediction.findings
    }
    assert all(row["threshold"] == 0.5 and "not calibrated" in row["evidence"] for row in said.values())
    (stated,) = report["provenance"]["models"]
    assert stated["sha256"] == model.sha256
    assert stated["trained_on"] == "numbers without a patient"
    assert stated["thresholds"] == "thresholds not calibrated"
    text = page.read_text()
    assert "Labels of a model trained on numbers without a patient; thresholds not calibrated." in text
    assert run(["read", str(record), "--model", "small"]) == 0
    shown = capsys.readouterr().out
    assert "small, trained on numbers without a patient" in shown
    assert "46 statements tried" in shown  # the model's labels are not counted among the criteria


def test_read_lists_why_a_model_abstains(installed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    short = write_wfdb(tmp_path / "two.hea", ecg(fs=100.0, seconds=10, leads=("I", "II")))
    assert run(["read", str(short), "--json", "-", "--model", "small"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert not [row for row in report["findings"] if row["source"] == "small"]
    (why,) = [row["why"] for row in report["abstained"] if row["what"] == "small"]
    assert why.startswith("leads V1, V2, V3, V4, V5, V6 are needed and cannot be derived")


def test_read_with_an_unknown_model_is_a_wrong_call(cache: Path, record: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["read", str(record), "--model", "nothing"]) == 2
    assert "no model is called 'nothing' (installed: ptacl-phantom)" in capsys.readouterr().err


def test_doctor_replays_every_model(nothing_shipped: None, installed: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["doctor", "--json", "-"]) == 0
    models = json.loads(capsys.readouterr().out)["models"]
    assert {model["runtime"] for model in models} == {"torch", "onnxruntime"}
    for model in models:
        assert model["healthy"]
        assert 0 <= model["largest_deviation"] <= 1e-5
        assert model["ecg_per_s"] > 0
        assert model["licence"] == "none"
    assert run(["doctor"]) == 0
    assert "golden pair within" in " ".join(capsys.readouterr().out.split())


def test_without_the_models_extra_doctor_answers_and_weights_say_the_cure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.delenv("CARDIOLOOM_CACHE", raising=False)
    monkeypatch.setitem(sys.modules, "platformdirs", None)
    assert run(["doctor", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["models"] == []
    assert run(["weights", "list"]) == 1
    assert "pip install 'cardioloom[models]', or set CARDIOLOOM_CACHE" in capsys.readouterr().err


def test_doctor_exits_1_where_a_model_is_refused(
    nothing_shipped: None, installed: Path, capsys: pytest.CaptureFixture[str]
):
    contract = installed / CONTRACT
    contract.write_text(contract.read_text().replace('"threshold": 0.5', '"threshold": 0.4', 1))
    assert run(["doctor", "--json", "-"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["healthy"]
    assert all("is not the one its golden pair was made for" in model["problem"] for model in found["models"])
    (installed / WEIGHTS).write_bytes((installed / WEIGHTS).read_bytes()[:-4] + b"\0\0\0\0")
    assert run(["doctor"]) == 1
    assert "REFUSED" in capsys.readouterr().out


def test_embed_writes_what_the_model_says(
    installed: Path, record: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "features.parquet"
    assert run(["embed", "small", str(record), str(out)]) == 0
    assert "1 embedded in" in capsys.readouterr().err
    (row,) = pq.read_table(out).to_pylist()
    np.testing.assert_allclose(row["embedding"], Model.from_pretrained("small").embed(api.load(record)), atol=1e-6)
    assert run(["embed", "small", str(record), str(out)]) == 2
    assert "exists: name another file" in capsys.readouterr().err
    assert run(["embed", "small", str(record), str(tmp_path / "missing.hea"), str(tmp_path / "b.parquet")]) == 1
    assert "missing.hea" in capsys.readouterr().err


def test_export_writes_a_file_that_holds_its_contract(
    installed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(["weights", "export", "small", str(tmp_path / "small.onnx")]) == 0
    assert "wrote" in capsys.readouterr().out
    import onnx

    held = {entry.key: entry.value for entry in onnx.load(tmp_path / "small.onnx").metadata_props}
    assert any('"preparation"' in value for value in held.values())
    assert run(["weights", "export", "small", str(tmp_path / "small.bin")]) == 2
    with pytest.raises(UsageError, match=r"\.onnx"):
        api.weights("export", "small", tmp_path / "small.bin")


def test_a_model_that_breaks_its_contract_costs_only_its_part(
    installed: Path, record: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def broken(self: Model, *_: object, **__: object) -> None:
        raise ModelError(f"{self.name} gave values that are not finite: do not use it on this record")

    monkeypatch.setattr(Model, "predict", broken)
    assert run(["read", str(record), "--json", "-", "--model", "small"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["measurements"]["heart_rate"]
    assert {"what": "small", "why": "small gave values that are not finite: do not use it on this record"} in report[
        "abstained"
    ]


def test_a_lead_without_a_signal_is_a_warning(installed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    whole = ecg(fs=100.0, seconds=10)
    signal = whole.signal.copy()
    signal[whole.leads.index("V4")] = 0.0
    path = write_wfdb(tmp_path / "flat.hea", replace(whole, samples=signal))
    assert run(["read", str(path), "--json", "-", "--model", "small"]) == 0
    warned = {row["code"]: row["text"] for row in json.loads(capsys.readouterr().out)["quality"]["warnings"]}
    assert warned["empty_lead"] == "no signal in V4, which small needs."
