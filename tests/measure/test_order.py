"""The quick order statistics equal numpy's to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from cardioloom.measure.order import median, middle

FINITE = st.floats(-1e6, 1e6)


@given(arrays(np.float64, array_shapes(min_dims=3, max_dims=3, max_side=9), elements=FINITE), st.integers(0, 2))
def test_median_equals_numpy(values: np.ndarray, axis: int) -> None:
    np.testing.assert_array_equal(median(values, axis), np.median(values, axis=axis))


@given(arrays(np.float64, st.integers(1, 40), elements=FINITE))
def test_middle_equals_numpy(values: np.ndarray) -> None:
    before = values.copy()
    assert middle(values) == np.median(values)
    np.testing.assert_array_equal(values, before)


def test_there_is_no_median_of_nothing() -> None:
    with pytest.raises(IndexError):
        middle(np.empty(0))
