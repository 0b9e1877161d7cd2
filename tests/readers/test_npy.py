"""NPY and NPZ."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardioloom.errors import CardioloomError, DamagedFileError, LimitError, MissingFactError, NotAnECGError
from cardioloom.readers import find, npy, read, sniff
from cardioloom.readers.told import Told
from cardioloom.records import STANDARD_LEADS

TOLD = Told(fs=500, leads=STANDARD_LEADS, unit="mV")


def samples(n: int = 40) -> np.ndarray:
    return np.sin(np.arange(12 * n).reshape(12, n)).astype(np.float32)


def test_contract_needs_no_options(tmp_path: Path):
    path = tmp_path / "a.npz"
    signal = samples()
    signal[3, 4] = np.nan
    np.savez(path, signal=signal, leads=np.array(STANDARD_LEADS), fs=360.0, age=71, sex="F", derived=np.array(["III"]))
    assert sniff(path) == "npy"
    [ecg] = read(path)
    assert np.array_equal(ecg.signal, signal, equal_nan=True)
    assert (ecg.leads, ecg.fs, ecg.derived) == (STANDARD_LEADS, 360.0, ("III",))
    assert ecg.patient == {"age": 71.0, "sex": "F"}
    assert ecg.notes == ()


def test_counts_travel(tmp_path: Path):
    counts = np.arange(80).reshape(2, 40).astype(np.int32)
    gain, baseline = np.array([200.0, 100.0]), np.array([1.5, 0.0])
    signal = ((counts - baseline[:, None]) / gain[:, None]).astype(np.float32)
    path = tmp_path / "a.npz"
    arrays = {"signal": signal, "leads": ["I", "II"], "fs": 100, "counts": counts, "gain": gain, "baseline": baseline}
    np.savez(path, **arrays, invalid=[7, np.nan])
    [ecg] = read(path)
    assert ecg.counts is not None
    assert np.array_equal(ecg.counts.values[:, :], counts)
    assert ecg.counts.invalid == (7, None)
    assert np.isnan(ecg.signal[0, 7])
    np.savez(path, **(arrays | {"counts": counts[:, 1:]}))
    with pytest.raises(DamagedFileError, match="export it again"):
        list(read(path))


def test_bare_arrays_need_to_be_told(tmp_path: Path):
    path = tmp_path / "a.npy"
    np.save(path, samples().T.astype(float))
    with pytest.raises(MissingFactError, match=r"12 channels.*--leads I,II,… --fs HZ --unit mV"):
        list(read(path))
    with pytest.raises(MissingFactError, match=r"no sampling rate: give it with --fs HZ$"):
        list(read(path, Told(leads=STANDARD_LEADS, unit="mV")))
    [ecg] = read(path, TOLD)
    assert np.array_equal(ecg.signal, samples())
    np.save(path, np.arange(50, dtype=np.int16))
    [ecg] = read(path, Told(250, ("MLII",), "uV"))
    assert ecg.leads == ("MLII",)
    assert ecg.counts is not None
    assert ecg.signal[0] == pytest.approx(np.arange(50) / 1000)
    assert find(tmp_path / "a.npy") == [path]


def test_many_channels_are_asked_for_their_names_first(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.zeros((5000, 5001), np.int8))
    with pytest.raises(MissingFactError, match=r"5000 channels.*--leads"):
        list(read(tmp_path / "a.npy", Told(fs=500, unit="mV")))


def test_an_impossible_age_is_noted(tmp_path: Path):
    path = tmp_path / "a.npz"
    for age, n_notes in ((300, 1), (-1, 1), (np.inf, 1), (np.nan, 0), (130, 0)):
        np.savez(path, signal=samples(), leads=np.array(STANDARD_LEADS), fs=360.0, age=age)
        [ecg] = read(path)
        assert ecg.patient == ({} if age != 130 else {"age": 130.0})
        assert [note for note in ecg.notes if "age was left out" in note] == list(ecg.notes)
        assert len(ecg.notes) == n_notes


def test_large_integers_stay_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(npy, "LAZY_VALUES", 10)
    np.save(tmp_path / "a.npy", np.arange(60, dtype=np.int16).reshape(2, 30))
    [ecg] = npy.read(tmp_path / "a.npy", Told(250, ("I", "II"), "mV"))
    assert ecg.signal[1, 3] == 33


def test_npz_of_another_maker(tmp_path: Path):
    path = tmp_path / "a.npz"
    np.savez(path, x=samples(), fs=250)
    [ecg] = read(path, TOLD)
    assert ecg.fs == 250
    np.savez(path, x=samples(), y=samples())
    with pytest.raises(NotAnECGError, match="one array"):
        list(read(path, TOLD))


def test_a_folder_passes_over_what_is_no_ecg(tmp_path: Path):
    np.savez(tmp_path / "ecg.npz", signal=samples(), leads=np.array(STANDARD_LEADS), fs=500)
    np.savez(tmp_path / "predictions.npz", p=samples())
    np.save(tmp_path / "mask.npy", samples())
    assert [path.name for path in find(tmp_path)] == ["ecg.npz"]


def test_python_objects_are_refused(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", signal=np.array([{"a": 1}], object), leads=["I"], fs=1)
    for name in ("a.npy", "a.npz"):
        with pytest.raises(DamagedFileError, match="could not be read"):
            list(read(tmp_path / name, TOLD))


@pytest.mark.parametrize(
    ("array", "error", "text"),
    [
        (np.full((12, 5), np.inf), DamagedFileError, "infinite"),
        (np.zeros((12, 0)), NotAnECGError, "not samples"),
        (np.zeros((12, 5), complex), NotAnECGError, "complex"),
        (np.zeros((12, 5), bool), NotAnECGError, "bool"),
        (np.zeros((2, 12, 5)), NotAnECGError, "one ECG a file"),
    ],
)
def test_what_is_no_signal_is_refused(tmp_path: Path, array: np.ndarray, error: type[Exception], text: str):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(error, match=text):
        list(read(tmp_path / "a.npy", TOLD))


def test_a_header_that_promises_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    member = io.BytesIO()
    np.lib.format.write_array_header_1_0(member, {"descr": "<f8", "fortran_order": False, "shape": (12, 1 << 40)})
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("signal.npy", member.getvalue() + b"few")
    with pytest.raises(DamagedFileError, match="promises"):
        list(read(path, TOLD))
    (tmp_path / "a.npy").write_bytes(member.getvalue() + b"few")
    with pytest.raises(DamagedFileError):
        list(read(tmp_path / "a.npy", TOLD))
    np.savez_compressed(path, x=np.zeros((12, 1 << 15)))
    monkeypatch.setattr(npy, "MAX_ARRAY_BYTES", 1 << 16)
    with pytest.raises(LimitError, match="unpacks"):
        list(read(path, TOLD))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_truncation_is_refused_or_read(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    folder = tmp_path_factory.mktemp("npy")
    suffix = data.draw(st.sampled_from([".npy", ".npz"]))
    if suffix == ".npy":
        np.save(folder / "a.npy", samples())
    else:
        np.savez(folder / "a.npz", signal=samples(), leads=np.array(STANDARD_LEADS), fs=500)
    whole = (folder / f"a{suffix}").read_bytes()
    path = folder / f"b{suffix}"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(CardioloomError):
        list(read(path, TOLD))


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_changed_byte_is_refused_or_read(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    path = tmp_path_factory.mktemp("npy") / data.draw(st.sampled_from(["a.npy", "a.npz"]))
    if path.suffix == ".npy":
        np.save(path, samples(5).astype(float))
    else:
        np.savez_compressed(path, signal=samples(5), leads=np.array(STANDARD_LEADS), fs=500)
    whole = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, 590))] = data.draw(st.integers(0, 255))
    path.write_bytes(whole)
    try:
        list(read(path, TOLD))
    except CardioloomError:
        return
