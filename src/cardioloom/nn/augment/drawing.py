"""What every augmentation is: parameters, random draws apart from what is done with them, and one generator.

Draws are made on the generator's device: a generator of the processor gives the same draws whatever device trains.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from cardioloom.errors import UsageError

Draws = Mapping[str, Tensor]  # each (batch, …): a record has draws of its own
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Augmentation(ABC):
    """One augmentation of a batch. Its fields are its parameters and travel as JSON.

    ``moves_time`` is True where a beat or a frame may lie elsewhere afterwards; `moved` says where.
    """

    moves_time: ClassVar[bool] = False

    @abstractmethod
    def draw(self, shape: Shape, generator: Generator) -> Draws:
        """Random numbers for a batch of this shape, for each record its own."""

    @abstractmethod
    def apply(self, x: Tensor, draws: Draws) -> Tensor:
        """The batch under these draws; the given one is left as it was."""

    def shape_after(self, shape: Shape) -> Shape:
        """The shape of the result for a batch of this shape."""
        return shape

    def moved(self, samples: Tensor, draws: Draws, n_samples: int) -> Tensor:  # noqa: ARG002
        """Where samples lie afterwards.

        Args:
            samples: (batch, …) float, positions on the time axis; NaN = none.
            draws: as given to `apply`.
            n_samples: length of the time axis before.

        Returns:
            (batch, …) float; NaN = no longer there.

        Raises:
            UsageError: if this augmentation leaves nothing to find again.
        """
        return samples


def uniform(shape: Sequence[int], generator: Generator) -> Tensor:
    """Numbers in [0, 1)."""
    return torch.rand(tuple(shape), generator=generator, device=generator.device)


def between(low: float, high: float, shape: Sequence[int], generator: Generator) -> Tensor:
    """Numbers in [low, high)."""
    return low + (high - low) * uniform(shape, generator)


def normal(mean: float, sigma: float, shape: Sequence[int], generator: Generator) -> Tensor:
    """Numbers from a normal distribution."""
    return torch.empty(tuple(shape), device=generator.device).normal_(mean, sigma, generator=generator)


def whole(count: int | Tensor, shape: Sequence[int], generator: Generator) -> Tensor:
    """Whole numbers in [0, count), int64; ``count`` may differ from record to record."""
    if isinstance(count, int):
        return torch.randint(count, tuple(shape), generator=generator, device=generator.device)
    # The product is rounded and may reach the count itself.
    return torch.minimum((uniform(shape, generator) * count).long(), count - 1)


def per_record(values: Tensor, x: Tensor) -> Tensor:
    """(batch,) → (batch, 1, …), so that it multiplies ``x``."""
    return values.reshape(-1, *(1,) * (x.ndim - 1))


def refuse_outside(what: str, value: object, low: float, high: float = float("inf")) -> None:
    """Refuse what is not a number in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        bounds = f"from {low:g} to {high:g}" if high < float("inf") else f"of at least {low:g}"
        raise UsageError(f"{what} must be a number {bounds}, got {value!r}")


def refuse_not_whole(what: str, value: object, low: int) -> None:
    """Refuse what is not a whole number of at least ``low``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise UsageError(f"{what} must be a whole number of at least {low}, got {value!r}")


def refuse_unknown(what: str, value: object, known: Sequence[str]) -> None:
    """Refuse a word that is not known, and list those that are."""
    if value not in known:
        raise UsageError(f"{what} {value!r} is unknown: it can be {', '.join(known)}")


def pair(what: str, value: object, low: float, high: float = float("inf")) -> tuple[float, float]:
    """Two numbers in order, each in [low, high]; from a list too, as JSON has it."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise UsageError(f"{what} must be two numbers, the smaller first, got {value!r}")
    for number in value:
        refuse_outside(what, number, low, high)
    if value[0] > value[1]:
        raise UsageError(f"{what} must have the smaller number first, got {value!r}")
    return value[0], value[1]


def whole_numbers(what: str, values: object, low: int) -> tuple[int, ...]:
    """Whole numbers of at least ``low``; from a list too, as JSON has it."""
    if not isinstance(values, (tuple, list)):
        raise UsageError(f"{what} must be a list of whole numbers, got {values!r}")
    for value in values:
        refuse_not_whole(what, value, low)
    return tuple(values)
