"""A bare array of samples and what is stated of it → an ECG: for the formats that store arrays without a header."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import DamagedFileError, NotAnECGError
from cardioloom.readers.channels import ecg_channels
from cardioloom.readers.layouts import Layout
from cardioloom.readers.limits import LAZY_VALUES, MAX_FS_HZ, check_shape
from cardioloom.readers.told import Told, check_told, settle_fs, settle_leads, settle_unit
from cardioloom.records import ECG, MAX_AGE_YEARS, Counts, Source


@dataclass(frozen=True)
class Stated:
    """What the file itself says of its samples; None or empty where it is silent."""

    fs: float | None = None  # Hz
    leads: tuple[str, ...] | None = None
    unit: str | None = None
    patient: dict[str, float | str] = field(default_factory=dict)
    start: datetime | None = None


def ecg_of(
    path: Path,
    form: str,
    array: NDArray,
    stated: Stated,
    told: Told,
    *,
    layout: Layout | None = None,
    notes: Iterable[str] = (),
    name: str | None = None,
) -> ECG:
    """An ECG of a numeric array.

    Args:
        path: the file, for messages and the record's source.
        form: name of the format.
        array: (lead, time), (time, lead) or (time,); axes of length one are dropped.
        stated: what the file says.
        told: what the caller says.
        layout: the dataset's layout, where the file is recognised as one of a dataset.
        notes: what the reader has noted so far.
        name: what messages call it; the file's name by default.

    Returns:
        Integers travel as counts of one unit each, floats as mV.

    Raises:
        ReadError: if a fact is missing or a value cannot be.
    """
    name, said = name or path.name, list(notes)
    rows = _lead_first(name, array, _expected_leads(stated, told, layout), said)
    check_told(name, told, _unstated(stated, layout, rows.shape[0]), rows.shape[0])
    check_shape(name, *rows.shape, in_memory=not isinstance(rows, np.memmap))
    if stated.fs is not None and not 0 < stated.fs <= MAX_FS_HZ:
        raise DamagedFileError(f"{name} states a sampling rate of {stated.fs} Hz, which cannot be: correct the file")
    leads = settle_leads(name, stated.leads, rows.shape[0], told, layout and (layout.name, layout.leads), said)
    if len(leads) != rows.shape[0]:
        raise DamagedFileError(f"{name} names {len(leads)} leads but has {rows.shape[0]} channels: correct the file")
    keep = ecg_channels(name, leads, [None] * len(leads), said)
    fs = settle_fs(name, stated.fs, told, layout and (layout.name, layout.fs), said)
    factor = settle_unit(name, stated.unit, told, layout and (layout.name, layout.unit), said)
    return ECG(
        _samples(name, rows if len(keep) == len(leads) else rows[keep], factor),
        tuple(leads[row] for row in keep),
        fs,
        start=stated.start,
        source=Source(path, form, (path,)),
        patient=stated.patient,
        notes=tuple(said),
    )


def patient_facts(age: object, sex: object, notes: list[str]) -> dict[str, float | str]:
    """``age`` (years) and ``sex`` ("M", "F") where a file's values can be those; an age that cannot be is noted."""
    facts: dict[str, float | str] = {}
    try:
        years = float(str(age))
    except ValueError:
        years = float("nan")
    if 0 <= years <= MAX_AGE_YEARS:
        facts["age"] = years
    elif not math.isnan(years):
        notes.append(f"the stated age was left out: it is not between 0 and {MAX_AGE_YEARS:g} years")
    letter = str(sex).strip().upper()
    if letter in ("M", "MALE", "F", "FEMALE"):
        facts["sex"] = letter[0]
    return facts


def _unstated(stated: Stated, layout: Layout | None, n_channels: int) -> list[str]:
    """What neither the file nor its layout says."""
    has_leads = stated.leads is not None or (layout is not None and len(layout.leads) == n_channels)
    known = {"leads": has_leads, "fs": layout or stated.fs is not None, "unit": layout or stated.unit is not None}
    return [fact for fact, is_known in known.items() if not is_known]


def _expected_leads(stated: Stated, told: Told, layout: Layout | None) -> int | None:
    """How many leads the array should have, by the first who says so."""
    for names in (stated.leads, told.leads, layout.leads if layout else None):
        if names is not None:
            return len(names)
    return None


def _lead_first(name: str, array: NDArray, n_leads: int | None, notes: list[str]) -> NDArray:
    """The array as (lead, time); turned where only its second axis has the number of leads."""
    is_number = np.issubdtype(array.dtype, np.integer) or np.issubdtype(array.dtype, np.floating)
    if not is_number or array.size == 0:
        kind = f"{array.dtype} array of shape {array.shape}"
        raise NotAnECGError(f"{name} holds a {kind}, not samples: store real numbers of shape (lead, time)")
    if array.ndim > 2:
        array = array.reshape([size for size in array.shape if size != 1])
    if array.ndim > 2:
        raise NotAnECGError(f"{name} holds an array of shape {array.shape}, not (lead, time): store one ECG a file")
    rows = np.atleast_2d(array)
    if rows.shape[0] == n_leads:
        return rows
    if rows.shape[1] == n_leads:
        notes.append(
            f"the array of shape {rows.shape} was read as (time, lead): its second axis has the {n_leads} leads"
        )
        return rows.T
    return rows if rows.shape[0] <= rows.shape[1] else rows.T


def _samples(name: str, rows: NDArray, factor: float) -> NDArray[np.float32] | Counts:
    """Counts of ``factor`` mV each, or float32 mV."""
    if np.issubdtype(rows.dtype, np.integer):
        values = rows if rows.size > LAZY_VALUES else np.ascontiguousarray(rows)
        return Counts(values, np.full(rows.shape[0], 1.0 / factor), np.zeros(rows.shape[0]))
    with np.errstate(over="ignore", invalid="ignore"):
        # float64 for the product: one rounding, to float32, at the end.
        signal = rows.astype(np.float32) if factor == 1.0 else (rows * np.float64(factor)).astype(np.float32)
    if np.isinf(signal).any():
        raise DamagedFileError(f"{name} holds infinite values: write NaN for what was not recorded")
    return signal
