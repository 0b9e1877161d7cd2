"""The most similar of many unit vectors, exactly: cheap scores block by block, then the few that can win in float64.

A block of scores is searched while it is in the processor's cache. What can be among the k best whatever the rounding
of its score stays; of these the cosines are computed again in float64, so that the answer depends neither on the size
of the blocks nor on the number of threads, and equal cosines are in the order of their rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK, TOGETHER = 1024, 512  # rows and queries: 2 MB of scores
MOST_BLOCKS = 16  # that are made one where queries are few
MAX_WAITING = 1 << 20  # candidates that are kept before they are settled
WORD = 64  # bools that are looked at together, as bits
SETTLED = 256  # vectors that are made float64 at once, in cache
HALF_ULP = 2.0**-24
Rows = NDArray[np.int64]
Pairs = tuple[Rows, Rows]  # query, row


def nearest(
    vectors: NDArray[np.float32], queries: NDArray[np.float32], k: int, without: Pairs | None = None
) -> tuple[Rows, NDArray[np.float64]]:
    """The k rows of largest cosine for each query, best first; of equal ones the earlier row first.

    Args:
        vectors: (row, width) float32 of unit length.
        queries: (query, width) float32 of unit length.
        k: at least as many rows must be left for each query.
        without: (pair,) queries and (pair,) rows that are not to be found for them.

    Returns:
        (query, k) rows, (query, k) cosines: the products of the given numbers in float64.
    """
    pairs = _by_query(without)
    parts = [
        _Search(vectors, queries[start : start + TOGETHER], k, _between(pairs, start, start + TOGETHER)).best()
        for start in range(0, len(queries), TOGETHER)
    ]
    if not parts:
        return np.empty((0, k), np.int64), np.empty((0, k))
    return np.concatenate([rows for rows, _ in parts]), np.concatenate([cosines for _, cosines in parts])


def block_rows(n_queries: int) -> int:
    """Rows of a block that so many queries are compared with at once."""
    return BLOCK * min(MOST_BLOCKS, max(1, TOGETHER // n_queries))


def unit(vectors: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(row, width) float32 of unit length, and (row,) whether there is such a vector: neither zero nor not finite."""
    units = np.array(vectors, np.float32)
    good = np.empty(len(units), bool)
    for start in range(0, len(units), SETTLED):
        part = units[start : start + SETTLED]
        lengths = np.sqrt(np.einsum("ij,ij->i", part, part, dtype=np.float64))
        good[start : start + SETTLED] = own = np.isfinite(lengths) & (lengths > 0)
        part /= np.where(own, lengths, 1.0)[:, None]
    return units, good


def _by_query(without: Pairs | None) -> Pairs:
    queries, rows = (np.empty(0, np.int64),) * 2 if without is None else without
    order = np.argsort(queries, kind="stable")
    return np.asarray(queries)[order], np.asarray(rows)[order]


def _between(pairs: Pairs, start: int, stop: int) -> Pairs:
    """Pairs of the queries of a block, in the order of their rows; queries counted from its first."""
    queries, rows = pairs
    own = slice(*np.searchsorted(queries, (start, stop)))
    order = np.argsort(rows[own], kind="stable")
    return queries[own][order] - start, rows[own][order]


@dataclass
class _Search:
    """One block of queries against all rows.

    Args:
        vectors: (row, width).
        queries: (query, width).
        k: how many are sought.
        without: pairs, by row.
        floor: (query,) below which a score cannot belong to the k best.
        top: (query, k) best scores by now.
        waiting: queries, rows and scores of candidates.
    """

    vectors: NDArray[np.float32]
    queries: NDArray[np.float32]
    k: int
    without: Pairs
    floor: NDArray[np.float32] = field(init=False)
    top: NDArray[np.float32] = field(init=False)
    waiting: list[tuple[Rows, Rows, NDArray[np.float32]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.floor = np.full(len(self.queries), -np.inf, np.float32)
        self.top = np.full((len(self.queries), self.k), -np.inf, np.float32)

    @property
    def slack(self) -> np.float32:
        """Twice what rounding can change a score by: a sum of `width` products of unit vectors, in any order."""
        return np.float32(2 * 1.01 * (self.vectors.shape[1] + 1) * HALF_ULP)

    def best(self) -> tuple[Rows, NDArray[np.float64]]:
        """(query, k) rows and their cosines."""
        n_waiting = 0
        for start, scores in self._blocks():
            if start == 0 and len(scores) >= self.k:
                at = len(scores) - self.k
                self.floor = np.partition(scores.T, at, axis=1)[:, at] - self.slack
            n_waiting += self._add(start, scores)
            if n_waiting > MAX_WAITING:
                n_waiting = len(self._settle()[0])
        rows, cosines = self._settle()
        return rows.reshape(-1, self.k), cosines.reshape(-1, self.k)

    def _blocks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """First row and (row, query) scores, one block after the other in the same memory."""
        queries, rows = self.without
        block = block_rows(len(self.queries))
        memory = np.empty((min(block, len(self.vectors)), len(self.queries)), np.float32)
        for start in range(0, len(self.vectors), block):
            part = self.vectors[start : start + block]
            # This way round: BLAS is quicker with the many rows in front, by a third where queries are few.
            scores = np.matmul(part, self.queries.T, out=memory[: len(part)])
            own = slice(*np.searchsorted(rows, (start, start + len(part))))
            scores[rows[own] - start, queries[own]] = -np.inf
            yield start, scores

    def _add(self, start: int, scores: NDArray[np.float32]) -> int:
        """Keep the scores above the floors, and raise the floors; how many they are."""
        at = _where(scores > self.floor)
        if not len(at):
            return 0
        row, query = np.divmod(at, scores.shape[1])
        order = np.argsort(query, kind="stable")
        row, query, found = row[order], query[order], scores.ravel()[at[order]]
        self.waiting.append((query, row + start, found))
        asked, first, count = np.unique(query, return_index=True, return_counts=True)
        table = np.full((len(asked), self.k + count.max()), -np.inf, np.float32)
        table[:, : self.k] = self.top[asked]
        table[np.repeat(np.arange(len(asked)), count), self.k + np.arange(len(at)) - np.repeat(first, count)] = found
        self.top[asked] = np.partition(table, count.max(), axis=1)[:, count.max() :]
        self.floor[asked] = self.top[asked].min(axis=1) - self.slack
        return len(at)

    def _settle(self) -> tuple[Rows, NDArray[np.float64]]:
        """Leave the k best of each query, by their cosines in float64, then by row; both in order."""
        query, row, score = (np.concatenate(part) for part in zip(*self.waiting, strict=True))
        still = score > self.floor[query]
        query, row, score = query[still], row[still], score[still]
        cosines = self._cosines(query, row)
        order = np.lexsort((row, -cosines, query))
        place = np.arange(len(query)) - np.searchsorted(query[order], query[order])
        kept = order[place < self.k]
        self.waiting = [(query[kept], row[kept], score[kept])]
        return row[kept], cosines[kept]

    def _cosines(self, query: Rows, row: Rows) -> NDArray[np.float64]:
        found = np.empty(len(query))
        for start in range(0, len(query), SETTLED):
            own = slice(start, start + SETTLED)
            left, right = self.queries[query[own]].astype(np.float64), self.vectors[row[own]].astype(np.float64)
            found[own] = np.einsum("ij,ij->i", left, right)
        return found


def _where(mask: NDArray[np.bool_]) -> Rows:
    """Places of the few that are true: words of bits are counted quicker than bools."""
    flat = mask.ravel()
    if len(flat) % WORD:
        return np.flatnonzero(flat)
    words = np.flatnonzero(np.packbits(flat).view(np.uint64))
    places = (words[:, None] * WORD + np.arange(WORD)).ravel()
    return places[flat[places]]
