"""Batches of ECGs with their R peaks, of cines, or of both of one heart, made ready while the nets work."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cardioloom.errors import DamagedFileError, UsageError
from cardioloom.nn.paired import CINE_PAPER
from cardioloom.prepare.ecg import ptacl as preparation_of
from cardioloom.recipes.feed import ahead
from cardioloom.recipes.flat import flat_cines
from cardioloom.recipes.prepared import PreparedEcgs, prepared_ecgs
from cardioloom.store import Folder, Loader

FRAMES, PIXELS = CINE_PAPER.size[:2]
CINE = "cine_sax"  # one slice of the short axis, whole beats from the R peak on
IRREGULAR = 0.15  # SD over mean of the RR intervals, from which a mean beat stands for none of them


@dataclass(frozen=True, eq=False)
class Pairs:
    """Studies as the nets take them; what was not asked for has no values.

    Args:
        ecg: (study, lead, time) prepared.
        peaks: (study, peak) R peaks in samples, NaN = no more; all NaN where the beats are too irregular.
        cine: (study, frame, row, col) from 0 to 1.
        y: (study, target), NaN = not known.
        names: study_id of each.
    """

    ecg: Tensor
    peaks: Tensor
    cine: Tensor
    y: Tensor
    names: tuple[str, ...]


class PairFeed:
    """A cohort's ECGs, cines, or pairs of them in epochs; a `loop.Feed`.

    Args:
        loader: of the cohort, with the modalities that are wanted; it decides on order, split, ranks and batch.
        folder: the cohort.
        targets: (study of the manifest, target), NaN = not known.
        ecgs: prepared, where ECGs are wanted.
        pixels: rows and columns of a cine's pictures: those of the cohort, or fewer that divide them, averaged.
        device: where batches are put.
    """

    def __init__(
        self,
        loader: Loader,
        folder: Folder,
        targets: NDArray[np.float64],
        ecgs: PreparedEcgs | None,
        *,
        pixels: int = PIXELS,
        device: torch.device | str = "cpu",
    ):
        self.loader, self.ecgs, self.pixels = loader, ecgs, pixels
        self.targets = torch.from_numpy(np.asarray(targets, np.float32))
        self.names = folder.columns["study_id"].astype(str)
        self.device = torch.device(device)
        self.has_cine = CINE in loader.readers
        self.loose = np.zeros(len(self.names), bool) if ecgs is None else irregular(ecgs)

    def __len__(self) -> int:
        """Batches in an epoch."""
        return -(-len(self.loader.order(0)) // self.loader.batch)

    def __call__(self, epoch: int, start: int = 0) -> Iterator[Pairs]:
        """The batches of an epoch from one on."""
        yield from ahead(self.batch, self.loader.order(epoch), self.loader.batch, start)

    def in_order(self) -> Iterator[Pairs]:
        """Every study once, as the manifest has them."""
        rows = np.sort(self.loader.rows)
        for start in range(0, len(rows), self.loader.batch):
            yield self.batch(rows[start : start + self.loader.batch])

    def batch(self, rows: NDArray[np.int64]) -> Pairs:
        """The studies of these rows of the manifest.

        Raises:
            DamagedFileError: if a cine has no picture any more.
        """
        ecg, peaks = torch.empty(0), torch.empty(0)
        if self.ecgs is not None:
            signals, beats = self.ecgs.take(rows)
            beats[self.loose[rows]] = np.nan
            ecg, peaks = torch.from_numpy(signals), torch.from_numpy(beats)
        cine = self._cines(rows) if self.has_cine else torch.empty(0)
        y = self.targets[torch.from_numpy(rows)]
        moved = (one.to(self.device, non_blocking=True) for one in (ecg, peaks, cine, y))
        return Pairs(*moved, names=tuple(self.names[rows].tolist()))

    def _cines(self, rows: NDArray[np.int64]) -> Tensor:
        """Each cine with its least value as 0 and its largest as 1; the scale of its integers cancels."""
        stored = self.loader.read(rows).counts[CINE]
        # torch compares and adds no unsigned integers of 16 bits.
        counts = torch.from_numpy(stored.astype(np.int32) if stored.dtype == np.uint16 else stored)
        step = counts.shape[-1] // self.pixels
        least, most = counts.amin((1, 2, 3)).float(), counts.amax((1, 2, 3)).float()
        if flat := (most <= least).nonzero().flatten().tolist():
            raise DamagedFileError(
                f"the cine of {self.names[rows[flat[0]]]} has one value only, {least[flat[0]]:g}, and had a picture "
                "when the cohort was first looked through: its shard is another by now, find it with cohort check"
            )
        # Summed as integers: four bytes a value would be four times the way to memory.
        if step > 1:
            shape = (*counts.shape[:2], self.pixels, step, self.pixels, step)
            wide = torch.int16 if counts.dtype == torch.uint8 else torch.int32
            pictures = counts.view(shape).sum((3, 5), dtype=wide).float()
        else:
            pictures = counts.float()
        scale = 1 / (step * step * (most - least))
        return torch.addcmul(-(least / (most - least))[:, None, None, None], pictures, scale[:, None, None, None])


def irregular(ecgs: PreparedEcgs) -> NDArray[np.bool_]:
    """(study of the manifest,) where RR intervals vary too much for a mean beat: fibrillation, many extrasystoles.

    A mechanical beat does not stretch with its RR interval, so averaged over such beats each phase would hold several.
    """
    rr = np.diff(ecgs.peaks.astype(np.float64), axis=1)
    n = np.maximum((~np.isnan(rr)).sum(1), 1)
    mean = np.nansum(rr, axis=1) / n
    spread = np.sqrt(np.nansum((rr - mean[:, None]) ** 2, axis=1) / n)
    found = np.zeros(len(ecgs.place), bool)
    there = ecgs.place >= 0
    found[there] = (spread > IRREGULAR * np.maximum(mean, 1e-9))[ecgs.place[there]]
    return found


def stored(modality: str) -> str:
    """What a cohort calls the records of an encoder, "ecg" or "cine"."""
    return CINE if modality == "cine" else modality


def refuse_cohort(folder: Folder, modalities: tuple[str, ...]) -> None:
    """Refuse a cohort that lacks a modality, or has cines of another size; none of them is looked at.

    Raises:
        UsageError: with what is there.
    """
    known = folder.layout.modalities
    if missing := [name for name in modalities if name not in known]:
        raise UsageError(
            f"this training needs {' and '.join(modalities)}, got a cohort with {', '.join(known)}: build one with "
            f"{', '.join(missing)}"
        )
    if CINE in modalities:
        frames, *size = known[CINE].shape
        if frames < FRAMES or size != [PIXELS, PIXELS]:
            raise UsageError(
                f"PTACL takes at least {FRAMES} frames of {PIXELS} x {PIXELS} pixels round the heart, got {frames} of "
                f"{' x '.join(map(str, size))}: build the cohort with such cines"
            )


def refuse_none(folder: Folder, modalities: tuple[str, ...]) -> None:
    """Refuse a cohort in which no study has all of these modalities.

    Raises:
        UsageError: with what is wanted.
    """
    if not has_all(folder, modalities).any():
        both = "both " if len(modalities) > 1 else ""
        raise UsageError(
            f"no study of {folder.path} has {both}{' and '.join(modalities)}{_but_flat(folder, modalities)}: build a "
            f"cohort of {'pairs' if both else 'them'}"
        )


def refuse_empty(folder: Folder, split: str, modalities: tuple[str, ...], *, apart: bool = False) -> None:
    """Refuse a split in which no study has all of these modalities.

    Args:
        apart: patients are told from one another: one alone is refused as well.

    Raises:
        UsageError: naming the split.
    """
    cohort = folder.cohort()
    if split not in cohort.splits:
        return
    rows = cohort.split(split).rows
    rows = rows[has_all(folder, modalities)[rows]]
    n_patients = len(set(folder.columns["patient_id"][rows].tolist()))
    if n_patients > apart:
        return
    few = "one patient" if n_patients else "no study"
    why = ", who has no other to be told from" if n_patients else ""
    raise UsageError(
        f"the split {split} of {folder.path} has {few} with {' and '.join(modalities)}"
        f"{_but_flat(folder, modalities)}{why}: split it otherwise"
    )


def _but_flat(folder: Folder, modalities: tuple[str, ...]) -> str:
    """What a refusal says of the cohort's cines without a picture, where there are any."""
    flat = folder.columns["study_id"][flat_cines(folder, CINE)] if CINE in modalities else []
    return f" (a cine of one value only is none: there are {len(flat)}, the first of {flat[0]})" if len(flat) else ""


def has_all(folder: Folder, modalities: tuple[str, ...]) -> NDArray[np.bool_]:
    """(study,) whether it has every one of these modalities; a cine of one value only is none."""
    found = np.all([folder.has(name) for name in modalities], axis=0)
    return found & ~flat_cines(folder, CINE) if CINE in modalities else found


def feed_of(
    folder: Folder,
    modalities: tuple[str, ...],
    targets: NDArray[np.float64],
    *,
    split: str | None,
    batch: int,
    draw: str = "all",
    seed: int = 0,
    rank: int = 0,
    ranks: int = 1,
    pixels: int = PIXELS,
    device: torch.device | str = "cpu",
) -> PairFeed:
    """A feed of some modalities of one split; studies whose cine has no picture are left out where cines are wanted."""
    rows = np.flatnonzero(~flat_cines(folder, CINE)) if CINE in modalities else None
    loader = Loader(
        folder, modalities, split=split, rows=rows, batch=batch, draw=draw, seed=seed, rank=rank, ranks=ranks
    )
    ecgs = prepared_ecgs(folder, preparation_of()) if "ecg" in modalities else None
    return PairFeed(loader, folder, targets, ecgs, pixels=pixels, device=device)
