"""Stretches without a heart in them do not count for the heart rate; those with one do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardioloom import measure
from cardioloom.measure import Measured
from cardioloom.measure.stretches import inside, without_qrs_s
from cardioloom.records import ECG, STANDARD_LEADS
from synthetic import GAINS, beat_train, ecg

FS = 500


def notices(measured: Measured, code: str) -> list[str]:
    return [notice.text for notice in measured.quality.warnings if notice.code == code]


def with_noise(record: ECG, begin_s: float, end_s: float, mv: float, seed: int = 0) -> ECG:
    signal = record.signal.copy()
    part = slice(round(begin_s * record.fs), round(end_s * record.fs))
    signal[:, part] = mv * np.random.default_rng(seed).standard_normal(signal[:, part].shape)
    return replace(record, samples=signal)


@pytest.mark.parametrize("level", [0.0, -5.0])
def test_a_dead_stretch_is_an_interruption(level: float):
    record = ecg(seconds=60, bpm=56)
    signal = record.signal.copy()
    signal[:, 20 * FS : 40 * FS] = level
    measured = measure.ecg(replace(record, samples=signal))
    assert measured.measurements["heart_rate"].value == pytest.approx(56, abs=0.2)
    assert measured.measurements["rr_interval"].sd == pytest.approx(0, abs=10)
    (text,) = notices(measured, "dead_stretch")
    assert "from 20.0 to 40.0 s" in text
    assert measured.gaps_s == 0.0  # it was recorded
    peaks = measured.beats.r_peaks_s
    assert not ((peaks > 20.1) & (peaks < 39.9)).any()


def test_a_dead_stretch_over_the_border_of_blocks_is_one():
    record = ecg(seconds=140, fs=250, bpm=56)
    signal = record.signal.copy()
    signal[:, 50 * 250 : 70 * 250] = 0.0
    measured = measure.ecg(replace(record, samples=signal))
    (text,) = notices(measured, "dead_stretch")
    assert "from 50.0 to 70.0 s" in text
    assert measured.measurements["heart_rate"].value == pytest.approx(56, abs=0.2)


def test_a_dead_stretch_counts_leads_that_are_missing():
    record = ecg(seconds=30)
    signal = record.signal.copy()
    signal[:6, 10 * FS : 20 * FS] = 0.0
    signal[6:, 10 * FS : 20 * FS] = np.nan
    measured = measure.ecg(replace(record, samples=signal))
    assert len(notices(measured, "dead_stretch")) == 1
    assert measured.measurements["heart_rate"].value == pytest.approx(72, abs=0.3)


def test_one_lead_that_moves_is_not_dead():
    record = ecg(seconds=30)
    signal = record.signal.copy()
    signal[:11, 10 * FS : 20 * FS] = 0.0
    assert notices(measure.ecg(replace(record, samples=signal)), "dead_stretch") == []


def test_asystole_with_a_noise_floor_is_no_dead_stretch():
    """A pause of 6 s belongs to the rhythm: it is an RR interval like any other."""
    beats = np.concatenate([np.arange(0.5, 20, 1.0), np.arange(25.5, 45, 1.0)])
    rng = np.random.default_rng(1)
    base = beat_train(beats, 45, FS)
    signal = np.stack([gain * base + 0.003 * rng.standard_normal(len(base)) for gain in GAINS.values()])
    measured = measure.ecg(ECG(signal, tuple(GAINS), FS))
    assert notices(measured, "dead_stretch") == notices(measured, "noise_stretch") == []
    assert np.diff(measured.beats.r_peaks_s).max() == pytest.approx(6.0, abs=0.05)
    assert measured.measurements["heart_rate"].n == len(beats) - 1
    assert measured.measurements["heart_rate"].value == pytest.approx(60 / np.diff(beats).mean(), abs=0.2)


@pytest.mark.parametrize("bpm", [25, 30, 60])
def test_the_pauses_of_a_recording_without_noise_are_not_dead(bpm: float):
    """Constant between beats for more than a second, as only simulated recordings are."""
    measured = measure.ecg(ecg(seconds=60, bpm=bpm, noise_mv=0))
    assert notices(measured, "dead_stretch") == []
    assert measured.measurements["heart_rate"].value == pytest.approx(bpm, abs=0.2)


def test_a_recording_in_volts_is_not_dead():
    record = ecg()
    measured = measure.ecg(replace(record, samples=record.signal / 1000))
    assert notices(measured, "dead_stretch") == []
    assert measured.measurements["heart_rate"].value == pytest.approx(72, abs=0.3)


def test_many_dead_stretches_are_counted_not_listed():
    record = ecg(seconds=100, fs=250)
    signal = record.signal.copy()
    for begin in range(5, 95, 10):
        signal[:, begin * 250 : (begin + 3) * 250] = 0.0
    (text,) = notices(measure.ecg(replace(record, samples=signal)), "dead_stretch")
    assert "from 5.0 to 8.0 s" in text
    assert "6 more (18.0 s)" in text


@pytest.mark.parametrize("leads", [("II",), STANDARD_LEADS], ids=["1 lead", "12 leads"])
@pytest.mark.parametrize("begin", [0, 20, 23.7])
def test_what_is_found_in_noise_is_no_heart_rate(begin: float, leads: tuple[str, ...]):
    measured = measure.ecg(with_noise(ecg(seconds=60, leads=leads), begin, begin + 20, 1.0))
    assert measured.measurements["heart_rate"].value == pytest.approx(72, abs=1)
    assert measured.measurements["heart_rate"].n >= 40
    assert len(notices(measured, "noise_stretch")) == 1


@pytest.mark.parametrize("leads", [("II",), STANDARD_LEADS], ids=["1 lead", "12 leads"])
@pytest.mark.parametrize(("fs", "mv"), [(100, 1.0), (250, 1.0), (500, 1.0), (500, 0.3)])
def test_nothing_but_noise_has_no_heart_rate(mv: float, fs: int, leads: tuple[str, ...]):
    noise = mv * np.random.default_rng(fs).standard_normal((len(leads), 20 * fs))
    measured = measure.ecg(ECG(noise, leads, fs))
    assert measured.measurements == {}
    (why,) = [row.why for row in measured.abstained if row.what == "heart_rate"]
    assert why in ("no lead is clean enough", "no beat was found")
    assert measured.quality.score < 0.3


@pytest.mark.parametrize(("leads", "mv"), [(("II",), 0.3), (STANDARD_LEADS, 0.5)], ids=["1 lead", "12 leads"])
def test_a_heart_that_shows_through_the_noise_keeps_its_rate(leads: tuple[str, ...], mv: float):
    record = ecg(seconds=30, leads=leads)
    noise = mv * np.random.default_rng(2).standard_normal(record.shape)
    measured = measure.ecg(replace(record, samples=record.signal + noise))
    assert measured.measurements["heart_rate"].value == pytest.approx(72, abs=0.5)
    assert all(lead.problems == ("noisy",) for lead in measured.quality.leads.values())


def test_real_recordings_have_no_such_stretch(shared):
    from cardioloom import load

    paths = sorted((shared / "data/ecg/chapman_ningbo").glob("*.hea"))[::3]
    paths += sorted((shared / "data/ecg/cpsc2018").glob("*.hea"))[:8]
    for path in paths:
        measured = measure.ecg(load(path))
        assert notices(measured, "dead_stretch") + notices(measured, "noise_stretch") == [], path.name


def test_without_qrs_runs_from_beat_to_beat_and_to_the_ends():
    beats, interrupted = np.array([1.0, 4.0]), np.array([[-1.0, 0.5], [6.0, 7.0], [6.5, 8.0], [9.5, 11.0]])
    found = without_qrs_s(beats, interrupted, 10.0)
    assert found.tolist() == [[0.5, 1.0], [1.0, 4.0], [4.0, 6.0], [8.0, 9.5]]
    assert without_qrs_s(beats, np.empty((0, 2)), 4.0).tolist() == [[0.0, 1.0], [1.0, 4.0]]
    assert without_qrs_s(beats[:0], np.array([[0.0, 4.0]]), 4.0).shape == (0, 2)


@given(
    beats=st.lists(st.integers(1, 99), max_size=12, unique=True),
    interruptions=st.lists(st.tuples(st.integers(-10, 105), st.integers(1, 30)), max_size=5),
)
def test_without_qrs_and_interruptions_make_up_the_recording(beats: list[int], interruptions: list[tuple[int, int]]):
    peaks = np.array(sorted(beats), float)
    interrupted = np.array([(begin, begin + length) for begin, length in interruptions], float).reshape(-1, 2)
    free = without_qrs_s(peaks, interrupted, 100.0)
    seconds = np.arange(100) + 0.5
    blind = np.zeros(100, bool)
    for begin, end in interrupted:
        blind |= (seconds > begin) & (seconds < end)
    assert np.array_equal(inside(seconds, free), ~blind)
    assert not any(((peaks > begin) & (peaks < end)).any() for begin, end in free)
