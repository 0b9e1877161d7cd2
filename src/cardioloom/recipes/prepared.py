"""ECGs of a cohort as a net takes them, with their R peaks: made once, kept on disk, shared by all trainings on it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import DamagedFileError, WriteError
from cardioloom.models import installed
from cardioloom.prepare import Preparation
from cardioloom.prepare.beats import r_peaks_batch
from cardioloom.recipes.feed import EcgFeed
from cardioloom.store import Folder, Loader

FORMAT = 1  # of what is kept: another number where it is computed otherwise
PER_BATCH = 64  # studies that are prepared at once
ECGS, PEAKS, ROWS = "ecg.npy", "peaks.npy", "rows.npy"
Watch = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class PreparedEcgs:
    """Prepared ECGs, mapped into memory.

    Args:
        signals: (study, lead, time) float32.
        peaks: (study, peak) float32 R peaks in samples, NaN = no more.
        place: (study of the manifest,) row of the two, −1 = has no ECG.
    """

    signals: NDArray[np.float32]
    peaks: NDArray[np.float32]
    place: NDArray[np.int64]

    def take(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Signals and peaks of these rows of the manifest."""
        at = self.place[rows]
        return self.signals[at], self.peaks[at]


def prepared_ecgs(folder: Folder, preparation: Preparation, *, watch: Watch | None = None) -> PreparedEcgs:
    """Every ECG of a cohort, from the cache where an earlier training has left them.

    The place in the cache follows from the cohort's fingerprint, the order of its studies and the preparation, so
    nothing stale is met.

    Args:
        folder: the cohort.
        preparation: whose first window is kept.
        watch: is told how many of how many are done.

    Raises:
        PreparationError: naming the study that cannot be prepared.
        WriteError: if the cache is full or cannot be written to.
        DamagedFileError: if what an earlier training left there cannot be read.
    """
    target = kept_at(preparation.name, folder, {"preparation": preparation.to_json(), "format": FORMAT})
    if not target.is_dir():
        try:
            _make(folder, preparation, target, watch)
        except OSError as error:
            raise unwritten(target, error) from error
    try:
        return PreparedEcgs(*(np.load(target / name, mmap_mode="r") for name in (ECGS, PEAKS, ROWS)))
    except (OSError, ValueError, EOFError) as error:
        raise DamagedFileError(f"{target} cannot be read ({error}): remove the folder, it is made again") from error


def kept_at(name: str, folder: Folder, more: Mapping[str, Any]) -> Path:
    """The place in the cache of what is kept by rows of a cohort's manifest and follows from nothing else than told.

    The fingerprint is the same for the same studies in any order; rows are not.
    """
    studies = folder.columns["study_id"].astype(str).tolist()
    told = {"cohort": folder.facts["fingerprint"], "studies": studies, **more}
    key = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:20]
    return installed.cache() / "prepared" / f"{name}-{key}"


def unwritten(path: Path, error: OSError) -> WriteError:
    """What a cache says that refuses."""
    return WriteError(
        f"{path} could not be written ({error.strerror or error}): make room there, or set {installed.VARIABLE} to "
        "another folder"
    )


def _make(folder: Folder, preparation: Preparation, target: Path, watch: Watch | None) -> None:
    """Beside its place first: a training that is stopped here leaves nothing that another takes for whole."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    part.mkdir(parents=True, exist_ok=True)
    for old in target.parent.glob(".*.part"):  # of processes that were killed
        if time.time() - old.stat().st_mtime > installed.LEFTOVER_S:
            shutil.rmtree(old, ignore_errors=True)
    try:
        loader = Loader(folder, batch=PER_BATCH)
        feed = EcgFeed(loader, folder, preparation, np.empty((len(folder.columns["study_id"]), 0)), keep_bytes=0)
        rows = np.sort(loader.rows)
        place = np.full(len(feed.targets), -1, np.int64)
        place[rows] = np.arange(len(rows))
        shape = (len(rows), len(preparation.leads), preparation.window_samples)
        beats: list[NDArray[np.int64]] = []
        # Written one after the other: a full disk is then an error; of a mapped file it would end the process.
        with (part / ECGS).open("wb") as file:
            header = np.lib.format.header_data_from_array_1_0(np.empty(0, np.float32))
            np.lib.format.write_array_header_1_0(file, header | {"shape": shape})
            for start in range(0, len(rows), PER_BATCH):
                batch = np.ascontiguousarray(feed.batch(rows[start : start + PER_BATCH]).x.numpy())
                file.write(batch.data)
                beats += r_peaks_batch(batch, preparation.fs)
                if watch:
                    watch(start + len(batch), len(rows))
        peaks = np.full((len(rows), max(map(len, beats))), np.nan, np.float32)
        for row, own in zip(peaks, beats, strict=True):
            row[: len(own)] = own
        np.save(part / PEAKS, peaks)
        np.save(part / ROWS, place)
        try:
            part.rename(target)
        except OSError:
            if not target.is_dir():  # another training may have been quicker
                raise
    finally:
        for left in part.glob("*"):
            left.unlink()
        if part.exists():
            part.rmdir()
