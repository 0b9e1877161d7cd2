"""Signal quality: each problem is found where it was put, and not elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardioloom import measure
from cardioloom.measure.quality import _moving_mean, judge, lead_states
from cardioloom.records import ECG, STANDARD_LEADS, Counts
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
    if how == "partly flat":
        return np.where(time < 4, 0, row).astype(np.float32)
    if how == "missing":
        return np.full_like(row, np.nan)
    return row * 1000  # implausible unit


@pytest.mark.parametrize("how", ["noisy", "wandering", "clipped", "flat", "partly flat", "missing", "implausible unit"])
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
    np.testing.assert_allclose(_moving_mean(signal, width), slow, atol=1e-9)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 400))
def test_scores_stay_between_0_and_1(seed: int, n: int):
    rng = np.random.default_rng(seed)
    signal = (rng.standard_normal((2, n)) * 10.0 ** rng.integers(-6, 6)).astype(np.float32)
    signal[rng.random(signal.shape) < 0.1] = np.nan
    for state in lead_states(ECG(signal, ("I", "II"), 250)).values():
        assert 0 <= judge(state).score <= 1


def test_a_wrong_lead_i_or_ii_is_not_blamed_on_the_derived_ones():
    record = ecg()
    signal = record.signal.copy()
    signal[0] *= -1
    (notice,) = (w for w in measure.ecg(replace(record, samples=signal)).quality.warnings if w.code != "lead_quality")
    assert notice.code == "einthoven"
    assert "I or II" in notice.text


def test_leads_scaled_each_on_its_own_are_named_as_such():
    """LUDB's trap: counts obey Einthoven, millivolts do not."""
    record = ecg()
    one, two = (np.round(record.signal[row] * 1000).astype(np.int32) for row in (0, 1))
    values = np.stack([one, two, two - one])
    counts = Counts(values, np.ptp(values, axis=1).astype(float), np.zeros(3))
    quality = measure.ecg(ECG(counts, ("I", "II", "III"), FS)).quality
    assert "amplitudes_not_physical" in {notice.code for notice in quality.warnings}
    assert quality.leads["III"].problems == ()


def test_volts_declared_as_millivolts():
    record = ecg()
    quality = measure.ecg(replace(record, samples=record.signal / 1000)).quality
    assert "implausible_unit" in {notice.code for notice in quality.warnings}


def test_blocks_give_what_the_whole_gives():
    """A recording of several blocks: no beat lost or doubled at a border."""
    record = ecg(seconds=200, bpm=77, leads=("I", "II", "V5"), fs=250)
    measured = measure.ecg(record)
    np.testing.assert_allclose(measured.beats.r_peaks_s, np.arange(30 / 77, 200, 60 / 77), atol=0.006)


def test_real_flat_leads_are_found(shared):
    """JS45542 has five flat chest leads and JS20004 three (data/README.md)."""
    from cardioloom import load

    folder = shared / "data/ecg/chapman_ningbo"
    for name, flat in (("JS45542", {"V1", "V2", "V3", "V4", "V5", "V6"}), ("JS20004", {"V2", "V4", "V6"})):
        leads = measure.ecg(load(folder / f"{name}.hea")).quality.leads
        assert {lead for lead, state in leads.items() if "flat" in state.problems} == flat
    assert set(leads) == set(STANDARD_LEADS)
