"""Is there anything in a record?"""

from __future__ import annotations

import numpy as np

from cardioloom.errors import DamagedFileError, NotAnECGError
from cardioloom.records import ECG, Counts

FIRST_SAMPLES = 1000  # a quick look: nearly every record has one that was recorded among these


def check_recorded(ecg: ECG, name: str) -> None:
    """Refuse a record without a single value, or of one sample; long records on their files are not searched.

    Raises:
        DamagedFileError: if each lead has one sample only.
        NotAnECGError: if every value of every lead is "not recorded".
    """
    if ecg.shape[1] < 2:
        raise DamagedFileError(f"{name} has a single sample a lead, which is no recording: export it again")
    if not _is_anything_recorded(ecg):
        leads = ", ".join(ecg.leads)[:200]
        raise NotAnECGError(f'{name} has no value in any lead ({leads}), only "not recorded": export it again')


def _is_anything_recorded(ecg: ECG) -> bool:
    counts = ecg.samples if isinstance(ecg.samples, Counts) else None
    rows = ecg.samples if counts is None else counts.values
    if not isinstance(rows, np.ndarray) or isinstance(rows, np.memmap):
        return True
    for part in (slice(0, FIRST_SAMPLES), slice(FIRST_SAMPLES, None)):
        for row, values in enumerate(rows[:, part]):
            invalid = None if counts is None else counts.invalid[row]
            if counts is not None and invalid is None:
                return True
            if not (np.isnan(values) if counts is None else values == invalid).all():
                return True
    return False
