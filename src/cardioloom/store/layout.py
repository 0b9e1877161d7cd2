"""What lies where in a cohort folder.

    cohort.json, cohort.parquet     what it is; one row a study
    failed.csv                      what could not be taken in, with the reason
    ecg/000012.npy                  (study, lead, time) int16: shard 12 of the ECGs
    ecg/000012.scale.npy            (study, 2, channel) float64: gain and baseline, value = (count − baseline) / gain
    ecg/000012.index.npy            (study + 1,) int64, where the shard is packed (`packing`): its samples are then one
                                    row of bytes, study k those from index k to k + 1
    ecg/000012.npy.sha256           as sha256sum writes it, one for each of these
    cine/sax-000012.npy, echo/…     the same studies in the same rows of the same shard number
    text/000012.parquet             study_id and report texts
    .building/                      while the cohort is not complete

Shards are .npy files: one array each behind 128 bytes that any numpy reads, so that a row is at a fixed offset, can be
memory-mapped or read straight into a buffer, and needs no library of ours. (safetensors would hold several arrays in
one file, but its readers copy whole tensors, and HDF5 and Zarr are slower in random order.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite, prod
from pathlib import Path
from typing import Any

import numpy as np

from cardioloom.errors import UsageError
from cardioloom.prepare.cine import CinePreparation
from cardioloom.readers.limits import MAX_SAMPLES
from cardioloom.records import STANDARD_LEADS

SCHEMA = "cardioloom.cohort/1"
MANIFEST, FACTS, FAILED, BUILDING, LOCK = "cohort.parquet", "cohort.json", "failed.csv", ".building", ".lock"
NOT_RECORDED = -32768  # of ECG shards
DTYPES = ("int16", "uint16", "uint8")
FIT = ("resample", "refuse")
PACKING = "delta+zigzag+planes+zstd"


@dataclass(frozen=True)
class Modality:
    """One kind of array that each study may have.

    Args:
        name: "ecg", "cine_sax", "cine_lax_4ch", "echo" …
        shape: of one study's array.
        dtype: of `DTYPES`.
        channels: how many gains and baselines a study has: one a lead for ECGs, else one.
        is_packed: whether each study's samples are packed: a third of the bytes, read some twenty times slower.
        preparation: how a laboratory's cines become such arrays; None where they come in this shape.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    channels: int = 1
    is_packed: bool = False
    preparation: CinePreparation | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(int(size) for size in self.shape))
        if self.dtype not in DTYPES or not self.shape or min(self.shape) < 1:
            raise UsageError(
                f"a modality needs sizes of at least 1 and a type of {', '.join(DTYPES)}, got {self.shape} {self.dtype}"
            )

        if self.is_packed and (self.dtype != "int16" or len(self.shape) != 2):
            raise UsageError(f"only (lead, time) int16 is packed, got {self.shape} {self.dtype}: leave it unpacked")

    @property
    def row_bytes(self) -> int:
        """Bytes of one study's array, unpacked."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize

    def file(self, folder: Path, shard: int) -> Path:
        """The shard's samples."""
        kind, _, view = self.name.partition("_")
        return folder / kind / f"{view}{'-' if view else ''}{shard:06d}.npy"

    def scale_file(self, folder: Path, shard: int) -> Path:
        """The shard's gains and baselines."""
        return self.file(folder, shard).with_suffix(".scale.npy")

    def index_file(self, folder: Path, shard: int) -> Path:
        """Where each study begins in a packed shard."""
        return self.file(folder, shard).with_suffix(".index.npy")

    def files(self, folder: Path, shard: int) -> list[Path]:
        """All files of a shard."""
        index = [self.index_file(folder, shard)] if self.is_packed else []
        return [self.file(folder, shard), self.scale_file(folder, shard), *index]

    def to_json(self) -> dict[str, Any]:
        """Values that ``json.dumps`` takes."""
        own: dict[str, Any] = {"shape": list(self.shape), "dtype": self.dtype, "channels": self.channels}
        own |= {"packing": PACKING} if self.is_packed else {}
        return own | ({} if self.preparation is None else {"preparation": self.preparation.to_json()})

    @classmethod
    def from_json(cls, name: str, own: Mapping[str, Any]) -> Modality:
        """The modality that `to_json` wrote."""
        preparation = CinePreparation.from_json(own["preparation"]) if "preparation" in own else None
        return cls(name, tuple(own["shape"]), own["dtype"], own["channels"], "packing" in own, preparation)


@dataclass(frozen=True)
class Layout:
    """The fixed shape that every study of a cohort is brought to.

    Args:
        modalities: by name.
        fs: Hz, of the ECGs.
        leads: of the ECGs, in the order of the rows.
        fit: "resample": another rate is resampled (polyphase), a longer record loses its end, a shorter one is
            continued as not recorded; "refuse": such a record is listed as failed.
        shard_rows: studies in a shard.
        has_text: whether report texts are kept.
    """

    modalities: Mapping[str, Modality]
    fs: float = 500.0
    leads: tuple[str, ...] = STANDARD_LEADS
    fit: str = "resample"
    shard_rows: int = 256
    has_text: bool = False
    unit: str = field(default="mV", init=False)

    def __post_init__(self) -> None:
        if self.fit not in FIT:
            raise UsageError(f"fit must be one of {', '.join(FIT)}, got {self.fit!r}")
        if self.shard_rows < 1:
            raise UsageError(f"a shard needs at least one row, got {self.shard_rows}")

    def to_json(self) -> dict[str, Any]:
        """Values that ``json.dumps`` takes; `from_json` gives an equal layout back."""
        rules = {
            "resampled": "prepare.filters.resample_polyphase" if self.fit == "resample" else "refused",
            "longer": "first_window" if self.fit == "resample" else "refused",
            "shorter": "continued_as_not_recorded" if self.fit == "resample" else "refused",
        }
        return {
            "fs": self.fs,
            "leads": list(self.leads),
            "unit": self.unit,
            "not_recorded": NOT_RECORDED,
            "fit": self.fit,
            "rules": rules,
            "shard_rows": self.shard_rows,
            "has_text": self.has_text,
            "modalities": {name: modality.to_json() for name, modality in self.modalities.items()},
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Layout:
        """The layout that `to_json` wrote."""
        modalities = {name: Modality.from_json(name, own) for name, own in values["modalities"].items()}
        own = {name: values[name] for name in ("fs", "fit", "shard_rows", "has_text")}
        return cls(modalities, leads=tuple(values["leads"]), **own)


def ecg_modality(
    fs: float, seconds: float, leads: tuple[str, ...] = STANDARD_LEADS, *, is_packed: bool = False
) -> Modality:
    """(lead, time) int16 of so many seconds.

    Raises:
        UsageError: if that is no whole number of samples, or more than a recording may have.
    """
    samples = fs * seconds
    if not (fs > 0 and samples >= 1 and isfinite(samples) and samples == round(samples)):
        raise UsageError(f"an ECG must last a whole number of samples, got {seconds} s at {fs} Hz: change one")
    if samples > MAX_SAMPLES:
        raise UsageError(f"an ECG may have at most {MAX_SAMPLES} samples, got {seconds:g} s at {fs:g} Hz: take less")
    return Modality("ecg", (len(leads), round(samples)), "int16", len(leads), is_packed)


def cine_modality(preparation: CinePreparation) -> Modality:
    """(time, row, col) uint8 of cines that are prepared so, with values from 0 to 255 as the preparation must give."""
    size = (preparation.n_frames, preparation.size, preparation.size)
    return Modality(f"cine_{preparation.view}", size, "uint8", preparation=preparation)
