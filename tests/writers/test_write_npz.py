"""NPZ: the contract's three arrays, and everything else that travels."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from cardioloom.errors import WriteError
from cardioloom.readers import read
from cardioloom.records import ECG, Counts
from cardioloom.writers import npz, write


def test_the_contract(tmp_path: Path):
    signal = np.array([[0.5, np.nan], [1, 2]], np.float32)
    write(ECG(signal, ("I", "II"), 500), tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert set(arrays) == {"signal", "leads", "fs"}
        assert arrays["signal"].dtype == np.float32
        assert np.array_equal(arrays["signal"], signal, equal_nan=True)
        assert list(arrays["leads"]) == ["I", "II"]
        assert arrays["fs"] == 500


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64])
def test_everything_comes_back(tmp_path: Path, dtype: type):
    gap = int(np.iinfo(dtype).min)
    values = np.array([[1, 2, gap], [4, 5, 6]], dtype)
    counts = Counts(values, np.array([204.8, 1000 / 4.88]), np.array([0.5, -3.0]), (gap, None))
    ecg = ECG(
        counts, ("I", "III"), 257.3, derived=("III",), start=datetime(2020, 1, 2, 3, 4, 5, 6, UTC),
        device="Recorder", patient={"age": 0.5, "sex": "M"}, stated=("sinus rhythm", "normal ECG"),
        measured={"pr_interval_ms": 160.0, "qrs_axis_deg": -0.1}, notes=("a note",),
    )  # fmt: skip
    write(ecg, tmp_path / "a.npz")
    [back] = read(tmp_path / "a.npz")
    assert back.counts is not None
    assert np.array_equal(back.counts.values[:, :], values)
    assert back.counts.values.dtype == dtype
    assert np.array_equal(back.counts.gain, counts.gain)
    assert np.array_equal(back.counts.baseline, counts.baseline)
    assert back.counts.invalid == (gap, None)
    assert np.array_equal(back.signal, ecg.signal, equal_nan=True)
    for name in ("leads", "fs", "derived", "start", "device", "patient", "measured", "stated", "notes"):
        assert getattr(back, name) == getattr(ecg, name)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_what_would_not_be_read_back_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(npz, "MAX_BYTES", 100)
    with pytest.raises(WriteError, match="104 bytes, more than the 100 of NPZ"):
        write(ECG(np.zeros((2, 13), np.float32), ("I", "II"), 500), tmp_path / "a.npz")
    assert list(tmp_path.iterdir()) == []
