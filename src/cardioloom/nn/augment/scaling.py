"""Normalisations of batches: standard score and range, of a record, a lead or a group of leads.

Samples that were not recorded (NaN) do not count and stay NaN. What has no spread becomes zero (standard score) or the
lower end (range); the published code divides by zero there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from cardioloom.errors import UsageError

Over = str | Sequence[Sequence[int]]


def standardised(x: Tensor, *, over: Over = "record", unbiased: bool = True) -> Tensor:
    """Mean 0 and standard deviation 1.

    Args:
        x: (batch, lead, time).
        over: ``"record"``, ``"lead"``, or groups of rows that together name each row once, e.g.
            ``[[0, 1, 2], [3, 4, 5], [6, 7, 8, 9, 10, 11]]``.
        unbiased: divide by n − 1 (as the published transform on tensors) or by n (as the published preprocessing).
    """
    return _by_group(x, over, lambda part, dims: _standard(part, dims, unbiased))


def ranged(x: Tensor, *, over: Over = "record", low: float = -1.0, high: float = 1.0) -> Tensor:
    """Smallest value ``low``, largest ``high``; ``over`` as in `standardised`."""

    def scaled(part: Tensor, dims: tuple[int, ...]) -> Tensor:
        gaps = part.isnan()
        least = part.masked_fill(gaps, torch.inf).amin(dims, keepdim=True)
        most = part.masked_fill(gaps, -torch.inf).amax(dims, keepdim=True)
        return low + (high - low) * (part - least) / torch.where(most > least, most - least, 1.0)

    return _by_group(x, over, scaled)


def _standard(part: Tensor, dims: tuple[int, ...], unbiased: bool) -> Tensor:
    gaps = part.isnan()
    count = (~gaps).sum(dims, keepdim=True)
    height = part.masked_fill(gaps, 0.0)
    centred = part - height.sum(dims, keepdim=True) / count.clamp_min(1)
    square = centred.masked_fill(gaps, 0.0).square().sum(dims, keepdim=True)
    sigma = (square / (count - int(unbiased)).clamp_min(1)).sqrt()
    # The mean of equal samples is rounded: what is left of them is not a spread.
    is_flat = sigma <= 8 * torch.finfo(part.dtype).eps * height.abs().amax(dims, keepdim=True)
    return torch.where(is_flat & ~gaps, 0.0, centred / torch.where(is_flat, 1.0, sigma))


def _by_group(x: Tensor, over: Over, scale: Callable[[Tensor, tuple[int, ...]], Tensor]) -> Tensor:
    if over == "record":
        return scale(x, (-2, -1))
    if over == "lead":
        return scale(x, (-1,))
    if isinstance(over, str):
        raise UsageError(f"over {over!r} is unknown: it can be record, lead, or groups of rows")
    rows = [row for group in over for row in group]
    if sorted(rows) != list(range(x.shape[1])):
        raise UsageError(f"groups must name each of {x.shape[1]} rows once, got {[list(group) for group in over]}")
    parts = torch.cat([scale(x[:, list(group)], (-2, -1)) for group in over], dim=1)
    return parts[:, torch.tensor(rows, device=x.device).argsort()]
