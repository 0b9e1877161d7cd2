"""Losses with targets that may be unknown, beside slow ones in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from cardioloom.objectives.supervised import binary_cross_entropy, squared_error

NAN = float("nan")
SHAPES = st.tuples(st.integers(1, 5), st.integers(1, 3))


@st.composite
def outputs_and_targets(draw: st.DrawFn, values: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    shape = draw(SHAPES)
    outputs = draw(arrays(np.float64, shape, elements=st.floats(-30, 30)))
    return torch.from_numpy(outputs), torch.from_numpy(
        draw(arrays(np.float64, shape, elements=st.sampled_from(values)))
    )


def slow_cross_entropy(logits: Tensor, targets: Tensor, gamma: float) -> float:
    """One after the other, with the weight of an unlabelled negative from Python's own functions."""
    total, n = 0.0, 0
    for logit, target in zip(logits.flatten().tolist(), targets.flatten().tolist(), strict=True):
        if math.isnan(target):
            continue
        n += 1
        if target == 1:
            total += math.log1p(math.exp(-logit))
        else:
            total += math.log1p(math.exp(logit)) * (1 - 1 / (1 + math.exp(-logit))) ** gamma
    return total / n if n else 0.0


@given(case=outputs_and_targets((0.0, 1.0, NAN)), gamma=st.sampled_from((0.0, 0.5, 1.5, 2.0)))
def test_cross_entropy_equals_a_slow_one(case: tuple[Tensor, Tensor], gamma: float):
    found = float(binary_cross_entropy(*case, gamma))
    assert found == pytest.approx(slow_cross_entropy(*case, gamma), rel=1e-6, abs=1e-9)


@given(case=outputs_and_targets((-2.0, 0.0, 3.5, NAN)))
def test_squared_error_equals_a_slow_one(case: tuple[Tensor, Tensor]):
    pairs = zip(*(tensor.flatten().tolist() for tensor in case), strict=True)
    squares = [(output - target) ** 2 for output, target in pairs if not math.isnan(target)]
    assert float(squared_error(*case)) == pytest.approx(sum(squares) / len(squares) if squares else 0.0, rel=1e-6)


@given(case=outputs_and_targets((0.0, 1.0)))
def test_without_gamma_and_unknown_it_is_the_plain_loss(case: tuple[Tensor, Tensor]):
    plain = torch.nn.functional.binary_cross_entropy_with_logits(*case)
    torch.testing.assert_close(binary_cross_entropy(*case), plain, rtol=1e-6, atol=0)


def test_gamma_changes_negatives_only():
    logits = torch.tensor([[2.0], [2.0]], dtype=torch.float64)
    positive, negative = torch.tensor([[1.0], [NAN]]), torch.tensor([[NAN], [0.0]])
    assert binary_cross_entropy(logits, positive, 1.5) == binary_cross_entropy(logits, positive)
    assert binary_cross_entropy(logits, negative, 1.5) < 0.1 * binary_cross_entropy(logits, negative)


@pytest.mark.parametrize("loss", [binary_cross_entropy, squared_error])
def test_gradients_are_those_of_differences(loss):
    torch.manual_seed(0)
    outputs = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    targets = (torch.randn(4, 3) > 0).double()
    targets[1, 2] = targets[3, 0] = NAN
    assert torch.autograd.gradcheck(lambda x: loss(x, targets), outputs)


def test_no_gradient_flows_through_the_weight_of_a_negative():
    """The gradient is weight · (p − y), with the weight taken as a number."""
    torch.manual_seed(1)
    logits = torch.randn(5, 2, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([[0, 1], [1, 0], [NAN, 0], [0, NAN], [0, 0]], dtype=torch.float64)
    binary_cross_entropy(logits, targets, 1.5).backward()
    p = torch.sigmoid(logits.detach())
    weight = torch.where(targets == 1, 1.0, (1 - p) ** 1.5)
    slow = torch.where(targets.isnan(), 0.0, weight * (p - targets)) / 8
    torch.testing.assert_close(logits.grad, slow, rtol=1e-6, atol=0)


@pytest.mark.parametrize("loss", [binary_cross_entropy, squared_error])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_where_nothing_is_known_loss_and_gradient_are_zero(loss, dtype: torch.dtype):
    outputs = torch.randn(3, 2, dtype=dtype, requires_grad=True)
    found = loss(outputs, torch.full((3, 2), NAN, dtype=dtype))
    found.backward()
    assert float(found.detach()) == 0
    assert torch.equal(outputs.grad, torch.zeros_like(outputs))


@pytest.mark.parametrize("loss", [binary_cross_entropy, squared_error])
def test_unknown_targets_get_no_gradient(loss):
    outputs = torch.randn(3, 2, requires_grad=True)
    targets = torch.tensor([[1.0, NAN], [NAN, 0.0], [1.0, 1.0]])
    loss(outputs, targets).backward()
    assert torch.equal(outputs.grad == 0, targets.isnan())
