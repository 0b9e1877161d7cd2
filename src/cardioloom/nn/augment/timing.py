"""What moves the samples of ECGs along time: flip, shift, crop, crop and resize, undersample.

A sample that was not recorded (NaN) moves with the rest; where samples are interpolated, a NaN neighbour that has
weight gives NaN. `moved` follows R peaks exactly. Source of the published forms: the public code of MMCL (Turgut et
al. 2023, arXiv:2308.05764).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from cardioloom.errors import UsageError
from cardioloom.nn.augment.drawing import (
    Augmentation,
    Draws,
    Shape,
    between,
    pair,
    per_record,
    refuse_not_whole,
    uniform,
    whole,
)


def shift(x: Tensor, offset: Tensor) -> Tensor:
    """Each record later by offset (batch,) samples (earlier where negative); what enters is zero."""
    n_samples = x.shape[-1]
    source = torch.arange(n_samples, device=x.device) - offset[:, None]  # (batch, time)
    outside = (source < 0) | (source >= n_samples)
    index = source.clamp(0, n_samples - 1)[:, None].expand(x.shape)
    return x.gather(-1, index).masked_fill(outside[:, None], 0.0)


def crop(x: Tensor, start: Tensor, length: int) -> Tensor:
    """(batch, lead, time) → (batch, lead, length), from sample start (batch,) of each record on."""
    index = start[:, None] + torch.arange(length, device=x.device)  # (batch, length)
    return x.gather(-1, index[:, None].expand(-1, x.shape[1], -1))


def interpolated(x: Tensor, left: Tensor, share: Tensor, last: Tensor) -> Tensor:
    """Linear interpolation between samples ``left`` and ``left + 1``; beyond ``last`` its value, as ``numpy.interp``.

    Args:
        x: (batch, lead, time).
        left: (batch, n), samples on the left.
        share: (batch, n), how far towards the right one, in [0, 1).
        last: (batch, 1), the last sample that may be read.

    Returns:
        (batch, lead, n).
    """
    leads = x.shape[1]
    left = torch.minimum(left, last)
    right = torch.minimum(left + (share > 0), last)  # a gap to the right of a sample that is met has no say
    a = x.gather(-1, left[:, None].expand(-1, leads, -1))
    b = x.gather(-1, right[:, None].expand(-1, leads, -1))
    return torch.lerp(a, b, share[:, None])


def crop_resize(x: Tensor, start: Tensor, length: Tensor, n_out: int) -> Tensor:
    """``length`` samples from ``start`` on, each (batch,), stretched to ``n_out``.

    As published point j of the result is read at ``start + j · length / (n_out - 1)``, so that the last points repeat
    the last sample of the crop.
    """
    # In whole numbers: a float32 position late in a long record is off by more than the parity allows.
    steps = torch.arange(n_out, device=x.device) * length[:, None]  # (batch, n_out)
    parts = max(n_out - 1, 1)
    left, share = steps // parts, (steps % parts).to(x.dtype) / parts
    return interpolated(x, start[:, None] + left, share, (start + length - 1)[:, None])


def undersample(x: Tensor, step: int) -> Tensor:
    """Every ``step``-th sample kept, the others read from a line between those; after the last kept, its value."""
    n_samples = x.shape[-1]
    kept = x[..., ::step]
    at = torch.arange(n_samples, device=x.device)[None].expand(len(x), -1)
    last = torch.full((len(x), 1), kept.shape[-1] - 1, device=x.device)
    return interpolated(kept, at // step, (at % step).to(x.dtype) / step, last)


@dataclass(frozen=True)
class TimeFlip(Augmentation):
    """The record from its end to its start."""

    moves_time: ClassVar[bool] = True

    def draw(self, shape: Shape, generator: Generator) -> Draws:  # noqa: ARG002
        """Nothing: only whether it happens is random, and the step draws that."""
        return {}

    def apply(self, x: Tensor, draws: Draws) -> Tensor:  # noqa: ARG002
        """The time axis reversed."""
        return x.flip(-1)

    def moved(self, samples: Tensor, draws: Draws, n_samples: int) -> Tensor:  # noqa: ARG002
        """Sample i lies at the mirrored place."""
        return n_samples - 1 - samples


@dataclass(frozen=True)
class Shift(Augmentation):
    """The record shifted by up to ``most`` samples, zeros entering.

    As published: of ``most`` zeros a random part ``left`` goes in front, the rest behind, and with equal chance the
    first or the last as many samples are kept: an offset of ``left``, or of ``2 · left - most``.
    The published 30 s at 250 Hz (7500) empties many a record of 10 s; it is in no preset.
    """

    moves_time: ClassVar[bool] = True
    most: int = 7500

    def __post_init__(self) -> None:
        refuse_not_whole("most of shift", self.most, 0)

    def draw(self, shape: Shape, generator: Generator) -> Draws:
        """offset: (batch,), samples; positive is later."""
        left = (uniform(shape[:1], generator) * self.most).long()
        from_start = uniform(shape[:1], generator) < 0.5
        return {"offset": torch.where(from_start, left, 2 * left - self.most)}

    def apply(self, x: Tensor, draws: Draws) -> Tensor:
        """See `shift`."""
        return shift(x, draws["offset"])

    def moved(self, samples: Tensor, draws: Draws, n_samples: int) -> Tensor:
        """Later by the offset."""
        return _inside(samples + per_record(draws["offset"], samples), n_samples)


@dataclass(frozen=True)
class Crop(Augmentation):
    """``length`` samples from a random start; where ``start`` is given, from there, as in evaluation.

    Every start is as likely; the published code never takes the last one.
    """

    moves_time: ClassVar[bool] = True
    length: int = 2500
    start: int | None = None

    def __post_init__(self) -> None:
        refuse_not_whole("length of crop", self.length, 1)
        if self.start is not None:
            refuse_not_whole("start of crop", self.start, 0)

    def draw(self, shape: Shape, generator: Generator) -> Draws:
        """start: (batch,)."""
        spare = shape[-1] - self.length - (self.start or 0)
        if spare < 0:
            raise UsageError(f"crop needs {shape[-1] - spare} samples, got {shape[-1]}: pad first or crop less")
        if self.start is not None:
            return {"start": torch.full(shape[:1], self.start, device=generator.device)}
        return {"start": whole(spare + 1, shape[:1], generator)}

    def apply(self, x: Tensor, draws: Draws) -> Tensor:
        """See `crop`."""
        return crop(x, draws["start"], self.length)

    def shape_after(self, shape: Shape) -> Shape:
        """(batch, lead, length)."""
        return (*shape[:-1], self.length)

    def moved(self, samples: Tensor, draws: Draws, n_samples: int) -> Tensor:  # noqa: ARG002
        """Earlier by the start; NaN where cut off."""
        return _inside(samples - per_record(draws["start"], samples), self.length)


@dataclass(frozen=True)
class CropResize(Augmentation):
    """A random part of the record, a share of it drawn from ``share``, stretched to ``length`` (None = as before)."""

    moves_time: ClassVar[bool] = True
    share: tuple[float, float] = (0.75, 0.75)
    length: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "share", pair("share of crop_resize", self.share, 0, 1))
        if self.length is not None:
            refuse_not_whole("length of crop_resize", self.length, 1)

    def draw(self, shape: Shape, generator: Generator) -> Draws:
        """start, length: (batch,), samples."""
        n_samples = shape[-1]
        length = (n_samples * between(*self.share, shape[:1], generator)).long().clamp(1, n_samples)
        return {"start": whole(n_samples - length + 1, shape[:1], generator), "length": length}

    def apply(self, x: Tensor, draws: Draws) -> Tensor:
        """See `crop_resize`."""
        return crop_resize(x, draws["start"], draws["length"], self.length or x.shape[-1])

    def shape_after(self, shape: Shape) -> Shape:
        """(batch, lead, length)."""
        return (*shape[:-1], self.length or shape[-1])

    def moved(self, samples: Tensor, draws: Draws, n_samples: int) -> Tensor:
        """Where the crop, stretched, has the sample; NaN where cut off."""
        start, length = per_record(draws["start"], samples), per_record(draws["length"], samples)
        inside = (samples >= start) & (samples <= start + length - 1)
        placed = (samples - start) * max((self.length or n_samples) - 1, 1) / length
        return placed.masked_fill(~inside, torch.nan)


@dataclass(frozen=True)
class Undersample(Augmentation):
    """Every ``step``-th sample, interpolated back to the length: fine detail is lost, nothing moves."""

    step: int = 2

    def __post_init__(self) -> None:
        refuse_not_whole("step of undersample", self.step, 1)

    def draw(self, shape: Shape, generator: Generator) -> Draws:  # noqa: ARG002
        """Nothing: only whether it happens is random, and the step of the chain draws that."""
        return {}

    def apply(self, x: Tensor, draws: Draws) -> Tensor:  # noqa: ARG002
        """See `undersample`."""
        return undersample(x, self.step)


def _inside(samples: Tensor, n_samples: int) -> Tensor:
    """NaN where a position is off the record."""
    return samples.masked_fill(~((samples >= 0) & (samples <= n_samples - 1)), torch.nan)
