"""Reading WFDB records: real ones against their oracles and the wfdb library, and what headers say besides samples."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from cardioloom.errors import MissingFactError, NotAnECGError
from cardioloom.readers import find
from cardioloom.readers.told import Told
from cardioloom.readers.wfdb import companions, in_folder, read, sniff
from cardioloom.readers.wfdb_records import decode
from cardioloom.readers.wfdb_signals import import_wfdb
from cardioloom.records import ECG

wfdb = import_wfdb()
FORMATS = ("100", "3000003_0003", "a103l", "binformats", "s0010_re", "test01_00s")


def write_16(folder: Path, header: str, counts: np.ndarray, name: str = "r") -> Path:
    """A format 16 record from (time, signal) counts."""
    (folder / f"{name}.dat").write_bytes(counts.astype("<i2").tobytes())
    path = folder / f"{name}.hea"
    path.write_text(header)
    return path


def one(path: Path, told: Told | None = None) -> ECG:
    (ecg,) = read(path, told or Told())
    return ecg


@pytest.mark.parametrize("name", FORMATS)
def test_every_channel_equals_the_oracle_and_wfdb(shared, name):
    path = shared / "data/formats/wfdb_physionet" / f"{name}.hea"
    oracle = json.loads(path.with_name(f"{name}.hea.oracle.json").read_text())
    peer = wfdb.rdrecord(str(path.with_suffix("")), smooth_frames=False)
    record = decode(path)
    assert [signal.name for signal in record.signals] == oracle["lead_names"] == peer.sig_name
    assert [signal.unit or "mV" for signal in record.signals] == oracle["units"]
    assert record.fs == oracle["sampling_rate_hz"]
    for channel, lead in enumerate(oracle["lead_names"]):
        physical, expected = record.physical(channel), oracle["leads"][lead]
        assert np.array_equal(physical, peer.e_p_signal[channel], equal_nan=True)
        assert len(physical) == expected["n_samples"]
        assert physical[:5] == pytest.approx(expected["first5"], abs=1e-6)
        assert np.nanmean(physical) == pytest.approx(expected["mean"], abs=1e-5)
        assert (np.nanmin(physical), np.nanmax(physical)) == pytest.approx((expected["min"], expected["max"]), abs=1e-6)


@pytest.mark.parametrize(
    "source", ["cpsc2018", "ludb", "cpsc_extra", "ptbxl", "ptbxl_100hz", "chapman_ningbo", "ptb_diagnostic"]
)
def test_real_records_equal_wfdb_and_carry_no_notes(shared, source):
    for path in sorted((shared / "data/ecg" / source).rglob("*.hea"))[:6]:
        ecg = one(path)
        peer = wfdb.rdrecord(str(path.with_suffix("")))
        assert np.array_equal(ecg.signal, peer.p_signal.T.astype(np.float32), equal_nan=True)
        assert ecg.fs == peer.fs
        assert ecg.leads[:6] == ("I", "II", "III", "aVR", "aVL", "aVF")
        assert ecg.notes == ()  # so the checksums of real headers hold too


def test_a_signal_file_stands_for_the_header_beside_it(shared):
    folder = shared / "data/ecg/ptbxl"
    mat = sorted(folder.glob("*.mat"))[0]
    assert sniff(mat, mat.read_bytes()[:4096])
    by_file, by_header = one(mat), one(mat.with_suffix(".hea"))
    assert np.array_equal(by_file.signal, by_header.signal)
    assert by_file.source is not None
    assert by_file.source.file == mat
    assert set(by_file.source.files) == {mat, mat.with_suffix(".hea")}
    lone = sorted((shared / "data/ecg/cpsc2018_struct").glob("*.mat"))[0]
    assert not sniff(lone, lone.read_bytes()[:4096])
    annotations = shared / "data/formats/wfdb_physionet/100.atr"
    assert not sniff(annotations, annotations.read_bytes()[:4096])


def test_a_folder_is_its_headers(shared):
    found = {path.name for path in find(shared / "data/formats/wfdb_physionet")}
    assert found == {f"{name}.hea" for name in FORMATS}
    assert companions(shared / "data/formats/wfdb_physionet/s0010_re.hea") == {"s0010_re.dat", "s0010_re.xyz"}


def test_challenge_comments(shared):
    ecg = one(sorted((shared / "data/ecg/chapman_ningbo").glob("JS00001.hea"))[0])
    assert ecg.patient == {"age": 85.0, "sex": "M"}
    assert ecg.stated == ("164889003", "59118001", "164934002")
    # The Challenge's "05-Feb-2020" is when the files were made, not when the ECG was.
    assert one(sorted((shared / "data/ecg/cpsc2018").glob("A0001.hea"))[0]).start is None


@pytest.mark.parametrize(
    ("comments", "patient"),
    [
        ("# 69 M 1085 1629 x1\n# Aldomet, Inderal", {"age": 69.0, "sex": "M"}),
        ("#<age>: 46\n#<sex>: F", {"age": 46.0, "sex": "F"}),
        ("# <age>: 25  <sex>: M  <diagnoses>: (none)", {"age": 25.0, "sex": "M"}),
        ("# age: 81\n# sex: female", {"age": 81.0, "sex": "F"}),
        ("#Age: NaN\n#Sex: Unknown", {}),
        ("#Age: 300\n#Sex: Male", {"sex": "M"}),
        ("#Age: 0.5", {"age": 0.5}),
        ("# Percentage: 81\n# Name: Someone", {}),
    ],
)
def test_age_and_sex(tmp_path, comments, patient):
    path = write_16(tmp_path, f"r 1 100 10\nr.dat 16 200 16 0 0 0 0 I\n{comments}\n", np.arange(10))
    ecg = one(path)
    assert ecg.patient == patient
    assert "Someone" not in repr((ecg.stated, ecg.notes, ecg.device))


def test_start_needs_time_and_date(tmp_path):
    counts = np.arange(20).reshape(10, 2)
    lines = "r.dat 16 200 16 0 0 0 0 I\nr.dat 16 200 16 0 0 0 0 II\n"
    with_both = write_16(tmp_path, f"r 2 100 10 19:46:25.757 03/02/1991\n{lines}", counts)
    assert one(with_both).start == datetime(1991, 2, 3, 19, 46, 25, 757000)
    assert one(write_16(tmp_path, f"r 2 100 10 19:46:25.757\n{lines}", counts)).start is None
    assert one(write_16(tmp_path, f"r 2 100 10 99:99 31/02/1991\n{lines}", counts)).start is None


@pytest.mark.parametrize(
    "header",
    [
        "r.mat 2 100 10\nr.dat 16+0 200/mv 16 0 0 0 0 I\nr.dat 16+0 200/mv 16 0 0 0 0 II\n",
        "other.hea 2 100 10\r\n\r\n# note\r\nr.dat 16x1+0 200.0(0)/mV 16 0 0 0 0 I\r\n\r\n"
        "r.dat 16x1 2e2/mV 16 0 0 0 0 II\r\n# x\r\n",
        "r 2 100/1000(5) 10\nr.dat 16 200 16 0 0 0 0 Lead I\nr.dat 16 200/mV II\n",
        "  r\t2\t100.0\t10\nr.dat\t16\t200\t16\t0\t0\t0\t0\tI\nr.dat 16 200(0)/mV 16 0 0 0 0 ii  \n",
        "# first\nr 2 100\nr.dat 16 200 16 0 0 0 0 DI\nr.dat 16 200 16 0 0 0 0 DII\n",  # length from the file
    ],
)
def test_spellings_that_real_headers_have(tmp_path, header):
    counts = np.arange(20).reshape(10, 2)
    ecg = one(write_16(tmp_path, header, counts))
    assert ecg.leads == ("I", "II")
    assert ecg.fs == 100
    assert np.array_equal(ecg.signal, (counts.T / 200).astype(np.float32))


def test_byte_offset_baseline_and_gaps(tmp_path):
    header = "r 2 100 4\nr.dat 16+24 100(7)/uV 16 3 0 0 0 I\nr.dat 16+24 -50/V 16 3 0 0 0 II\n"
    (tmp_path / "r.hea").write_text(header)
    counts = np.array([[107, 3], [7, 53], [-32768, 103], [207, -32768]])
    (tmp_path / "r.dat").write_bytes(b"x" * 24 + counts.astype("<i2").tobytes())
    ecg = one(tmp_path / "r.hea")
    assert ecg.signal[0] == pytest.approx([1e-3, 0, np.nan, 2e-3], nan_ok=True)
    # Without a baseline the ADC's zero is it; a negative gain turns the lead over.
    assert ecg.signal[1] == pytest.approx([0, -1000, -2000, np.nan], nan_ok=True)
    assert ecg.counts is not None
    assert ecg.counts.invalid == (-32768, -32768)


def test_rate_and_gain_that_are_not_stated(tmp_path):
    path = write_16(tmp_path, "r 1\nr.dat 16\n", np.arange(10))
    ecg = one(path, Told(leads=("I",)))
    assert ecg.fs == 250
    assert ecg.signal[0, 9] == pytest.approx(9 / 200)
    assert any("250 Hz assumed" in note for note in ecg.notes)
    assert any("uncalibrated" in note for note in ecg.notes)
    assert one(path, Told(leads=("I",), fs=500)).fs == 500
    with pytest.raises(MissingFactError, match="--leads"):
        one(path)


def test_told_leads_name_what_the_header_does_not(shared):
    path = shared / "data/formats/wfdb_physionet/binformats.hea"
    with pytest.raises(NotAnECGError, match="no usable ECG lead"):
        one(path)
    leads = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4")
    ecg = one(path, Told(leads=leads))
    peer = wfdb.rdrecord(str(path.with_suffix("")))
    assert ecg.leads == leads
    assert np.array_equal(ecg.signal, peer.p_signal.T.astype(np.float32), equal_nan=True)


def test_channels_that_are_no_ecg_are_left_out(shared, tmp_path):
    ecg = one(shared / "data/formats/wfdb_physionet/a103l.hea")
    assert ecg.leads == ("II", "V")
    assert any("PLETH" in note for note in ecg.notes)
    header = "r 2 100 5\nr.dat 16 10/mmHg 16 0 0 0 0 ABP\nr.dat 16 10/NU 16 0 0 0 0 PLETH\n"
    path = write_16(tmp_path, header, np.zeros((5, 2)))
    assert not in_folder(path, path.read_bytes())
    with pytest.raises(NotAnECGError, match="ABP"):
        one(path)


def test_a_wrong_checksum_is_noted(shared, tmp_path):
    source = shared / "data/ecg/ptbxl_100hz/00002_lr.hea"
    shutil.copy(source, tmp_path)
    data = bytearray(source.with_suffix(".dat").read_bytes())
    data[24] ^= 1  # first lead of the second frame
    (tmp_path / "00002_lr.dat").write_bytes(data)
    (note,) = one(tmp_path / "00002_lr.hea").notes
    assert "checksum" in note
    assert " I:" in note


def test_formats_16_and_212_import_nothing_heavy(shared):
    files = [shared / "data/formats/wfdb_physionet/100.hea", sorted((shared / "data/ecg/ludb").rglob("*.hea"))[0]]
    code = (
        "import sys; from pathlib import Path\n"
        "from cardioloom.readers import wfdb; from cardioloom.readers.told import Told\n"
        "for path in sys.argv[1:]:\n    (ecg,) = wfdb.read(Path(path), Told()); assert ecg.signal.size\n"
        "print(sorted({'wfdb', 'pandas', 'scipy', 'numba'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code, *map(str, files)], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
