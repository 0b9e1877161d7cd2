"""The short way into arrays: the bits of wfdb.rdsamp, the caller's buffer, and no memory that grows."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardioloom.errors import DamagedFileError, UsageError
from cardioloom.readers.told import Told, millivolts_per
from cardioloom.readers.wfdb import read
from cardioloom.readers.wfdb_fast import read_millivolts, read_physical
from cardioloom.readers.wfdb_records import decode
from cardioloom.readers.wfdb_signals import import_wfdb

wfdb = import_wfdb()


def assert_same_bits(path: Path) -> None:
    peer = wfdb.rdsamp(str(path.with_suffix("")))[0]
    ours, leads = read_physical(path), read_millivolts(path)
    assert ours.dtype == np.float64
    assert leads.dtype == np.float32
    assert ours.flags.c_contiguous
    assert leads.flags.c_contiguous
    assert np.array_equal(ours.view(np.int64), np.where(np.isnan(peer), np.nan, peer).view(np.int64))
    assert np.array_equal(leads, peer.T.astype(np.float32), equal_nan=True)


@pytest.mark.parametrize("source", ["ludb", "ptbxl", "chapman_ningbo", "ptb_diagnostic", "ptbxl_100hz"])
def test_same_bits_as_rdsamp(shared, source):
    for path in sorted((shared / "data/ecg" / source).rglob("*.hea"))[:5]:
        assert_same_bits(path)


@pytest.mark.parametrize("name", ["100", "s0010_re", "test01_00s"])
def test_same_bits_in_212_and_in_several_files(shared, name):
    assert_same_bits(shared / "data/formats/wfdb_physionet" / f"{name}.hea")


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(-32768, 32767) | st.integers(-99, 99), min_size=1, max_size=120),
    gain=st.floats(0.01, 1e6) | st.sampled_from([200.0, 1000.0, 0.1]),
    baseline=st.integers(-40000, 40000) | st.integers(-9, 9) | st.just(2**31 - 1),
)
def test_any_gain_and_baseline(tmp_path_factory, counts, gain, baseline):
    folder = tmp_path_factory.mktemp("fast")
    (folder / "r.dat").write_bytes(np.array(counts, "<i2").tobytes())
    (folder / "r.hea").write_text(f"r 1 100 {len(counts)}\nr.dat 16 {gain!r}({baseline})/mV 16 0 0 0 0 I\n")
    assert_same_bits(folder / "r.hea")
    (ecg,) = read(folder / "r.hea", Told())
    assert np.array_equal(ecg.signal, read_millivolts(folder / "r.hea"), equal_nan=True)


@pytest.mark.parametrize(
    "header",
    [
        "r 2 100 10\nr.dat 16 200(3)/uV 16 0 0 0 0 I\nr.dat 16 100 12 5 0 0 0 II\n# x\n",
        "r.mat 2 100 10\r\n\r\nr.dat 16x1 200.0(3)/mv 16 0 0 0 0 I\r\nr.dat 16x1 1e2/mV 16 -5 0 0 0 II\r\n",
        "r 2 100\nr.dat 16 200 lead 5 I\nr.dat 16\n",
        "r 2 100/7(1) 10\nr.dat 16 -200 16 5\ns.dat 16 200/V 16 5 1 2 3 II\n",
    ],
)
def test_usual_and_unusual_headers_are_read_alike(tmp_path, header):
    counts = np.arange(-10, 10).reshape(10, 2)
    counts[4] = -32768
    two_files = "s.dat" in header
    (tmp_path / "s.dat").write_bytes(counts[:, 1].astype("<i2").tobytes())
    (tmp_path / "r.dat").write_bytes((counts[:, 0] if two_files else counts).astype("<i2").tobytes())
    (tmp_path / "r.hea").write_text(header, newline="")
    record = decode(tmp_path / "r.hea")
    expected = np.stack([record.physical(0), record.physical(1)], axis=1)
    assert np.array_equal(read_physical(tmp_path / "r.hea"), expected, equal_nan=True)
    assert np.isnan(expected[4]).all()
    in_mv = expected.T * [[millivolts_per(signal.unit or "mV") or np.nan] for signal in record.signals]
    assert np.allclose(read_millivolts(tmp_path / "r.hea"), in_mv, rtol=1e-6, equal_nan=True)


def test_links_and_truncated_files_go_the_thorough_way(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "r.hea").write_text("r 1 100 10\nr.dat 16 200 16 0 0 0 0 I\n")
    (inside / "data").write_bytes(np.arange(10).astype("<i2").tobytes())
    (inside / "r.dat").symlink_to("data")
    assert read_physical(inside / "r.hea")[9, 0] == 9 / 200
    (inside / "r.dat").unlink()
    (tmp_path / "outside").write_bytes(b"\0" * 20)
    (inside / "r.dat").symlink_to(tmp_path / "outside")
    with pytest.raises(DamagedFileError, match="a link that leaves the folder"):
        read_physical(inside / "r.hea")
    (inside / "r.dat").unlink()
    (inside / "r.dat").write_bytes(b"\0" * 19)
    with pytest.raises(DamagedFileError, match="truncated"):
        read_millivolts(inside / "r.hea")
    (inside / "r.hea").write_text("r 1 100 ten\nr.dat 16 200 16 0 0 0 0 I\n")
    with pytest.raises(DamagedFileError, match="valid record line"):
        read_millivolts(inside / "r.hea")


def test_the_callers_buffer_is_filled(shared):
    path = sorted((shared / "data/ecg/ludb").rglob("*.hea"))[0]
    out, leads = np.full((5000, 12), 7.0), np.full((12, 5000), 7.0, np.float32)
    assert read_physical(path, out=out) is out
    assert read_millivolts(path, out=leads) is leads
    assert np.array_equal(out, read_physical(path))
    assert np.array_equal(leads, read_millivolts(path))
    wrongs: list[Any] = [np.empty((12, 5000)), np.empty((5000, 12), np.float32), np.empty((12, 5000)).T]
    for wrong in wrongs:
        with pytest.raises(UsageError, match=r"out must be a C-contiguous float64 array of shape \(5000, 12\)"):
            read_physical(path, out=wrong)


def test_what_needs_the_plain_way_is_refused(shared, tmp_path):
    with pytest.raises(UsageError, match="format 16 or 212"):
        read_physical(shared / "data/formats/wfdb_physionet/binformats.hea")
    with pytest.raises(UsageError, match="NU, which is no voltage"):
        read_millivolts(shared / "data/formats/wfdb_physionet/a103l.hea")
    (tmp_path / "r.dat").write_bytes(b"\0" * 20)
    (tmp_path / "r.hea").write_text("r 1 100 10\nr.dat 16 0 16 0 0 0 0 I\n")
    with pytest.raises(DamagedFileError, match="gain of 0"):
        read_physical(tmp_path / "r.hea")


def test_memory_stays_flat(shared):
    paths = sorted((shared / "data/ecg/ludb").rglob("*.hea"))[:20]
    out = np.empty((5000, 12))
    for path in paths:
        read_physical(path, out=out)
    tracemalloc.start()
    for path in paths * 5:
        read_physical(path, out=out)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 1 << 20  # the tiled scales of a few records
    assert peak < 3 << 20
