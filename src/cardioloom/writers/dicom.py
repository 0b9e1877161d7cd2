"""DICOM ECG waveform objects (PS3.3 A.34): 12-lead where its limits hold, else general, else ambulatory ECG."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cardioloom.errors import WriteError
from cardioloom.records import ECG, STANDARD_LEADS
from cardioloom.writers.atomic import replacing
from cardioloom.writers.dicom_samples import Scale, scale_leads, stored_blocks

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

TWELVE_LEAD, GENERAL, AMBULATORY = (f"1.2.840.10008.5.1.4.1.1.9.1.{n}" for n in (1, 2, 3))
MAX_TWELVE_LEAD_SAMPLES = 16384
MAX_ELEMENT_BYTES = (1 << 32) - 2  # of one element
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
# Measurements by the names that they have in records: codes of PS3.16 CID 3229, scheme MDC, and UCUM units by suffix.
CONCEPTS = {"p_axis": 16128, "qrs_axis": 16132, "t_axis": 16136, "pp_interval": 16140, "rr_interval": 16168}
CONCEPTS |= {"pr_interval": 15872, "qrs_duration": 16156, "qt_interval": 16160, "qtc_interval": 15876}
CONCEPTS |= {"p_duration": 16184}
UNITS = {"ms": "ms", "s": "s", "deg": "deg", "uv": "uV", "mv": "mV", "bpm": "/min"}
# How a file ends whose last element is empty samples in a sequence of undefined length (PS3.5 7.5).
DELIMITERS = bytes.fromhex("feff0de000000000 feffdde000000000")
EMPTY_END = bytes.fromhex("00541010") + b"OW\0\0" + bytes(4) + DELIMITERS
# The standard demands a date of acquisition: this one stands for "unknown", and the reader takes it so.
UNKNOWN_START = datetime(1900, 1, 1)


def write(ecg: ECG, path: Path) -> None:
    """Write the ECG as a DICOM waveform without a patient's name or number.

    Counts travel exactly where they fit 16 bits, floats where they are whole at a usual gain. Other leads are rounded
    to the finest step with which 16 bits span their largest value (that value / 32766), which is below 1 µV up to
    32 mV. Measurements of the device travel where their name ends in a unit of `UNITS`, statements up to 1024
    characters each; ``notes`` are about the file that was read and do not travel.

    Raises:
        WriteError: if there are more than 24 leads, the rate is outside 50–1000 Hz, or the samples exceed 4 GiB.
    """
    from pydicom import dcmwrite

    path = Path(path)
    sop_class = _sop_class(ecg)
    leads, padding = scale_leads(ecg)
    data = _dataset(ecg, sop_class, leads, padding)
    with replacing(path) as part:
        dcmwrite(part, data, enforce_file_format=True)
        _fill(part, 2 * ecg.shape[0] * ecg.shape[1], stored_blocks(ecg, leads, padding))


def _fill(part: Path, n_bytes: int, blocks: Iterable[bytes]) -> None:
    """Put the samples into the empty WaveformData at a file's end: pydicom would hold them in memory several times."""
    with part.open("r+b") as file:
        file.seek(-len(EMPTY_END), os.SEEK_END)
        assert file.read() == EMPTY_END
        file.seek(-len(DELIMITERS) - 4, os.SEEK_END)
        file.write(struct.pack("<I", n_bytes))
        for block in blocks:
            file.write(block)
        file.write(DELIMITERS)


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


def _dataset(ecg: ECG, sop_class: str, leads: Sequence[Scale], padding: int | None) -> Dataset:
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
    data.Manufacturer = (ecg.device or "").replace("\\", "/")[:64]
    data.AcquisitionContextSequence = []
    annotations = [_statement(text) for text in ecg.stated] + _measurements(ecg)
    if annotations:
        data.WaveformAnnotationSequence = annotations
    data.WaveformSequence = [_group(ecg, leads, padding)]
    data["WaveformSequence"].is_undefined_length = True
    return data


def _age(years: float) -> str:
    """AS of PS3.5 6.2: whole years, otherwise months up to 999 of them."""
    months = round(years * 12)
    return f"{int(years):03d}Y" if months % 12 == 0 or months > 999 else f"{months:03d}M"


def _group(ecg: ECG, leads: Sequence[Scale], padding: int | None) -> Dataset:
    """The one multiplex group, 16-bit signed; its samples are left empty, at its end."""
    from pydicom.dataset import Dataset
    from pydicom.valuerep import format_number_as_ds

    group = Dataset()
    group.is_undefined_length_sequence_item = True
    group.MultiplexGroupTimeOffset = 0
    group.WaveformOriginality, group.MultiplexGroupLabel = "ORIGINAL", "RHYTHM"
    group.NumberOfWaveformChannels, group.NumberOfWaveformSamples = ecg.shape
    group.SamplingFrequency = format_number_as_ds(ecg.fs)
    group.ChannelDefinitionSequence = [_channel(ecg, row, scale) for row, scale in enumerate(leads)]
    group.WaveformBitsAllocated, group.WaveformSampleInterpretation = 16, "SS"
    if padding is not None:
        group.add_new("WaveformPaddingValue", "OW", struct.pack("<h", padding))
    group.add_new("WaveformData", "OW", b"")
    return group


def _channel(ecg: ECG, row: int, scale: Scale) -> Dataset:
    from pydicom.dataset import Dataset

    lead = ecg.leads[row]
    channel = Dataset()
    channel.ChannelLabel = lead.replace("\\", "/")[:16]
    number = LEAD_CODES.get(lead, 0)
    meaning = f"Lead {lead}" if number else "Unspecified lead"
    channel.ChannelSourceSequence = [_code(f"2:{number}", "MDC", meaning)]
    if lead in ecg.derived:
        channel.ChannelDerivationDescription = "derived from other leads"
    channel.ChannelSensitivity = scale.size
    channel.ChannelSensitivityUnitsSequence = [_code("uV", "UCUM", "microvolt")]
    channel.ChannelSensitivityCorrectionFactor = 1
    channel.ChannelBaseline = scale.offset
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


def _measurements(ecg: ECG) -> list[Dataset]:
    """Annotations of name, number and unit; values whose name ends in no known unit are left out."""
    from pydicom.dataset import Dataset
    from pydicom.valuerep import format_number_as_ds

    items = []
    for key, value in ecg.measured.items():
        name, _, suffix = key.rpartition("_")
        if not name or suffix not in UNITS or not math.isfinite(value):
            continue
        code, scheme = (f"2:{CONCEPTS[name]}", "MDC") if name in CONCEPTS else (name[:16], "99CARDIOLOOM")
        item = Dataset()
        item.ConceptNameCodeSequence = [_code(code, scheme, name.replace("_", " ")[:64])]
        item.NumericValue = format_number_as_ds(float(value))
        item.MeasurementUnitsCodeSequence = [_code(UNITS[suffix], "UCUM", UNITS[suffix])]
        item.ReferencedWaveformChannels = [1, 0]
        item.AnnotationGroupNumber = 1
        items.append(item)
    return items
