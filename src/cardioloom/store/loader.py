"""Batches of a cohort in random order, for training: the same order for the same seed, on any number of machines."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import UsageError
from cardioloom.store.layout import NOT_RECORDED
from cardioloom.store.opening import Folder

DRAWS = ("one", "all")
Places = Sequence[tuple[int, int]]


@dataclass(frozen=True, eq=False)
class Batch:
    """Studies with all that the loader was asked for.

    Args:
        rows: (study,) their rows in the manifest.
        counts: modality → (study, …) integers.
        scales: modality → (study, 2, channel) gain and baseline: value = (count − baseline) / gain.
    """

    rows: NDArray[np.int64]
    counts: Mapping[str, NDArray[np.integer]]
    scales: Mapping[str, NDArray[np.float64]]

    def millivolts(self, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """(study, lead, time) mV of the ECGs, NaN = not recorded; ``out`` is filled and returned where given."""
        counts, scale = self.counts["ecg"], self.scales["ecg"]
        values = np.empty(counts.shape, np.float32) if out is None else out
        gain = np.reciprocal(scale[:, 0, :, None]).astype(np.float32)
        np.subtract(counts, scale[:, 1, :, None].astype(np.float32), out=values)
        np.multiply(values, gain, out=values)
        if (gone := counts == NOT_RECORDED).any():
            values[gone] = np.nan
        return values


class Loader:
    """Walks a cohort in epochs.

    Args:
        folder: a complete cohort.
        modalities: studies that lack one of them are left out, so that all are pairs.
        split: whose patients, None = all.
        rows: only these rows of the manifest, for example a fold of a cross-validation by patient; None = all.
        batch: studies in a batch; the last of an epoch may be smaller.
        draw: "one" study a patient and epoch, drawn at random, or "all".
        seed: of the order; the order of an epoch depends on it and the epoch alone.
        rank, ranks: this machine's (or card's) share: every rank gets as many studies, without overlap; of those
            that are left over, at most ranks − 1, none is shown this epoch.
        worker, workers: this process's share of the rank's batches, without overlap.

    Raises:
        UsageError: if a value cannot be, or nothing is left.
    """

    def __init__(
        self,
        folder: Folder,
        modalities: Sequence[str] = ("ecg",),
        *,
        split: str | None = None,
        rows: NDArray[np.int64] | None = None,
        batch: int = 32,
        draw: str = "all",
        seed: int = 0,
        rank: int = 0,
        ranks: int = 1,
        worker: int = 0,
        workers: int = 1,
    ):
        if draw not in DRAWS:
            raise UsageError(f"draw must be one of {', '.join(DRAWS)}, got {draw!r}")
        if batch < 1 or not 0 <= rank < ranks or not 0 <= worker < workers:
            raise UsageError(
                f"batch must be at least 1, rank below ranks and worker below workers, got batch {batch}, "
                f"rank {rank} of {ranks}, worker {worker} of {workers}"
            )
        self.readers = {name: folder.reader(name) for name in modalities}
        self.batch, self.draw, self.seed = batch, draw, seed
        self.rank, self.ranks, self.worker, self.workers = rank, ranks, worker, workers
        self.rows = _chosen(folder, modalities, split, rows)
        columns = folder.columns
        self.shards, self.places = columns["shard"].astype(np.int64), columns["row"].astype(np.int64)
        _, self.patients = np.unique(columns["patient_id"].astype(str)[self.rows], return_inverse=True)
        if len(self.order(0)) == 0:
            raise UsageError(f"{len(self.rows)} studies are too few for {ranks} ranks: use fewer, or another split")

    def order(self, epoch: int) -> NDArray[np.int64]:
        """(study,) the manifest's rows of this rank in this epoch, all its workers together."""
        key = hashlib.sha256(f"loader/{self.seed}/{epoch}".encode()).digest()
        random = np.random.Generator(np.random.Philox(key=int.from_bytes(key[:16], "little")))
        order = random.permutation(len(self.rows))
        if self.draw == "one":
            # The first that is met of each patient in a random order is a random one of the patient's.
            _, first = np.unique(self.patients[order], return_index=True)
            order = order[np.sort(first)]
        even = len(order) - len(order) % self.ranks
        return self.rows[order[:even][self.rank :: self.ranks]]

    def batches(self, epoch: int, out: Mapping[str, NDArray[Any]] | None = None) -> Iterator[Batch]:
        """The batches of this rank and worker in one epoch.

        Args:
            epoch: by which the order differs.
            out: modality → (batch, …) C-contiguous of the shards' type; each batch then lies there until the next.

        Raises:
            DamagedFileError: if a shard is missing or cut short.
        """
        order = self.order(epoch)
        for number in range(self.worker, -(-len(order) // self.batch), self.workers):
            yield self.read(order[number * self.batch : (number + 1) * self.batch], out)

    def read(self, rows: NDArray[np.int64], out: Mapping[str, NDArray[Any]] | None = None) -> Batch:
        """The studies of these rows of the manifest, in this order."""
        places = list(zip(self.shards[rows].tolist(), self.places[rows].tolist(), strict=True))
        counts = {
            name: reader.counts(places, None if out is None else out[name][: len(rows)])
            for name, reader in self.readers.items()
        }
        return Batch(rows, counts, {name: reader.scales(places) for name, reader in self.readers.items()})


def _chosen(
    folder: Folder, modalities: Sequence[str], split: str | None, rows: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    """The rows of the manifest that are in the split, among those asked for, and have every modality."""
    cohort = folder.cohort()  # refuses a patient in two splits
    mask = np.ones(len(cohort), bool)
    for name in modalities:
        mask &= folder.has(name)
    if split is not None:
        mask &= np.isin(cohort.rows, cohort.split(split).rows)
    if rows is not None:
        mask &= np.isin(cohort.rows, rows)
    if not mask.any():
        raise UsageError(f"no study of {folder.path} has {', '.join(modalities)} in split {split}: choose another")
    return np.flatnonzero(mask)
