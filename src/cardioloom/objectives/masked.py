"""Losses of a masked autoencoder: what was hidden, beside what the net made up for it."""

from __future__ import annotations

import torch
from torch import Tensor

from cardioloom.errors import UsageError
from cardioloom.objectives.gather import mean_over_ranks


def masked_squared_error(
    predicted: Tensor, wanted: Tensor, masked: Tensor, *, every_token: bool = False, alone: bool = False
) -> Tensor:
    """Mean squared error over the values of the masked tokens alone (He et al. 2022, arXiv:2111.06377; PTACL 3.1).

    Args:
        predicted, wanted: (record, token, value).
        masked: (record, token) bool, True where the encoder did not see the token.
        every_token: take visible tokens too, whatever ``masked`` says: the released ECG autoencoder of MMCL (Turgut et
            al. 2025, github.com/oetu/mae) does so, although its paper does not.
        alone: each rank has the same records and asks no other, as when a net is validated.

    Returns:
        () mean over the masked tokens of all ranks once data-parallel training has averaged it; 0, with a gradient of
        0, where none is masked.

    Raises:
        UsageError: if the shapes do not fit or the mask is not bool.
    """
    _refuse(predicted, wanted)
    if masked.shape != predicted.shape[:2] or masked.dtype != torch.bool:
        shape, tokens = tuple(masked.shape), tuple(predicted.shape[:2])
        raise UsageError(f"a mask is bool (record, token), got {masked.dtype} {shape} for tokens {tokens}")
    if every_token:
        masked = torch.ones_like(masked)
    each = (predicted - wanted).square().mean(-1)
    count = masked.sum() if alone else mean_over_ranks(masked.sum())
    return (each * masked).sum() / count.to(each.dtype).clamp(min=torch.finfo(torch.float32).tiny)


def standardised(patches: Tensor, epsilon: float = 1e-6) -> Tensor:
    """Each patch by itself with mean 0 and variance 1, a target that He et al. 2022 found to learn more.

    Args:
        patches: (record, token, value) with at least two values.
        epsilon: added to the variance, which is the unbiased one as in the authors' code.

    Returns:
        (record, token, value).
    """
    variance, mean = torch.var_mean(patches, dim=-1, keepdim=True)
    return (patches - mean) / (variance + epsilon).sqrt()


def correlation_loss(predicted: Tensor, wanted: Tensor) -> Tensor:
    """1 minus Pearson's correlation of each lead, mean over leads and records.

    The released ECG autoencoder of MMCL adds it: (1 − w) · squared error + w · this, w = 0.1, over every token.

    Args:
        predicted, wanted: (record, lead, time), put together from patches.

    Returns:
        () 0 to 2; a lead that is constant has a correlation of 0.

    Raises:
        UsageError: if the shapes differ or are not (record, lead, time).
    """
    _refuse(predicted, wanted)
    ours, theirs = predicted - predicted.mean(-1, keepdim=True), wanted - wanted.mean(-1, keepdim=True)
    return 1 - torch.cosine_similarity(ours, theirs, dim=-1).mean()


def _refuse(predicted: Tensor, wanted: Tensor) -> None:
    if predicted.ndim != 3 or predicted.shape != wanted.shape:
        shapes = f"{tuple(predicted.shape)} and {tuple(wanted.shape)}"
        raise UsageError(f"a reconstruction and what it is of need one shape of three axes, got {shapes}")
