"""Losses that align the phases of the heart beat between two views of one record, without weights of their own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cardioloom.errors import UsageError
from cardioloom.objectives.contrastive import both_ways, refuse_outside
from cardioloom.objectives.gather import mean_over_ranks


def alignment(
    n_phases: int, sigma: float = 0.0, *, circular: bool = False, dtype: torch.dtype = torch.float32
) -> Tensor:
    """How much each phase of one view belongs to each phase of the other: equation 2 of PTACL (arXiv:2506.20683).

    Row k is δ(k, t) at sigma 0, else proportional to exp(−½ (distance(k, t) / sigma)²). The paper calls the distance
    normalised and does not define it; here it is |k − t| / (n_phases − 1), so that first and last phase are 1 apart.

    Args:
        n_phases: T, at least 1.
        sigma: at least 0, in units of the distance.
        circular: the beat is a circle instead: the shorter way round, |k − t| / n_phases or 1 minus it.

    Returns:
        (phase, phase); each row sums to 1.

    Raises:
        UsageError: if there is no phase or sigma is negative.
    """
    if n_phases < 1 or not sigma >= 0:
        raise UsageError(f"an alignment needs a phase and a sigma of at least 0, got {n_phases} and {sigma}")
    place = torch.arange(n_phases, dtype=torch.float64)
    apart = (place[:, None] - place).abs() / (n_phases if circular else max(1, n_phases - 1))
    if circular:
        apart = torch.minimum(apart, 1 - apart)
    # The softmax starts from the largest exponent, 0 on the diagonal: a sigma however small ends in δ, not in 0 / 0.
    shares = torch.eye(n_phases, dtype=torch.float64) if sigma == 0 else torch.softmax(-0.5 * (apart / sigma) ** 2, -1)
    return shares.to(dtype)


def local_loss(
    left: Tensor,
    right: Tensor,
    temperature: float = 1.0,
    sigma: float = 0.0,
    weight: float = 0.5,
    *,
    usable: Tensor | None = None,
    circular: bool = False,
) -> Tensor:
    """Each phase of one view has to find its phase in the other view of the same record: equations 2 and 3 of PTACL.

    Mean over records and phases k of −Σ_t P(k, t) log softmax_t(cos(left_k, right_t) / τ), and the same from right to
    left, weighted. The other phases of the same record are the negatives: records are not compared.

    Args:
        left, right: (own record, phase, width).
        temperature: τ above 0.
        sigma: of the `alignment` P; 0 is the hard one.
        weight: 0 to 1, of the direction from left to right; the paper does not give it.
        usable: (own record,) bool; the others count for nothing. All where not given.
        circular: as `alignment`.

    Returns:
        () nats, a mean over the usable records of all ranks once data-parallel training has averaged it; 0, with a
        gradient of 0, where none is usable.

    Raises:
        UsageError: if the shapes differ or are not (record, phase, width), or a number lies outside its range.
    """
    _refuse(left, right)
    refuse_outside(temperature, weight)
    if usable is not None:
        _refuse_usable(left, usable)
    shares = alignment(left.shape[1], sigma, circular=circular, dtype=torch.float64)
    return _mean(both_ways(left, right, shares, temperature, weight, usable), usable)


def phase_cosine(left: Tensor, right: Tensor, *, usable: Tensor | None = None) -> Tensor:
    """Positives only: 1 minus the cosine of the same phases of two views, PTACL's comparison "CosSim++".

    Args:
        left, right, usable: as `local_loss`.

    Returns:
        () 0 to 2, mean over usable records and phases as in `local_loss`.

    Raises:
        UsageError: if the shapes differ or are not (record, phase, width).
    """
    _refuse(left, right)
    left, right = _of_usable(left, usable), _of_usable(right, usable)
    return _mean(1 - F.cosine_similarity(left, right, dim=-1).mean(-1), usable)


def _of_usable(x: Tensor, usable: Tensor | None) -> Tensor:
    """Zeros for the other records: what they hold, NaN included, then reaches neither value nor gradient."""
    if usable is None:
        return x
    _refuse_usable(x, usable)
    return torch.where(usable[:, None, None], x, 0.0)


def _mean(each: Tensor, usable: Tensor | None) -> Tensor:
    """Mean over the usable records of all ranks."""
    if usable is None:
        usable = torch.ones(len(each), dtype=torch.bool, device=each.device)
    count = mean_over_ranks(usable.sum())
    return torch.where(usable, each, 0.0).sum() / count.to(each.dtype).clamp(min=torch.finfo(torch.float32).tiny)


def _refuse(left: Tensor, right: Tensor) -> None:
    if left.ndim != 3 or left.shape != right.shape:
        shapes = f"{tuple(left.shape)} and {tuple(right.shape)}"
        raise UsageError(f"a local loss takes two tensors (record, phase, width) of one shape, got {shapes}")


def _refuse_usable(x: Tensor, usable: Tensor) -> None:
    if usable.shape != x.shape[:1] or usable.dtype != torch.bool:
        raise UsageError(f"usable is one bool a record, got {usable.dtype} {tuple(usable.shape)} for {len(x)} records")
