"""Losses with a target a record. A target that is not known is NaN and counts for nothing."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cardioloom.objectives.gather import mean_over_ranks


def binary_cross_entropy(logits: Tensor, targets: Tensor, gamma: float = 0.0, *, alone: bool = False) -> Tensor:
    """Mean binary cross-entropy over the known targets, with negatives that may be unlabelled positives weighted down.

    A label that a report does not mention is a weak negative. With p the net's own probability, such a negative has
    the weight (1 − p)^gamma, through which no gradient flows: what the net is sure of although nobody wrote it down
    teaches least. gamma 0 is the plain loss. ECGFounder (Li et al. 2024, arXiv:2410.04133) trains with gamma 1.5 on a
    loss that weights unlabelled negatives down; its formula is not published with the code, so this form is ours.

    Args:
        logits: (record, label).
        targets: (record, label) 1, 0, or NaN = not known.
        gamma: of the weight, at least 0.
        alone: each rank has the same records and asks no other, as when a net is validated.

    Returns:
        () mean over the known of all ranks; 0, with a gradient of 0, where none is known.
    """
    known = ~targets.isnan()
    wanted = torch.where(known, targets, 0.0)
    each = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    weight = known.to(logits.dtype)
    if gamma:
        unsure = torch.sigmoid(-logits.detach()) ** gamma
        weight = weight * torch.where(wanted > 0, 1.0, unsure)
    return (each * weight).sum() / _mean_count(known, alone)


def squared_error(outputs: Tensor, targets: Tensor, *, alone: bool = False) -> Tensor:
    """Mean squared error over the known targets.

    Args:
        outputs: (record, number), standardised like the targets.
        targets: (record, number), NaN = not known.
        alone: as `binary_cross_entropy`.

    Returns:
        () mean over the known of all ranks; 0, with a gradient of 0, where none is known.
    """
    known = ~targets.isnan()
    gap = torch.where(known, outputs - torch.where(known, targets, 0.0), 0.0)
    return gap.square().sum() / _mean_count(known, alone)


def _mean_count(known: Tensor, alone: bool) -> Tensor:
    """Known targets of the joined batch, a rank; at least so many that nothing is divided by 0."""
    count = known.sum() if alone else mean_over_ranks(known.sum())
    return count.to(torch.float32).clamp(min=torch.finfo(torch.float32).tiny)
