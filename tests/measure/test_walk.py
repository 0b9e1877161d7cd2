"""The whole entry: waves, statements and summaries over recordings of any length."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardioloom import measure
from cardioloom.measure import summary
from cardioloom.measure.delineation import MARKS, delineate
from cardioloom.prepare.beats import r_peaks
from cardioloom.records import ECG, Finding, Measurement
from synthetic import beat_train, ecg


def test_a_short_record_has_waves_of_every_beat_and_lead():
    measured = measure.ecg(ecg(bpm=72), age=50, sex="M")
    assert len(measured.beats.waves) == len(measured.beats.r_peaks_s) == 12
    inner = measured.beats.waves[1:-1]
    assert all(set(beat) == set(MARKS) for beat in inner)
    for beat in inner:
        times = [beat[mark] for mark in ("p_on", "p_peak", "p_off", "qrs_on", "qrs_off", "t_peak", "t_off")]
        assert times == sorted(times)
    assert set(measured.beats.leads) == set(ecg().leads)
    assert set(measured.beats.leads["V5"]["st_mv"]) >= {"j", "j60"}
    assert measured.measurements["heart_rate"].value == pytest.approx(72, abs=0.5)
    assert {"NSR"} <= {finding.code for finding in measured.findings if finding.present}


def test_marks_from_outside_are_taken():
    record = ecg()
    peaks = r_peaks(record.signal, record.fs)
    own = delineate(record.signal, peaks, record.fs)
    shifted = {mark: values + 5 for mark, values in own.over_leads.items()}
    marks = type(own)(own.r_peaks, {m: v + 5 for m, v in own.by_lead.items()}, shifted, own.usable)
    measured = measure.ecg(record, marks)
    plain = measure.ecg(record)
    difference = measured.beats.waves[3]["t_peak"] - plain.beats.waves[3]["t_peak"]
    assert difference == pytest.approx(5 / record.fs, abs=1e-3)


def test_a_long_record_is_summarised():
    record = ecg(seconds=660, fs=250, leads=("I", "II", "V5"), bpm=80)
    seen = []
    measured = measure.ecg(record, tick=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1.0)
    assert measured.beats.waves == ()
    assert any(row.what == "waves" for row in measured.abstained)
    blocks = measured.attachments["rhythm_blocks"]
    assert sum(block["beats"] for block in blocks) == len(measured.beats.r_peaks_s)
    assert sum(block["seconds"] for block in blocks) == pytest.approx(660, abs=0.1)
    assert all(block["rate"] == pytest.approx(80, abs=1) for block in blocks)
    assert measured.measurements["heart_rate"].value == pytest.approx(80, abs=0.2)
    assert measured.measurements["qrs_duration"].n > 800


@given(st.lists(st.tuples(st.floats(1, 500), st.floats(0, 50), st.integers(1, 99)), min_size=1, max_size=6))
def test_joined_measurements_equal_the_definition(parts: list[tuple[float, float, int]]):
    whole = summary.whole([{"x": Measurement(mean, "ms", sd, n)} for mean, sd, n in parts])["x"]
    n = np.array([part[2] for part in parts], float)
    mean = (np.array([part[0] for part in parts]) * n).sum() / n.sum()
    square = sum(k * (sd**2 + m**2) for m, sd, k in parts) / n.sum()
    assert whole.value == pytest.approx(mean)
    assert whole.sd == pytest.approx(np.sqrt(max(square - mean**2, 0)), abs=1e-3)
    assert whole.n == n.sum()


def test_angles_are_joined_as_directions():
    parts = [{"a": Measurement(angle, "deg", 1.0, 1)} for angle in (179.0, -179.0)]
    assert abs(summary.whole(parts)["a"].value) == pytest.approx(180)


def test_statements_over_blocks():
    def finding(present: bool | None, *spans: tuple[float, float]) -> tuple[Finding, ...]:
        return (Finding("PVC", "premature ventricular beat", present, "criteria", "early and wide", spans_s=spans),)

    def whole(*minutes: tuple[Finding, ...]) -> Finding:
        tallies: dict[str, summary.Tally] = {}
        for minute, findings in enumerate(minutes):
            summary.tally(tallies, 60.0 * minute, findings)
        return tallies["PVC"].whole()

    joined = whole(finding(False), finding(True, (1.0, 2.0)), finding(None))
    assert joined.present is True
    assert joined.spans_s == ((61.0, 62.0),)
    assert "1 of 3" in joined.evidence
    assert whole(finding(False), finding(None)).present is False
    assert whole(finding(None), finding(None)).present is None


def with_silence(begin: float, end: float) -> ECG:
    """660 s at 75 a minute, three leads, no beat between two times."""
    peaks = np.concatenate([np.arange(0.4, begin + 0.01, 0.8), np.arange(end, 659.5, 0.8)])
    base = beat_train(peaks, 660, 250)
    noise = 0.005 * np.random.default_rng(0).standard_normal((3, len(base)))
    return ECG((np.outer((0.7, 1.0, 1.1), base) + noise).astype(np.float32), ("I", "II", "V5"), 250.0)


@pytest.mark.parametrize(
    ("begin", "end"),
    [(58.8, 61.5), (56.4, 62.3), (40.4, 190.3)],
    ids=["a pause in neither part", "in both", "whole parts"],
)
def test_a_pause_across_parts_is_one_pause(begin: float, end: float):
    """The walk goes minute by minute."""
    measured = measure.ecg(with_silence(begin, end))
    pause = next(finding for finding in measured.findings if finding.code == "PAUSE")
    assert pause.present is True
    assert f"pause of {end - begin:.1f} s" in pause.evidence
    ((first, last),) = pause.spans_s
    assert (first, last) == pytest.approx((begin, end), abs=0.02)
    blocks = measured.attachments["rhythm_blocks"]
    assert [block["pauses"] for block in blocks] == [1, *[0] * 10]


def test_the_end_of_a_part_is_no_pause_where_nothing_was_recorded():
    record = with_silence(56.4, 62.3)
    signal = record.signal.copy()
    signal[:, 57 * 250 : 62 * 250] = np.nan
    measured = measure.ecg(replace(record, samples=signal))
    pause = next(finding for finding in measured.findings if finding.code == "PAUSE")
    assert pause.present is False
    assert "the longest interval without a QRS is 0." in pause.evidence
    assert not any(block["pauses"] for block in measured.attachments["rhythm_blocks"])


@pytest.mark.slow
def test_what_a_long_recording_keeps_is_small():
    """Beats, quality by windows and a row of the rhythm summary a minute: below 2 MB an hour of three leads."""
    import tracemalloc

    record = ecg(seconds=1800, fs=250, leads=("I", "II", "V5"), bpm=80)
    measure.ecg(record.window(0, 30000))
    kept: dict[float, int] = {}
    tracemalloc.start()
    try:
        measure.ecg(record, tick=lambda share: kept.update({share: tracemalloc.get_traced_memory()[0]}))
    finally:
        tracemalloc.stop()
    shares = sorted(kept)
    assert kept[shares[-1]] - kept[shares[0]] < 1e6
