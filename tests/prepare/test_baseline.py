"""Clipping, baselines by least squares and groups of leads, beside sparse solves and the ancestors' values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardioloom.errors import PreparationError
from cardioloom.prepare import PRESETS, Preparation, apply
from cardioloom.prepare.baseline import clip_record, least_squares_baseline, zscore_groups


def foreign(row: np.ndarray, stiffness: float, p: float, iterations: int) -> np.ndarray:
    """The baseline by scipy's sparse solver."""
    from scipy import sparse

    n = len(row)
    one = sparse.csr_array(sparse.eye_array(n))
    second = one[:-2] - 2 * one[1:-1] + one[2:]
    weight, baseline = np.ones(n), row
    for _ in range(iterations):
        matrix = sparse.diags_array(weight) + stiffness * second.T @ second
        baseline = sparse.linalg.spsolve(matrix.tocsc(), weight * row)
        weight = p * (row > baseline) + (1 - p) * (row < baseline)
    return baseline


def drifting(*shape: int) -> np.ndarray:
    return np.random.default_rng(2).standard_normal(shape).cumsum(-1) / 10


@settings(max_examples=25, deadline=None)
@given(
    samples=st.integers(4, 60),
    rows=st.integers(1, 20),
    stiffness=st.sampled_from((1e-2, 10.0, 1e5)),
    p=st.sampled_from((0.01, 0.3, 0.9)),
    iterations=st.integers(1, 6),
)
def test_equal_to_the_sparse_solve(samples: int, rows: int, stiffness: float, p: float, iterations: int):
    signal = drifting(rows, samples)
    wanted = np.stack([row - foreign(row, stiffness, p, iterations) for row in signal])
    found = least_squares_baseline(signal, stiffness=stiffness, p=p, iterations=iterations)
    assert np.abs(found - wanted).max() < 1e-7


def test_equal_to_the_sparse_solve_at_full_length():
    signal = drifting(2, 5000)
    wanted = np.stack([row - foreign(row, 1e7, 0.3, 5) for row in signal])
    assert np.abs(least_squares_baseline(signal) - wanted).max() < 1e-6


def test_three_samples_follow_the_dense_formula():
    signal, turn = np.array([1.0, 5.0, 2.0]), np.array([1.0, -2.0, 1.0])
    wanted = signal - np.linalg.solve(np.eye(3) + 2 * np.outer(turn, turn), signal)
    assert np.allclose(least_squares_baseline(signal, stiffness=2, iterations=1), wanted)


def test_lines_are_their_own_baseline_and_zeros_stay():
    signal = np.zeros((3, 2000))
    signal[1] = np.linspace(-1, 4, 2000)
    signal[2, 900:910] = 1.0
    found = least_squares_baseline(signal)
    assert np.isfinite(found).all()
    assert not found[0].any()
    assert np.abs(found[1]).max() < 1e-5
    assert found[2, 905] > 0.9


def test_rows_do_not_depend_on_each_other_and_the_input_stays():
    signal = drifting(3, 12, 800)
    before = signal.copy()
    together = least_squares_baseline(signal)
    assert np.array_equal(together[1, 7], least_squares_baseline(signal[1, 7]))
    assert np.array_equal(signal, before)


def test_clipping_is_around_zero_by_the_spread_of_the_record():
    signal = np.random.default_rng(3).standard_normal((2, 12, 500)) + 1
    signal[0, 4, 10], signal[0, 4, 11] = 90.0, -90.0
    found = clip_record(signal, deviations=3)
    limit = 3 * signal[0].std()
    assert (found[0, 4, 10], found[0, 4, 11]) == (limit, -limit)
    assert np.array_equal(found[1], np.clip(signal[1], -3 * signal[1].std(), 3 * signal[1].std()))


def test_groups_of_leads_are_scaled_together():
    signal = drifting(2, 12, 300)
    signal[1, 3:6] = 2.0
    found = zscore_groups(signal)
    for group in (slice(0, 3), slice(3, 6), slice(6, 12)):
        assert np.allclose(found[0, group], (signal[0, group] - signal[0, group].mean()) / signal[0, group].std())
    assert not found[1, 3:6].any()


def test_ancestors_values_and_the_preset(shared):
    with np.load(shared / "golden" / "ptacl_ancestors" / "preprocessing_A1980_open.npz") as file:
        golden = dict(file)
    clipped = clip_record(golden["x"])
    assert np.abs(clipped[0] - golden["clamped_lead0"]).max() < 1e-12
    baseline = clipped - least_squares_baseline(clipped)
    assert np.abs(baseline[:2] - golden["baseline_lead0_1"]).max() < 1e-8
    assert np.abs(zscore_groups(golden["x"]) - golden["norm_group"]).max() < 1e-5
    assert (
        np.abs(apply(golden["x"][None], replace(PRESETS["mmcl"], window_seconds=5.0))[0] - golden["processed"]).max()
        < 1e-5
    )
    assert Preparation.from_json(PRESETS["mmcl"].to_json()) == PRESETS["mmcl"]


def test_what_cannot_be_is_refused():
    signal = drifting(12, 100)
    for numbers in ({"stiffness": 0.0}, {"p": 1.0}, {"p": 0.0}, {"iterations": 0}, {"iterations": 2.5}):
        with pytest.raises(PreparationError, match="stiffness above 0, p in 0–1 and whole iterations"):
            least_squares_baseline(signal, **numbers)
    with pytest.raises(PreparationError, match="at least 3 samples, got 2"):
        least_squares_baseline(signal[:, :2])
    with pytest.raises(PreparationError, match="needs finite samples"):
        least_squares_baseline(np.full(100, np.inf))
    with pytest.raises(PreparationError, match=r"need 12 leads in the standard order, got the shape \(8, 100\)"):
        zscore_groups(signal[:8])
