"""cardioloom reads the heart through electrocardiogram, cardiac MRI cine and echocardiogram.

Public names are resolved on first use, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cardioloom.api import convert, doctor, embed, load, read, weights
    from cardioloom.records import ECG, Counts, Report, Study

__version__ = "0.1.0"
__all__ = ["ECG", "Counts", "Report", "Study", "__version__", "convert", "doctor", "embed", "load", "read", "weights"]

_HOMES: dict[str, str] = dict.fromkeys(("convert", "doctor", "embed", "load", "read", "weights"), "cardioloom.api")
_HOMES |= dict.fromkeys(("ECG", "Counts", "Report", "Study"), "cardioloom.records")


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'cardioloom' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
