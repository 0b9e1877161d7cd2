"""Losses of a masked autoencoder: what was hidden, beside what the net made up for it."""

from __future__ import annotations

import torch
from torch import Tensor

from cardioloom.errors import UsageError
from cardioloom.objectives.gather import mean_over_ranks


def masked_squared_error(predicted: Tensor, wanted: Tensor, masked: Tensor) -> Tensor:
    """Mean squared error over the values of the masked tokens alone (He et al. 2022, arXiv:2111.06377; PTACL 3.1).

    Args:
        predicted, wanted: (record, token, value).
        masked: (record, token) bool, True where the encoder did not see the token.

    Returns:
        () mean over the masked tokens of all ranks once data-parallel training has averaged it; 0, with a gradient of
        0, where none is masked.

    Raises:
        UsageError: if the shapes do not fit or the mask is not bool.
    """
    if predicted.ndim != 3 or predicted.shape != wanted.shape:
        shapes = f"{tuple(predicted.shape)} and {tuple(wanted.shape)}"
        raise UsageError(f"a reconstruction and what it is of need one shape of three axes, got {shapes}")
    if masked.shape != predicted.shape[:2] or masked.dtype != torch.bool:
        shape, tokens = tuple(masked.shape), tuple(predicted.shape[:2])
        raise UsageError(f"a mask is bool (record, token), got {masked.dtype} {shape} for tokens {tokens}")
    each = (predicted - wanted).square().mean(-1)
    count = mean_over_ranks(masked.sum())
    return (each * masked).sum() / count.to(each.dtype).clamp(min=torch.finfo(torch.float32).tiny)
