"""HDF5: SPH, plain files and CODE-15's exam files."""

from __future__ import annotations

import csv
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardioloom.errors import CardioloomError, DamagedFileError, LimitError, MissingFactError, NotAnECGError, UsageError
from cardioloom.readers import find, hdf5, read, read_each, sniff
from cardioloom.readers.hdf5_check import check_heaps
from cardioloom.readers.told import Told
from cardioloom.records import ECG, STANDARD_LEADS, Source


def samples(n: int = 40) -> np.ndarray:
    return np.sin(np.arange(12 * n).reshape(12, n)).astype(np.float32)


def make(path: Path, **datasets: object) -> Path:
    with h5py.File(path, "w") as file:
        for name, value in datasets.items():
            file[name] = value
    return path


def test_every_sph_row_of_the_shared_pack(shared: Path):
    root, seen = shared / "data/ecg", 0
    for row in csv.DictReader((root / "records.csv").read_text().splitlines()):
        path = root / row["path"]
        if path.suffix != ".h5":
            continue
        [ecg] = read(path)
        with h5py.File(path) as file:
            assert np.array_equal(ecg.signal, file["ecg"][()].astype(np.float32))
        assert (ecg.fs, ecg.leads) == (500.0, STANDARD_LEADS)
        assert sum("SPH layout" in note for note in ecg.notes) == 3
        seen += 1
    assert seen == 8


def test_plain_file_with_attributes(tmp_path: Path):
    path = make(tmp_path / "a.h5", ecg=samples().T)
    with h5py.File(path, "a") as file:
        file.attrs["sampling_rate"] = 250
        file["ecg"].attrs["leads"] = list(STANDARD_LEADS)
        file["ecg"].attrs["unit"] = "uV"
        file.attrs["age"], file.attrs["sex"] = 50, "F"
    [ecg] = read(path)
    assert (ecg.fs, ecg.leads, ecg.patient) == (250.0, STANDARD_LEADS, {"age": 50.0, "sex": "F"})
    assert ecg.signal == pytest.approx(samples() / 1000, abs=1e-9)
    assert "(time, lead)" in ecg.notes[0]


def test_plain_file_without_facts(tmp_path: Path):
    path = make(tmp_path / "a.h5", ecg=samples(), leads="I,II,III,aVR,aVL,aVF,V1,V2,V3,V4,V5,V6")
    with pytest.raises(MissingFactError, match="--fs"):
        list(read(path))
    [ecg] = read(path, Told(fs=500, unit="mV"))
    assert np.array_equal(ecg.signal, samples())


def code15(path: Path) -> tuple[Path, np.ndarray]:
    tracings = np.zeros((3, 100, 12), np.float32)
    tracings[0, 10:90] = samples(80).T + 2
    tracings[1] = samples(100).T + 2
    return make(path, exam_id=np.array([1169160, 77, 0]), tracings=tracings), tracings


def test_exam_files_give_one_ecg_an_exam(tmp_path: Path):
    path, tracings = code15(tmp_path / "exams_part0.hdf5")
    first, second = read(path)
    assert np.array_equal(first.signal, tracings[0, 10:90].T)
    assert "exam 1169160 of exams_part0.hdf5" in first.notes
    assert any("10 samples of zeros before and 10 after" in note for note in first.notes)
    assert any("unit mV assumed from the CODE-15 layout" in note for note in first.notes)
    assert np.array_equal(second.signal, tracings[1].T)
    assert (second.fs, second.leads) == (400.0, STANDARD_LEADS)
    assert second.source == Source(path, "hdf5", (path,), "77")


def test_one_bad_exam_stops_no_other(tmp_path: Path):
    path, tracings = code15(tmp_path / "a.hdf5")
    tracings = np.concatenate([np.full_like(tracings[:1], np.nan), tracings])
    tracings[1, 20, 3] = np.inf
    make(path, exam_id=np.array([5, 1169160, 77, 0]), tracings=tracings)
    empty, infinite, good = read_each(path)
    assert isinstance(empty, NotAnECGError)
    assert "exam 5 of a.hdf5 has no value in any lead" in str(empty)
    assert isinstance(infinite, DamagedFileError)
    assert "exam 1169160 of a.hdf5 holds infinite values" in str(infinite)
    assert isinstance(good, ECG)
    assert good.source is not None
    assert good.source.record == "77"
    with pytest.raises(NotAnECGError, match="exam 5"):
        list(read(path))


def test_a_damaged_chunk_costs_its_exam_only(tmp_path: Path):
    tracings = np.random.default_rng(0).normal(size=(2, 100, 12))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("tracings", data=tracings, chunks=(1, 100, 12), fletcher32=True)
        chunk = data.id.get_chunk_info(0)
    whole = bytearray((tmp_path / "a.h5").read_bytes())
    whole[chunk.byte_offset + 5] ^= 1
    (tmp_path / "a.h5").write_bytes(whole)
    bad, good = read_each(tmp_path / "a.h5")
    assert isinstance(bad, DamagedFileError)
    assert "exam 0 of a.h5 could not be read" in str(bad)
    assert isinstance(good, ECG)


def test_a_wrong_call_is_no_exams_fault(tmp_path: Path):
    path = make(tmp_path / "a.h5", tracings=np.ones((2, 100, 3)))
    with pytest.raises(UsageError, match="--leads names 2"):
        list(read_each(path, Told(leads=("I", "II"))))


def test_exams_are_read_one_at_a_time(tmp_path: Path):
    path, _ = code15(tmp_path / "a.hdf5")
    exams = read(path)
    assert next(exams).shape == (12, 80)
    exams.close()


def test_folders_pass_over_other_hdf5(tmp_path: Path):
    make(tmp_path / "ecg.h5", ecg=samples())
    make(tmp_path / "weights.h5", kernel=samples())
    (tmp_path / "broken.h5").write_bytes(hdf5.MAGIC + b"nothing")
    assert [path.name for path in find(tmp_path)] == ["broken.h5", "ecg.h5"]
    with pytest.raises(NotAnECGError, match="kernel"):
        list(read(tmp_path / "weights.h5"))


def test_contradictions_and_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = make(tmp_path / "a.h5", exam_id=np.arange(2), tracings=np.zeros((3, 5, 12)))
    with pytest.raises(DamagedFileError, match="2 exam ids for 3"):
        list(read(path))
    path = make(tmp_path / "b.h5", ecg=samples(), fs=0)
    with pytest.raises(DamagedFileError, match="cannot be"):
        list(read(path, Told(leads=STANDARD_LEADS, unit="mV")))
    monkeypatch.setattr(hdf5, "MAX_VALUES_IN_MEMORY", 100)
    with pytest.raises(LimitError, match="480 values"):
        list(read(path))


def test_links_to_other_files_are_not_followed(tmp_path: Path):
    make(tmp_path / "other.h5", ecg=samples())
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["ecg"] = h5py.ExternalLink("other.h5", "/ecg")
    with pytest.raises(NotAnECGError):
        list(read(tmp_path / "a.h5"))


def test_user_block_is_recognised(tmp_path: Path):
    with h5py.File(tmp_path / "a.bin", "w", userblock_size=512) as file:
        file["ecg"] = samples()
    assert sniff(tmp_path / "a.bin") == "hdf5"


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_truncation_is_refused_or_read(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    folder = tmp_path_factory.mktemp("hdf5")
    whole = make(folder / "a.h5", ecg=samples().astype(np.float16)).read_bytes()
    (folder / "b.h5").write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    try:
        [ecg] = read(folder / "b.h5")
    except CardioloomError:
        return
    assert ecg.shape[0] == 12


def test_a_heap_that_would_loop_forever_is_refused(tmp_path: Path):
    """A free-space object of the wrong size: the HDF5 library then reads objects of no size, without end."""
    path = make(tmp_path / "a.h5", ecg=samples())
    with h5py.File(path, "a") as file:
        file["ecg"].attrs["leads"] = list(STANDARD_LEADS)
    check_heaps(path)
    whole = bytearray(path.read_bytes())
    heap = whole.index(b"GCOL")
    size = int.from_bytes(whole[heap + 8 : heap + 16], "little")
    free = heap + 16 + sum(16 + 8 for _ in STANDARD_LEADS)
    assert int.from_bytes(whole[free + 8 : free + 16], "little") == heap + size - free
    whole[free + 9] ^= 14
    path.write_bytes(whole)
    with pytest.raises(DamagedFileError, match="global heap"):
        list(read(path, Told(fs=500, unit="mV")))
