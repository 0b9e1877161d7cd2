"""ECG → WFDB: what wfdb and this library read back, and that a failure leaves nothing behind."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardioloom.errors import WriteError
from cardioloom.readers import limits
from cardioloom.readers.told import Told
from cardioloom.readers.wfdb import read
from cardioloom.readers.wfdb_signals import import_wfdb
from cardioloom.records import ECG, Counts
from cardioloom.writers import scales, write
from cardioloom.writers import wfdb as writer

wfdb = import_wfdb()


def again(ecg: ECG, folder: Path, name: str = "r") -> ECG:
    """Written and read back by this library; the wfdb library must read the same."""
    path = folder / f"{name}.hea"
    writer.write(ecg, path)
    (back,) = read(path, Told())
    peer = wfdb.rdrecord(str(folder / name))
    assert np.array_equal(back.signal, peer.p_signal.T.astype(np.float32), equal_nan=True)
    digital = wfdb.rdrecord(str(folder / name), physical=False)
    assert [checksum % 65536 for checksum in digital.checksum] == digital.calc_checksum()
    assert digital.init_value == digital.d_signal[0].tolist()
    return back


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(
        st.lists(st.integers(-(2**31) + 1, 2**31 - 1) | st.integers(-50, 50), min_size=2, max_size=2),
        min_size=1,
        max_size=20,
    ),
    gain=st.tuples(*[st.floats(1e-3, 1e6)] * 2),
    baseline=st.integers(-(2**31) + 1, 2**31 - 1),
    invalid=st.none() | st.integers(-50, 50),
)
def test_integer_counts_travel_exactly(tmp_path_factory, counts, gain, baseline, invalid):
    folder = tmp_path_factory.mktemp("counts")
    values = np.array(counts, np.int64).T
    samples = Counts(values, np.array(gain), np.full(2, baseline), (invalid, None))
    ecg = ECG(samples, ("I", "II"), 500)
    back = again(ecg, folder)
    assert back.counts is not None
    assert np.array_equal(back.signal, ecg.signal, equal_nan=True)
    kept = values != invalid if invalid is not None else np.ones(values.shape, bool)
    assert np.array_equal(np.asarray(back.counts.values)[0][kept[0]], values[0][kept[0]])
    assert np.array_equal(np.asarray(back.counts.values)[1], values[1])
    assert np.array_equal(back.counts.gain, gain)


@pytest.mark.parametrize(
    ("low", "high", "kind"),
    [(-32767, 32767, "16"), (-32768, 5, "24"), (0, 8_388_607, "24"), (-8_388_608, 0, "32"), (0, 2**31 - 1, "32")],
)
def test_the_smallest_format_that_holds_all(tmp_path, low, high, kind):
    ecg = ECG(Counts(np.array([[low, high, 0]]), np.array([1000.0]), np.array([0.0])), ("I",), 500)
    assert np.array_equal(again(ecg, tmp_path).signal, ecg.signal)
    assert f"r.dat {kind} " in (tmp_path / "r.hea").read_text()


@settings(max_examples=40, deadline=None)
@given(
    mv=st.lists(st.floats(-30, 30, width=32) | st.just(float("nan")), min_size=1, max_size=40),
    decimals=st.sampled_from([None, 2, 3, 6]),
)
def test_floats_come_back(tmp_path_factory, mv, decimals):
    folder = tmp_path_factory.mktemp("floats")
    signal = np.array([mv], np.float64)
    signal = (signal if decimals is None else np.round(signal, decimals)).astype(np.float32)
    back = again(ECG(signal, ("II",), 400), folder)
    assert np.array_equal(np.isnan(back.signal), np.isnan(signal))
    error = np.abs(np.nan_to_num(back.signal.astype(np.float64) - signal))
    assert error.max() <= max(np.nan_to_num(np.abs(signal)).max() * 2.0**-31 * 1.01, 1e-12)
    if decimals in (2, 3):  # whole numbers of a microvolt
        assert np.array_equal(back.signal, signal, equal_nan=True)


@pytest.mark.parametrize("baseline", [-0.5, 0.25, 1 / 3, -1234.2, 0.1234567])
def test_fractional_baselines(tmp_path, baseline):
    """EDF's digital zero need not be a whole count."""
    counts = Counts(np.arange(-3000, 3000, 7, dtype=np.int16)[None], np.array([409.6]), np.array([baseline]))
    ecg = ECG(counts, ("V1",), 256)
    back = again(ecg, tmp_path)
    exact = baseline != 0.1234567
    assert np.array_equal(back.signal, ecg.signal) if exact else np.allclose(back.signal, ecg.signal, 0, 1e-8)


def test_counts_that_32_bits_cannot_hold(tmp_path):
    values = np.array([[10**12, -(10**12), 5, 10**9]])
    ecg = ECG(Counts(values, np.array([1e9]), np.array([0.0]), (5,)), ("V2",), 500)
    back = again(ecg, tmp_path)
    assert back.signal == pytest.approx(ecg.signal, abs=1000 * 2**-31, nan_ok=True)


def test_what_the_header_says_besides(tmp_path):
    ecg = ECG(
        np.zeros((3, 50), np.float32),
        ("I", "II", "III"),
        333.3333333,
        derived=("III",),
        start=datetime(1999, 12, 31, 23, 59, 58, 250000),
        patient={"age": 61.5, "sex": "F"},
        device="Recorder # 3, #",
        measured={"qrs_duration_ms": 98.0, "p, =_axis_deg": -1e-7},
        stated=("426783006", "AF"),
    )
    back = again(ecg, tmp_path)
    for name in ("leads", "fs", "derived", "start", "patient", "device", "measured", "stated"):
        assert getattr(back, name) == getattr(ecg, name), name
    assert wfdb.rdrecord(str(tmp_path / "r")).base_datetime == ecg.start


@pytest.mark.parametrize(
    "stated", [("Sinus rhythm, sex: F, age: 99", "Dx: AF", "#"), ("unknown",), ("AF", "AF"), ("1", "Größe µ")]
)
def test_sentences_travel_and_are_nothing_else(tmp_path, stated):
    back = again(ECG(np.ones((1, 5), np.float32), ("I",), 500, stated=stated), tmp_path)
    assert (back.stated, back.patient, back.device, back.measured) == (stated, {}, None, {})


def test_a_real_record_and_a_long_one(shared, tmp_path, monkeypatch):
    (ecg,) = read(shared / "data/formats/wfdb_physionet/100.hea", Told())
    monkeypatch.setattr(scales, "BLOCK_VALUES", 100_001)
    monkeypatch.setattr(limits, "LAZY_VALUES", 1000)
    (lazy,) = read(shared / "data/formats/wfdb_physionet/100.hea", Told())
    back = again(lazy, tmp_path)
    assert np.array_equal(back.signal, ecg.signal)
    assert back.patient == {"age": 69.0, "sex": "M"}


@pytest.mark.parametrize("name", ["a b.hea", "ä.hea", "r.x.hea", ".hea", "r.dat", "r"])
def test_names_that_are_none(tmp_path, name):
    with pytest.raises(WriteError, match=r"\.hea"):
        writer.write(ECG(np.zeros((1, 5), np.float32), ("I",), 500), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_what_was_there(tmp_path, monkeypatch):
    ecg = ECG(np.ones((1, 5), np.float32), ("I",), 500)
    writer.write(ecg, tmp_path / "r.hea")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer, "_write_samples", full)
    with pytest.raises(WriteError, match="No space left on device"):
        write(ECG(np.zeros((1, 9), np.float32), ("I",), 500), tmp_path / "r.hea")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    with pytest.raises(WriteError, match="could not be written"):
        write(ecg, tmp_path / "absent" / "r.hea")
    monkeypatch.undo()
    mask = os.umask(0o027)
    writer.write(ecg, tmp_path / "m.hea")
    os.umask(mask)
    assert (tmp_path / "m.dat").stat().st_mode & 0o777 == 0o640
