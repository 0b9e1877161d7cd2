"""Where a token lies: learned tables for each axis, and the fixed sine-cosine tables of earlier encoders."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from cardioloom.errors import UsageError

STD = 0.02  # of learned tokens at the start, as in a ViT


class LearnedPositions(nn.Module):
    """A sum of learned tables, each over one or more axes of the grid.

    The ECG encoder adds a table over leads and one over time, the cine encoder one over time and one over space (rows
    and columns together). Two tables of ``a`` and ``b`` rows tell ``a · b`` tokens apart. They begin as sines and
    cosines, those of every second table the other way round: neighbours are alike before anything was learned, and no
    table begins as another.

    Args:
        grid: tokens along each axis.
        parts: the axes of each table; every axis in exactly one: ((0,), (1,)) for (lead, time), ((0,), (1, 2)) for
            (time, row, column).
        width: of a token.

    Raises:
        UsageError: an axis in no table or in two.
    """

    def __init__(self, grid: Sequence[int], parts: Sequence[Sequence[int]], width: int):
        super().__init__()
        if sorted(axis for part in parts for axis in part) != list(range(len(grid))):
            raise UsageError(
                f"Each of the {len(grid)} axes of a grid belongs to one table of positions, got {tuple(parts)}: "
                f"name every axis once"
            )
        self.grid, self.parts = tuple(grid), tuple(tuple(sorted(part)) for part in parts)
        self.tables = nn.ParameterList(self._begun(n, width) for n in range(len(self.parts)))

    def _begun(self, number: int, width: int) -> Tensor:
        """(token of the part, width) of one table; of rows and columns together it is `sincos_2d`."""
        sides, even = [self.grid[axis] for axis in self.parts[number]], -(-width // 4) * 4
        places = torch.arange(prod(sides))
        table = sincos_2d(even, *sides, cls=False) if len(sides) == 2 else sincos_1d(even, places)
        table = table[:, :width].to(torch.get_default_dtype())
        return table.flip(-1) if number % 2 else table.contiguous()

    def forward(self) -> Tensor:
        """(token, width), tokens in the order of the grid, the last axis fastest."""
        total: Tensor | None = None
        for part, table in zip(self.parts, self.tables, strict=True):
            sides = [n if axis in part else 1 for axis, n in enumerate(self.grid)]
            spread = table.reshape(*sides, -1)  # a part's axes ascend, as the grid's do
            total = spread if total is None else total + spread
        assert total is not None
        return total.expand(*self.grid, -1).reshape(prod(self.grid), -1)


def sincos_1d(width: int, positions: Tensor) -> Tensor:
    """Sines, then cosines, of the positions at ``width / 2`` wavelengths from 2π to 2π · 10⁴ (Vaswani et al. 2017).

    Returns:
        (positions, width), float64.

    Raises:
        UsageError: an odd width.
    """
    if width % 2:
        raise UsageError(f"A sine-cosine table has an even width, got {width}: give each sine its cosine")
    rates = 10000.0 ** (-torch.arange(width // 2, dtype=torch.float64) / (width / 2))
    angles = positions.to(torch.float64)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def sincos_2d(width: int, rows: int, columns: int, *, cls: bool = True) -> Tensor:
    """The fixed table of the masked autoencoders of ECGs that came before: the first half of the width tells the column
    (time), the second half the row (lead).

    Args:
        cls: put a row of zeros first, for a class token.

    Returns:
        (rows · columns, one more where ``cls``; width), float64.

    Raises:
        UsageError: a width that is no multiple of 4.
    """
    column = sincos_1d(width // 2, torch.arange(columns)).repeat(rows, 1)
    row = sincos_1d(width - width // 2, torch.arange(rows)).repeat_interleave(columns, 0)
    table = torch.cat([column, row], dim=1)
    return torch.cat([table.new_zeros(1, width), table]) if cls else table
