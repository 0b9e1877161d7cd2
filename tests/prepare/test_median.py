"""The rolling median against scipy and against a brute force, on signals that are hard to sort."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.signal import medfilt

from cardioloom.errors import PreparationError
from cardioloom.prepare import median
from cardioloom.prepare.median import rolling_median

RNG = np.random.default_rng(7)
HARD = {
    "noise": RNG.normal(size=3000),
    "constant": np.full(900, 1.5),
    "zeros": np.zeros(700),
    "negative zeros": np.where(RNG.random(800) < 0.5, -0.0, 0.0),
    "square wave": np.sign(np.sin(np.arange(2000) / 37)),
    "steps of counts": np.round(RNG.normal(size=2500) * 3) * 0.005,
    "one huge spike": np.where(np.arange(2000) == 777, 1e12, RNG.normal(size=2000) * 1e-9),
    "all magnitudes": RNG.normal(size=2000) * 10.0 ** RNG.integers(-300, 300, 2000),
    "same leading bits, falling": 1000.0 - np.arange(3000) * 1e-10,
    "offset": 1e6 + RNG.normal(size=2000) * 1e-6,
}


def brute_force(row: np.ndarray, kernel: int) -> np.ndarray:
    padded = np.pad(row, kernel // 2)
    return np.array([np.median(padded[i : i + kernel]) for i in range(len(row))])


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("kernel", [1, 3, 201])
def test_equals_scipy(name, kernel):
    assert np.array_equal(rolling_median(HARD[name], kernel), medfilt(HARD[name], kernel))


@settings(deadline=None, max_examples=60)
@given(
    row=arrays(np.float64, st.integers(1, 60), elements=st.floats(-1e300, 1e300)),
    half=st.integers(0, 40),
)
def test_equals_brute_force(row, half):
    assert np.array_equal(rolling_median(row, 2 * half + 1), brute_force(row, 2 * half + 1))


def test_blocks_join_without_a_seam(monkeypatch):
    row = RNG.normal(size=(2, 1000))
    whole = rolling_median(row, 51)
    monkeypatch.setattr(median, "BLOCK_SAMPLES", 97)
    assert np.array_equal(rolling_median(row, 51), whole)


def test_long_row_of_several_blocks():
    row = RNG.normal(size=2 * median.BLOCK_SAMPLES + 5)
    assert np.array_equal(rolling_median(row, 201), medfilt(row, 201))


def test_each_row_alone_and_input_untouched():
    signal = RNG.normal(size=(3, 4, 500)).astype(np.float32)
    before = signal.copy()
    medians = rolling_median(signal, 21)
    assert medians.shape == signal.shape
    assert medians.dtype == np.float64
    assert np.array_equal(medians[2, 1], rolling_median(signal[2, 1], 21))
    assert np.array_equal(signal, before)


@pytest.mark.parametrize("kernel", [0, 2, 200, -1])
def test_refuses_a_kernel_without_a_middle(kernel):
    with pytest.raises(PreparationError, match="odd"):
        rolling_median(np.zeros(10), kernel)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_refuses_what_has_no_order(bad):
    with pytest.raises(PreparationError, match="finite"):
        rolling_median(np.array([1.0, bad, 2.0]), 3)


def test_works_where_numba_finds_no_cache_folder(monkeypatch):
    import numba

    def njit(cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: function

    monkeypatch.setattr(numba, "njit", njit)

    def probe():
        return 1

    assert median.compiled(probe) is probe
