"""DICOM waveform objects: 12-lead, general, ambulatory and 32-bit ECG, and ECG channels of other waveforms.

The rhythm is taken, never the median beat; the samples travel as the file's integers (PS3.3 C.10.9).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import DamagedFileError, NotAnECGError, ReadError
from cardioloom.readers.channels import ecg_channels
from cardioloom.readers.dicom_elements import elements
from cardioloom.readers.dicom_facts import (
    device_of,
    is_derived,
    lead_name,
    measured_of,
    patient_of,
    start_of,
    stated_of,
)
from cardioloom.readers.limits import MAX_FS_HZ, check_shape
from cardioloom.readers.pictures import dicom_reader_of
from cardioloom.readers.told import Told, check_told, settle_fs, settle_leads, settle_unit
from cardioloom.records import ECG, Counts, Source

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

ECG_CLASSES = frozenset(f"1.2.840.10008.5.1.4.1.1.9.1.{n}" for n in range(1, 5))
BIG_ENDIAN = "1.2.840.10008.1.2.2"
# What is read of a file: nothing that names the patient.
TAGS = ["SOPClassUID", "AcquisitionDateTime", "AcquisitionDate", "AcquisitionTime", "ContentDate", "ContentTime"]
TAGS += ["StudyDate", "Manufacturer", "ManufacturerModelName", "PatientAge", "PatientBirthDate", "PatientSex"]
TAGS += ["SpecificCharacterSet", "WaveformSequence", "WaveformAnnotationSequence"]
INTEGERS = {(8, "SB"): "i1", (8, "UB"): "u1", (16, "SS"): "i2", (16, "US"): "u2", (32, "SL"): "i4", (32, "UL"): "u4"}
INTEGERS |= {(64, "SV"): "i8"}
COMPANDED = {"MB": "µ-law", "AB": "A-law"}
MIN_RHYTHM_S = 2.0  # a derived group shorter than this is an averaged beat


def sniff(_path: Path, head: bytes) -> bool:
    """True for the magic behind the preamble, or for a file without one that begins with group 2 or 8."""
    return head[128:132] == b"DICM" or _starts_as_dataset(head)


def in_folder(_path: Path, head: bytes) -> bool:
    """True where the file's class is an ECG waveform."""
    return _sop_class(head) in ECG_CLASSES


def read(path: Path, told: Told) -> Iterator[ECG]:
    """The rhythm of a DICOM waveform object.

    Raises:
        ReadError: if the file is damaged, of another class, companded, or states no sensitivity.
    """
    data = elements(path, TAGS)
    groups = data.get("WaveformSequence")
    if not groups:
        uid = data.get("SOPClassUID")
        kind = getattr(uid, "name", None) or "an object of unknown class"
        if (reader := dicom_reader_of(str(uid))) is not None:
            raise NotAnECGError(f"{path.name} is {kind}, not an ECG: read it in Python with {reader}")
        raise NotAnECGError(f"{path.name} is {kind}, which has no waveform: export the ECG as a DICOM waveform")
    notes: list[str] = []
    group = _rhythm(path.name, list(groups), notes)
    names, units, channels = _channels(path.name, group)
    leads = settle_leads(path.name, names, len(channels), told, None, notes)
    keep = ecg_channels(path.name, leads, units, notes)
    stated_fs = _number(group, "SamplingFrequency")
    unstated = [
        fact for fact, isnt in (("fs", stated_fs is None), ("unit", None in map(units.__getitem__, keep))) if isnt
    ]
    check_told(path.name, told, unstated, len(channels))
    fs = settle_fs(path.name, stated_fs, told, None, notes)
    if not 0 < fs <= MAX_FS_HZ:
        raise DamagedFileError(f"{path.name} states a sampling rate of {fs} Hz, which cannot be: correct the file")
    factors = [settle_unit(path.name, units[row], told, None, notes) for row in keep]
    counts = _counts(path, data, group, [channels[row] for row in keep], keep, factors)
    skews = [_skew(channels[row], fs) for row in keep]
    counts = _aligned(counts, skews, [leads[row] for row in keep], notes) if any(skews) else counts
    said = patient_of(data, notes)
    yield ECG(
        counts,
        tuple(leads[row] for row in keep),
        fs,
        derived=tuple(leads[row] for row in keep if is_derived(channels[row])),
        start=start_of(data),
        device=device_of(data),
        source=Source(path, "dicom", (path,)),
        patient=said,
        measured=measured_of(data),
        stated=stated_of(data),
        notes=tuple(dict.fromkeys(notes)),
    )


def _starts_as_dataset(head: bytes) -> bool:
    """Without preamble: a first element of group 2 or 8, explicit or implicit, of a length that can be."""
    if len(head) < 8:
        return False
    group, element, length = struct.unpack("<HHI", head[:8])
    if group == 2 and element == 0:
        return head[4:6] == b"UL"
    if group != 8 or element not in (0x0000, 0x0001, 0x0005, 0x0008, 0x0012, 0x0014, 0x0016):
        return False
    return head[4:6] in (b"UL", b"CS", b"DA", b"UI") or length <= 128


def _sop_class(head: bytes) -> str | None:
    """The class by the file meta information, else by the dataset, from the file's first bytes."""
    match = re.search(rb"\x02\x00\x02\x00UI(..)([\d.]+)", head, re.DOTALL)
    match = match or re.search(rb"\x08\x00\x16\x00(?:UI..|..\x00\x00)()([\d.]+)", head, re.DOTALL)
    return match[2].decode() if match else None


def _number(item: Dataset, keyword: str) -> float | None:
    value = item.get(keyword)
    return None if value is None or value == "" else float(value)


def _seconds(group: Dataset) -> float:
    return int(group.get("NumberOfWaveformSamples") or 0) / (_number(group, "SamplingFrequency") or 1.0)


def _is_averaged(group: Dataset) -> bool:
    """True for an averaged beat: by its label, or derived and short."""
    label = str(group.get("MultiplexGroupLabel") or "").upper()
    derived = str(group.get("WaveformOriginality") or "").upper() == "DERIVED"
    return bool(re.search(r"MEDIAN|AVERAGE|REPRESENTATIVE|TEMPLATE", label)) or (
        derived and _seconds(group) < MIN_RHYTHM_S
    )


def _rhythm(name: str, groups: list[Dataset], notes: list[str]) -> Dataset:
    """The longest group that is no averaged beat, an original before a derived one; the others are noted."""
    rhythms = [group for group in groups if not _is_averaged(group)]
    if not rhythms:
        raise NotAnECGError(f"{name} holds only an averaged beat, no rhythm: export the rhythm as well")

    def rank(group: Dataset) -> tuple[bool, float, int]:
        is_original = str(group.get("WaveformOriginality") or "ORIGINAL").upper() == "ORIGINAL"
        return is_original, _seconds(group), int(group.get("NumberOfWaveformChannels") or 0)

    chosen = max(rhythms, key=rank)
    if not rank(chosen)[0]:
        notes.append("the waveform is marked as derived, not as originally recorded")
    for group in groups:
        if group is not chosen:
            label = group.get("MultiplexGroupLabel") or "unlabelled"
            kind = str(group.get("WaveformOriginality") or "").lower()
            n_leads = group.get("NumberOfWaveformChannels") or 0
            notes.append(f"a further waveform was left out: {label}, {kind}, {n_leads} leads, {_seconds(group):g} s")
    return chosen


def _channels(name: str, group: Dataset) -> tuple[tuple[str, ...], list[str | None], list[Dataset]]:
    """Names, units and definitions of a group's channels."""
    channels = list(group.get("ChannelDefinitionSequence") or [])
    if len(channels) != int(group.get("NumberOfWaveformChannels") or 0) or not channels:
        raise DamagedFileError(f"{name} defines {len(channels)} channels, not as many as it states: export it again")
    check_shape(name, len(channels), int(group.get("NumberOfWaveformSamples") or 0), in_memory=True)
    units: list[str | None] = []
    for channel in channels:
        unit = channel.get("ChannelSensitivityUnitsSequence")
        has_size = _number(channel, "ChannelSensitivity") is not None
        code = str(unit[0].get("CodeValue") or unit[0].get("CodeMeaning") or "") if unit else ""
        units.append(code or None if has_size else None)
    return tuple(lead_name(channel) for channel in channels), units, channels


def _raw(path: Path, data: Dataset, group: Dataset) -> NDArray[np.integer]:
    """The stored integers, (time, channel)."""
    bits, kind = int(group.get("WaveformBitsAllocated") or 0), str(group.get("WaveformSampleInterpretation") or "")
    if kind in COMPANDED:
        raise ReadError(
            f"{path.name} stores {COMPANDED[kind]} companded audio samples, which no ECG is: export it linear"
        )
    if (bits, kind) not in INTEGERS:
        raise DamagedFileError(f"{path.name} states {bits}-bit samples of kind {kind or 'unknown'}: export it again")
    shape = int(group.get("NumberOfWaveformSamples") or 0), int(group.get("NumberOfWaveformChannels") or 0)
    stored = group.get("WaveformData") or b""
    dtype = np.dtype(INTEGERS[bits, kind]).newbyteorder(">" if _is_big_endian(data) else "<")
    needed = shape[0] * shape[1] * dtype.itemsize
    if not needed or len(stored) < needed:
        raise DamagedFileError(
            f"{path.name} is truncated: {len(stored)} bytes of waveform, {needed} stated: copy it again"
        )
    return np.frombuffer(stored, dtype, shape[0] * shape[1]).reshape(shape)


def _is_big_endian(data: Dataset) -> bool:
    meta = getattr(data, "file_meta", None)
    return meta is not None and meta.get("TransferSyntaxUID") == BIG_ENDIAN


def _counts(
    path: Path, data: Dataset, group: Dataset, channels: list[Dataset], keep: list[int], factors: list[float]
) -> Counts:
    """Counts of the kept channels.

    PS3.3 C.10.9.1.4: value = sample × correction factor × sensitivity + baseline, in sensitivity units.
    """
    raw = _raw(path, data, group)
    size = np.ones(len(channels))
    for keyword in ("ChannelSensitivity", "ChannelSensitivityCorrectionFactor"):
        size *= [1.0 if (value := _number(channel, keyword)) is None else value for channel in channels]
    if not np.isfinite(size).all() or (size == 0).any():
        raise DamagedFileError(f"{path.name} states a sensitivity of zero or not finite: correct the file")
    offset = np.array([_number(channel, "ChannelBaseline") or 0.0 for channel in channels])
    padding = group.get("WaveformPaddingValue")
    if isinstance(padding, bytes) and len(padding) >= raw.dtype.itemsize:
        padding = int(np.frombuffer(padding, raw.dtype, 1)[0])
    invalid = (padding,) * len(keep) if isinstance(padding, int) else ()
    values = np.ascontiguousarray(raw[:, keep].T, raw.dtype.newbyteorder("="))
    return Counts(values, (1.0 / np.array(factors)) / size, -offset / size, invalid)


def _skew(channel: Dataset, fs: float) -> float:
    """How many samples after the group's first the channel's first was taken; may be fractional."""
    samples, seconds = _number(channel, "ChannelSampleSkew"), _number(channel, "ChannelTimeSkew")
    return samples if samples is not None else (seconds or 0.0) * fs


def _aligned(counts: Counts, skews: list[float], leads: list[str], notes: list[str]) -> Counts:
    """Every channel moved by its skew in whole samples, "not recorded" at the edge; what remains is noted."""
    gap = np.iinfo(np.int64).min
    values = np.asarray(counts.values[:, :]).astype(np.int64)
    invalid: list[int | None] = list(counts.invalid)
    rests = [skew - round(skew) for skew in skews]
    for row, shift in enumerate(map(round, skews)):
        if shift:
            moved = np.full_like(values[row], gap if invalid[row] is None else invalid[row])
            source = values[row, max(0, -shift) : max(0, values.shape[1] - max(0, shift))]
            moved[max(0, shift) : max(0, shift) + len(source)] = source
            values[row] = moved
            invalid[row] = gap if invalid[row] is None else invalid[row]
    if moved_leads := [lead for lead, skew in zip(leads, skews, strict=True) if round(skew)]:
        notes.append(f"channels were aligned by their stated skew: {', '.join(moved_leads)}")
    if any(rests):
        largest = max(map(abs, rests))
        notes.append(f"a stated skew of up to {largest:.3g} samples between channels remains")
    if not moved_leads:
        return counts
    return Counts(values, counts.gain, counts.baseline, tuple(invalid))
