"""SNOMED CT codes of the statements, from the tables of the PhysioNet/CinC Challenge 2021 (licence beside them)."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files

TABLES = ("dx_mapping_scored.csv", "dx_mapping_unscored.csv")


@cache
def codes() -> dict[str, str]:
    """{abbreviation: SNOMED CT code} of both tables."""
    folder = files(__package__ or __name__).joinpath("challenge_2021")
    found: dict[str, str] = {}
    for name in TABLES:
        for row in csv.DictReader(folder.joinpath(name).read_text(encoding="utf-8").splitlines()):
            found.setdefault(row["Abbreviation"], row["SNOMEDCTCode"])
    return found
