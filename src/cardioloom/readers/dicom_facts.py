"""What a DICOM waveform object says beside its samples: lead codes, patient, device, measurements, statements."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from cardioloom.readers.arrays import patient_facts
from cardioloom.records import standard_lead

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# Lead numbers of ISO/IEEE 11073-10101 (MDC 2:n, PS3.16 CID 3001) and, the same, of SCP-ECG (5.6.3-9-n).
LEAD_NUMBERS = {1: "I", 2: "II", 61: "III", 62: "aVR", 63: "aVL", 64: "aVF"}
LEAD_NUMBERS |= {n + 2: f"V{n}" for n in range(1, 8)} | {66: "V8", 67: "V9"}
LEAD_NUMBERS |= {n + 8: f"V{n}R" for n in range(2, 8)} | {68: "V8R", 69: "V9R"}
LEAD_NUMBERS |= {16: "X", 17: "Y", 18: "Z", 19: "CC5", 20: "CM5"}
MDC_LEAD_BLOCK = 2 << 16  # the same numbers as context-free codes: 131072 + n
UNKNOWN_START = datetime(1900, 1, 1)  # stands for "unknown" where the standard demands a date
DAYS = {"D": 1.0, "W": 7.0, "M": 365.25 / 12, "Y": 365.25}
UNITS = {"ms": "ms", "deg": "deg", "uv": "uv", "mv": "mv", "s": "s", "/min": "bpm", "{h.b.}/min": "bpm", "bpm": "bpm"}
UNITS |= {"{beat}/min": "bpm", "{beats}/min": "bpm", "1/min": "bpm"}
RATE_NAMES = frozenset({"ventricular_heart_rate", "ventricular_rate", "heart_rate", "mean_ventricular_rate"})


def lead_name(channel: Dataset) -> str:
    """The lead of a channel: by its code, else by the code's meaning, else by its label."""
    source = channel.get("ChannelSourceSequence")
    code = str(source[0].get("CodeValue") or "") if source else ""
    meaning = str(source[0].get("CodeMeaning") or "") if source else ""
    label = str(channel.get("ChannelLabel") or "")
    match = re.fullmatch(r"(?:2:|5\.6\.3-9-)(\d+)", code.strip())
    number = int(match[1]) if match else int(code) - MDC_LEAD_BLOCK if re.fullmatch(r"13[12]\d{3}", code) else None
    if number in LEAD_NUMBERS:
        return LEAD_NUMBERS[number]
    known = next((text for text in (code, meaning, label) if standard_lead(text)), None)
    # Number 0 is "unspecified lead": then the label is the name.
    return known or (label or meaning if number == 0 else meaning or label) or code


def is_derived(channel: Dataset) -> bool:
    """True where the channel's description says that it was computed from others."""
    return bool(
        re.search(r"\b(?:derived|computed|calculated)\b", str(channel.get("ChannelDerivationDescription")), re.I)
    )


def patient_of(data: Dataset, notes: list[str]) -> dict[str, float | str]:
    """Age in years, by the age or else the birth date, and sex."""
    age: float | None = None
    match = re.fullmatch(r"(\d{1,3})([DWMY])", str(data.get("PatientAge") or "").strip())
    birth, start = _date(data.get("PatientBirthDate")), start_of(data)
    if match:
        age = int(match[1]) if match[2] == "Y" else round(int(match[1]) * DAYS[match[2]] / DAYS["Y"], 3)
    elif birth is not None and start is not None:
        age = int((start.replace(tzinfo=None) - birth).days / DAYS["Y"])
    return patient_facts(age, data.get("PatientSex"), notes)


def device_of(data: Dataset) -> str | None:
    """Manufacturer and model."""
    parts = (str(data.get(key) or "").strip() for key in ("Manufacturer", "ManufacturerModelName"))
    return " ".join(part for part in parts if part) or None


def start_of(data: Dataset) -> datetime | None:
    """When the acquisition began, by the most specific element that is there."""
    start = _datetime(data.get("AcquisitionDateTime"))
    for kind in ("Acquisition", "Content"):
        start = start or _datetime(f"{data.get(kind + 'Date') or ''}{data.get(kind + 'Time') or ''}")
    return None if start == UNKNOWN_START else start


def measured_of(data: Dataset) -> dict[str, float]:
    """Numbers the device measured over the whole record, by name and unit (``"qrs_duration_ms"``)."""
    found: dict[str, float] = {}
    for item in data.get("WaveformAnnotationSequence") or []:
        concept, value, unit = (
            item.get(key) for key in ("ConceptNameCodeSequence", "NumericValue", "MeasurementUnitsCodeSequence")
        )
        if not concept or value in (None, "") or not unit or _has_place(item):
            continue
        suffix = UNITS.get(str(unit[0].get("CodeValue") or "").lower())
        number = float(value[0] if hasattr(value, "__len__") and not isinstance(value, str) else value)
        if suffix is None or (number == 0 and suffix != "deg"):
            continue  # a duration, rate or voltage of zero is how devices write "not measured"
        name = re.sub(r"\W+", "_", str(concept[0].get("CodeMeaning") or "")).strip("_").lower()
        name = "heart_rate" if name in RATE_NAMES else name
        found.setdefault(f"{name}_{suffix}", number)
    return found


def stated_of(data: Dataset) -> tuple[str, ...]:
    """Sentences of the device or the reader: texts and coded statements that belong to no point in time."""
    found: list[str] = []
    for item in data.get("WaveformAnnotationSequence") or []:
        if item.get("NumericValue") not in (None, "") or _has_place(item):
            continue
        code = item.get("ConceptCodeSequence")
        text = item.get("UnformattedTextValue") or (code[0].get("CodeMeaning") if code else None)
        if text and (sentence := str(text).strip()):
            found.append(sentence)
    return tuple(dict.fromkeys(found))


def _has_place(item: Dataset) -> bool:
    return any(key in item for key in ("TemporalRangeType", "ReferencedSamplePositions", "ReferencedTimeOffsets"))


def _date(value: object) -> datetime | None:
    match = re.match(r"(\d{4})[.-]?(\d\d)[.-]?(\d\d)", str(value or ""))
    try:
        return datetime(int(match[1]), int(match[2]), int(match[3])) if match else None
    except ValueError:
        return None  # "00000000" and its like: the file does not say


def _datetime(value: object) -> datetime | None:
    """DT of PS3.5 6.2: YYYYMMDDHHMMSS.FFFFFF&ZZXX; at least the minute must be there."""
    match = re.match(r"(\d{8})(\d{2})(\d{2})(\d{2})?(?:\.(\d{1,6}))?([+-]\d{4})?", str(value or "").replace(":", ""))
    day = _date(match[1]) if match else None
    if match is None or day is None:
        return None
    hour, minute, second = (int(match[n] or 0) for n in (2, 3, 4))
    if hour > 23 or minute > 59:
        return None
    moment = day + timedelta(
        hours=hour, minutes=minute, seconds=second, microseconds=int((match[5] or "0").ljust(6, "0"))
    )
    if match[6]:
        offset = timedelta(hours=int(match[6][:3]), minutes=int(match[6][0] + match[6][3:]))
        return moment.replace(tzinfo=timezone(offset)) if abs(offset) < timedelta(hours=24) else moment
    return moment
