"""Signal file formats: written by wfdb or by slow encoders of the specification, read here, sliced anywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardioloom.errors import DamagedFileError, LimitError
from cardioloom.readers import limits
from cardioloom.readers.told import Told
from cardioloom.readers.wfdb import read
from cardioloom.readers.wfdb_records import decode
from cardioloom.readers.wfdb_signals import FORMATS, import_wfdb, unpack_212

wfdb = import_wfdb()
# What wfdb itself warns of under a newer pandas when it writes.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")
WRITTEN_BY_WFDB = {"80": 7, "212": 11, "16": 15, "24": 23, "32": 31, "508": 7, "516": 15, "524": 23}


def counts_of(bits: int, n: int, n_signals: int, seed: int = 0) -> np.ndarray:
    """(time, signal) counts over the whole range, the invalid one included."""
    random = np.random.default_rng(seed)
    counts = random.integers(-(1 << bits), 1 << bits, (n, n_signals))
    counts[n // 3] = -(1 << bits)
    return counts


@pytest.mark.parametrize("kind", WRITTEN_BY_WFDB)
def test_records_that_wfdb_wrote(tmp_path, kind):
    counts = counts_of(WRITTEN_BY_WFDB[kind], 301, 3)
    gain, baseline = [200.0, 123.4, 1e4], [0, -7, 5]
    wfdb.wrsamp(
        "w",
        fs=500,
        units=["mV"] * 3,
        sig_name=["I", "II", "V1"],
        d_signal=counts,
        fmt=[kind] * 3,
        adc_gain=gain,
        baseline=baseline,
        write_dir=str(tmp_path),
    )
    (ecg,) = read(tmp_path / "w.hea", Told())
    peer = wfdb.rdrecord(str(tmp_path / "w"))
    assert np.array_equal(ecg.signal, peer.p_signal.T.astype(np.float32), equal_nan=True)
    assert ecg.counts is not None
    assert np.array_equal(np.asarray(ecg.counts.values[:, :]), counts.T)
    assert np.isnan(ecg.signal[:, 100]).all()
    assert ecg.notes == ()
    assert set(FORMATS) >= set(WRITTEN_BY_WFDB)


def slow_212(counts: list[int]) -> bytes:
    """The specification word by word, one pair at a time."""
    data = bytearray()
    for first, second in zip(counts[::2], [*counts[1::2], 0][: len(counts[::2])], strict=True):
        a, b = first & 0xFFF, second & 0xFFF
        data += bytes([a & 0xFF, (a >> 8) | ((b >> 8) << 4), b & 0xFF])
    return bytes(data[: -(-len(counts) * 3 // 2)])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-2048, 2047), min_size=1, max_size=50))
def test_212_is_unpacked(counts):
    assert unpack_212(slow_212(counts), len(counts)).tolist() == counts


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 40), n_signals=st.integers(1, 5), kind=st.sampled_from(["16", "212"]), data=st.data())
def test_any_slice_is_the_slice_of_the_whole(tmp_path_factory, n, n_signals, kind, data):
    folder = tmp_path_factory.mktemp("slice")
    counts = counts_of(11, n, n_signals, seed=n)
    flat = counts.reshape(-1)
    (folder / "r.dat").write_bytes(flat.astype("<i2").tobytes() if kind == "16" else slow_212(flat.tolist()))
    lines = "".join(f"r.dat {kind} 200 12 0 0 0 0 V{row + 1}\n" for row in range(n_signals))
    (folder / "r.hea").write_text(f"r {n_signals} 100 {n}\n{lines}")
    window = decode(folder / "r.hea").window(range(n_signals))
    start, stop = sorted((data.draw(st.integers(0, n)), data.draw(st.integers(0, n))))
    first, last = sorted((data.draw(st.integers(0, n_signals)), data.draw(st.integers(0, n_signals))))
    assert window.shape == (n_signals, n)
    assert np.array_equal(window[first:last, start:stop], counts.T[first:last, start:stop])
    assert np.array_equal(window[:, ::3], counts.T[:, ::3])


@pytest.mark.parametrize("kind", ["16", "212", "80", "32", "516"])
def test_samples_per_frame(tmp_path, kind):
    bits = WRITTEN_BY_WFDB[kind]
    one, two, slow = (counts_of(bits, n, 1, seed=n)[:, 0] for n in (80, 80, 20))
    wfdb.wrsamp(
        "w",
        fs=125,
        units=["mV"] * 3,
        sig_name=["I", "II", "V1"],
        e_d_signal=[one, two, slow],
        samps_per_frame=[4, 4, 1],
        fmt=[kind] * 3,
        adc_gain=[200.0] * 3,
        baseline=[1, 2, 3],
        write_dir=str(tmp_path),
    )
    (ecg,) = read(tmp_path / "w.hea", Told())
    peer = wfdb.rdrecord(str(tmp_path / "w"), smooth_frames=False)
    assert (ecg.leads, ecg.fs, ecg.shape) == (("I", "II"), 500.0, (2, 80))
    assert np.array_equal(ecg.signal, np.stack(peer.e_p_signal[:2]).astype(np.float32), equal_nan=True)
    assert any("lower rate" in note and "V1" in note for note in ecg.notes)
    record = decode(tmp_path / "w.hea")
    assert np.array_equal(record.physical(2), peer.e_p_signal[2], equal_nan=True)
    assert np.array_equal(record.window([0, 1])[:, 7:33], np.stack([one, two])[:, 7:33])


def test_skew_moves_a_signal_back(tmp_path):
    counts = np.arange(1, 41).reshape(20, 2)
    (tmp_path / "r.dat").write_bytes(counts.astype("<i2").tobytes())
    (tmp_path / "r.hea").write_text("r 2 100 20\nr.dat 16:3 200 16 0 0 0 0 I\nr.dat 16 200 16 0 0 0 0 II\n")
    (ecg,) = read(tmp_path / "r.hea", Told())
    peer = wfdb.rdrecord(str(tmp_path / "r"))
    assert np.array_equal(ecg.signal, peer.p_signal.T.astype(np.float32), equal_nan=True)
    assert np.isnan(ecg.signal[0, 17:]).all()
    assert ecg.signal[0, 0] == np.float32(counts[3, 0] / 200)
    window = decode(tmp_path / "r.hea").window([0, 1])
    assert np.array_equal(window[:, 5:19], window[:, :][:, 5:19])


def test_differences_of_format_8(tmp_path, monkeypatch):
    steps = np.random.default_rng(1).integers(-128, 128, 50)
    (tmp_path / "r.dat").write_bytes(steps.astype(np.int8).tobytes())
    (tmp_path / "r.hea").write_text("r 1 100 50\nr.dat 8 200 16 0 -300 0 0 I\n")
    window = decode(tmp_path / "r.hea").window([0])
    expected = -300 + np.cumsum(steps)
    assert np.array_equal(window[:, :][0], expected)
    assert np.array_equal(window[:, 20:30][0], expected[20:30])
    monkeypatch.setattr(limits, "MAX_VALUES_IN_MEMORY", 49)  # it can be read from its beginning only
    with pytest.raises(LimitError):
        decode(tmp_path / "r.hea")


def test_several_files_and_formats_in_one_record(shared, tmp_path):
    path = shared / "data/formats/wfdb_physionet/binformats.hea"
    record = decode(path)
    peer = wfdb.rdrecord(str(path.with_suffix("")), sampfrom=101, sampto=203, physical=True)
    window = record.window(range(10))
    whole = window[:, :]
    assert np.array_equal(window[:, 101:203], whole[:, 101:203])
    for channel in range(1, 10):  # wfdb itself misreads format 8 from the middle
        physical = whole[channel, 101:203] / 200.0
        gaps = whole[channel, 101:203] == FORMATS[record.signals[channel].format][1]
        physical[gaps] = np.nan
        assert np.array_equal(physical, peer.p_signal[:, channel], equal_nan=True)


def test_a_compressed_file_shorter_than_its_header_says(tmp_path):
    counts = counts_of(11, 30, 1)
    wfdb.wrsamp(
        "w", 100, ["mV"], ["I"], d_signal=counts, fmt=["516"], adc_gain=[1.0], baseline=[0], write_dir=str(tmp_path)
    )
    header = (tmp_path / "w.hea").read_text()
    (tmp_path / "w.hea").write_text(header.replace("w 1 100 30", "w 1 100 300"))
    with pytest.raises(DamagedFileError, match="format 516"):
        list(read(tmp_path / "w.hea", Told()))


@pytest.mark.parametrize("kind", ["80", "516"])
def test_wfdb_never_sees_the_odd_header(tmp_path, kind):
    """Spellings that wfdb refuses are no obstacle in the formats that wfdb decodes."""
    counts = counts_of(WRITTEN_BY_WFDB[kind], 30, 1)
    wfdb.wrsamp(
        "w", 100, ["mV"], ["I"], d_signal=counts, fmt=[kind], adc_gain=[200.0], baseline=[0], write_dir=str(tmp_path)
    )
    Path(tmp_path, "w.dat").rename(tmp_path / "w.1.dat")
    (tmp_path / "w.hea").write_text(f"w.mat 1 100 30\nw.1.dat {kind} 200/mV 16 0 0 0 0 Lead I (µV?)\n")
    (ecg,) = read(tmp_path / "w.hea", Told())
    assert ecg.counts is not None
    assert np.array_equal(np.asarray(ecg.counts.values)[0], counts[:, 0])
