"""The model that the package ships: whole, small, marked, answering only where it is named, and no worse than said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file

torch = pytest.importorskip("torch")

from cardioloom.app.cli import run  # noqa: E402
from cardioloom.models import Model, installed, ptacl  # noqa: E402
from cardioloom.simulator import draw, ecg  # noqa: E402

pytestmark = pytest.mark.xdist_group(name="onnx")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "models" / f"{ptacl.SHIPPED}.md"
LARGEST_BYTES = 8_000_000
NAME = ptacl.SHIPPED
CODES = ["LVEDV", "LVESV", "LVSV", "LVEF", "LVCO", "LVM", "RVEDV", "RVESV", "RVSV", "RVEF"]


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(installed.VARIABLE, str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def person() -> str:
    """A person's ECG of 12 leads that pydicom brings along."""
    path = get_testdata_file("waveform_ecg.dcm", download=False)
    assert path is not None
    return str(path)


def test_it_is_small_and_every_installation_has_it():
    folder = installed.folder_of(NAME)
    assert installed.shipped() == installed.names() == (NAME,)
    assert folder == installed.SHIPPED / NAME
    assert sum(path.stat().st_size for path in folder.iterdir()) <= LARGEST_BYTES


def test_its_card_says_whose_hearts_it_knows():
    contract = Model.from_pretrained(NAME).contract
    card = contract.card
    assert "simulated" in card.trained_on
    assert card.licence == "Apache-2.0"
    assert card.limits == ptacl.LIMITS
    assert [output.code for output in contract.task.outputs] == CODES
    assert [row["value"] for row in card.numbers if row["metric"] == "R²"]
    assert all("simulated patients" in row["on"] for row in card.numbers)


def test_its_page_is_of_these_weights():
    contract, text = Model.from_pretrained(NAME).contract, PAGE.read_text(encoding="utf-8")
    for said in (contract.card.title, contract.card.trained_on, *contract.card.limits):
        assert said in text
    rows = {row[0]: row for line in text.splitlines() if (row := [cell.strip() for cell in line.split("|")[1:-1]])}
    figures = {row["on"].partition(",")[0]: row["value"] for row in contract.card.numbers}
    for output in contract.task.outputs:
        _, unit, r2, _, _, _, width, *_ = rows[f"{output.name} ({output.code})"]
        assert (unit, float(r2)) == (output.unit, figures[output.code])
        assert float(width) == pytest.approx(output.half_width, abs=0.051)


def test_of_a_person_it_is_asked_only_by_name_and_the_report_marks_it(
    person: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    plain, asked, page = tmp_path / "plain.json", tmp_path / "asked.json", tmp_path / "page.html"
    assert run(["read", person, "--json", str(plain)]) == 0
    unasked = json.loads(plain.read_text())
    assert unasked["estimates"] == unasked["provenance"]["models"] == []
    assert run(["read", person, "--model", NAME, "--json", str(asked), "--html", str(page)]) == 0
    capsys.readouterr()
    report = json.loads(asked.read_text())
    assert [row["code"] for row in report["estimates"]] == CODES
    assert all("simulated" in row["trained_on"] for row in report["estimates"])
    assert "this report holds estimates of models trained on" in page.read_text()
    assert run(["read", person, "--model", NAME]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"{NAME}, trained on" in shown
    assert "simulated" in shown


def test_it_knows_simulated_hearts_that_it_has_not_seen():
    """Of another seed than it learned from: the numbers go with the truth, and the intervals hold about as promised."""
    hearts = [draw(977, patient) for patient in range(120)]
    model = Model.from_pretrained(NAME)
    estimates = [{said.code: said for said in model.predict(ecg(heart)).estimates} for heart in hearts]
    held = []
    for code, column in (("LVEDV", "lv_edv_ml"), ("LVM", "lv_mass_g")):
        truth = np.array([getattr(heart, column) for heart in hearts])
        said = [row[code] for row in estimates]
        assert np.corrcoef(truth, [estimate.value for estimate in said])[0, 1] > 0.3
        low, high = np.array([estimate.interval for estimate in said]).T
        held.append(np.mean((low <= truth) & (truth <= high)))
    assert 0.8 <= np.mean(held) <= 0.98


def test_the_doctor_replays_it_on_every_runtime(capsys: pytest.CaptureFixture[str]):
    assert run(["doctor", "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)["models"]
    assert [model["name"] for model in found] == [NAME] * len(found)
    assert all(model["healthy"] and "simulated" in model["trained_on"] for model in found)
