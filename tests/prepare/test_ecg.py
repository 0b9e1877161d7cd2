"""A record of any rate, length and lead order becomes the windows of a preset; a preset equals its JSON."""

from __future__ import annotations

import csv
import json
from dataclasses import FrozenInstanceError, replace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import butter, filtfilt, iirnotch, medfilt

from cardioloom.errors import PreparationError, UsageError
from cardioloom.prepare import PRESETS, Preparation, Step, apply, ecgfounder, prepare, select
from cardioloom.readers.wfdb_signals import import_wfdb
from cardioloom.records import ECG, STANDARD_LEADS, Counts

TWELVE, ONE = PRESETS["ecgfounder"], PRESETS["ecgfounder_1l"]
RNG = np.random.default_rng(13)


def heart(n_leads: int = 12, n_samples: int = 5000, fs: float = 500.0) -> np.ndarray:
    """(lead, time) mV: narrow beats, slow waves, wander, mains and noise; another mixture in each lead."""
    t = np.arange(n_samples) / fs
    beat = np.exp(-(((t % 0.8) - 0.4) ** 2) / 2e-4) + 0.3 * np.exp(-(((t % 0.8) - 0.65) ** 2) / 4e-3)
    parts = np.stack([beat, np.sin(2 * np.pi * 0.2 * t), 0.1 * np.sin(2 * np.pi * 50 * t), np.ones_like(t)])
    return RNG.normal(size=(n_leads, 4)) @ parts + 0.01 * RNG.normal(size=(n_leads, n_samples))


def restated(signal: np.ndarray, fs: int = 500) -> np.ndarray:
    """The official function, lead by lead, said again from its description."""
    out = np.empty(signal.shape)
    coefficients = cast(Any, butter(4, [0.67, 40], "bandpass", fs=fs))
    for lead, row in enumerate(signal):
        quiet = filtfilt(*iirnotch(50, 30, fs), row)
        band = filtfilt(coefficients[0], coefficients[1], quiet)
        out[lead] = band - medfilt(band, 201)
    return (out - out.mean()) / (out.std() + 1e-8)


def test_a_ten_second_record_gives_what_the_official_chain_gives():
    signal = heart().astype(np.float32)
    prepared = prepare(ECG(signal, STANDARD_LEADS, 500), TWELVE)
    assert prepared.windows.shape == (1, 12, 5000)
    assert prepared.windows.dtype == np.float32
    assert prepared.notes == ()
    assert np.abs(prepared.windows[0] - restated(signal.astype(np.float64))).max() < 1e-6


def test_counts_lose_nothing_on_the_way():
    counts = Counts(np.rint(heart() * 1000).astype(np.int32), np.full(12, 1000.0), np.zeros(12))
    exact = counts.values[:, :] / 1000.0
    assert np.array_equal(prepare(ECG(counts, STANDARD_LEADS, 500), TWELVE).windows, apply(exact[None], TWELVE))


@settings(deadline=None, max_examples=10)
@given(order=st.permutations(STANDARD_LEADS))
def test_stored_order_of_leads_does_not_matter(order):
    signal = heart()
    shuffled = signal[[STANDARD_LEADS.index(lead) for lead in order]]
    wanted = prepare(ECG(signal, STANDARD_LEADS, 500), TWELVE).windows
    assert np.array_equal(prepare(ECG(shuffled, tuple(order), 500), TWELVE).windows, wanted)


def test_batch_equals_single_and_input_is_untouched():
    signals = np.stack([heart() for _ in range(5)])
    before = signals.copy()
    together = apply(signals, TWELVE)
    assert all(np.array_equal(apply(signals[i : i + 1], TWELVE)[0], together[i]) for i in range(5))
    assert np.array_equal(apply(signals[::-1], TWELVE), together[::-1])
    assert np.array_equal(signals, before)
    assert apply(signals[:0], TWELVE).shape == (0, 12, 5000)


@pytest.mark.parametrize(
    ("fs", "seconds", "starts", "real"),
    [
        (100, 10, [0], [5000]),
        (400, 10.24, [0, 0.24], [5000, 5000]),
        (1000, 38.4, [0, 10, 20, 28.4], [5000] * 4),
        (500, 6, [0], [3000]),
        (500, 60, [0, 10, 20, 30, 40, 50], [5000] * 6),
        (360, 10, [0], [5000]),
    ],
)
def test_rates_and_lengths(fs, seconds, starts, real):
    ecg = ECG(heart(12, round(fs * seconds), fs), STANDARD_LEADS, fs)
    prepared = prepare(ecg, TWELVE)
    assert prepared.windows.shape == (len(starts), 12, 5000)
    assert np.allclose(prepared.starts_s, starts)
    assert prepared.real_samples.tolist() == real
    assert np.isfinite(prepared.windows).all()
    assert np.allclose(prepared.windows.std(axis=(1, 2)), 1, atol=1e-4)
    assert ("resampled" in " ".join(prepared.notes)) == (fs != 500)
    assert ("filled with zeros" in " ".join(prepared.notes)) == (real[0] < 5000)


def test_each_window_is_prepared_by_itself():
    signal = heart(12, 12000)
    prepared = prepare(ECG(signal, STANDARD_LEADS, 500), TWELVE)
    samples = signal.astype(np.float32)
    for window, start in zip(prepared.windows, (0, 5000, 7000), strict=True):
        assert np.array_equal(window, apply(samples[None, :, start : start + 5000], TWELVE)[0])


def test_what_becomes_of_longer_and_shorter_records_is_a_choice():
    long = ECG(heart(12, 12000), STANDARD_LEADS, 500)
    assert prepare(long, replace(TWELVE, longer="windows_dropped")).starts_s.tolist() == [0, 10]
    assert prepare(long, replace(TWELVE, longer="first_window")).starts_s.tolist() == [0]
    with pytest.raises(PreparationError, match="needs 5000 samples, got 4999"):
        prepare(ECG(heart(12, 4999), STANDARD_LEADS, 500), replace(TWELVE, shorter="refuse"))
    with pytest.raises(PreparationError, match="takes 500 Hz, got 250 Hz"):
        prepare(ECG(heart(12, 2500), STANDARD_LEADS, 250), replace(TWELVE, resample="refuse"))


def test_short_records_are_zeros_at_the_end_before_the_filters():
    signal = heart(12, 20).astype(np.float32)  # shorter than the filters' padding
    ecg = ECG(signal, STANDARD_LEADS, 500)
    with pytest.raises(PreparationError, match=r"needs at least 5 s, got 0\.04 s: record longer"):
        prepare(ecg, TWELVE)
    prepared = prepare(ecg, replace(TWELVE, shortest_seconds=0.0))
    assert np.array_equal(prepared.windows, apply(np.pad(signal, ((0, 0), (0, 4980)))[None], TWELVE))
    assert prepared.real_samples.tolist() == [20]


def test_gaps_become_zero_first_and_are_told():
    signal = heart()
    signal[4, 1000:1300] = np.nan
    signal[11] = np.nan
    zeros = np.nan_to_num(signal).astype(np.float32)
    prepared = prepare(ECG(signal, STANDARD_LEADS, 500), TWELVE)
    assert np.array_equal(prepared.windows, apply(zeros[None], TWELVE))
    assert "not recorded" in prepared.notes[0]
    assert np.array_equal(apply(signal[None].astype(np.float32), TWELVE), prepared.windows)
    with pytest.raises(PreparationError, match="no gaps"):
        prepare(ECG(signal, STANDARD_LEADS, 500), replace(TWELVE, not_recorded="refuse"))


def test_a_flat_record_gives_zeros_not_nan():
    assert not apply(np.zeros((1, 12, 5000)), TWELVE).any()
    assert np.isfinite(apply(np.full((1, 12, 5000), 0.3), TWELVE)).all()


def test_one_lead_is_scaled_by_itself_and_may_be_any():
    signal = heart(2).astype(np.float32)
    ecg = ECG(signal, ("I", "II"), 500)
    assert prepare(ecg, ONE).windows.shape == (1, 1, 5000)
    assert np.abs(prepare(ecg, ONE).windows[0] - restated(signal[:1].astype(np.float64))).max() < 1e-6
    third = prepare(ecg, ecgfounder("ecgfounder_iii", ["III"]))
    assert third.notes == ("III derived from I and II",)
    assert np.abs(third.windows[0] - restated(np.diff(signal.astype(np.float64), axis=0))).max() < 1e-6


def test_missing_leads_are_refused():
    with pytest.raises(PreparationError, match="V1, V2, V3, V4, V5, V6"):
        prepare(ECG(heart(2), ("I", "II"), 500), TWELVE)


def test_microvolts_are_a_unit():
    signal = heart()
    plain = replace(TWELVE, unit="uV", steps=())
    windows = prepare(ECG(signal, STANDARD_LEADS, 500), plain).windows
    assert np.allclose(windows[0], signal * 1000, rtol=1e-5)


@pytest.mark.parametrize("shape", [(12, 5000), (1, 11, 5000), (1, 12, 4999)])
def test_apply_refuses_another_layout(shape):
    with pytest.raises(PreparationError, match="12 leads, 5000 samples"):
        apply(np.zeros(shape), TWELVE)


@pytest.mark.parametrize("preset", [TWELVE, ONE, replace(TWELVE, steps=(), fs=250.0, longer="first_window")])
def test_a_preparation_equals_its_json(preset):
    text = json.dumps(preset.to_json())
    again = Preparation.from_json(json.loads(text))
    assert again == preset
    assert hash(again) == hash(preset)
    assert json.dumps(again.to_json()) == text


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"fz": 500}, "'fz' is unknown: use name, leads, unit, fs"),
        ({"unit": "V"}, "'V' is unknown: use mV, uV"),
        ({"longer": ["first_window"]}, "unknown: use windows_anchored"),
        ({"fs": "500"}, "fs must be a finite number"),
        ({"window_seconds": 0.0001}, "whole number of samples"),
        ({"leads": ["I", "I"]}, "differ"),
        ({"leads": []}, "differ"),
        ({"steps": [{"step": "wavelet"}]}, "step 'wavelet' is unknown: use notch, bandpass"),
        ({"steps": [{"step": "notch", "hz": 50, "Q": 3}]}, "parameter of notch 'Q' is unknown: use hz, q"),
        ({"steps": [{"step": "notch", "hz": 50}]}, "needs q"),
        ({"steps": [{"step": "notch", "hz": 50, "q": True}]}, "q of notch must be a finite number"),
        ({"steps": [{"hz": 50}]}, "is written as"),
        ({"steps": ["notch"]}, "is written as"),
    ],
)
def test_json_that_says_something_else_is_refused(change, match):
    with pytest.raises(UsageError, match=match):
        Preparation.from_json(TWELVE.to_json() | change)


def test_nothing_absent_is_assumed():
    values = TWELVE.to_json()
    del values["longer"], values["fs"]
    with pytest.raises(UsageError, match="lacks fs, longer"):
        Preparation.from_json(values)


def test_a_preparation_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        TWELVE.fs = 250.0  # type: ignore[misc]
    assert Step.of("notch", q=30.0, hz=50.0) == Step.of("notch", hz=50.0, q=30.0)


def read(path, stop: int | None = None) -> ECG:
    """The twelve leads of a WFDB record by the wfdb package."""
    record = import_wfdb().rdrecord(str(path), sampto=stop)
    return ECG(select((record.p_signal.T, record.sig_name), STANDARD_LEADS), STANDARD_LEADS, record.fs)


def test_hundred_hertz_versions_of_real_records_come_near_their_500_hz_originals(shared):
    """PTB-XL's own 100 Hz files lie about two thirds of a 500 Hz sample late; one sample is allowed for here."""
    folder = shared / "data" / "ecg"
    with (folder / "records.csv").open() as table:
        ids = {
            row["record_id"]: row["patient_id"] for row in csv.DictReader(table) if row["source"].startswith("ptbxl")
        }
    pairs = [(f"HR{name[:5]}", name) for name in ids if name.endswith("_lr") and f"HR{name[:5]}" in ids]
    assert len(pairs) >= 4
    for fast, slow in pairs:
        assert ids[fast] == ids[slow]
        original = prepare(read(folder / "ptbxl" / fast), TWELVE).windows[0, :, 300:4700]
        resampled = prepare(read(folder / "ptbxl_100hz" / slow), TWELVE).windows[0]
        error = np.sqrt(np.mean((original - resampled[:, 299:4699]) ** 2))
        assert error < 0.15  # z units; 0.055 to 0.064 in three, 0.13 in one


def test_thousand_hertz_records_come_near_filtering_at_their_own_rate(shared):
    errors = []
    for header in sorted((shared / "data" / "ecg" / "ptb_diagnostic").glob("*.hea")):
        try:
            ecg = read(header.with_suffix(""), 10000)
        except PreparationError:  # one record states no names
            continue
        own = apply(ecg.signal[None].astype(np.float64), replace(TWELVE, fs=1000.0))[0, :, ::2]
        errors.append(np.sqrt(np.mean((prepare(ecg, TWELVE).windows[0] - own)[:, 250:-250] ** 2)))
    assert len(errors) >= 8
    assert np.median(errors) < 0.02  # z units
    assert max(errors) < 0.1
