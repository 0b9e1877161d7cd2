"""Patches: a signal, or a sequence of images, cut into equal blocks and each block embedded as a token.

Source: Dosovitskiy et al. 2021 (arXiv:2010.11929). Blocks that do not overlap make the convolution of the papers a
matrix product: the weights of a convolution of kernel and stride ``patch`` are those of `PatchEmbedding.proj`,
flattened. An ECG (batch, lead, time) with patch (1, 50) has tokens of one lead each and weights that all leads share;
a cine (batch, frame, row, column) with patch (2, 12, 12) has the tokens of a three-dimensional convolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from cardioloom.errors import UsageError


def grid_of(shape: Sequence[int], patch: Sequence[int]) -> tuple[int, ...]:
    """Patches along each axis.

    Raises:
        UsageError: another number of axes, or a length that is no multiple of the patch's.
    """
    if len(shape) != len(patch) or any(n < 1 or n % p for n, p in zip(shape, patch, strict=True)):
        raise UsageError(
            f"Inputs are cut into patches of {tuple(patch)}, got {tuple(shape)}: "
            f"give as many axes, each a multiple of its patch"
        )
    return tuple(n // p for n, p in zip(shape, patch, strict=True))


def patches(x: Tensor, patch: Sequence[int]) -> Tensor:
    """The blocks of a batch, values in the order of the axes, blocks too (the last axis runs fastest).

    Args:
        x: (batch, as many axes as ``patch`` has).

    Returns:
        (batch, token, values of a block).

    Raises:
        UsageError: as `grid_of`.
    """
    grid = grid_of(x.shape[1:], patch)
    n = len(patch)
    sides = [side for pair in zip(grid, patch, strict=True) for side in pair]
    order = [0, *range(1, 2 * n, 2), *range(2, 2 * n + 1, 2)]  # counts of blocks first, then their insides
    return x.reshape(x.shape[0], *sides).permute(order).reshape(x.shape[0], prod(grid), prod(patch))


class PatchEmbedding(nn.Module):
    """One linear layer for the values of every block.

    Args:
        size: of the input, without the batch: (lead, time) or (frame, row, column).
        patch: of a block, an entry an axis.
        width: of a token.

    Raises:
        UsageError: a size that is no multiple of the patch.
    """

    def __init__(self, size: Sequence[int], patch: Sequence[int], width: int):
        super().__init__()
        self.size, self.patch, self.grid = tuple(size), tuple(patch), grid_of(size, patch)
        self.n_tokens, self.n_values = prod(self.grid), prod(self.patch)
        self.proj = nn.Linear(self.n_values, width)
        nn.init.xavier_uniform_(self.proj.weight)
        nn.init.zeros_(self.proj.bias)

    def cut(self, x: Tensor) -> Tensor:
        """(batch, *size) → (batch, token, values).

        Raises:
            UsageError: an input of another size.
        """
        if x.shape[1:] != torch.Size(self.size):
            raise UsageError(
                f"This encoder takes inputs of {self.size}, got {tuple(x.shape[1:])}: crop or resample them to it"
            )
        return patches(x, self.patch)

    def forward(self, blocks: Tensor) -> Tensor:
        """(batch, any tokens, values) → (batch, the same tokens, width)."""
        return self.proj(blocks)
