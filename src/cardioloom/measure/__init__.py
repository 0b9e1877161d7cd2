"""ECG → clinical measurements without learned weights."""

from cardioloom.measure.entry import Measured, ecg

__all__ = ["Measured", "ecg"]
