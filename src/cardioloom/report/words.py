"""Values of a report as the words and rows of its page; nothing here is HTML."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from cardioloom.records import Estimate, Measurement, Report
from cardioloom.report.ranges import ADULT_YEARS, Range, label, normal_range

NOT_A_DIAGNOSIS = "Not a diagnosis."
FOR_RESEARCH = "For research use; to be read by a qualified person."
DIGITS = {"bpm": 0, "ms": 0, "deg": 0, "mV": 2, "%": 0, "mm": 1, "uV": 0}
UNITS = {"deg": "°", "uV": "µV"}
# What leads a page, in the order a reader asks for it.
KEY_NUMBERS = ("pr_interval", "qrs_duration", "qt_interval", "qtc_bazett", "qtc_fridericia", "qrs_axis")
ORDER = (
    *("heart_rate", "rr_interval", "sdnn", "rmssd", "p_duration", *KEY_NUMBERS[:5], "qtc_framingham", "qtc_hodges"),
    *("p_axis", "qrs_axis", "t_axis", "sokolow_lyon", "cornell_voltage"),
)
DEVICE_UNITS = {"ms": "ms", "bpm": "bpm", "deg": "deg", "mv": "mV", "uv": "uV", "s": "s", "mm": "mm"}
PLACES = {"below": "▼ below", "within": "within", "above": "▲ above"}
SEX = {"M": "male", "F": "female"}
LOW_SCORE = 0.5
# Line and paragraph breaks become spaces; what no reader sees goes: C0 and C1 control characters, marks and overrides
# of the direction of writing, zero-width no-break spaces, and halves of surrogate pairs, which no encoder takes.
BREAKS = dict.fromkeys((0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x85, 0x2028, 0x2029), " ")
UNSEEN: Mapping[int, str] = {
    **dict.fromkeys((*range(0x20), *range(0x7F, 0xA0), 0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F)), ""),
    **dict.fromkeys((*range(0x2066, 0x206A), 0xFEFF, *range(0xD800, 0xE000)), ""),
    **BREAKS,
}
UNSEEN_IN_LINES = {**UNSEEN, 0x0A: "\n", 0x0D: ""}


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


def clean(text: str, *, lines: bool = False) -> str:
    """Text from a file without control characters and overrides of the direction of writing.

    Args:
        text: anything; what is visible stays as it is.
        lines: keep line feeds, which otherwise become spaces.
    """
    return text.translate(UNSEEN_IN_LINES if lines else UNSEEN)


def number(value: float, digits: int | None = None) -> str:
    """``-12.0`` → ``"−12"``; three significant digits where none are asked for; a dash for what is no number."""
    if not math.isfinite(value):
        return "–"
    if digits is None:
        digits = 0 if value == 0 else max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{round(value, digits) + 0.0:,.{digits}f}"
    return text.replace("-", "−")


def duration(seconds: float) -> str:
    """``10.0`` → ``"10 s"``; ``3725`` → ``"1 h 2 min 5 s"``; ``86400`` → ``"24 h 0 min"``."""
    if seconds < 120:
        return f"{seconds:.4g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours:,} h" if hours else "", f"{minutes} min", f"{rest} s" if rest else ""]
    return " ".join(part for part in parts if part)


def quantity(value: float, unit: str, digits: int | None = None) -> str:
    """``(161.0, "ms")`` → ``"161 ms"``; ``(52.0, "deg")`` → ``"52°"``: every unit has its digits."""
    digits = DIGITS.get(unit) if digits is None else digits
    shown = UNITS.get(unit, unit)
    return f"{number(value, digits)}{'' if shown == '°' else ' '}{shown}".strip()


def spread(measurement: Measurement) -> str:
    """The standard deviation with the digits of its unit, one more where it would round to 0 or 1; empty if unknown."""
    if measurement.sd is None:
        return ""
    digits = DIGITS.get(measurement.unit)
    return f"± {number(measurement.sd, 1 if digits == 0 and measurement.sd < 1 else digits)}"


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
    return [_row(name, value, years, str(sex) if sex else None) for name, value in ordered(report)]


def ordered(report: Report) -> list[tuple[str, Measurement]]:
    """The measurements, the usual ones first."""
    rank = {name: k for k, name in enumerate(ORDER)}
    return sorted(report.measurements.items(), key=lambda item: (rank.get(item[0], len(rank)), item[0]))


def _row(name: str, measurement: Measurement, age: float | None, sex: str | None) -> Row:
    unit = measurement.unit
    digits = DIGITS.get(unit)
    normal = normal_range(name, unit=unit, age=age, sex=sex)
    count = f"(n = {measurement.n})" if measurement.n is not None else ""
    place = normal.place(round(measurement.value, digits or 0) if digits == 0 else measurement.value) if normal else ""
    return Row(
        name=name,
        label=label(name),
        value=number(measurement.value, digits),
        spread=" ".join(part for part in (spread(measurement), count) if part),
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
    """Every warning of the checks once, as a sentence."""
    return _sentences(notice.text for notice in report.quality.warnings)


def notes(report: Report) -> list[str]:
    """What was assumed, left out or odd when the file was read, once each: no judgement of the recording."""
    said = set(warnings(report))
    return [text for text in _sentences(report.warnings) if text not in said]


def _sentences(texts: Iterable[str]) -> list[str]:
    return [_sentence(text) for text in dict.fromkeys(text.strip() for text in texts) if text]


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?", ":")) else text + "."


def trained_on(report: Report) -> list[str]:
    """What the models that speak in this report were trained on, each once."""
    said = [model.get("trained_on", "") for model in report.provenance.models]
    said += [estimate.trained_on for estimate in report.estimates]
    return [words for words in dict.fromkeys(said) if words]


def estimates(report: Report) -> list[tuple[tuple[str, str], list[Estimate]]]:
    """Numbers that models give, by model: (its name, what it was trained on), its estimates."""
    grouped = groupby(report.estimates, lambda said: (said.model, said.trained_on))
    return [(model, list(group)) for model, group in grouped]


def abstained(report: Report) -> list[tuple[str, str]]:
    """(what, why) of what was not computed, one entry a reason."""
    reasons: dict[str, list[str]] = {}
    statements = {finding.code for finding in report.findings}  # have their own place in the report
    models = {model.get("name", "") for model in report.provenance.models}
    for abstention in report.abstained:
        if abstention.what in statements:
            continue
        what = abstention.what if abstention.what in models else label(abstention.what)
        reasons.setdefault(abstention.why, []).append(what)
    return [(", ".join(dict.fromkeys(what)), why) for why, what in reasons.items()]


def measured_by_device(measured: Mapping[str, float]) -> list[tuple[str, str]]:
    """``{"qrs_duration_ms": 92}`` → ``[("QRS duration", "92 ms")]``: the unit stands in the name."""
    entries = []
    for name, value in measured.items():
        stem, _, unit = name.rpartition("_")
        known = DEVICE_UNITS.get(unit, "") if stem else ""
        entries.append((label(stem if known else name), quantity(value, known)))
    return entries
