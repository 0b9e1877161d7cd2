"""Patients with a similar ECG on the page, on the terminal and in the JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from cardioloom.records import (
    Beats,
    LeadQuality,
    Measurement,
    Neighbour,
    Neighbours,
    Provenance,
    Quality,
    Report,
    Spread,
    Study,
)
from cardioloom.report import neighbours as similar
from cardioloom.report import text
from cardioloom.report.html import render
from cardioloom.report.json import dumps
from pages import Page
from synthetic import ecg

EF = Spread(
    "lv_ef", "share", (0.5, 0.61, 0.7), 0.61, (0.555, 0.655), 90, 0.58, 0.2, 0.8, (10, 20, 40, 20),
    "LVEF", "LV ejection fraction",
)  # fmt: skip
MASS = Spread("lv_mass_g", "g", (90.0, 120.0), 105.0, (97.5, 112.5), 90, 99.0, 50.0, 240.0, (60, 30), "LVM", "LV mass")
FOUND = Neighbours(
    index="index.parquet",
    studies=90,
    made_of="88 simulated patients (phantom/1, population hospital)",
    is_simulated=True,
    is_exact=True,
    model="small",
    model_sha256="ab" * 32,
    nearest=(
        Neighbour("s1", 0.98765, "p1", 61.4, "F", {"lv_ef": 0.5, "lv_mass_g": 90.0, "rhythm": "sinus"}),
        Neighbour("s2", 0.9, None, None, None, {"lv_ef": 0.61}),
        Neighbour("s3", -0.1, "p3", 40.0, "M", {"lv_ef": 0.7, "lv_mass_g": 120.0}),
    ),
    spreads=(EF, MASS),
    trained_on="700 simulated patients.",
    warnings=("no signal in V2, which small needs.",),
    notes=("resampled from 500 to 100 Hz (for small).",),
    is_in_index=True,
)


def report_of(found: Neighbours | None) -> Report:
    record = ecg(seconds=5)
    return Report(
        study=Study(record),
        quality=Quality(0.9, {lead: LeadQuality(0.9) for lead in record.leads}),
        beats=Beats(np.arange(0.4, 5, 0.8)),
        measurements={"heart_rate": Measurement(75.0, "bpm", 0.94, 12)},
        provenance=Provenance("1.2.3", "2026-01-02T03:04:05+00:00", "none"),
        neighbours=found,
    )


def printed(found: Neighbours, width: int) -> str:
    console = Console(file=StringIO(), width=width)
    console.print(text.neighbours(found, width))
    file = console.file
    assert isinstance(file, StringIO)
    return " ".join(file.getvalue().split())


def test_the_page_names_each_patient_and_what_they_have_in_the_middle():
    page = Page(render(report_of(FOUND)))
    for words in (
        "Patients with a similar ECG",
        "The 3 studies whose ECGs are most like this one in index.parquet (88 simulated patients (phantom/1, "
        "population hospital); 90 studies, all compared), by the features of small. These are simulated patients: no "
        "persons. The model was trained on 700 simulated patients.",
        "This recording is probably in the index itself: the most similar study has its features. Name its patient "
        "with --patient to leave all studies of that patient out.",
        "no signal in V2, which small needs.",
        "resampled from 500 to 100 Hz (for small).",
        "LV ejection fraction 61 % 56 to 66 index 58",
        "LV mass (2 of 3 known) 105 g 98 to 112 index 99",
        "1 s1 0.988 61 F 50 90",
        "2 s2 0.900 – – 61 –",
        "3 s3 −0.100 40 M 70 120",
    ):
        assert words in page.text
    plots = [tag for tag in page.named("svg") if str(tag.get("aria-label", "")).startswith("LV")]
    assert plots[0]["aria-label"] == "LV ejection fraction, %: median 61, quartiles 56 to 66; median of the index 58"
    assert "Patients with a similar ECG" not in render(report_of(None))


def test_persons_are_not_called_simulated():
    real = replace(
        FOUND, is_simulated=False, is_exact=False, made_of="88 patients of a register", spreads=(), trained_on=""
    )
    page = Page(render(report_of(real)))
    assert "(88 patients of a register; 90 studies, searched approximately)" in page.text
    assert "The index holds no numbers of their hearts." in page.text
    assert "simulated" not in page.text


def test_whose_the_recording_is():
    def told(n: int | None) -> str:
        return printed(replace(FOUND, left_out=n), 130)

    assert "left out" not in printed(replace(FOUND, is_in_index=False), 130)
    assert "2 studies of the patient are left out." in told(2)
    assert "1 study of the patient is left out." in told(1)
    assert "with --patient" not in told(0)
    assert "! no signal in V2, which small needs. · resampled from 500 to 100 Hz (for small)." in told(None)


def test_names_from_an_index_are_escaped():
    nasty = "<script>alert(1)</script>\u202e\x1b[31m"
    told = replace(FOUND, trained_on=nasty, warnings=(nasty,), notes=(nasty,))
    one = replace(told, index=nasty, made_of=nasty, model=nasty, nearest=(Neighbour(nasty, 1.0, nasty, 1.0, "F"),))
    html = render(report_of(replace(one, spreads=(replace(EF, name=nasty, code=nasty, title=nasty),))))
    assert "<script>alert" not in html
    assert "\u202e" not in html
    Page(html)
    assert "\x1b[31m" not in printed(one, 130)


@pytest.mark.parametrize("width", [140, 80])
def test_the_terminal(width: int):
    shown = printed(FOUND, width)
    assert "LV ejection fraction 61 % 56 to 66 58" in shown
    assert "1 s1 0.988 61 F 50 90" in shown
    many = replace(FOUND, spreads=(EF,) * similar.N_FACTS + (MASS,))
    assert ("LVM g" in printed(many, width)) == (width >= text.WIDE)


def test_json_leaves_out_what_is_not_known(tmp_path: Path):
    said = json.loads(dumps(report_of(FOUND)))["neighbours"]
    assert said["patients"][1] == {"rank": 2, "study_id": "s2", "cosine": 0.9, "facts": {"lv_ef": 0.61}}
    assert said["patients"][0]["facts"]["rhythm"] == "sinus"
    assert said["index"]["trained_on"] == "700 simulated patients."
    assert said["recording"] == {
        "in_index": True,
        "warnings": ["no signal in V2, which small needs."],
        "notes": ["resampled from 500 to 100 Hz (for small)."],
    }
    assert said["phenotypes"][0] == {
        "name": "lv_ef",
        "code": "LVEF",
        "title": "LV ejection fraction",
        "unit": "share",
        "n": 3,
        "median": 0.61,
        "quartiles": [0.555, 0.655],
        "index": {"n": 90, "median": 0.58, "low": 0.2, "high": 0.8, "counts": [10, 20, 40, 20]},
    }
    assert "neighbours" not in json.loads(dumps(report_of(None)))


def test_names_and_units_of_columns():
    def own(name: str, unit: str, code: str = "", title: str = "") -> tuple[str, str, str]:
        spread = replace(MASS, name=name, unit=unit, code=code, title=title)
        return similar.name_of(spread), similar.abbreviation(spread), similar.unit(spread)

    assert own("lv_ef", "share", "LVEF", "LV ejection fraction") == ("LV ejection fraction", "LVEF", "%")
    assert own("a - b", "ml", "RVSV", "RV stroke volume") == ("RV stroke volume", "RVSV", "ml")
    assert own("heart_rate_bpm", "bpm") == ("Heart rate", "Heart rate", "bpm")
    assert own("charge_af", "") == ("Charge AF", "Charge AF", "")


@given(
    values=st.lists(st.floats(0, 1), min_size=1, max_size=40),
    low=st.floats(-5, 0),
    high=st.floats(1, 5),
    counts=st.lists(st.integers(0, 50), min_size=1, max_size=30),
)
def test_all_of_a_drawing_is_within_it(values: list[float], low: float, high: float, counts: list[int]):
    first, median, third = np.percentile(values, (25, 50, 75)).tolist()
    one = Spread("x", "", tuple(values), median, (first, third), sum(counts), median, low, high, tuple(counts))
    (plot,) = similar.section(replace(FOUND, spreads=(one,))).plots
    assert len(plot.dots) == len(values)
    at = [x for x, _ in plot.dots] + [plot.median_at, plot.index_at, *plot.box]
    assert all(0 <= x <= plot.width for x in at)
    assert all(plot.base < y < plot.height for _, y in plot.dots)
    heights = [float(step.partition("H")[0]) for step in plot.area.split("V")[1:-1]]
    assert len(heights) == len(counts)
    assert min(heights) >= 0
    assert heights.index(min(heights)) == counts.index(max(counts))


def test_dots_that_would_touch_lie_on_other_levels():
    close = replace(EF, values=(0.5, 0.5, 0.501, 0.7))
    (plot,) = similar.section(replace(FOUND, spreads=(close,))).plots
    assert [y for _, y in plot.dots] == [*similar.DOT_LEVELS, similar.DOT_LEVELS[0]]


def test_one_value_for_all():
    same = replace(
        EF, values=(0.5,), median=0.5, quartiles=(0.5, 0.5), median_index=0.5, low=0.5, high=0.5, counts=(0, 9)
    )
    Page(render(report_of(replace(FOUND, nearest=FOUND.nearest[:1], spreads=(same,)))))
    assert "The study whose ECG is most like this one" in printed(replace(FOUND, nearest=FOUND.nearest[:1]), 130)
