"""Where there is no heart beat, none is reported; where there is one, it stays."""

from __future__ import annotations

import numpy as np
import pytest

from cardioloom import measure
from cardioloom.measure.phantoms import on_the_qrs, without_phantoms
from cardioloom.prepare.beats import r_peaks
from cardioloom.records import ECG, STANDARD_LEADS
from synthetic import GAINS, beat_train

FS = 500
WEIGHTS = np.array([*GAINS.values(), 0.3, -0.8, 0.2, 0.6])


def leads(beats_s: list[float], noise_mv: float, seconds: float = 10.0) -> np.ndarray:
    """(12, time) mV: beats at the given times, white noise in every lead."""
    rng = np.random.default_rng(7)
    base = beat_train(np.array(beats_s), seconds, FS)
    return (WEIGHTS[:, None] * base + noise_mv * rng.standard_normal((12, len(base)))).astype(np.float32)


@pytest.mark.parametrize("noise_mv", [0.005, 0.02, 0.05, 0.3])
def test_noise_alone_has_no_beats(noise_mv: float):
    signal = leads([], noise_mv)
    assert len(without_phantoms(signal, r_peaks(signal, FS), FS)) == 0
    measured = measure.ecg(ECG(signal, STANDARD_LEADS, FS))
    assert measured.measurements == {}
    assert not any(finding.present for finding in measured.findings if finding.code in ("AF", "PVC", "NSR", "VTach"))
    assert "heart_rate" in {row.what for row in measured.abstained}


@pytest.mark.parametrize("beats_s", [[5.0], [2.0, 7.0], [0.5, 1.3, 2.1, 8.0, 8.8, 9.6]])
def test_few_beats_in_a_pause_stay_the_only_ones(beats_s: list[float]):
    signal = leads(beats_s, 0.005)
    found = without_phantoms(signal, r_peaks(signal, FS), FS) / FS
    placed = on_the_qrs(signal, np.round(found * FS).astype(np.int64), FS) / FS
    np.testing.assert_allclose(placed, beats_s, atol=0.02)


def test_a_wide_beat_near_a_narrow_one_is_not_moved_onto_it():
    time = np.arange(10 * FS) / FS
    wide = 1.5 * np.exp(-0.5 * ((time - 5.4) / 0.035) ** 2)
    signal = leads([5.0], 0.005) + np.outer(WEIGHTS, wide).astype(np.float32)
    peaks = np.array([2500, 2700])
    assert on_the_qrs(signal, peaks, FS).tolist() == [2500, 2700]


def test_a_wandering_baseline_has_no_beats():
    time = np.arange(10 * FS) / FS
    signal = np.stack([0.3 * np.sin(2 * np.pi * 0.2 * time + n) for n in range(12)])
    signal = (signal + 0.005 * np.random.default_rng(1).standard_normal(signal.shape)).astype(np.float32)
    assert len(without_phantoms(signal, r_peaks(signal, FS), FS)) == 0


def test_low_voltage_and_bigeminy_are_beats():
    regular = list(np.arange(0.4, 10, 0.8))
    low = leads(regular, 0.002) * 0.1
    assert len(without_phantoms(low, r_peaks(low, FS), FS)) == len(regular)
    both = leads(regular[::2], 0.01) - 2.0 * leads(regular[1::2], 0.01)
    assert len(without_phantoms(both, r_peaks(both, FS), FS)) == len(regular)


def test_statements_that_cannot_be_judged_are_abstained_from():
    measured = measure.ecg(ECG(leads([], 0.005), STANDARD_LEADS, FS))
    unjudged = {finding.code for finding in measured.findings if finding.present is None}
    assert unjudged
    assert unjudged <= {row.what for row in measured.abstained}


def test_microvolts_as_millivolts_make_no_statement_on_voltage():
    signal = leads(list(np.arange(0.4, 10, 0.8)), 0.005) * 1000
    measured = measure.ecg(ECG(signal, STANDARD_LEADS, FS))
    judged = {finding.code: finding.present for finding in measured.findings}
    assert judged["LVH"] is None
    assert judged["STE"] is None
    assert "sokolow_lyon" not in measured.measurements
