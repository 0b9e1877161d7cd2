"""DICOM waveform objects against pydicom's own decoder and objects built element by element."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from cardioloom.errors import CardioloomError, DamagedFileError, LimitError, MissingFactError, NotAnECGError, ReadError
from cardioloom.readers import find, read, sniff
from cardioloom.readers.told import Told

SAMPLE = "data/formats/dicom_waveform_pydicom/waveform_ecg.dcm"
KINDS = {"SB": "i1", "UB": "u1", "SS": "<i2", "US": "<u2", "SL": "<i4", "UL": "<u4"}


def code(value: str, scheme: str, meaning: str = "") -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def channel(value: str = "2:1", *, sensitivity: float | None = 5, unit: str | None = "uV", **more: object) -> Dataset:
    item = Dataset()
    item.ChannelSourceSequence = [code(value, "MDC", str(more.pop("meaning", "")))]
    if sensitivity is not None:
        item.ChannelSensitivity = sensitivity
        item.ChannelSensitivityCorrectionFactor = more.pop("correction", 1)
        item.ChannelBaseline = more.pop("baseline", 0)
    if unit is not None:
        item.ChannelSensitivityUnitsSequence = [code(unit, "UCUM")]
    for keyword, content in more.items():
        setattr(item, keyword, content)
    return item


def group(values: np.ndarray, channels: list[Dataset], kind: str = "SS", fs: float = 500, **more: object) -> Dataset:
    """``values``: (time, channel)."""
    item = Dataset()
    item.NumberOfWaveformSamples, item.NumberOfWaveformChannels = values.shape
    item.SamplingFrequency, item.ChannelDefinitionSequence = fs, channels
    dtype = np.dtype(KINDS.get(kind, "i1"))
    item.WaveformBitsAllocated, item.WaveformSampleInterpretation = 8 * dtype.itemsize, kind
    vr = "OB" if dtype.itemsize == 1 else "OW"
    padding = more.pop("padding", None)
    if padding is not None:
        item.add_new("WaveformPaddingValue", vr, np.array(padding, dtype).tobytes())
    item.add_new("WaveformData", vr, values.astype(dtype).tobytes())
    for keyword, content in more.items():
        setattr(item, keyword, content)
    return item


def save(path: Path, groups: list[Dataset], syntax: str = ExplicitVRLittleEndian, **more: object) -> Path:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.SOPClassUID, data.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.9.1.2", "1.2.3.4"
    if groups:
        data.WaveformSequence = groups
    for keyword, content in more.items():
        setattr(data, keyword, content)
    data.save_as(path, enforce_file_format=True)
    return path


def wave(n_channels: int = 2, n: int = 2000) -> np.ndarray:
    return (np.arange(n * n_channels).reshape(n, n_channels) * 3) % 200 - 100


def test_sample_equals_the_oracle_and_pydicom(shared: Path):
    path = shared / SAMPLE
    oracle = json.loads(Path(f"{path}.oracle.json").read_text())
    [ecg] = read(path)
    for row, name in zip(ecg.signal, oracle["lead_names"], strict=True):
        assert row[:5] == pytest.approx(oracle["leads"][name]["first5"], abs=1e-6)
        assert [row.min(), row.max()] == pytest.approx([oracle["leads"][name][key] for key in ("min", "max")], abs=1e-6)
    foreign = pydicom.dcmread(path).waveform_array(0).T / 1000
    assert np.array_equal(ecg.signal, foreign.astype(np.float32))
    assert (ecg.fs, ecg.shape, ecg.leads[:4]) == (1000.0, (12, 10000), ("I", "II", "III", "aVR"))


def test_sample_tells_its_facts(shared: Path):
    [ecg] = read(shared / SAMPLE)
    assert ecg.patient == {"age": 42.0, "sex": "F"}
    assert ecg.start == datetime(2013, 1, 25, 10, 59, 19)
    assert ecg.device == "Mortara Instrument, Inc. el250"
    assert ecg.stated == ("RITMO SINUSALE", "ECG NORMALE")
    expected = {"pr_interval_ms": 161, "qrs_duration_ms": 75, "qt_interval_ms": 368, "qrs_axis_deg": 52}
    assert expected.items() <= ecg.measured.items()
    assert "pp_interval_ms" not in ecg.measured  # the device wrote 0
    assert ecg.notes == ("a further waveform was left out: MEDIAN BEAT, derived, 12 leads, 1.2 s",)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("kind", KINDS)
def test_every_integer_kind(tmp_path: Path, kind: str, syntax: str):
    values = wave() % 100 if kind.startswith("U") else wave()
    channels = [
        channel("2:1", sensitivity=2.5, correction=1.5, baseline=30),
        channel("2:2", sensitivity=0.01, unit="mV"),
    ]
    path = save(tmp_path / "a.dcm", [group(values, channels, kind)], syntax)
    [ecg] = read(path)
    assert ecg.counts is not None
    assert np.array_equal(ecg.counts.values[:, :], values.T)
    foreign = pydicom.dcmread(path).waveform_array(0).T * [[1e-3], [1.0]]
    assert ecg.signal == pytest.approx(foreign, abs=1e-6)


def test_big_endian(tmp_path: Path):
    item = group(wave(), [channel(), channel("2:2")])
    item["WaveformData"].value = wave().astype(">i2").tobytes()
    [ecg] = read(save(tmp_path / "a.dcm", [item], ExplicitVRBigEndian))
    assert ecg.counts is not None
    assert np.array_equal(ecg.counts.values[:, :], wave().T)


def test_padding_is_not_recorded(tmp_path: Path):
    values = wave()
    values[5:9, 1] = -32768
    [ecg] = read(save(tmp_path / "a.dcm", [group(values, [channel(), channel("2:2")], padding=-32768)]))
    assert np.isnan(ecg.signal).sum() == 4
    assert np.isnan(ecg.signal[1, 5:9]).all()


def test_skew_aligns_channels(tmp_path: Path):
    values = wave(4)
    channels = [
        channel(ChannelSampleSkew=0),
        channel("2:2", ChannelSampleSkew=3),
        channel("2:3", ChannelTimeSkew=-0.004),
        channel("2:4", ChannelSampleSkew=0.25),
    ]
    [ecg] = read(save(tmp_path / "a.dcm", [group(values, channels)]))
    mv = values.T * 0.005
    assert ecg.signal[0] == pytest.approx(mv[0])
    assert np.isnan(ecg.signal[1, :3]).all()
    assert ecg.signal[1, 3:] == pytest.approx(mv[1, :-3])
    assert ecg.signal[2, :-2] == pytest.approx(mv[2, 2:])
    assert np.isnan(ecg.signal[2, -2:]).all()
    assert ecg.signal[3] == pytest.approx(mv[3])
    assert any("aligned by their stated skew: II, V1" in note for note in ecg.notes)
    assert any("0.25 samples" in note for note in ecg.notes)


def test_the_longest_original_group_is_taken(tmp_path: Path):
    one = [channel()]
    groups = [
        group(wave(1, 9000), one, WaveformOriginality="DERIVED", MultiplexGroupLabel="FILTERED"),
        group(wave(1, 600), one, WaveformOriginality="ORIGINAL", MultiplexGroupLabel="MEDIAN BEAT"),
        group(wave(1, 3000), one, WaveformOriginality="ORIGINAL", MultiplexGroupLabel="RHYTHM"),
        group(wave(1, 2000), one, WaveformOriginality="ORIGINAL"),
    ]
    [ecg] = read(save(tmp_path / "a.dcm", groups))
    assert ecg.shape == (1, 3000)
    assert len(ecg.notes) == 3
    [ecg] = read(save(tmp_path / "b.dcm", groups[:2]))
    assert ecg.shape == (1, 9000)
    assert "marked as derived" in ecg.notes[0]
    with pytest.raises(NotAnECGError, match="averaged beat"):
        list(read(save(tmp_path / "c.dcm", groups[1:2])))


def test_channel_names_in_every_scheme(tmp_path: Path):
    channels = [
        channel("5.6.3-9-64"),
        channel("131134"),  # context-free 2:62
        channel("MDC_ECG_LEAD_V3"),
        channel("99", meaning="Lead V5 (chest)"),
        channel("2:0", meaning="Unspecified lead", ChannelLabel="MLII"),
        channel("2:12"),
    ]
    [ecg] = read(save(tmp_path / "a.dcm", [group(wave(6), channels)]))
    assert ecg.leads == ("aVF", "aVR", "V3", "V5", "MLII", "V4R")


def test_other_channels_are_left_out(tmp_path: Path):
    channels = [channel("109-1", unit="mm[Hg]", meaning="Aortic pressure"), channel("2:2")]
    [ecg] = read(save(tmp_path / "a.dcm", [group(wave(), channels)]))
    assert ecg.leads == ("II",)
    assert "Aortic pressure" in ecg.notes[0]
    with pytest.raises(NotAnECGError, match="no usable ECG lead"):
        list(read(save(tmp_path / "b.dcm", [group(wave(1), channels[:1])])))


def test_missing_sensitivity_must_be_told(tmp_path: Path):
    path = save(tmp_path / "a.dcm", [group(wave(1), [channel(sensitivity=None, unit=None)])])
    with pytest.raises(MissingFactError, match="--unit"):
        list(read(path))
    [ecg] = read(path, Told(unit="uV"))
    assert ecg.signal == pytest.approx(wave(1).T / 1000)


@pytest.mark.parametrize(
    ("more", "age", "start"),
    [
        (
            {"PatientAge": "018M", "AcquisitionDateTime": "20200131235959.5+0200"},
            1.5,
            datetime(2020, 1, 31, 23, 59, 59, 500000, timezone(timedelta(hours=2))),
        ),
        ({"PatientAge": "010D"}, 0.027, None),
        (
            {"PatientBirthDate": "19500601", "ContentDate": "20200531", "ContentTime": "080000"},
            69.0,
            datetime(2020, 5, 31, 8),
        ),
        ({"PatientAge": "xyz", "AcquisitionDateTime": "19000101000000", "PatientSex": "O"}, None, None),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR AS")
def test_age_and_start(tmp_path: Path, more: dict[str, str], age: float | None, start: datetime | None):
    [ecg] = read(save(tmp_path / "a.dcm", [group(wave(1), [channel()])], **more))
    assert (ecg.patient.get("age"), ecg.start, ecg.patient.get("sex")) == (age, start, None)


def test_coded_statements_and_beat_marks(tmp_path: Path):
    statement, mark = Dataset(), Dataset()
    statement.ConceptNameCodeSequence, statement.ConceptCodeSequence = (
        [code("a", "b", "Interpretation")],
        [code("c", "d", "Sinus rhythm")],
    )
    mark.UnformattedTextValue, mark.TemporalRangeType, mark.ReferencedSamplePositions = "N", "POINT", [5]
    [ecg] = read(save(tmp_path / "a.dcm", [group(wave(1), [channel()])], WaveformAnnotationSequence=[statement, mark]))
    assert ecg.stated == ("Sinus rhythm",)


def test_a_file_without_preamble(shared: Path, tmp_path: Path):
    whole = (shared / SAMPLE).read_bytes()
    path = tmp_path / "ecg"
    path.write_bytes(whole[whole.index(b"\x08\x00\x05\x00CS") :])
    assert sniff(path) == "dicom"
    assert find(tmp_path) == [path]
    assert np.array_equal(next(read(path)).signal, next(read(shared / SAMPLE)).signal)


def test_other_objects(tmp_path: Path):
    path = save(tmp_path / "a.dcm", [], SOPClassUID="1.2.840.10008.5.1.4.1.1.2")
    assert sniff(path) == "dicom"
    with pytest.raises(NotAnECGError, match=r"CT Image Storage, which has no waveform"):
        list(read(path))
    save(tmp_path / "b.dcm", [group(wave(1), [channel()])])
    assert [file.name for file in find(tmp_path)] == ["b.dcm"]


def damaged(change: Callable[[Dataset], object]) -> Dataset:
    item = group(wave(), [channel(), channel("2:2")])
    change(item)
    return item


@pytest.mark.parametrize(
    ("item", "error", "text"),
    [
        (damaged(lambda g: setattr(g["WaveformData"], "value", b"")), DamagedFileError, "truncated"),
        (damaged(lambda g: setattr(g["WaveformData"], "value", bytes(100))), DamagedFileError, "100 bytes of waveform"),
        (damaged(lambda g: setattr(g, "NumberOfWaveformSamples", 0)), DamagedFileError, "truncated"),
        (damaged(lambda g: setattr(g, "WaveformSampleInterpretation", "MB")), ReadError, "µ-law"),
        (damaged(lambda g: setattr(g, "WaveformSampleInterpretation", "XX")), DamagedFileError, "kind XX"),
        (damaged(lambda g: setattr(g, "NumberOfWaveformChannels", 3)), DamagedFileError, "defines 2 channels"),
        (damaged(lambda g: setattr(g, "SamplingFrequency", 0)), DamagedFileError, "cannot be"),
        (damaged(lambda g: g.pop("SamplingFrequency")), MissingFactError, "--fs"),
        (damaged(lambda g: setattr(g, "NumberOfWaveformSamples", 1 << 31)), LimitError, "samples a lead"),
        (damaged(lambda g: setattr(g.ChannelDefinitionSequence[0], "ChannelSensitivity", 0)), DamagedFileError, "zero"),
    ],
)  # fmt: skip
def test_damage_is_told_in_a_sentence(tmp_path: Path, item: Dataset, error: type[Exception], text: str):
    with pytest.raises(error, match=text):
        list(read(save(tmp_path / "a.dcm", [item])))


def test_reading_does_not_wait_for_pydicom_to_be_imported():
    program = "import sys, cardioloom.readers.dicom; sys.exit('pydicom' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_truncation_or_flip_is_refused_or_read(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    folder = tmp_path_factory.mktemp("dicom")
    whole = bytearray(save(folder / "a.dcm", [group(wave(2, 30), [channel(), channel("2:2")])]).read_bytes())
    if data.draw(st.booleans()):
        del whole[data.draw(st.integers(0, len(whole) - 1)) :]
    else:
        for _ in range(3):
            whole[data.draw(st.integers(132, len(whole) - 1))] = data.draw(st.integers(0, 255))
    (folder / "b.dcm").write_bytes(whole)
    try:
        [ecg] = read(folder / "b.dcm")
    except CardioloomError:
        return
    assert ecg.shape[0] >= 1


def test_a_value_representation_that_nobody_knows_is_damage(tmp_path: Path):
    """pydicom raises NotImplementedError for it; a byte or two of an explicit header are enough."""
    whole = Path(get_testdata_file("waveform_ecg.dcm", download=False)).read_bytes()
    at = whole.index(bytes.fromhex("3a000500") + b"US")  # NumberOfWaveformChannels
    path = tmp_path / "odd.dcm"
    path.write_bytes(whole[: at + 4] + b"QQ" + whole[at + 6 :])
    with pytest.raises(DamagedFileError, match=r"odd\.dcm is a damaged DICOM file \(Unknown Value Representation 'QQ'"):
        list(read(path))
