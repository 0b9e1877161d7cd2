"""The most similar of many unit vectors, exactly: cheap scores block by block, then the few that can win in float64.

A block of scores is searched while it is in the processor's cache. What can be among the k best whatever the rounding
of its score stays; of these the cosines are computed again in float64, so that the answer depends neither on the size
of the blocks nor on the number of threads, and equal cosines are in the order of their rows.

The cheap scores are products of float32, or, where a copy of the vectors in 8 bits was made, of whole numbers (see
`coarse`): these are quicker and less exact, so that more rows can win and are looked at. Where too many can, float32 is
used.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardioloom.store.coarse import LOW, Asked, Coarse

BLOCK, TOGETHER = 1024, 512  # rows and queries: 2 MB of scores
MOST_BLOCKS = 16  # that are made one where queries are few
MAX_WAITING = 1 << 20  # candidates that are kept before they are settled
WORD = 64  # bools that are looked at together, as bits
SETTLED = 256  # vectors that are made float64 at once, in cache
HALF_ULP = 2.0**-24
COARSE_SCORES, COARSE_ROWS = 1 << 19, 1 << 16  # of a block of coarse scores, at most
FIRST_ROWS = 1 << 13  # at most so many of it give the first floors
AGAIN = 4  # so many times the rows later these floors are raised by exact cosines
MOST_FOUND, MOST_LATER = 0.015, 0.01  # of the coarse scores are candidates, of a later block, or else these are left
Rows = NDArray[np.int64]
Pairs = tuple[Rows, Rows]  # query, row
Scores = NDArray[Any]  # float32, or int32 of the vectors in 8 bits
Cosines = NDArray[np.float64]
Found = tuple[Rows, Cosines]
Waiting = tuple[Rows, Rows, Scores, Cosines]


def nearest(
    vectors: NDArray[np.float32],
    queries: NDArray[np.float32],
    k: int,
    without: Pairs | None = None,
    coarse: Coarse | None = None,
) -> tuple[Rows, Cosines]:
    """The k rows of largest cosine for each query, best first; of equal ones the earlier row first.

    Args:
        vectors: (row, width) float32 of unit length.
        queries: (query, width) float32 of unit length.
        k: at least as many rows must be left for each query.
        without: (pair,) queries and (pair,) rows that are not to be found for them.
        coarse: the vectors in 8 bits; the answer is the same with them.

    Returns:
        (query, k) rows, (query, k) cosines: the products of the given numbers in float64.
    """
    pairs = _by_query(without)
    parts = []
    for start in range(0, len(queries), TOGETHER):
        some, own = queries[start : start + TOGETHER], _between(pairs, start, start + TOGETHER)
        found = None
        if coarse is not None:
            found = _Search(vectors, some, k, own, coarse.ask(some)).best()
            if found is None:
                coarse.n_useless += 1
                coarse = None
        parts.append(found or _Search(vectors, some, k, own).surely())
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
        asked: the queries of the vectors in 8 bits, if their scores are to be used.
        slack: (query,) or one for all: how far a score is below another when its cosine is surely smaller.
        floor: (query,) below which a score cannot belong to the k best.
        top: (query, k) best scores by now.
        waiting: queries, rows, scores and cosines (NaN = not computed) of candidates.
    """

    vectors: NDArray[np.float32]
    queries: NDArray[np.float32]
    k: int
    without: Pairs
    asked: Asked | None = None
    slack: Scores = field(init=False)
    floor: Scores = field(init=False)
    top: Scores = field(init=False)
    waiting: list[Waiting] = field(default_factory=list)

    def __post_init__(self) -> None:
        # Twice what rounding can change a score by: a sum of `width` products of unit vectors, in any order.
        exact = np.full(1, 2 * 1.01 * (self.vectors.shape[1] + 1) * HALF_ULP, np.float32)
        self.slack = exact if self.asked is None else self.asked.slack
        self.floor = np.full(len(self.queries), self._low, self.slack.dtype)
        self.top = np.full((len(self.queries), self.k), self._low, self.slack.dtype)

    @property
    def _low(self) -> float:
        """No score."""
        return -np.inf if self.asked is None else LOW

    def surely(self) -> Found:
        """(query, k) rows and their cosines, by scores that are exact enough for any vectors."""
        found = self.best()
        assert found is not None
        return found

    def best(self) -> Found | None:
        """(query, k) rows and their cosines; None where coarse scores leave too many candidates."""
        n_waiting = n_found = 0
        first = min(FIRST_ROWS, COARSE_SCORES // len(self.queries))
        due = AGAIN * first
        for start, scores in self._blocks():
            if start == 0 and len(scores) >= self.k:
                some = scores if self.asked is None else scores[: max(first, self.k)]
                at = len(some) - self.k
                self._raise(slice(None), np.partition(np.ascontiguousarray(some.T), at)[:, at] - self.slack)
            added = self._add(start, scores)
            n_waiting, n_found = n_waiting + added, n_found + added
            if self.asked is not None:
                too_many = added > MOST_LATER * scores.size and start >= AGAIN**2 * first
                if too_many or n_found > MOST_FOUND * len(self.vectors) * len(self.queries):
                    return None
            is_due = self.asked is not None and n_waiting > 0 and due <= start + len(scores) < len(self.vectors)
            if n_waiting > MAX_WAITING or is_due:
                n_waiting, due = len(self._settle()[0]), AGAIN * (start + len(scores))
        rows, cosines = self._settle()
        return rows.reshape(-1, self.k), cosines.reshape(-1, self.k)

    def _blocks(self) -> Iterator[tuple[int, Scores]]:
        """First row and (row, query) scores, one block after the other in the same memory."""
        queries, rows = self.without
        n = len(self.queries)
        block = block_rows(n) if self.asked is None else min(COARSE_ROWS, COARSE_SCORES // n)
        memory = np.empty((min(block, len(self.vectors)), len(self.queries)), self.slack.dtype)
        for start in range(0, len(self.vectors), block):
            part = self.vectors[start : start + block]
            scores = memory[: len(part)]
            if self.asked is None:
                # This way round: BLAS is quicker with the many rows in front, by a third where queries are few.
                np.matmul(part, self.queries.T, out=scores)
            else:
                self.asked.scores(start, scores)
            own = slice(*np.searchsorted(rows, (start, start + len(part))))
            scores[rows[own] - start, queries[own]] = self._low
            yield start, scores

    def _raise(self, asked: Any, floor: Scores) -> None:
        """Raise floors, which are never below what stands for no score."""
        self.floor[asked] = np.maximum(self.floor[asked], floor)

    def _add(self, start: int, scores: Scores) -> int:
        """Keep the scores above the floors; how many they are."""
        at = _where(scores > self.floor)
        if not len(at):
            return 0
        row, query = np.divmod(at, scores.shape[1])
        order = _by(query)
        query, found = query[order], scores.ravel()[at[order]]
        self.waiting.append((query, row[order] + start, found, np.full(len(at), np.nan)))
        self._raise_by_scores(query, found)
        return len(at)

    def _raise_by_scores(self, query: Rows, found: Scores) -> None:
        """Raise the floors by new scores, in the order of their queries."""
        first = np.flatnonzero(np.diff(query, prepend=-1))
        asked, count = query[first], np.diff(first, append=len(query))
        table = np.full((len(asked), self.k + count.max()), self._low, found.dtype)
        table[:, : self.k] = self.top[asked]
        table[np.repeat(np.arange(len(asked)), count), self.k + np.arange(len(query)) - np.repeat(first, count)] = found
        at = table.shape[1] - self.k
        self.top[asked] = np.partition(table, at, axis=1)[:, at:]
        self._raise(asked, self.top[asked].min(axis=1) - np.broadcast_to(self.slack, len(self.queries))[asked])

    def _settle(self) -> Found:
        """Leave the k best of each query, by their cosines in float64, then by row; both in order."""
        query, row, score, cosines = (np.concatenate(part) for part in zip(*self.waiting, strict=True))
        query, row, score, cosines = _left(score > self.floor[query], query, row, score, cosines)
        if self.asked is None:
            self._fill(np.isnan(cosines), query, row, cosines)
        else:
            least = self._raise_by_cosines(query, row, score, cosines)
            query, row, score, cosines = _left(score > self.floor[query], query, row, score, cosines)
            self._fill(np.isnan(cosines), query, row, cosines)
            query, row, score, cosines = _left(cosines >= least[query], query, row, score, cosines)
        order = np.lexsort((row, -cosines, query))
        kept = order[_place(query[order]) < self.k]
        self.waiting = [_left(kept, query, row, score, cosines)]
        return row[kept], cosines[kept]

    def _raise_by_cosines(self, query: Rows, row: Rows, score: Scores, cosines: Cosines) -> Cosines:
        """Raise the floors of coarse scores by the cosines of the k largest, which are filled in.

        Returns:
            (query,) what the k best are not below.
        """
        assert self.asked is not None
        self._fill(np.isnan(cosines) & (score >= self.top.min(axis=1)[query]), query, row, cosines)
        known = np.flatnonzero(~np.isnan(cosines))
        order = known[np.lexsort((-cosines[known], query[known]))]
        last = order[_place(query[order]) == self.k - 1]
        self._raise(query[last], self.asked.floor(query[last], cosines[last]))
        least = np.full(len(self.queries), -np.inf)
        least[query[last]] = cosines[last]
        return least

    def _fill(self, which: NDArray[np.bool_], query: Rows, row: Rows, cosines: Cosines) -> None:
        """Compute some cosines."""
        cosines[which] = self._cosines(query[which], row[which])

    def _cosines(self, query: Rows, row: Rows) -> Cosines:
        found, exact = np.empty(len(query)), self.queries.astype(np.float64)
        for start in range(0, len(query), SETTLED):
            own = slice(start, start + SETTLED)
            found[own] = np.einsum("ij,ij->i", exact[query[own]], self.vectors[row[own]].astype(np.float64))
        return found


def _left(which: NDArray[Any], query: Rows, row: Rows, score: Scores, cosines: Cosines) -> Waiting:
    """Some candidates."""
    return query[which], row[which], score[which], cosines[which]


def _by(queries: Rows) -> Rows:
    """Their order; numbers of 16 bits are counted, not compared."""
    return np.argsort(queries.astype(np.uint16), kind="stable")


def _place(queries: Rows) -> Rows:
    """How many of the same query are before it, where they are in order."""
    return np.arange(len(queries)) - np.searchsorted(queries, queries)


def _where(mask: NDArray[np.bool_]) -> Rows:
    """Places of the few that are true: words of bits are counted quicker than bools."""
    flat = mask.ravel()
    if len(flat) % WORD:
        return np.flatnonzero(flat)
    words = np.flatnonzero(np.packbits(flat).view(np.uint64))
    places = np.flatnonzero(flat.reshape(-1, WORD)[words])
    return words[places // WORD] * WORD + places % WORD
