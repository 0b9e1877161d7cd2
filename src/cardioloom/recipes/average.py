"""A moving average of weights (Polyak & Juditsky 1992), validated and kept in their place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """shadow ← decay · shadow + (1 − decay) · weights after each step; what is no float is copied.

    In the first steps the decay is (1 + n) / (10 + n) where that is smaller, so that the start is soon forgotten.
    """

    def __init__(self, net: nn.Module, decay: float):
        self.decay = decay
        self.shadow: dict[str, Tensor] = {name: value.detach().clone() for name, value in net.state_dict().items()}
        self.shadow[_COUNT] = torch.zeros((), dtype=torch.int64)

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        """Take the net's weights in."""
        n = int(self.shadow[_COUNT])
        decay = min(self.decay, (1 + n) / (10 + n))
        for name, value in net.state_dict().items():
            if value.is_floating_point():
                self.shadow[name].lerp_(value, 1 - decay)
            else:
                self.shadow[name].copy_(value)
        self.shadow[_COUNT] += 1

    def restore(self, shadow: Mapping[str, Tensor]) -> None:
        """Take over the average of a checkpoint, on whatever device it lies."""
        for name, value in shadow.items():
            self.shadow[name].copy_(value)

    def into(self, net: nn.Module) -> None:
        """Give the net the average's weights."""
        net.load_state_dict({name: value for name, value in self.shadow.items() if name != _COUNT})

    @contextmanager
    def in_place_of(self, net: nn.Module) -> Iterator[None]:
        """The net with the average's weights, for as long as the context lasts."""
        own = {name: value.detach().clone() for name, value in net.state_dict().items()}
        self.into(net)
        try:
            yield
        finally:
            net.load_state_dict(own)


_COUNT = "steps_taken_in"
