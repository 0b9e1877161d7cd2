"""CSV: what is written reads back to the same float32, and other programs read it too."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cardioloom.errors import UsageError, WriteError
from cardioloom.readers import read
from cardioloom.records import ECG, Counts
from cardioloom.writers import WRITERS, companions, format_of, write
from cardioloom.writers.csv import BLOCK_SAMPLES

FLOATS = st.floats(width=32, allow_infinity=False, allow_nan=True)


@settings(max_examples=60, deadline=None)
@given(signal=arrays.arrays(np.float32, st.tuples(st.just(2), st.integers(2, 30)), elements=FLOATS))
def test_every_float_comes_back(tmp_path_factory: pytest.TempPathFactory, signal: np.ndarray):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    signal[0, 0] = 0.25  # a record without any value is refused
    write(ECG(signal, ("I", "MLII"), 512.508), path)
    [ecg] = read(path)
    assert np.array_equal(ecg.signal, signal, equal_nan=True)
    assert (ecg.leads, ecg.fs, ecg.notes) == (("I", "MLII"), 512.508, ())


@settings(max_examples=40, deadline=None)
@given(fs=st.one_of(st.integers(1, 4000), st.floats(1, 4000).map(lambda fs: float(f"{fs:.7g}"))), n=st.integers(2, 500))
def test_the_rate_comes_back(tmp_path_factory: pytest.TempPathFactory, fs: float, n: int):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    write(ECG(np.zeros((1, n), np.float32), ("I",), fs), path)
    assert next(read(path)).fs == pytest.approx(fs, rel=1e-9)


def test_the_layout_is_the_contract(tmp_path: Path):
    counts = Counts(np.array([[0, 100], [5, -32768]]), np.array([200.0, 1000.0]), np.zeros(2), (None, -32768))
    write(ECG(counts, ("I", "aVF"), 500), tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == "time_s,I,aVF\n0.0,0.0,0.005\n0.002,0.5,\n"
    with (tmp_path / "a.csv").open() as file:
        assert [row["I"] for row in csv.DictReader(file)] == ["0.0", "0.5"]


def test_blocks_join_without_a_seam(tmp_path: Path):
    n = BLOCK_SAMPLES + 10
    signal = (np.arange(n) % 1000 / 1000).astype(np.float32)[None]
    write(ECG(signal, ("I",), 250), tmp_path / "a.csv")
    [ecg] = read(tmp_path / "a.csv")
    assert np.array_equal(ecg.signal, signal)
    assert ecg.fs == 250


def test_nothing_is_left_of_a_failure(tmp_path: Path):
    ecg = ECG(np.zeros((1, 5), np.float32), ("a,b",), 100)
    (tmp_path / "a.csv").write_text("before")
    with pytest.raises(WriteError, match="cannot be a CSV column"):
        write(ecg, tmp_path / "a.csv")
    with pytest.raises(WriteError, match="could not be written"):
        write(ECG(np.zeros((1, 5), np.float32), ("I",), 100), tmp_path / "absent" / "a.csv")
    assert (tmp_path / "a.csv").read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_a_failure_midway_leaves_the_file_as_it_was(tmp_path: Path):
    class Broken:
        shape, dtype = (1, 10), np.dtype(np.int16)

        def __getitem__(self, key: tuple[slice, slice], /) -> np.ndarray:
            raise OSError(5, "Input/output error")

    (tmp_path / "a.csv").write_text("before")
    with pytest.raises(WriteError, match="Input/output error"):
        write(ECG(Counts(Broken(), np.ones(1), np.zeros(1)), ("I",), 100), tmp_path / "a.csv")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]


def test_formats_by_suffix_and_by_name(tmp_path: Path):
    assert [format_of(f"a{suffix}") for suffix in (".hea", ".CSV", ".npz", ".dcm")] == ["wfdb", "csv", "npz", "dicom"]
    assert format_of("a.txt", "csv") == format_of("a.dcm", "CSV") == "csv"
    assert set(WRITERS) == {"wfdb", "csv", "npz", "dicom"}
    ecg = ECG(np.zeros((1, 5), np.float32), ("I",), 100)
    with pytest.raises(UsageError, match=r"suffix \.xyz.*\.hea, \.csv, \.npz, \.dcm"):
        write(ecg, tmp_path / "a.xyz")
    with pytest.raises(UsageError, match=r"format tiff cannot be written.*wfdb, dicom, csv, npz"):
        write(ecg, tmp_path / "a.csv", "tiff")
    write(ecg, tmp_path / "a.xyz", format="csv")
    assert (tmp_path / "a.xyz").read_text().startswith("time_s,I\n")
    assert companions("x/a.hea") == (Path("x/a.dat"),)
    assert companions("x/a.csv") == ()
