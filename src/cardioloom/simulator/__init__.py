"""Simulated patients: one heart's physiology → ECG, cine, echo, report text, outcomes.

Nothing that is made here is a patient. Whatever is trained or measured on it says "simulated patients". The generator
is `GENERATOR`; any change of what an existing column or stream gives makes it another generator.

What makes recordings is resolved on first use, so that drawing hearts costs no more than numpy.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from cardioloom.simulator.heart import Causes, Electrics, Heart, Ischaemia, Scar
from cardioloom.simulator.population import POPULATIONS, draw
from cardioloom.simulator.streams import GENERATOR, stream

if TYPE_CHECKING:
    from cardioloom.simulator.cine import cine, cine_truth
    from cardioloom.simulator.course import course, studies
    from cardioloom.simulator.echo import echo, echo_truth
    from cardioloom.simulator.electrocardiogram import ecg
    from cardioloom.simulator.electrocardiogram import truth as ecg_truth
    from cardioloom.simulator.outcomes import outcomes
    from cardioloom.simulator.reporttext import report_text

__all__ = [
    "GENERATOR",
    "POPULATIONS",
    "Causes",
    "Electrics",
    "Heart",
    "Ischaemia",
    "Scar",
    "cine",
    "cine_truth",
    "course",
    "draw",
    "ecg",
    "ecg_truth",
    "echo",
    "echo_truth",
    "outcomes",
    "report_text",
    "stream",
    "studies",
]

_HOMES = {  # name → module and name there
    "cine": ("cine", "cine"),
    "cine_truth": ("cine", "cine_truth"),
    "course": ("course", "course"),
    "ecg": ("electrocardiogram", "ecg"),
    "ecg_truth": ("electrocardiogram", "truth"),
    "echo": ("echo", "echo"),
    "echo_truth": ("echo", "echo_truth"),
    "outcomes": ("outcomes", "outcomes"),
    "report_text": ("reporttext", "report_text"),
    "studies": ("course", "studies"),
}


class _Door(ModuleType):
    """A package in which a function keeps its name although a module of the same name is imported."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Door


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'cardioloom.simulator' has no attribute {name!r}")
    module, there = _HOMES[name]
    found = globals()[name] = getattr(import_module(f"cardioloom.simulator.{module}"), there)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
