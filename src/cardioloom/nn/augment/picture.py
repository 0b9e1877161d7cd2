"""What can be done to a batch of cines: (batch, time, row, col) or (batch, channel, time, row, col).

All frames of a record share what is drawn for it, so that the heart keeps its motion. A cine has no gaps: NaN is not
catered for.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cardioloom.nn.augment.drawing import per_record


def separable(x: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
    """Each frame as ``rows @ frame @ colsᵀ``; rows (batch, row_out, row), cols (batch, col_out, col)."""
    between_axes = (1,) * (x.ndim - 3)
    rows, cols = (part.reshape(len(x), *between_axes, *part.shape[1:]) for part in (rows, cols))
    return rows @ (x @ cols.transpose(-1, -2))


def resized_crop(x: Tensor, box: Tensor, size: tuple[int, int]) -> Tensor:
    """A box of each record, box (batch, 4) = top, left, height, width, resized bilinearly to ``size``.

    Where it becomes smaller, neighbouring pixels are averaged first (antialiased).
    """
    top, left, height, width = box.unbind(-1)
    rows = _resampling(top, height, x.shape[-2], size[0], x)
    return separable(x, rows, _resampling(left, width, x.shape[-1], size[1], x))


def rotate(x: Tensor, degrees: Tensor, *, mode: str = "bilinear") -> Tensor:
    """Each record turned anticlockwise about its centre by degrees (batch,); what enters is zero."""
    n_rows, n_cols = x.shape[-2:]
    y = torch.arange(n_rows, device=x.device, dtype=x.dtype)[:, None] - (n_rows - 1) / 2
    z = torch.arange(n_cols, device=x.device, dtype=x.dtype) - (n_cols - 1) / 2
    angle = torch.deg2rad(degrees.to(x.dtype))[:, None, None]
    cos, sin = angle.cos(), angle.sin()
    source_col, source_row = z * cos - y * sin, z * sin + y * cos  # each (batch, row, col); rows count downwards
    grid = torch.stack((source_col * 2 / max(n_cols - 1, 1), source_row * 2 / max(n_rows - 1, 1)), dim=-1)
    frames = x.flatten(1, -3)  # (batch, channel · time, row, col)
    return F.grid_sample(frames, grid, mode=mode, padding_mode="zeros", align_corners=True).view(x.shape)


def sample_frames(x: Tensor, frames: Tensor) -> Tensor:
    """The frames (batch, n) of each record, in that order."""
    record = torch.arange(len(x), device=x.device)[:, None]
    if x.ndim == 4:
        return x[record, frames]
    return x.transpose(1, 2)[record, frames].transpose(1, 2)


def change_intensity(
    x: Tensor, brightness: Tensor, contrast: Tensor, *, limits: tuple[float, float] | None = (0.0, 1.0)
) -> Tensor:
    """Each record times its brightness (batch,), then its distances from its mean times contrast (batch,).

    After each of the two what lies outside ``limits`` is set to them; without limits the order makes no difference.
    """
    x = x * per_record(brightness, x)
    x = x if limits is None else x.clamp(*limits)
    mean = x.flatten(1).mean(1)
    x = torch.lerp(per_record(mean, x), x, per_record(contrast.to(x.dtype), x))
    return x if limits is None else x.clamp(*limits)


def blur(x: Tensor, sigma: Tensor, *, radius: int) -> Tensor:
    """Each frame smoothed by a Gaussian of sigma (batch,) pixels, cut off at ``radius``; mirrored at the border."""
    taps = torch.arange(-radius, radius + 1, device=x.device)
    weights = torch.exp(-0.5 * (taps / sigma.clamp_min(1e-6)[:, None].to(x.dtype)) ** 2)
    weights = weights / weights.sum(-1, keepdim=True)  # (batch, tap)
    return separable(x, *(_smoothing(weights, taps, size) for size in x.shape[-2:]))


def _resampling(start: Tensor, length: Tensor, n_in: int, n_out: int, like: Tensor) -> Tensor:
    """(batch, n_out, n_in): weights that read ``length`` pixels from ``start`` on as ``n_out``, both (batch,)."""
    pixel = torch.arange(n_in, device=like.device)
    start, length = start[:, None, None], length[:, None, None]
    scale = length.to(like.dtype) / n_out
    centre = start + (torch.arange(n_out, device=like.device)[:, None] + 0.5) * scale - 0.5
    weights = (1 - (pixel - centre).abs() / scale.clamp_min(1.0)).clamp_min(0.0)
    weights = weights * ((pixel >= start) & (pixel < start + length))
    return weights / weights.sum(-1, keepdim=True)


def _smoothing(weights: Tensor, taps: Tensor, size: int) -> Tensor:
    """(batch, size, size): the convolution with weights (batch, tap) as a matrix."""
    period = max(2 * size - 2, 1)
    at = (torch.arange(size, device=taps.device)[:, None] + taps) % period
    at = torch.minimum(at, (period - at) % period if size > 1 else at)  # mirrored about the outermost pixels
    placed = F.one_hot(at, size).to(weights.dtype)  # (size, tap, size)
    return torch.einsum("bt,itj->bij", weights, placed)
