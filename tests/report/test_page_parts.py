"""Parts of the page (lead names, waves, median beat, axes, whole recording, notes, findings) and the terminal."""

from __future__ import annotations

import re
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from cardioloom.records import (
    ECG,
    STANDARD_LEADS,
    Beats,
    Finding,
    LeadQuality,
    Measurement,
    Notice,
    Provenance,
    Quality,
    Report,
    Source,
    Study,
)
from cardioloom.report import marks, paper, text
from cardioloom.report.beat import ENLARGED, beat_of, signed, st_table, wheel_of
from cardioloom.report.day import day_of
from cardioloom.report.html import render
from cardioloom.report.statements import statements
from cardioloom.report.strip import strip_of
from cardioloom.report.words import clean, notes, warnings
from synthetic import ecg as synthetic

BEATS = tuple(
    {"p_on": t - 0.2, "p_off": t - 0.1, "qrs_on": t - 0.04, "qrs_off": t + 0.05, "t_on": t + 0.15, "t_off": t + 0.35}
    for t in np.arange(0.4, 10, 0.8).tolist()
)
HOSTILE = "a\x1b[31mred\x1b]0;title\x07\x9b2J\u202eback\u2066\x00\u2028b"


def report_of(ecg: ECG, **changes: Any) -> Report:
    parts: dict[str, Any] = {
        "quality": Quality(0.9, {lead: LeadQuality(0.9) for lead in ecg.leads}),
        "beats": Beats(np.arange(0.4, min(60.0, ecg.seconds), 0.8)),
        "measurements": {"heart_rate": Measurement(75.0, "bpm", 0.94, 12)},
        "provenance": Provenance("1.2.3", "2026-01-02T03:04:05+00:00", "none"),
    }
    return Report(study=Study(ecg), **{**parts, **changes})


def visible(html: str) -> str:
    body = re.sub(r"<(script|style).*?</\1>", " ", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


def printed(report: Report) -> str:
    out = StringIO()
    text.show(report, Console(file=out, width=100))
    return out.getvalue()


# ---- lead names ----


def crosses(cell: paper.Cell, points: np.ndarray) -> bool:
    """True where any of the trace's densely drawn points lies within the name's letters."""
    wide = marks.label_width(cell.label, derived=cell.derived)
    inside = (points[:, 0] >= cell.label_x) & (points[:, 0] <= cell.label_x + wide)
    high = (points[:, 1] <= -cell.label_rise) & (points[:, 1] >= -cell.label_rise - marks.LETTER_HEIGHT_MM)
    return bool((inside & high).any())


@pytest.mark.parametrize("shift", np.arange(0.0, 0.8, 0.05))
def test_no_trace_runs_through_a_lead_name_wherever_the_columns_cut_the_beat(shift):
    ecg = synthetic(bpm=75.0, noise_mv=0.0, seconds=11)
    ecg = ecg.window(round(shift * ecg.fs), round((shift + 10) * ecg.fs))
    strip = strip_of(ecg)
    sheet = paper.sheet(strip, paper.layouts(strip, {})[0])
    for cell in sheet.cells:
        first = round(cell.start * strip.fs)
        samples = strip.signal[cell.lead, first : first + round(cell.width / paper.SPEED * strip.fs)]
        dense = np.interp(np.arange(0, len(samples) - 1, 0.05), np.arange(len(samples)), samples)
        own = np.stack([np.arange(len(dense)) * 0.05 / strip.fs * paper.SPEED, -dense * strip.gain], axis=1)
        assert not crosses(cell, own), cell.label
        assert cell.label_rise + marks.LETTER_HEIGHT_MM <= cell.y


def test_a_name_moves_only_where_a_trace_is_in_its_way():
    flat = np.stack([np.linspace(0, 60, 600), np.zeros(600)], axis=1)
    assert marks.place_label([flat], wide=5, room=60, rise=6, reach=16) == (marks.LABEL_X_MM, 6.0)
    wall = flat.copy()
    wall[:, 1] = np.where(flat[:, 0] < 4, -7.0, 0.0)
    x, rise = marks.place_label([wall], wide=5, room=60, rise=6, reach=16)
    assert (x > 4) or (rise > 7)
    everywhere = [flat - [0.0, y] for y in np.arange(0, 30, 0.5)]
    assert marks.place_label(everywhere, wide=5, room=60, rise=6, reach=16)[1] >= 6.0


def test_names_are_drawn_over_the_traces():
    html = render(report_of(synthetic()))
    sheet = html[html.index('id="ecg-drawing"') : html.index('id="ecg-tools"')]
    assert sheet.rindex('class="trace"') < sheet.index('class="lead"')
    assert sheet.count('class="lead"') == 13


# ---- waves ----


def test_waves_are_drawn_without_the_script_and_told_apart_by_letters():
    html = render(report_of(synthetic(bpm=75.0), beats=Beats(np.arange(0.4, 10, 0.8), BEATS)))
    sheet = html[html.index('id="ecg-drawing"') : html.index('id="ecg-tools"')]
    for kind, letters in (("p", "P"), ("qrs", "QRS"), ("t", "T")):
        assert sheet.count(f'class="mark-{kind}"') >= 2 * len(BEATS)
        assert sheet.count(f">{letters}</text>") == len(BEATS) + 1  # the rhythm strip, and the legend
    assert '<input type="checkbox" name="waves" autocomplete="off">' in html  # off until asked for
    assert ":has(input[name=waves]:checked)" in html
    bare = render(report_of(synthetic()))
    assert 'name="waves"' not in bare
    assert '<g class="waves">' not in bare


def test_a_bracket_lies_at_its_wave_and_is_cut_at_the_edge_of_its_cell():
    beats = ({"p_on": 1.0, "p_off": 1.1, "qrs_on": 2.45, "qrs_off": 2.55, "t_on": 2.7, "t_off": float("nan")},)
    p, qrs = marks.waves_between(beats, 0.0, 2.5, speed=25.0)
    assert p.path == "M25 -2.5V4H27.5V-2.5"
    assert qrs.path.endswith("H62.5V-2.5")
    (rest,) = marks.waves_between(beats, 2.5, 5.0, speed=25.0)
    assert rest.path.startswith("M0 ")


# ---- median beat, ST, axes ----


def median_beat(leads: tuple[str, ...] = STANDARD_LEADS, fs: float = 500.0, mv: float = 1.0) -> dict[str, Any]:
    time = np.arange(-0.4, 0.7, 1 / fs)
    row = mv * np.maximum(0, 1 - np.abs(time) / 0.04)
    found = {"p_on": -0.2, "qrs_on": -0.04, "qrs_off": 0.05, "t_off": 0.4}
    return {"fs": fs, "r": round(0.4 * fs), "leads": {lead: row.tolist() for lead in leads}, "marks": found}


def test_median_beat_is_to_scale_and_its_marks_lie_at_their_times():
    sheet = beat_of(report_of(synthetic(), attachments={"median_beat": median_beat()}))
    assert sheet is not None
    assert [panel.label for panel in sheet.panels][:4] == ["I", "aVR", "V1", "V4"]
    panel = sheet.panels[0]
    drawn = np.array([[float(x), float(y)] for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", panel.trace)])
    peak = drawn[drawn[:, 1].argmin()]
    assert peak[1] == pytest.approx(-10.0 * ENLARGED)  # 1 mV at 10 mm/mV
    edges = [float(x) for x in re.findall(r"M([\d.]+) ", sheet.lines)[:4]]
    seconds = (np.array(edges) - panel.x - peak[0]) / (25.0 * ENLARGED)
    assert seconds == pytest.approx([-0.2, -0.04, 0.05, 0.4], abs=0.003)
    assert [letter for _, _, letter in sheet.letters[:4]] == ["P", "Q", "J", "T"]
    assert "a small square is 40 ms by 0.1 mV" in sheet.caption


@pytest.mark.parametrize("mv", [0.0, 1e-4, 3.0, 8.0, 500.0])
@pytest.mark.parametrize("leads", [STANDARD_LEADS, ("II",), ("I", "II", "V5"), (*STANDARD_LEADS, "X", "Y", "Z")])
def test_median_beat_fits_the_page_whatever_its_size(mv, leads):
    sheet = beat_of(report_of(synthetic(leads=leads), attachments={"median_beat": median_beat(leads, mv=mv)}))
    assert sheet is not None
    assert sheet.height <= 200
    assert sheet.width <= 240
    assert {panel.label for panel in sheet.panels} == set(leads)


def test_median_beat_of_nothing_is_absent():
    empty = median_beat() | {"leads": {"II": [float("nan")] * 100}}
    assert beat_of(report_of(synthetic(), attachments={"median_beat": empty})) is None
    assert beat_of(report_of(synthetic())) is None
    part = median_beat(("II", "V1")) | {"marks": {"p_on": float("nan"), "qrs_on": None, "t_off": 9.0}}
    sheet = beat_of(report_of(synthetic(), attachments={"median_beat": part}))
    assert sheet is not None
    assert sheet.lines == ""


def test_st_levels_are_signed_millivolts_in_the_usual_order():
    leads = {
        "V1": {"st_mv": {"j": -0.12, "j60": 0.001}},
        "I": {"waves": (), "st_mv": {"j": 0.1, "j60": 0.2, "j80": 0.3}},
    }
    report = report_of(synthetic(), beats=Beats(np.empty(0), (), leads | {"II": {"waves": ()}}))
    assert st_table(report) == [("I", ["+0.10", "+0.20", "+0.30"]), ("V1", ["−0.12", "0.00", "–"])]
    assert "ST level, mV (0.1 mV = 1 mm)" in visible(render(report))
    assert [signed(x) for x in (0.006, -0.004)] == ["+0.01", "0.00"]


@pytest.mark.parametrize(("degrees", "x", "y"), [(0, 1, 0), (90, 0, 1), (-90, 0, -1), (180, -1, 0), (45, 0.707, 0.707)])
def test_needles_point_as_the_hexaxial_circle_does(degrees, x, y):
    wheel = wheel_of({"qrs_axis": Measurement(degrees, "deg")})
    assert wheel is not None
    (needle,) = wheel.needles
    length = np.hypot(needle.x - wheel.size / 2, needle.y - wheel.size / 2)
    assert (needle.x - wheel.size / 2) / length == pytest.approx(x, abs=0.01)
    assert (needle.y - wheel.size / 2) / length == pytest.approx(y, abs=0.01)
    assert wheel_of({"qrs_axis": Measurement(1.0, "mV")}) is None


# ---- the whole recording ----


def block(start_s: float, **changes: Any) -> dict[str, Any]:
    usual = {"seconds": 60.0, "beats": 70, "rate": 70.0, "rate_min": 60.0, "rate_max": 80.0, "af": False}
    return {"start_s": start_s, **usual, "pvc": 1, "pac": 0, "pauses": 0, **changes}


def test_day_plot_and_table_say_the_same():
    blocks = [block(60.0 * k, af=120 <= k < 180, rate=None if k == 5 else 70.0) for k in range(1440)]
    blocks[7] |= {"rate_max": 140.0, "af": None, "pauses": 2}
    ecg = synthetic(seconds=20)
    ecg = ECG(ecg.samples, ecg.leads, ecg.fs, start=datetime(2024, 5, 1, 22, 30))
    report = report_of(ecg, attachments={"rhythm_blocks": blocks})
    day = day_of(report)
    assert day is not None
    assert day.line.count("M") == 2  # the block without a rate leaves a gap
    assert [row[0] for row in day.rows[:3]] == ["22:30", "23:30", "00:30"]
    assert day.rows[-1] == ("Whole", "100,800", "70", "60", "140", "4 %", "1,440", "0", "2")
    assert day.rows[2][5] == "100 %"
    assert [lane.said for lane in day.lanes] == ["4 %", "max 60", "none", "max 2"]
    assert [tick.text for tick in day.x_ticks][:2] == ["00:00", "02:00"]
    page = visible(render(report))
    assert "counts per hour" in page
    assert "Heart rate, beat by beat" not in page


@pytest.mark.parametrize("n", [1, 11, 60, 3000, 20_000])
def test_day_plot_of_any_length_has_few_rows_and_ticks(n):
    none = {"rate": None, "rate_min": None, "rate_max": None, "beats": 0, "af": None}
    for changes in ({}, none):
        report = report_of(synthetic(), attachments={"rhythm_blocks": [block(60.0 * k, **changes) for k in range(n)]})
        day = day_of(report)
        assert day is not None
        assert len(day.rows) <= 25
        assert 2 <= len(day.x_ticks) <= 13
        paths = (day.line, day.band, *(lane.path + lane.unknown for lane in day.lanes))
        assert not re.search("nan|inf", "".join(paths))
        assert not re.search(r"\b(nan|None|inf)\b", visible(render(report)))
    assert day_of(report_of(synthetic(), attachments={"rhythm_blocks": []})) is None


# ---- notes and warnings ----


def test_notes_of_the_reader_are_not_warnings_and_each_is_said_once():
    quality = Quality(0.9, {}, (Notice("lead_quality", "leads with problems: V2 noisy"),))
    said = ("a further waveform was left out", "leads with problems: V2 noisy", "a further waveform was left out")
    report = report_of(synthetic(), quality=quality, warnings=said)
    assert warnings(report) == ["Leads with problems: V2 noisy."]
    assert notes(report) == ["A further waveform was left out."]
    html = render(report)
    alarmed = re.findall(r'<ul class="warnings">.*?</ul>', html, re.DOTALL)
    assert len(alarmed) == 1
    assert "further waveform" not in alarmed[0]
    assert visible(html).count("further waveform") == 1
    assert visible(html).count("V2 noisy") == 1
    lines = printed(report)
    assert "! Leads with problems" in lines
    assert "· A further waveform" in lines
    assert text.line("x", report).plain.endswith("1 warning")


# ---- findings ----

FINDINGS = (
    Finding("LVH", "left ventricular hypertrophy", False, "Sokolow 1949", "2.6 mV"),
    Finding(
        "PVC", "premature ventricular complex", True, "S", "3 wide beats", spans_s=tuple((k, k + 1) for k in range(9))
    ),
    Finding("RVH", "right ventricular hypertrophy", None, "S", "V3R is not recorded"),
    Finding("RVI", "right ventricular infarction", None, "S", "V3R is not recorded"),
)


def test_findings_that_are_present_come_first_and_the_rest_is_folded():
    report = report_of(synthetic(), findings=FINDINGS)
    found = statements(report)
    assert [entry["name"] for entry in found.present] == ["Premature ventricular complex"]
    assert [(why, len(entries)) for why, entries in found.unjudged] == [("V3R is not recorded", 2)]
    page = visible(render(report))
    assert "Premature ventricular complex PVC : 3 wide beats (at 0.0–1.0 s" in page
    assert "and 3 more" in page
    assert "1 statement was tried and not found" in page
    assert "2 statements not judgeable, and why" in page
    assert page.index("Premature ventricular") < page.index("Right ventricular") < page.index("Left ventricular")
    lines = printed(report)
    assert "Premature ventricular complex: 3 wide beats" in lines
    assert "4 statements tried: 1 not found, 2 not judgeable" in lines
    nothing = visible(render(report_of(synthetic(), findings=FINDINGS[:1])))
    assert "None of the statements that were tried (1) was found." in nothing


# ---- terminal and control characters ----


def hostile_report() -> Report:
    ecg = synthetic(leads=("I", "II"))
    ecg = ECG(
        ecg.samples,
        (HOSTILE, "II"),
        ecg.fs,
        device=HOSTILE,
        stated=(HOSTILE,),
        source=Source(Path(f"{HOSTILE}.hea"), HOSTILE),
    )
    return report_of(
        ecg,
        quality=Quality(0.4, {HOSTILE: LeadQuality(0.1, (HOSTILE,))}, (Notice("x", HOSTILE),)),
        warnings=(HOSTILE + "note",),
        measurements={HOSTILE: Measurement(1.0, HOSTILE)},
        findings=(Finding(HOSTILE, HOSTILE, True, HOSTILE, HOSTILE, spans_s=((0.0, 1.0),)),),
    )


@pytest.mark.parametrize("show", [printed, render], ids=["terminal", "page"])
def test_no_control_character_reaches_the_terminal_or_the_page(show):
    shown = show(hostile_report())
    assert "red" in shown
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]", shown)
    assert not re.search(r"\\u(001b|202e|2066|009b)", shown)


@given(st.text(st.characters(exclude_categories=())))
def test_clean_text_can_be_encoded_and_is_clean_already(any_text):
    cleaned = clean(any_text)
    assert cleaned.encode().decode() == cleaned
    assert clean(cleaned) == cleaned
    assert "\n" not in cleaned
    assert clean("Müller Ω 心 é") == "Müller Ω 心 é"


def test_terminal_words_match_the_page():
    ecg = synthetic(leads=("II",), fs=100.0, seconds=20.0)
    long = ECG(np.broadcast_to(ecg.signal[:, :1], (1, 8_640_000)), ("II",), 100.0)
    report = report_of(
        long, measurements={"rmssd": Measurement(20.0, "ms"), "heart_rate": Measurement(61.0, "bpm", 0.94, 9)}
    )
    lines = printed(report)
    assert "24 h 0 min" in lines
    assert re.search(r"61 bpm\s+0\.9\s+9", lines)
    assert lines.index("Heart rate") < lines.index("RMSSD")
    assert lines.count("Not a diagnosis.") == 1
    page = visible(render(report))
    assert "First 60 s of 24 h 0 min shown." in page
    assert "± 0.9 (n = 9)" in page
