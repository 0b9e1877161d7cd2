"""The full-size nets: the recipe's goldens, and an official-layout checkpoint from file to answer.

One function a net, because building and converting 31 million parameters is what takes the time.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import cardioloom
from cardioloom.models import Model, adding, ecgfounder, installed
from cardioloom.models.contract import file_sha256
from cardioloom.nn.conv import Net1D
from cardioloom.prepare import prepare
from cardioloom.records import ECG, STANDARD_LEADS
from models import recipe
from nn.plain_net1d import net1d

READ = 1e-4  # from file to features, against the plain net on the golden's own preparation


def furthest(found: tuple, expected: tuple) -> float:
    pairs = [(np.asarray(a, np.float64), np.asarray(b, np.float64)) for a, b in zip(found, expected, strict=True)]
    assert all(a.shape == b.shape for a, b in pairs)
    return max(float(np.abs(a - b).max()) for a, b in pairs)


def check_recipe(shared: Path, leads: int) -> dict[str, torch.Tensor]:
    """The closed-form weights give the golden outputs, in float32 and in float64; the state is returned."""
    state, inputs, golden = recipe.full_size(shared, leads)
    with torch.device("meta"):
        net = Net1D(in_channels=leads, **ecgfounder.CONFIG).eval()
    assert list(net.state_dict()) == list(state)
    net.load_state_dict(state, strict=True, assign=True)
    within = recipe.tolerance(shared, f"full_{leads}lead_recipe_open.npz")
    assert within < 1e-4
    with torch.inference_mode():
        x = torch.from_numpy(inputs)
        assert furthest(net(x), (golden["logits"], golden["features"])) <= within
        assert furthest(net1d(state, {"in_channels": leads, **ecgfounder.CONFIG}, x), net(x)) <= within
        exact = net.double()(x[:1].double())
    assert furthest(exact, (golden["logits_f64"][:1], golden["features_f64"][:1])) <= 1e-8
    return {name: value.float() if value.is_floating_point() else value for name, value in state.items()}


def plain(state: dict[str, torch.Tensor], windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and mean features of the plain net."""
    config = {"in_channels": windows.shape[1], **ecgfounder.CONFIG}
    with torch.inference_mode():
        logits, features = net1d(state, config, torch.from_numpy(windows))
    return 1 / (1 + np.exp(-logits.double().numpy())), features.double().mean(0).numpy()


def check_answer(model: Model, ecg: ECG, expected: tuple[np.ndarray, np.ndarray]) -> None:
    prediction = model.predict(ecg)
    assert prediction.abstained is None
    assert furthest((prediction.probabilities, prediction.features), expected) < READ
    assert prediction.features.shape == (1024,)
    assert [finding.code for finding in prediction.findings] == [output.code for output in ecgfounder.task().outputs]
    told = [finding.probability for finding in prediction.findings]
    np.testing.assert_allclose(told, expected[0].mean(0), atol=READ)
    assert float(np.ptp(expected[0])) > 0.05  # the answers are not all one number


def golden_record(shared: Path) -> tuple[ECG, dict[str, np.ndarray]]:
    """A real record that was prepared by the official code, from its file; and the golden arrays."""
    with np.load(shared / "golden" / "ecgfounder" / "prep_cpsc2018_A1980_500hz_open.npz") as file:
        golden = dict(file)
    ecg = cardioloom.load(shared / "data" / "ecg" / "cpsc2018_struct" / "A1980.mat")
    assert isinstance(ecg, ECG)
    np.testing.assert_allclose(ecg.signal, golden["signal_mv"], atol=1e-6)
    return ecg, golden


def real(shared: Path) -> ECG:
    """The first ten seconds of 15 leads at 1000 Hz, in counts."""
    ecg = cardioloom.load(shared / "data" / "ecg" / "ptb_diagnostic" / "s0010_re.hea")
    assert isinstance(ecg, ECG)
    return ecg.window(0, 10_000)


def test_twelve_leads_from_checkpoint_to_answer(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    state = check_recipe(shared, 12)
    monkeypatch.setenv(installed.VARIABLE, str(tmp_path / "cache"))
    path = tmp_path / ecgfounder.CHECKPOINTS["ecgfounder-12l"]
    notes = {"epoch": 3, "best": np.float64(0.93)}
    torch.save({**notes, "state_dict": {f"module.{name}": value for name, value in state.items()}}, path)
    adding.add("ecgfounder-12l", path, sha256=file_sha256(path))
    path.unlink()
    model = Model.from_pretrained("ecgfounder-12l")
    assert model.deviations["logits"] < 1e-5

    ecg, golden = golden_record(shared)
    check_answer(model, ecg, plain(state, golden["dataset_py_network_input_no_lead_reorder"][None]))
    check_answer(model, ecg.select(STANDARD_LEADS[::-1]), plain(state, golden["zscore_of_filter_fs500"][None]))

    other = real(shared)
    check_answer(model, other, plain(state, prepare(other, model.contract.preparation).windows))


def test_one_lead_from_checkpoint_to_answer(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    state = check_recipe(shared, 1)
    monkeypatch.setenv(installed.VARIABLE, str(tmp_path / "cache"))
    path = tmp_path / ecgfounder.CHECKPOINTS["ecgfounder-1l"]
    torch.save(state, path)
    adding.add("ecgfounder-1l", path)
    path.unlink()
    model = Model.from_pretrained("ecgfounder-1l")

    ecg, golden = golden_record(shared)
    check_answer(model, ecg, plain(state, golden["lead1_network_input"][None]))
    other = real(shared)
    check_answer(model, other, plain(state, prepare(other, model.contract.preparation).windows))
