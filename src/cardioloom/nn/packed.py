"""Net1D for use on a processor: channels last, weights laid out once for oneDNN, activations inside the products.

The same numbers as `conv.Net1D` but for the order of their sums. A 1-wide convolution over channels that lie last is a
matrix product; that, the fused activations and weights that need no new layout at each call are the gain over the
structure as it was released. Measured beside it by ``benchmarks/net1d.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cardioloom.nn.conv import Block, Net1D, pooled, same_padding

Outputs = tuple[Tensor, Tensor]
# Positions that lie a multiple of a memory page apart fall on the same lines of the cache: a wide convolution is cut
# into slices, each copied together. 1024 channels are 2.5 times as quick so.
PAGE, SLICE = 1024, 256
ROWS_HINT = 1024  # rows of a product for which oneDNN chooses the layout of its weights; any number works


def pack(net: Net1D, dtype: torch.dtype = torch.float32) -> Callable[[Tensor], Outputs]:
    """The net as a function (batch, lead, time) → logits, features; the net itself where it cannot be packed.

    Args:
        net: without applied norms, on the processor; its weights are copied.
        dtype: of the products: float32, or bfloat16 where the processor multiplies it.
    """
    has_ops = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    if not has_ops or net.use_bn or next(net.parameters()).device.type != "cpu":
        return net
    return _Packed(net, dtype)


class _Packed:
    def __init__(self, net: Net1D, dtype: torch.dtype):
        self.dtype = dtype
        self.first = _Convolution.of(net.first_conv.conv, dtype)
        self.blocks = [_PackedBlock.of(block, dtype) for stage in net.stage_list for block in _blocks(stage)]
        self.dense = net.dense

    def __call__(self, x: Tensor) -> Outputs:
        x, skipped = self.first(x.to(self.dtype).transpose(1, 2).contiguous())
        x = x[:, skipped:].contiguous()  # (batch, time, channel) from here on
        for block in self.blocks:
            x = block(x)
        features = x.mean(1, dtype=torch.float32)
        return F.linear(features, self.dense.weight, self.dense.bias), features


@dataclass(frozen=True, eq=False)
class _Linear:
    """A 1-wide convolution as a product over the last axis, with or without its activation."""

    weight: Tensor
    bias: Tensor

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor, dtype: torch.dtype) -> _Linear:
        packed = torch.ops.mkldnn._reorder_linear_weight(weight.to(dtype).contiguous(), ROWS_HINT)
        return cls(packed, bias.to(dtype))

    def __call__(self, x: Tensor, act: str) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, act, [], "")


@dataclass(frozen=True, eq=False)
class _Convolution:
    """A convolution over channels that lie last, followed by its activation; a wide one in slices of its channels."""

    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]
    kernel: int
    stride: int
    groups: int

    @classmethod
    def of(cls, conv: nn.Conv1d, dtype: torch.dtype) -> _Convolution:
        assert conv.bias is not None
        weight, bias = conv.weight.to(dtype)[:, :, None], conv.bias.to(dtype)
        n = len(bias) // SLICE if conv.groups % (len(bias) // SLICE or 1) == 0 and len(bias) % PAGE == 0 else 1
        return cls(
            tuple(part.contiguous(memory_format=torch.channels_last) for part in weight.chunk(n)),
            tuple(part.contiguous() for part in bias.chunk(n)),
            conv.kernel_size[0],
            conv.stride[0],
            conv.groups,
        )

    def __call__(self, x: Tensor) -> tuple[Tensor, int]:
        """(batch, time, channel) → the same, and how many positions in front of the result are to be left out."""
        left, right = same_padding(x.shape[1], self.kernel, self.stride)
        skipped = 0
        if left == right:
            pad = left
        elif self.stride == 1:  # one position too many in front costs less than a padded copy
            pad, skipped = right, right - left
        else:
            x, pad = F.pad(x, (0, 0, left, right)), 0
        n = len(self.weights)
        slices = [x] if n == 1 else [part.contiguous() for part in x.chunk(n, dim=2)]
        ys = [
            torch.ops.mkldnn._convolution_pointwise(
                part.transpose(1, 2).unsqueeze(2),  # (batch, channel, 1, time), channels last in memory
                weight,
                bias,
                [0, pad],
                [1, self.stride],
                [1, 1],
                self.groups // n,
                "swish",
                [],
                "",
            )
            for part, weight, bias in zip(slices, self.weights, self.biases, strict=True)
        ]
        return (ys[0] if n == 1 else torch.cat(ys, dim=1)).squeeze(2).transpose(1, 2), skipped


@dataclass(frozen=True, eq=False)
class _PackedBlock:
    conv1: _Linear
    conv2: _Convolution
    conv3: _Linear
    squeeze: nn.Linear
    excite: nn.Linear
    is_first: bool
    stride: int

    @classmethod
    def of(cls, block: Block, dtype: torch.dtype) -> _PackedBlock:
        one, three = block.conv1.conv, block.conv3.conv
        assert one.bias is not None
        assert three.bias is not None
        return cls(
            conv1=_Linear.of(one.weight[:, :, 0], one.bias, dtype),
            conv2=_Convolution.of(block.conv2.conv, dtype),
            conv3=_Linear.of(three.weight[:, :, 0], three.bias, dtype),
            squeeze=block.se_fc1,
            excite=block.se_fc2,
            is_first=block.is_first,
            stride=block.stride,
        )

    def __call__(self, x: Tensor) -> Tensor:
        y = self.conv1(x if self.is_first else F.silu(x), "swish")
        y, skipped = self.conv2(y)
        y = self.conv3(y, "none")[:, skipped:]
        mean = y.mean(1, dtype=torch.float32)
        gate = torch.sigmoid(self.excite(F.silu(self.squeeze(mean)))).to(y.dtype)
        y = y * gate[:, None]
        before = (y.shape[2] - x.shape[2]) // 2
        y[:, :, before : before + x.shape[2]] += self._pooled(x)
        return y

    def _pooled(self, x: Tensor) -> Tensor:
        """`conv.pooled` of channels that lie last; of pairs, as every released net has them, without a transpose."""
        if self.stride != 2:
            return pooled(x.transpose(1, 2), self.stride).transpose(1, 2)
        even, odd = x[:, 0::2], x[:, 1::2]
        if odd.shape[1] < even.shape[1]:
            odd = F.pad(odd, (0, 0, 0, 1))
        return torch.maximum(even, odd)


def _blocks(stage: Any) -> list[Block]:
    return list(stage.block_list)
