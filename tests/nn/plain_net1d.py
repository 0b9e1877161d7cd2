"""Net1D a second time: functions over a state dictionary, written from the description of the released net.

Nothing here knows of cardioloom. The padded signals, pools and gates are spelled out sample by sample where torch has a
shorter word, so that a mistake in the one implementation is not repeated in the other. Keyword arguments switch on the
mistakes that are easily made, for tests that show that they would be noticed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

State = Mapping[str, Tensor]


def convolve(state: State, name: str, x: Tensor, stride: int) -> Tensor:
    """``ceil(time / stride)`` positions; zeros half before, half after, the odd one after."""
    weight, bias = state[f"{name}.conv.weight"], state[f"{name}.conv.bias"]
    n_out, in_group, kernel = weight.shape
    n_groups, time = x.shape[1] // in_group, x.shape[2]
    positions = (time + stride - 1) // stride
    zeros = max(0, (positions - 1) * stride + kernel - time)
    before = zeros // 2
    padded = torch.cat([zeros_like(x, before), x, zeros_like(x, zeros - before)], dim=2)
    windows = padded.unfold(2, kernel, stride)[:, :, :positions]  # (batch, channel, position, kernel)
    windows = windows.reshape(len(x), n_groups, in_group, positions, kernel)
    by_group = weight.reshape(n_groups, n_out // n_groups, in_group, kernel)
    return torch.einsum("bgipk,goik->bgop", windows, by_group).reshape(len(x), n_out, positions) + bias[None, :, None]


def zeros_like(x: Tensor, samples: int) -> Tensor:
    """(batch, channel, samples) zeros."""
    return torch.zeros(*x.shape[:2], samples, dtype=x.dtype)


def pool(x: Tensor, size: int, outside: float = 0.0) -> Tensor:
    """Largest of ``size`` neighbours; ``size - 1`` samples of ``outside`` are added, half before (rounded down)."""
    before = (size - 1) // 2
    row = torch.full((*x.shape[:2], size - 1), outside, dtype=x.dtype)
    padded = torch.cat([row[:, :, :before], x, row[:, :, before:]], dim=2)
    positions = padded.shape[2] // size
    return padded[:, :, : positions * size].reshape(*x.shape[:2], positions, size).amax(3)


def widen(x: Tensor, channels: int) -> Tensor:
    """Channels of zeros: half in front, rounded down, the others behind."""
    more = channels - x.shape[1]
    zeros = torch.zeros(len(x), more, x.shape[2], dtype=x.dtype)
    return torch.cat([zeros[:, : more // 2], x, zeros[:, more // 2 :]], dim=1)


def swish(x: Tensor) -> Tensor:
    """x · sigmoid(x)."""
    return x / (1 + torch.exp(-x))


def normalise(state: State, name: str, x: Tensor, apply: bool) -> Tensor:
    """Batch norm in use, with stored mean and variance."""
    if not apply:
        return x
    mean, var, weight, bias = (state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return (x - mean[:, None]) / torch.sqrt(var[:, None] + 1e-5) * weight[:, None] + bias[:, None]


def excite(state: State, name: str, x: Tensor) -> Tensor:
    """Each channel times a gate that depends on the means of all channels."""
    mean = x.sum(2) / x.shape[2]
    hidden = swish(mean @ state[f"{name}.se_fc1.weight"].T + state[f"{name}.se_fc1.bias"])
    gate = 1 / (1 + torch.exp(-(hidden @ state[f"{name}.se_fc2.weight"].T + state[f"{name}.se_fc2.bias"])))
    return x * gate[:, :, None]


def block(
    state: State, name: str, x: Tensor, *, stride: int, is_first: bool, is_head: bool, norm: bool, outside: float
) -> Tensor:
    """Norm, swish, convolution, three times; gate; plus the block's input. The head of a stage strides and pools."""
    y = x if is_first else swish(normalise(state, f"{name}.bn1", x, norm))
    y = convolve(state, f"{name}.conv1", y, 1)
    y = convolve(state, f"{name}.conv2", swish(normalise(state, f"{name}.bn2", y, norm)), stride if is_head else 1)
    y = convolve(state, f"{name}.conv3", swish(normalise(state, f"{name}.bn3", y, norm)), 1)
    shortcut = pool(x, stride, outside) if is_head else x
    return excite(state, name, y) + widen(shortcut, y.shape[1])


def net1d(
    state: State,
    config: Mapping[str, Any],
    x: Tensor,
    *,
    norm: bool | None = None,
    outside: float = 0.0,
    first_is_like_others: bool = False,
) -> tuple[Tensor, Tensor]:
    """Logits (batch, class) and features (batch, channel) of inputs (batch, lead, time), in the type of ``x``.

    Args:
        state: parameters by the names of the released checkpoints.
        config: constructor arguments of the released class.
        x: inputs.
        norm: apply the batch norms; None: as the configuration says.
        outside: what the pool finds beyond the end.
        first_is_like_others: give the very first block an activation before its first convolution.
    """
    state = {name: value.to(x.dtype) for name, value in state.items()}
    norm = config["use_bn"] if norm is None else norm
    x = swish(normalise(state, "first_bn", convolve(state, "first_conv", x, 2), norm))
    for i, n_blocks in enumerate(config["m_blocks_list"]):
        for j in range(n_blocks):
            first = i == 0 and j == 0 and not first_is_like_others
            name = f"stage_list.{i}.block_list.{j}"
            x = block(
                state, name, x, stride=config["stride"], is_first=first, is_head=j == 0, norm=norm, outside=outside
            )
    features = x.sum(2) / x.shape[2]
    return features @ state["dense.weight"].T + state["dense.bias"], features
