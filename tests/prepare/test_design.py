"""Filter design against scipy, and what must hold for any filter of its kind."""

from __future__ import annotations

import platform
import subprocess
import sys
from typing import Any

import numpy as np
from hypothesis import assume, example, given
from hypothesis import strategies as st
from scipy.signal import butter, iirnotch, lfilter, lfilter_zi

from cardioloom.prepare import design

SAME_ARITHMETIC = platform.machine() in ("x86_64", "AMD64")  # elsewhere a compiler may fuse two operations
RATES = st.floats(50.0, 20_000.0)


def assert_same(got: np.ndarray, wanted: np.ndarray) -> None:
    if SAME_ARITHMETIC:
        np.testing.assert_array_equal(got, wanted)
    else:
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-12)


@given(RATES, st.floats(1e-3, 0.999), st.floats(0.5, 200.0))
@example(500.0, 0.2, 30.0)
@example(360.0, 50 / 180, 30.0)
def test_notch_equals_scipy(fs: float, share: float, q: float) -> None:
    hz = share * fs / 2
    wanted: Any = iirnotch(hz, q, fs)
    for got, part in zip(design.notch(fs, hz, q), wanted, strict=True):
        assert_same(got, part)


@given(RATES, st.floats(1e-4, 0.98), st.floats(1e-4, 0.98), st.integers(1, 8))
@example(500.0, 0.67 / 250, 40 / 250, 4)
@example(1000.0, 0.05 / 500, 150 / 500, 2)
def test_band_pass_and_its_settled_state_equal_scipy(fs: float, one: float, other: float, order: int) -> None:
    low, high = sorted((one * fs / 2, other * fs / 2))
    assume(high > 1.01 * low)
    wanted: Any = butter(order, [low, high], btype="bandpass", fs=fs)
    assume(all(np.isrealobj(part) for part in wanted))  # scipy leaves an imaginary part of rounding where it finds one
    found = design.butterworth_bandpass(fs, low, high, order)
    for got, part in zip(found, wanted, strict=True):
        assert_same(got, part)
    b, a = found[0] / found[1][0], found[1] / found[1][0]
    try:
        settled = lfilter_zi(b, a)
    except np.linalg.LinAlgError:
        assume(False)  # a band so narrow and low that its poles lie on 1 to the last bit
    else:
        if SAME_ARITHMETIC:  # elsewhere LAPACK's rounding, many times enlarged, may be another
            np.testing.assert_array_equal(design.settled(b, a), settled)


@given(RATES, st.floats(0.1, 0.9), st.integers(1, 4))
def test_band_pass_is_3_db_down_at_its_edges(fs: float, share: float, order: int) -> None:
    low, high = share * fs / 4, 1.8 * share * fs / 4
    b, a = design.butterworth_bandpass(fs, low, high, order)
    turn = np.exp(-2j * np.pi * np.arange(len(b)) * np.array([[low], [high]]) / fs)
    gain = turn @ b / (turn @ a)
    np.testing.assert_allclose(np.abs(gain), np.sqrt(0.5), rtol=1e-4)


@given(RATES, st.floats(0.05, 0.9), st.floats(1.0, 50.0))
def test_a_constant_stays_constant_from_the_settled_state_on(fs: float, share: float, q: float) -> None:
    b, a = design.notch(fs, share * fs / 2, q)
    out, _ = lfilter(b, a, np.ones(50), zi=design.settled(b, a))
    np.testing.assert_allclose(out, 1.0, rtol=1e-9)


def test_filters_do_without_scipy() -> None:
    """Its import costs more than a second of every start."""
    code = (
        "import sys, numpy as np; from cardioloom.prepare.filters import bandpass, notch; "
        "bandpass(notch(np.ones((1, 500)), 500.0), 500.0); sys.exit('scipy.signal' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
