"""Packed shards: the same samples in fewer bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from cardioloom.api.cohorts import build_cohort
from cardioloom.errors import DamagedFileError, UsageError
from cardioloom.readers import read
from cardioloom.store import Folder, Loader, Modality
from cardioloom.store.check import check
from cardioloom.store.packing import pack, unpack
from synthetic import ecg, write_wfdb


@given(arrays(np.int16, array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.integers(-32768, 32767)))
def test_nothing_is_lost(counts: np.ndarray):
    out = np.empty_like(counts)
    unpack(pack(counts), out)
    np.testing.assert_array_equal(out, counts)


@pytest.mark.parametrize("where", [2, -6, -1])
def test_a_changed_byte_is_noticed(where: int):
    counts = np.random.default_rng(0).integers(-99, 99, (12, 500)).astype(np.int16)
    packed = bytearray(pack(counts))
    packed[where] ^= 8
    with pytest.raises(DamagedFileError, match="copy the cohort again"):
        unpack(bytes(packed), np.empty_like(counts))


def built(tmp_path: Path, *, packed: bool) -> Folder:
    for k in range(9):
        write_wfdb(tmp_path / f"r{k}.hea", ecg(seconds=2.0, seed=k))
    lines = ["file,patient_id", *(f"r{k}.hea,p{k}" for k in range(9))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    out = tmp_path / ("packed" if packed else "plain")
    build_cohort(tmp_path / "t.csv", out, seconds=2.0, shard_rows=4, packed=packed, workers=1)
    return Folder.at(out)


def test_a_packed_cohort_is_read_like_any_other(tmp_path: Path):
    plain, packed = built(tmp_path, packed=False), built(tmp_path, packed=True)
    assert packed.cohort().fingerprint() == plain.cohort().fingerprint()
    pairs = zip(Loader(plain, seed=1, batch=4).batches(0), Loader(packed, seed=1, batch=4).batches(0), strict=True)
    for one, other in pairs:
        np.testing.assert_array_equal(one.counts["ecg"], other.counts["ecg"])
        np.testing.assert_array_equal(one.scales["ecg"], other.scales["ecg"])
    sizes = [(folder.path / "ecg" / "000000.npy").stat().st_size for folder in (packed, plain)]
    assert sizes[0] < 0.6 * sizes[1]
    assert np.load(packed.path / "ecg" / "000000.npy").dtype == np.uint8
    assert check(packed.path).problems == []


@pytest.mark.parametrize("name", ["000001.npy", "000001.index.npy"])
def test_a_packed_shard_that_is_cut_short_is_a_sentence(tmp_path: Path, name: str):
    folder = built(tmp_path, packed=True)
    path = folder.path / "ecg" / name
    path.write_bytes(path.read_bytes()[:140])
    assert [problem.code for problem in check(folder.path).problems] == ["shard"]
    with pytest.raises(DamagedFileError, match=r"ecg/000001\.npy"):
        list(Loader(folder).batches(0))


def test_frames_are_not_packed():
    with pytest.raises(UsageError, match="only \\(lead, time\\) int16 is packed"):
        Modality("echo", (2, 4, 4), "uint8", is_packed=True)


def test_real_records_become_half_as_large(shared: Path):
    paths = sorted((shared / "data/ecg/ptbxl").rglob("*.hea"))[:12]
    records = [next(read(path)) for path in paths]
    counts = [np.asarray(record.counts.values[:, :], np.int16) for record in records if record.counts is not None]
    sizes = [len(pack(own)) for own in counts if own.shape == (12, 5000)]
    assert len(sizes) >= 10
    assert np.mean(sizes) < 60_000
