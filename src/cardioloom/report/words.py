"""Values of a report as the words and rows of its page; nothing here is HTML."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from cardioloom.records import Finding, Measurement, Report
from cardioloom.report.ranges import ADULT_YEARS, Range, label, normal_range

DIGITS = {"bpm": 0, "ms": 0, "deg": 0, "mV": 2, "%": 0}
UNITS = {"deg": "°"}
# What leads a page, in the order a reader asks for it.
KEY_NUMBERS = ("pr_interval", "qrs_duration", "qt_interval", "qtc_bazett", "qtc_fridericia", "qrs_axis")
ORDER = ("heart_rate", "rr_interval", "p_duration", *KEY_NUMBERS[:5], "p_axis", "qrs_axis", "t_axis", "sokolow_lyon")
PLACES = {"below": "▼ below", "within": "within", "above": "▲ above"}
SEX = {"M": "male", "F": "female"}
LOW_SCORE = 0.5


@dataclass(frozen=True)
class Bar:
    """A range drawn on a scale: shares of its width from 0 to 1."""

    low: float
    high: float
    at: float


@dataclass(frozen=True)
class Row:
    """One measurement in words."""

    name: str
    label: str
    value: str
    spread: str
    unit: str
    range: str
    place: str
    outside: bool
    source: str
    bar: Bar | None


def number(value: float, digits: int | None = None) -> str:
    """``-12.0`` → ``"−12"``; three significant digits where none are asked for; a dash for what is no number."""
    if not math.isfinite(value):
        return "–"
    if digits is None:
        digits = 0 if value == 0 else max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{round(value, digits) + 0.0:,.{digits}f}"
    return text.replace("-", "−")


def duration(seconds: float) -> str:
    """``10.0`` → ``"10 s"``; ``3725`` → ``"1 h 2 min 5 s"``."""
    if seconds < 120:
        return f"{seconds:.4g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min {rest} s" if hours else f"{minutes} min {rest} s"


def when(start: datetime) -> str:
    """Date and time to the second, with the offset from UTC where it is known."""
    return start.isoformat(sep=" ", timespec="seconds")


def header(report: Report) -> list[tuple[str, str]]:
    """(term, words) of what was recorded, when, how and from whom; unknown facts are left out."""
    ecg, study = report.study.ecg, report.study
    derived = f" ({', '.join(ecg.derived)} derived)" if ecg.derived else ""
    recorded = when(ecg.start) if ecg.start else (study.day.isoformat() if study.day else "")
    rows = [
        ("Recorded", recorded or "not stated"),
        ("Duration", duration(ecg.seconds)),
        ("Sampling rate", f"{ecg.fs:g} Hz"),
        (f"Leads ({len(ecg.leads)})", ", ".join(ecg.leads) + derived),
        ("Patient", patient(report)),
        ("Device", ecg.device or ""),
        ("Format", ecg.source.format if ecg.source else ""),
    ]
    return [(term, words) for term, words in rows if words]


def fact(report: Report, name: str) -> float | str | None:
    """A fact of the patient: as given with the study, else as the file states it."""
    return report.study.facts.get(name, report.study.ecg.patient.get(name))


def patient(report: Report) -> str:
    """``"62 years, female"``; empty where neither is known."""
    age, sex = fact(report, "age"), fact(report, "sex")
    words = [f"{age:.3g} years"] if isinstance(age, (int, float)) else []
    return ", ".join([*words, *([SEX[str(sex)]] if sex in SEX else [])])


def is_child(report: Report) -> bool:
    """True where the age is known and the adults' ranges do not apply."""
    age = fact(report, "age")
    return isinstance(age, (int, float)) and age < ADULT_YEARS


def rows(report: Report) -> list[Row]:
    """Every measurement, the usual ones first, with the adult's normal range where there is one."""
    age, sex = fact(report, "age"), fact(report, "sex")
    years = float(age) if isinstance(age, (int, float)) else None
    rank = {name: k for k, name in enumerate(ORDER)}
    names = sorted(report.measurements, key=lambda name: (rank.get(name, len(rank)), name))
    return [_row(name, report.measurements[name], years, str(sex) if sex else None) for name in names]


def _row(name: str, measurement: Measurement, age: float | None, sex: str | None) -> Row:
    unit = measurement.unit
    digits = DIGITS.get(unit)
    normal = normal_range(name, unit=unit, age=age, sex=sex)
    spread = f"± {number(measurement.sd, digits)}" if measurement.sd is not None else ""
    count = f"(n = {measurement.n})" if measurement.n is not None else ""
    place = normal.place(round(measurement.value, digits or 0) if digits == 0 else measurement.value) if normal else ""
    return Row(
        name=name,
        label=label(name),
        value=number(measurement.value, digits),
        spread=" ".join(part for part in (spread, count) if part),
        unit=UNITS.get(unit, unit),
        range=_range_words(normal, digits) if normal else "",
        place=PLACES.get(place, ""),
        outside=place in ("below", "above"),
        source=normal.source if normal else "",
        bar=_bar(normal, measurement.value) if normal else None,
    )


def _range_words(normal: Range, digits: int | None) -> str:
    if normal.low is None:
        return f"up to {number(normal.high or 0.0, digits)}"
    if normal.high is None:
        return f"from {number(normal.low, digits)}"
    joint = " to " if normal.low < 0 else "–"
    return f"{number(normal.low, digits)}{joint}{number(normal.high, digits)}"


def _bar(normal: Range, value: float) -> Bar:
    start, stop = normal.scale

    def share(x: float) -> float:
        return min(1.0, max(0.0, (x - start) / (stop - start)))

    low = start if normal.low is None else normal.low
    high = stop if normal.high is None else normal.high
    return Bar(share(low), share(high), share(value))


def chips(report: Report) -> list[Mapping[str, object]]:
    """One entry a lead: its score in percent, its problems, and whether it needs a look."""
    return [
        {
            "lead": lead,
            "percent": round(100 * min(1.0, max(0.0, quality.score))),
            "problems": [problem.replace("_", " ") for problem in quality.problems],
            "poor": quality.score < LOW_SCORE or bool(quality.problems),
        }
        for lead, quality in report.quality.leads.items()
    ]


def warnings(report: Report) -> list[str]:
    """Every warning once, as a sentence."""
    texts = [notice.text for notice in report.quality.warnings] + list(report.warnings)
    return [_sentence(text) for text in dict.fromkeys(text.strip() for text in texts) if text]


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?", ":")) else text + "."


def finding_row(finding: Finding) -> Mapping[str, object]:
    """One statement that was tried, in words."""
    state = {True: "present", False: "absent", None: "not judgeable"}[finding.present]
    chance = "" if finding.probability is None else number(finding.probability, 2)
    if chance and finding.threshold is not None:
        chance += f" (threshold {number(finding.threshold, 2)})"
    spans = ", ".join(f"{start:.1f}–{stop:.1f} s" for start, stop in finding.spans_s[:8])
    return {
        "code": finding.code,
        "name": finding.name,
        "state": state,
        "sign": {"present": "●", "absent": "○", "not judgeable": "?"}[state],
        "chance": chance,
        "evidence": finding.evidence,
        "source": finding.source,
        "spans": spans + (", …" if len(finding.spans_s) > 8 else ""),
        "snomed": finding.snomed or "",
    }


def measured_by_device(measured: Mapping[str, float]) -> list[tuple[str, str]]:
    """``{"qrs_duration_ms": 92}`` → ``[("QRS duration", "92 ms")]``: the unit stands in the name."""
    entries = []
    for name, value in measured.items():
        stem, _, unit = name.rpartition("_")
        known = unit if stem and unit in ("ms", "bpm", "deg", "mv", "uv", "s", "mm") else ""
        shown = {"mv": "mV", "uv": "µV", "deg": "°"}.get(known, known)
        entries.append((label(stem if known else name), f"{number(value)} {shown}".strip()))
    return entries
