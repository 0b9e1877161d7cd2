"""Augmentations of cines: their parameters and draws; intensities lie between 0 and 1.

Published parameters are those of MMCL's public code (Turgut et al. 2023, arXiv:2308.05764), where the three frames of
a record are the channels of one picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from cardioloom.errors import UsageError
from cardioloom.nn.augment import picture
from cardioloom.nn.augment.drawing import (
    Augmentation,
    Draws,
    Shape,
    between,
    pair,
    refuse_not_whole,
    refuse_outside,
    refuse_unknown,
    uniform,
    whole,
    whole_numbers,
)

TRIES = 10  # for a box of the drawn size and shape that fits, as torchvision


@dataclass(frozen=True)
class ResizedCrop(Augmentation):
    """A random box, ``scale`` of the area and ``ratio`` of width to height, resized to ``size`` (None = as before)."""

    scale: tuple[float, float] = (0.6, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", pair("scale of resized_crop", self.scale, 1e-6, 1))
        object.__setattr__(self, "ratio", pair("ratio of resized_crop", self.ratio, 1e-3))
        if self.size is not None:
            object.__setattr__(self, "size", whole_numbers("size of resized_crop", self.size, 1))
            if len(self.size) != 2:
                raise UsageError(f"size of resized_crop must be rows and columns, got {list(self.size)}")

    def draw(self, shape: Shape, generator: Generator) -> Draws:
        """box: (batch, 4) int64: top, left, height, width. Ten tries, else the largest box of the nearest ratio."""
        n_rows, n_cols = shape[-2:]
        area = n_rows * n_cols * between(*self.scale, (shape[0], TRIES), generator)
        logs = between(math.log(self.ratio[0]), math.log(self.ratio[1]), (shape[0], TRIES), generator)
        height, width = (area / logs.exp()).sqrt().round(), (area * logs.exp()).sqrt().round()
        fits = (height >= 1) & (height <= n_rows) & (width >= 1) & (width <= n_cols)
        first = fits.int().argmax(-1, keepdim=True)
        ratio = min(max(n_cols / n_rows, self.ratio[0]), self.ratio[1])
        fallback = (min(n_rows, round(n_cols / ratio)), min(n_cols, round(n_rows * ratio)))
        found = fits.any(-1)
        height, width = (
            torch.where(found, side.gather(-1, first)[:, 0].long(), max(other, 1))
            for side, other in zip((height, width), fallback, strict=True)
        )
        top, left = whole(n_rows - height + 1, shape[:1], generator), whole(n_cols - width + 1, shape[:1], generator)
        top = torch.where(found, top, (n_rows - height) // 2)
        left = torch.where(found, left, (n_cols - width) // 2)
        return {"box": torch.stack((top, left, height, width), dim=-1)}

    def apply(self, x: Tensor, draws: Draws) -> Tensor:
        """See `picture.resized_crop`."""
        return picture.resized_crop(x, draws["box"], self.size or (x.shape[-2], x.shape[-1]))

    def shape_after(self, shape: Shape) -> Shape:
        """(batch, …, *size)."""
        return shape if self.size is None else (*shape[:-2], *self.size)


@dataclass(frozen=True)
class Rotate(Augmentation):
    """Turned by an angle uniform on ±``degrees``; ``mode`` is bilinear or nearest."""

    degrees: float = 45.0
    mode: str = "bilinear"

    def __post_init__(self) -> None:
        refuse_outside("degrees of rotate", self.degrees, 0, 180)
        refuse_unknown("mode of rotate", self.mode, ("bilinear", "nearest"))

    def draw(self, shape: Shape, generator: Generator) -> Draws:
        """degrees: (batch,)."""
        return {"degrees": between(-self.degrees, self.degrees, shape[:1], generator)}

    def apply(self, x: Tensor, draws: Draws) -> Tensor:
        """See `picture.rotate`."""
        return picture.rotate(x, draws["degrees"], mode=self.mode)


@dataclass(frozen=True)
class Flip(Augmentation):
    """Mirrored: ``axis`` col swaps left and right, row swaps top and bottom."""

    axis: str = "col"

    def __post_init__(self) -> None:
        refuse_unknown("axis of flip", self.axis, ("col", "row"))

    def draw(self, shape: Shape, generator: Generator) -> Draws:  # noqa: ARG002
        """Nothing: only whether it happens is random, and the step draws that."""
        return {}

    def apply(self, x: Tensor, draws: Draws) -> Tensor:  # noqa: ARG002
        """The axis reversed."""
        return x.flip(-1 if self.axis == "col" else -2)


@dataclass(frozen=True)
class SampleFrames(Augmentation):
    """``n`` frames in their order: one of each of n equal ``parts`` (Wang et al. 2016, arXiv:1608.00859), or ``any``.

    The draw ``frames`` says which, for what must stay aligned to the phase of the beat.
    """

    moves_time: ClassVar[bool] = True
    n: int = 26
    mode: str = "parts"

    def __post_init__(self) -> None:
        refuse_not_whole("n of sample_frames", self.n, 1)
        refuse_unknown("mode of sample_frames", self.mode, ("parts", "any"))

    def draw(self, shape: Shape, generator: Generator) -> Draws:
        """frames: (batch, n), rising."""
        n_frames = shape[-3]
        if n_frames < self.n:
            raise UsageError(f"sample_frames needs at least {self.n} frames, got {n_frames}: lower n")
        if self.mode == "any":
            order = uniform((shape[0], n_frames), generator).argsort(-1)
            return {"frames": order[:, : self.n].sort(-1).values}
        edges = torch.arange(self.n + 1, device=generator.device) * n_frames // self.n
        return {"frames": edges[:-1] + whole(edges.diff(), (shape[0], self.n), generator)}

    def apply(self, x: Tensor, draws: Draws) -> Tensor:
        """See `picture.sample_frames`."""
        return picture.sample_frames(x, draws["frames"])

    def shape_after(self, shape: Shape) -> Shape:
        """(batch, …, n, row, col)."""
        return (*shape[:-3], self.n, *shape[-2:])

    def moved(self, samples: Tensor, draws: Draws, n_samples: int) -> Tensor:  # noqa: ARG002
        """Place of a frame among those sampled; NaN where it was not."""
        same = samples[..., None] == draws["frames"].reshape(len(samples), *(1,) * (samples.ndim - 1), -1)
        return torch.where(same.any(-1), same.int().argmax(-1).to(samples.dtype), torch.nan)


@dataclass(frozen=True)
class ChangeIntensity(Augmentation):
    """Factors of brightness and of contrast, each uniform within ``brightness`` and ``contrast`` of 1, never negative.

    The published colour jitter draws the order of the two, which matters only where intensities are cut off, and mixes
    the frames as if they were colours (saturation), which is left out.
    """

    brightness: float = 0.5
    contrast: float = 0.5
    limits: tuple[float, float] | None = (0.0, 1.0)

    def __post_init__(self) -> None:
        refuse_outside("brightness of change_intensity", self.brightness, 0)
        refuse_outside("contrast of change_intensity", self.contrast, 0)
        if self.limits is not None:
            object.__setattr__(self, "limits", pair("limits of change_intensity", self.limits, -math.inf))

    def draw(self, shape: Shape, generator: Generator) -> Draws:
        """brightness, contrast: (batch,)."""
        spreads = {"brightness": self.brightness, "contrast": self.contrast}
        return {key: between(max(0.0, 1 - by), 1 + by, shape[:1], generator) for key, by in spreads.items()}

    def apply(self, x: Tensor, draws: Draws) -> Tensor:
        """See `picture.change_intensity`."""
        return picture.change_intensity(x, draws["brightness"], draws["contrast"], limits=self.limits)


@dataclass(frozen=True)
class Blur(Augmentation):
    """Smoothed by a Gaussian whose sigma, pixels, is uniform over ``sigma``; cut off at four of the largest."""

    sigma: tuple[float, float] = (0.1, 1.0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sigma", pair("sigma of blur", self.sigma, 0))

    def draw(self, shape: Shape, generator: Generator) -> Draws:
        """sigma: (batch,)."""
        return {"sigma": between(*self.sigma, shape[:1], generator)}

    def apply(self, x: Tensor, draws: Draws) -> Tensor:
        """See `picture.blur`."""
        return picture.blur(x, draws["sigma"], radius=math.ceil(4 * self.sigma[1]))
