"""Pairs of patients counted in compiled code: what Harrell's and Uno's C are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardioloom.evaluation.checks import Bools, Floats
from cardioloom.prepare.median import compiled

Positions = NDArray[np.int64]


def counted(
    years: Floats, events: Bools, risks: Floats, weights: NDArray[np.int64] | Floats
) -> tuple[NDArray[Any], int]:
    """Concordant, discordant and tied weight (3,), and the pairs of one time; a pair weighs what its event does.

    Args:
        years: (record,) time to the event or to the end of follow-up.
        events: (record,) whose event counts; all others are compared as free of it so long.
        risks: (record,) finite; only the order matters.
        weights: (record,) of the events, integers (exact counts) or floats.
    """
    sort: Any = compiled(ascending)
    by_time, by_risk = sort(years + 0.0), sort(risks + 0.0)  # -0.0 + 0.0 is 0.0: one key for both zeros
    ordered = risks[by_risk]
    rank = np.empty(len(risks), np.int64)
    rank[by_risk] = np.concatenate(([0], np.cumsum(ordered[1:] != ordered[:-1])))
    totals = np.zeros(3, weights.dtype)
    tied_time: int = compiled(count_pairs)(years[by_time], events[by_time], rank[by_time], weights[by_time], totals)
    return totals, tied_time


def ascending(values: Floats) -> Positions:
    """Positions (record,) that sort finite values (record,) without -0.0. Compiled.

    A radix sort over all 64 bits, 11 at a time, so its cost is bounded whatever the values; two sorts are most of the
    work of a C-index. Bits of floats sort like integers once those of negative values are flipped.
    """
    n = len(values)
    one, low, sign = np.uint64(1), np.uint64(2047), np.uint64(63)
    keys, keys_next = np.empty(n, np.uint64), np.empty(n, np.uint64)
    order, order_next = np.empty(n, np.int64), np.empty(n, np.int64)
    counts = np.zeros((6, 2048), np.int64)
    bits = values.view(np.uint64)
    for i in range(n):
        key = ~bits[i] if bits[i] >> sign else bits[i] | (one << sign)
        keys[i], order[i] = key, i
        for digit in range(6):
            counts[digit, (key >> np.uint64(11 * digit)) & low] += 1
    for digit in range(6):
        shift, place = np.uint64(11 * digit), counts[digit]
        if n == 0 or place[(keys[0] >> shift) & low] == n:
            continue  # all share this digit
        total = 0
        for bucket in range(2048):
            count = place[bucket]
            place[bucket] = total
            total += count
        for i in range(n):
            bucket = (keys[i] >> shift) & low
            keys_next[place[bucket]], order_next[place[bucket]] = keys[i], order[i]
            place[bucket] += 1
        keys, keys_next = keys_next, keys
        order, order_next = order_next, order
    return order


def count_pairs(
    years: Floats,
    events: Bools,
    rank: NDArray[np.int64],
    weights: NDArray[np.int64] | Floats,
    totals: NDArray[Any],
) -> int:
    """Walk ascending times with a Fenwick tree over risk ranks of the events passed (all (record,)). Compiled.

    Adds concordant, discordant and tied weight to ``totals`` (3,); returns the pairs of one event and one censored
    patient at one time.
    """
    n, n_ranks = len(years), rank.max() + 1
    tree = np.zeros(n_ranks + 1, weights.dtype)
    same = np.zeros(n_ranks, weights.dtype)
    passed = weights[:1].sum() - weights[:1].sum()  # zero of the weights' type
    tied_time = 0
    start = 0
    while start < n:
        stop = start
        died = 0
        while stop < n and years[stop] == years[start]:
            died += events[stop]
            stop += 1
        tied_time += died * (stop - start - died)
        # Events first meet those before them, then join them, and only then are the censored of this time compared.
        for turn in range(3):
            for k in range(start, stop):
                if turn == 1 and events[k]:
                    passed += weights[k]
                    same[rank[k]] += weights[k]
                    i = rank[k] + 1
                    while i <= n_ranks:
                        tree[i] += weights[k]
                        i += i & -i
                elif (turn == 0 and events[k]) or (turn == 2 and not events[k]):
                    below = passed - passed
                    i = rank[k]
                    while i > 0:
                        below += tree[i]
                        i &= i - 1
                    totals[0] += passed - below - same[rank[k]]
                    totals[1] += below
                    totals[2] += same[rank[k]]
        start = stop
    return tied_time
