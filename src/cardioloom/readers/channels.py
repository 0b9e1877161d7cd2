"""Which channels of a file are ECG leads."""

from __future__ import annotations

from collections.abc import Sequence

from cardioloom.errors import NotAnECGError
from cardioloom.readers.told import millivolts_per
from cardioloom.records.leads import is_ecg_name


def ecg_channels(file: str, names: Sequence[str], units: Sequence[str | None], notes: list[str]) -> list[int]:
    """Indices of the channels that are ECG leads by name and unit; the others are noted as left out.

    Args:
        file: the file's name, for messages.
        names: one a channel, standardised.
        units: one a channel; None where the file states none.
        notes: is appended to where channels are left out.

    Raises:
        NotAnECGError: if none is left.
    """
    keep, dropped = [], []
    for row, (name, unit) in enumerate(zip(names, units, strict=True)):
        is_voltage = unit is None or millivolts_per(unit) is not None
        (keep if is_voltage and is_ecg_name(name) else dropped).append(row)
    if not keep:
        found = ", ".join(f"{name} [{unit or 'no unit'}]" for name, unit in zip(names, units, strict=True))
        raise NotAnECGError(
            f"{file} has no usable ECG lead, only {found[:300]}: if they are ECG leads, name them with --leads"
        )
    if dropped:
        left_out = [str(names[row]) for row in dropped]
        notes.append(f"channels left out because their name or unit is not that of an ECG lead: {', '.join(left_out)}")
    return keep
