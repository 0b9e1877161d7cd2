"""Every real recording against the independent reader that comes with it."""

from __future__ import annotations

import csv
import importlib.util
import json
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from cardioloom import load
from cardioloom.errors import NotAnECGError
from cardioloom.records import ECG, standard_lead

FORMATS = [
    "dicom_waveform_pydicom/waveform_ecg.dcm",
    "edf_contec_GPL3/0000050.ECG.edf",
    "edf_plus_CONSTRUCTED/ptb_s0010_10s.edf",
    "mat_cpsc2018/A1980.mat",
    "mat_cpsc2018/A1983.mat",
    "wfdb_physionet/100.hea",
    "wfdb_physionet/3000003_0003.hea",
    "wfdb_physionet/a103l.hea",
    "wfdb_physionet/s0010_re.hea",
    "wfdb_physionet/test01_00s.hea",
    "apple_watch_csv_CONSTRUCTED/ecg_2000-01-01.csv",
]
NO_ECG = ["bdf_pyedflib/test_generator.bdf", "wfdb_physionet/binformats.hea"]
ORACLE_DIGITS = 1e-6  # the oracle files keep six decimals


def oracle_reader(folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("read_ecg", folder / "read_ecg.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_row_of_records_csv_equals_its_oracle(shared: Path):
    folder = shared / "data/ecg"
    oracle = oracle_reader(folder)
    with (folder / "records.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 390
    for row in rows:
        ecg = load(folder / row["path"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what wfdb warns of under a newer pandas is not tested here
            expected, fs = oracle.read(folder, row)
        assert isinstance(ecg, ECG), row["path"]
        assert ecg.fs == fs == float(row["fs"]), row["path"]
        assert ecg.derived == ()
        np.testing.assert_array_equal(
            ecg.select(oracle.LEADS).signal, np.asarray(expected).astype(np.float32), err_msg=row["path"]
        )
        if row["age"] and row["sex"] and row["path"].endswith(".hea") and "age" in ecg.patient:
            assert ecg.patient["sex"] == row["sex"]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_equals_its_oracle(name: str, shared: Path):
    path = shared / "data/formats" / name
    oracle = json.loads(path.with_name(path.name + ".oracle.json").read_text())
    ecg = load(path)
    assert ecg.fs == oracle["sampling_rate_hz"]
    signal = dict(zip(ecg.leads, ecg.signal, strict=True))
    compared = 0
    for lead, expected in oracle["leads"].items():
        row = signal.get(standard_lead(lead) or lead)
        if row is None:
            assert lead in ("PLETH",), lead
            continue
        assert len(row) == expected["n_samples"]
        np.testing.assert_allclose(row[:5], expected["first5"], atol=ORACLE_DIGITS)
        found = [np.nanmean(row, dtype=np.float64), np.nanmin(row), np.nanmax(row)]
        np.testing.assert_allclose(found, [expected[key] for key in ("mean", "min", "max")], atol=ORACLE_DIGITS)
        compared += 1
    assert compared == len(ecg.leads)


@pytest.mark.parametrize("name", NO_ECG)
def test_test_signals_are_no_ecg(name: str, shared: Path):
    with pytest.raises(NotAnECGError, match="--leads"):
        load(shared / "data/formats" / name)


def test_named_test_signals_can_be_read_all_the_same(shared: Path):
    """The way out that the message names: every format of wfdb in one record."""
    leads = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4")
    ecg = load(shared / "data/formats/wfdb_physionet/binformats.hea", leads=leads)
    assert ecg.leads == leads
    assert ecg.shape == (10, 499)
