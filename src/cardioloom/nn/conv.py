"""Net1D: a one-dimensional RegNet with squeeze-excite, as released with ECGFounder.

Sources: Hong et al. 2020 (HOLMES, the net's origin, doi:10.1145/3394486.3403212); Radosavovic et al. 2020 (RegNet,
arXiv:2003.13678); Hu et al. 2018 (squeeze-excite, arXiv:1709.01507); Li et al. 2024 (ECGFounder, arXiv:2410.04133).
Parameters have the names and the order of the released checkpoints, so that these load strictly.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def same_padding(n_samples: int, kernel: int, stride: int) -> tuple[int, int]:
    """Samples to add left and right for ``ceil(n_samples / stride)`` positions; the odd one goes right."""
    n_out = -(-n_samples // stride)
    total = max(0, (n_out - 1) * stride + kernel - n_samples)
    return total // 2, total - total // 2


class SameConv1d(nn.Module):
    """Convolution whose output has ``ceil(time / stride)`` positions."""

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int, groups: int = 1):
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.conv = nn.Conv1d(n_in, n_out, kernel, stride, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, n_in, time) → (batch, n_out, ceil(time / stride))."""
        left, right = same_padding(x.shape[-1], self.kernel, self.stride)
        return self.conv(F.pad(x, (left, right)) if left or right else x)


def pooled(x: Tensor, stride: int) -> Tensor:
    """(batch, channel, time) → (batch, channel, ceil(time / stride)): the largest of each ``stride`` samples.

    The padding is zero as released, not minus infinity: it wins over negative samples at an odd end.
    """
    if stride == 1:
        return x
    left = (stride - 1) // 2  # at any length, where `same_padding` would depend on it
    right = max(0, -(-x.shape[-1] // stride) * stride - x.shape[-1] - left)
    return F.max_pool1d(F.pad(x, (left, right)) if left or right else x, stride)


def shortcut(x: Tensor, stride: int, channels: int) -> Tensor:
    """What a block adds to its result: ``x`` pooled and widened to the result's shape.

    Args:
        x: (batch, fewer or as many channels, time).

    Returns:
        (batch, channels, ceil(time / stride)); channels of zeros are added half in front (rounded down), half behind.
    """
    x = pooled(x, stride)
    if more := channels - x.shape[1]:
        x = F.pad(x, (0, 0, more // 2, more - more // 2))
    return x


class Block(nn.Module):
    """Bottleneck of 1-wide, grouped and 1-wide convolutions, then squeeze-excite, then the shortcut.

    Args:
        n_in, n_out: channels.
        middle: channels between the convolutions.
        kernel, stride, groups: of the middle convolution.
        is_first: the very first block of a net has no norm and no activation before its first convolution.
        norm, dropout: where False, batch norm and dropout are built but not applied: the released checkpoints hold
            entries of norms that their net never used.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        middle: int,
        *,
        kernel: int,
        stride: int,
        groups: int,
        is_first: bool,
        norm: bool,
        dropout: float,
    ):
        super().__init__()
        self.n_out, self.stride, self.is_first, self.norm, self.dropout = n_out, stride, is_first, norm, dropout
        self.bn1 = nn.BatchNorm1d(n_in)
        self.conv1 = SameConv1d(n_in, middle, 1, 1)
        self.bn2 = nn.BatchNorm1d(middle)
        self.conv2 = SameConv1d(middle, middle, kernel, stride, groups)
        self.bn3 = nn.BatchNorm1d(middle)
        self.conv3 = SameConv1d(middle, n_out, 1, 1)
        self.se_fc1 = nn.Linear(n_out, n_out // 2)
        self.se_fc2 = nn.Linear(n_out // 2, n_out)

    def _activate(self, x: Tensor, norm: nn.BatchNorm1d) -> Tensor:
        x = F.silu(norm(x) if self.norm else x)
        return F.dropout(x, self.dropout, self.training) if self.dropout else x

    def forward(self, x: Tensor) -> Tensor:
        """(batch, n_in, time) → (batch, n_out, ceil(time / stride))."""
        y = self.conv1(x if self.is_first else self._activate(x, self.bn1))
        y = self.conv2(self._activate(y, self.bn2))
        y = self.conv3(self._activate(y, self.bn3))
        gate = torch.sigmoid(self.se_fc2(F.silu(self.se_fc1(y.mean(-1)))))  # (batch, n_out)
        return y * gate[:, :, None] + shortcut(x, self.stride, self.n_out)


class Stage(nn.Module):
    """Blocks of one width; the first halves the rate."""

    def __init__(self, blocks: Sequence[Block]):
        super().__init__()
        self.block_list = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, n_in, time) → (batch, n_out, ceil(time / stride))."""
        for block in self.block_list:
            x = block(x)
        return x


class Net1D(nn.Module):
    """A convolution, stages of blocks, the mean over time, a linear layer.

    Args:
        in_channels: leads.
        base_filters: channels after the first convolution.
        ratio: middle channels of a block as a multiple of its output channels.
        filter_list, m_blocks_list: output channels and number of blocks, a stage each.
        kernel_size, stride: of the first and of the grouped convolutions.
        groups_width: channels in a group.
        n_classes: outputs.
        use_bn, use_do: apply batch norm, dropout (0.5); False in every released configuration.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        base_filters: int,
        ratio: float,
        filter_list: Sequence[int],
        m_blocks_list: Sequence[int],
        kernel_size: int,
        stride: int,
        groups_width: int,
        n_classes: int,
        use_bn: bool = False,
        use_do: bool = False,
    ):
        super().__init__()
        self.use_bn = use_bn
        self.first_conv = SameConv1d(in_channels, base_filters, kernel_size, 2)
        self.first_bn = nn.BatchNorm1d(base_filters)
        stages, width = [], base_filters
        for channels, n_blocks in zip(filter_list, m_blocks_list, strict=True):
            middle = int(channels * ratio)
            blocks = [
                Block(
                    width if i == 0 else channels,
                    channels,
                    middle,
                    kernel=kernel_size,
                    stride=stride if i == 0 else 1,
                    groups=middle // groups_width,
                    is_first=not stages and i == 0,
                    norm=use_bn,
                    dropout=0.5 if use_do else 0.0,
                )
                for i in range(n_blocks)
            ]
            stages.append(Stage(blocks))
            width = channels
        self.stage_list = nn.ModuleList(stages)
        self.dense = nn.Linear(width, n_classes)
        self.n_features = width

    def features(self, x: Tensor) -> Tensor:
        """(batch, lead, time) → (batch, n_features): the mean over time before the linear layer."""
        x = self.first_conv(x)
        x = F.silu(self.first_bn(x) if self.use_bn else x)
        for stage in self.stage_list:
            x = stage(x)
        return x.mean(-1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, lead, time) → logits (batch, n_classes), features (batch, n_features)."""
        features = self.features(x)
        return self.dense(features), features


def unused(net: Net1D) -> list[nn.BatchNorm1d]:
    """Norms that the released net holds and does not apply."""
    blocks = [block for block in net.modules() if isinstance(block, Block)]
    norms = [block.bn1 for block in blocks if block.is_first or not block.norm]
    norms += [norm for block in blocks if not block.norm for norm in (block.bn2, block.bn3)]
    return norms + ([] if net.use_bn else [net.first_bn])
