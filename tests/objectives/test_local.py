"""The phase-aligned loss beside a slow loop; what its alignment promises."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from cardioloom.errors import UsageError
from cardioloom.objectives.local import alignment, local_loss, phase_cosine
from toy_objectives import cosine


def slow_alignment(n: int, sigma: float, circular: bool) -> list[list[float]]:
    rows = []
    for k in range(n):
        row = []
        for t in range(n):
            apart = abs(k - t) / (n if circular else n - 1)
            apart = min(apart, 1 - apart) if circular else apart
            row.append(float(k == t) if sigma == 0 else math.exp(-0.5 * (apart / sigma) ** 2))
        rows.append([share / sum(row) for share in row])
    return rows


def slow_direction(left: list, right: list, temperature: float, shares: list[list[float]]) -> float:
    total, n = 0.0, 0
    for one, other in zip(left, right, strict=True):
        for k, phase in enumerate(one):
            terms = [math.exp(cosine(phase, candidate) / temperature) for candidate in other]
            total -= sum(share * math.log(term / sum(terms)) for share, term in zip(shares[k], terms, strict=True))
            n += 1
    return total / n


def pair(records: int = 3, phases: int = 5, width: int = 4, seed: int = 0) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    left, right = torch.randn(2, records, phases, width, generator=random, dtype=torch.float64)
    return left.requires_grad_(), right.requires_grad_()


@given(n=st.integers(1, 20), sigma=st.floats(0, 10) | st.floats(1e-200, 1e-2), circular=st.booleans())
def test_rows_of_the_alignment_sum_to_1(n: int, sigma: float, circular: bool):
    shares = alignment(n, sigma, circular=circular, dtype=torch.float64)
    torch.testing.assert_close(shares.sum(1), torch.ones(n, dtype=torch.float64))
    assert (shares >= 0).all()
    assert (shares.argmax(1) == torch.arange(n)).all()


@pytest.mark.parametrize("circular", [False, True])
def test_alignment_equals_a_slow_one_and_ends_in_delta(circular: bool):
    for sigma in (0.0, 0.05, 0.1, 1.0):
        wanted = torch.tensor(slow_alignment(13, sigma, circular), dtype=torch.float64)
        torch.testing.assert_close(alignment(13, sigma, circular=circular, dtype=torch.float64), wanted)
    gaps = [float((alignment(13, sigma) - torch.eye(13)).abs().max()) for sigma in (0.1, 0.04, 0.02, 0.01, 1e-160)]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[0] > 0.5
    assert gaps[-1] == 0
    around = alignment(13, 0.1, circular=True)
    torch.testing.assert_close(around.roll((1, 1), (0, 1)), around)


@pytest.mark.parametrize(("temperature", "sigma", "weight"), [(1.0, 0.1, 0.5), (0.07, 0.0, 0.5), (0.3, 0.2, 0.9)])
@pytest.mark.parametrize("circular", [False, True])
def test_loss_equals_a_slow_loop(temperature: float, sigma: float, weight: float, circular: bool):
    left, right = pair()
    shares = slow_alignment(5, sigma, circular)
    forth = slow_direction(left.tolist(), right.tolist(), temperature, shares)
    back = slow_direction(right.tolist(), left.tolist(), temperature, shares)
    found = float(local_loss(left, right, temperature, sigma, weight, circular=circular).detach())
    assert found == pytest.approx(weight * forth + (1 - weight) * back, rel=1e-10)


def test_gradients():
    usable = torch.tensor([True, False, True])
    assert torch.autograd.gradcheck(lambda a, b: local_loss(a, b, 0.3, 0.0, 0.7), pair())
    assert torch.autograd.gradcheck(lambda a, b: local_loss(a, b, 0.3, 0.1, 0.7, usable=usable), pair())
    assert torch.autograd.gradcheck(phase_cosine, pair())


@pytest.mark.parametrize("loss", [local_loss, phase_cosine])
def test_unusable_records_count_for_nothing(loss):
    left, right = (x.detach().clone() for x in pair())
    wanted = loss(left[[0, 2]], right[[0, 2]])
    left[1] = torch.nan
    left.requires_grad_()
    value = loss(left, right, usable=torch.tensor([True, False, True]))
    value.backward()
    torch.testing.assert_close(value.detach(), wanted)
    assert left.grad is not None
    assert left.grad[[0, 2]].abs().sum() > 0
    assert (left.grad[1] == 0).all()
    left.grad = None
    none = loss(left, right, usable=torch.zeros(3, dtype=torch.bool))
    none.backward()
    assert float(none.detach()) == 0
    assert left.grad is not None
    assert (left.grad == 0).all()


def test_what_unusable_records_hold_on_either_side_reaches_no_gradient():
    usable = torch.tensor([True, False, True])
    left, right = pair()
    wanted = torch.autograd.grad(local_loss(left, right, 0.3, 0.1, usable=usable), (left, right))
    for side in (0, 1):
        one, other = (x.detach().clone() for x in (left, right))
        (one, other)[side][1] = torch.inf
        loss = local_loss(one.requires_grad_(), other.requires_grad_(), 0.3, 0.1, usable=usable)
        for gradient, expected in zip(torch.autograd.grad(loss, (one, other)), wanted, strict=True):
            assert torch.equal(gradient, expected)
            assert (gradient[1] == 0).all()


def test_half_precision_is_lifted_under_autocast_too():
    left, right = (x.detach().to(torch.bfloat16).requires_grad_() for x in pair())
    other = right.detach().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for target in (right, other):
            value = local_loss(left, target, 0.07)
            value.backward()
            assert value.dtype == torch.float32
            wanted = local_loss(left.detach().double(), target.detach().double(), 0.07)
            torch.testing.assert_close(value.detach().double(), wanted, rtol=1e-5, atol=1e-6)
    assert left.grad is not None
    assert left.grad.dtype == torch.bfloat16
    assert left.grad.isfinite().all()


def test_records_are_not_compared_and_phases_are():
    left, right = (x.detach() for x in pair(4))
    each = torch.stack([local_loss(left[i : i + 1], right[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(local_loss(left, right), each.mean())
    assert local_loss(left, left.clone(), 0.01) < local_loss(left, left.roll(1, 1), 0.01)


def test_positives_only_is_1_minus_the_mean_cosine():
    left, right = pair()
    pairs = zip(left.flatten(0, 1).tolist(), right.flatten(0, 1).tolist(), strict=True)
    each = [cosine(a, b) for a, b in pairs]
    assert float(phase_cosine(left, right).detach()) == pytest.approx(1 - sum(each) / len(each), rel=1e-12)


def test_what_cannot_be_is_refused():
    left, right = pair()
    with pytest.raises(UsageError, match=r"one shape, got \(3, 5, 4\) and \(3, 4, 4\)"):
        local_loss(left, right[:, :4])
    with pytest.raises(UsageError, match="above 0, got -1"):
        local_loss(left, right, -1)
    with pytest.raises(UsageError, match=r"between 0 and 1, got 1\.5"):
        local_loss(left, right, weight=1.5)
    with pytest.raises(UsageError, match=r"at least 0, got 13 and -0\.1"):
        alignment(13, -0.1)
    with pytest.raises(UsageError, match=r"one bool a record, got torch\.int64"):
        local_loss(left, right, usable=torch.tensor([1, 0, 1]))
