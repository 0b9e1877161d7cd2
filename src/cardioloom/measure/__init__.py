"""ECG → clinical measurements without learned weights."""

from cardioloom.measure.check import check
from cardioloom.measure.entry import Measured, ecg

__all__ = ["Measured", "check", "ecg"]
