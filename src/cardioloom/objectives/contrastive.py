"""Losses that pull the two views of a record together and push those of different records apart."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from cardioloom.errors import UsageError
from cardioloom.objectives.gather import gathered

SHORTEST = 1e-12  # a shorter embedding counts as one of this length


def info_nce(left: Tensor, right: Tensor, temperature: float = 0.1, weight: float = 0.5) -> Tensor:
    """InfoNCE in both directions: row i of one side has to find row i of the other among all rows of all ranks.

    weight · mean(−log softmax_j(cos(left_i, right_j) / τ)_i) + (1 − weight) · the same from right to left. Equation 1
    of PTACL (Selivanov et al. 2025, arXiv:2506.20683), which follows CLIP (Radford et al. 2021, arXiv:2103.00020).
    PTACL does not give the weight; the half is that of MMCL (Turgut et al. 2025, doi:10.1016/j.media.2024.103451).

    Args:
        left, right: (own rows, width), of any length but 0.
        temperature: τ above 0; the cosine is divided by it.
        weight: 0 to 1, of the direction from left to right.

    Returns:
        () nats, float32 at least; the same on every rank.

    Raises:
        UsageError: if the shapes differ or are not (row, width), or a number lies outside its range.
    """
    _refuse(left, right)
    refuse_outside(temperature, weight)
    left, right = gathered(left), gathered(right)
    own = torch.eye(len(left), device=left.device)
    return both_ways(left[None], right[None], own, temperature, weight)[0]


def nt_xent(first: Tensor, second: Tensor, temperature: float = 0.1) -> Tensor:
    """SimCLR's loss: each view has to find the other view of its row among all other views of all ranks.

    Mean over 2 B views of −log softmax(cos / τ) over the 2 B − 1 others (Chen et al. 2020, arXiv:2002.05709, eq. 1).

    Args:
        first, second: (own rows, width) two views of each row.
        temperature: τ above 0.

    Returns:
        () nats; the same on every rank.

    Raises:
        UsageError: if the shapes differ or are not (row, width), or the temperature is not above 0.
    """
    _refuse(first, second)
    refuse_outside(temperature)
    views = torch.cat([gathered(F.normalize(first, dim=-1)), gathered(F.normalize(second, dim=-1))])
    similarity = views @ views.T / temperature
    itself = torch.eye(len(views), dtype=torch.bool, device=views.device)
    other = torch.arange(len(views), device=views.device).roll(len(views) // 2)
    return F.cross_entropy(similarity.masked_fill(itself, -torch.inf), other)


def both_ways(
    left: Tensor, right: Tensor, shares: Tensor, temperature: float, weight: float, usable: Tensor | None = None
) -> Tensor:
    """Each item has to find its partners among the other side's items of its own set, and the same the other way round.

    Of each set the mean over items k of −Σ_t shares(k, t) log softmax_t(cos(left_k, right_t) / τ), times the weight,
    and the same from right to left times the rest. Computed in float32 at least, under autocast too: at a low
    temperature bfloat16 would not tell items apart.

    Args:
        left, right: (set, item, width).
        shares: (item, item), rows sum to 1.
        temperature: τ above 0.
        weight: 0 to 1, of the direction from left to right.
        usable: (set,) bool; what the other sets hold, NaN included, reaches neither value nor gradient.

    Returns:
        (set,) nats, 0 where not usable.
    """
    dtype = torch.promote_types(torch.promote_types(left.dtype, right.dtype), torch.float32)
    given = (left.to(dtype), right.to(dtype), shares.to(left.device, dtype))
    with torch.autocast(left.device.type, enabled=False):
        return _BothWays.apply(*given, temperature, weight, usable)  # type: ignore[return-value]


def refuse_outside(temperature: float, weight: float = 0.5) -> None:
    """What any of these losses can be told.

    Raises:
        UsageError: if the temperature is not above 0, or the weight of a direction not between 0 and 1.
    """
    if not temperature > 0:
        raise UsageError(f"a temperature must be above 0, got {temperature}")
    if not 0 <= weight <= 1:
        raise UsageError(f"the weight of a direction lies between 0 and 1, got {weight}")


class _BothWays(torch.autograd.Function):
    """`both_ways` with its gradient in closed form: of all there is between, one (set, item, item) is kept.

    With S the cosines, p and q the softmax of S / τ over the items of the right and of the left, the gradient of the
    mean over n items with respect to S is G = (w (p − shares) + (1 − w) (q − sharesᵀ)) / (n τ). That of left_k is
    Σ_t G_kt (right_t / |right_t| − S_kt left_k / |left_k|) / |left_k|: a product of matrices and a multiple of left_k.
    """

    @staticmethod
    def forward(
        ctx: Any,
        left: Tensor,
        right: Tensor,
        shares: Tensor,
        temperature: float,
        weight: float,
        usable: Tensor | None,
    ) -> Tensor:
        over_left, over_right = (1 / torch.linalg.vector_norm(x, dim=-1).clamp(min=SHORTEST) for x in (left, right))
        over_left, over_right = over_left[:, :, None], over_right[:, None]
        cosines = torch.bmm(left, right.mT).mul_(over_left).mul_(over_right)
        # A softmax over a short last axis is slow: the one over the items of the right runs on the transposed cosines.
        back = cosines / temperature
        forth, back = back.mT.contiguous().log_softmax(1), back.log_softmax(1)
        each = torch.add(weight * forth, back, alpha=1 - weight).mul_(shares.mT).sum((1, 2)) / -left.shape[1]
        if any(ctx.needs_input_grad):
            wanted = weight * shares + (1 - weight) * shares.mT
            pull = back.exp_().mul_(1 - weight).add_(forth.exp_().mT, alpha=weight).sub_(wanted)
            pull.div_(left.shape[1] * temperature)
            along = pull * cosines
            own_left, own_right = along.sum(2, keepdim=True) * over_left**2, along.sum(1)[..., None] * over_right.mT**2
            ctx.save_for_backward(left, right, pull.mul_(over_left).mul_(over_right), own_left, own_right, usable)
        return each if usable is None else torch.where(usable, each, 0.0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        left, right, pull, own_left, own_right, usable = ctx.saved_tensors
        given = gradients[0][:, None, None]
        pull = pull * given
        found: list[Tensor | None] = [None, None]
        sides = ((left, own_left, pull, right), (right, own_right, pull.mT, left))
        for side, (x, own, across, other) in enumerate(sides):
            if ctx.needs_input_grad[side]:
                found[side] = gradient = (x * (own * -given)).baddbmm_(across, other)
                if usable is not None:
                    gradient.masked_fill_(~usable[:, None, None], 0)
        return *found, None, None, None, None


def _refuse(one: Tensor, other: Tensor) -> None:
    if one.ndim != 2 or one.shape != other.shape:
        shapes = f"{tuple(one.shape)} and {tuple(other.shape)}"
        raise UsageError(f"a contrastive loss takes two tensors (row, width) of one shape, got {shapes}")
