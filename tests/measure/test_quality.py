"""Signal quality: each problem is found where it was put, and not elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardioloom import measure
from cardioloom.measure.quality import judge, lead_states
from cardioloom.measure.windows import moving_mean, windows
from cardioloom.records import ECG, STANDARD_LEADS
from synthetic import ecg

FS = 500


def spoil(row: np.ndarray, how: str) -> np.ndarray:
    time, rng = np.arange(len(row)) / FS, np.random.default_rng(3)
    if how == "noisy":
        return row + 0.15 * rng.standard_normal(len(row)).astype(np.float32)
    if how == "wandering":
        return row + 1.5 * np.sin(2 * np.pi * 0.15 * time).astype(np.float32)
    if how == "clipped":
        return np.clip(row, None, 0.45 * row.max())
    if how == "flat":
        return np.full_like(row, 0.3)
    if how == "flat (40% of the time)":
        return np.where(time < 4, 0, row).astype(np.float32)
    if how == "missing":
        return np.full_like(row, np.nan)
    return row * 1000  # implausible unit


PROBLEMS = ("noisy", "wandering", "clipped", "flat", "flat (40% of the time)", "missing", "implausible unit")


@pytest.mark.parametrize("how", PROBLEMS)
def test_each_problem_is_found_in_its_lead_alone(how: str):
    record = ecg()
    signal = record.signal.copy()
    row = record.leads.index("V4")
    signal[row] = spoil(signal[row], how)
    quality = measure.ecg(replace(record, samples=signal)).quality
    assert quality.leads["V4"].problems == (how,)
    assert quality.leads["V4"].score < 0.9
    assert all(state.problems == () for lead, state in quality.leads.items() if lead != "V4")
    assert quality.score < 1.0


def test_a_clean_record_has_no_problem():
    quality = measure.ecg(ecg()).quality
    assert quality.score == 1.0
    assert quality.warnings == ()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=60), st.integers(1, 30))
def test_moving_mean_equals_the_definition(values: list[float], width: int):
    signal = np.array(values)
    slow = [signal[max(i - width // 2, 0) : i + (width + 1) // 2].mean() for i in range(len(signal))]
    np.testing.assert_allclose(moving_mean(signal, width), slow, atol=1e-9)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 400))
def test_scores_stay_between_0_and_1(seed: int, n: int):
    rng = np.random.default_rng(seed)
    signal = (rng.standard_normal((2, n)) * 10.0 ** rng.integers(-6, 6)).astype(np.float32)
    signal[rng.random(signal.shape) < 0.1] = np.nan
    for state in lead_states(windows(signal, 250)):
        assert 0 <= judge(state).score <= 1


def test_volts_declared_as_millivolts():
    record = ecg()
    quality = measure.ecg(replace(record, samples=record.signal / 1000)).quality
    assert "implausible_unit" in {notice.code for notice in quality.warnings}


def test_blocks_give_what_the_whole_gives():
    """A recording of several blocks: no beat lost or doubled at a border."""
    record = ecg(seconds=200, bpm=77, leads=("I", "II", "V5"), fs=250)
    measured = measure.ecg(record)
    np.testing.assert_allclose(measured.beats.r_peaks_s, np.arange(30 / 77, 200, 60 / 77), atol=0.006)


def noise(shape: tuple[int, ...], seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_noise_of_a_third_of_the_time_is_said_and_scored():
    """A median over the whole minute would not see it."""
    record = ecg(seconds=60)
    signal = record.signal.copy()
    signal[:, 10000:20000] = noise((12, 10000))
    quality = measure.ecg(replace(record, samples=signal)).quality
    for lead in quality.leads.values():
        assert lead.problems == ("noisy (33% of the time)",)
        assert lead.score == pytest.approx(0.667 * 0.833, abs=0.01)  # half of it for noise, all of it for no heart


def test_a_pause_with_a_noise_floor_is_not_noisy():
    record = ecg(seconds=20)
    signal = record.signal.copy()
    signal[:, 4000:8000] = 0.01 * noise((12, 4000))
    leads = measure.ecg(replace(record, samples=signal)).quality.leads
    assert all(lead.problems == () for lead in leads.values())


def test_wander_is_judged_by_ten_seconds():
    """A baseline that drifts 2 mV in 40 s and hardly in any 10 s of them is no worse than its parts."""
    record = ecg(seconds=40)
    drift = np.linspace(0, 2, 20000, dtype=np.float32)
    whole = measure.ecg(replace(record, samples=record.signal + drift)).quality
    part = measure.ecg(replace(record, samples=(record.signal + drift)[:, :5000])).quality
    assert whole.score == part.score


def test_equal_problems_are_told_once():
    record = ecg(seconds=20)
    signal = record.signal.copy()
    signal[:, 4000:6000] = np.nan
    signal[[6, 7]] = 0.0
    signal[8, :2500] += 0.2 * noise((2500,))
    (text,) = (
        w.text for w in measure.ecg(replace(record, samples=signal)).quality.warnings if w.code == "lead_quality"
    )
    expected = "Signal problems: V1, V2: flat; V3: noisy (31% of the time); "
    assert text == expected + "I, II, III, aVR, aVL, aVF, V3, V4, V5, V6: gaps (20% not recorded)."


def test_gaps_of_all_leads_are_told_in_a_word():
    record = ecg(seconds=20)
    signal = record.signal.copy()
    signal[:, 4000:6000] = np.nan
    (text,) = (w.text for w in measure.ecg(replace(record, samples=signal)).quality.warnings)
    assert text == "Signal problems: all leads: gaps (20% not recorded)."


@pytest.mark.parametrize(("fs", "seconds"), [(500, 61.3), (257, 130.0), (250, 200.0)])
def test_a_whole_recording_has_no_gaps(fs: float, seconds: float):
    """Rounding of times is not taken for samples that are missing."""
    quality = measure.ecg(ecg(seconds=seconds, fs=fs, leads=("I", "II", "V5"))).quality
    assert quality.score == 1.0
    assert "lead_quality" not in {notice.code for notice in quality.warnings}


def test_the_unit_is_judged_over_all_blocks():
    """Flat in the first minute, microvolts declared as millivolts in the others."""
    record = ecg(seconds=180, fs=250, leads=("I", "II", "V5"))
    signal = record.signal * 1000
    signal[:, : 62 * 250] = 0.0
    assert "implausible_unit" in codes(replace(record, samples=signal))


def test_a_short_artefact_is_not_taken_for_a_wrong_unit():
    record = ecg(seconds=180, fs=250, leads=("I", "II", "V5"))
    signal = record.signal.copy()
    signal[:, : 20 * 250] *= 1000
    assert "implausible_unit" not in codes(replace(record, samples=signal))


def codes(record: ECG) -> set[str]:
    return {notice.code for notice in measure.ecg(record).quality.warnings}


def test_real_flat_leads_are_found(shared):
    """JS45542 has five flat chest leads and JS20004 three (data/README.md)."""
    from cardioloom import load

    folder = shared / "data/ecg/chapman_ningbo"
    for name, flat in (("JS45542", {"V1", "V2", "V3", "V4", "V5", "V6"}), ("JS20004", {"V2", "V4", "V6"})):
        leads = measure.ecg(load(folder / f"{name}.hea")).quality.leads
        assert {lead for lead, state in leads.items() if "flat" in state.problems} == flat
    assert set(leads) == set(STANDARD_LEADS)


def test_mains_hum_is_named_with_its_frequency():
    record = ecg()
    signal = record.signal.copy()
    signal[1] += 0.08 * np.sin(2 * np.pi * 50 * np.arange(signal.shape[1]) / record.fs).astype(np.float32)
    leads = measure.ecg(replace(record, samples=signal)).quality.leads
    assert "mains hum 50 Hz" in leads["II"].problems
    assert leads["V2"].problems == ()
