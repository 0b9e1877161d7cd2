"""`embed`: files → Parquet, in parts that outlast an interruption."""

from __future__ import annotations

import gc
import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import small_net
from cardioloom import __version__, load
from cardioloom.api import embedding_parts, embedding_run
from cardioloom.api.embedding import embed, embed_each
from cardioloom.errors import (
    CardioloomError,
    InternalError,
    MissingExtraError,
    ModelNotFoundError,
    PreparationError,
    ReadError,
    SomeFailedError,
    UsageError,
    WriteError,
)
from cardioloom.models import Model
from cardioloom.models.runtime import TorchRunner
from synthetic import ecg, write_exams, write_wfdb

FS = 100.0


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(small_net.model_folder(tmp_path_factory.mktemp("models") / "small"))


@pytest.fixture(scope="session")
def one_lead(tmp_path_factory: pytest.TempPathFactory) -> str:
    made = small_net.contract("small-1l", ("I",))
    return str(small_net.model_folder(tmp_path_factory.mktemp("models") / "small-1l", made))


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_run, "PART_ROWS", 2)


@pytest.fixture
def n_run(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many windows the net was given, call by call, apart from the golden pair's replay."""
    counted: list[int] = []
    run = TorchRunner.__call__

    def counting(self: TorchRunner, windows: np.ndarray) -> Any:
        counted.append(len(windows))
        return run(self, windows)

    load_model = Model.from_pretrained.__func__

    def loading(cls: type[Model], *args: Any, **options: Any) -> Model:
        loaded = load_model(cls, *args, **options)
        counted.clear()
        return loaded

    monkeypatch.setattr(TorchRunner, "__call__", counting)
    monkeypatch.setattr(Model, "from_pretrained", classmethod(loading))
    return counted


def records(folder: Path, n: int = 5, seconds: float = 2.0) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    return [
        write_wfdb(folder / f"r{i:04d}.hea", ecg(seconds=seconds, fs=FS, bpm=60 + i % 60, seed=i)) for i in range(n)
    ]


def rows(path: Path) -> dict[str, dict[str, Any]]:
    return {row["study_id"]: row for row in pq.read_table(path).to_pylist()}


def said(path: Path) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in pq.read_schema(path).metadata.items()}


def test_rows_are_what_the_model_says(model: str, tmp_path: Path):
    files = records(tmp_path / "in", seconds=5.0)
    out = embed(model, tmp_path / "in", tmp_path / "sub" / "out.parquet", batch=4)
    assert out == tmp_path / "sub" / "out.parquet"
    assert [path.name for path in out.parent.iterdir()] == ["out.parquet"]
    table, plain = rows(out), Model.from_pretrained(model)
    assert list(table) == [file.stem for file in files]
    for file in files:
        row = table[file.stem]
        np.testing.assert_allclose(row.pop("embedding"), plain.embed(load(file)), rtol=0, atol=1e-6)
        assert row.pop("study_id") == file.stem
        assert row == {
            "patient_id": None,
            "file": str(file),
            "n_windows": 3,
            "warnings": "",
            "age": 61.0,
            "sex": "F",
        }


def test_schema_and_metadata(model: str, tmp_path: Path):
    out = embed(model, *records(tmp_path, 2), tmp_path / "out.parquet")
    plain, facts = Model.from_pretrained(model), said(out)
    assert pq.read_schema(out).field("embedding").type == pa.list_(pa.float32(), small_net.N_FEATURES)
    assert facts.pop("cardioloom.options")
    assert facts == {
        "cardioloom.model": "small",
        "cardioloom.model_sha256": plain.sha256,
        "cardioloom.modality": "ecg",
        "cardioloom.trained_on": plain.contract.card.trained_on,
        "cardioloom.version": __version__,
        "cardioloom.open": "[]",
    }


def test_what_the_model_doubts_is_in_the_row(model: str, tmp_path: Path):
    header = write_wfdb(tmp_path / "short.hea", ecg(seconds=1.5, fs=200))
    row = rows(embed(model, header, tmp_path / "out.parquet"))["short"]
    assert "resampled from 200 to 100 Hz" in row["warnings"]
    assert "1.5 s of signal" in row["warnings"]
    assert row["n_windows"] == 1


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("batch", [1, 3])
def test_a_crash_costs_nothing_that_was_finished(
    model: str, tmp_path: Path, n_run: list[int], monkeypatch: pytest.MonkeyPatch, batch: int
):
    records(tmp_path / "in", 7)
    expected = rows(embed(model, tmp_path / "in", tmp_path / "whole.parquet", batch=batch))
    out = tmp_path / "out.parquet"
    flush, power = embedding_run.Run.flush, [True]
    with monkeypatch.context() as here:
        # As when the power goes: what is in no part yet is lost.
        here.setattr(embedding_run.Run, "flush", lambda self: flush(self) if power else None)
        run = iter(embed_each(model, tmp_path / "in", out, batch=batch))
        for _ in range(5):
            next(run)
        power.clear()
        run.close()
    assert not out.exists()
    finished = len(list(out.with_name("out.parquet.parts").glob("part-*"))) * 2
    assert 2 <= finished <= 4
    again = embed_each(model, tmp_path / "in", out, batch=batch)
    assert again.files_done == finished
    assert len(list(again)) == 7 - finished
    assert sum(n_run) == 7 - finished
    found = rows(out)
    assert list(found) == list(expected)
    for study, row in found.items():
        # The same up to rounding: other neighbours in a batch, another order of sums.
        np.testing.assert_allclose(row.pop("embedding"), expected[study].pop("embedding"), rtol=0, atol=1e-6)
    assert found == expected
    assert not out.with_name("out.parquet.parts").exists()


def test_a_crash_between_the_file_and_the_end_of_its_parts_doubles_no_row(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    records(tmp_path / "in", 3)
    broken = tmp_path / "in" / "r0001.dat"
    whole = broken.read_bytes()
    broken.unlink()
    out = tmp_path / "out[1].parquet"
    with monkeypatch.context() as here:
        here.setattr(embedding_parts.Parts, "_remove_parts", lambda _: None)
        with pytest.raises(SomeFailedError):
            embed(model, tmp_path / "in", out)
    assert out.exists()
    assert out.with_name("out[1].parquet.parts").exists()
    unfinished = tmp_path / ".out[1].parquet.0123abcd.part"
    unfinished.write_bytes(b"a merge that was killed")
    broken.write_bytes(whole)
    embed(model, tmp_path / "in", out)
    assert sorted(pq.read_table(out).column("study_id").to_pylist()) == ["r0000", "r0001", "r0002"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", out.name]


def test_leaving_the_loop_keeps_all_that_was_finished(model: str, tmp_path: Path, n_run: list[int]):
    """Ctrl-C: also what no part holds yet is written."""
    records(tmp_path / "in", 5)
    out = tmp_path / "out.parquet"
    run = iter(embed_each(model, tmp_path / "in", out, batch=1))
    for _ in range(3):
        next(run)
    run.close()
    assert embed_each(model, tmp_path / "in", out).files_done == 3
    n_run.clear()
    embed(model, tmp_path / "in", out)
    assert sum(n_run) == 2
    assert len(rows(out)) == 5


def test_failures_are_listed_and_tried_again(model: str, tmp_path: Path, n_run: list[int]):
    records(tmp_path / "in", 4)
    broken = tmp_path / "in" / "r0001.dat"
    whole = broken.read_bytes()
    broken.unlink()
    write_wfdb(tmp_path / "in" / "brief.hea", ecg(seconds=0.8, fs=FS))
    out = tmp_path / "out.parquet"
    with pytest.raises(SomeFailedError) as caught:
        embed(model, tmp_path / "in", tmp_path / "nothing*.hea", out)
    failed = dict(caught.value.failed)
    assert set(failed) == {str(tmp_path / "nothing*.hea"), "brief", str(broken.with_suffix(".hea"))}
    assert "small abstains: small needs at least 1 s, got 0.8 s" in str(failed["brief"])
    assert isinstance(failed[str(broken.with_suffix(".hea"))], ReadError)
    link = failed[str(broken.with_suffix(".hea"))].__traceback__
    while link.tb_next:
        link = link.tb_next
    assert not link.tb_frame.f_locals  # thousands of failures hold no arrays
    assert sorted(caught.value.done) == sorted(rows(out)) == ["r0000", "r0002", "r0003"]
    broken.write_bytes(whole)
    (tmp_path / "nothing1.hea").write_text("")  # still no ECG
    with pytest.raises(SomeFailedError, match="2 of 6 items failed"):
        embed(model, tmp_path / "in", tmp_path / "nothing*.hea", out)
    assert sum(n_run) == 1
    assert sorted(rows(out)) == ["r0000", "r0001", "r0002", "r0003"]
    assert not out.with_name("out.parquet.parts").exists()


def test_the_only_file_fails_with_its_own_error(model: str, tmp_path: Path):
    with pytest.raises(ReadError, match="does not exist"):
        embed(model, tmp_path / "absent.hea", tmp_path / "out.parquet")
    with pytest.raises(PreparationError, match="abstains"):
        embed(model, write_wfdb(tmp_path / "a.hea", ecg(seconds=0.8, fs=FS)), tmp_path / "out.parquet")
    assert [path.name for path in tmp_path.iterdir() if "parquet" in path.name] == []


def test_a_batch_that_fails_is_asked_one_by_one(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """One ECG on which the net breaks does not cost its neighbours, nor those after them."""
    files = records(tmp_path / "in", 6)
    bad = load(files[2]).signal
    run = TorchRunner.__call__

    def breaking(self: TorchRunner, windows: np.ndarray) -> Any:
        if any(np.allclose(window, bad) for window in windows if window.shape == bad.shape):
            raise RuntimeError("no such kernel")
        return run(self, windows)

    monkeypatch.setattr(TorchRunner, "__call__", breaking)
    with pytest.raises(SomeFailedError) as caught:
        embed(model, tmp_path / "in", tmp_path / "out.parquet", batch=4)
    ((name, error),) = caught.value.failed
    assert name == "r0002"
    assert isinstance(error, InternalError)
    assert isinstance(error.__cause__, RuntimeError)
    assert sorted(rows(tmp_path / "out.parquet")) == ["r0000", "r0001", "r0003", "r0004", "r0005"]


@pytest.mark.usefixtures("small_parts")
def test_a_file_of_many_goes_on_within_it(model: str, tmp_path: Path, n_run: list[int]):
    path, out = write_exams(tmp_path / "exams.hdf5", 5, spoil=3), tmp_path / "out.parquet"
    run = iter(embed_each(model, path, out, batch=1))
    for _ in range(2):
        next(run)
    run.close()
    n_run.clear()
    with pytest.raises(SomeFailedError, match="1 of 5 items failed"):
        embed(model, path, out)
    windows = [row["n_windows"] for row in rows(out).values()]
    assert sorted(rows(out)) == ["exams-11", "exams-12", "exams-13", "exams-15"]
    assert sum(n_run) == sum(windows[2:])
    write_exams(path, 5)
    n_run.clear()
    embed(model, path, out)
    assert sum(n_run) == windows[0]
    assert sorted(rows(out)) == [f"exams-{n}" for n in range(11, 16)]
    assert said(out)["cardioloom.open"] == "[]"


def test_study_ids_never_collide(model: str, tmp_path: Path):
    write_exams(tmp_path / "exams.hdf5", 5)
    write_wfdb(tmp_path / "exams-11.hea", ecg(fs=FS))
    for folder in ("a", "b"):
        records(tmp_path / folder, 1)
    table = pq.read_table(embed(model, tmp_path, tmp_path / "out.parquet"))
    ids = table.column("study_id").to_pylist()
    assert len(set(ids)) == len(ids) == 8
    assert {"a__r0000", "b__r0000", "exams-11", "exams-11-2"} <= set(ids)


def test_row_groups_are_bounded(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(embedding_run, "PART_ROWS", 2)
    monkeypatch.setattr(embedding_parts, "GROUP_ROWS", 4)
    out = embed(model, *records(tmp_path, 11), tmp_path / "out.parquet", batch=2)
    file = pq.ParquetFile(out)
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [4, 4, 3]
    file.close()


def test_one_lead(one_lead: str, model: str, tmp_path: Path):
    header = write_wfdb(tmp_path / "a.hea", ecg(seconds=2, fs=FS))
    plain = Model.from_pretrained(one_lead)
    for lead in (None, "V2", "-aVR"):
        out = tmp_path / f"{lead}.parquet"
        row = rows(embed(one_lead, header, out, lead=lead))["a"]
        np.testing.assert_allclose(row["embedding"], plain.embed(load(header), lead=lead), rtol=0, atol=1e-6)
        assert json.loads(said(out)["cardioloom.options"])["lead"] == lead
    with pytest.raises(UsageError, match="takes 12 leads, got --lead I"):
        embed(model, header, tmp_path / "out.parquet", lead="I")


def test_parts_of_another_job_are_refused(model: str, one_lead: str, tmp_path: Path):
    files, out = records(tmp_path / "in", 4), tmp_path / "out.parquet"
    run = iter(embed_each(one_lead, tmp_path / "in", out, lead="II", batch=1))
    next(run)
    run.close()
    for other in ({"model": model}, {"model": one_lead}, {"model": one_lead, "lead": "II", "unit": "mV"}):
        with pytest.raises(UsageError, match="was begun with") as caught:
            embed(other.pop("model"), tmp_path / "in", out, **other)
        assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="was begun with other files"):
        embed(one_lead, *files[1:], out, lead="II")
    part = next(out.with_name("out.parquet.parts").glob("part-*"))
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(UsageError, match="cannot be read as Parquet"):
        embed(one_lead, tmp_path / "in", out, lead="II")
    part.unlink()
    embed(one_lead, tmp_path / "in", out, lead="II")
    assert len(rows(out)) == 4


def test_wrong_calls(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    header, out = write_wfdb(tmp_path / "a.hea", ecg(fs=FS)), tmp_path / "out.parquet"
    for places, sentence in (
        ([out], "too few places"),
        ([header, header], "must be the file to write and end in .parquet"),
    ):
        with pytest.raises(UsageError, match=sentence):
            embed(model, *places)
    with pytest.raises(UsageError, match="--batch must be"):
        embed(model, header, out, batch=0)
    with pytest.raises(ModelNotFoundError):
        embed("no-such-model", header, out)
    (tmp_path / "folder.parquet").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        embed(model, header, tmp_path / "folder.parquet")
    embed(model, header, out)
    before = out.read_bytes()
    with pytest.raises(UsageError, match="exists: name another file"):
        embed(model, header, out)
    assert out.read_bytes() == before
    other = tmp_path / "other.parquet"
    other.write_text("no parquet")
    with pytest.raises(UsageError, match="cannot be read as Parquet"):
        embed(model, header, other)
    assert other.read_text() == "no parquet"
    with pytest.raises(WriteError, match="cannot be written to"):
        embed(model, header, header / "below-a-file.parquet")
    monkeypatch.setattr(embedding_parts, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="pyarrow"):
        embed(model, header, tmp_path / "new.parquet")


def test_one_run_at_a_time(model: str, tmp_path: Path):
    records(tmp_path / "in", 3)
    first = iter(embed_each(model, tmp_path / "in", tmp_path / "out.parquet", batch=1))
    next(first)
    with pytest.raises(UsageError, match="another run writes"):
        embed(model, tmp_path / "in", tmp_path / "out.parquet")
    assert len(list(first)) == 2
    assert len(rows(tmp_path / "out.parquet")) == 3


def test_what_is_not_ours_is_left_alone(model: str, tmp_path: Path):
    (tmp_path / "out.parquet.parts").mkdir()
    (tmp_path / "out.parquet.parts" / "notes.txt").write_text("mine")
    embed(model, *records(tmp_path / "in", 2), tmp_path / "out.parquet")
    assert (tmp_path / "out.parquet.parts" / "notes.txt").read_text() == "mine"


def test_progress_counts_files(model: str, tmp_path: Path):
    records(tmp_path / "in", 3)
    write_wfdb(tmp_path / "in" / "brief.hea", ecg(seconds=0.5, fs=FS))
    write_exams(tmp_path / "in" / "exams.hdf5", 5)
    embedding = embed_each(model, tmp_path / "in", tmp_path / "out.parquet", batch=2)
    items = list(embedding)
    counted = [item.files_done for item in items]
    assert counted == sorted(counted)
    assert counted[-1] == len(embedding.files) == 5
    assert [type(item.error) for item in items if item.error] == [PreparationError]
    assert all(isinstance(item.error, CardioloomError | None) for item in items)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_records(model: str, tmp_path: Path):
    """2,000 ECGs: what is allocated after the last is no more than after the first few hundred."""
    records(tmp_path / "in", 2000)
    embedding = embed_each(model, tmp_path / "in", tmp_path / "out.parquet")
    pool = pa.default_memory_pool()
    before = pool.bytes_allocated()
    tracemalloc.start()
    try:
        held = {}
        for n, _ in enumerate(embedding, 1):
            if n in (400, 1200, 2000):
                gc.collect()
                held[n] = tracemalloc.get_traced_memory()[0]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    names = 300 * (2000 - 400)  # a study_id of each
    assert held[2000] - held[400] < names
    assert peak - held[400] < 16 << 20
    assert pool.bytes_allocated() - before < 1 << 20
    assert pq.read_metadata(tmp_path / "out.parquet").num_rows == 2000
