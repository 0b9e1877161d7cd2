"""What the comment lines of WFDB headers say: age, sex, diagnosis codes; and the lines that this library writes.

These are ``Derived:``, ``Device:``, a ``Measured:`` a number and a ``Stated:`` a sentence. Others are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from cardioloom.readers.arrays import patient_facts

_AGE = re.compile(r"<?\bage\b>?\s*[:=]\s*(\d+(?:\.\d+)?)", re.IGNORECASE)
_SEX = re.compile(r"<?\bsex\b>?\s*[:=]\s*(male|female|m|f)\b", re.IGNORECASE)
_MIT_BIH = re.compile(r"(\d{1,3})\s+([MF])\s+\d")  # "69 M 1085 1629 x1"
_DX = re.compile(r"dx\s*:\s*(.+)", re.IGNORECASE)
_MEASURED = re.compile(r"(\S.*?)\s*=\s*([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)$")
_OWN = re.compile(r"(derived|device|measured|stated)\s*:\s*(.+)", re.IGNORECASE)


def patient(comments: Sequence[str], notes: list[str]) -> dict[str, float | str]:
    """``age`` in years and ``sex`` ("M" or "F"), each only where a comment states it."""
    age = sex = None
    for comment in comments:
        if _OWN.match(comment):
            continue
        mit_bih = _MIT_BIH.match(comment)
        age = age or (mit_bih and mit_bih[1]) or ((found := _AGE.match(comment)) and found[1])
        sex = sex or (mit_bih and mit_bih[2]) or ((found := _SEX.search(comment)) and found[1])
    # PTB-XL writes the age 300 for "over 89": such codes are no ages.
    return patient_facts(age, sex, notes)


def diagnosis_codes(comments: Sequence[str]) -> tuple[str, ...]:
    """The codes of the ``Dx:`` line, in its order; empty where there is none or it says unknown."""
    codes = [code.strip() for comment in comments if (found := _DX.match(comment)) for code in found[1].split(",")]
    return tuple(dict.fromkeys(code for code in codes if code and code.lower() not in ("unknown", "nan", "n/a")))


def derived_leads(comments: Sequence[str]) -> tuple[str, ...]:
    """The names on the ``Derived:`` line."""
    return tuple(name for line in _own(comments, "derived") for name in _names(line))


def device(comments: Sequence[str]) -> str | None:
    """The text of the ``Device:`` line."""
    return next(iter(_own(comments, "device")), None)


def measured(comments: Sequence[str]) -> dict[str, float]:
    """The pairs of name and number on the ``Measured:`` lines."""
    pairs = map(_MEASURED.match, _own(comments, "measured"))
    return {pair[1]: float(pair[2]) for pair in pairs if pair}


def stated(comments: Sequence[str]) -> tuple[str, ...]:
    """The sentences of the ``Stated:`` lines."""
    return tuple(_own(comments, "stated"))


def _own(comments: Sequence[str], key: str) -> list[str]:
    lines = [_OWN.match(comment) for comment in comments]
    return [line[2].strip() for line in lines if line and line[1].lower() == key]


def _names(line: str) -> list[str]:
    return [item.strip() for item in line.split(",") if item.strip()]
