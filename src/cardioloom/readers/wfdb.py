"""WFDB records of PhysioNet: a header (.hea) and its signal files (.dat; .mat in the PhysioNet Challenges)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import CardioloomError, DamagedFileError, ReadError
from cardioloom.readers.channels import ecg_channels
from cardioloom.readers.told import Told, millivolts_per, settle_leads
from cardioloom.readers.wfdb_comments import derived_leads, device, diagnosis_codes, measured, patient, stated
from cardioloom.readers.wfdb_header import Header, Signal, load_header
from cardioloom.readers.wfdb_records import DEFAULT_FS_HZ, DEFAULT_GAIN, Decoded, decode, is_long
from cardioloom.readers.wfdb_windows import SegmentedWindow
from cardioloom.records import ECG, Counts, Source

CHECKSUM_MAX_VALUES = 1_000_000  # leads × samples up to which the header's checksums are verified


def sniff(path: Path, head: bytes) -> bool:
    """True for a header, and for a signal file that the header beside it names."""
    if path.suffix.lower() == ".hea":
        # A damaged one too, whatever its content: `read` then says what is wrong with it.
        return True
    header = path.with_suffix(".hea")
    return bool(head) and header.is_file() and path.name in _named(header)


def in_folder(path: Path, head: bytes) -> bool:
    """False for a signal file (its header stands for it) and for a record without any voltage (PLETH, ABP …)."""
    if path.suffix.lower() != ".hea":
        return False
    header = _quietly(path) if head else None
    if header is None or header.segments or not header.signals:
        return True
    return any(millivolts_per(signal.unit or "mV") is not None for signal in header.signals)


def companions(header: Path) -> set[str]:
    """Names of the files beside a header that belong to it: signal files, segment headers and theirs.

    A damaged header names what can be read of it.
    """
    names: set[str] = set()
    parsed = _quietly(header)
    if parsed is None:
        return names
    names |= {signal.file for signal in parsed.signals}
    for segment in {name for name, _ in parsed.segments}:
        if (header.parent / f"{segment}.hea") != header:
            names.add(f"{segment}.hea")
            names |= _named(header.parent / f"{segment}.hea")
    return {name for name in names if name not in ("~", "~.hea", "-") and "/" not in name and "\\" not in name}


def _named(header: Path) -> set[str]:
    parsed = _quietly(header)
    return {signal.file for signal in parsed.signals} if parsed else set()


def _quietly(header: Path) -> Header | None:
    try:
        return load_header(header)
    except (CardioloomError, OSError):
        return None  # `read` of that header says what is wrong with it


def read(path: Path, told: Told) -> Iterator[ECG]:
    """The ECG leads of one record; long records stay on the file until they are sliced.

    Args:
        path: the header, or a signal file beside it.
        told: what the caller says where the header is silent.

    Raises:
        DamagedFileError: if the header or a signal file is absent, truncated or contradictory.
        LimitError: if the record is larger than this library accepts.
        NotAnECGError: if none of its signals is an ECG lead.
        MissingFactError: if the header names no signal and the caller neither.
    """
    header = path if path.suffix.lower() == ".hea" else path.with_suffix(".hea")
    if not header.is_file():
        raise ReadError(f"{path.name} is a signal file whose header {header.name} is not beside it: copy both together")
    record = decode(header)
    notes: list[str] = []
    leads, channels = _leads(record, header.name, told, notes)
    fs = _rate(record, told, notes) * record.signals[channels[0]].per_frame
    _check_gains(record, header.name, channels, notes)
    samples = _samples(record, channels, told, notes)
    comments = record.header.comments
    said = patient(comments, notes)
    derived = {lead: None for lead in derived_leads(comments) if lead in leads}
    yield ECG(
        samples,
        leads,
        fs,
        derived=tuple(derived),
        start=record.header.start,
        device=device(comments),
        source=Source(path, "wfdb", record.files),
        patient=said,
        measured=measured(comments),
        stated=(*diagnosis_codes(comments), *stated(comments)),
        notes=tuple(notes),
    )


def _unit(signal: Signal, told: Told) -> str:
    return signal.unit or told.unit or "mV"  # header(5): mV where the header gives none


def _leads(record: Decoded, file: str, told: Told, notes: list[str]) -> tuple[tuple[str, ...], list[int]]:
    """Names and indices of the ECG channels of the highest rate."""
    signals = record.signals
    stated = tuple(signal.name for signal in signals)
    names = settle_leads(file, stated if any(stated) else None, len(signals), told, None, notes)
    keep = ecg_channels(file, names, [_unit(signal, told) for signal in signals], notes)
    highest = max(signals[channel].per_frame for channel in keep)
    slower = [names[channel] for channel in keep if signals[channel].per_frame < highest]
    if slower:
        notes.append(f"leads left out because they are sampled at a lower rate than others: {', '.join(slower)}")
    keep = [channel for channel in keep if signals[channel].per_frame == highest]
    return tuple(names[channel] for channel in keep), keep


def _rate(record: Decoded, told: Told, notes: list[str]) -> float:
    """Frames a second, Hz."""
    stated = record.header.fs
    if stated is None and told.fs is None:
        notes.append(f"sampling rate {DEFAULT_FS_HZ:g} Hz assumed, the WFDB default: the header states none")
        return DEFAULT_FS_HZ
    if stated is not None and told.fs not in (None, stated):
        notes.append(f"--fs {told.fs:g} was not used: the file states {stated:g} Hz")
    return stated or told.fs or DEFAULT_FS_HZ


def _check_gains(record: Decoded, file: str, channels: Sequence[int], notes: list[str]) -> None:
    names = {record.signals[channel].name for channel in channels}
    headers = [header for _, header, _ in record.segments] or [record.header]
    found = [signal for header in headers for signal in header.signals if signal.name in names]
    zero = sorted({signal.name for signal in found if signal.gain == 0})
    if zero:
        raise DamagedFileError(
            f"{file} states a gain of 0 for {', '.join(zero)}, so that its counts have no size: write the counts per "
            "unit into the header"
        )
    if silent := list(dict.fromkeys(signal.name or "unnamed" for signal in found if signal.gain is None)):
        notes.append(
            f"uncalibrated: {DEFAULT_GAIN:g} counts per unit assumed, the WFDB default, because the header states no "
            f"gain for {', '.join(silent)}"
        )


def _samples(record: Decoded, channels: list[int], told: Told, notes: list[str]) -> NDArray[np.floating] | Counts:
    factors = [millivolts_per(_unit(record.signals[channel], told)) or 1.0 for channel in channels]
    window = record.window(channels)
    in_memory = not is_long(record)
    if isinstance(window, SegmentedWindow) and any(window.rescaled):
        if in_memory:
            physical = [window.physical(row) * factor for row, factor in enumerate(factors)]
            return np.stack(physical).astype(np.float32)
        notes.append("segments differ in gain or baseline: converted to a common one of a billion counts per unit")
    gain, baseline, invalid = zip(*record.scales(window, channels), strict=True)
    values = window[:, :] if in_memory else window
    if isinstance(values, np.ndarray) and record.takes and values.size <= CHECKSUM_MAX_VALUES:
        _verify(values, [record.signals[channel] for channel in channels], notes)
    return Counts(values, np.array(gain) / np.array(factors), np.array(baseline, np.float64), invalid)


def _verify(values: NDArray[np.integer], signals: Sequence[Signal], notes: list[str]) -> None:
    sums = values.sum(axis=1, dtype=np.int64)
    # Sloppy writers fill the field with 0; skew moves samples out of the sum.
    wrong = [
        signal.name
        for signal, total in zip(signals, sums, strict=True)
        if signal.checksum and not signal.skew and (int(total) - signal.checksum) % 65536
    ]
    if wrong:
        notes.append(
            f"the checksum in the header differs from the samples of {', '.join(wrong)}: compare with the original"
        )
