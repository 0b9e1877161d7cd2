"""Settings of a training: the rate by its formula, what is better, what cannot be."""

from __future__ import annotations

from itertools import pairwise
from math import cos, inf, nan, pi
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardioloom.errors import UsageError
from cardioloom.recipes.plan import Plan


@given(
    steps=st.integers(1, 500),
    warmup=st.floats(0, 1),
    last_lr=st.floats(0, 1),
    lr=st.floats(1e-6, 1),
)
def test_the_rate_rises_in_a_line_and_falls_in_half_a_cosine(steps: int, warmup: float, last_lr: float, lr: float):
    plan = Plan(steps, lr=lr, warmup=warmup, last_lr=last_lr)
    rates = [plan.rate(step) for step in range(steps)]
    rising = round(warmup * steps)
    slow = [lr * (n + 1) / rising for n in range(rising)]
    for n in range(steps - rising):
        slow.append(lr * last_lr + lr * (1 - last_lr) * 0.5 * (1 + cos(pi * n / (steps - rising))))
    assert rates == pytest.approx(slow, rel=1e-9, abs=1e-15)
    assert all(left <= right for left, right in pairwise(rates[:rising]))
    assert all(left >= right - 1e-15 for left, right in pairwise(rates[rising:]))
    assert min(rates) >= 0
    assert max(rates) <= lr * (1 + 1e-12)


def test_the_highest_rate_is_reached_and_the_lowest_nearly():
    plan = Plan(1000, lr=0.5, warmup=0.1, last_lr=0.2)
    assert plan.rate(99) == plan.rate(100) == 0.5
    assert plan.rate(999) == pytest.approx(0.1, rel=1e-4)


@pytest.mark.parametrize(
    ("direction", "value", "best", "better"),
    [
        ("min", 1.0, None, True),
        ("min", 1.0, 2.0, True),
        ("min", 2.0, 2.0, False),
        ("max", 3.0, 2.0, True),
        ("max", 2.0, 2.0, False),
        ("max", nan, None, False),
        ("min", nan, 2.0, False),
        ("min", -inf, 2.0, False),
        ("max", inf, None, False),
    ],
)
def test_what_is_better(direction: str, value: float, best: float | None, better: bool):
    assert Plan(1, direction=direction).is_better(value, best) is better


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("steps", value) for value in (0, -1, 2.5, "5", None)),
        *(("accumulate", value) for value in (0, 1.0)),
        ("validate_every", 0),
        ("save_every", 0),
        *(("lr", value) for value in (-1e-3, nan, inf, 1e38)),
        ("weight_decay", -0.1),
        ("clip", -1.0),
        *(("warmup", value) for value in (-0.1, 1.1, nan)),
        ("last_lr", 2.0),
        ("ema", 1.5),
        ("patience", 0),
        ("direction", "up"),
    ],
)
def test_a_setting_that_cannot_be_is_named(name: str, value: Any):
    with pytest.raises(UsageError, match=f"{name} must|{name} .*must"):
        Plan(**{"steps": 10, name: value})


def test_it_is_written_as_json():
    plan = Plan(7, ema=0.5, patience=2)
    assert Plan(**plan.to_json()) == plan
