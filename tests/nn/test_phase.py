"""Embeddings of the phases of a beat: heart rate drops out, and nothing is learnt."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from cardioloom.errors import UsageError
from cardioloom.nn.phase import beat_operator, picture_phases, signal_phases

PHASES, NAN = 13, float("nan")


def slow_operator(peaks: list[float], n_tokens: int, patch: int) -> list[list[float]]:
    """One beat, phase and token after the other."""
    rows = [[0.0] * n_tokens for _ in range(PHASES)]
    beats = [(a, b) for a, b in pairwise(peaks) if a >= 0 and b < n_tokens * patch]
    for begin, end in beats:
        for k in range(PHASES):
            place = (begin + (k + 0.5) / PHASES * (end - begin) + 0.5) / patch - 0.5
            place = min(max(place, 0), n_tokens - 1)
            left = min(int(place), n_tokens - 2)
            rows[k][left] += (1 - (place - left)) / len(beats)
            rows[k][left + 1] += (place - left) / len(beats)
    return rows


def phase_tokens(first: float, interval: float, n_tokens: int, patch: int) -> tuple[Tensor, Tensor]:
    """Tokens (1, 2 leads, token, 2) that are a function of the phase at their middle alone, and the R peaks."""
    middle = (torch.arange(n_tokens, dtype=torch.float64) + 0.5) * patch - 0.5
    phase = 2 * math.pi * (middle - first) / interval
    tokens = torch.stack([phase.cos(), phase.sin()], -1)
    return torch.stack([tokens, 3 * tokens])[None], torch.arange(first, n_tokens * patch, interval)[None]


def circle() -> Tensor:
    phase = 2 * math.pi * (torch.arange(PHASES, dtype=torch.float64) + 0.5) / PHASES
    return torch.stack([phase.cos(), phase.sin()], -1)


def test_equal_to_a_slow_loop():
    peaks = [[-40.0, 130.5, 520.0, 800.0, 1300.0, NAN], [3.0, 400.0, 900.0, 1499.5, 1900.0, 2499.0]]
    operator, usable = beat_operator(torch.tensor(peaks), 50, 50)
    wanted = [slow_operator([peak for peak in record if peak == peak], 50, 50) for record in peaks]
    torch.testing.assert_close(operator, torch.tensor(wanted), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(operator.sum(-1), torch.ones(2, PHASES))
    assert usable.all()


@pytest.mark.parametrize(("patch", "n_tokens"), [(50, 50), (10, 250)])
def test_the_heart_rate_drops_out(patch: int, n_tokens: int):
    """50 and 100 beats a minute at 500 Hz, up to the error of linear interpolation between tokens."""
    found = []
    for interval, first in ((600.0, 37.0), (300.0, 111.0)):
        tokens, peaks = phase_tokens(first, interval, n_tokens, patch)
        operator, usable = beat_operator(peaks, n_tokens, patch)
        assert usable.all()
        phases = signal_phases(tokens, operator)[0] / 2  # leads of 1 and 3
        bound = math.sqrt(2) * (2 * math.pi * patch / interval) ** 2 / 8
        assert (phases - circle()).norm(dim=-1).max() < bound
        found.append(phases)
    assert torch.cosine_similarity(*found, dim=-1).min() > (0.999 if patch == 10 else 0.99)


def test_too_few_whole_beats_are_masked_and_give_zeros():
    peaks = torch.tensor([[100.0, 700.0, NAN], [-50.0, 400.0, 900.0], [10.0, 500.0, 2400.0], [NAN, NAN, NAN]])
    operator, usable = beat_operator(peaks, 50, 50)
    assert usable.tolist() == [False, False, True, False]
    assert not operator[~usable].any()
    assert beat_operator(peaks, 50, 50, min_beats=1)[1].tolist() == [True, True, True, False]
    assert not beat_operator(peaks[:, :1], 50, 50)[1].any()
    assert torch.isfinite(operator).all()


def test_gradients_reach_the_tokens():
    operator, _ = beat_operator(torch.tensor([[5.0, 60.0, 130.0, 190.0], [0.0, 90.0, 170.0, NAN]]), 20, 10)
    tokens = torch.randn(2, 3, 20, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: signal_phases(x, operator), tokens)
    assert not operator.requires_grad


@pytest.mark.parametrize("rolled", range(0, PHASES, 3))
def test_rolling_the_pictures_moves_the_diagonal(rolled: int):
    tokens, peaks = phase_tokens(21.0, 400.0, 250, 10)
    ecg = signal_phases(tokens, beat_operator(peaks, 250, 10)[0])
    pictures = circle()[None, :, None].expand(1, PHASES, 49, 2).roll(rolled, 1)
    similarity = torch.cosine_similarity(ecg[:, :, None], picture_phases(pictures)[:, None], dim=-1)[0]
    assert similarity.argmax(1).tolist() == [(k + rolled) % PHASES for k in range(PHASES)]


def test_what_cannot_be_is_refused():
    peaks = torch.tensor([[10.0, 500.0, 500.0]])
    with pytest.raises(UsageError, match="must ascend"):
        beat_operator(peaks, 50, 50)
    with pytest.raises(UsageError, match="counts from 1"):
        beat_operator(peaks, 50, 0)
    with pytest.raises(UsageError, match=r"got \(1, 2, 50, 4\) and \(1, 13, 49\)"):
        signal_phases(torch.zeros(1, 2, 50, 4), torch.zeros(1, 13, 49))
    with pytest.raises(UsageError, match=r"got \(1, 13, 4\)"):
        picture_phases(torch.zeros(1, 13, 4))
