"""Records → integers of a fixed shape: nothing is lost where nothing must be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardioloom.errors import PreparationError
from cardioloom.prepare.filters import resample_polyphase
from cardioloom.records import ECG, STANDARD_LEADS, Counts
from cardioloom.store.fit import COUNTS_PER_MV, signal_hash, stored_ecg, stored_frames
from cardioloom.store.layout import NOT_RECORDED, Layout, Modality, ecg_modality
from synthetic import ecg


def layout(fs: float = 500.0, seconds: float = 2.0, fit: str = "resample") -> Layout:
    return Layout({"ecg": ecg_modality(fs, seconds)}, fs, fit=fit)


def counted(values: np.ndarray, gain: float = 200.0, baseline: float = 7.0, fs: float = 500.0) -> ECG:
    n = len(values)
    counts = Counts(values, np.full(n, gain), np.full(n, baseline), (-32768,) * n)
    return ECG(counts, STANDARD_LEADS[:n], fs)


def random_counts(seed: int = 0, n: int = 1000) -> np.ndarray:
    return np.random.default_rng(seed).integers(-3000, 3000, (12, n)).astype(np.int16)


def test_the_recorders_integers_are_kept():
    values = random_counts()
    values[3, 10:20] = -32768
    stored = stored_ecg(counted(values), layout())
    np.testing.assert_array_equal(stored.counts, values)
    assert stored.changes == ()
    assert set(stored.gain) == {200.0}
    assert set(stored.baseline) == {7.0}


def test_leads_are_taken_by_name():
    values = random_counts()
    turned = ECG(Counts(values[::-1], np.full(12, 200.0), np.zeros(12)), STANDARD_LEADS[::-1], 500.0)
    np.testing.assert_array_equal(stored_ecg(turned, layout()).counts, values)


def test_a_longer_record_loses_its_end_and_a_shorter_one_is_continued_as_not_recorded():
    values = random_counts(n=1200)
    long = stored_ecg(counted(values), layout())
    np.testing.assert_array_equal(long.counts, values[:, :1000])
    assert long.changes == ("cropped",)
    short = stored_ecg(counted(values[:, :900]), layout())
    np.testing.assert_array_equal(short.counts[:, :900], values[:, :900])
    assert (short.counts[:, 900:] == NOT_RECORDED).all()
    assert short.changes == ("padded",)


def test_eight_leads_become_twelve_exactly():
    values = random_counts()[:8]
    eight = ECG(
        Counts(values, np.full(8, 200.0), np.full(8, 3.0)), ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6"), 500.0
    )
    stored = stored_ecg(eight, layout())
    assert stored.changes == ()
    millivolts = (stored.counts - stored.baseline[:, None]) / stored.gain[:, None]
    np.testing.assert_allclose(millivolts[2], millivolts[1] - millivolts[0], atol=1e-12)
    np.testing.assert_allclose(millivolts[3], -(millivolts[0] + millivolts[1]) / 2, atol=1e-12)


def test_another_rate_is_resampled_and_rounded_to_a_microvolt():
    record = ecg(seconds=2.5, fs=360.0)
    stored = stored_ecg(record, layout())
    assert stored.changes == ("resampled", "cropped", "rounded")
    plain = resample_polyphase(record.signal.astype(float), 360.0, 500.0)[:, :1000]
    away = np.abs(stored.counts / COUNTS_PER_MV - plain)
    assert away.max() <= 0.5 / COUNTS_PER_MV + 1e-9


def test_gaps_stay_gaps_when_resampled():
    record = ecg(seconds=2.0, fs=250.0)
    signal = record.signal.copy()
    signal[2, 100:200] = np.nan
    stored = stored_ecg(replace(record, samples=signal), layout())
    gone = stored.counts == NOT_RECORDED
    assert gone[2, 205:395].all()
    assert not gone[2, :195].any()
    assert not gone[0].any()


def test_what_is_beyond_16_bits_gets_a_coarser_count():
    values = random_counts().astype(np.int32) * 100
    stored = stored_ecg(counted(values, gain=1000.0, baseline=0.0), layout())
    assert stored.changes == ("rounded",)
    assert (stored.gain < 1000.0).all()
    millivolts = stored.counts / stored.gain[:, None]
    assert np.abs(millivolts - values / 1000.0).max() <= 0.5 / stored.gain.min() + 1e-9


def test_refusing_layout_says_what_it_takes():
    with pytest.raises(PreparationError, match="1000 samples at 500 Hz, got 720 at 360 Hz"):
        stored_ecg(ecg(seconds=2.0, fs=360.0), layout(fit="refuse"))


@given(gain=st.sampled_from([100.0, 200.0, 250.0, 1000.0]), shift=st.integers(-500, 500))
def test_one_signal_has_one_hash_whatever_gain_and_baseline(gain: float, shift: int):
    millivolts = np.random.default_rng(5).integers(-75, 75, (12, 50)) / 50.0
    values = np.rint(millivolts * gain).astype(np.int16) + np.int16(shift)
    own = signal_hash(values, np.full(12, gain), np.full(12, float(shift)), STANDARD_LEADS)
    plain = signal_hash(np.rint(millivolts * 1000).astype(np.int16), np.full(12, 1000.0), np.zeros(12), STANDARD_LEADS)
    assert own == plain
    values[7, 3] += 1
    assert signal_hash(values, np.full(12, gain), np.full(12, float(shift)), STANDARD_LEADS) != own


def test_frames_that_are_integers_are_kept_and_floats_use_the_whole_range():
    kept = stored_frames(np.arange(24, dtype=np.uint8).reshape(2, 1, 3, 4), Modality("cine_sax", (2, 3, 4), "uint16"))
    np.testing.assert_array_equal(kept.counts.ravel(), np.arange(24))
    assert kept.changes == ()
    values = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    scaled = stored_frames(values, Modality("cine_sax", (2, 3, 4), "uint16"))
    assert scaled.changes == ("rounded",)
    back = (scaled.counts - scaled.baseline[0]) / scaled.gain[0]
    assert np.abs(back - values).max() <= 0.6 / scaled.gain[0]
    assert scaled.counts.min() == 0
    assert scaled.counts.max() == 65535


@pytest.mark.parametrize(("frames", "words"), [(np.zeros((3, 3, 4)), "shape"), (np.full((2, 3, 4), np.nan), "finite")])
def test_frames_that_cannot_be_are_refused(frames: np.ndarray, words: str):
    with pytest.raises(PreparationError, match=words):
        stored_frames(frames, Modality("cine_sax", (2, 3, 4), "uint16"))
