"""Filters against scipy lead by lead, and what must hold for any signal."""

from __future__ import annotations

import platform
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.signal import butter, filtfilt, iirnotch, medfilt

from cardioloom.errors import PreparationError
from cardioloom.prepare.filters import (
    LANES,
    bandpass,
    median_baseline,
    notch,
    rate_ratio,
    resample_official,
    resample_polyphase,
    zscore_record,
)

RNG = np.random.default_rng(11)
# Elsewhere scipy's own compiler may fuse a multiplication with an addition.
SAME_ARITHMETIC = platform.machine() in ("x86_64", "AMD64")


def walk(*shape: int) -> np.ndarray:
    """Random walks: they wander like an ECG's baseline and start and end away from zero."""
    return np.cumsum(RNG.normal(size=shape), axis=-1) * 0.02 + 0.3


def assert_same(got: np.ndarray, wanted: np.ndarray) -> None:
    if SAME_ARITHMETIC:
        assert np.array_equal(got, wanted)
    else:
        assert np.allclose(got, wanted, rtol=0, atol=1e-6 * max(1.0, float(np.abs(wanted).max())))


def by_scipy(coefficients: Any, signal: np.ndarray) -> np.ndarray:
    b, a = coefficients
    rows = signal.reshape(-1, signal.shape[-1])
    return np.stack([filtfilt(b, a, row) for row in rows]).reshape(signal.shape)


@pytest.mark.parametrize("fs", [250.0, 360.0, 400.0, 500.0])
@pytest.mark.parametrize("n", [28, 257, 5000])
def test_notch_and_bandpass_equal_scipy(fs, n):
    signal = walk(3, n)
    assert_same(notch(signal, fs), by_scipy(iirnotch(50, 30, fs), signal))
    assert_same(bandpass(signal, fs), by_scipy(butter(4, [0.67, 40], "bandpass", fs=fs), signal))


@pytest.mark.parametrize(
    ("hz", "q", "low", "high", "order"), [(60, 20, 0.5, 45, 2), (50, 5, 1, 30, 1), (60, 30, 5, 15, 3)]
)
def test_other_parameters_equal_scipy(hz, q, low, high, order):
    signal = walk(2, 900)
    assert_same(notch(signal, 500, hz=hz, q=q), by_scipy(iirnotch(hz, q, 500), signal))
    wanted = by_scipy(butter(order, [low, high], "bandpass", fs=500), signal)
    assert_same(bandpass(signal, 500, low=low, high=high, order=order), wanted)


@pytest.mark.parametrize(("fs", "kernel"), [(500.0, 201), (250.0, 101), (100.0, 41), (360.0, 145), (1.0, 1)])
def test_median_baseline_equals_scipy(fs, kernel):
    signal = walk(2, 700)
    wanted = signal - np.stack([medfilt(row, kernel) for row in signal])
    assert np.array_equal(median_baseline(signal, fs), wanted)


def test_zscore_equals_the_official_formula():
    signal = walk(12, 5000)
    assert np.array_equal(zscore_record(signal), (signal - np.mean(signal)) / (np.std(signal) + 1e-8))


@pytest.mark.parametrize(
    "function", [lambda x: notch(x, 500), lambda x: bandpass(x, 500), lambda x: median_baseline(x, 500), zscore_record]
)
@pytest.mark.parametrize("shape", [(1, 1, 300), (3, 12, 300), (2, LANES + 1, 300), (0, 12, 300)])
def test_batch_equals_single_and_input_is_untouched(function, shape):
    signal = walk(*shape).astype(np.float32)
    signal.flags.writeable = False
    before = signal.copy()
    together = function(signal)
    assert together.shape == shape
    assert together.dtype == np.float64
    for record, alone in zip(signal, together, strict=True):
        assert np.array_equal(function(record), alone)
    assert np.array_equal(signal, before)


@settings(deadline=None, max_examples=25)
@given(order=st.permutations(range(5)))
def test_permuting_leads_permutes_the_result(order):
    signal = np.random.default_rng(3).normal(size=(5, 400))
    for function in (notch, bandpass, median_baseline):
        assert np.array_equal(function(signal[order], 500), function(signal, 500)[order])


@settings(deadline=None, max_examples=40)
@given(
    signal=arrays(np.float64, (2, 30), elements=st.floats(-5, 5)),
    scale=st.floats(0.01, 100),
    offset=st.floats(-10, 10),
)
def test_zscore_ignores_scale_and_offset(signal, scale, offset):
    if min(1, scale) * signal.std() > 1e-3:  # far above epsilon
        scaled = zscore_record(scale * signal + offset)
        assert np.allclose(scaled, zscore_record(signal), rtol=1e-4, atol=1e-9)
        assert abs(scaled.mean()) < 1e-9
        assert scaled.std() == pytest.approx(1, rel=1e-4)


def test_constant_record_becomes_zeros():
    assert not zscore_record(np.full((12, 100), 0.7)).any()


def test_slices_of_any_stride_are_taken():
    signal = walk(400, 6).T
    assert np.array_equal(bandpass(signal[::2], 500), bandpass(np.ascontiguousarray(signal[::2]), 500))


@pytest.mark.parametrize(("function", "shortest"), [(notch, 10), (bandpass, 28)])
def test_signals_shorter_than_the_padding_are_refused(function, shortest):
    assert function(walk(2, shortest), 500).shape == (2, shortest)
    with pytest.raises(PreparationError, match=f"more than {shortest - 1} samples"):
        function(walk(2, shortest - 1), 500)


@pytest.mark.parametrize("function", [notch, bandpass, median_baseline])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_gaps_are_refused_rather_than_spread(function, bad):
    signal = walk(2, 300)
    signal[1, 100] = bad
    with pytest.raises(PreparationError, match="finite"):
        function(signal, 500)


def test_bands_beyond_half_the_rate_are_refused():
    with pytest.raises(PreparationError, match="rate above 100 Hz"):
        notch(walk(1, 300), 100)
    with pytest.raises(PreparationError, match="rate above 80 Hz"):
        bandpass(walk(1, 300), 80)


@pytest.mark.parametrize("fs", [100.0, 128.0, 250.0, 257.0, 360.0, 400.0, 976.5625, 1000.0])
def test_polyphase_keeps_a_sine_in_place(fs):
    n = round(10 * fs)
    sine = np.sin(2 * np.pi * 7 * np.arange(n) / fs)[None]
    resampled = resample_polyphase(sine, fs, 500.0)
    assert resampled.shape == (1, -(-n * rate_ratio(fs, 500.0).numerator // rate_ratio(fs, 500.0).denominator))
    wanted = np.sin(2 * np.pi * 7 * np.arange(resampled.shape[1]) / 500)
    assert np.abs(resampled[0] - wanted)[250:-250].max() < 5e-3


def test_polyphase_lets_no_alias_through():
    tone = np.sin(2 * np.pi * 480 * np.arange(10000) / 1000)[None]  # would fold to 20 Hz at 500 Hz
    assert np.abs(resample_polyphase(tone, 1000, 500)[0, 250:-250]).max() < 5e-3
    assert np.abs(resample_official(tone, 1000)[0, 250:-250]).max() > 0.5


def test_polyphase_does_not_ring_on_an_offset():
    assert np.abs(resample_polyphase(np.full((1, 1000), 3.0), 100, 500) - 3.0).max() < 3e-3  # all along: 0.1 % ripple


@pytest.mark.parametrize(("fs_in", "fs_out"), [(0.0, 500.0), (-1.0, 500.0), (np.nan, 500.0), (1e7, 500.0)])
def test_impossible_rates_are_refused(fs_in, fs_out):
    with pytest.raises(PreparationError, match="Hz"):
        resample_polyphase(np.zeros((1, 100)), fs_in, fs_out)


def test_the_room_imports_neither_numba_nor_scipy_signal():
    code = "import sys, cardioloom.prepare; assert not {'numba', 'scipy.signal'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
