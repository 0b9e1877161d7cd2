"""The path of a trace, against a slow second way of writing it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardioloom.report import paper
from cardioloom.report.strip import extremes

SAMPLE_MV = st.one_of(st.floats(-4, 4, width=32), st.sampled_from((0.0, -0.0, np.nan, -2e-4, 9.9999)))


def slow(samples: np.ndarray, fs: float, gain: float, speed: float, first_s: float) -> str:
    """Point by point: M after a gap, else L."""
    path, is_down = "", False
    for k in extremes(samples, int(fs / (speed * paper.POINTS_PER_MM / 2))).tolist():
        x = round(float(np.round((k / fs + first_s) * speed, 2)), 2) + 0.0
        y = float(np.round(-np.float64(samples[k]) * gain, 2)) + 0.0
        if y == y:
            path += f"{'L' if is_down else 'M'}{x:.6g} {y:.6g}"
        is_down = y == y
    return path


@given(
    st.lists(SAMPLE_MV, max_size=60),
    st.sampled_from((100.0, 360.0, 500.0, 1000.0)),
    st.sampled_from((0.5, 10.0, 20.0)),
    st.sampled_from((0.0, 0.0013)),
)
def test_a_trace_is_written_as_point_by_point(samples, fs, gain, first_s):
    row = np.array(samples, np.float32)
    for speed in (25.0, 50.0):
        assert paper.trace(row, fs, gain=gain, speed=speed, first_s=first_s) == slow(row, fs, gain, speed, first_s)


@pytest.mark.parametrize("peak", [9.99, 10.0, 10.01, 24.999, 25.0, 25.01, 3000.0])
def test_lengths_beyond_the_table_are_written_alike(peak):
    for sign in (1, -1):
        row = np.array([0.0, sign * peak, np.nan, 0.123], np.float32)
        assert paper.trace(row, 500.0, gain=10.0) == slow(row, 500.0, 10.0, paper.SPEED, 0.0)


def test_a_long_trace_runs_past_the_table():
    row = np.sin(np.arange(6000) / 9).astype(np.float32)
    path = paper.trace(row, 500.0, gain=10.0)
    assert path == slow(row, 500.0, 10.0, paper.SPEED, 0.0)
    assert path.endswith(f"L299.95 {-10 * row[-1]:.2f}".rstrip("0"))
