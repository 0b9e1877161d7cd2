"""The same ECG twice where the hash does not tell it: published again with another gain, and so rounded otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardioloom.store.fit import INDEPENDENT
from cardioloom.store.layout import NOT_RECORDED
from cardioloom.store.opening import Folder

TOLERANCE_MV = 0.005  # twice half of 5 µV, the coarsest count in common use
SHARED = 0.5  # of the samples must be recorded in both


def levels(
    counts: NDArray[np.integer], gain: NDArray[np.float64], baseline: NDArray[np.float64], names: tuple[str, ...]
) -> NDArray[np.float32]:
    """(2 × lead,) mean and mean absolute value of each lead in mV; what is not recorded counts as 0.

    Neither differs by more than the samples of two ECGs do at most.

    Args:
        counts: (lead, time).
        gain, baseline: (lead,).
        names: one a lead.
    """
    rows = [row for row, name in enumerate(names) if name in INDEPENDENT] or list(range(len(names)))
    own = counts[rows]
    signal = (own - baseline[rows, None].astype(np.float32)) / gain[rows, None].astype(np.float32)
    signal[own == NOT_RECORDED] = 0.0
    return np.concatenate([signal.mean(axis=1), np.abs(signal).mean(axis=1)])


def alike(
    folder: Folder, rows: Sequence[Mapping[str, Any]], found: NDArray[np.float32]
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Pairs of studies whose ECGs have other hashes, and nowhere differ by more than `TOLERANCE_MV`.

    Args:
        folder: of the cohort.
        rows: of the manifest.
        found: (study, value) `levels` of them.

    Raises:
        DamagedFileError: if a shard cannot be read.
    """
    from scipy.spatial import KDTree

    # One study a hash, and none without a signal: each of those is like every other.
    first = {row["hash"]: at for at, row in reversed(list(enumerate(rows)))}
    chosen = [at for at in sorted(first.values()) if np.abs(found[at]).max() > TOLERANCE_MV]
    if len(chosen) < 2:
        return
    tree = KDTree(found[chosen])
    for place, at in enumerate(chosen):
        for other in sorted(tree.query_ball_point(found[at], TOLERANCE_MV, p=np.inf)):
            if other > place and _is_same(folder, rows[at], rows[chosen[other]]):
                yield rows[at], rows[chosen[other]]


def _is_same(folder: Folder, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    difference = np.abs(folder.array(one, "ecg") - folder.array(other, "ecg"))
    shared = ~np.isnan(difference)
    return bool(shared.mean() >= SHARED and difference[shared].max() <= TOLERANCE_MV)
