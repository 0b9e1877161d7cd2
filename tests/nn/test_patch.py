"""Patches and positions against loops over the grid and against convolutions."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
import torch.nn.functional as F

from cardioloom.errors import UsageError
from cardioloom.nn.patch import PatchEmbedding, patches
from cardioloom.nn.position import LearnedPositions, sincos_1d, sincos_2d

CASES = [((3, 20), (1, 5)), ((4, 6, 9), (2, 3, 3)), ((4, 6), (2, 3))]


@pytest.mark.parametrize(("size", "patch"), CASES)
def test_patches_are_the_blocks_of_a_loop(size: tuple[int, ...], patch: tuple[int, ...]):
    x = torch.arange(2 * math.prod(size), dtype=torch.float32).reshape(2, *size)
    cut = patches(x, patch)
    corners = list(product(*(range(0, n, p) for n, p in zip(size, patch, strict=True))))
    assert cut.shape == (2, len(corners), math.prod(patch))
    for token, corner in enumerate(corners):
        inside = tuple(slice(start, start + p) for start, p in zip(corner, patch, strict=True))
        for i in range(2):
            assert torch.equal(cut[i, token], x[i][inside].flatten())


@pytest.mark.parametrize(("size", "patch"), CASES)
def test_the_embedding_is_the_convolution_of_the_papers(size: tuple[int, ...], patch: tuple[int, ...]):
    embedding = PatchEmbedding(size, patch, 7)
    torch.nn.init.normal_(embedding.proj.bias)
    x = torch.randn(2, *size)
    convolve = F.conv2d if len(size) == 2 else F.conv3d
    weight = embedding.proj.weight.reshape(7, 1, *patch)
    expected = convolve(x[:, None], weight, embedding.proj.bias, stride=patch).flatten(2).transpose(1, 2)
    torch.testing.assert_close(embedding(embedding.cut(x)), expected)


def test_every_lead_has_the_same_weights():
    embedding = PatchEmbedding((12, 40), (1, 10), 8)
    lead = torch.randn(2, 1, 40)
    tokens = embedding(embedding.cut(lead.expand(-1, 12, -1))).reshape(2, 12, 4, 8)
    alone = F.conv1d(lead, embedding.proj.weight[:, None], embedding.proj.bias, stride=10).transpose(1, 2)
    torch.testing.assert_close(tokens, alone[:, None].expand(-1, 12, -1, -1))


@pytest.mark.parametrize("size", [(12, 49), (12,), (12, 0), (2, 12, 50)])
def test_a_size_that_the_patch_does_not_divide_is_refused(size: tuple[int, ...]):
    with pytest.raises(UsageError, match="multiple of its patch"):
        PatchEmbedding(size, (1, 10), 8)


def test_inputs_of_another_size_are_refused():
    embedding = PatchEmbedding((12, 40), (1, 10), 8)
    with pytest.raises(UsageError, match=r"takes inputs of \(12, 40\), got \(12, 50\)"):
        embedding.cut(torch.zeros(2, 12, 50))


@pytest.mark.parametrize(("grid", "parts"), [((3, 4), ((0,), (1,))), ((2, 3, 4), ((0,), (2, 1))), ((2, 3), ((0, 1),))])
def test_positions_are_the_sum_of_the_tables_of_a_loop(grid: tuple[int, ...], parts: tuple[tuple[int, ...], ...]):
    positions = LearnedPositions(grid, parts, 5)
    table = positions()
    assert table.shape == (math.prod(grid), 5)
    for token, place in enumerate(product(*map(range, grid))):
        expected = torch.zeros(5)
        for part, rows in zip(parts, positions.tables, strict=True):
            row = 0
            for axis in sorted(part):
                row = row * grid[axis] + place[axis]
            expected = expected + rows[row]
        torch.testing.assert_close(table[token], expected)


def test_the_tables_hold_a_row_a_place_and_learn():
    positions = LearnedPositions((13, 7, 7), ((0,), (1, 2)), 6)
    assert [tuple(table.shape) for table in positions.tables] == [(13, 6), (49, 6)]
    positions().sum().backward()
    for table, times in zip(positions.tables, (49, 13), strict=True):
        torch.testing.assert_close(table.grad, torch.full_like(table, times))


@pytest.mark.parametrize("parts", [((0,),), ((0,), (0, 1)), ((0,), (2,))])
def test_an_axis_belongs_to_one_table(parts: tuple[tuple[int, ...], ...]):
    with pytest.raises(UsageError, match="name every axis once"):
        LearnedPositions((3, 4), parts, 8)


def test_the_fixed_table_tells_the_column_first():
    table = sincos_2d(8, 3, 4)
    assert table.shape == (13, 8)
    assert not table[0].any()
    for row, column in product(range(3), range(4)):
        expected = []
        for place in (column, row):
            angles = [place / 10000 ** (k / 2) for k in range(2)]
            expected += [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
        torch.testing.assert_close(table[1 + 4 * row + column], torch.tensor(expected, dtype=torch.float64))


def test_tables_that_cannot_be_are_refused():
    with pytest.raises(UsageError, match="even width"):
        sincos_1d(5, torch.arange(3))
