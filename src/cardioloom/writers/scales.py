"""What every writer of integers needs: a walk over counts, their extent, and the gains at which floats are whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cardioloom.records import Counts

BLOCK_VALUES = 1 << 20  # leads × samples that are converted at a time
# Counts per mV at which float signals that came from text or converters are usually whole.
USUAL_GAINS = (1000.0, 200.0, 400.0, 500.0, 1024.0, 1e4, 1e5, 1e6)


class Extent(NamedTuple):
    """Least and greatest count of a lead, gaps left aside (0 and 0 where it is one gap); whether it has gaps."""

    low: int
    high: int
    has_gaps: bool


def blocks(counts: Counts) -> Iterator[tuple[int, NDArray[np.integer]]]:
    """(first sample, (lead, time) counts) of each block."""
    n_leads, n_samples = counts.values.shape
    size = max(BLOCK_VALUES // n_leads, 1)
    for start in range(0, n_samples, size):
        yield start, np.asarray(counts.values[:, start : min(start + size, n_samples)])


def extents(counts: Counts) -> list[Extent]:
    """One a lead."""
    found: list[Extent | None] = [None] * len(counts.gain)
    has_gaps = [False] * len(counts.gain)
    for _, values in blocks(counts):
        for row, (lead, invalid) in enumerate(zip(values, counts.invalid, strict=True)):
            valid = lead if invalid is None else lead[lead != invalid]
            has_gaps[row] |= valid.size < lead.size
            if valid.size:
                low, high, _ = found[row] or (int(valid[0]), int(valid[0]), False)
                found[row] = Extent(min(low, int(valid.min())), max(high, int(valid.max())), False)
    return [(lead or Extent(0, 0, False))._replace(has_gaps=gaps) for lead, gaps in zip(found, has_gaps, strict=True)]


def usual_gain(signal: NDArray[np.float64], max_count: int) -> float | None:
    """The first of the usual gains at which every value is a whole count up to ``max_count``; None where none is.

    Args:
        signal: (time,) mV that are float32 values, without NaN.
        max_count: the greatest count that can be stored.
    """
    largest = float(np.abs(signal).max(initial=0.0))
    for gain in USUAL_GAINS:
        if largest * gain <= max_count and _is_whole(signal[:4096], gain) and _is_whole(signal, gain):
            return gain
    return None


def _is_whole(values: NDArray[np.float64], gain: float) -> bool:
    again = (np.rint(values * gain) / gain).astype(np.float32)
    return bool((again == values).all())
