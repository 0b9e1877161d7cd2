"""The ECG export of Apple Health: lines of facts, then one value a line. Its keys are in the user's language."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np

from cardioloom.errors import DamagedFileError
from cardioloom.readers.arrays import Stated, ecg_of
from cardioloom.readers.csv_table import is_number
from cardioloom.readers.told import Told, millivolts_per
from cardioloom.records import ECG, standard_lead

_RATE = re.compile(r"^[^,;]+[,;]\s*\"?(\d+(?:[.,]\d+)?)\s*(?:hertz|hz)\b", re.IGNORECASE | re.MULTILINE)
MAX_FACT_LINES = 40


def is_apple(lines: Sequence[str]) -> bool:
    """True where a line of facts gives a rate in hertz and another a voltage."""
    text = "\n".join(lines[:MAX_FACT_LINES])
    return _RATE.search(text) is not None and any(_unit(line) for line in lines[:MAX_FACT_LINES])


def read_apple(path: Path, lines: Sequence[str], told: Told) -> ECG:
    """The one lead of an Apple Watch.

    Raises:
        DamagedFileError: if no value follows the facts, or a line holds text among the values.
        MissingFactError: if the lead is in no spelling that is known.
    """
    first = next((n for n, line in enumerate(lines) if line.strip() and is_number(line)), len(lines))
    facts, body = lines[:first], [(n, line.strip()) for n, line in enumerate(lines[first:], first + 1) if line.strip()]
    if not body:
        raise DamagedFileError(f"{path.name} has no value behind its facts: export it again")
    for number, line in body:
        if not is_number(line):
            raise DamagedFileError(f"{path.name}, line {number}, has text where a number should be: export it again")
    rate = _RATE.search("\n".join(facts))
    fields = [re.split(r"[,;]", line.strip(), maxsplit=1) for line in facts]
    values = {key.strip(): value.strip().strip('"') for key, value in (pair for pair in fields if len(pair) == 2)}
    lead = next((standard_lead(value) for value in values.values() if standard_lead(value)), None)
    stated = Stated(
        fs=float(rate[1].replace(",", ".")) if rate else None,
        leads=(lead,) if lead else None,
        unit=next((unit for line in facts if (unit := _unit(line))), None),
        start=_start(values),
    )
    ecg = ecg_of(path, "csv", np.array([float(line.replace(",", ".")) for _, line in body])[None], stated, told)
    said = (values["Classification"],) if values.get("Classification") else ()
    return replace(ecg, device=values.get("Device"), stated=said)


def _unit(line: str) -> str | None:
    """The voltage that a line such as ``Unit,µV`` gives."""
    parts = re.split(r"[,;]", line.strip())
    return parts[-1].strip() if len(parts) == 2 and millivolts_per(parts[-1]) is not None else None


def _start(values: dict[str, str]) -> datetime | None:
    """The first value that is a date with a time: ``2000-01-01 00:00:00 +0000``."""
    for value in values.values():
        if match := re.fullmatch(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?: ([+-]\d{4}))?", value):
            return datetime.fromisoformat(match[1] + (match[2] or ""))
    return None
