"""How long, how fast, how often: the settings of a training, checked."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import cos, inf, isfinite, pi
from typing import Any

from cardioloom.errors import UsageError

DIRECTIONS = ("max", "min")
LARGEST_LR = 1e30  # above it a step of the optimiser overflows float32
LARGEST_SEED = 2**63 - 1  # of torch's generators
_BOUNDS = {"lr": (0, LARGEST_LR), "weight_decay": (0, inf), "clip": (0, inf)} | dict.fromkeys(
    ("warmup", "last_lr", "ema"), (0, 1)
)


@dataclass(frozen=True)
class Plan:
    """Settings of `loop.fit`.

    Args:
        steps: of the optimiser.
        lr: highest learning rate.
        weight_decay: of AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101).
        warmup: share of the steps in which the rate rises from 0.
        last_lr: share of the highest rate that the cosine ends at.
        accumulate: batches in a step.
        clip: largest norm of the gradient, None = not clipped.
        ema: decay of the moving average of the weights that is validated and kept, None = the weights themselves.
        validate_every: steps between validations.
        save_every: steps between checkpoints.
        patience: validations without a better value before it stops early, None = never.
        watched: the value of the validation that decides what is best.
        direction: whether its "max" or "min" is best.

    Raises:
        UsageError: naming the setting that cannot be.
    """

    steps: int
    lr: float = 1e-3
    weight_decay: float = 0.01
    warmup: float = 0.05
    last_lr: float = 0.0
    accumulate: int = 1
    clip: float | None = 1.0
    ema: float | None = None
    validate_every: int = 100
    save_every: int = 100
    patience: int | None = None
    watched: str = "loss"
    direction: str = "min"

    def __post_init__(self) -> None:
        for name in ("steps", "accumulate", "validate_every", "save_every"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise UsageError(f"{name} must be a whole number of at least 1, got {value!r}")
        for name, (low, high) in _BOUNDS.items():
            value = getattr(self, name)
            if value is not None and not (isfinite(value) and low <= value <= high):
                raise UsageError(f"{name} must be a finite number from {low} to {high}, got {value}")
        if self.patience is not None and self.patience < 1:
            raise UsageError(f"patience must be at least 1 validation, got {self.patience}: leave it out to never stop")
        if self.direction not in DIRECTIONS:
            raise UsageError(f"the direction must be one of {', '.join(DIRECTIONS)}, got {self.direction!r}")

    def rate(self, step: int) -> float:
        """The learning rate of a step (from 0): a linear rise, then half a cosine (Loshchilov & Hutter 2017)."""
        rising = round(self.warmup * self.steps)
        if step < rising:
            return self.lr * (step + 1) / rising
        share = (step - rising) / max(1, self.steps - rising)
        return self.lr * (self.last_lr + (1 - self.last_lr) * 0.5 * (1 + cos(pi * share)))

    def is_better(self, value: float, best: float | None) -> bool:
        """Whether a validation's value beats the best so far; one that is not finite never does."""
        if best is None or not isfinite(value):
            return isfinite(value)
        return value > best if self.direction == "max" else value < best

    def to_json(self) -> dict[str, Any]:
        """Name → value."""
        return asdict(self)
