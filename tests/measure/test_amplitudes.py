"""Amplitudes, areas and ST levels of the median beat against signals whose numbers are known."""

from __future__ import annotations

import numpy as np
import pytest

from cardioloom.measure.amplitudes import lead_waves
from cardioloom.measure.build import features
from cardioloom.measure.delineation import delineate
from cardioloom.measure.median_beat import median_beat, without_baseline
from cardioloom.prepare.beats import r_peaks
from cardioloom.records import ECG
from synthetic import GAINS, ecg

FS = 1000.0


def drawn(*pieces: tuple[float, int]) -> np.ndarray:
    """(time,) half sine waves of (mV, ms) after 100 ms of baseline, then 400 ms of it."""
    parts = [height * np.sin(np.pi * (np.arange(ms) + 0.5) / ms) for height, ms in pieces]
    return np.concatenate([np.zeros(100), *parts, np.zeros(400)])


def waves_of(*pieces: tuple[float, int], offset: float = 0.0):
    marks = {"qrs_on": 100.0, "qrs_off": 100.0 + sum(ms for _, ms in pieces)}
    found = lead_waves(drawn(*pieces) + offset, marks, FS)
    assert found is not None
    return found


@pytest.mark.parametrize("offset", [0.0, 3.0, -0.7])
def test_q_r_s_with_heights_and_durations(offset: float) -> None:
    found = waves_of((-0.2, 20), (1.3, 40), (-0.5, 30), offset=offset)
    assert (found.q, found.r, found.s) == pytest.approx((-0.2, 1.3, -0.5), abs=0.005)
    assert (found.q_ms, found.r_ms, found.s_ms) == pytest.approx((20, 40, 30), abs=1)
    assert (found.r_prime, found.s_prime) == (0, 0)
    assert found.r_peak_ms == pytest.approx(40, abs=1)
    area = 2 / np.pi * (-0.2 * 0.02 + 1.3 * 0.04 - 0.5 * 0.03)  # of half sines, mV·s
    assert found.qrs_area == pytest.approx(area, abs=2e-4)
    assert not found.notched


def test_r_s_r_prime_of_right_bundle_branch_block() -> None:
    found = waves_of((0.3, 25), (-0.4, 25), (0.9, 60))
    assert (found.q, found.r, found.s, found.r_prime) == pytest.approx((0, 0.3, -0.4, 0.9), abs=0.005)
    assert found.r_peak_ms == pytest.approx(80, abs=1)
    assert found.r_prime_ms == pytest.approx(60, abs=1)


def test_qs_is_a_q_without_r() -> None:
    found = waves_of((-1.1, 90))
    assert found.q == pytest.approx(-1.1, abs=0.005)
    assert (found.r, found.s) == (0, 0)
    assert found.q_ms == pytest.approx(90, abs=1)
    assert found.r_peak_ms is None


def test_a_deflection_below_20_microvolts_or_6_ms_does_not_count() -> None:
    assert waves_of((-0.015, 20), (0.5, 50)).q == 0
    assert waves_of((-0.2, 4), (0.5, 50)).q == 0
    assert waves_of((-0.03, 12), (0.5, 50)).q == pytest.approx(-0.03, abs=0.003)


def test_a_notch_is_seen_and_a_slur_is_not() -> None:
    beat = drawn((1.0, 100))
    notched = beat.copy()
    notched[140:160] -= 0.4 * np.hanning(20)
    marks = {"qrs_on": 100.0, "qrs_off": 200.0}
    plain, split = lead_waves(beat, marks, FS), lead_waves(notched, marks, FS)
    assert plain is not None
    assert split is not None
    assert not plain.notched
    assert split.notched


def test_st_levels_p_and_t() -> None:
    beat = np.concatenate([np.zeros(20), 0.15 * np.hanning(100), np.zeros(80), drawn((1.0, 60))[100:]])
    beat[260:] += 0.2 + 0.5 * np.arange(400) / 1000.0  # ST 0.2 mV at J, rising 0.5 mV/s
    beat[420:580] += -0.4 * np.hanning(160)
    marks = {"p_on": 20.0, "p_off": 120.0, "qrs_on": 200.0, "qrs_off": 264.0, "t_on": 420.0, "t_off": 580.0}
    found = lead_waves(beat, marks, FS)
    assert found is not None
    assert found.st["j60"] - found.st["j"] == pytest.approx(0.030, abs=0.002)
    assert found.st["j80"] == pytest.approx(0.2 + 0.5 * 0.084, abs=0.003)
    assert found.p == pytest.approx(0.15, abs=0.005)
    assert found.p_area == pytest.approx(0.15 * 0.05, abs=2e-4)
    assert found.t_area is not None
    assert found.t is not None
    missing = lead_waves(beat, {"qrs_on": 200.0, "qrs_off": 264.0, "p_on": np.nan}, FS)
    assert missing is not None
    assert (missing.p, missing.t, missing.t_area) == (None, None, None)
    assert lead_waves(beat, {"qrs_on": np.nan, "qrs_off": 264.0}, FS) is None
    assert lead_waves(np.full(500, np.nan), marks, FS) is None


def test_amplitudes_and_voltages_of_an_ecg() -> None:
    record = ecg(noise_mv=0.002)
    found, abstained = features(record, r_peaks(record.signal, record.fs))
    assert not [one for one in abstained if one.what in ("sokolow_lyon", "cornell_voltage")]
    base = ecg(leads=("X",), noise_mv=0.0).signal[0]
    top, deepest = float(base.max()), float(-base.min())
    for lead in ("I", "II", "V4", "V5"):
        assert found.waves[lead].r == pytest.approx(GAINS[lead] * top, abs=0.03)
        assert found.waves[lead].st["j80"] == pytest.approx(0, abs=0.06 + 0.1)
        assert found.waves[lead].t == pytest.approx(0.3 * GAINS[lead], abs=0.02)
        assert found.waves[lead].p == pytest.approx(0.12 * GAINS[lead], abs=0.02)
    # V1 is the beat upside down: its deepest point is the R of the others.
    expected = 0.6 * top + 1.0 * top
    assert found.measurements["sokolow_lyon"].value == pytest.approx(expected, abs=0.05)
    cornell = (0.7 - 0.5) * top + 0.5 * deepest  # aVL = I − II/2; S of V3
    assert found.measurements["cornell_voltage"].value == pytest.approx(cornell, abs=0.06)
    assert found.median_beat["II"][found.median_beat_r] == pytest.approx(top, abs=0.02)


def test_wander_does_not_move_the_median_beat() -> None:
    record = ecg(seconds=20.0, noise_mv=0.002)
    time = np.arange(record.shape[1]) / record.fs
    peaks = r_peaks(record.signal, record.fs)
    wandering = ECG(record.signal + (0.5 * np.sin(2 * np.pi * 0.2 * time)).astype(np.float32), record.leads, record.fs)
    still, _ = features(record, peaks)
    moved, _ = features(wandering, peaks)
    for lead in ("II", "V1", "V5"):
        assert moved.waves[lead].r == pytest.approx(still.waves[lead].r, abs=0.05)
        assert moved.waves[lead].st["j"] == pytest.approx(still.waves[lead].st["j"], abs=0.05)


def test_median_beat_is_the_median_over_whole_windows() -> None:
    record = ecg(noise_mv=0.0, bpm=60.0)
    peaks = r_peaks(record.signal, record.fs)
    flat = without_baseline(record.signal, delineate(record.signal, peaks, record.fs), record.fs)
    beat, r = median_beat(flat, peaks, record.fs, rr_s=1.0)
    assert beat.shape == (12, 200 + 350 + 1)
    window = [flat[:, at - r : at - r + beat.shape[1]] for at in peaks if at >= r and at - r + beat.shape[1] <= 5000]
    np.testing.assert_allclose(beat, np.median(window, axis=0))


def test_a_lead_that_is_flat_has_no_amplitudes() -> None:
    record = ecg()
    signal = record.signal.copy()
    signal[record.leads.index("V1")] = 0.0
    found, abstained = features(ECG(signal, record.leads, record.fs), r_peaks(signal, record.fs))
    assert "V1" not in found.waves
    assert "V1" not in found.usable
    why = {one.what: one.why for one in abstained}
    assert why["sokolow_lyon"] == "V1 not measured"
