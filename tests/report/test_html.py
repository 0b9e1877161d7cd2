"""The HTML page: it renders whatever a report may hold, loads nothing, escapes everything, and draws to scale."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardioloom.records import (
    ECG,
    STANDARD_LEADS,
    Abstention,
    Beats,
    Estimate,
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
from cardioloom.report import marks, paper
from cardioloom.report.html import render
from cardioloom.report.ranges import label, normal_range
from cardioloom.report.strip import embedded, extremes, strip_of
from cardioloom.report.trend import trend_of
from cardioloom.report.words import duration, number, quantity, spread
from pages import Page

FRANK = ("vx", "vy", "vz")


def beat_train(n_leads: int, fs: float, seconds: float) -> np.ndarray:
    """A narrow 1 mV triangle every second, of another height in each lead."""
    t = np.arange(round(fs * seconds)) / fs
    beat = np.maximum(0, 1 - np.abs((t % 1.0) - 0.5) / 0.04)
    return np.outer(1.0 + 0.1 * np.arange(n_leads), beat).astype(np.float32)


def report_of(ecg: ECG, **changes: Any) -> Report:
    peaks = np.arange(0.5, min(ecg.seconds, 60), 1.0)
    base = Report(
        study=Study(ecg, {"age": 62.0, "sex": "F"}),
        quality=Quality(0.93, {lead: LeadQuality(0.97) for lead in ecg.leads}),
        beats=Beats(peaks),
        measurements={"heart_rate": Measurement(112.0, "bpm", 1.2, 9), "odd_index_v2": Measurement(0.0123, "mV/s")},
        provenance=Provenance("9.8.7", "2026-01-02T03:04:05+00:00", "none", sha256="ab" * 32),
        abstained=(Abstention("pr_interval", "no delineation in this version"),),
    )
    return replace(base, **changes)


def ecg_of(leads: tuple[str, ...], fs: float = 500.0, seconds: float = 10.0, **facts: Any) -> ECG:
    return ECG(beat_train(len(leads), fs, seconds), leads, fs, **facts)


def data_of(text: str) -> dict[str, Any]:
    match = re.search(r'<script type="application/json" id="ecg-data">(.*?)</script>', text, re.DOTALL)
    assert match
    return json.loads(match[1])


def samples_of(data: Mapping[str, Any], lead: int) -> np.ndarray:
    counts = np.frombuffer(base64.b64decode(data["samples"][lead]), "<i2").astype(np.float64)
    return np.where(counts == data["missing"], np.nan, counts * data["step"])


def points(path: str) -> np.ndarray:
    return np.array([[float(x), float(y)] for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path)])


def checked(report: Report) -> Page:
    text = render(report)
    page = Page(text)
    assert not re.search(r"https?:|(?:src|href)\s*=\s*[\"']?//|@import|url\((?!#)", text)
    assert not re.search(r"\b(nan|None|inf)\b", page.text)
    assert not re.search(r"\bnan\b|\binf\b", " ".join(v or "" for _, a in page.tags for k, v in a.items() if k == "d"))
    return page


EVERYTHING = {
    "findings": (
        Finding("AF", "atrial fibrillation", True, "criteria", "irregular RR", 0.83, 0.5, ((1.0, 3.5),), "164889003"),
        Finding("LVH", "left ventricular hypertrophy", None, "criteria", "V6 is flat"),
        Finding("PVC", "premature beat", False, "criteria"),
    ),
    "estimates": (
        Estimate("LVEF", "ejection fraction", 43.0, "%", (34.0, 52.0), 0.9, "small-model", "simulated patients"),
    ),
    "warnings": ("the unit is not stated: mV was given",),
    "gaps_s": 1.25,
    "beats": Beats(np.arange(0.5, 10, 1.0), ({"p_on": 0.3, "p_off": 0.4, "qrs_on": 0.46, "qrs_off": 0.54},)),
}


@pytest.mark.parametrize("changes", [{}, EVERYTHING], ids=["plain", "everything"])
@pytest.mark.parametrize(
    ("leads", "fs", "seconds"),
    [
        (STANDARD_LEADS, 500.0, 10.0),
        ((*STANDARD_LEADS, *FRANK), 1000.0, 10.0),
        (("II",), 250.0, 10.0),
        (("I", "II", "V5"), 100.0, 10.0),
        (STANDARD_LEADS, 100.0, 10.0),
        (STANDARD_LEADS, 2000.0, 10.0),
        (STANDARD_LEADS, 500.0, 2.0),
        (STANDARD_LEADS, 500.0, 60.0),
        (("II",), 128.0, 0.05),
        (tuple(f"E{k}" for k in range(40)), 250.0, 3.0),
    ],
)
def test_every_shape_of_recording_becomes_a_whole_page(leads, fs, seconds, changes):
    page = checked(report_of(ecg_of(leads, fs, seconds), **changes))
    assert "Not a diagnosis. For research use; to be read by a qualified person." in page.text.replace("  ", " ")
    assert all(lead in page.text for lead in leads[:12])
    assert "PR interval no delineation in this version" in page.text


def test_sections_say_what_the_report_says():
    page = checked(report_of(ecg_of(STANDARD_LEADS), **EVERYTHING))
    for words in (
        "112",
        "▲ above",
        "± 1 (n = 9)",
        "60–100",
        "Odd index v2",
        "0.0123",
        "62 years, female",
        "1.25 s not recorded",
        "The unit is not stated: mV was given.",
        "0.83 (threshold 0.50)",
        "SNOMED CT 164889003",
        "not judgeable",
        "34 to 52",
        "trained on simulated patients",
        "cardioloom.report/1",
        "9.8.7",
        "ab" * 32,
    ):
        assert words in page.text, words
    bare = checked(report_of(ecg_of(STANDARD_LEADS), measurements={}))
    assert "No statements were tried in this version." in bare.text
    assert "Nothing could be measured" in bare.text
    assert "trained on" not in bare.text


def test_page_forbids_every_outside_resource():
    page = checked(report_of(ecg_of(("II",))))
    policy = [a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"]
    assert not [tag for tag, _ in page.tags if tag in ("link", "img", "iframe", "object", "base")]
    assert not [a for _, a in page.tags if any(name.startswith("on") for name in a)]


EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'{{7*7}}"


def test_whatever_a_file_says_is_escaped():
    quality = Quality(0.5, {EVIL: LeadQuality(0.4, (EVIL,))}, (Notice("x", EVIL),))
    evil = ecg_of(
        (EVIL, "II"),
        device=EVIL,
        source=Source(Path("a<b>.hea"), EVIL),
        stated=(EVIL,),
        measured={EVIL: 1.0},
        start=datetime(2020, 1, 2, 3, 4, 5),
    )
    report = report_of(
        evil,
        quality=quality,
        measurements={EVIL: Measurement(1.0, EVIL)},
        findings=(Finding(EVIL, EVIL, True, EVIL, EVIL, spans_s=((0.0, 1.0),)),),
        estimates=(Estimate(EVIL, EVIL, 1.0, EVIL, (0.0, 2.0), 0.9, EVIL, EVIL),),
        warnings=(EVIL,),
        abstained=(Abstention(EVIL, EVIL),),
        provenance=Provenance(EVIL, EVIL, EVIL, ({"name": EVIL, "sha256": EVIL},), EVIL),
    )
    page = checked(report)
    assert [tag for tag, _ in page.tags].count("script") == 2
    assert not [tag for tag, _ in page.tags if tag in ("img", "b>.hea")]
    assert data_of(render(report))["leads"] == ["II", EVIL]
    assert EVIL in "".join(page.words)


def test_ten_seconds_of_twelve_leads_stay_below_one_megabyte():
    rng = np.random.default_rng(1)
    noisy = beat_train(12, 500, 10) + rng.normal(0, 0.05, (12, 5000))
    assert len(render(report_of(ECG(noisy, STANDARD_LEADS, 500.0))).encode()) < 1_000_000
    minute = ECG(np.tile(noisy, 6), STANDARD_LEADS, 500.0)
    assert len(render(report_of(minute)).encode()) < 2_000_000


def test_one_millivolt_at_one_second_lies_ten_mm_up_and_25_mm_right():
    signal = np.zeros(5000)
    signal[500] = 1.0
    drawn = points(paper.trace(signal, 500.0, gain=10.0))
    assert drawn[np.argmin(drawn[:, 1])].tolist() == [25.0, -10.0]
    assert drawn[0].tolist() == [0.0, 0.0]
    faster = points(paper.trace(signal, 500.0, gain=20.0, speed=50.0))
    assert faster[np.argmin(faster[:, 1])].tolist() == [50.0, -20.0]


def test_columns_follow_each_other_in_time_on_the_default_sheet():
    signal = np.zeros((12, 5000))
    for k, t in enumerate((1.0, 1.5, 2.0)):
        signal[k, round(500 * t)] = 1.0  # I, II, III lie in column 0
    signal[STANDARD_LEADS.index("V4"), 4000] = 1.0  # 8 s: 0.5 s into the fourth column
    strip = strip_of(ECG(signal, STANDARD_LEADS, 500.0))
    sheet = paper.sheet(strip, paper.layouts(strip, {})[0])
    names = [cell.label for cell in sheet.cells]
    assert names == ["I", "aVR", "V1", "V4", "II", "aVL", "V2", "V5", "III", "aVF", "V3", "V6", "II"]
    peak = {cell.label: points(cell.trace)[:, 1].argmin() for cell in sheet.cells}
    by_name = {cell.label: points(cell.trace)[peak[cell.label]].tolist() for cell in sheet.cells}
    assert by_name["I"] == [25.0, -10.0]
    assert by_name["V4"] == [12.5, -10.0]
    columns = [cell.x for cell in sheet.cells[:4]]
    assert np.diff(columns).tolist() == [62.5, 62.5, 62.5]
    assert all(cell.width == 250.0 for cell in sheet.cells if cell.y == sheet.cells[-1].y)
    assert re.search(r"h1v-10h5v10h1", sheet.calibration)
    assert sheet.calibration.count("M") == 4


def test_every_sheet_fits_a4_and_letter_in_landscape():
    for leads in (STANDARD_LEADS, (*STANDARD_LEADS, *FRANK), ("II",)):
        strip = strip_of(ECG(5 * beat_train(len(leads), 500, 10), leads, 500.0))
        for layout in paper.layouts(strip, {}):
            sheet = paper.sheet(strip, layout)
            assert sheet.width <= 279 - 16
            assert sheet.height <= 210 - 16 - 16


def test_short_recording_starts_every_column_at_zero():
    strip = strip_of(ecg_of(STANDARD_LEADS, seconds=2.0))
    sheet = paper.sheet(strip, paper.layouts(strip, {})[0])
    assert {cell.start for cell in sheet.cells} == {0.0}
    assert all(len(points(cell.trace)) > 900 for cell in sheet.cells)
    assert "each column starts at 0 s" in render(report_of(ecg_of(STANDARD_LEADS, seconds=2.0)))


def test_gap_breaks_the_path_and_is_hatched():
    ecg = ecg_of(("II",))
    signal = ecg.signal.copy()
    signal[0, 1000:1500] = np.nan
    strip = strip_of(replace(ecg, samples=signal))
    path = paper.trace(strip.signal[0], 500.0, gain=10.0)
    assert path.count("M") == 2
    xs = points(path)[:, 0]
    assert not ((xs >= 50) & (xs < 75)).any()
    assert paper.gaps(strip.signal[0], 500.0) == ((50.0, 25.0),)
    page = checked(report_of(replace(ecg, samples=signal)))
    assert "not recorded" in page.text
    assert np.isnan(samples_of(data_of(render(report_of(replace(ecg, samples=signal)))), 0)[1000:1500]).all()


@pytest.mark.parametrize("value", [0.0, np.nan, 7.5])
def test_flat_and_empty_recordings_render(value):
    ecg = ECG(np.full((12, 5000), value, np.float32), STANDARD_LEADS, 500.0)
    page = checked(report_of(ecg, beats=Beats(), measurements={}))
    assert ("Constant offset removed" in page.text) == (value == 7.5)
    assert ("not recorded" in page.text) == bool(np.isnan(value))


def test_implausible_amplitude_is_drawn_small_and_said():
    ecg = ECG(1000 * beat_train(12, 500, 10), STANDARD_LEADS, 500.0)
    strip = strip_of(ecg)
    assert strip.gain < 0.1
    assert strip.gain * strip.up.max() <= 20
    page = checked(report_of(ecg))
    assert f"drawn at gain {strip.gain:g} mm/mV instead of 10" in page.text
    assert strip_of(ECG(3 * beat_train(12, 500, 10), STANDARD_LEADS, 500.0)).gain == 10.0
    back = samples_of(data_of(render(report_of(ecg))), 0)
    assert back.max() == pytest.approx(1000.0, abs=0.1)


def test_leads_are_put_in_standard_order_and_derived_ones_marked():
    leads = ("V6", "II", "X", "I")
    page = checked(report_of(ecg_of(leads, derived=("II",))))
    data = data_of(render(report_of(ecg_of(leads, derived=("II",)))))
    assert data["leads"] == ["I", "II", "V6", "X"]
    assert "II , derived" in page.text
    assert samples_of(data, 3).max() == pytest.approx(1.2, abs=1e-3)


def test_rhythm_strip_leaves_a_bad_lead_two():
    strip = strip_of(ecg_of(STANDARD_LEADS))
    assert paper.layouts(strip, {})[0].rows[-1] == (1,)
    scores = dict.fromkeys(STANDARD_LEADS, 0.9) | {"II": 0.2, "V1": 0.95}
    assert paper.layouts(strip, scores)[0].rows[-1] == (STANDARD_LEADS.index("V1"),)
    fifteen = strip_of(ecg_of((*STANDARD_LEADS, *FRANK)))
    assert [layout.code for layout in paper.layouts(fifteen, {})] == ["rows", "3x4", "6x2"]


def test_long_recording_shows_its_first_minute_and_says_so():
    ecg = ecg_of(("I", "II"), fs=250.0, seconds=90.0)
    text = render(report_of(ecg))
    assert "First 60 s of 90 s shown." in text
    assert len(samples_of(data_of(text), 0)) == 15_000


def test_embedded_samples_are_the_signal():
    rng = np.random.default_rng(0)
    ecg = ECG(rng.normal(0, 0.5, (12, 5000)), STANDARD_LEADS, 500.0)
    data = data_of(render(report_of(ecg)))
    assert data["fs"] == 500.0
    worst = max(np.abs(samples_of(data, k) - ecg.signal[k]).max() for k in range(12))
    assert worst <= 0.0003


def test_thinned_samples_keep_every_peak():
    signal = np.zeros((16, 60_000), np.float32)
    at = np.random.default_rng(2).choice(59_000, 40, replace=False)
    signal[:, at] = 2.0
    data: dict[str, Any] = embedded(strip_of(ECG(signal, tuple(f"E{k}" for k in range(16)), 1000.0)))
    back = samples_of(data, 3)
    times = np.flatnonzero(back > 1.9) / data["fs"]
    assert len(back) < 30_000
    assert all(np.abs(times - t / 1000).min() < 0.01 for t in at)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.one_of(st.just(np.nan), st.floats(-5, 5, width=32)), min_size=1, max_size=300),
    st.integers(1, 40),
)
def test_extremes_lose_neither_peaks_nor_gaps(values, bucket):
    samples = np.array(values, np.float32)
    kept = extremes(samples, bucket)
    assert (np.diff(kept) > 0).all()
    assert kept[0] == 0
    assert kept[-1] == len(samples) - 1
    assert set(np.flatnonzero(np.isnan(samples))) <= set(kept.tolist())
    for start in range(0, len(samples), bucket):
        block = samples[start : start + bucket]
        if not np.isnan(block).all():
            inside = samples[kept[(kept >= start) & (kept < start + bucket)]]
            assert np.nanmax(inside) == np.nanmax(block)
            assert np.nanmin(inside) == np.nanmin(block)


def test_trend_of_few_many_and_interrupted_beats():
    assert trend_of(np.array([0.5, 1.5])) is None
    few = trend_of(np.array([0.0, 1.0, 2.0, 7.0, 8.0]))
    assert few is not None
    assert few.line.count("M") == 2  # the 5 s pause is not joined
    assert "1,000 to 5,000 ms" in few.caption
    rng = np.random.default_rng(3)
    day = trend_of(np.cumsum(rng.uniform(0.6, 1.2, 100_000)))
    assert day is not None
    assert day.x_label == "time, h"
    assert len(day.line) < 10_000
    xs = points(few.line)
    assert xs[:, 0].max() <= few.width
    assert xs[:, 1].max() <= few.height


def test_ranges_depend_on_sex_and_unit_and_spare_children():
    assert normal_range("heart_rate", unit="bpm") is not None
    assert normal_range("heart_rate", unit="bpm", age=3.0) is None
    assert normal_range("heart_rate", unit="Hz") is None
    assert normal_range("odd_index", unit="ms") is None
    highs = [normal_range("qtc_bazett", unit="ms", sex=sex) for sex in ("M", "F", None)]
    assert [r.high for r in highs if r] == [450, 460, 460]
    assert highs[0] is not None
    assert [highs[0].place(ms) for ms in (349, 350, 450, 451)] == ["below", "within", "within", "above"]


def test_numbers_and_durations_in_words():
    assert number(-12.0, 0) == "−12"
    assert number(-0.001, 1) == "0.0"
    assert number(float("nan")) == "–"
    assert number(1234.5678) == "1,235"
    assert number(0.012345) == "0.0123"
    assert duration(9.998) == "9.998 s"
    assert duration(3725) == "1 h 2 min 5 s"
    assert duration(86_400) == "24 h 0 min"
    assert duration(600) == "10 min"
    assert quantity(75.0, "ms") == "75 ms"
    assert quantity(-52.0, "deg") == "−52°"
    assert [label(name) for name in ("qtc", "qtc_hodges", "rmssd")] == ["QTc", "QTc (Hodges)", "RMSSD"]
    spreads = [spread(Measurement(60.0, unit, sd)) for unit, sd in (("bpm", 0.94), ("ms", 14.9), ("mV", 0.014))]
    assert spreads == ["± 0.9", "± 15", "± 0.01"]
    assert spread(Measurement(60.0, "bpm")) == ""


def test_script_and_server_share_the_measures_of_the_sheet():
    """The page's script and its first drawing share constants; a changed one must change in both."""
    script = Path(paper.__file__).with_name("templates").joinpath("report.js").read_text("utf-8")
    constants = {name: float(value) for name, value in re.findall(r"\b([A-Z_]+) = ([\d.]+)", script)}
    assert constants["PAPER"] == paper.PAPER_MM
    assert constants["MARGIN"] == paper.MARGIN_MM
    assert constants["SHEET"] == paper.MAX_SHEET_MM
    assert (constants["LABEL_RISE"], constants["LABEL_TOP"]) == (paper.LABEL_RISE_MM, paper.LABEL_TOP_MM)
    for script_name, name in (
        ("LETTER", "LETTER_MM"),
        ("LETTER_HEIGHT", "LETTER_HEIGHT_MM"),
        ("CLEAR", "CLEAR_MM"),
        ("LABEL_X", "LABEL_X_MM"),
        ("LABEL_SHIFTS", "LABEL_SHIFTS"),
        ("SHIFT", "SHIFT_MM"),
        ("LABEL_ROOM", "LABEL_ROOM_MM"),
        ("BRACKET_UP", "BRACKET_UP_MM"),
        ("BRACKET_DOWN", "BRACKET_DOWN_MM"),
    ):
        assert constants[script_name] == getattr(marks, name), name


def test_real_recording_renders(shared):
    import pydicom

    file = shared / "data/formats/dicom_waveform_pydicom/waveform_ecg.dcm"
    dataset = pydicom.dcmread(file)
    signal = dataset.waveform_array(0).T / 1000.0  # µV
    ecg = ECG(signal, STANDARD_LEADS, 1000.0, source=Source(file, "dicom"))
    page = checked(report_of(ecg))
    assert "waveform_ecg.dcm" in page.text
    data = data_of(render(report_of(ecg)))
    assert np.abs(samples_of(data, 1) - ecg.signal[1]).max() <= 0.0003
