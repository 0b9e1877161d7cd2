"""The index: exactly what a plain loop finds, whatever the blocks, and only in files that `embed` wrote."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cardioloom.api.embedding_parts import schema
from cardioloom.errors import DamagedFileError, LimitError, MissingExtraError, UsageError
from cardioloom.store import index as indices
from cardioloom.store import nearest as search
from cardioloom.store.graph import footer_sum
from cardioloom.store.index import Index
from cardioloom.store.index_facts import said_by
from cardioloom.store.nearest import nearest, unit

FACTS = {"model": "small", "model_sha256": "0" * 64, "modality": "ecg"}


def loop(
    vectors: NDArray[np.float32], queries: NDArray[np.float32], k: int, without: Mapping[int, set[int]]
) -> tuple[list[list[int]], list[list[float]]]:
    """Every cosine of every query in float64, sorted."""
    rows, cosines = [], []
    for n, query in enumerate(queries.astype(np.float64)):
        found = [
            (-float(np.einsum("j,j->", query, vector.astype(np.float64))), row) for row, vector in enumerate(vectors)
        ]
        best = sorted(pair for pair in found if pair[1] not in without.get(n, set()))[:k]
        rows.append([row for _, row in best])
        cosines.append([-cosine for cosine, _ in best])
    return rows, cosines


def check(vectors: NDArray[np.float32], queries: NDArray[np.float32], k: int, without: Mapping[int, set[int]]) -> None:
    pairs = [(query, row) for query, rows in without.items() for row in rows]
    columns = tuple(np.array(pairs, np.int64).reshape(-1, 2).T)
    rows, cosines = nearest(vectors, queries, k, (columns[0], columns[1]))
    expected, values = loop(vectors, queries, k, without)
    np.testing.assert_allclose(cosines, values, rtol=0, atol=1e-14)
    for own, other, value in zip(rows.tolist(), expected, values, strict=True):
        if own != other:  # only where float64 itself does not tell them apart
            assert len(set(own)) == k
            again = [
                float(vectors[row].astype(np.float64) @ queries[rows.tolist().index(own)].astype(np.float64))
                for row in own
            ]
            np.testing.assert_allclose(again, value, rtol=0, atol=1e-14)


@pytest.mark.parametrize("width", [1, 3, 16, 65])
@pytest.mark.parametrize("k", [1, 2, 10, 40])
def test_the_same_as_a_plain_loop(width: int, k: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(search, "BLOCK", 16)  # smaller than k too
    monkeypatch.setattr(search, "TOGETHER", 11)
    monkeypatch.setattr(search, "MAX_WAITING", 64)
    random = np.random.default_rng(width * 100 + k)
    vectors, _ = unit(random.standard_normal((203, width)))
    queries, _ = unit(random.standard_normal((37, width)))
    without = {int(query): set(random.integers(0, 203, 9).tolist()) for query in random.integers(0, 37, 8)}
    without[5] = set(range(0, 60))  # whole blocks, the first among them
    check(vectors, queries, k, without)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_ties_go_to_the_earlier_row(data: st.DataObject):
    """Rows drawn from a few vectors, so that most of them are there many times."""
    width = data.draw(st.integers(1, 5))
    seed = data.draw(st.integers(0, 1000))
    few, _ = unit(np.random.default_rng(seed).standard_normal((3, width)))
    chosen = data.draw(st.lists(st.integers(0, 2), min_size=3, max_size=70))
    block, k = data.draw(st.integers(1, 20)), data.draw(st.integers(1, len(chosen)))
    with pytest.MonkeyPatch.context() as here:
        here.setattr(search, "BLOCK", block)
        here.setattr(search, "MAX_WAITING", 8)
        rows, cosines = nearest(few[chosen], few, k)
    for own, values in zip(rows, cosines, strict=True):
        assert (np.diff(values) <= 0).all()
        assert all(a < b for a, b, x, y in zip(own, own[1:], values, values[1:], strict=False) if x == y)
        kinds = np.array(chosen)[own]
        for kind in set(kinds.tolist()):  # of equal vectors the first are taken
            assert (
                own[kinds == kind].tolist()
                == np.flatnonzero(np.array(chosen) == kind)[: (kinds == kind).sum()].tolist()
            )


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch):
    random = np.random.default_rng(1)
    vectors, _ = unit(np.repeat(random.standard_normal((300, 24)), 3, axis=0))
    queries = vectors[::7]
    whole = nearest(vectors, queries, 12)
    for block in (64, 200, 5000):
        monkeypatch.setattr(search, "BLOCK", block)
        rows, cosines = nearest(vectors, queries, 12)
        np.testing.assert_array_equal(rows, whole[0])
        np.testing.assert_array_equal(cosines, whole[1])


def test_unit_vectors():
    units, good = unit(np.array([[3.0, 4.0], [0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0], [-1e-3, 0.0]]))
    assert good.tolist() == [True, False, False, False, True]
    np.testing.assert_allclose(units[[0, 4]], [[0.6, 0.8], [-1.0, 0.0]], rtol=1e-6)
    assert unit(np.empty((0, 3)))[0].shape == (0, 3)


def written(path: Path, vectors: NDArray[np.float64], facts: Mapping[str, str] = FACTS, **columns: list) -> Path:
    n, width = vectors.shape
    table = {
        "study_id": [f"s{row}" for row in range(n)],
        "patient_id": [f"p{row // 2}" for row in range(n)],
        "embedding": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel(), pa.float32()), width),
        "age": pa.array([50.0 + row for row in range(n)], pa.float32()),
        "sex": ["F", "M"] * (n // 2) + ["F"] * (n % 2),
        **columns,
    }
    metadata = {f"cardioloom.{name}": value for name, value in facts.items()}
    pq.write_table(pa.table(table).replace_schema_metadata(metadata), path, row_group_size=4)
    return path


def test_a_file_is_searched(tmp_path: Path):
    random = np.random.default_rng(2)
    vectors = random.standard_normal((21, 6))
    facts = FACTS | {
        "made_of": "patients of nowhere",
        "simulated": "false",
        "labels": json.dumps({"lv_ef": {"kind": "number"}, "gone": {"kind": "number"}}),
    }
    found = Index.open(written(tmp_path / "i.parquet", vectors, facts, lv_ef=[None] + [0.5] * 20))
    assert (len(found), found.width, found.is_exact, found.is_simulated) == (21, 6, True, False)
    assert found.made_of == "11 patients of nowhere"
    assert list(found.labels) == ["lv_ef"]
    rows, cosines = found.nearest(3 * vectors[[4, 20]], 3)
    assert rows[:, 0].tolist() == [4, 20]
    np.testing.assert_allclose(cosines[:, 0], 1.0, atol=1e-6)
    alone, _ = found.nearest(vectors[[4, 20]], 3, exclude=["p2", None])
    assert not {4, 5} & set(alone[0].tolist())
    assert alone[1].tolist() == rows[1].tolist()
    known = found.rows([20, 3, 0])
    assert [row["study_id"] for row in known] == ["s20", "s3", "s0"]
    assert [row["lv_ef"] for row in known] == [0.5, 0.5, None]
    assert "embedding" not in known[0]


def test_bad_queries_are_refused(tmp_path: Path):
    found = Index.open(written(tmp_path / "i.parquet", np.eye(4)))
    for queries, k, exclude, message in (
        (np.eye(5), 1, None, "holds vectors of 4, got"),
        (np.ones(4), 1, None, "holds vectors of 4, got"),
        (np.zeros((1, 4)), 1, None, "1 of 1 embeddings are zero or not finite"),
        (np.full((2, 4), np.nan), 1, None, "2 of 2 embeddings"),
        (np.eye(4), 0, None, "k must be from 1 to 4, got 0"),
        (np.eye(4), 5, None, "k must be from 1 to 4, got 5"),
        (np.eye(4)[:1], 3, ["p0"], "k must be from 1 to 2, got 3: .* 2 of them the patient's own"),
    ):
        with pytest.raises(UsageError, match=message):
            found.nearest(queries, k, exclude=exclude)


def test_files_that_are_no_index_are_refused(tmp_path: Path):
    good = written(tmp_path / "good.parquet", np.eye(4))
    table = pq.read_table(good)
    (tmp_path / "text.parquet").write_text("no table")
    pq.write_table(table.replace_schema_metadata({}), tmp_path / "unsaid.parquet")
    pq.write_table(table.drop_columns(["embedding"]), tmp_path / "without.parquet")
    pq.write_table(table.slice(0, 0), tmp_path / "empty.parquet")
    texts = table.set_column(table.column_names.index("embedding"), "embedding", pa.array(["x"] * 4))
    pq.write_table(texts, tmp_path / "texts.parquet")
    for name, message in (
        ("absent.parquet", "does not exist: write one with cardioloom embed"),
        (".", "is a folder, no index"),
        ("text.parquet", "cannot be read as Parquet"),
        ("unsaid.parquet", "is no index, it lacks cardioloom.model, cardioloom.model_sha256, cardioloom.modality"),
        ("without.parquet", "lacks column embedding"),
        ("empty.parquet", "holds no study"),
        ("texts.parquet", "its column 'embedding' holds string, no vectors of one width"),
    ):
        with pytest.raises(UsageError, match=message) as caught:
            Index.open(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_damaged_embeddings_are_refused(tmp_path: Path):
    vectors = np.eye(4)
    vectors[2] = 0
    with pytest.raises(DamagedFileError, match=r"1 embeddings in .* are zero or not finite"):
        Index.open(written(tmp_path / "i.parquet", vectors)).nearest(np.eye(4), 1)


def test_an_embedding_that_is_missing_does_not_shift_the_others(tmp_path: Path):
    good = pq.read_table(written(tmp_path / "i.parquet", np.eye(6)))
    at = good.column_names.index("embedding")
    rows = good["embedding"].to_pylist()
    for change, message in (
        ([*rows[:2], None, *rows[3:]], "has studies without an embedding: copy it again"),
        ([*rows[:2], [None, *rows[2][1:]], *rows[3:]], "1 embeddings in .* are zero or not finite"),
    ):
        vectors = pa.array(change, pa.list_(pa.float32(), 6))
        pq.write_table(good.set_column(at, "embedding", vectors), tmp_path / "bad.parquet")
        with pytest.raises(DamagedFileError, match=message):
            Index.open(tmp_path / "bad.parquet").nearest(np.eye(6), 1)


@pytest.mark.parametrize("n_said", [5, 7])
def test_another_number_of_rows_than_declared_is_refused(tmp_path: Path, n_said: int):
    found = replace(Index.open(written(tmp_path / "i.parquet", np.eye(6))), n_rows=n_said)
    with pytest.raises(DamagedFileError, match=f"has not the {n_said} embeddings that it declares"):
        found.nearest(np.eye(6), 1)
    with pytest.raises(DamagedFileError, match=f"has 6 of {n_said} values of age"):
        found.column("age")


def test_more_rows_than_memory_are_refused_in_a_sentence(tmp_path: Path):
    found = replace(Index.open(written(tmp_path / "i.parquet", np.eye(6))), n_rows=2**59)
    with pytest.raises(LimitError, match="more than there is memory"):
        _ = found._units


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"labels": "{nope"}, "its cardioloom.labels is no JSON"),
        ({"labels": "[" * 100_000}, "its cardioloom.labels is no JSON"),
        ({"labels": '["lv_ef"]'}, "its cardioloom.labels is no mapping"),
        ({"labels": '{"lv_ef": null}'}, "its cardioloom.labels do not say what 'lv_ef' is"),
        ({"labels": '{"lv_ef": {"kind": 3}}'}, "its cardioloom.labels do not say what 'lv_ef' is"),
        ({"made_of": b"\xff\xfe"}, "its metadata is no text in UTF-8"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_odd_metadata_is_refused(tmp_path: Path, facts: Mapping[str, str], message: str):
    path = written(tmp_path / "i.parquet", np.eye(4), FACTS | facts, lv_ef=[0.5] * 4)
    with pytest.raises(UsageError, match=message) as caught:
        Index.open(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("age", ["x"] * 4, "column 'age' holds string, no numbers"),
        ("sex", [1, 2, 3, 4], "column 'sex' holds int64, no text"),
        ("patient_id", [1, 2, 3, 4], "column 'patient_id' holds int64, no text"),
        ("study_id", [[1]] * 4, "column 'study_id' holds list"),
        ("lv_ef", ["a"] * 4, "column 'lv_ef' holds string, no numbers"),
        ("lv_ef", [[1.0]] * 4, "column 'lv_ef' holds list"),
        ("site", [{"a": 1}] * 4, "column 'site' holds struct<a: int64>, no texts or numbers"),
        ("embedding", pa.array([[]] * 4, pa.list_(pa.float32(), 0)), "column 'embedding' holds fixed_size_list"),
        ("embedding", pa.array([["x"]] * 4, pa.list_(pa.string(), 1)), "column 'embedding' holds fixed_size_list"),
    ],
)
def test_columns_of_another_kind_are_refused(tmp_path: Path, name: str, values: list, message: str):
    labels = json.dumps({"lv_ef": {"kind": "number"}, "site": {"kind": "text"}})
    path = written(tmp_path / "i.parquet", np.eye(4), FACTS | {"labels": labels}, **{name: values})
    with pytest.raises(UsageError, match=message) as caught:
        Index.open(path)
    assert "\n" not in str(caught.value)


def test_what_embed_writes_is_of_the_kinds_that_are_read(tmp_path: Path):
    kinds = {"lv_ef": pa.float64(), "nyha": pa.int64(), "site": pa.string(), "unknown": pa.null(), "af": pa.bool_()}
    fields = [pa.field(name, kind) for name, kind in kinds.items()]
    labels = {name: {"kind": "text" if name == "site" else "number"} for name in kinds}
    metadata = {f"cardioloom.{name}": value for name, value in (FACTS | {"labels": json.dumps(labels)}).items()}
    facts, found, width = said_by(tmp_path, schema(7, fields).with_metadata(metadata))
    assert (facts["model"], found, width) == ("small", labels, 7)


def test_columns_of_embed_are_no_labels(tmp_path: Path):
    labels = json.dumps({name: {"kind": "text"} for name in ("embedding", "patient_id", "file", "study_id")})
    path = written(tmp_path / "i.parquet", np.eye(4), FACTS | {"labels": labels}, file=["/home/a/name.hea"] * 4)
    assert Index.open(path).labels == {}


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path):
    table = pq.read_table(written(tmp_path / "i.parquet", np.eye(4)))
    pq.write_table(table.append_column("age", table["age"]), tmp_path / "two.parquet")
    with pytest.raises(UsageError, match="has several columns 'age'"):
        Index.open(tmp_path / "two.parquet")


def test_rows_without_a_name_or_of_broken_text_are_refused(tmp_path: Path):
    path = written(tmp_path / "i.parquet", np.eye(4), study_id=pa.array(["a", None, "c", "d"]))
    assert Index.open(path).rows([0, 2])[1]["study_id"] == "c"
    with pytest.raises(DamagedFileError, match="has studies without a study_id"):
        Index.open(path).rows([0, 1])
    bad = pa.array([b"\xff", b"b", b"c", b"d"]).view(pa.string())
    broken = Index.open(written(path, np.eye(4), patient_id=bad, study_id=bad))
    for ask in (lambda: broken.rows([0]), lambda: broken.made_of, lambda: broken.column("study_id")):
        with pytest.raises(DamagedFileError, match="embed again") as caught:
            ask()
        assert "cohort" not in str(caught.value)


def test_whose_studies_they_are(tmp_path: Path):
    found = Index.open(written(tmp_path / "i.parquet", np.eye(5)))
    assert (found.studies_of("p0"), found.studies_of("p2"), found.studies_of("p3")) == (2, 1, 0)
    assert found.names_patients
    nobody = written(tmp_path / "i.parquet", np.eye(4), patient_id=pa.array([None] * 4, pa.string()))
    assert not Index.open(nobody).names_patients


def test_patients_with_many_studies_with_one_and_without_a_name(tmp_path: Path):
    """Each query against the rows that a plain filter leaves."""
    random = np.random.default_rng(8)
    names = random.choice(np.array([None, *"abcdefgh"], object), 120, p=[0.2, 0.4, *[0.4 / 7] * 7]).tolist()
    vectors = random.standard_normal((120, 5))
    found = Index.open(written(tmp_path / "i.parquet", vectors, patient_id=pa.array(names, pa.string())))
    for patient in (*"abcdefgh", "nobody"):
        assert found.studies_of(patient) == names.count(patient)
    exclude = [None, "nobody", *"hgfedcba", "a"]
    rows, _ = found.nearest(vectors[: len(exclude)], 40, exclude=exclude)
    for query, patient in enumerate(exclude):
        left = [row for row in range(120) if patient is None or names[row] != patient]
        alone, _ = nearest(unit(vectors[left])[0], unit(vectors[[query]])[0], 40)
        assert rows[query].tolist() == np.array(left)[alone[0]].tolist()


def test_many_rows_are_searched_by_a_graph_that_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    random = np.random.default_rng(3)
    vectors = random.standard_normal((300, 16))
    path, cache = written(tmp_path / "i.parquet", vectors), tmp_path / "cache" / "similar"
    queries = random.standard_normal((20, 16))
    exclude = ["p7", None] * 10
    exact = Index.open(path).nearest(queries, 5, exclude=exclude)
    assert not cache.exists()
    monkeypatch.setattr(indices, "EXACT_ROWS", 100)
    said: list[str] = []
    for n_built in (1, 1):  # built, then read
        found = Index.open(path, cache=cache, tell=said.append)
        assert not found.is_exact
        rows, cosines = found.nearest(queries, 5, exclude=exclude)
        assert np.mean([len(set(a) & set(b)) for a, b in zip(rows.tolist(), exact[0].tolist(), strict=True)]) > 4.8
        units, _ = unit(vectors)
        own, _ = unit(queries)
        expected = np.einsum("qj,qkj->qk", own.astype(np.float64), units[rows].astype(np.float64))
        np.testing.assert_allclose(cosines, expected, atol=1e-6)
        assert not {14, 15} & set(rows[::2].ravel().tolist())
        assert len(list(cache.iterdir())) == 1
        assert len(said) == n_built
    assert said[0].startswith("building the search graph of 300 studies")
    assert list(tmp_path.glob("*.usearch")) == []  # nothing beside the index
    written(path, vectors[:200])  # another file of this name has another graph
    assert Index.open(path, cache=cache).nearest(queries, 5)[0].max() < 200
    assert len(list(cache.iterdir())) == 2


SPOILT: dict[str, Callable[[Path, Path], object]] = {
    "cut off": lambda kept, _: kept.write_bytes(kept.read_bytes()[:-500]),
    "a bit": lambda kept, _: kept.write_bytes(kept.read_bytes()[:-9] + b"\x07" + kept.read_bytes()[-8:]),
    "empty": lambda kept, _: kept.write_bytes(b""),
    "text": lambda kept, _: kept.write_text("no graph"),
    "another index's": lambda kept, other: kept.write_bytes(other.read_bytes()),
    "another's, renamed": lambda kept, other: _named_like(kept, other),
}


def _named_like(kept: Path, other: Path) -> None:
    """Another index's whole graph under this one's footer."""
    other.rename(kept.with_name(f"{kept.name.split('-')[0]}-{other.name.split('-')[1]}"))
    kept.unlink()


@pytest.mark.parametrize("how", SPOILT)
@pytest.mark.parametrize("shape", [(200, 16), (200, 8), (150, 16)])
def test_a_damaged_or_foreign_graph_is_built_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, shape: tuple[int, int]
):
    monkeypatch.setattr(indices, "EXACT_ROWS", 100)
    random = np.random.default_rng(4)
    vectors = random.standard_normal((200, 16))
    path = written(tmp_path / "i.parquet", vectors)
    other = Index.open(written(tmp_path / "o.parquet", random.standard_normal(shape)), cache=tmp_path / "other")
    other.nearest(np.ones((1, shape[1])), 1)
    first = Index.open(path, cache=tmp_path / "cache").nearest(vectors[:9], 3)
    (kept,), (foreign,) = (list((tmp_path / name).iterdir()) for name in ("cache", "other"))
    SPOILT[how](kept, foreign)
    said: list[str] = []
    again = Index.open(path, cache=tmp_path / "cache", tell=said.append).nearest(vectors[:9], 3)
    assert again[0][:, 0].tolist() == first[0][:, 0].tolist() == [*range(9)]
    assert "is damaged or another index's: it is built again" in said[0]
    assert len(list((tmp_path / "cache").iterdir())) == 1
    Index.open(path, cache=tmp_path / "cache", tell=lambda text: pytest.fail(text)).nearest(vectors[:9], 3)


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(indices, "EXACT_ROWS", 2)
    (tmp_path / "cache").write_text("a file")
    said: list[str] = []
    found = Index.open(written(tmp_path / "i.parquet", np.eye(4)), cache=tmp_path / "cache", tell=said.append)
    assert found.nearest(np.eye(4), 1)[0].ravel().tolist() == [0, 1, 2, 3]
    assert "cannot be written to" in said[1]


def test_the_sum_is_over_the_whole_footer(tmp_path: Path):
    """A footer of more than 64 kB, whose beginning alone differs."""
    sums = set()
    for name in ("a", "b"):
        columns = {f"{name}_{i:04d}" if i == 0 else f"column_{i:04d}": [0.0] * 4 for i in range(400)}
        path = written(tmp_path / f"{name}.parquet", np.eye(4), **columns)
        length = int.from_bytes(path.read_bytes()[-8:-4], "little")
        assert length > 1 << 16
        sums.add(footer_sum(path))
    assert len(sums) == 2
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedFileError, match="has no whole footer"):
        footer_sum(path)


def test_without_usearch_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import sys

    found = Index.open(written(tmp_path / "i.parquet", np.eye(4)))
    monkeypatch.setattr(indices, "EXACT_ROWS", 2)
    monkeypatch.setitem(sys.modules, "usearch.index", None)
    with pytest.raises(MissingExtraError, match=r"4 studies are searched with the package usearch.*pip install"):
        found.nearest(np.eye(4), 1)
