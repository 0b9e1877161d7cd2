"""Losses over pairs of rows, beside a slow one, the ancestors' code and two processes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.multiprocessing.spawn import spawn

import toy_objectives as toys
from cardioloom.errors import UsageError
from cardioloom.objectives.contrastive import both_ways, info_nce, nt_xent
from toy_objectives import cosine

RANKS = 2


def slow_direction(left: list[list[float]], right: list[list[float]], temperature: float) -> float:
    total = 0.0
    for i, row in enumerate(left):
        terms = [math.exp(cosine(row, other) / temperature) for other in right]
        total -= math.log(terms[i] / sum(terms))
    return total / len(left)


def slow_nt_xent(first: list[list[float]], second: list[list[float]], temperature: float) -> float:
    views, total = first + second, 0.0
    for i, view in enumerate(views):
        terms = {j: math.exp(cosine(view, other) / temperature) for j, other in enumerate(views) if j != i}
        total -= math.log(terms[(i + len(first)) % len(views)] / sum(terms.values()))
    return total / len(views)


def pair(rows: int = 6, width: int = 4, seed: int = 0) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    left, right = torch.randn(2, rows, width, generator=random, dtype=torch.float64)
    return left.requires_grad_(), right.requires_grad_()


@pytest.mark.parametrize("rows", [1, 2, 7])
@pytest.mark.parametrize(("temperature", "weight"), [(0.1, 0.5), (1.0, 0.0), (0.07, 0.8)])
def test_info_nce_equals_a_slow_loop(rows: int, temperature: float, weight: float):
    left, right = pair(rows, seed=rows)
    forth = slow_direction(left.tolist(), right.tolist(), temperature)
    back = slow_direction(right.tolist(), left.tolist(), temperature)
    found = float(info_nce(left, right, temperature, weight).detach())
    assert found == pytest.approx(weight * forth + (1 - weight) * back, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(("rows", "temperature"), [(1, 0.5), (5, 0.1), (6, 1.0)])
def test_nt_xent_equals_a_slow_loop(rows: int, temperature: float):
    first, second = pair(rows, seed=rows)
    wanted = slow_nt_xent(first.tolist(), second.tolist(), temperature)
    assert float(nt_xent(first, second, temperature).detach()) == pytest.approx(wanted, rel=1e-12, abs=1e-12)


def test_gradients():
    assert torch.autograd.gradcheck(lambda a, b: info_nce(a, b, 0.3, 0.7), pair())
    assert torch.autograd.gradcheck(lambda a, b: nt_xent(a, b, 0.3), pair())


def test_a_side_that_is_held_changes_no_gradient_of_the_other():
    left, right = pair()
    wanted = torch.autograd.grad(info_nce(left, right, 0.3, 0.7), (left, right))
    for found, gradient in zip(
        (
            torch.autograd.grad(info_nce(left, right.detach(), 0.3, 0.7), left)[0],
            torch.autograd.grad(info_nce(left.detach(), right, 0.3, 0.7), right)[0],
        ),
        wanted,
        strict=True,
    ):
        assert torch.equal(found, gradient)
    assert not info_nce(left.detach(), right.detach()).requires_grad


def test_each_set_is_by_itself_and_the_global_loss_is_one_set():
    random = torch.Generator().manual_seed(2)
    left, right = torch.randn(2, 3, 5, 4, generator=random, dtype=torch.float64)
    found = both_ways(left, right, torch.eye(5), 0.2, 0.6)
    torch.testing.assert_close(
        found, torch.stack([info_nce(*sets, 0.2, 0.6) for sets in zip(left, right, strict=True)])
    )


def test_of_what_lies_between_one_number_a_pair_is_kept_for_the_gradient():
    random = torch.Generator().manual_seed(3)
    left, right = (x.requires_grad_() for x in torch.randn(2, 4, 7, 5, generator=random))
    kept: dict[int, Tensor] = {}
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.setdefault(x.data_ptr(), x), lambda x: x):
        both_ways(left, right, torch.eye(7), 0.5, 0.5)
    given = {left.data_ptr(), right.data_ptr()}
    assert given <= kept.keys()
    assert sum(x.numel() for at, x in kept.items() if at not in given) == 4 * 7 * 7 + 2 * 4 * 7


def test_half_precision_is_lifted_under_autocast_too():
    left, right = (x.detach().to(torch.bfloat16).requires_grad_() for x in pair())
    wanted = info_nce(left.detach().double(), right.detach().double(), 0.07)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = info_nce(left, right, 0.07)
        value.backward()
    assert value.dtype == torch.float32
    torch.testing.assert_close(value.detach().double(), wanted, rtol=1e-5, atol=1e-6)
    assert left.grad is not None
    assert left.grad.dtype == torch.bfloat16
    assert left.grad.isfinite().all()


def test_an_embedding_of_zeros_has_a_finite_loss_and_gradient():
    left, right = (x.detach().float() for x in pair())
    left[2] = 0
    left.requires_grad_()
    value = info_nce(left, right)
    value.backward()
    assert value.isfinite()
    assert left.grad is not None
    assert left.grad.isfinite().all()


def test_lengths_and_order_of_rows_do_not_matter():
    left, right = (x.detach() for x in pair(9))
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    wanted = info_nce(left, right)
    torch.testing.assert_close(info_nce(7 * left[order], 0.1 * right[order]), wanted)
    assert info_nce(left, left.clone(), 0.01) < 0.01
    assert info_nce(left, left.roll(1, 0), 0.01) > 10


@pytest.mark.parametrize("batch", ["B8", "B5"])
def test_ancestors_values_and_gradients(shared, batch: str):
    with np.load(shared / "golden" / "ptacl_ancestors" / "contrastive_losses_open.npz") as file:
        golden = {name: torch.from_numpy(file[name]) for name in file.files}
    cases = {f"clip_t{t}_l{w}": (info_nce, (t, w)) for t, w in ((0.1, 0.5), (0.07, 0.75))}
    cases |= {f"ntxent_t{t}": (nt_xent, (t,)) for t in (0.1, 0.5)}
    for name, (loss, numbers) in cases.items():
        left, right = (golden[f"{batch}_out{side}"].clone().requires_grad_() for side in (0, 1))
        value = loss(left, right, *numbers)
        value.backward()
        torch.testing.assert_close(value.detach(), golden[f"{batch}_{name}_loss"], rtol=1e-5, atol=0)
        for side, x in enumerate((left, right)):
            torch.testing.assert_close(x.grad, golden[f"{batch}_{name}_grad{side}"], rtol=1e-5, atol=1e-6)


@pytest.mark.xdist_group("two ranks")
def test_two_processes_are_one_on_the_joined_batch(tmp_path):
    spawn(toys.work_of_rank, (RANKS, str(tmp_path)), nprocs=RANKS)
    found = [torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in range(RANKS)]
    for name in toys.LOSSES:
        net = toys.net()
        loss = toys.loss(name, net, slice(None))
        loss.backward()
        values = torch.stack([rank[name][0] for rank in found])
        torch.testing.assert_close(values.mean(), loss.detach(), rtol=1e-7, atol=0)
        for rank in found:
            for gradient, parameter in zip(rank[name][1], net.parameters(), strict=True):
                torch.testing.assert_close(gradient, parameter.grad, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("loss", [info_nce, nt_xent])
def test_what_cannot_be_is_refused(loss):
    left, right = pair()
    with pytest.raises(UsageError, match=r"one shape, got \(6, 4\) and \(5, 4\)"):
        loss(left, right[:5])
    with pytest.raises(UsageError, match="must be above 0, got 0"):
        loss(left, right, 0)
    with pytest.raises(UsageError, match="between 0 and 1, got 2"):
        info_nce(left, right, 0.1, 2)
