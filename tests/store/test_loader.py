"""Batches: what is asked for, in an order that depends on the seed alone, shared out without overlap."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardioloom.errors import DamagedFileError, RecordError, UsageError
from cardioloom.store import Folder, Loader
from cardioloom.store.entry import hash_column


def rows_of(loader: Loader, epoch: int) -> list[int]:
    return [row for batch in loader.batches(epoch) for row in batch.rows.tolist()]


def test_each_row_is_that_of_its_study(sound: Folder):
    cohort = sound.cohort()
    for batch in Loader(sound, ("ecg", "echo"), batch=7, seed=1).batches(0):
        millivolts = batch.millivolts()
        for at, row in enumerate(batch.rows):
            assert (batch.counts["echo"][at] == row).all()  # the frames of study k are all k
            np.testing.assert_allclose(millivolts[at], cohort[row].ecg.signal, rtol=1e-6, atol=1e-7)


def test_an_epoch_has_every_study_once_and_pairs_only_whole_ones(sound: Folder):
    assert sorted(rows_of(Loader(sound), 0)) == list(range(60))
    pairs = rows_of(Loader(sound, ("ecg", "echo")), 0)
    assert sorted(pairs) == [k for k in range(60) if k % 5]


def test_the_same_seed_and_epoch_give_the_same_order_and_others_another(sound: Folder):
    order = rows_of(Loader(sound, seed=4), 2)
    assert rows_of(Loader(sound, seed=4, batch=5), 2) == order
    assert rows_of(Loader(sound, seed=4), 3) != order
    assert rows_of(Loader(sound, seed=5), 2) != order


def test_one_study_a_patient_is_drawn_anew_every_epoch(sound: Folder):
    loader = Loader(sound, draw="one", seed=2)
    seen: set[int] = set()
    for epoch in range(30):
        rows = rows_of(loader, epoch)
        assert sorted(row // 3 for row in rows) == list(range(20))
        seen |= set(rows)
    assert seen == set(range(60))


@given(
    ranks=st.integers(1, 4), workers=st.integers(1, 3), batch=st.integers(1, 9), draw=st.sampled_from(["one", "all"])
)
def test_ranks_and_workers_share_without_overlap(sound: Folder, ranks: int, workers: int, batch: int, draw: str):
    whole = rows_of(Loader(sound, batch=batch, draw=draw), 1)
    parts = [
        [
            rows_of(Loader(sound, batch=batch, draw=draw, rank=r, ranks=ranks, worker=w, workers=workers), 1)
            for w in range(workers)
        ]
        for r in range(ranks)
    ]
    lengths = {sum(map(len, own)) for own in parts}
    assert lengths == {len(whole) // ranks}
    shown = [row for own in parts for part in own for row in part]
    assert len(shown) == len(set(shown))
    assert set(shown) <= set(whole)


def test_a_split_is_of_its_patients_alone(sound: Folder):
    columns = sound.columns
    for split in ("train", "test"):
        assert {columns["split"][row] for row in rows_of(Loader(sound, split=split), 0)} == {split}


def test_batches_lie_in_the_callers_buffer(sound: Folder):
    out = {"ecg": np.empty((8, 12, 200), np.int16)}
    fresh = Loader(sound, batch=8, seed=1).batches(0)
    for batch, plain in zip(Loader(sound, batch=8, seed=1).batches(0, out), fresh, strict=True):
        assert np.shares_memory(batch.counts["ecg"], out["ecg"])
        np.testing.assert_array_equal(batch.counts["ecg"], plain.counts["ecg"])
    wrong = {"ecg": np.empty((8, 12, 100), np.int16)}
    with pytest.raises(UsageError, match=r"the buffer must be int16 \(8, 12, 200\)"):
        next(Loader(sound, batch=8).batches(0, wrong))


def test_gaps_are_nan(folder: Folder):
    path = folder.path / "ecg" / "000000.npy"
    shard = np.lib.format.open_memmap(path, "r+")
    shard[3, 5, 7:9] = -32768
    shard.flush()
    batch = Loader(folder).read(np.array([3, 4]))
    assert np.argwhere(np.isnan(batch.millivolts())).tolist() == [[0, 5, 7], [0, 5, 8]]


def test_a_loader_may_be_sent_to_another_process(sound: Folder):
    loader = Loader(sound, seed=3)
    order = rows_of(loader, 0)  # its files are open now
    again = pickle.loads(pickle.dumps(loader))
    assert rows_of(again, 0) == order


@pytest.mark.parametrize("keep", [100, 0, 30_000])
def test_a_shard_that_is_cut_short_is_a_sentence(folder: Folder, keep: int):
    path = folder.path / "ecg" / "000001.npy"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DamagedFileError, match=r"ecg/000001\.npy .*copy it again"):
        rows_of(Loader(folder), 0)


def test_a_shard_that_is_missing_is_a_sentence(folder: Folder):
    shutil.rmtree(folder.path / "echo")
    with pytest.raises(DamagedFileError, match=r"echo/00000\d\.npy cannot be opened"):
        rows_of(Loader(folder, ("ecg", "echo")), 0)


def test_wrong_calls_say_what_is_right(sound: Folder):
    for values in ({"draw": "some"}, {"batch": 0}, {"rank": 2, "ranks": 2}, {"worker": -1}, {"ranks": 61, "rank": 0}):
        with pytest.raises(UsageError):
            Loader(sound, **values)
    with pytest.raises(RecordError, match="has ecg, echo, not cine_sax"):
        Loader(sound, ("cine_sax",))
    with pytest.raises(RecordError, match="not 'fold1'"):
        Loader(sound, split="fold1")


def test_no_more_files_are_open_than_allowed(folder: Folder, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cardioloom.store.shards.MAX_OPEN_FILES", 2)
    loader = Loader(folder, batch=60)
    (batch,) = loader.batches(0)
    assert len(loader.readers["ecg"]._files) == 2
    monkeypatch.undo()
    (whole,) = Loader(folder, batch=60).batches(0)
    np.testing.assert_array_equal(batch.counts["ecg"], whole.counts["ecg"])
    assert hash_column("echo") == "hash_echo"
    assert Path(folder.path).is_dir()
