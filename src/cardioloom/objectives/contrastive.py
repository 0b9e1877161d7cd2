"""Losses that pull the two views of a record together and push those of different records apart."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cardioloom.errors import UsageError
from cardioloom.objectives.gather import gathered


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
        () nats; the same on every rank.

    Raises:
        UsageError: if the shapes differ or are not (row, width), or a number lies outside its range.
    """
    _refuse(left, right, temperature)
    if not 0 <= weight <= 1:
        raise UsageError(f"the weight of a direction lies between 0 and 1, got {weight}")
    left, right = gathered(F.normalize(left, dim=-1)), gathered(F.normalize(right, dim=-1))
    similarity = left @ right.T / temperature
    own = torch.arange(len(similarity), device=similarity.device)
    forth, back = F.cross_entropy(similarity, own), F.cross_entropy(similarity.T, own)
    return weight * forth + (1 - weight) * back


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
    _refuse(first, second, temperature)
    views = torch.cat([gathered(F.normalize(first, dim=-1)), gathered(F.normalize(second, dim=-1))])
    similarity = views @ views.T / temperature
    itself = torch.eye(len(views), dtype=torch.bool, device=views.device)
    other = torch.arange(len(views), device=views.device).roll(len(views) // 2)
    return F.cross_entropy(similarity.masked_fill(itself, -torch.inf), other)


def _refuse(one: Tensor, other: Tensor, temperature: float) -> None:
    if one.ndim != 2 or one.shape != other.shape:
        shapes = f"{tuple(one.shape)} and {tuple(other.shape)}"
        raise UsageError(f"a contrastive loss takes two tensors (row, width) of one shape, got {shapes}")
    if not temperature > 0:
        raise UsageError(f"a temperature must be above 0, got {temperature}")
