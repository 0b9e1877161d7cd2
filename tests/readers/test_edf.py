"""EDF, EDF+ and BDF against independent values, a foreign writer and damaged files."""

from __future__ import annotations

import json
import threading
from datetime import datetime
from pathlib import Path

import numpy as np
import pyedflib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardioloom.errors import CardioloomError, DamagedFileError, MissingFactError, NotAnECGError, ReadError
from cardioloom.readers import edf, read, sniff
from cardioloom.readers.told import Told

FILES = ("edf_contec_GPL3/0000050.ECG.edf", "edf_plus_CONSTRUCTED/ptb_s0010_10s.edf", "bdf_pyedflib/test_generator.bdf")


def make(path: Path, signals: list[tuple[str, str, int, np.ndarray]], **header: object) -> Path:
    """A file by pyedflib: (label, unit, rate, digital values) a signal."""
    kind = pyedflib.FILETYPE_BDFPLUS if path.suffix == ".bdf" else pyedflib.FILETYPE_EDFPLUS
    limit = 8388607 if path.suffix == ".bdf" else 32767
    with pyedflib.EdfWriter(str(path), len(signals), file_type=kind) as file:
        for n, (label, unit, rate, _) in enumerate(signals):
            file.setSignalHeader(
                n,
                {
                    "label": label,
                    "dimension": unit,
                    "sample_frequency": rate,
                    "physical_max": 5.0,
                    "physical_min": -3.0,
                    "digital_max": limit,
                    "digital_min": -limit - 1,
                    "prefilter": "",
                    "transducer": "",
                },
            )
        if header:
            file.setHeader(header)
        file.writeSamples([values.astype(np.int32) for *_, values in signals], digital=True)
    return path


def ramp(rate: int, seconds: int = 4, step: int = 3) -> np.ndarray:
    return (np.arange(rate * seconds) * step) % 20000 - 10000


@pytest.mark.parametrize("name", FILES)
def test_every_channel_equals_the_oracle(shared: Path, name: str):
    path = shared / "data/formats" / name
    oracle = json.loads(Path(f"{path}.oracle.json").read_text())
    decoded = edf.decode(path)
    assert [channel.label for channel, _ in decoded] == oracle["lead_names"]
    for (channel, digital), fs in zip(decoded, oracle.get("sampling_rates_hz", [1000.0] * 15), strict=True):
        expected = oracle["leads"][channel.label]
        physical = (digital - channel.baseline) / channel.gain
        assert (channel.fs, len(physical)) == (fs, expected["n_samples"])
        assert physical[:5] == pytest.approx(expected["first5"], abs=1e-6)
        found = physical.mean(), physical.min(), physical.max()
        assert found == pytest.approx([expected[key] for key in ("mean", "min", "max")], abs=1e-6)


def test_contec_export_reads_as_twelve_leads(shared: Path):
    [ecg] = read(shared / "data/formats" / FILES[0])
    assert ecg.leads == ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
    assert (ecg.fs, ecg.shape) == (800.0, (12, 37855))
    assert ecg.start == datetime(2020, 11, 16, 21, 44, 39)
    assert ecg.counts is not None
    assert ecg.counts.values.dtype == np.int16


def test_file_without_an_ecg_is_refused(shared: Path):
    path = shared / "data/formats" / FILES[2]
    assert sniff(path) == "edf"
    assert not edf.in_folder(path, b"")
    with pytest.raises(NotAnECGError, match="no usable ECG lead"):
        list(read(path))


def test_counts_travel_and_the_others_are_noted(tmp_path: Path):
    path = make(
        tmp_path / "a.edf",
        [
            ("ECG II", "uV", 500, ramp(500)),
            ("EKG V5", "mV", 250, ramp(250)),
            ("Resp", "mV", 500, ramp(500)),
            ("I", "mV", 500, ramp(500, step=7)),
        ],
        **dict.fromkeys(("patientcode", "technician", "recording_additional", "patient_additional", "admincode"), ""),
        sex=1,
        birthdate=datetime(1950, 6, 1).date(),
        startdate=datetime(2020, 5, 31, 8, 0, 0),
        patientname="X",
        equipment="Recorder 3",
    )
    [ecg] = read(path)
    assert ecg.leads == ("II", "I")
    assert ecg.patient == {"age": 69.0, "sex": "M"}
    assert (ecg.device, ecg.start) == ("Recorder 3", datetime(2020, 5, 31, 8))
    assert "Resp" in ecg.notes[0]
    assert "V5 (250 Hz)" in ecg.notes[1]
    assert ecg.counts is not None
    assert np.array_equal(ecg.counts.values[:, :], np.stack([ramp(500), ramp(500, step=7)]))
    with pyedflib.EdfReader(str(path)) as file:
        foreign = np.stack([file.readSignal(0) / 1000, file.readSignal(3)])
    assert ecg.signal == pytest.approx(foreign, abs=1e-6)


def test_24_bit_values_are_kept(tmp_path: Path):
    values = ramp(256, 2) * 800
    [ecg] = read(make(tmp_path / "a.bdf", [("ECG", "uV", 256, values)]))
    assert ecg.counts is not None
    assert ecg.counts.values.dtype == np.int32
    assert np.array_equal(ecg.counts.values[0, :], values)


def test_long_files_are_read_where_they_are_sliced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = make(tmp_path / "a.edf", [("I", "mV", 200, ramp(200)), ("II", "mV", 200, ramp(200, step=11))])
    whole = next(read(path)).signal
    monkeypatch.setattr(edf, "LAZY_VALUES", 10)
    [ecg] = edf.read(path, Told())
    assert ecg.counts is not None
    assert isinstance(ecg.counts.values, edf.FileSamples)
    assert np.array_equal(np.concatenate([block.signal for _, block in ecg.blocks(0.37)], axis=1), whole)
    assert np.array_equal(ecg.counts.values[1:, 10:300:7], ecg.counts.values[:, :][1:, 10:300:7])
    assert ecg.counts.values[:, 900:].shape == (2, 0)
    assert np.array_equal(ecg.signal, whole)


def test_one_file_is_read_by_several_threads(tmp_path: Path):
    path = make(tmp_path / "a.edf", [("I", "mV", 200, ramp(200))])
    found: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: found.append(next(read(path)).signal)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(np.array_equal(signal, found[0]) for signal in found)


def test_told_names_and_units(tmp_path: Path):
    path = make(tmp_path / "a.edf", [("signal 1", "", 200, ramp(200)), ("signal 2", "", 200, ramp(200))])
    with pytest.raises(NotAnECGError, match="--leads"):
        list(read(path))
    with pytest.raises(MissingFactError, match="--unit"):
        list(read(path, Told(leads=("I", "II"))))
    [ecg] = read(path, Told(leads=("I", "II"), unit="uV", fs=100))
    assert ecg.leads == ("I", "II")
    assert ecg.fs == 200
    assert any("--fs 100 was not used" in note for note in ecg.notes)


def test_damage_is_told_in_a_sentence(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    data = make(tmp_path / "a.edf", [("I", "mV", 200, ramp(200))]).read_bytes()
    cases = {
        "truncated: ": data[:-100],
        "damaged or truncated header": data[:300],
        "discontinuous": data.replace(b"EDF+C", b"EDF+D", 1),
        "-1 data records": data[:236] + b"-1      " + data[244:],
        "no valid EDF": data.replace(b"mV      ", b"\xb5V      ", 1),
    }
    path = tmp_path / "b.edf"
    for text, content in cases.items():
        path.write_bytes(content)
        with pytest.raises(ReadError, match=text):
            list(read(path))
    path.write_bytes(b"")
    with pytest.raises(DamagedFileError, match="empty"):
        list(read(path))
    assert capfd.readouterr().out == ""


@settings(max_examples=30, deadline=None)
@given(cut=st.integers(1, 4000))
def test_any_truncation_is_refused_or_read(tmp_path_factory: pytest.TempPathFactory, cut: int):
    folder = tmp_path_factory.mktemp("edf")
    data = make(folder / "a.edf", [("I", "mV", 100, ramp(100))]).read_bytes()
    (folder / "b.edf").write_bytes(data[:cut])
    try:
        [ecg] = read(folder / "b.edf")
    except CardioloomError:
        return
    assert cut >= len(data)
    assert ecg.shape == (1, 400)
