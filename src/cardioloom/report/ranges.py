"""Normal ranges of adults at rest, with their sources: the one table the report's pages quote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

ADULT_YEARS = 18.0

CONVENTION = "conventional adult range"
PART_3 = "AHA/ACCF/HRS 2009, part III, doi:10.1161/CIRCULATIONAHA.108.191095 (QRS lower limit conventional)"
PART_4 = "AHA/ACCF/HRS 2009, part IV, doi:10.1161/CIRCULATIONAHA.108.191096 (QTc lower limits conventional)"
PART_5 = "AHA/ACCF/HRS 2009, part V, doi:10.1161/CIRCULATIONAHA.108.191097"


@dataclass(frozen=True)
class Range:
    """A normal range and the scale it is drawn on, both in the measurement's unit; a side may be open (None)."""

    low: float | None
    high: float | None
    scale: tuple[float, float]
    source: str

    def place(self, value: float) -> str:
        """Where the value lies: "below", "within" or "above"."""
        if self.low is not None and value < self.low:
            return "below"
        return "above" if self.high is not None and value > self.high else "within"


RANGES: Mapping[str, Range] = {
    "heart_rate": Range(60, 100, (30, 160), CONVENTION),
    "rr_interval": Range(600, 1000, (300, 1600), CONVENTION),
    "pr_interval": Range(120, 200, (60, 300), CONVENTION),
    "p_duration": Range(None, 120, (40, 180), PART_5),
    "qrs_duration": Range(70, 110, (40, 200), PART_3),
    "qrs_axis": Range(-30, 90, (-180, 180), PART_3),
    "sokolow_lyon": Range(None, 3.5, (0, 6), PART_5),
}
# Upper limits 450 ms (men) and 460 ms (women); where the sex is unknown, the widest range.
QTC = frozenset({"qtc_bazett", "qtc_fridericia", "qtc_framingham", "qtc_hodges"})
QTC_BY_SEX: Mapping[str | None, tuple[float, float]] = {"M": (350, 450), "F": (360, 460), None: (350, 460)}

LABELS: Mapping[str, str] = {
    "heart_rate": "Heart rate",
    "rr_interval": "RR interval",
    "pr_interval": "PR interval",
    "p_duration": "P duration",
    "qrs_duration": "QRS duration",
    "qt_interval": "QT interval",
    "qtc_bazett": "QTc (Bazett)",
    "qtc_fridericia": "QTc (Fridericia)",
    "qtc_framingham": "QTc (Framingham)",
    "qtc_hodges": "QTc (Hodges)",
    "sdnn": "SDNN",
    "rmssd": "RMSSD",
    "p_axis": "P axis",
    "qrs_axis": "QRS axis",
    "t_axis": "T axis",
    "sokolow_lyon": "Sokolow–Lyon voltage",
}

TERMS = {word: word.upper() for word in ("af", "p", "pr", "qrs", "qt", "r", "rr", "s", "st", "t")} | {"qtc": "QTc"}


def label(name: str) -> str:
    """``"heart_rate"`` → ``"Heart rate"``; a name that is not in the table keeps its words (``"ST slope v2"``)."""
    words = " ".join(TERMS.get(word, word) for word in name.split("_"))
    return LABELS.get(name) or words[:1].upper() + words[1:]


def normal_range(name: str, *, unit: str, age: float | None = None, sex: str | None = None) -> Range | None:
    """The normal range of a measurement, or None where the table has none for it.

    Args:
        name: the measurement's name, as in ``Report.measurements``.
        unit: its unit; a range is given only in the unit the table is written in.
        age: years; the ranges are those of adults, so there is none below 18.
        sex: "M", "F" or unknown.
    """
    if age is not None and age < ADULT_YEARS:
        return None
    if name in QTC:
        low, high = QTC_BY_SEX.get(sex, QTC_BY_SEX[None])
        return Range(low, high, (280, 580), PART_4) if unit == "ms" else None
    units = {"heart_rate": "bpm", "qrs_axis": "deg", "sokolow_lyon": "mV"}
    return RANGES.get(name) if unit == units.get(name, "ms") else None
