"""One patient at one date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from cardioloom.errors import RecordError
from cardioloom.records.ecg import ECG

MAX_AGE_YEARS = 130.0


@dataclass(frozen=True, eq=False)
class Study:
    """One patient at one date: the records, facts about the patient, the text of the report.

    Args:
        ecg: the electrocardiogram.
        facts: ``age`` in years, ``sex`` "M" or "F", and whatever else is known.
        text: the report's text, if any.
        day: the date of the study, if known.

    Raises:
        RecordError: if age or sex are given and cannot be.
    """

    ecg: ECG
    facts: Mapping[str, float | str] = field(default_factory=dict)
    text: str | None = None
    day: date | None = None

    def __post_init__(self) -> None:
        age, sex = self.facts.get("age"), self.facts.get("sex")
        if age is not None and not (isinstance(age, (int, float)) and 0 <= age <= MAX_AGE_YEARS):
            raise RecordError(f"age must be a number of years from 0 to {MAX_AGE_YEARS:.0f}, got {age!r}")
        if sex is not None and sex not in ("M", "F"):
            raise RecordError(f'sex must be "M" or "F", got {sex!r}')
