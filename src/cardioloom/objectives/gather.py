"""For losses that compare the records of a batch with each other: the whole batch, on every rank, with gradients."""

from __future__ import annotations

import torch
from torch import Tensor


def gathered(x: Tensor) -> Tensor:
    """The rows of all ranks, in the order of the ranks; the tensor itself where there is one rank.

    Each rank computes the same loss from it. The gradient that flows back to a rank's own rows is the sum over the
    ranks' losses; data-parallel training divides by the number of ranks when it averages, so that the step is that of
    one process on the joined batch.

    Args:
        x: (own rows, …), as many rows on every rank.

    Returns:
        (rows of all ranks, …).
    """
    if ranks() == 1:
        return x
    from torch.distributed.nn.functional import all_gather

    return torch.cat(list(all_gather(x.contiguous())))


def mean_over_ranks(count: Tensor) -> Tensor:
    """The mean of a number over the ranks, without gradient; the number itself where there is one rank.

    A mean over known targets that divides by this, in place of the rank's own count, is that of the joined batch once
    data-parallel training has averaged it.
    """
    if (n := ranks()) == 1:
        return count
    total = count.detach().to(torch.float32).clone()
    torch.distributed.all_reduce(total)
    return total / n


def ranks() -> int:
    """Number of processes that train together."""
    distributed = torch.distributed
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1
