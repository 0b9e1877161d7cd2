"""Long recordings stay on the file and are walked in bounded memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from cardioloom.readers import limits
from cardioloom.readers.told import Told
from cardioloom.readers.wfdb import read
from cardioloom.records import STANDARD_LEADS

FS_HZ = 500
N_LEADS = 12


def holter(folder: Path, hours: float, kind: str) -> Path:
    """Twelve leads in a sparse file, with one marked minute in the middle."""
    n = round(hours * 3600 * FS_HZ)
    frame_bytes = N_LEADS * 2 if kind == "16" else N_LEADS * 3 // 2
    with open(folder / "h.dat", "wb") as file:
        file.truncate(n * frame_bytes)
        file.seek(n // 2 * frame_bytes)
        file.write(b"\x01" * (60 * FS_HZ * frame_bytes))
    lines = "".join(f"h.dat {kind} 200/mV 12 0 0 0 0 {lead}\n" for lead in STANDARD_LEADS)
    path = folder / "h.hea"
    path.write_text(f"h {N_LEADS} {FS_HZ} {n}\n{lines}")
    return path


def walk(path: Path, seconds: float) -> tuple[float, int, int]:
    """(sum of all mV, samples, most bytes held at once)."""
    tracemalloc.start()
    (ecg,) = read(path, Told())
    total, n = 0.0, 0
    for _, block in ecg.blocks(seconds):
        total += float(block.signal.sum(dtype=np.float64))
        n += block.shape[1]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return total, n, peak


@pytest.mark.parametrize("kind", ["16", "212"])
def test_blocks_of_a_long_record(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(limits, "LAZY_VALUES", 100_000)
    path = holter(tmp_path, 0.5, kind)
    total, n, peak = walk(path, 60)
    count = {"16": 0x0101, "212": 0x101}[kind]
    # A triple of bytes 01 holds the two samples 0x101 and 0x001.
    mean = count if kind == "16" else (0x101 + 0x001) / 2
    assert n == round(0.5 * 3600 * FS_HZ)
    assert total == pytest.approx(mean / 200 * 60 * FS_HZ * N_LEADS, rel=1e-6)
    assert peak < 12 * 60 * FS_HZ * N_LEADS * 2  # a few blocks; the whole record has thirty
    (ecg,) = read(path, Told())
    assert ecg.counts is not None
    assert not isinstance(ecg.counts.values, np.ndarray)


@pytest.mark.slow
def test_a_day_of_twelve_leads(tmp_path):
    path = holter(tmp_path, 24, "16")
    _, n, peak = walk(path, 60)
    assert n == 24 * 3600 * FS_HZ
    assert peak < 32 << 20


def test_a_long_window_equals_the_short_record(shared, monkeypatch):
    path = shared / "data/formats/wfdb_physionet/100.hea"
    (whole,) = read(path, Told())
    monkeypatch.setattr(limits, "LAZY_VALUES", 1000)
    (lazy,) = read(path, Told())
    assert lazy.counts is not None
    assert not isinstance(lazy.counts.values, np.ndarray)
    for start, stop in ((0, 7), (1, 2), (12345, 16001), (649_990, 650_000)):
        assert np.array_equal(lazy.window(start, stop).signal, whole.signal[:, start:stop])
    assert np.array_equal(lazy.select(["V5"]).signal, whole.select(["V5"]).signal)
