"""What changes the height of a batch's samples and leaves time alone.

A sample that was not recorded (NaN) stays so. Source of the published parameters: the public code of MMCL
(Turgut et al. 2023, arXiv:2308.05764) and of its masked autoencoder.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from cardioloom.errors import UsageError
from cardioloom.nn.augment.drawing import (
    Augmentation,
    Draws,
    Shape,
    between,
    normal,
    pair,
    per_record,
    refuse_not_whole,
    refuse_outside,
    uniform,
    whole_numbers,
)


def jitter(x: Tensor, noise: Tensor, *, amplitude: float = 0.6) -> Tensor:
    """``x + amplitude · x · noise``: as published the noise grows with the signal, it is not added to it.

    Args:
        x: (batch, lead, time).
        noise: of the same shape.
    """
    return torch.addcmul(x, x, noise, value=amplitude)


def rescale(x: Tensor, factor: Tensor) -> Tensor:
    """Each record times one number, factor (batch,); a negative one turns the record over."""
    return x * per_record(factor, x)


def choose_lead(x: Tensor, row: Tensor, sign: Tensor) -> Tensor:
    """(batch, lead, time) → (batch, 1, time): of each record one lead, row (batch,), times sign (batch,)."""
    return (x[torch.arange(len(x), device=x.device), row] * sign[:, None])[:, None]


def permute_leads(x: Tensor, order: Tensor) -> Tensor:
    """Row i of a record becomes its row ``order[:, i]``; order (batch, lead)."""
    return x[torch.arange(len(x), device=x.device)[:, None], order]


@dataclass(frozen=True)
class Jitter(Augmentation):
    """Multiplicative noise N(0, sigma), scaled by ``amplitude``."""

    sigma: float = 0.2
    amplitude: float = 0.6

    def __post_init__(self) -> None:
        refuse_outside("sigma of jitter", self.sigma, 0)
        refuse_outside("amplitude of jitter", self.amplitude, 0)

    def draw(self, shape: Shape, generator: Generator) -> Draws:
        """noise: of the batch's shape."""
        return {"noise": normal(0.0, self.sigma, shape, generator)}

    def apply(self, x: Tensor, draws: Draws) -> Tensor:
        """See `jitter`."""
        return jitter(x, draws["noise"], amplitude=self.amplitude)


@dataclass(frozen=True)
class Noise(Augmentation):
    """Added noise N(0, s), s of each record uniform over ``sigma``; of cines too."""

    sigma: tuple[float, float] = (0.0, 0.05)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sigma", pair("sigma of noise", self.sigma, 0))

    def draw(self, shape: Shape, generator: Generator) -> Draws:
        """noise: of the batch's shape."""
        sigma = between(*self.sigma, shape[:1], generator)
        noise = normal(0.0, 1.0, shape, generator)
        return {"noise": noise.mul_(per_record(sigma, noise))}

    def apply(self, x: Tensor, draws: Draws) -> Tensor:
        """``x + noise``."""
        return x + draws["noise"]


@dataclass(frozen=True)
class Rescale(Augmentation):
    """One factor N(1, sigma) for all leads of a record; with the published sigmas it can be negative."""

    sigma: float = 0.5

    def __post_init__(self) -> None:
        refuse_outside("sigma of rescale", self.sigma, 0)

    def draw(self, shape: Shape, generator: Generator) -> Draws:
        """factor: (batch,)."""
        return {"factor": normal(1.0, self.sigma, shape[:1], generator)}

    def apply(self, x: Tensor, draws: Draws) -> Tensor:
        """See `rescale`."""
        return rescale(x, draws["factor"])


@dataclass(frozen=True)
class SignFlip(Augmentation):
    """The record turned over."""

    def draw(self, shape: Shape, generator: Generator) -> Draws:  # noqa: ARG002
        """Nothing: only whether it happens is random, and the step draws that."""
        return {}

    def apply(self, x: Tensor, draws: Draws) -> Tensor:  # noqa: ARG002
        """``-x``."""
        return -x


@dataclass(frozen=True)
class PermuteLeads(Augmentation):
    """The leads of each record in another order; published, in no preset."""

    def draw(self, shape: Shape, generator: Generator) -> Draws:
        """order: (batch, lead)."""
        return {"order": uniform(shape[:2], generator).argsort(-1)}

    def apply(self, x: Tensor, draws: Draws) -> Tensor:
        """See `permute_leads`."""
        return permute_leads(x, draws["order"])


@dataclass(frozen=True)
class ChooseLead(Augmentation):
    """One lead of each record: ``row``, or with probability ``replaced`` one of ``others``, all as likely.

    With rows in the standard order (I, II, III, aVR, aVL, aVF …) the defaults are ECGFounder's rotation of its one
    lead: I, half the time replaced by aVL, −aVR, II, −III, aVF or −aVF (Li et al. 2024, arXiv:2410.04133).

    Args:
        row: the lead that is kept.
        others, signs: rows and their factors, 1 or −1, an entry each.
        replaced: probability of one of the others.
    """

    row: int = 0
    others: tuple[int, ...] = (4, 3, 1, 2, 5, 5)
    signs: tuple[int, ...] = (1, -1, 1, -1, 1, -1)
    replaced: float = 0.5

    def __post_init__(self) -> None:
        refuse_not_whole("row of choose_lead", self.row, 0)
        object.__setattr__(self, "others", whole_numbers("others of choose_lead", self.others, 0))
        object.__setattr__(self, "signs", whole_numbers("signs of choose_lead", self.signs, -1))
        refuse_outside("replaced of choose_lead", self.replaced, 0, 1)
        if not self.others or len(self.others) != len(self.signs) or set(self.signs) - {1, -1}:
            raise UsageError(
                f"choose_lead needs a sign of 1 or -1 for each of its others, got {self.signs} for {self.others}"
            )

    def draw(self, shape: Shape, generator: Generator) -> Draws:
        """row, sign: (batch,)."""
        if (last := max(self.row, *self.others)) >= shape[1]:
            raise UsageError(f"choose_lead needs a lead in row {last}, got a batch of {shape[1]}: name rows it has")
        rows = torch.tensor([self.row, *self.others], device=generator.device)
        signs = torch.tensor([1.0, *self.signs], device=generator.device)
        is_replaced = uniform(shape[:1], generator) < self.replaced
        other = torch.randint(len(self.others), shape[:1], generator=generator, device=generator.device)
        which = torch.where(is_replaced, 1 + other, 0)
        return {"row": rows[which], "sign": signs[which]}

    def apply(self, x: Tensor, draws: Draws) -> Tensor:
        """See `choose_lead`."""
        return choose_lead(x, draws["row"], draws["sign"])

    def shape_after(self, shape: Shape) -> Shape:
        """(batch, 1, time)."""
        return (shape[0], 1, *shape[2:])
