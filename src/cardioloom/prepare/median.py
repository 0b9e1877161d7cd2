"""An exact rolling median in compiled code: the slowest stage of the ECGFounder filters."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import PreparationError

Ranks = NDArray[np.uint32]
# Longer rows are cut into blocks of this many results: the working set stays in the cache, and the cost of
# values that crowd into a few sorting keys stays bounded.
BLOCK_SAMPLES = 8192
# Position of the only set bit of a 64-bit word, by de Bruijn multiplication.
DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
BIT_POSITION = np.zeros(64, np.uint64)
for _bit in range(64):
    BIT_POSITION[((int(DE_BRUIJN) << _bit) & (2**64 - 1)) >> 58] = _bit


def rolling_median(signal: NDArray[np.floating], kernel: int) -> NDArray[np.float64]:
    """The median of the ``kernel`` samples around each sample; each row equals ``scipy.signal.medfilt``.

    Args:
        signal: (..., time), finite; both ends are continued with zeros, as scipy does.
        kernel: odd number of samples.

    Returns:
        (..., time) float64, in the unit of the signal.

    Raises:
        PreparationError: if the kernel is even or not positive, or the signal holds NaN or infinite values.
    """
    if kernel < 1 or kernel % 2 == 0:
        raise PreparationError(f"the kernel of a rolling median must be an odd number of samples, got {kernel}")
    signal = np.asarray(signal, np.float64)
    if not np.isfinite(signal).all():
        raise PreparationError("a rolling median needs finite samples, got NaN or infinite ones: replace them first")
    rows = np.ascontiguousarray(signal).reshape(-1, signal.shape[-1])
    medians = np.empty(rows.shape)
    block = np.empty(min(rows.shape[1], BLOCK_SAMPLES) + kernel - 1)
    order, rank = np.empty(len(block), np.uint32), np.empty(len(block), np.uint32)
    rank_samples, slide_median = compiled(rank_window), compiled(slide)
    for row, out in zip(rows, medians, strict=True):
        for start in range(0, len(row), BLOCK_SAMPLES):
            rank_samples(row, start - kernel // 2, block, order, rank)
            slide_median(block, order, rank, kernel, out[start : start + BLOCK_SAMPLES])
    return medians.reshape(signal.shape)


@cache
def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function compiled by numba; the machine code is kept on disk where a folder can be written."""
    from numba import njit

    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba found no folder for its cache: compile for this process only
        return njit(nogil=True)(function)


def rank_window(row: NDArray[np.float64], start: int, values: NDArray[np.float64], order: Ranks, rank: Ranks) -> None:
    """Copy samples ``start …`` of a row (time,) to ``values``, zeros beyond its ends, and sort them. Compiled.

    ``order`` gets the positions in ``values``, ascending by value, and ``rank`` its inverse. A radix sort of two
    passes over the leading 22 bits of the values, which float bits allow once those of negative values are flipped;
    an insertion pass then puts what shares these bits in order.
    """
    n_samples = len(values)
    keys = np.empty(n_samples, np.int64)
    coarse, by_low = np.empty(n_samples, np.uint32), np.empty(n_samples, np.uint32)
    next_low, next_high = np.zeros(2048, np.uint32), np.zeros(2048, np.uint32)
    one, low_bits, eleven = np.uint32(1), np.uint32(2047), np.uint32(11)
    flip, sign, half = np.int64(2**63 - 1), np.int64(63), np.int64(1)
    bits = values.view(np.int64)
    smallest, largest = flip, -flip
    for i in range(n_samples):
        # -0.0 + 0.0 is 0.0: one key for both zeros.
        values[i] = row[start + i] + 0.0 if 0 <= start + i < len(row) else 0.0
    for i in range(n_samples):
        key = bits[i] ^ ((bits[i] >> sign) & flip)
        keys[i] = key
        smallest = min(smallest, key >> half)  # halved: the span of all keys would not fit 64 bits
        largest = max(largest, key >> half)
    shift, span = np.int64(0), largest - smallest
    while span >= 1 << 22:
        span >>= half
        shift += 1
    for i in range(n_samples):
        coarse[i] = ((keys[i] >> half) - smallest) >> shift
    for i in range(n_samples):
        next_low[coarse[i] & low_bits] += one
        next_high[coarse[i] >> eleven] += one
    low_total, high_total = np.uint32(0), np.uint32(0)
    for digit in range(2048):
        count_low, count_high = next_low[digit], next_high[digit]
        next_low[digit], next_high[digit] = low_total, high_total
        low_total, high_total = low_total + count_low, high_total + count_high
    for i in range(n_samples):
        low = coarse[i] & low_bits
        place = next_low[low]
        by_low[place], next_low[low] = i, place + one
    for k in range(n_samples):
        i = by_low[k]
        high = coarse[i] >> eleven
        place = next_high[high]
        order[place], next_high[high] = i, place + one
    for k in range(1, n_samples):
        i, j = order[k], k
        while j > 0 and keys[order[j - 1]] > keys[i]:
            order[j] = order[j - 1]
            j -= 1
        order[j] = i
    for k in range(n_samples):
        rank[order[k]] = k


def slide(values: NDArray[np.float64], order: Ranks, rank: Ranks, kernel: int, medians: NDArray[np.float64]) -> None:
    """Medians of the windows of sorted values (≥ time + kernel - 1,) into ``medians`` (time,). Compiled.

    The window is a set of ranks, one bit each. A sample leaves and one enters: the median stays, or moves to the
    next set bit below or above. Ranks differ from each other even where values do not, so this is exact.
    """
    one, six, last, top = np.uint64(1), np.uint64(6), np.uint64(63), np.uint64(58)
    words = np.zeros((len(values) >> 6) + 1, np.uint64)
    for i in range(kernel):
        entering = np.uint64(rank[i])
        words[entering >> six] |= one << (entering & last)
    middle = np.uint64(np.sort(rank[:kernel])[kernel // 2])
    medians[0] = values[order[middle]]
    for i in range(1, len(medians)):
        leaving, entering = np.uint64(rank[i - 1]), np.uint64(rank[i + kernel - 1])
        words[leaving >> six] ^= one << (leaving & last)
        words[entering >> six] |= one << (entering & last)
        if entering < middle and leaving >= middle:
            at = middle >> six
            word = words[at] & ((one << (middle & last)) - one)
            while word == 0:
                at -= one
                word = words[at]
            for shift in (1, 2, 4, 8, 16, 32):
                word |= word >> np.uint64(shift)
            word ^= word >> one  # the highest set bit alone
            middle = (at << six) + BIT_POSITION[(word * DE_BRUIJN) >> top]
        elif entering > middle and leaving <= middle:
            at = middle >> six
            word = words[at] & (~one << (middle & last))
            while word == 0:
                at += one
                word = words[at]
            word &= ~word + one  # the lowest set bit alone
            middle = (at << six) + BIT_POSITION[(word * DE_BRUIJN) >> top]
        medians[i] = values[order[middle]]
