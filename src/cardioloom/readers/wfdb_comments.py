"""What the comment lines of WFDB headers say: age, sex, diagnosis codes, derived leads; and nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence

MAX_AGE_YEARS = 120  # older entries are codes: PTB-XL writes 300 for "over 89"

_AGE = re.compile(r"<?\bage\b>?\s*[:=]\s*(\d+(?:\.\d+)?)", re.IGNORECASE)
_SEX = re.compile(r"<?\bsex\b>?\s*[:=]\s*(male|female|m|f)\b", re.IGNORECASE)
_MIT_BIH = re.compile(r"(\d{1,3})\s+([MF])\s+\d")  # "69 M 1085 1629 x1"
_DX = re.compile(r"dx\s*:\s*(.+)", re.IGNORECASE)
_DERIVED = re.compile(r"derived\s*:\s*(.+)", re.IGNORECASE)


def patient(comments: Sequence[str]) -> dict[str, float | str]:
    """``age`` in years and ``sex`` ("M" or "F"), each only where a comment states it."""
    age = sex = None
    for comment in comments:
        mit_bih = _MIT_BIH.match(comment)
        age = age or (mit_bih and mit_bih[1]) or ((found := _AGE.match(comment)) and found[1])
        sex = sex or (mit_bih and mit_bih[2]) or ((found := _SEX.search(comment)) and found[1])
    facts: dict[str, float | str] = {}
    if age and 0 <= float(age) <= MAX_AGE_YEARS:
        facts["age"] = float(age)
    if sex:
        facts["sex"] = sex[0].upper()
    return facts


def diagnosis_codes(comments: Sequence[str]) -> tuple[str, ...]:
    """The codes of the ``Dx:`` line, in its order; empty where there is none or it says unknown."""
    codes = [code.strip() for comment in comments if (found := _DX.match(comment)) for code in found[1].split(",")]
    return tuple(dict.fromkeys(code for code in codes if code and code.lower() not in ("unknown", "nan", "n/a")))


def derived_leads(comments: Sequence[str]) -> tuple[str, ...]:
    """The names on the ``Derived:`` line that this library writes."""
    names = [name.strip() for comment in comments if (found := _DERIVED.match(comment)) for name in found[1].split(",")]
    return tuple(name for name in names if name)
