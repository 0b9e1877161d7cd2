"""cardioloom reads the heart through electrocardiogram, cardiac MRI cine and echocardiogram.

Public names are resolved on first use, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cardioloom.api import (
        calibrate,
        cohort,
        convert,
        doctor,
        embed,
        evaluate,
        load,
        read,
        read_cine,
        read_echo,
        similar,
        simulate,
        train,
        weights,
    )
    from cardioloom.records import ECG, Cine, Counts, Echo, Report, Study

__version__ = "0.1.0"
__all__ = [
    "ECG",
    "Cine",
    "Counts",
    "Echo",
    "Report",
    "Study",
    "__version__",
    "calibrate",
    "cohort",
    "convert",
    "doctor",
    "embed",
    "evaluate",
    "load",
    "read",
    "read_cine",
    "read_echo",
    "similar",
    "simulate",
    "train",
    "weights",
]

_NOUNS = ("ECG", "Cine", "Counts", "Echo", "Report", "Study")
_HOMES = {name: f"cardioloom.{'records' if name in _NOUNS else 'api'}" for name in __all__ if name != "__version__"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'cardioloom' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
