"""Report → `cardioloom.report/1`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache

import numpy as np

from cardioloom.records import Neighbours, Report, printable

SCHEMA = "cardioloom.report/1"
PLAIN = frozenset((float, int, str, bool, type(None)))  # most of a report, and told apart quickest


def to_dict(report: Report) -> dict[str, object]:
    """The report as plain values; a key whose value was not measured is absent, never null, 0 or NaN.

    ``neighbours`` is there where an index was asked, as `neighbours_dict` writes it.
    """
    ecg, quality = report.study.ecg, report.quality
    source = ecg.source
    said: dict[str, object] = {
        "schema": SCHEMA,
        "source": {
            "file": printable(source.file.name) if source else None,
            "format": source.format if source else None,
            "sha256": report.provenance.sha256,
        },
        "ecg": {
            "leads": list(ecg.leads),
            "derived_leads": list(ecg.derived),
            "fs": ecg.fs,
            "seconds": round(ecg.seconds, 6),
            "start": ecg.start.isoformat() if ecg.start else None,
            "gaps_s": report.gaps_s,
        },
        "facts": dict(report.study.facts),
        "device": {"name": ecg.device, "measured": dict(ecg.measured), "stated": list(ecg.stated)},
        "quality": {
            "score": quality.score,
            "leads": {
                lead: {"score": state.score, "problems": list(state.problems)} for lead, state in quality.leads.items()
            },
            "warnings": [_fields(notice) for notice in quality.warnings],
        },
        "beats": {
            "r_peaks_s": [round(float(peak), 4) for peak in report.beats.r_peaks_s],
            "waves": [_plain(beat) for beat in report.beats.waves],
            "leads": _plain(report.beats.leads),
        },
        "measurements": {name: _given(value) for name, value in report.measurements.items()},
        "findings": [_finding(finding) for finding in report.findings],
        "estimates": [_fields(estimate) for estimate in report.estimates],
        "abstained": [_fields(abstention) for abstention in report.abstained],
        "warnings": list(report.warnings),
        "provenance": {
            "cardioloom": report.provenance.version,
            "models": [dict(model) for model in report.provenance.models],
            "preparation": report.provenance.preparation,
            "created": report.provenance.created,
        },
    }
    if report.neighbours is not None:
        said["neighbours"] = neighbours_dict(report.neighbours)
    return said


def neighbours_dict(found: Neighbours) -> dict[str, object]:
    """Similar patients as plain values; what the index does not know of a study is absent.

    ``index``: file, studies, made_of, simulated, search (exact or approximate), model, model_sha256, trained_on.
    ``recording``: in_index, warnings and notes (in a report those that it does not say already), and left_out (studies)
    where its patient was named. ``patients``, most similar first: rank, study_id, cosine, and where known age, sex,
    ``facts`` (column → value); patient_id only where all columns were asked for. ``phenotypes``: name and unit of a
    column, code and title of a usual one, n, median and quartiles among these patients, and ``index``: n, median, and
    the counts of a histogram of bins of equal width from low to high.
    """
    return {
        "index": {
            "file": printable(found.index),
            "studies": found.studies,
            "made_of": found.made_of,
            "simulated": found.is_simulated,
            "search": "exact" if found.is_exact else "approximate",
            "model": found.model,
            "model_sha256": found.model_sha256,
            "trained_on": found.trained_on,
        },
        "recording": {
            "in_index": found.is_in_index,
            "warnings": list(found.warnings),
            "notes": list(found.notes),
            **({} if found.left_out is None else {"left_out": found.left_out}),
        },
        "patients": [{"rank": rank, **_given(one)} for rank, one in enumerate(found.nearest, 1)],
        "phenotypes": [
            {
                "name": own.name,
                **({"code": own.code, "title": own.title} if own.code else {}),
                "unit": own.unit,
                "n": len(own.values),
                "median": own.median,
                "quartiles": list(own.quartiles),
                "index": {
                    "n": own.n_index,
                    "median": own.median_index,
                    "low": own.low,
                    "high": own.high,
                    "counts": list(own.counts),
                },
            }
            for own in found.spreads
        ],
    }


def dumps(report: Report) -> str:
    """The report as JSON text (UTF-8, two spaces, no NaN)."""
    return indented(to_dict(report))


def indented(value: object, depth: int = 0) -> str:
    """`json.dumps` with ``indent=2, ensure_ascii=False, allow_nan=False``, in a fraction of its time.

    With an indent the standard library leaves its C encoder. Here that encoder writes the innermost lists and
    dictionaries, with the indent as a part of its separator.
    """
    if not value or not isinstance(value, (dict, list, tuple)):
        return _encoder(depth).encode(value)
    parts = value.values() if isinstance(value, dict) else value
    pad = "\n" + "  " * (depth + 1)
    begin, end = "{}" if isinstance(value, dict) else "[]"
    if PLAIN.issuperset(map(type, parts)):
        inside = _encoder(depth + 1).encode(value)[1:-1]
    elif isinstance(value, dict):
        encode = _encoder(0).encode
        inside = f",{pad}".join(f"{encode(str(key))}: {indented(part, depth + 1)}" for key, part in value.items())
    else:
        inside = f",{pad}".join([indented(part, depth + 1) for part in value])
    return f"{begin}{pad}{inside}{pad[:-2]}{end}"


@cache
def _encoder(depth: int) -> json.JSONEncoder:
    """Writes on one level: every item begins a line at this depth."""
    return json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",\n" + "  " * depth, ": "))


def _finding(finding: object) -> dict[str, object]:
    """A finding with its null values kept: null there means "not judgeable" or "not a probability"."""
    plain = _fields(finding)
    for key in ("snomed", "group"):
        if plain[key] is None:
            del plain[key]
    return plain


def _given(value: object) -> dict[str, object]:
    """A dataclass as a dictionary without what is None."""
    return {name: part for name, part in _fields(value).items() if part is not None}


def _fields(value: object) -> dict[str, object]:
    plain = _plain(value)
    assert isinstance(plain, dict)
    return plain


def _plain(value: object) -> object:
    """Nested records, mappings and arrays as plain JSON values."""
    if type(value) in PLAIN:
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {part.name: _plain(getattr(value, part.name)) for part in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(part) for part in value]
    return value
