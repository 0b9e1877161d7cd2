"""The ranks behind `retrieval`: all cosines block by block, the first hits among them, and what chance would give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cardioloom.errors import UsageError
from cardioloom.evaluation.checks import Bools, Codes, Floats, Patients, coded_patients, numbers, unit

INDEX_BITS = 22  # of a key, so that about four million rows have one each
COSINE_STEPS = 2.0**40  # of a key in a cosine of 1
LEFT_OUT = np.iinfo(np.int64).min
DEPTH = 256  # ranks that are looked at before the whole order is: most queries meet a hit in them


@dataclass(frozen=True, eq=False)
class Sides:
    """Queries and database.

    Args:
        queries, database: (query, width) and (row, width) of length 1.
        query_patients: (query,) numbers, 0 … in the order of first appearance.
        own: (pair,) queries, ascending, and (pair,) rows that are left out of their candidates.
    """

    queries: Floats
    database: Floats
    query_patients: Codes
    own: tuple[Codes, Codes]


def checked_sides(
    queries: ArrayLike, database: ArrayLike, of_queries: Patients, of_database: Patients, leaves_out: bool
) -> Sides:
    """Embeddings of length 1, and the pairs of one patient where these are to be left out.

    Raises:
        UsageError: if embeddings are not (row, width) of one width, finite and not zero; if the rows are too many for
            a key; if patients are needed and not there.
    """
    q, d = _embeddings(queries, "queries"), _embeddings(database, "database")
    if q.shape[1] != d.shape[1]:
        raise UsageError(
            f"queries and database need one width, got {q.shape[1]} and {d.shape[1]}: embed both by one model"
        )
    if len(d) > 1 << INDEX_BITS:
        raise UsageError(f"a database of at most {1 << INDEX_BITS:,} rows is ranked, got {len(d):,}: take a part of it")
    if not leaves_out:
        none = np.empty(0, np.int64)
        return Sides(q, d, coded_patients(of_queries, len(q)), (none, none))
    if (of_queries is None) != (of_database is None):
        raise UsageError("a patient's own cine is known by the patients of both sides, got those of one: give both")
    if of_queries is None or of_database is None:
        if len(q) != len(d):
            raise UsageError(
                f"without patients query i and row i are of one patient, got {len(q)} queries and {len(d)} rows: "
                "give the patients of both, or own='included'"
            )
        each = np.arange(len(q), dtype=np.int64)
        return Sides(q, d, each, (each, each))
    both = [list(of_queries), list(of_database)]
    for patients, rows in zip(both, (q, d), strict=True):
        coded_patients(patients, len(rows))  # its sentence names the side's own number of rows
    codes = coded_patients([*both[0], *both[1]], len(q) + len(d))
    return Sides(q, d, codes[: len(q)], _pairs(codes[: len(q)], codes[len(q) :]))


def totals(sides: Sides, z: Floats, lows: Floats, highs: Floats) -> tuple[Codes, Codes]:
    """How many candidates match each query, and how many there are: two (query, phenotype), 0 where not measured.

    Args:
        z: (row, phenotype) NaN = not measured.
        lows, highs: (query, phenotype) ends of a match, NaN = not measured.
    """
    matches, candidates = np.zeros(lows.shape, np.int64), np.zeros(lows.shape, np.int64)
    query, row = sides.own
    for i in range(z.shape[1]):
        known, low, high, own = np.sort(z[~np.isnan(z[:, i]), i]), lows[:, i], highs[:, i], z[row, i]
        matches[:, i] = np.searchsorted(known, high, "right") - np.searchsorted(known, low, "left")
        matches[:, i] -= np.bincount(query[(own >= low[query]) & (own <= high[query])], minlength=len(low))
        candidates[:, i] = len(known) - np.bincount(query[~np.isnan(own)], minlength=len(low))
    candidates[np.isnan(lows)] = 0
    return matches, candidates


def first_hits(
    sides: Sides, z: Floats, lows: Floats, highs: Floats, matches: Codes, ks: tuple[int, ...], block_bytes: int
) -> tuple[Floats, Floats]:
    """Share of hits among the first k, and rank of the first hit.

    Args:
        z, lows, highs: as in `totals`. matches: from there.
        ks: ascending.
        block_bytes: of the cosines that are held at once.

    Returns:
        (query, phenotype, k), NaN where not measured; (query, phenotype), NaN where not measured or nothing matches.
    """
    n_queries, n_rows = len(sides.queries), len(z)
    precision, first = np.empty((*lows.shape, len(ks))), np.empty(lows.shape)
    depth, step = min(n_rows, max(DEPTH, 4 * ks[-1])), max(1, block_bytes // (8 * n_rows))
    for start in range(0, n_queries, step):
        part = slice(start, min(start + step, n_queries))
        keys = _keys(sides, part)
        best = np.partition(keys, n_rows - depth, axis=1)[:, n_rows - depth :]
        found = _judged(best, z, lows[part], highs[part], matches[part], ks)
        precision[part], first[part] = found[:2]
        late = np.flatnonzero(~found[2])
        if depth < n_rows and len(late):
            rows = late + start
            precision[rows], first[rows], _ = _judged(keys[late], z, lows[rows], highs[rows], matches[rows], ks)
    return precision, first


def random_ranks(matches: Codes, candidates: Codes) -> tuple[float, float]:
    """Mean and median over queries of the rank of the first hit in a random order, both exact.

    The rank of the first of M hits among N is (N + 1) / (M + 1) on average and above r with probability
    Π_{i<r} (N − M − i) / (N − i). The median is the smallest rank that half of all queries and orders do not exceed.

    Args:
        matches: (query,) M, at least 1. candidates: (query,) N.
    """
    mean = float(((candidates + 1) / (matches + 1)).mean())
    sizes, shares = np.unique(np.stack([matches, candidates]), axis=1, return_counts=True)
    others, left = (sizes[1] - sizes[0]).astype(np.float64), sizes[1].astype(np.float64)
    above, rank = np.ones(len(shares)), 0
    while shares @ above > 0.5 * shares.sum() + 1e-9:
        above *= np.maximum(others - rank, 0) / np.maximum(left - rank, 1)
        rank += 1
    return mean, float(rank)


def _keys(sides: Sides, part: slice) -> NDArray[np.int64]:
    """(query, row) whole numbers in the order of the candidates, highest first; no two are equal but the left out.

    The cosine stands above, to twelve decimals; below it the row counted from the end, so that ties go to the earlier.
    """
    n_rows = len(sides.database)
    keys = np.rint(sides.queries[part] @ sides.database.T * COSINE_STEPS).astype(np.int64)
    keys <<= INDEX_BITS
    keys += n_rows - 1 - np.arange(n_rows)
    query, row = sides.own
    ends = slice(*np.searchsorted(query, [part.start, part.stop]))
    keys[query[ends] - part.start, row[ends]] = LEFT_OUT
    return keys


def _judged(
    keys: NDArray[np.int64], z: Floats, lows: Floats, highs: Floats, matches: Codes, ks: tuple[int, ...]
) -> tuple[Floats, Floats, Bools]:
    """`first_hits` from the best keys of each query, and whether they were enough to tell."""
    keys = np.sort(keys, axis=1)[:, ::-1]
    rows = len(z) - 1 - (keys & ((1 << INDEX_BITS) - 1))
    rows[keys == LEFT_OUT] = len(z)
    precision, first = np.empty((*lows.shape, len(ks))), np.empty(lows.shape)
    enough = np.ones(len(keys), np.bool_)
    for i in range(z.shape[1]):
        values = np.append(z[:, i], np.nan)[rows]  # (query, rank); what is left out counts as not measured
        hits = (values >= lows[:, i, None]) & (values <= highs[:, i, None])
        rank = np.cumsum(~np.isnan(values), axis=1, dtype=np.int32)
        at, is_met = hits.argmax(axis=1), hits.any(axis=1)
        first[:, i] = np.where(is_met, np.take_along_axis(rank, at[:, None], axis=1)[:, 0], np.nan)
        for j, k in enumerate(ks):
            precision[:, i, j] = (hits & (rank <= k)).sum(axis=1) / k
        measured = ~np.isnan(lows[:, i])
        precision[~measured, i] = np.nan
        enough &= ~measured | ((rank[:, -1] >= ks[-1]) & (is_met | (matches[:, i] == 0)))
    return precision, first, enough


def _embeddings(given: ArrayLike, side: str) -> Floats:
    """(row, width) of length 1; UsageError where they cannot be."""
    what = f"embeddings of the {side}"
    found = numbers(given, what)
    if found.ndim != 2 or not found.size:
        raise UsageError(f"{what} must be (row, width), got shape {found.shape}")
    return unit(found, what)


def _pairs(of_queries: Codes, of_database: Codes) -> tuple[Codes, Codes]:
    """Queries, ascending, and rows of one patient."""
    order = np.argsort(of_database, kind="stable")
    begin = np.searchsorted(of_database[order], of_queries, "left")
    count = np.searchsorted(of_database[order], of_queries, "right") - begin
    query = np.repeat(np.arange(len(of_queries)), count)
    within = np.arange(len(query)) - np.repeat(np.cumsum(count) - count, count)
    return query, order[begin[query] + within]
