"""MATLAB files of versions 4, 5 and 7.3 against the datasets' own values and scipy's writer."""

from __future__ import annotations

import csv
import json
import struct
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st

from cardioloom.errors import CardioloomError, DamagedFileError, LimitError, MissingFactError, NotAnECGError, UsageError
from cardioloom.readers import mat, read, sniff
from cardioloom.readers.told import Told
from cardioloom.records import STANDARD_LEADS

TOLD = Told(fs=500, leads=STANDARD_LEADS, unit="uV")


def samples(n: int = 50) -> np.ndarray:
    return (np.arange(12 * n).reshape(12, n) * 7) % 400 - 200


def test_every_row_of_the_shared_pack(shared: Path):
    root, seen = shared / "data/ecg", 0
    for row in csv.DictReader((root / "records.csv").read_text().splitlines()):
        path = root / row["path"]
        if path.suffix != ".mat":
            continue
        loaded = scipy.io.loadmat(path)
        if row["source"] == "cpsc2018_struct":
            expected = loaded["ECG"][0, 0]["data"]
        else:
            expected = loaded["feats"] if row["source"] == "code15" else loaded["signal"].T
        [ecg] = read(path)
        assert (ecg.fs, ecg.leads) == (float(row["fs"]), STANDARD_LEADS)
        assert np.array_equal(ecg.signal, expected.astype(np.float32))
        assert any("layout" in note for note in ecg.notes)
        if row["source"] == "cpsc2018_struct":
            assert ecg.patient == {"age": float(row["age"]), "sex": row["sex"]}
        seen += 1
    assert seen == 21


def test_cpsc_oracles(shared: Path):
    for name in ("A1980", "A1983"):
        path = shared / f"data/formats/mat_cpsc2018/{name}.mat"
        oracle = json.loads(Path(f"{path}.oracle.json").read_text())
        [ecg] = read(path)
        for lead, row in zip(ecg.leads, ecg.signal, strict=True):
            assert row[:5] == pytest.approx(oracle["leads"][lead]["first5"], abs=1e-6)
            assert row.max() == pytest.approx(oracle["leads"][lead]["max"], abs=1e-6)


@pytest.mark.parametrize("form", ["4", "5"])
def test_challenge_matrix_needs_what_it_does_not_say(tmp_path: Path, form: str):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"val": samples().astype(np.int16)}, format=form)
    assert sniff(path) == "mat"
    for told, text in (
        (Told(), "--leads"),
        (Told(leads=STANDARD_LEADS), "--fs"),
        (Told(500, STANDARD_LEADS), "--unit"),
    ):
        with pytest.raises(MissingFactError, match=text):
            list(read(path, told))
    [ecg] = read(path, TOLD)
    assert ecg.counts is not None
    assert np.array_equal(ecg.counts.values[:, :], samples())
    assert ecg.signal == pytest.approx(samples() / 1000, abs=1e-6)
    with pytest.raises(UsageError, match="names 2"):
        list(read(path, Told(500, ("I", "II"), "mV")))


def test_version_7_3(tmp_path: Path):
    path = tmp_path / "a.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["val"] = samples().T.astype(float)
        file["fs"] = np.array([[250.0]])
        file["fs"].attrs["MATLAB_class"] = np.bytes_("double")
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: none".ljust(124) + b"\x00\x02IM")
    assert sniff(path) == "mat"
    [ecg] = read(path, Told(leads=STANDARD_LEADS, unit="mV"))
    assert ecg.fs == 250
    assert np.array_equal(ecg.signal, samples().astype(np.float32))


def test_version_7_3_struct_of_cpsc(tmp_path: Path):
    path = tmp_path / "a.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        group = file.create_group("ECG")
        group["data"] = samples().T / 100
        group["age"] = np.array([[61.0]])
        group["sex"] = np.array([[ord(letter)] for letter in "Female"], np.uint16)
        group["sex"].attrs["MATLAB_class"] = np.bytes_("char")
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: none".ljust(124) + b"\x00\x02IM")
    [ecg] = read(path)
    assert ecg.patient == {"age": 61.0, "sex": "F"}
    assert np.array_equal(ecg.signal, (samples() / 100).astype(np.float32))


def test_time_first_is_turned_and_noted(tmp_path: Path):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"x": samples().T / 1000})
    [ecg] = read(path, Told(500, STANDARD_LEADS, "mV"))
    assert ecg.shape == (12, 50)
    assert "(time, lead)" in ecg.notes[0]


def test_signal_of_another_name_gets_no_layout(tmp_path: Path):
    path = tmp_path / "mine.mat"
    scipy.io.savemat(path, {"signal": samples().T / 1000})
    with pytest.raises(MissingFactError):
        list(read(path))


def test_no_or_two_matrices_are_refused(tmp_path: Path):
    path = tmp_path / "a.mat"
    for content in ({"a": "text"}, {"a": samples(), "b": samples()}, {"a": np.array([[{"x": 1}]], object)}):
        scipy.io.savemat(path, content)
        with pytest.raises(NotAnECGError, match="one matrix"):
            list(read(path, TOLD))


def test_infinite_values_are_refused(tmp_path: Path):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"val": np.where(samples() > 100, np.inf, 0.0)})
    with pytest.raises(DamagedFileError, match="infinite"):
        list(read(path, TOLD))


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mat, "MAX_VALUES_IN_MEMORY", 1000)
    body = zlib.compress(bytes(1 << 20))
    path = tmp_path / "a.mat"
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + struct.pack("<2I", 15, len(body)) + body)
    with pytest.raises(LimitError, match="unpacks"):
        list(read(path))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_truncation_is_refused_or_read(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    folder = tmp_path_factory.mktemp("mat")
    content = {"val": samples(20).astype(np.int16)}
    form, packed = data.draw(st.sampled_from([("4", False), ("5", False), ("5", True)]))
    scipy.io.savemat(folder / "a.mat", content, format=form, do_compression=packed)
    whole = (folder / "a.mat").read_bytes()
    (folder / "b.mat").write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    try:
        [ecg] = read(folder / "b.mat", TOLD)
    except CardioloomError:
        return
    assert ecg.shape[0] == 12


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_changed_byte_is_refused_or_read(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    """An unknown element type in version 5 makes scipy's reader crash the process, so it must not get that far."""
    path = tmp_path_factory.mktemp("mat") / "a.mat"
    ecg = {"ECG": {"data": samples(5) / 100, "age": 61, "sex": "Male"}}
    scipy.io.savemat(path, ecg, do_compression=data.draw(st.booleans()))
    whole = bytearray(path.read_bytes())
    # The header's date differs from run to run: only what follows it is changed.
    for _ in range(data.draw(st.integers(1, 3))):
        whole[128 + data.draw(st.integers(0, 250))] = data.draw(st.integers(0, 255))
    path.write_bytes(whole)
    try:
        [found] = read(path)
    except CardioloomError:
        return
    assert found.shape[0] in (5, 12)


@pytest.mark.parametrize("kind", [8, 10, 14, 16, 20, 200, 4000])
def test_an_unknown_element_type_does_not_reach_scipy(tmp_path: Path, kind: int):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"val": samples().astype(float)})
    whole = bytearray(path.read_bytes())
    at = whole.index(struct.pack("<2I", 9, 12 * 50 * 8))
    whole[at : at + 4] = struct.pack("<I", kind)
    path.write_bytes(whole)
    with pytest.raises(DamagedFileError, match="damaged"):
        list(read(path, TOLD))


def test_objects_are_refused(tmp_path: Path):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"val": samples().astype(float)})
    whole = bytearray(path.read_bytes())
    flags = whole.index(struct.pack("<2I", 6, 8)) + 8
    whole[flags] = 17  # the class of opaque objects
    path.write_bytes(whole)
    with pytest.raises(NotAnECGError, match="MATLAB objects"):
        list(read(path, TOLD))
