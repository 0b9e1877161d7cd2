"""DICOM ECG waveform objects (PS3.3 A.34): 12-lead where its limits hold, else general, else ambulatory ECG."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import WriteError
from cardioloom.records import ECG, STANDARD_LEADS
from cardioloom.writers.atomic import replacing

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

TWELVE_LEAD, GENERAL, AMBULATORY = (f"1.2.840.10008.5.1.4.1.1.9.1.{n}" for n in (1, 2, 3))
MAX_TWELVE_LEAD_SAMPLES = 16384
MAX_ELEMENT_BYTES = (1 << 32) - 2  # of one element
INT16 = np.iinfo(np.int16)
# Codes of PS3.16 CID 3001, scheme MDC; a lead without one is "unspecified" (2:0) and told by its label.
LEAD_CODES = {
    "I": 1,
    "II": 2,
    "III": 61,
    "aVR": 62,
    "aVL": 63,
    "aVF": 64,
    "V8": 66,
    "V9": 67,
    "X": 16,
    "Y": 17,
    "Z": 18,
}
LEAD_CODES |= {f"V{n}": n + 2 for n in range(1, 8)} | {f"V{n}R": n + 8 for n in range(2, 8)}
# The standard demands a date of acquisition: this one stands for "unknown", and the reader takes it so.
UNKNOWN_START = datetime(1900, 1, 1)


def write(ecg: ECG, path: Path) -> None:
    """Write the ECG as a DICOM waveform without a patient's name or number.

    Counts travel exactly where they fit 16 bits. Otherwise each lead is rounded to the finest step with which 16 bits
    span its largest value (its largest value / 32767), which is below 1 µV up to 32 mV. Measurements of the device do
    not travel; statements do.

    Raises:
        WriteError: if there are more than 24 leads, the rate is outside 50–1000 Hz, or the samples exceed 4 GiB.
    """
    from pydicom import dcmwrite

    path = Path(path)
    data = _dataset(ecg, _sop_class(ecg))
    with replacing(path) as part:
        dcmwrite(part, data, enforce_file_format=True)


def _sop_class(ecg: ECG) -> str:
    """The narrowest class whose limits hold (PS3.3 A.34.3, A.34.4, A.34.5)."""
    n_leads, n_samples = ecg.shape
    if 2 * n_leads * n_samples > MAX_ELEMENT_BYTES:
        raise WriteError(
            f"{n_leads} × {n_samples} samples exceed the 4 GiB of a DICOM element: write WFDB, or split it"
        )
    if 200 <= ecg.fs <= 1000 and n_leads <= 24:
        is_twelve = set(ecg.leads) <= set(STANDARD_LEADS) and n_samples <= MAX_TWELVE_LEAD_SAMPLES
        return TWELVE_LEAD if is_twelve else GENERAL
    if 50 <= ecg.fs <= 1000 and n_leads <= 12:
        return AMBULATORY
    raise WriteError(
        f"{n_leads} leads at {ecg.fs:g} Hz fit no DICOM ECG (up to 24 leads at 200–1000 Hz, 12 at 50–1000 Hz): "
        "write WFDB or NPZ"
    )


def _dataset(ecg: ECG, sop_class: str) -> Dataset:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SpecificCharacterSet = "ISO_IR 192"
    data.SOPClassUID, data.SOPInstanceUID = sop_class, generate_uid()
    data.StudyInstanceUID, data.SeriesInstanceUID = generate_uid(), generate_uid()
    data.Modality, data.SeriesNumber, data.InstanceNumber = "ECG", 1, 1
    start = ecg.start or UNKNOWN_START
    data.AcquisitionDateTime = start.strftime("%Y%m%d%H%M%S.%f%z")
    data.StudyDate = data.ContentDate = start.strftime("%Y%m%d")
    data.StudyTime = data.ContentTime = start.strftime("%H%M%S.%f")
    # Type 2 elements: present, and empty where nothing is known or nothing may be told.
    for keyword in ("AccessionNumber", "ReferringPhysicianName", "StudyID", "PatientName", "PatientID"):
        setattr(data, keyword, "")
    data.PatientBirthDate, data.PatientSex = "", str(ecg.patient.get("sex", ""))
    if "age" in ecg.patient:
        data.PatientAge = _age(float(ecg.patient["age"]))
    data.Manufacturer = (ecg.device or "")[:64]
    data.AcquisitionContextSequence = []
    data.WaveformSequence = [_group(ecg)]
    if ecg.stated:
        data.WaveformAnnotationSequence = [_statement(text) for text in ecg.stated]
    return data


def _age(years: float) -> str:
    """AS of PS3.5 6.2: whole years, months below two years."""
    return f"{int(years):03d}Y" if years >= 2 else f"{round(years * 12):03d}M"


def _group(ecg: ECG) -> Dataset:
    """The one multiplex group, 16-bit signed."""
    from pydicom.dataset import Dataset
    from pydicom.valuerep import format_number_as_ds

    values, size_uv, offset_uv, padding = _quantised(ecg)
    group = Dataset()
    group.MultiplexGroupTimeOffset = 0
    group.WaveformOriginality, group.MultiplexGroupLabel = "ORIGINAL", "RHYTHM"
    group.NumberOfWaveformChannels, group.NumberOfWaveformSamples = ecg.shape
    group.SamplingFrequency = format_number_as_ds(ecg.fs)
    group.ChannelDefinitionSequence = [
        _channel(lead, size, offset) for lead, size, offset in zip(ecg.leads, size_uv, offset_uv, strict=True)
    ]
    group.WaveformBitsAllocated, group.WaveformSampleInterpretation = 16, "SS"
    if padding is not None:
        group.add_new("WaveformPaddingValue", "OW", np.array(padding, "<i2").tobytes())
    group.add_new("WaveformData", "OW", np.ascontiguousarray(values.T, "<i2").tobytes())
    return group


def _channel(lead: str, size_uv: str, offset_uv: str) -> Dataset:
    from pydicom.dataset import Dataset

    channel = Dataset()
    channel.ChannelLabel = lead[:16]
    number = LEAD_CODES.get(lead, 0)
    meaning = f"Lead {lead}" if number else "Unspecified lead"
    channel.ChannelSourceSequence = [_code(f"2:{number}", "MDC", meaning)]
    channel.ChannelSensitivity = size_uv
    channel.ChannelSensitivityUnitsSequence = [_code("uV", "UCUM", "microvolt")]
    channel.ChannelSensitivityCorrectionFactor = 1
    channel.ChannelBaseline = offset_uv
    channel.ChannelSampleSkew = 0
    channel.WaveformBitsStored = 16
    return channel


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    from pydicom.dataset import Dataset

    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _statement(text: str) -> Dataset:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.UnformattedTextValue = text[:1024]
    item.ReferencedWaveformChannels = [1, 0]
    item.AnnotationGroupNumber = 0
    return item


def _quantised(ecg: ECG) -> tuple[NDArray[np.int64], list[str], list[str], int | None]:
    """Integers of 16 bits (lead, time), µV per count and µV at count 0 as decimal strings, and the padding count."""
    from pydicom.valuerep import format_number_as_ds

    kept = _as_counts(ecg)
    if kept is not None:
        values, padding = kept
        counts = ecg.counts
        assert counts is not None
        size, offset = 1e3 / counts.gain, -1e3 * counts.baseline / counts.gain
        return (
            values,
            [*map(format_number_as_ds, map(float, size))],
            [*map(format_number_as_ds, map(float, offset))],
            padding,
        )
    signal = ecg.signal.astype(np.float64) * 1e3
    gaps = np.isnan(signal)
    largest = np.nanmax(np.abs(np.where(gaps, 0.0, signal)), axis=1)
    # Rounded up to what a decimal string holds, so that the largest value stays within 16 bits.
    sizes = [format_number_as_ds(float(f"{peak / INT16.max * (1 + 1e-9):.10g}") or 1.0) for peak in largest]
    values = np.rint(np.where(gaps, 0.0, signal) / np.array([float(size) for size in sizes])[:, None]).astype(np.int64)
    values[gaps] = INT16.min
    return values, sizes, ["0"] * len(sizes), int(INT16.min) if gaps.any() else None


def _as_counts(ecg: ECG) -> tuple[NDArray[np.int64], int | None] | None:
    """The recorder's integers and a padding count, or None where they do not fit 16 bits."""
    counts = ecg.counts
    if counts is None:
        return None
    values = np.asarray(counts.values[:, :]).astype(np.int64)
    gaps = np.zeros(values.shape, bool)
    for row, invalid in enumerate(counts.invalid):
        if invalid is not None:
            gaps[row] = values[row] == invalid
    used = values[~gaps]
    if used.size and (used.min() < INT16.min or used.max() > INT16.max):
        return None
    if not gaps.any():
        return values, None
    free = next((count for count in (INT16.min, INT16.max) if not (used == count).any()), None)
    if free is None:
        return None
    values[gaps] = free
    return values, int(free)
