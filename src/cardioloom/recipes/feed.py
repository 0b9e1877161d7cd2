"""Batches of prepared ECGs with their targets, made ready in the background while the net works."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cardioloom.errors import PreparationError
from cardioloom.prepare import Preparation, apply, prepare
from cardioloom.store import Folder, Loader

T = TypeVar("T")
AHEAD = 2  # batches that are made ready before they are asked for
KEEP_BYTES = 1 << 30  # of prepared signals, so that they are filtered once and not once an epoch


@dataclass(frozen=True, eq=False)
class Batch:
    """Studies as the net takes them.

    Args:
        x: (study, lead, time) prepared.
        y: (study, target), NaN = not known.
        names: study_id of each.
    """

    x: Tensor
    y: Tensor
    names: tuple[str, ...]


def ahead(make: Callable[[NDArray[np.int64]], T], order: NDArray[np.int64], size: int, start: int) -> Iterator[T]:
    """Batches of an order from one on, the next few made ready in the background.

    Args:
        make: rows of the manifest → batch.
        order: (study,) rows.
        size: studies in a batch.
        start: number of the first batch.
    """
    pool = ThreadPoolExecutor(1)
    try:
        waiting = []
        for number in range(start, -(-len(order) // size)):
            waiting.append(pool.submit(make, order[number * size : (number + 1) * size]))
            if len(waiting) > AHEAD:
                yield waiting.pop(0).result()
        for ready in waiting:
            yield ready.result()
    finally:
        pool.shutdown(cancel_futures=True)  # who leaves early does not wait for what nobody will see


class EcgFeed:
    """The ECGs of a cohort in epochs, with targets; a `loop.Feed`.

    Args:
        loader: of the cohort, which decides on order, split, ranks and size of a batch.
        folder: the cohort.
        preparation: of the net; an ECG longer than its window gives its first window.
        targets: (study of the manifest, target), NaN = not known.
        keep_bytes: memory for prepared signals; what does not fit is prepared anew each epoch.
        device: where batches are put.
    """

    def __init__(
        self,
        loader: Loader,
        folder: Folder,
        preparation: Preparation,
        targets: NDArray[np.float64],
        *,
        keep_bytes: int = KEEP_BYTES,
        device: torch.device | str = "cpu",
    ):
        self.loader, self.folder, self.preparation = loader, folder, preparation
        self.targets = torch.from_numpy(np.asarray(targets, np.float32))
        self.names = folder.columns["study_id"].astype(str)
        self.device = torch.device(device)
        size = 4 * len(preparation.leads) * preparation.window_samples
        self.room = max(0, keep_bytes // size)
        self.kept: dict[int, NDArray[np.float32]] = {}

    def __len__(self) -> int:
        """Batches in an epoch."""
        return -(-len(self.loader.order(0)) // self.loader.batch)

    def __call__(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from one on."""
        yield from ahead(self.batch, self.loader.order(epoch), self.loader.batch, start)

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """The studies of these rows of the manifest."""
        new = [row for row in rows.tolist() if row not in self.kept]
        fresh = dict(zip(new, self._prepared(np.array(new, np.int64)), strict=True)) if new else {}
        for row in new[: max(0, self.room - len(self.kept))]:
            self.kept[row] = fresh[row]
        x = np.stack([self.kept[row] if row in self.kept else fresh[row] for row in rows.tolist()])
        y = self.targets[torch.from_numpy(rows)]
        moved = torch.from_numpy(x).to(self.device, non_blocking=True), y.to(self.device, non_blocking=True)
        return Batch(*moved, tuple(self.names[rows].tolist()))

    def _prepared(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """(study, lead, time) of studies that are not kept yet."""
        layout, wanted = self.folder.layout, self.preparation
        is_alike = (layout.leads, layout.fs) == (wanted.leads, wanted.fs)
        if is_alike and layout.modalities["ecg"].shape[-1] == wanted.window_samples and wanted.unit == "mV":
            return apply(self.loader.read(rows).millivolts(), wanted)
        return np.stack([self._one(row) for row in rows.tolist()])

    def _one(self, row: int) -> NDArray[np.float32]:
        study = {name: values[row] for name, values in self.folder.columns.items()}
        try:
            return prepare(self.folder.ecg(study), self.preparation).windows[0]
        except PreparationError as error:
            raise PreparationError(f"{self.names[row]}: {error}") from error
