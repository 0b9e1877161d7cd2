"""Marks of the waves: against a known truth, against LUDB's experts, and where there is nothing to mark."""

from __future__ import annotations

import csv
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardioloom.measure.delineation import MARKS, delineate
from cardioloom.prepare.beats import r_peaks
from cardioloom.readers import read
from cardioloom.records import ECG, STANDARD_LEADS
from synthetic import beat_train, ecg


def marked(record: ECG):
    return delineate(record.signal, r_peaks(record.signal, record.fs), record.fs)


def ordered(marks) -> None:
    """Within a beat and lead the marks that are there come in the order of the waves."""
    stack = np.stack([marks.by_lead[name] for name in MARKS])
    for column in stack.reshape(len(MARKS), -1).T:
        # A peak of a lead's QRS may lie on its bounds; all else is strictly later.
        assert (np.diff(column[np.isfinite(column)]) >= 0).all()


@pytest.mark.parametrize("fs", [100.0, 250.0, 500.0, 1000.0, 2000.0])
@pytest.mark.parametrize("bpm", [45.0, 72.0, 110.0])
def test_synthetic_waves_are_found_where_they_are(fs: float, bpm: float) -> None:
    record = ecg(fs=fs, bpm=bpm)
    truth = np.arange(30.0 / bpm, 10.0, 60.0 / bpm)
    marks = delineate(record.signal, np.round(truth * fs).astype(int), fs)
    inner = slice(1, -1)
    # Peaks of the Gaussians; onsets and ends between 1.3 and 3.5 of their widths from the centre.
    for wave, centre, width in (("p", -0.16, 0.022), ("t", 0.25, 0.045)):
        peak = marks.over_leads[f"{wave}_peak"][inner] / fs - truth[inner] - centre
        assert np.abs(peak).max() < 0.015
        onset = marks.over_leads[f"{wave}_on"][inner] / fs - truth[inner] - centre
        end = marks.over_leads[f"{wave}_off"][inner] / fs - truth[inner] - centre
        assert (onset < -1.3 * width).all()
        assert (onset > -3.5 * width - 2 / fs).all()
        assert (end > 1.3 * width).all()
        assert (end < 3.5 * width + 2 / fs).all()
    assert (marks.over_leads["qrs_on"][inner] / fs - truth[inner] < -0.025).all()  # before the peak of Q
    assert (marks.over_leads["qrs_off"][inner] / fs - truth[inner] > 0.04).all()
    ordered(marks)


def test_a_p_wave_that_is_not_there_is_not_invented() -> None:
    rng = np.random.default_rng(3)
    peaks = np.cumsum(rng.uniform(0.5, 1.0, 14))
    time = np.arange(round(12 * 500.0)) / 500.0
    signal = np.zeros((12, len(time)))
    for row, gain in enumerate(rng.uniform(0.5, 1.2, 12)):
        for peak in peaks[peaks < 11.5]:
            for amplitude, centre, width in ((1.2, 0.0, 0.010), (-0.25, 0.028, 0.009), (0.3, 0.25, 0.045)):
                signal[row] += gain * amplitude * np.exp(-0.5 * ((time - peak - centre) / width) ** 2)
    # Fibrillation: waves of 5 to 8 Hz that keep no time with the QRS, as high as P waves.
    for frequency in (5.1, 6.3, 7.7):
        signal += 0.04 * np.sin(2 * np.pi * frequency * time + rng.uniform(0, 6, (12, 1)))
    marks = marked(ECG(signal.astype(np.float32), STANDARD_LEADS, 500.0))
    assert np.isnan(marks.over_leads["p_on"]).all()
    assert np.isfinite(marks.over_leads["t_off"]).mean() > 0.6


def test_flat_and_missing_leads_get_no_mark() -> None:
    record = ecg()
    signal = record.signal.copy()
    signal[2] = 0.0
    signal[7] = np.nan
    signal[4, 2000:3000] = np.nan
    marks = marked(ECG(signal, record.leads, record.fs))
    assert marks.usable.tolist() == [lead not in (2, 7) for lead in range(12)]
    for values in marks.by_lead.values():
        assert np.isnan(values[:, [2, 7]]).all()
        assert not ((values[:, 4] >= 2000) & (values[:, 4] < 3000)).any()
    assert np.isfinite(marks.over_leads["qrs_on"]).all()


@pytest.mark.parametrize("leads", [("II",), ("I", "II", "V1"), (*STANDARD_LEADS, "X", "Y", "Z")])
def test_one_three_and_fifteen_leads(leads: tuple[str, ...]) -> None:
    marks = marked(ecg(leads=leads))
    for name in ("qrs_on", "qrs_off", "t_off"):
        assert np.isfinite(marks.over_leads[name][1:-1]).all()
        assert marks.by_lead[name].shape == (len(marks.r_peaks), len(leads))


@pytest.mark.parametrize(("bpm", "seconds"), [(250.0, 10.0), (25.0, 20.0), (30.0, 4.0)])
def test_extreme_rates_and_two_beats(bpm: float, seconds: float) -> None:
    marks = marked(ecg(bpm=bpm, seconds=seconds))
    assert len(marks.r_peaks) == pytest.approx(seconds * bpm / 60, abs=1.5)
    assert np.isfinite(marks.over_leads["qrs_on"]).sum() >= len(marks.r_peaks) - 1
    ordered(marks)


def test_pacing_spikes_do_not_move_the_onset() -> None:
    record = ecg(noise_mv=0.002)
    plain = marked(record)
    paced = record.signal.copy()
    for peak in plain.r_peaks:
        at = peak - 28  # 56 ms before R, as a ventricular spike; small in three leads
        paced[:, at : at + 2] += np.where(np.arange(12) < 9, 2.5, 0.2)[:, None].astype(np.float32)
    marks = delineate(paced, plain.r_peaks, record.fs)
    assert np.abs(marks.over_leads["qrs_on"] - plain.over_leads["qrs_on"]).max() <= 3  # 6 ms
    assert np.abs(marks.by_lead["qrs_on"] - plain.by_lead["qrs_on"]).max() <= 6


@pytest.mark.parametrize("seed", [0, 1, 8])
def test_the_next_qrs_is_no_part_of_the_usual_t_wave(seed: int) -> None:
    """Intervals of 0.5 and 1.0 s in any order: the stretch after a long beat holds a QRS after a short one."""
    intervals = np.where(np.random.default_rng(seed).random(16) < 0.5, 0.5, 1.0)
    peaks = 0.6 + np.cumsum(np.concatenate([[0], intervals]))
    base = beat_train(peaks, peaks[-1] + 0.7, 500.0)
    signal = (np.linspace(0.6, 1.3, 12)[:, None] * base).astype(np.float32)
    marks = delineate(signal, np.round(peaks * 500).astype(int), 500.0)
    end = marks.over_leads["t_off"][:-1] / 500 - peaks[:-1]
    # A T wave that the early beat cuts off has no end.
    assert np.isfinite(end[intervals > 0.9]).all()
    assert np.nanmax(end) < 0.38


def test_a_wave_after_the_usual_time_is_not_taken_for_a_low_t() -> None:
    """T of 0.1 mV at 0.25 s and a wave as high 0.5 s after R, at 75 bpm: a U wave, or another P."""
    peaks, time = np.arange(0.6, 9.8, 0.8), np.arange(5000) / 500.0
    base = beat_train(peaks, 10.0, 500.0)
    for peak in peaks:
        base -= 0.2 * np.exp(-0.5 * ((time - peak - 0.25) / 0.045) ** 2)
        base += 0.1 * np.exp(-0.5 * ((time - peak - 0.5) / 0.025) ** 2)
    signal = (np.linspace(0.6, 1.3, 12)[:, None] * base).astype(np.float32)
    marks = delineate(signal, np.round(peaks * 500).astype(int), 500.0)
    end = marks.over_leads["t_off"][:-1] / 500 - peaks[:-1]
    assert ((end > 0.3) & (end < 0.4)).all()


@pytest.mark.parametrize("kind", ["noise", "silence", "empty"])
def test_nothing_to_mark_raises_nothing(kind: str) -> None:
    rng = np.random.default_rng(0)
    signal = rng.standard_normal((12, 5000)) if kind == "noise" else np.zeros((12, 5000))
    peaks = np.arange(200, 4900, 170) if kind == "noise" else np.empty(0, int) if kind == "empty" else np.array([2500])
    marks = delineate(signal, peaks, 500.0)
    for values in marks.by_lead.values():
        assert values.shape == (len(peaks), 12)
    if kind != "noise":
        assert np.isnan(marks.over_leads["qrs_on"]).all()
    else:  # what looks different at every beat is no P wave
        assert np.isfinite(marks.over_leads["p_on"]).mean() < 0.2


@settings(max_examples=25)
@given(
    st.integers(1, 4),
    st.floats(100, 1000),
    st.lists(st.floats(0.15, 3.0), min_size=0, max_size=12),
    st.integers(0, 2**32 - 1),
)
def test_any_signal_and_beats_give_marks_inside(n_leads: int, fs: float, gaps: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    peaks = np.unique(np.round(np.cumsum([0.1, *gaps]) * fs).astype(int))
    n_samples = int(peaks[-1] + rng.uniform(0.02, 1.0) * fs) + 2
    signal = rng.standard_normal((n_leads, n_samples)).cumsum(axis=1) * rng.choice([1e-6, 1.0, 1e6])
    signal[0, : n_samples // 5] = np.nan
    marks = delineate(signal, peaks, fs)
    for values in [*marks.by_lead.values(), *marks.over_leads.values()]:
        known = values[np.isfinite(values)]
        assert ((known >= 0) & (known <= n_samples)).all()


def test_a_slow_recording_has_the_marks_of_a_fast_one() -> None:
    fast = ecg(fs=500.0, noise_mv=0.002)
    slow = ECG(np.ascontiguousarray(fast.signal[:, ::5]), fast.leads, 100.0)
    peaks = r_peaks(fast.signal, 500.0)
    one = delineate(fast.signal, peaks, 500.0).over_leads
    two = delineate(slow.signal, np.round(peaks / 5).astype(int), 100.0).over_leads
    for mark in ("p_on", "p_off", "qrs_on", "qrs_off", "t_off"):
        assert np.nanmax(np.abs(one[mark] - 5 * two[mark])[1:-1]) < 6, mark  # 12 ms


def scorer(shared: Path):
    spec = importlib.util.spec_from_file_location("score_marks", shared / "score" / "score_marks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_ludb_experts(shared: Path) -> None:
    """Every eighth patient of LUDB: global marks within 150 ms, and the spread of the error."""
    scoring = scorer(shared)
    reference = json.loads((shared / "score/ref_ludb_open.json").read_text())
    names = sorted(reference, key=int)[::8]
    found = {}
    for name in names:
        record = next(iter(read(shared / f"data/ecg/ludb/data/{name}.hea")))
        over = marked(record).over_leads
        found[name] = {"global": {mark: (over[mark][np.isfinite(over[mark])] / 500).tolist() for mark in MARKS}}
    result = scoring.score(reference, found, records=names, leads=["global"])["marks"]
    for mark, f1, sd in (("p_on", 0.93, 16), ("qrs_on", 0.99, 11), ("qrs_off", 0.99, 11), ("t_off", 0.96, 22)):
        assert result[mark]["150"]["f1"] >= f1, mark
        assert result[mark]["150"]["sd_ms"] <= sd, mark
        assert abs(result[mark]["150"]["mean_ms"]) <= 6, mark


def test_no_p_waves_in_real_fibrillation(shared: Path) -> None:
    with (shared / "data/ecg/records.csv").open() as table:
        rows = [
            row
            for row in csv.DictReader(table)
            if row["source"] == "cpsc2018" and row["raw_labels"] in ("AF", "Normal")
        ]
    share: dict[str, list[float]] = {"AF": [], "Normal": []}
    for row in rows:
        if len(share[row["raw_labels"]]) < 6:
            record = next(iter(read(shared / "data/ecg" / row["path"]))).window(0, 5000)
            shown = np.isfinite(marked(record).over_leads["p_on"])
            share[row["raw_labels"]].append(float(shown.mean()))
    assert len(share["AF"]) == len(share["Normal"]) == 6
    assert np.median(share["AF"]) < 0.1
    assert np.median(share["Normal"]) > 0.9
