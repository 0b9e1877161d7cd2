"""Retrieval against a plain loop over queries and candidates, and chance against random orders."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation import ranking
from cardioloom.evaluation.ranking import random_ranks
from cardioloom.evaluation.retrieval import retrieve


def slow(queries, database, truth, database_truth, patients, ks, tolerance, own) -> dict[str, Any]:
    """One phenotype: each query by itself, its candidates sorted by cosine, ties in their order."""
    known = [value for value in database_truth if value == value]
    mean = sum(known) / len(known)
    sd = (sum((value - mean) ** 2 for value in known) / len(known)) ** 0.5
    shares, firsts, odds, expected_ranks = {k: [] for k in ks}, [], [], []
    for i, query in enumerate(queries):
        if truth[i] != truth[i]:
            continue
        candidates = []
        for j, row in enumerate(database):
            if database_truth[j] != database_truth[j] or (own == "excluded" and patients[0][i] == patients[1][j]):
                continue
            cosine = float(np.dot(query, row) / np.linalg.norm(query) / np.linalg.norm(row))
            candidates.append((-round(cosine, 11), j))
        hits = [abs(database_truth[j] - truth[i]) <= tolerance * sd for _, j in sorted(candidates)]
        for k in ks:
            shares[k].append(sum(hits[:k]) / k)
        odds.append(sum(hits) / len(hits))
        if any(hits):
            firsts.append(hits.index(True) + 1)
            expected_ranks.append((len(hits) + 1) / (sum(hits) + 1))
    return {
        "n": len(odds),
        "sd": sd,
        "precision": {f"{k}": np.mean(shares[k]) for k in ks},
        "random": np.mean(odds),
        "without_match": len(odds) - len(firsts),
        "mean_rank": np.mean(firsts),
        "median_rank": np.median(firsts),
        "random_mean_rank": np.mean(expected_ranks),
    }


def cohort(seed: int = 0, n: int = 60, m: int = 80, width: int = 4):
    """Embeddings of few values, so that there are ties; patients with several cines and with none; holes."""
    rng = np.random.default_rng(seed)
    queries = rng.integers(-2, 3, (n, width)) + 0.5
    database = rng.integers(-2, 3, (m, width)) + 0.5
    truth, database_truth = rng.gamma(2, 10, (n, 2)), rng.gamma(2, 10, (m, 2))
    truth[0], database_truth[:5, 1], truth[7, 1] = 500, np.nan, np.nan
    return queries, database, truth, database_truth, (rng.integers(0, 50, n), rng.integers(0, 50, m))


@pytest.mark.parametrize("own", ["excluded", "included"])
@pytest.mark.parametrize("depth", [4, 256])
@pytest.mark.parametrize("seed", range(3))
def test_the_table_equals_a_loop_over_queries_and_candidates(seed, depth, own, monkeypatch):
    monkeypatch.setattr(ranking, "DEPTH", depth)  # 4: nearly every query needs the whole order
    queries, database, truth, database_truth, patients = cohort(seed)
    found = retrieve(
        queries,
        database,
        truth,
        database_truth=database_truth,
        patients_of_queries=patients[0],
        patients_of_database=patients[1],
        names=["a", "b"],
        ks=(1, 3, 10),
        tolerance=0.2,
        own=own,
        block_bytes=8 * 80 * 7,
    )
    table = found.to_json()
    json.dumps(table)
    assert (table["n_queries"], table["n_database"], table["own"]) == (60, 80, own)
    for i, name in enumerate("ab"):
        of = table["phenotypes"][name]
        wanted = slow(queries, database, truth[:, i], database_truth[:, i], patients, (1, 3, 10), 0.2, own)
        assert (of["n"], of["without_match"]) == (wanted["n"], wanted["without_match"])
        assert of["n"] + of["unmeasured_queries"] == 60
        assert wanted["without_match"] > 0
        assert of["sd"] == pytest.approx(wanted["sd"])
        assert of["precision"] == pytest.approx(wanted["precision"])
        assert (of["mean_rank"], of["median_rank"]) == pytest.approx((wanted["mean_rank"], wanted["median_rank"]))
        assert of["random"]["precision"] == pytest.approx(wanted["random"])
        assert of["random"]["mean_rank"] == pytest.approx(wanted["random_mean_rank"])


def test_chance_for_a_gaussian_phenotype_is_what_the_paper_reports():
    rng = np.random.default_rng(1)
    n = 1500
    truth = rng.normal(50, 7, n)
    found = retrieve(rng.normal(size=(n, 16)), rng.normal(size=(n, 16)), truth, ks=(1, 15))
    of = found.to_json()["phenotypes"]["label 0"]
    expected = 2 * norm.cdf(0.5 / 2**0.5) - 1
    assert expected == pytest.approx(0.276, abs=5e-4)
    # The share of pairs within half an SD is a U statistic: its error is about 2·SD(of a query's share)/√n.
    assert of["random"]["precision"] == pytest.approx(expected, abs=4 * 2 * 0.11 / n**0.5)
    # Embeddings that know nothing are a random order.
    assert of["precision"]["1"] == pytest.approx(of["random"]["precision"], abs=4 * (0.2 / n) ** 0.5)
    assert of["precision"]["15"] == pytest.approx(of["random"]["precision"], abs=0.02)
    assert of["median_rank"] == of["random"]["median_rank"] == 3


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3)), min_size=1, max_size=3))
@settings(max_examples=30, deadline=None)
def test_ranks_of_a_random_order_are_those_of_all_orders(sizes):
    matches, candidates = np.array([m for m, _ in sizes]), np.array([m + more for m, more in sizes])
    ranks, weights = [], []
    for m, n in zip(matches, candidates, strict=True):
        all_orders = [order.index(True) + 1 for order in set(permutations([True] * m + [False] * (n - m)))]
        ranks += all_orders
        weights += [1 / len(all_orders)] * len(all_orders)
    mean, median = random_ranks(matches, candidates)
    assert mean == pytest.approx(np.dot(ranks, weights) / len(sizes))
    shares = [sum(w for r, w in zip(ranks, weights, strict=True) if r <= limit) for limit in range(1, 9)]
    assert median == 1 + next(i for i, share in enumerate(shares) if share >= len(sizes) / 2 - 1e-9)


def test_perfect_embeddings_find_the_nearest_hearts():
    truth = np.random.default_rng(2).normal(size=(200, 1))
    angles = 0.3 * truth[:, 0]
    embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    of = retrieve(embeddings, embeddings, truth, ks=(1, 3)).to_json()["phenotypes"]["label 0"]
    assert of["precision"]["1"] > 0.98
    assert of["precision"]["1"] >= of["precision"]["3"]
    assert of["mean_rank"] == of["median_rank"] == 1  # the nearest heart matches wherever any does
    own = retrieve(embeddings, embeddings, truth, own="included", ks=(1,)).to_json()["phenotypes"]["label 0"]
    assert own["precision"]["1"] == 1
    assert own["without_match"] == 0


def test_a_patients_own_cines_are_no_candidates():
    rng = np.random.default_rng(3)
    embeddings, truth = rng.normal(size=(40, 8)), np.r_[np.zeros(20), 10 * np.arange(1.0, 21)]
    patients = np.arange(40)
    patients[1] = 0
    found = retrieve(
        embeddings,
        embeddings,
        truth,
        patients_of_queries=patients,
        patients_of_database=patients,
        ks=(1,),
        tolerance=0.05,
    )
    assert found.candidates[:3, 0].tolist() == [38, 38, 39]
    assert found.matches[:3, 0].tolist() == [18, 18, 19]
    assert found.to_json()["phenotypes"]["label 0"]["without_match"] == 20
    with_own = retrieve(embeddings, embeddings, truth, own="included", ks=(1,))
    assert (with_own.first == 1).all()
    without = retrieve(embeddings, embeddings, truth, ks=(1,), tolerance=0.05)
    assert (without.candidates == 39).all()
    assert without.precision.mean() < 0.5


@given(st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_the_order_of_queries_and_rows_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    n = 50
    queries, database, truth = rng.normal(size=(n, 6)), rng.normal(size=(n, 6)), rng.normal(size=(n, 2))
    q, d = rng.permutation(n), rng.permutation(n)
    one = retrieve(queries, database, truth, ks=(1, 5)).to_json()
    other = retrieve(
        queries[q] * rng.uniform(0.1, 9, (n, 1)),
        database[d],
        truth[q],
        database_truth=truth[d],
        patients_of_queries=q,
        patients_of_database=d,
        ks=(5, 1),
    ).to_json()
    for name, of in one["phenotypes"].items():
        for key in ("n", "mean_rank", "median_rank", "without_match"):
            assert other["phenotypes"][name][key] == pytest.approx(of[key])
        assert other["phenotypes"][name]["precision"] == pytest.approx(of["precision"])
        assert other["phenotypes"][name]["random"] == pytest.approx(of["random"])


def test_ties_go_to_the_earlier_row():
    database = np.ones((37, 5), np.float32) * np.arange(1, 38, dtype=np.float32)[:, None]
    truth = np.arange(37.0)
    found = retrieve(np.ones((37, 5)), database, truth, own="included", ks=(1,), tolerance=0.02)
    assert found.first[:, 0].tolist() == list(range(1, 38))


def test_embeddings_of_any_size_have_a_cosine():
    rng = np.random.default_rng(5)
    queries, database, truth = rng.normal(size=(30, 6)), rng.normal(size=(30, 6)), rng.normal(size=30)
    one = retrieve(queries, database, truth, ks=(1, 3))
    other = retrieve(queries * 1e-220, database * 1e220, truth, ks=(1, 3))
    assert np.array_equal(one.first, other.first, equal_nan=True)
    assert np.array_equal(one.precision, other.precision)


def test_nothing_matches_is_said_and_not_ranked():
    embeddings = np.random.default_rng(6).normal(size=(4, 3))
    of = retrieve(embeddings, embeddings, np.arange(4.0), tolerance=0.1, ks=(1,)).to_json()["phenotypes"]["label 0"]
    assert of["precision"] == {"1": 0}
    assert of["without_match"] == 4
    assert "widen the tolerance" in of["ranks_not_estimable"]
    assert "mean_rank" not in of
    assert of["random"] == {"precision": 0}


EYE, LINE = np.eye(4), np.arange(4.0)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"queries": np.ones(4)}, "queries must be \\(row, width\\)"),
        ({"database": np.ones((4, 3))}, "one width, got 4 and 3"),
        ({"queries": EYE * np.nan}, "queries must be finite, got 4 that"),
        ({"database": np.diag([1.0, 1, 1, 0])}, "of the database must not be zero, got 1"),
        ({"truth": np.arange(3.0)}, "4 queries need phenotypes .* got shape \\(3,\\)"),
        ({"truth": [np.inf, 0, 1, 2]}, "finite or NaN"),
        ({"ks": (1, 4)}, "P@4 of label 0 needs 4 candidates for each query, got 3"),
        ({"ks": (0,)}, "whole numbers from 1"),
        ({"ks": (1, 1)}, "different whole numbers"),
        ({"ks": (1.5,)}, "different whole numbers"),
        ({"tolerance": 0}, "above 0, got 0"),
        ({"own": "maybe"}, "'excluded' or 'included'"),
        ({"database": np.eye(5, 4) + 1}, "got 4 queries and 5 rows"),
        ({"database": np.eye(5, 4) + 1, "own": "included"}, "give database_truth"),
        ({"patients_of_queries": range(4)}, "give both"),
        ({"patients_of_queries": range(3), "patients_of_database": range(4)}, "4 records need one patient each, got 3"),
        ({"database_truth": np.ones((4, 2))}, "the same phenotypes, got 1 and 2"),
        ({"names": ["a", "b"]}, "1 labels need"),
    ],
)
def test_what_cannot_be_is_refused(given, says):
    usual: dict[str, Any] = {"queries": EYE, "database": EYE, "truth": LINE, "ks": (1,)}
    with pytest.raises(UsageError, match=says):
        retrieve(**usual | given)


def test_a_phenotype_that_does_not_vary_is_not_estimable():
    with pytest.raises(NotEstimableError, match="retrieval by EF needs it to vary in the database, got 4 equal"):
        retrieve(EYE, EYE, np.c_[LINE, np.full(4, 55.0)], names=["EDV", "EF"], ks=(1,))
    with pytest.raises(NotEstimableError, match="got no measured row"):
        retrieve(EYE, EYE, np.full(4, np.nan), ks=(1,))
    with pytest.raises(NotEstimableError, match="needs a measured query, got none"):
        retrieve(EYE, EYE, np.full(4, np.nan), database_truth=LINE, ks=(1,))
