"""The report on a terminal: what models estimate."""

from __future__ import annotations

from typing import Any

import numpy as np
from rich.console import Console

from cardioloom.records import ECG, STANDARD_LEADS, Beats, Estimate, LeadQuality, Provenance, Quality, Report, Study
from cardioloom.report.text import render

TRAINED_ON = "36 simulated patients (phantom/1, population hospital)"


def shown(*estimates: Estimate) -> str:
    """The text of a report with these estimates."""
    ecg = ECG(np.zeros((12, 1000), np.float32), STANDARD_LEADS, 500.0)
    quality = Quality(0.9, dict.fromkeys(STANDARD_LEADS, LeadQuality(0.9)))
    report = Report(Study(ecg), quality, Beats(), {}, Provenance("1", "2020-01-01", "p"), estimates=estimates)
    console = Console(width=120, color_system=None)
    with console.capture() as capture:
        console.print(render(report))
    return " ".join(capture.get().split())


def estimate(**changes: Any) -> Estimate:
    values = {"code": "age", "name": "Age", "value": 61.234, "unit": "years", "interval": (48.0, 74.5)}
    return Estimate(**(values | {"coverage": 0.9, "model": "ours", "trained_on": TRAINED_ON} | changes))


def test_an_estimate_has_value_unit_interval_coverage_model_and_training():
    text = shown(estimate())
    assert f"ours, trained on {TRAINED_ON}" in text
    assert "Age 61.2 years (90 % interval 48.0 to 74.5)" in text


def test_units_have_their_digits_and_signs():
    text = shown(estimate(name="QRS axis", value=-30.4, unit="deg", interval=(-60.2, 1.0), coverage=0.95))
    assert "QRS axis −30° (95 % interval −60 to 1)" in text


def test_a_model_is_named_once_for_its_estimates():
    text = shown(estimate(), estimate(code="ef", name="EF"), estimate(model="theirs", code="ef"))
    assert (text.count("ours, trained on"), text.count("theirs, trained on")) == (1, 1)
    assert text.index("Age") < text.index("EF") < text.index("theirs")


def test_without_estimates_nothing_is_said():
    assert "trained on" not in shown()


def test_control_characters_of_a_model_do_not_reach_the_terminal():
    assert "\x1b" not in shown(estimate(name="A\x1b[31mge", model="\x1b]0;x\x07", unit="\x9b"))
