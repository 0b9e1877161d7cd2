"""DICOM: what is written is a complete object that pydicom reads without a warning, with the same integers."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cardioloom.errors import MissingFactError, NotAnECGError, WriteError
from cardioloom.readers import read
from cardioloom.records import ECG, STANDARD_LEADS, Counts
from cardioloom.writers import write
from synthetic import ecg as synthetic_ecg

# Types 1 and 2 of the modules of PS3.3 A.34.3: 12-lead ECG.
REQUIRED = [
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "Modality",
    "InstanceNumber",
    "ContentDate",
    "ContentTime",
    "AcquisitionDateTime",
    "WaveformSequence",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
    "SeriesNumber",
    "Manufacturer",
    "AcquisitionContextSequence",
]
REQUIRED_OF_GROUP = [
    "WaveformOriginality",
    "NumberOfWaveformChannels",
    "NumberOfWaveformSamples",
    "SamplingFrequency",
    "ChannelDefinitionSequence",
    "WaveformBitsAllocated",
    "WaveformSampleInterpretation",
    "WaveformData",
    "MultiplexGroupTimeOffset",
]
REQUIRED_OF_CHANNEL = [
    "ChannelSourceSequence",
    "WaveformBitsStored",
    "ChannelSensitivity",
    "ChannelSensitivityUnitsSequence",
    "ChannelSensitivityCorrectionFactor",
    "ChannelBaseline",
    "ChannelSampleSkew",
]


def record(values: np.ndarray, gain: float = 200.0, **more: object) -> ECG:
    n = len(values)
    counts = Counts(values, np.full(n, gain), np.full(n, 12.0), more.pop("invalid", ()))  # type: ignore[arg-type]
    return ECG(counts, STANDARD_LEADS[:n], 500, **more)  # type: ignore[arg-type]


def test_the_object_is_complete_and_names_nobody(tmp_path: Path):
    ecg = synthetic_ecg()
    write(ecg, tmp_path / "a.dcm")
    data = pydicom.dcmread(tmp_path / "a.dcm")
    assert data.SOPClassUID.name == "12-lead ECG Waveform Storage"
    assert data.file_meta.MediaStorageSOPClassUID == data.SOPClassUID
    assert [keyword for keyword in REQUIRED if keyword not in data] == []
    [group] = data.WaveformSequence
    assert [keyword for keyword in REQUIRED_OF_GROUP if group.get(keyword) is None] == []
    for channel in group.ChannelDefinitionSequence:
        assert [keyword for keyword in REQUIRED_OF_CHANNEL if channel.get(keyword) is None] == []
    codes = [channel.ChannelSourceSequence[0].CodeValue for channel in group.ChannelDefinitionSequence]
    assert codes == [f"2:{n}" for n in (1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8)]
    assert (data.PatientName, data.PatientID, data.PatientBirthDate) == ("", "", "")
    assert len({data.SOPInstanceUID, data.SeriesInstanceUID, data.StudyInstanceUID}) == 3
    foreign = data.waveform_array(0).T / 1000
    assert np.abs(foreign - ecg.signal).max() < 1e-4
    [back] = read(tmp_path / "a.dcm")
    assert (back.leads, back.fs, back.start, back.notes) == (ecg.leads, ecg.fs, None, ())


@settings(max_examples=50, deadline=None)
@given(
    values=arrays.arrays(np.int32, (2, 20), elements=st.integers(-32767, 32767)),
    gain=st.sampled_from([200.0, 1000.0, 204.8, 1000 / 4.88, 1000 / 1.25, 409.6, 65536 / 10, 1e6 / 3]),
    gaps=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 19)), max_size=5),
)
def test_counts_travel(
    tmp_path_factory: pytest.TempPathFactory, values: np.ndarray, gain: float, gaps: list[tuple[int, int]]
):
    path = tmp_path_factory.mktemp("dicom") / "a.dcm"
    nothing = -(1 << 31)
    for row, column in gaps:
        values[row, column] = nothing
    ecg = record(values, gain, invalid=(nothing, nothing))
    write(ecg, path)
    [back] = read(path)
    assert back.counts is not None
    kept = values != nothing
    assert np.array_equal(back.counts.values[:, :][kept], values[kept])
    assert back.counts.gain == pytest.approx(np.full(2, gain), rel=1e-12)
    assert back.counts.baseline == pytest.approx(np.full(2, 12.0), rel=1e-9)
    assert np.array_equal(np.isnan(back.signal), ~kept)
    assert back.signal[kept] == pytest.approx(ecg.signal[kept], rel=1e-6, abs=1e-9)


def test_wide_counts_are_rounded_to_the_finest_step(tmp_path: Path):
    values = np.arange(20, dtype=np.int32)[None] * 10000
    ecg = record(values, 1e5)
    write(ecg, tmp_path / "a.dcm")
    [back] = read(tmp_path / "a.dcm")
    step = np.abs(ecg.signal).max() / 32767
    assert np.abs(back.signal - ecg.signal).max() <= step


@settings(max_examples=50, deadline=None)
@given(
    signal=arrays.arrays(
        np.float32, (2, 20), elements=st.one_of(st.floats(-100, 100, width=32), st.just(np.float32("nan")))
    )
)
def test_floats_are_rounded_to_the_finest_step(tmp_path_factory: pytest.TempPathFactory, signal: np.ndarray):
    path = tmp_path_factory.mktemp("dicom") / "a.dcm"
    write(ECG(signal, ("I", "MLII"), 500), path)
    if np.isnan(signal).all():
        with pytest.raises(NotAnECGError):
            list(read(path))
        return
    [back] = read(path)
    assert back.leads == ("I", "MLII")
    assert np.array_equal(np.isnan(back.signal), np.isnan(signal))
    for row, found in zip(signal, back.signal, strict=True):
        known = ~np.isnan(row)
        peak = np.abs(row[known]).max(initial=0)
        assert np.abs(found[known] - row[known]).max(initial=0) <= 0.5001 * peak / 32767 + 1e-7 * peak


@pytest.mark.parametrize(
    ("leads", "n", "fs", "name"),
    [
        (STANDARD_LEADS, 5000, 500, "12-lead ECG Waveform Storage"),
        (("I", "II"), 5000, 500, "12-lead ECG Waveform Storage"),
        (STANDARD_LEADS, 16385, 500, "General ECG Waveform Storage"),
        ((*STANDARD_LEADS, "X", "Y", "Z"), 500, 1000, "General ECG Waveform Storage"),
        (("MLII", "V5"), 500, 128, "Ambulatory ECG Waveform Storage"),
    ],
)
def test_the_class_fits_the_record(tmp_path: Path, leads: tuple[str, ...], n: int, fs: float, name: str):
    write(ECG(np.zeros((len(leads), n), np.float32), leads, fs), tmp_path / "a.dcm")
    assert pydicom.dcmread(tmp_path / "a.dcm").SOPClassUID.name == name
    assert next(read(tmp_path / "a.dcm")).leads == leads


@pytest.mark.parametrize(("n_leads", "fs"), [(25, 500), (13, 100), (2, 20), (2, 2000)])
def test_what_no_class_holds_is_refused(tmp_path: Path, n_leads: int, fs: float):
    ecg = ECG(np.zeros((n_leads, 100), np.float32), tuple(f"lead {n}" for n in range(n_leads)), fs)
    with pytest.raises(WriteError, match="fit no DICOM ECG"):
        write(ecg, tmp_path / "a.dcm")
    assert list(tmp_path.iterdir()) == []


def test_facts_travel(tmp_path: Path):
    more = {"patient": {"age": 1.5, "sex": "F"}, "start": datetime(2020, 1, 2, 3, 4, 5, 678000), "device": "Recorder 3"}
    ecg = record(np.arange(24).reshape(12, 2), stated=("sinus rhythm — normal", "ECG"), **more)
    write(ecg, tmp_path / "a.dcm")
    [back] = read(tmp_path / "a.dcm")
    assert (back.patient, back.start, back.device, back.stated) == (ecg.patient, ecg.start, ecg.device, ecg.stated)
    assert (back.measured, back.derived) == ({}, ())


@pytest.mark.parametrize("age", [0.0, 0.25, 1.0, 2.0, 61.5, 89.0, 130.0])
def test_ages_travel(tmp_path: Path, age: float):
    write(record(np.arange(24).reshape(12, 2), patient={"age": age}), tmp_path / "a.dcm")
    assert next(read(tmp_path / "a.dcm")).patient == {"age": age}


def test_measurements_and_derived_leads_travel(tmp_path: Path):
    measured = {"heart_rate_bpm": 61.5, "qrs_duration_ms": 98.0, "qrs_axis_deg": 0.0, "j_point_uv": -12.5}
    values = np.array([[0, 100, -50, 7], [10, -20, 30, 8], *[[1, 2, 3, 4]] * 6], np.int16)
    leads = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
    ecg = ECG(Counts(values, np.full(8, 200.0), np.zeros(8)), leads, 500, measured=measured).with_derived_leads()
    write(replace(ecg, measured={**measured, "no unit": 3.0}), tmp_path / "a.dcm")
    [back] = read(tmp_path / "a.dcm")
    assert back.measured == measured
    assert back.derived == ecg.derived == ("III", "aVR", "aVL", "aVF")
    assert np.array_equal(back.signal, ecg.signal)
    names = [
        item.ConceptNameCodeSequence[0].CodeValue
        for item in pydicom.dcmread(tmp_path / "a.dcm").WaveformAnnotationSequence
    ]
    assert names[1:3] == ["2:16156", "2:16132"]


@pytest.mark.parametrize("gain", [1000, 200, 1024])
def test_floats_that_are_whole_counts_travel_exactly(tmp_path: Path, gain: int):
    signal = (np.random.default_rng(0).integers(-3000, 3000, (2, 500)) / gain).astype(np.float32)
    signal[1, 7:9] = np.nan
    write(ECG(signal, ("I", "V2"), 500), tmp_path / "a.dcm")
    assert np.array_equal(next(read(tmp_path / "a.dcm")).signal, signal, equal_nan=True)


def test_one_wide_lead_costs_the_others_nothing(tmp_path: Path):
    values = np.array([[-40000, 40000, 0, 1], [-32768, 32767, 5, 6], [9, -9, 32767, 4]], np.int32)
    ecg = record(values, invalid=(None, 5, None))
    write(ecg, tmp_path / "a.dcm")
    [back] = read(tmp_path / "a.dcm")
    assert back.counts is not None
    assert np.array_equal(back.counts.values[2:, :], values[2:])
    assert np.array_equal(np.isnan(back.signal), np.isnan(ecg.signal))
    assert np.nanmax(np.abs(back.signal - ecg.signal)) <= 200.06 / 32766


class Wave:
    """Counts of two hours of twelve leads that are in no memory."""

    shape, dtype = (12, 1_800_000), np.dtype(np.int16)

    def __getitem__(self, key: tuple[slice, slice], /) -> np.ndarray:
        rows, times = (range(size)[part] for size, part in zip(self.shape, key, strict=True))
        return (np.arange(times.start, times.stop)[None] % 3000 + np.array(rows)[:, None]).astype(np.int16)


def test_long_records_are_written_in_blocks(tmp_path: Path):
    ecg = ECG(Counts(Wave(), np.full(12, 200.0), np.zeros(12)), STANDARD_LEADS, 250)
    tracemalloc.start()
    write(ecg, tmp_path / "a.dcm")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * 12 * 1_800_000
    [back] = read(tmp_path / "a.dcm")
    assert back.counts is not None
    assert np.array_equal(back.counts.values[:, 1_700_000:], Wave()[:, 1_700_000:1_800_000])


def test_the_sample_comes_back(shared: Path, tmp_path: Path):
    [ecg] = read(shared / "data/formats/dicom_waveform_pydicom/waveform_ecg.dcm")
    write(ecg, tmp_path / "a.dcm")
    [back] = read(tmp_path / "a.dcm")
    assert ecg.counts is not None
    assert back.counts is not None
    assert np.array_equal(back.counts.values[:, :], ecg.counts.values[:, :])
    assert np.array_equal(back.signal, ecg.signal)
    foreign = pydicom.dcmread(tmp_path / "a.dcm").waveform_array(0).T / 1000
    assert np.array_equal(foreign.astype(np.float32), ecg.signal)


def test_every_missing_fact_is_asked_at_once(tmp_path: Path):
    write(record(np.arange(24).reshape(12, 2)), tmp_path / "a.dcm")
    data = pydicom.dcmread(tmp_path / "a.dcm")
    del data.WaveformSequence[0].SamplingFrequency
    for channel in data.WaveformSequence[0].ChannelDefinitionSequence:
        del channel.ChannelSensitivity
    data.save_as(tmp_path / "a.dcm")
    with pytest.raises(MissingFactError, match=r"no sampling rate and no unit: give them with --fs HZ --unit mV"):
        list(read(tmp_path / "a.dcm"))
