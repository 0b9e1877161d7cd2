"""Records of several segments, fixed and variable layout, against the wfdb library."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cardioloom.errors import DamagedFileError
from cardioloom.readers import limits
from cardioloom.readers.told import Told
from cardioloom.readers.wfdb import companions, read
from cardioloom.readers.wfdb_records import decode
from cardioloom.readers.wfdb_signals import import_wfdb

wfdb = import_wfdb()
# What wfdb itself warns of under a newer pandas when it writes.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")


def segment(folder: Path, name: str, leads: list[str], n: int, kind: str = "16", gain: float = 200.0) -> np.ndarray:
    counts = np.random.default_rng(n).integers(-100, 100, (n, len(leads)))
    counts[n // 2, 0] = {"16": -32768, "212": -2048, "80": -128}[kind]
    wfdb.wrsamp(
        name,
        fs=125,
        units=["mV"] * len(leads),
        sig_name=leads,
        d_signal=counts,
        fmt=[kind] * len(leads),
        adc_gain=[gain] * len(leads),
        baseline=[3] * len(leads),
        write_dir=str(folder),
    )
    return counts


def variable(folder: Path, gains: tuple[float, float] = (200.0, 200.0)) -> Path:
    """II in both segments, V in the first and a pleth in the second only, a gap between them."""
    segment(folder, "s1", ["II", "V"], 40, "80", gains[0])
    segment(folder, "s2", ["PLETH", "II"], 30, "16", gains[1])
    layout = "".join(f"~ 0 200/mV 8 0 0 0 0 {name}\n" for name in ("II", "V", "PLETH"))
    (folder / "m_layout.hea").write_text(f"m_layout 3 125 0\n{layout}")
    (folder / "m.hea").write_text("m/4 3 125 90\nm_layout 0\ns1 40\n~ 20\ns2 30\n")
    return folder / "m.hea"


@pytest.mark.parametrize("gains", [(200.0, 200.0), (200.0, 123.4)])
@pytest.mark.parametrize("is_long", [False, True])
def test_variable_layout(tmp_path, monkeypatch, gains, is_long):
    path = variable(tmp_path, gains)
    peer = wfdb.rdrecord(str(tmp_path / "m"))
    if is_long:
        monkeypatch.setattr(limits, "LAZY_VALUES", 10)
    (ecg,) = read(path, Told(leads=None))
    assert ecg.leads == ("II", "V")
    columns = [peer.sig_name.index(lead) for lead in ecg.leads]
    expected = peer.p_signal[:, columns].T.astype(np.float32)
    if is_long and gains[0] != gains[1]:
        assert np.allclose(ecg.signal, expected, rtol=0, atol=1e-9, equal_nan=True)
        assert any("segments differ in gain" in note for note in ecg.notes)
    else:
        assert np.array_equal(ecg.signal, expected, equal_nan=True)
    assert np.isnan(ecg.signal[:, 40:60]).all()
    assert np.isnan(ecg.signal[1, 40:]).all()
    parts = [block.signal for _, block in ecg.blocks(0.1)]
    assert np.array_equal(np.concatenate(parts, axis=1), ecg.signal, equal_nan=True)
    record = decode(path)
    for channel, name in enumerate(peer.sig_name):
        assert np.array_equal(record.physical(channel), peer.p_signal[:, channel], equal_nan=True), name


def test_fixed_layout(tmp_path):
    for name, n, kind in (("a", 20, "16"), ("b", 31, "212"), ("c", 10, "80")):
        segment(tmp_path, name, ["I", "II", "III"], n, kind)
    path = tmp_path / "m.hea"
    path.write_text("m/3 3 125 61\na 20\nb 31\nc 10\n# <age>: 60 <sex>: F\n")
    (ecg,) = read(path, Told())
    peer = wfdb.rdrecord(str(tmp_path / "m")).p_signal.T.astype(np.float32)
    assert np.array_equal(ecg.signal, peer, equal_nan=True)
    assert ecg.patient == {"age": 60.0, "sex": "F"}
    assert ecg.counts is not None
    assert ecg.source is not None
    assert len(ecg.source.files) == 7
    path.write_text("m/4 3 125 81\na 20\nb 31\n~ 20\nc 10\n")  # wfdb reads no gap in a fixed layout
    (gapped,) = read(path, Told())
    assert np.array_equal(np.delete(gapped.signal, range(51, 71), axis=1), peer, equal_nan=True)
    assert np.isnan(gapped.signal[:, 51:71]).all()


def test_companions_of_a_master(tmp_path):
    path = variable(tmp_path)
    assert companions(path) == {"m_layout.hea", "s1.hea", "s1.dat", "s2.hea", "s2.dat"}


def test_contradictions_between_master_and_segments(tmp_path):
    path = variable(tmp_path)
    master = path.read_text()
    path.write_text(master.replace("s1 40", "s1 39").replace(" 90", " 89"))
    with pytest.raises(DamagedFileError, match=r"s1\.hea has 40 samples but m\.hea announces 39"):
        list(read(path, Told()))
    path.write_text(master.replace("125", "250"))
    with pytest.raises(DamagedFileError, match="125 Hz"):
        list(read(path, Told()))
    path.write_text(master.replace("m/4 3", "m/4 2"))
    with pytest.raises(DamagedFileError, match="announces 2 signals"):
        list(read(path, Told()))
    path.write_text(master)
    (tmp_path / "s2.hea").write_text((tmp_path / "s2.hea").read_text().replace("/mV", "/uV"))
    with pytest.raises(DamagedFileError, match="another unit"):
        list(read(path, Told()))
