"""Phases against plain loops, against chance, and against cines that begin at another phase."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation import phases
from cardioloom.evaluation.phases import PhaseMatch, best_roll, diagonal_distance, phase_similarity


def embeddings(seed: int = 0, n: int = 40, t: int = 7, width: int = 5, noise: float = 1.0):
    rng = np.random.default_rng(seed)
    cine = rng.normal(size=(n, t, width))
    ecg = cine + noise * rng.normal(size=cine.shape)
    return ecg.astype(np.float32), cine.astype(np.float32), rng.random(n) < 0.7


def cosine(a, b) -> float:
    return float(
        np.dot(a.astype(float), b.astype(float)) / (sum(a.astype(float) ** 2) * sum(b.astype(float) ** 2)) ** 0.5
    )


def slow(ecg, cine, usable, circular):
    """Matrix, mean distance and share on the diagonal, one pair of phases after the other."""
    n_phases = ecg.shape[1]
    matrix, distances, hits = np.zeros((n_phases, n_phases)), [], []
    for i in np.flatnonzero(usable):
        of = [[cosine(ecg[i, k], cine[i, t]) for t in range(n_phases)] for k in range(n_phases)]
        matrix += of
        for k, row in enumerate(of):
            apart = abs(row.index(max(row)) - k)
            distances.append(min(apart, n_phases - apart) if circular else apart)
            hits.append(apart == 0)
    return matrix / sum(usable), np.mean(distances), np.mean(hits)


@pytest.mark.parametrize("circular", [False, True])
@pytest.mark.parametrize("t", [1, 6, 7])
def test_matrix_and_distance_equal_plain_loops(t, circular, monkeypatch):
    monkeypatch.setattr(phases, "BLOCK", 11)
    ecg, cine, usable = embeddings(t, t=t)
    ecg[~usable], cine[~usable] = np.nan, 0
    matrix, distance, on_diagonal = slow(ecg, cine, usable, circular)
    assert phase_similarity(ecg, cine, usable) == pytest.approx(matrix, abs=1e-12)
    found = diagonal_distance(ecg, cine, usable, circular=circular, draws=100)
    assert found["value"] == pytest.approx(distance)
    assert found["on_diagonal"]["value"] == pytest.approx(on_diagonal)
    assert (found["n"], found["n_records"], found["n_unusable"]) == (usable.sum(), 40, (~usable).sum())
    assert (found["phases"], found["circular"]) == (t, circular)
    json.dumps(found)
    match = PhaseMatch.of(ecg, cine, usable, circular=circular)
    assert match.estimate(draws=100) == found
    assert match.distance.mean() == found["value"]
    assert np.array_equal(match.similarity, phase_similarity(ecg, cine, usable))


@pytest.mark.parametrize("circular", [False, True])
@pytest.mark.parametrize("t", [2, 5, 8, 13])
def test_chance_and_constant_are_what_all_answers_give(t, circular):
    found = diagonal_distance(*embeddings(t=t), circular=circular, draws=100)

    def apart(answer: int, k: int) -> int:
        return min(abs(answer - k), t - abs(answer - k)) if circular else abs(answer - k)

    of_answer = [np.mean([apart(answer, k) for k in range(t)]) for answer in range(t)]
    assert found["chance"] == pytest.approx(np.mean(of_answer))
    assert found["constant"] == pytest.approx(min(of_answer))


def test_embeddings_that_know_nothing_come_out_as_chance():
    rng = np.random.default_rng(0)
    ecg, cine = rng.normal(size=(2, 600, 13, 8))
    found = diagonal_distance(ecg, cine, draws=300)
    low, high = found["interval"]
    assert low < found["chance"] < high
    assert high - low < 0.4
    assert found["on_diagonal"]["value"] == pytest.approx(1 / 13, abs=0.015)
    collapsed = np.repeat(rng.normal(size=(9, 1, 8)), 13, axis=1)
    found = diagonal_distance(rng.normal(size=(9, 13, 8)), collapsed, draws=100)
    assert found["value"] == pytest.approx(found["chance"])
    assert found["on_diagonal"]["value"] == pytest.approx(1 / 13)
    assert "no_interval" in found


def test_aligned_phases_lie_on_the_diagonal():
    ecg, cine, usable = embeddings(noise=0.0)
    found = diagonal_distance(ecg, cine, usable, draws=100)
    assert (found["value"], found["on_diagonal"]["value"]) == (0, 1)
    assert "same value" in found["no_interval"]
    assert np.diag(phase_similarity(ecg, cine)) == pytest.approx(1)


@given(st.integers(2, 14), st.integers(-30, 30))
@settings(max_examples=40, deadline=None)
def test_rolling_the_cine_moves_the_diagonal_as_far(t, n):
    ecg, cine, usable = embeddings(t, t=t, width=12, noise=0.5)
    assert best_roll(phase_similarity(ecg, cine, usable)) == 0
    found = best_roll(phase_similarity(ecg, np.roll(cine, n, axis=1), usable))
    assert found % t == n % t
    assert -((t - 1) // 2) <= found <= t // 2
    # A distance round the circle sees the roll too.
    rolled = diagonal_distance(ecg, np.roll(cine, n, axis=1), usable, circular=True, draws=100)
    if found:
        assert rolled["value"] > diagonal_distance(ecg, cine, usable, circular=True, draws=100)["value"]


def test_equal_diagonals_are_not_displaced():
    assert best_roll(np.full((6, 6), 0.3)) == 0
    s = np.zeros((4, 4))
    s[np.arange(4), (np.arange(4) + 1) % 4] = s[np.arange(4), (np.arange(4) - 1) % 4] = 1
    assert best_roll(s) == 1


def test_the_interval_is_of_patients():
    ecg, cine, _ = embeddings(n=60)
    ecg, cine = np.repeat(ecg, 3, axis=0), np.repeat(cine, 3, axis=0)
    of_records = diagonal_distance(ecg, cine, draws=400)
    of_patients = diagonal_distance(ecg, cine, patients=np.repeat(np.arange(60), 3), draws=400)
    assert of_records["value"] == of_patients["value"]
    widths = [np.ptp(found["interval"]) for found in (of_records, of_patients)]
    assert widths[1] == pytest.approx(3**0.5 * widths[0], rel=0.25)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"cine": np.ones((4, 3, 2))}, "of one shape, got \\(4, 3, 5\\) and \\(4, 3, 2\\)"),
        ({"ecg": np.ones((4, 3)), "cine": np.ones((4, 3))}, "\\(record, phase, width\\)"),
        ({"ecg": np.full((4, 3, 5), "x")}, "must be numbers"),
        ({"ecg": np.full((4, 3, 5), np.inf)}, "usable records must be finite, got 12 that are not"),
        ({"cine": np.zeros((4, 3, 5))}, "must not be zero, got 12 that are"),
        ({"usable": np.ones(3, bool)}, "4 records, got bool \\(3,\\)"),
        ({"usable": np.ones(4)}, "got float64"),
    ],
)
def test_what_cannot_be_is_refused(change, says):
    usual: dict[str, Any] = {"ecg": np.ones((4, 3, 5)), "cine": np.ones((4, 3, 5)), "usable": None}
    for measure in (phase_similarity, diagonal_distance, PhaseMatch.of):
        with pytest.raises(UsageError, match=says):
            measure(**usual | change)


def test_without_beats_there_is_no_phase():
    ecg, cine, _ = embeddings(n=3)
    for measure in (phase_similarity, diagonal_distance, PhaseMatch.of):
        with pytest.raises(NotEstimableError, match="got none of 3"):
            measure(ecg, cine, np.zeros(3, bool))
    with pytest.raises(UsageError, match="3 records need one patient each, got 2"):
        diagonal_distance(ecg, cine, patients=[1, 2])
    for wrong in (np.ones((2, 3)), np.full((2, 2), np.nan), np.ones((0, 0))):
        with pytest.raises(UsageError, match="square and finite"):
            best_roll(wrong)
