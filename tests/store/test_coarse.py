"""Vectors in 8 bits: the error is never larger than is said, and the answer is that of the vectors themselves."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cardioloom.store import coarse
from cardioloom.store import nearest as search
from cardioloom.store.coarse import MOST, Asked, Coarse, Copy, is_quicker, is_right, product_of_bytes
from cardioloom.store.index import Index
from cardioloom.store.nearest import nearest, unit

KINDS = ("even", "cone", "clusters", "copies", "constant", "zeros", "axes", "tiny")


def vectors_of(kind: str, n: int, width: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Unit vectors that lie in one way or another."""
    own = random.standard_normal((n, width))
    if kind == "cone":
        own = 7 + own
    elif kind == "clusters":
        own = random.standard_normal((3, width))[random.integers(0, 3, n)] + 1e-3 * own
    elif kind == "copies":
        own = own[random.integers(0, max(1, n // 8), n)]
    elif kind == "constant":
        own = np.repeat(own[:1], n, axis=0)
    elif kind == "zeros":  # features that are the same everywhere, of which half are zero
        own[:, ::3], own[:, 1::3] = 0, 1
        own[:, -1] = 1 + random.random(n)
    elif kind == "axes":
        own = np.eye(width)[random.integers(0, width, n)] * random.choice([-1, 1], n)[:, None]
    elif kind == "tiny":
        own = 1 + 1e-7 * own
    return unit(own)[0]


def brute(
    vectors: NDArray[np.float32], queries: NDArray[np.float32], k: int, without: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Every cosine in float64, sorted."""
    own = vectors.astype(np.float64)
    cosines = np.stack(
        [np.einsum("ij,ij->i", np.repeat(query[None].astype(float), len(own), 0), own) for query in queries]
    )
    cosines[without] = -np.inf
    rows = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
    return rows, np.take_along_axis(cosines, rows, axis=1)


def same(found: tuple[NDArray, NDArray], other: tuple[NDArray, NDArray]) -> None:
    np.testing.assert_array_equal(found[0], other[0])
    np.testing.assert_array_equal(found[1], other[1])


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(KINDS), st.sampled_from(KINDS), st.integers(1, 40), st.integers(0, 1000))
def test_no_cosine_is_further_off_than_is_said(kind: str, asked_kind: str, width: int, seed: int):
    random = np.random.default_rng(seed)
    vectors, queries = vectors_of(kind, 300, width, random), vectors_of(asked_kind, 7, width, random)
    if seed % 2:
        queries = np.concatenate([queries, vectors[:5]])
    asked = Coarse.of(vectors).ask(queries)
    scores = np.empty((300, len(queries)), np.int32)
    asked.scores(0, scores)
    np.testing.assert_array_equal(scores, asked.rows.astype(int) @ asked.counts.T.astype(int))
    exact = vectors.astype(np.longdouble) @ queries.T.astype(np.longdouble)
    assert (np.abs(exact - (asked.offset + asked.step * scores)) <= asked.bound).all()
    numbers = np.arange(len(queries))
    for row in range(0, 300, 60):
        wins = exact >= exact[row]
        below = scores <= asked.floor(numbers, exact[row].astype(np.float64))
        assert not (wins & below).any()
        assert not (wins & (scores <= scores[row].astype(int) - asked.slack)).any()


def test_the_largest_slack_leaves_no_score_out():
    """Of the widest vectors, whose scores lie furthest apart."""
    rows = np.full((2, coarse.WIDEST), MOST, np.int8)
    rows[1] = -MOST
    asked = Asked(rows, rows[:1], np.zeros(1), np.full(1, 1e-30), np.ones(1))
    best, worst = (rows @ rows[0].astype(np.int64)).tolist()
    assert worst > best - int(asked.slack[0])


def test_the_error_is_small():
    """To what vectors differ by, as small in a narrow cone as where they point anywhere."""
    random = np.random.default_rng(0)
    for kind in ("even", "cone"):
        vectors = vectors_of(kind, 4000, 128, random)
        spread = np.linalg.norm(vectors - vectors.mean(axis=0), axis=1).mean()
        asked = Coarse.of(vectors).ask(vectors_of(kind, 50, 128, random))
        assert asked.bound.max() < 0.03 * spread**2


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_the_same_as_every_cosine_sorted(data: st.DataObject):
    random = np.random.default_rng(data.draw(st.integers(0, 10_000)))
    n, width, asked = data.draw(st.integers(1, 200)), data.draw(st.integers(1, 40)), data.draw(st.integers(1, 9))
    vectors = vectors_of(data.draw(st.sampled_from(KINDS)), n, width, random)
    queries = vectors_of(data.draw(st.sampled_from(KINDS)), asked, width, random)
    queries[::2] = vectors[random.integers(0, n, len(queries[::2]))]
    without = random.random((asked, n)) < data.draw(st.sampled_from([0.0, 0.1, 0.6]))
    without[:, : data.draw(st.integers(0, n))] |= data.draw(st.booleans())
    most = n - int(without.sum(axis=1).max())
    if most < 1:
        without[:], most = False, n
    k = data.draw(st.integers(1, most))
    of, rows = np.nonzero(without)
    block = data.draw(st.integers(1, 60))
    with pytest.MonkeyPatch.context() as here:
        here.setattr(search, "TOGETHER", 4)
        here.setattr(search, "COARSE_ROWS", block)
        here.setattr(search, "FIRST_ROWS", data.draw(st.integers(1, 40)))
        here.setattr(search, "MAX_WAITING", data.draw(st.sampled_from([8, 1 << 20])))
        here.setattr(search, "MOST_FOUND", data.draw(st.sampled_from([2.0, 2.0, 0.1])))
        here.setattr(search, "MOST_LATER", data.draw(st.sampled_from([2.0, 2.0, 0.1])))
        found = nearest(vectors, queries, k, (of, rows), Coarse.of(vectors))
    same(found, nearest(vectors, queries, k, (of, rows)))
    same(found, brute(vectors, queries, k, without))


@pytest.mark.parametrize("width", [24, 64, 100])
@pytest.mark.parametrize("kind", ["even", "cone", "copies"])
@pytest.mark.parametrize("n_queries", [1, 16, 600])
def test_coarse_scores_answer_alone(width: int, kind: str, n_queries: int, monkeypatch: pytest.MonkeyPatch):
    """Many rows in the blocks of every day: float32 is not asked."""
    random = np.random.default_rng(width)
    vectors, queries = (vectors_of(kind, n, width, random) for n in (20_000, n_queries))
    expected = nearest(vectors, queries, 3, (np.arange(n_queries), np.arange(n_queries)))
    rounded = Coarse.of(vectors)
    monkeypatch.setattr(search, "MOST_LATER", 0.1)
    monkeypatch.setattr(search, "MOST_FOUND", 0.2)
    monkeypatch.setattr(search._Search, "surely", lambda _: pytest.fail("float32"))
    same(nearest(vectors, queries, 3, (np.arange(n_queries), np.arange(n_queries)), rounded), expected)
    assert rounded.n_useless == 0


def test_a_copy_that_is_of_no_use_is_left(monkeypatch: pytest.MonkeyPatch):
    """Clusters so narrow that all of one can win; three calls in vain, and its memory is given back."""
    random = np.random.default_rng(5)
    vectors = vectors_of("clusters", 6000, 32, random)
    expected = nearest(vectors, vectors[:9], 2)
    monkeypatch.setattr(coarse, "FROM_ROWS", 500)
    monkeypatch.setattr(search, "TOGETHER", 2)  # queries in five blocks, which are one call
    copy = Copy(is_tried=True, made=Coarse.of(vectors))
    for n_useless in (1, 2, 3):
        rounded = copy.of(vectors, 9, 2)
        assert rounded is not None
        same(nearest(vectors, vectors[:9], 2, None, rounded), expected)
        assert rounded.n_useless == n_useless
    assert copy.of(vectors, 9, 2) is None
    assert copy.made is None
    copy.n_asked = coarse.FROM_QUERIES
    assert copy.of(vectors, 9, 2) is None  # nor is it made again


def test_products_that_cannot_be_had_or_are_wrong(monkeypatch: pytest.MonkeyPatch):
    product = product_of_bytes()
    assert product is not None
    assert is_right(product, 48)
    assert not is_right(product, coarse.WIDEST + 1)

    def short(rows: torch.Tensor, columns: torch.Tensor, out: torch.Tensor) -> None:
        """Pairs are added in 16 bits, as processors without sums of 32 do."""
        both = rows.int()[:, :, None] * columns.int()[None]
        out.copy_((both[:, ::2] + both[:, 1::2]).clamp(-32767, 32257).sum(dim=1))

    def none(*_: torch.Tensor, **__: torch.Tensor) -> None:
        raise RuntimeError("not for this processor")

    for fake in (short, none):
        monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(_int_mm=fake, from_numpy=torch.from_numpy))
        wrong = product_of_bytes()
        assert wrong is not None
        assert not is_right(wrong, 48)
    for absent in (SimpleNamespace(), None):
        monkeypatch.setitem(sys.modules, "torch", absent)
        assert product_of_bytes() is None


@pytest.mark.parametrize("seconds", [(1.0, 2.0), (2.0, 1.0)])
def test_a_product_that_is_slower_is_not_used(seconds: tuple[float, float], monkeypatch: pytest.MonkeyPatch):
    times = iter([seconds[0]] * 5 + [seconds[1]] * 5 + [seconds[0]] * 5 + [seconds[1]] * 5)
    monkeypatch.setattr(coarse, "TRIED", (1, 16))
    monkeypatch.setattr(coarse, "_seconds", lambda case: (case(), next(times))[1])
    product = product_of_bytes()
    assert product is not None
    assert is_quicker(product, 32) == (seconds[0] < seconds[1])


def test_a_copy_is_made_once_it_pays(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(coarse, "FROM_ROWS", 500)
    monkeypatch.setattr(coarse, "FEW", 100)
    monkeypatch.setattr(coarse, "is_quicker", lambda *_: True)
    vectors = vectors_of("even", 500, 8, np.random.default_rng(0))
    copy = Copy()
    assert [copy.of(vectors, 1, 2) is None for _ in range(33)] == [True] * 31 + [False] * 2
    assert copy.of(vectors, 1, 2) is copy.made
    assert copy.of(vectors, 1, 6) is None  # k is not few
    assert Copy().of(vectors, coarse.FROM_QUERIES, 2) is not None
    assert Copy().of(vectors[:400], coarse.FROM_QUERIES, 2) is None
    for name, value in (("is_quicker", False), ("is_right", False)):
        monkeypatch.setattr(coarse, name, lambda *_, value=value: value)
        once = Copy()
        assert once.of(vectors, coarse.FROM_QUERIES, 2) is None
        assert once.is_tried
    unloaded = Copy()
    with monkeypatch.context() as here:
        here.setitem(sys.modules, "torch", None)
        assert unloaded.of(vectors, coarse.FROM_QUERIES, 2) is None
    assert not unloaded.is_tried  # the net may yet be loaded


def test_an_index_that_is_asked_often_answers_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(coarse, "FROM_ROWS", 1)
    monkeypatch.setattr(coarse, "FROM_QUERIES", 100)
    monkeypatch.setattr(coarse, "FEW", 1)
    monkeypatch.setattr(coarse, "is_quicker", lambda *_: True)
    monkeypatch.setattr(search, "MOST_FOUND", 1.0)
    vectors = np.random.default_rng(6).standard_normal((400, 12))
    columns = {
        "study_id": [f"s{row}" for row in range(400)],
        "patient_id": [f"p{row // 4}" for row in range(400)],
        "embedding": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel(), pa.float32()), 12),
        "age": [60.0] * 400,
        "sex": ["F"] * 400,
    }
    facts = {"cardioloom.model": "small", "cardioloom.model_sha256": "0" * 64, "cardioloom.modality": "ecg"}
    pq.write_table(pa.table(columns).replace_schema_metadata(facts), tmp_path / "i.parquet")
    found = Index.open(tmp_path / "i.parquet")
    answers = [found.nearest(vectors[40:50], 5, exclude=["p10"] * 10) for _ in range(5)]
    assert found._copy.made is not None
    assert found._copy.made.n_useless == 0
    for answer in answers[1:]:
        same(answer, answers[0])
    assert not {40, 41, 42, 43} & set(answers[-1][0].ravel().tolist())
