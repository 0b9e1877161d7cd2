"""R peaks: reference annotations, what must not change them, and signals made to break the detector."""

from __future__ import annotations

import json
import sys
import warnings
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardioloom.errors import PreparationError
from cardioloom.prepare.beats import r_peaks, r_peaks_batch, usable_leads

FS = 500.0


def heart(
    peaks_s: np.ndarray,
    seconds: float,
    fs: float,
    *,
    n_leads: int = 3,
    noise: float = 0.01,
    qrs_ms: float = 90.0,
    seed: int = 0,
) -> np.ndarray:
    """(lead, time) mV: P, Q, R, S and T as Gaussians around each R peak; Bazett's rule moves T."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * fs)) / fs
    rr = np.gradient(peaks_s) if peaks_s.size > 1 else np.ones(peaks_s.size)
    unit = qrs_ms / 90.0
    signal = rng.normal(0, noise, (n_leads, time.size))
    for lead in range(n_leads):
        r, s, t, p = rng.uniform(0.6, 1.5), rng.uniform(-0.6, -0.1), rng.uniform(0.1, 0.35), rng.uniform(0.05, 0.15)
        for at, interval in zip(peaks_s, rr, strict=True):
            root = np.sqrt(min(interval, 1.5))
            for height, centre, width in (
                (p, -0.16 * root, 0.02 * root),
                (r, 0.0, 0.011 * unit),
                (s, 0.028 * unit, 0.010 * unit),
                (t, 0.30 * root, 0.05 * root),
            ):
                signal[lead] += height * np.exp(-0.5 * ((time - at - centre) / width) ** 2)
    return signal.astype(np.float32)


def train(bpm: float, seconds: float) -> np.ndarray:
    """R peaks of a regular rhythm, s; none within 0.4 s of the ends."""
    return np.arange(0.5, seconds - 0.4, 60.0 / bpm)


def assert_found(found: np.ndarray, expected_s: np.ndarray, fs: float, *, within_s: float = 0.03) -> None:
    assert found.dtype == np.int64
    assert found.size == expected_s.size, f"{found / fs} for {expected_s}"
    np.testing.assert_allclose(found / fs, expected_s, atol=within_s)


# ------------------------------------------------------------------ real recordings


def ludb(shared: Path, name: str) -> np.ndarray:
    """(12, time) mV of one record at 500 Hz."""
    return wfdb().rdrecord(str(shared / "data/ecg/ludb/data" / name)).p_signal.T.astype(np.float32)


def wfdb() -> ModuleType:
    """The package, whose import warns of what pandas will remove."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_module("wfdb")


def matched(reference: list[float], found: np.ndarray, tolerance_s: float) -> int:
    """How many reference beats, s, have a found one; one to one, as both lie far apart against the tolerance."""
    return sum(bool(np.any(np.abs(found - t) <= tolerance_s + 1e-4)) for t in reference)


def test_mit_bih_100_without_an_error(shared: Path) -> None:
    record = wfdb().rdrecord(str(shared / "data/formats/wfdb_physionet/100"))
    reference = json.loads((shared / "score/ref_mitdb100.json").read_text())["100"]["MLII"]["r_peak"]
    found = r_peaks(record.p_signal.T.astype(np.float32), record.fs) / record.fs
    assert found.size == len(reference) == 2273
    assert matched(reference, found, 0.1) == 2273


def test_ludb_lead_ii_at_most_two_errors(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(shared / "score"), *sys.path])
    from score_marks import score  # pyright: ignore[reportMissingImports]

    reference = json.loads((shared / "score/ref_ludb_open.json").read_text())
    predicted = {}
    for name in reference:
        predicted[name] = {"ii": {"r_peak": (r_peaks(ludb(shared, name), FS) / FS).tolist()}}
    result = score(reference, predicted, leads=["ii"], marks=["r_peak"])["marks"]["r_peak"]
    assert result["75"]["tp"] + result["75"]["fn"] == 1472
    assert result["75"]["fn"] <= 2
    assert result["75"]["fp"] <= 2
    assert result["150"]["fn"] == result["150"]["fp"] == 0


def test_batch_equals_single_on_real_records(shared: Path) -> None:
    signals = np.stack([ludb(shared, name) for name in ("1", "8", "45", "104")])
    signals[1, 3:6] = 0
    signals[2, 0, 1000:2000] = np.nan
    signals[3] = np.nan
    for one, many in zip(signals, r_peaks_batch(signals, FS), strict=True):
        np.testing.assert_array_equal(r_peaks(one, FS), many)


# ------------------------------------------------------------------ rates, sampling rates, lengths


@pytest.mark.parametrize("fs", [50.0, 100.0, 128.0, 360.0, 500.0, 1000.0, 2000.0])
@pytest.mark.parametrize("bpm", [25, 60, 180, 250])
def test_regular_trains(bpm: float, fs: float) -> None:
    expected = train(bpm, 12.0)
    assert_found(r_peaks(heart(expected, 12.0, fs), fs), expected, fs)


@pytest.mark.parametrize("bpm", [20, 300])
def test_the_slowest_and_the_fastest(bpm: float) -> None:
    expected = train(bpm, 20.0)
    assert_found(r_peaks(heart(expected, 20.0, FS), FS), expected, FS)


def test_one_second_holds_its_one_beat() -> None:
    assert_found(r_peaks(heart(np.array([0.5]), 1.0, FS), FS), np.array([0.5]), FS)


def test_a_long_recording_is_walked_in_blocks_without_a_seam() -> None:
    ten_seconds = np.arange(12) / 1.2 + 0.3  # 72 bpm
    signal = np.tile(heart(ten_seconds, 10.0, 100.0, n_leads=1), 150)
    expected = (np.arange(150)[:, None] * 10.0 + ten_seconds).ravel()
    assert_found(r_peaks(signal, 100.0), expected, 100.0)


# ------------------------------------------------------------------ shapes of beats


def test_wide_beats_among_narrow_ones_are_found() -> None:
    normal, wide = np.array([0.6, 1.4, 2.2, 4.0, 4.8, 5.6, 7.4, 8.2, 9.0]), np.array([2.75, 6.15])
    signal = heart(normal, 10.0, FS) - 0.9 * heart(wide, 10.0, FS, qrs_ms=170.0, noise=0)
    assert_found(r_peaks(signal, FS), np.sort(np.concatenate([normal, wide])), FS, within_s=0.05)


def test_a_tall_t_wave_is_not_a_beat() -> None:
    expected = train(70, 10.0)
    signal = heart(expected, 10.0, FS)
    time = np.arange(signal.shape[1]) / FS
    signal += sum(1.6 * np.exp(-0.5 * ((time - at - 0.3) / 0.05) ** 2) for at in expected)
    assert_found(r_peaks(signal, FS), expected, FS)


def test_pacemaker_spikes_before_the_atria_are_not_beats() -> None:
    expected = train(60, 10.0)
    signal = heart(expected, 10.0, FS)
    for at in expected:
        spike = round((at - 0.2) * FS)
        signal[:, spike : spike + 2] += 4.0
    assert_found(r_peaks(signal, FS), expected, FS)


def test_low_voltage_beside_a_noisy_lead() -> None:
    expected = train(75, 10.0)
    signal = heart(expected, 10.0, FS, noise=0.002) * 0.05
    signal[1] += np.random.default_rng(1).normal(0, 1, signal.shape[1])
    assert_found(r_peaks(signal, FS), expected, FS)


# ------------------------------------------------------------------ pauses, gaps, dead leads, noise


def test_no_beat_is_invented_in_six_seconds_of_asystole() -> None:
    expected = np.concatenate([np.arange(0.5, 4.0, 0.8), np.arange(10.0, 14.0, 0.8)])
    assert_found(r_peaks(heart(expected, 14.5, FS), FS), expected, FS)


def test_p_waves_without_a_qrs_are_not_beats() -> None:
    expected = np.array([0.6, 1.4, 2.2, 5.4, 6.2, 7.0, 7.8])
    signal = heart(expected, 8.5, FS)
    time = np.arange(signal.shape[1]) / FS
    signal += sum(0.15 * np.exp(-0.5 * ((time - at) / 0.02) ** 2) for at in (2.84, 3.64, 4.44))
    assert_found(r_peaks(signal, FS), expected, FS)


def test_a_gap_of_all_leads_holds_no_peak_and_costs_none_outside() -> None:
    expected = train(75, 12.0)
    signal = heart(expected, 12.0, FS)
    signal[:, 2000:3500] = np.nan
    found = r_peaks(signal, FS)
    assert not ((found >= 2000) & (found < 3500)).any()
    outside = expected[(expected < 3.9) | (expected > 7.1)]
    assert_found(found[(found < 1950) | (found >= 3550)], outside, FS)


def test_a_lead_that_comes_and_goes() -> None:
    expected = train(75, 12.0)
    signal = heart(expected, 12.0, FS)
    signal[0, 500:2500] = np.nan
    signal[1, 3000:] = np.nan
    signal[2, ::7] = np.nan
    assert_found(r_peaks(signal, FS), expected, FS)


def test_flat_missing_stuck_and_bursting_leads_are_passed_over() -> None:
    expected = train(75, 10.0)
    signal = np.zeros((12, 5000), np.float32)
    signal[3:5] = heart(expected, 10.0, FS)[:2]
    signal[5] = np.nan
    signal[6] = 5.0
    signal[7, :100] = -5.0
    signal[8, 800:850] = np.tile([2.0, 2.0, -2.0, -2.0, 0.0], 10)
    assert_found(r_peaks(signal, FS), expected, FS)
    np.testing.assert_array_equal(np.flatnonzero(usable_leads(signal, FS)), [3, 4])


@pytest.mark.parametrize("value", [0.0, 3.0, np.nan])
def test_nothing_usable_gives_no_beat(value: float) -> None:
    found = r_peaks(np.full((12, 5000), value, np.float32), FS)
    assert found.dtype == np.int64
    assert found.size == 0


def test_bursts_on_one_lead_do_not_outvote_the_others() -> None:
    expected = train(75, 10.0)
    signal = heart(expected, 10.0, FS, n_leads=4)
    rng = np.random.default_rng(3)
    for start in (300, 1700, 3300):
        signal[0, start : start + 250] += 20 * np.sin(np.arange(250) / FS * 2 * np.pi * 9 + rng.uniform(0, 6))
    assert_found(r_peaks(signal, FS), expected, FS)


def test_white_noise_alone_gives_no_more_than_a_fast_heart() -> None:
    # Noise is not refused here: what resembles beats most is returned, still at possible intervals.
    for seed in range(5):
        found = r_peaks(np.random.default_rng(seed).normal(size=(12, 5000)), FS)
        assert found.size <= 40
        assert (np.diff(found) > 0.1 * FS).all()


# ------------------------------------------------------------------ invariances

SEVEN = heart(train(66, 8.0), 8.0, FS, n_leads=4, noise=0.03)
SEVEN_PEAKS = r_peaks(SEVEN, FS)


@settings(max_examples=25, deadline=None)
@given(
    scale=st.lists(st.floats(-3, 3), min_size=4, max_size=4),
    sign=st.lists(st.sampled_from([-1.0, 1.0]), min_size=4, max_size=4),
    offset=st.floats(-5, 5),
)
def test_scale_sign_and_offset_of_leads_change_nothing(scale: list[float], sign: list[float], offset: float) -> None:
    factor = (np.array(sign) * 10 ** np.array(scale))[:, None]
    np.testing.assert_array_equal(r_peaks((SEVEN.astype(np.float64) + offset) * factor, FS), SEVEN_PEAKS)


@settings(max_examples=15, deadline=None)
@given(kept=st.sets(st.integers(0, 3), min_size=1))
def test_dropping_leads_keeps_the_beats(kept: set[int]) -> None:
    found = r_peaks(SEVEN[sorted(kept)], FS)
    assert found.size == SEVEN_PEAKS.size
    assert np.abs(found - SEVEN_PEAKS).max() <= 0.02 * FS


@settings(max_examples=15, deadline=None)
@given(before=st.integers(0, 3000), after=st.integers(0, 3000))
def test_padding_moves_the_beats_with_the_signal(before: int, after: int) -> None:
    found = r_peaks(np.pad(SEVEN, ((0, 0), (before, after)), mode="edge"), FS) - before
    assert found.size == SEVEN_PEAKS.size
    assert np.abs(found - SEVEN_PEAKS).max() <= 0.02 * FS


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n_leads=st.integers(0, 5),
    fs=st.sampled_from([50.0, 77.3, 250.0, 1000.0]),
    seconds=st.floats(1.0, 6.0),
    missing=st.floats(0, 1),
    unit=st.sampled_from([1e-30, 1.0, 1e20]),
)
def test_anything_gives_ascending_indices_of_recorded_samples(
    seed: int, n_leads: int, fs: float, seconds: float, missing: float, unit: float
) -> None:
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=(n_leads, int(np.ceil(seconds * fs)))) * unit
    signal[rng.random(signal.shape) < missing] = np.nan
    found = r_peaks(signal, fs)
    assert (np.diff(found) > 0).all()
    assert np.isfinite(signal[:, found]).any(axis=0).all()


# ------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("shape", "fs", "said"),
    [((5000,), 500.0, "shape"), ((2, 400), 500.0, "1 s"), ((2, 400), 40.0, "50 Hz"), ((2, 400), np.nan, "50 Hz")],
)
def test_what_cannot_be_searched_is_refused(shape: tuple[int, ...], fs: float, said: str) -> None:
    with pytest.raises(PreparationError, match=said):
        r_peaks(np.zeros(shape), fs)


def test_the_batch_needs_three_dimensions() -> None:
    with pytest.raises(PreparationError, match=r"record, lead, time"):
        r_peaks_batch(np.zeros((2, 5000)), FS)
