"""Vectors rounded to 8 bits: scores at a quarter of the memory, with an error that cannot be exceeded.

The embeddings of a net lie in a narrow cone around their mean, so the mean m and what lies along it (unit vector a) are
taken apart, and every feature of the rest has its own scale::

    vector = m + along c0 · a + u       u = scale ∘ counts + e
    query  = alpha · a + q              alpha = query · a
    query · vector = query · m + alpha along c0 + (q ∘ scale) · counts + q · e + alpha (a · u)

All counts are whole numbers up to 127. The factors are rounded too: q ∘ scale = step · asked + r, alpha along = step ·
asked0 + r0. asked0 may be `COPIES` times as large as the others: c0 is there so many times, and asked0 is their sum. So
the cosine is query · m + step · (asked · counts + asked0 c0), give or take

    |r| N + |r0| N0 + |q| E + |alpha| D

by Cauchy and Schwarz, where N is the length of the longest counts, N0 the largest |c0|, E the length of the longest e
and D the largest |a · u|. All are of the numbers that were rounded, not estimates; the sum of whole numbers is exact.

Rounding of float64: query · m, alpha, q, r, e, u, a · u, the lengths and the cosines in float64 that the scores are
compared with are each made of sums of at most `width` + `COPIES` products of vectors no longer than 4 (unit vectors,
their mean, and differences of these), so each is off by less than 16 (width + COPIES + 2) 2^-53, and changes the cosine
by no more than 4 times that. Only counts are longer, up to 127 sqrt(width): r is off by step 127 2^-52 in each feature,
so |r| N by 2 · 127² width step 2^-53, and as step is no more than 8 / 127², by no more than 16 width 2^-53. All
these are fewer than 16, and 16 · 4 · 16 = 2^10: `MARGIN` (width + COPIES + 2) is more.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST = 127
MARGIN = 2.0**-43
COPIES = 16
SMALLEST = 1e-30  # a spread that is rounded; less is none
TOGETHER = 256  # vectors that are rounded at once, in cache
LOW = -(2**30)  # below every score
WIDEST = 2**29 // MOST**2  # whose scores differ by less than the largest slack
TRIED = (1, 16, 100)  # queries of the trials
TRIED_ROWS = 4096
FEW = 2048  # rows for each of the k, or else too many are candidates
A_CALL, FROM_QUERIES, FROM_ROWS = 32, 1024, 32768
USELESS = 3  # searches after which a copy is left
Product = Callable[[Any, Any, Any], Any]


@dataclass(eq=False)
class Coarse:
    """Rounded vectors. Get them with `of`.

    Args:
        counts: (row, width + COPIES) int8.
        mean: (width,) m.
        axis: (width,) a.
        scale: (width,).
        along: of c0.
        longest, longest0, error, beside: N, N0, E and D.
        n_useless: searches that left too many candidates.
    """

    counts: NDArray[np.int8]
    mean: NDArray[np.float64]
    axis: NDArray[np.float64]
    scale: NDArray[np.float64]
    along: float
    longest: float
    longest0: float
    error: float
    beside: float
    n_useless: int = 0

    @classmethod
    def of(cls, vectors: NDArray[np.float32]) -> Coarse:
        """Round (row, width) unit vectors."""
        mean = np.asarray(np.mean(vectors, axis=0, dtype=np.float64))
        axis = mean / max(float(np.linalg.norm(mean)), SMALLEST)
        away = vectors @ axis.astype(np.float32) - np.float32(mean @ axis)  # roughly: what is left of it is in u
        along = _scale(np.abs(away).max().astype(np.float64))
        first = np.rint(away * _inverse(along))
        spread = np.zeros(len(mean))
        for _, left in _apart(vectors, mean, axis, along * first):
            spread = np.maximum(spread, np.abs(left).max(axis=0))
        scale = _scale(spread)
        finer = _inverse(scale)
        counts = np.empty((len(vectors), len(mean) + COPIES), np.int8)
        counts[:, len(mean) :] = first[:, None]
        longest = error = beside = 0.0
        for own, left in _apart(vectors, mean, axis, along * first):
            beside = max(beside, np.abs(left @ axis).max())
            whole = np.rint(left * finer)
            counts[own, : len(mean)] = whole
            longest = max(longest, np.einsum("ij,ij->i", whole, whole).max())
            left -= np.multiply(whole, scale, out=whole)
            error = max(error, np.einsum("ij,ij->i", left, left).max())
        longest, error = float(np.sqrt(longest)), float(np.sqrt(error))
        return cls(counts, mean, axis, scale, float(along), longest, float(np.abs(first).max()), error, float(beside))

    def ask(self, queries: NDArray[np.float32]) -> Asked:
        """Round (query, width) unit vectors."""
        exact = queries.astype(np.float64)
        alpha = exact @ self.axis
        beside = exact - alpha[:, None] * self.axis
        factors, factor0 = beside * self.scale, alpha * self.along
        step = np.maximum(np.abs(factors).max(axis=1), np.abs(factor0) / COPIES) / MOST
        step = np.where(step > SMALLEST, step, 1.0)
        counts, count0 = np.rint(factors / step[:, None]), np.rint(factor0 / step)
        shares = (count0[:, None] + np.arange(COPIES)) // COPIES  # sum to count0
        asked = np.concatenate([counts, shares], axis=1).astype(np.int8)
        bound = np.linalg.norm(factors - counts * step[:, None], axis=1) * self.longest
        bound += np.abs(factor0 - count0 * step) * self.longest0
        bound += np.linalg.norm(beside, axis=1) * self.error + np.abs(alpha) * self.beside
        bound += MARGIN * (asked.shape[1] + 2)
        return Asked(self.counts, asked, exact @ self.mean, step, bound)


def _scale(largest: Any) -> Any:
    """Of counts up to `MOST`."""
    return np.where(largest > SMALLEST, largest / MOST, 0.0)


def _inverse(scale: Any) -> Any:
    """0 of 0."""
    return 1 / np.where(scale > 0, scale, np.inf)


def _apart(
    vectors: NDArray[np.float32], mean: NDArray[np.float64], axis: NDArray[np.float64], along: NDArray[np.float64]
) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Some rows after the other, and what is left of them: u."""
    for start in range(0, len(vectors), TOGETHER):
        own = slice(start, start + TOGETHER)
        left = vectors[own] - mean
        left -= along[own, None] * axis
        yield own, left


@dataclass(frozen=True, eq=False)
class Asked:
    """Rounded queries of rounded vectors: the cosine is offset + step · score, give or take the bound.

    Args:
        rows: (row, width + COPIES) int8.
        counts: (query, width + COPIES) int8.
        offset, step, bound: (query,).
    """

    rows: NDArray[np.int8]
    counts: NDArray[np.int8]
    offset: NDArray[np.float64]
    step: NDArray[np.float64]
    bound: NDArray[np.float64]

    @property
    def slack(self) -> NDArray[np.int32]:
        """(query,) how far below another's a score is when its cosine cannot be as large."""
        return np.minimum(np.ceil(2 * self.bound / self.step) + 2, -LOW - 1).astype(np.int32)

    def floor(self, query: NDArray[np.int64], cosines: NDArray[np.float64]) -> NDArray[np.int32]:
        """(one,) scores that have, like all lower ones, a cosine of the query below the given one."""
        scores = (cosines - self.bound[query] - self.offset[query]) / self.step[query]
        return np.clip(np.floor(scores) - 1, LOW, -LOW).astype(np.int32)

    def scores(self, start: int, out: NDArray[np.int32]) -> None:
        """Fill (row, query) with the scores of the rows from the first on."""
        product = product_of_bytes()
        assert product is not None
        product(self.rows[start : start + len(out)], self.counts.T, out)


def product_of_bytes() -> Product | None:
    """(row, width) int8 times (width, query) int8 into (row, query) int32; None where torch is not loaded or has none.

    The net that embedded the query has loaded torch; it is not loaded for this. `_int_mm` is private to torch and may
    change (constraints.txt names the version that it is tested with): hence `is_right`.
    """
    torch = sys.modules.get("torch")
    multiply = getattr(torch, "_int_mm", None)
    if torch is None or multiply is None:
        return None
    return lambda rows, columns, out: multiply(*map(torch.from_numpy, (rows, columns)), out=torch.from_numpy(out))


def is_right(product: Product, width: int) -> bool:
    """Whether products of bytes are exact, the largest too, which some processors' short sums would not hold."""
    if width > WIDEST:
        return False
    random = np.random.default_rng(0)
    for n in TRIED:
        rows = random.integers(-MOST, MOST + 1, (67, width)).astype(np.int8)
        columns = random.integers(-MOST, MOST + 1, (n, width)).astype(np.int8)
        rows[:3], rows[3], columns[0] = MOST, -MOST, MOST
        found = np.empty((len(rows), n), np.int32)
        try:
            product(rows, columns.T, found)
        except (RuntimeError, TypeError):
            return False
        if not np.array_equal(found, rows.astype(np.float64) @ columns.T.astype(np.float64)):
            return False
    return True


def is_quicker(product: Product, width: int) -> bool:
    """Whether products of bytes take less time than those of float32, for one query, some and many (`TRIED`); timed."""
    random = np.random.default_rng(0)
    for n in TRIED:
        rows = random.integers(-MOST, MOST + 1, (TRIED_ROWS, width)).astype(np.int8)
        asked, found = rows[:n], np.empty((TRIED_ROWS, n), np.int32)
        floats, ours = rows.astype(np.float32), np.empty((TRIED_ROWS, n), np.float32)
        times = [
            min(_seconds(case) for _ in range(5))
            for case in (
                lambda: product(rows, asked.T, found),  # noqa: B023
                lambda: np.matmul(floats, floats[:n].T, out=ours),  # noqa: B023
            )
        ]
        if times[0] > times[1]:
            return False
    return True


def _seconds(case: Callable[[], Any]) -> float:
    start = perf_counter()
    case()
    return perf_counter() - start


@dataclass
class Copy:
    """The rounded copy of an index's vectors: made once, when so much was asked that it pays; left where it does not.

    Args:
        n_asked: queries by now; a call counts as `A_CALL` at least.
        is_tried: whether it was decided.
        made: None = not made, or of no use.
    """

    n_asked: int = 0
    is_tried: bool = False
    made: Coarse | None = field(default=None, repr=False)

    def of(self, vectors: NDArray[np.float32], n_queries: int, k: int) -> Coarse | None:
        """The copy for a call of so many queries, or None where the vectors themselves are as quick."""
        if len(vectors) < max(FROM_ROWS, k * FEW):
            return None
        self.n_asked += max(n_queries, A_CALL)
        if self.made is not None and self.made.n_useless >= USELESS:
            self.made = None
        if self.n_asked >= FROM_QUERIES and not self.is_tried and (product := product_of_bytes()) is not None:
            self.is_tried = True
            width = vectors.shape[1] + COPIES
            if is_right(product, width) and is_quicker(product, width):
                try:
                    self.made = Coarse.of(vectors)
                except MemoryError:
                    return None
        return self.made
