"""ECG → WFDB record: a header and one signal file, in format 16, or 24 or 32 where 16 bits are too few.

By header(5) and signal(5) of the WFDB Applications Guide, https://physionet.org/physiotools/wag/.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import WriteError
from cardioloom.records import ECG
from cardioloom.writers import scales
from cardioloom.writers.atomic import replacing

FORMAT_BITS = (16, 24, 32)
MAX_FACTOR = 64  # whole multiples of a fractional baseline that are tried
MAX_GAIN = 2.0**40  # counts per mV; a count is then below 1e-12 mV

_RECORD_NAME = re.compile(r"[A-Za-z0-9_-]+$")
_CODE = re.compile(r"(?!(?:unknown|nan)$)[\w.+-]+", re.IGNORECASE)


@dataclass(frozen=True)
class LeadScale:
    """How one lead is stored: ``mV = (count - baseline) / gain``.

    ``factor`` multiplies the counts that the ECG has; None where the counts are made from mV.
    """

    gain: float
    baseline: int
    factor: int | None
    low: int  # least and greatest stored count that is no gap
    high: int


def write(ecg: ECG, path: Path) -> None:
    """Write ``NAME.hea`` and ``NAME.dat``; both or none, long records by blocks.

    Integer counts are stored as they are, with their gain. A fractional baseline (EDF) is made whole by a small
    factor on counts, gain and baseline. What is left, floats that are not whole at a usual gain and counts that
    32 bits cannot hold, is stored in format 32 with the finest power of two as gain: an error of at most half a
    count, that is 2⁻³¹ of the lead's largest value or 10⁻¹² mV. ``device``, ``measured``, ``stated`` and ``derived``
    become comment lines; ``notes`` are about the file that was read and do not travel.

    Args:
        ecg: what to write; NaN becomes the format's count for "not recorded".
        path: the header to write, ``….hea``; its name is the record's name.

    Raises:
        WriteError: if the name is no WFDB record name.
        OSError: if the files cannot be written.
    """
    path = Path(path)
    if path.suffix != ".hea":
        raise WriteError(f"a WFDB record is named by its header, got {path.name}: give a name that ends in .hea")
    if not _RECORD_NAME.match(path.stem):
        raise WriteError(
            f"{path.stem!r} is no WFDB record name: use letters, digits, hyphens and underscores only, then .hea"
        )
    leads = _scales(ecg)
    bits = next(bits for bits in FORMAT_BITS if all(_fits(lead, bits) for lead in leads))
    data = path.with_suffix(".dat")
    # The header last: what it names is then there.
    with replacing(path) as header, replacing(data) as samples:
        with samples.open("xb") as file:
            first, checksums = _write_samples(file, ecg, leads, bits)
        header.write_text(_header(ecg, data.name, leads, bits, first, checksums), "utf-8", newline="\n")


def _fits(scale: LeadScale, bits: int) -> bool:
    lowest = -(1 << (bits - 1))  # itself means "not recorded"
    return lowest < scale.low and scale.high < -lowest


def _scales(ecg: ECG) -> list[LeadScale]:
    if ecg.counts is None:
        return [_scale_of_floats(row) for row in ecg.signal]
    rows = zip(ecg.counts.gain, ecg.counts.baseline, scales.extents(ecg.counts), strict=True)
    return [_scale_of_counts(float(gain), float(baseline), lead.low, lead.high) for gain, baseline, lead in rows]


def _scale_of_counts(gain: float, baseline: float, low: int, high: int) -> LeadScale:
    for factor in range(1, MAX_FACTOR + 1):
        whole = round(baseline * factor)
        if abs(whole) < 1 << 31 and abs(baseline * factor - whole) <= 1e-9 * max(1.0, abs(whole)):
            scale = LeadScale(gain * factor, whole, factor, low * factor, high * factor)
            if _fits(scale, 32):
                return scale
            break
    largest = max(abs((low - baseline) / gain), abs((high - baseline) / gain))
    return _finest(largest)


def _scale_of_floats(signal: NDArray[np.float32]) -> LeadScale:
    values = signal[~np.isnan(signal)].astype(np.float64)
    gain = scales.usual_gain(values, (1 << 31) - 2)
    if gain is None:
        return _finest(float(np.abs(values).max(initial=0.0)))
    counts = np.rint(values * gain)
    return LeadScale(gain, 0, None, int(counts.min(initial=0)), int(counts.max(initial=0)))


def _finest(largest_mv: float) -> LeadScale:
    most = (1 << 31) - 2
    gain = min(2.0 ** math.floor(math.log2(most / largest_mv)), MAX_GAIN) if largest_mv > 0 else 1000.0
    high = round(largest_mv * gain)
    return LeadScale(gain, 0, None, -high, high)


def _write_samples(
    file: BinaryIO, ecg: ECG, leads: list[LeadScale], bits: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns (first count, sum of the counts) of each lead."""
    sums, first = np.zeros(len(leads), np.int64), np.zeros(len(leads), np.int64)
    for start, stored in _stored_blocks(ecg, leads, -(1 << (bits - 1))):
        if start == 0:
            first = stored[:, 0].astype(np.int64)
        sums += stored.sum(axis=1, dtype=np.int64) % 65536
        frames = np.ascontiguousarray(stored.T, "<i2" if bits == 16 else "<i4")
        if bits == 24:  # the three low bytes of each
            frames = np.ascontiguousarray(frames.view(np.uint8).reshape(-1, 4)[:, :3])
        file.write(frames.tobytes())
    return first, sums


def _stored_blocks(ecg: ECG, leads: list[LeadScale], gap: int) -> Iterator[tuple[int, NDArray[np.int32]]]:
    """(first sample, (lead, time) counts as they are stored) of each block."""
    counts = ecg.counts
    if counts is None:
        size = max(scales.BLOCK_VALUES // len(leads), 1)
        for start in range(0, ecg.shape[1], size):
            rows = ecg.signal[:, start : start + size].astype(np.float64)
            yield start, np.stack([_from_mv(row, scale, gap) for row, scale in zip(rows, leads, strict=True)])
        return
    for start, values in scales.blocks(counts):
        stored = np.empty(values.shape, np.int32)
        for row, (lead, scale, invalid) in enumerate(zip(values, leads, counts.invalid, strict=True)):
            gaps = np.zeros(lead.shape, bool) if invalid is None else lead == invalid
            if scale.factor is None:
                stored[row] = _from_mv((lead - counts.baseline[row]) / counts.gain[row], scale, gap, gaps)
            else:
                stored[row] = np.where(gaps, gap, lead.astype(np.int64) * scale.factor)
        yield start, stored


def _from_mv(
    signal: NDArray[np.float64], scale: LeadScale, gap: int, gaps: NDArray[np.bool_] | None = None
) -> NDArray[np.int32]:
    gaps = np.isnan(signal) if gaps is None else gaps
    return np.rint(np.where(gaps, gap / scale.gain, signal) * scale.gain).astype(np.int32)


def _header(
    ecg: ECG,
    data: str,
    leads: list[LeadScale],
    bits: int,
    first: NDArray[np.int64],
    sums: NDArray[np.int64],
) -> str:
    record = [data.removesuffix(".dat"), str(len(leads)), _number(ecg.fs), str(ecg.shape[1])]
    if ecg.start is not None:
        micro = f".{ecg.start.microsecond:06d}" if ecg.start.microsecond else ""
        record += [f"{ecg.start:%H:%M:%S}{micro}", f"{ecg.start:%d/%m/}{ecg.start.year:04d}"]
    lines = [" ".join(record)]
    for lead, scale, initial, total in zip(ecg.leads, leads, first, sums, strict=True):
        checksum = (int(total) + 32768) % 65536 - 32768  # the low 16 bits, signed
        size = f"{_number(scale.gain)}({scale.baseline})/mV"
        lines.append(f"{data} {bits} {size} {bits} 0 {initial} {checksum} 0 {' '.join(lead.split())}")
    return "\n".join([*lines, *_comments(ecg)]) + "\n"


def _number(value: float) -> str:
    """The shortest text that reads as the same float64."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _comments(ecg: ECG) -> list[str]:
    lines = []
    if isinstance(age := ecg.patient.get("age"), int | float):
        lines.append(f"#Age: {_number(float(age))}")
    if sex := ecg.patient.get("sex"):
        lines.append(f"#Sex: {'Female' if sex == 'F' else 'Male'}")
    if ecg.stated and all(map(_CODE.fullmatch, ecg.stated)) and len(set(ecg.stated)) == len(ecg.stated):
        lines.append(f"#Dx: {','.join(ecg.stated)}")
    else:
        lines += [f"#Stated: {text}" for text in ecg.stated]
    if ecg.device is not None:
        lines.append(f"#Device: {ecg.device}")
    lines += [f"#Measured: {name}={_number(value)}" for name, value in ecg.measured.items()]
    if ecg.derived:
        lines.append(f"#Derived: {', '.join(ecg.derived)}")
    return lines
