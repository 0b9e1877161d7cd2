"""Cines without a picture: one value in all of their frames. Looked for once a cohort, before anything is trained."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cardioloom.recipes.prepared import kept_at, unwritten
from cardioloom.store import Folder
from cardioloom.writers.atomic import replacing

FORMAT = 1  # of what is kept: another number where it is looked for otherwise
PER_READ = 32  # studies: some 11 MB of 50 frames of 84 x 84


def flat_cines(folder: Folder, modality: str) -> NDArray[np.bool_]:
    """(study of the manifest,) whether its cine has one value only; False where it has no cine.

    Every cine is read once (9000 of 50 frames: 3 GB, a few seconds); what was found lies in the cache folder under the
    cohort's fingerprint and the order of its studies, for the next training.

    Args:
        folder: the cohort.
        modality: of its cines.

    Raises:
        DamagedFileError: if a shard is missing or cut short.
        WriteError: if the cache is full or cannot be written to.
    """
    path = kept_at("flat", folder, {"modality": modality, "format": FORMAT}).with_suffix(".npy")
    n = len(folder.columns["study_id"])
    try:
        kept = np.load(path)
        if kept.shape == (n,) and kept.dtype == np.bool_:
            return kept
    except (OSError, ValueError, EOFError):
        pass  # not looked for yet, or damaged: it is soon found again
    found = _looked_for(folder, modality, n)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part, part.open("wb") as file:
            np.save(file, found)
    except OSError as error:
        raise unwritten(path, error) from error
    return found


def _looked_for(folder: Folder, modality: str, n: int) -> NDArray[np.bool_]:
    """In the order of the shards, so that each is read from its beginning to its end."""
    found, columns, reader = np.zeros(n, bool), folder.columns, folder.reader(modality)
    shards, places = columns["shard"].astype(np.int64), columns["row"].astype(np.int64)
    rows = np.flatnonzero(folder.has(modality))
    rows = rows[np.lexsort((places[rows], shards[rows]))]
    for start in range(0, len(rows), PER_READ):
        own = rows[start : start + PER_READ]
        counts = reader.counts(list(zip(shards[own].tolist(), places[own].tolist(), strict=True)))
        axes = tuple(range(1, counts.ndim))
        found[own] = counts.min(axis=axes) == counts.max(axis=axes)
    return found
