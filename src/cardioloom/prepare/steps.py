"""The named steps of a preparation: what a model folder can ask for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import UsageError
from cardioloom.prepare import baseline, filters, wavelet

STEPS: dict[str, Callable[..., NDArray[np.float64]]] = {
    "notch": filters.notch,
    "bandpass": filters.bandpass,
    "median_baseline": filters.median_baseline,
    "zscore_record": filters.zscore_record,
    "wavelet_band": wavelet.wavelet_band,
    "clip_record": baseline.clip_record,
    "least_squares_baseline": baseline.least_squares_baseline,
    "zscore_groups": baseline.zscore_groups,
}


@dataclass(frozen=True)
class Step:
    """One named step of `STEPS` with each of its parameters, sorted by name.

    Raises:
        UsageError: if the step or a parameter is unknown, or a parameter is not given.
    """

    name: str
    parameters: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", tuple(sorted((key, value) for key, value in self.parameters)))
        refuse_unknown("step", [self.name], STEPS)
        known, given = _parameters(self.name), [key for key, _ in self.parameters]
        refuse_unknown(f"parameter of {self.name}", given, known)
        if missing := [key for key in known if key not in given]:
            raise UsageError(f"the step {self.name} needs {', '.join(missing)}: give each parameter")
        for key, value in self.parameters:
            refuse_other_than_number(f"{key} of {self.name}", value)

    @classmethod
    def of(cls, name: str, **parameters: float) -> Step:
        """``Step.of("notch", hz=50.0, q=30.0)``."""
        return cls(name, tuple(parameters.items()))

    def run(self, signal: NDArray[np.floating], fs: float) -> NDArray[np.float64]:
        """The step on (..., lead, time) at ``fs`` Hz."""
        function, parameters = STEPS[self.name], dict(self.parameters)
        if "fs" in _signature(self.name):
            return function(signal, fs, **parameters)
        return function(signal, **parameters)


def _parameters(step: str) -> list[str]:
    return [name for name in _signature(step) if name not in ("signal", "fs")]


@cache
def _signature(step: str) -> tuple[str, ...]:
    return tuple(inspect.signature(STEPS[step]).parameters)


def refuse_unknown(what: str, given: Iterable[object], known: Iterable[str]) -> None:
    """Raise UsageError, listing what is known, if anything given is not among it."""
    known = tuple(known)
    if unknown := [value for value in given if value not in known]:
        names = ", ".join(known) or "none"
        raise UsageError(f"{what} {', '.join(map(repr, unknown))} is unknown: use {names}")


def refuse_other_than_number(what: str, value: object) -> None:
    """Raise UsageError unless the value is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise UsageError(f"{what} must be a finite number, got {value!r}")
