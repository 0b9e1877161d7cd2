"""Heart rate and RR interval."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardioloom.measure.rate import measure_rate, rr_intervals_s

NO_GAPS = np.empty((0, 2))


def slow_intervals(peaks: np.ndarray, gaps: np.ndarray) -> list[float]:
    """The definition, one pair at a time."""
    pairs = pairwise(peaks)
    return [b - a for a, b in pairs if not any(begin < b and end > a for begin, end in gaps)]


@given(
    st.lists(st.integers(0, 1000), min_size=0, max_size=40, unique=True),
    st.lists(st.tuples(st.integers(0, 999), st.integers(1, 200)), min_size=0, max_size=6),
)
def test_intervals_are_those_that_no_interruption_touches(peaks: list[int], stretches: list[tuple[int, int]]):
    """Interruptions may overlap, hold beats, begin or end at one."""
    beats = np.sort(np.array(peaks, float))
    gaps = np.array([[start, start + length] for start, length in stretches], float).reshape(-1, 2)
    np.testing.assert_allclose(rr_intervals_s(beats, gaps), slow_intervals(beats, gaps))


def test_rate_is_beats_a_minute():
    measured, abstained = measure_rate(np.array([0.0, 1.0, 1.5, 3.0]), NO_GAPS)
    assert measured["heart_rate"].value == pytest.approx(60.0)
    assert measured["rr_interval"].value == pytest.approx(1000.0)
    assert measured["rr_interval"].sd == pytest.approx(500.0)
    assert measured["heart_rate"].sd == pytest.approx(np.std([60, 120, 40], ddof=1))
    assert measured["heart_rate"].n == 3
    assert abstained == []


@pytest.mark.parametrize(
    ("peaks", "says"),
    [
        ([], "no beat was found"),
        ([1.0], "only one beat was found, and an interval needs two"),
        ([1.0, 3.0], "2 beats were found, but the recording is interrupted between each two of them"),
    ],
)
def test_without_an_interval_it_abstains_with_the_reason(peaks: list[float], says: str):
    measured, abstained = measure_rate(np.array(peaks), np.array([[1.5, 2.0]]))
    assert measured == {}
    assert [(row.what, row.why) for row in abstained] == [("heart_rate", says), ("rr_interval", says)]


def test_intervals_lost_in_noise_have_a_reason_of_their_own():
    measured, abstained = measure_rate(np.array([1.0, 2.0]), NO_GAPS, np.array([[0.0, 3.0]]))
    assert measured == {}
    assert {row.why for row in abstained} == {"no lead is clean enough"}


def test_one_interval_has_no_sd():
    measured, _ = measure_rate(np.array([1.0, 2.0]), NO_GAPS)
    assert measured["heart_rate"].sd is None
