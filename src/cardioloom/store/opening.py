"""A cohort folder → `Cohort`, and its arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import RecordError, UsageError
from cardioloom.records import ECG, Counts, Study
from cardioloom.records.cohort import Cohort
from cardioloom.store.entry import OWN, hash_column
from cardioloom.store.layout import MANIFEST, NOT_RECORDED, Layout
from cardioloom.store.manifest import need_pyarrow, read_columns, read_facts, read_table, refuse_gaps
from cardioloom.store.shards import ShardReader


@dataclass(frozen=True, eq=False)
class Folder:
    """A complete cohort folder.

    Args:
        path: where it lies.
        facts: what cohort.json says.
        layout: of its shards.
    """

    path: Path
    facts: Mapping[str, Any]
    layout: Layout
    _readers: dict[str, ShardReader] = field(default_factory=dict, repr=False)

    @classmethod
    def at(cls, path: str | Path) -> Folder:
        """The cohort in a folder.

        Raises:
            UsageError: if it is none, or not complete.
            DamagedFileError: if its files cannot be read.
            MissingExtraError: if pyarrow is absent.
        """
        need_pyarrow()
        facts = read_facts(Path(path))
        return cls(Path(path), facts, Layout.from_json(facts))

    @classmethod
    def of_ecgs(cls, path: str | Path) -> Folder:
        """`at`, for what needs ECGs.

        Raises:
            UsageError: also if the cohort holds none, but cines alone for example.
        """
        folder = cls.at(path)
        if "ecg" not in folder.layout.modalities:
            there = ", ".join(folder.layout.modalities) or "no arrays"
            raise UsageError(f"{path} holds {there}, no ECGs: name a cohort that has them")
        return folder

    @cached_property
    def columns(self) -> dict[str, NDArray[Any]]:
        """Name → (study,) values of cohort.parquet; none is absent, what they say is unchecked.

        Raises:
            DamagedFileError: if it cannot be read, or a column is absent.
        """
        columns = read_columns(self.path / MANIFEST)
        own = [name for name in OWN if name != hash_column("ecg")]
        refuse_gaps(self.path / MANIFEST, columns, [*own, *map(hash_column, self.layout.modalities)])
        return columns

    def cohort(self, load: Callable[[Mapping[str, Any]], Any] | None = None) -> Cohort:
        """The cohort; each study is loaded as a `Study`, or by the function given.

        Raises:
            RecordError: if the table is no cohort's, for example with a patient in two splits.
        """
        labels = self.facts["labels"]
        binary = tuple(name for name, known in labels.items() if known.get("kind") == "binary")
        return Cohort(self.columns, load or self.study, tuple(labels), binary)

    def has(self, modality: str) -> NDArray[np.bool_]:
        """(study of the manifest,) whether it has a record of this modality.

        Raises:
            RecordError: if the cohort has none of it.
        """
        self._refuse_unknown(modality)
        return np.array([value is not None for value in self.columns[hash_column(modality)]], bool)

    def reader(self, modality: str) -> ShardReader:
        """The rows of one modality.

        Raises:
            RecordError: if the cohort has none of it.
        """
        self._refuse_unknown(modality)
        if modality not in self._readers:
            self._readers[modality] = ShardReader(self.path, self.layout.modalities[modality])
        return self._readers[modality]

    def _refuse_unknown(self, modality: str) -> None:
        if modality not in self.layout.modalities:
            raise RecordError(f"this cohort has {', '.join(self.layout.modalities) or 'no arrays'}, not {modality}")

    def array(self, row: Mapping[str, Any], modality: str) -> NDArray[np.float32]:
        """One study's array in its own unit, as floats; an ECG's samples that were not recorded are NaN.

        Raises:
            RecordError: if the study lacks it.
            DamagedFileError: if the shard cannot be read.
        """
        counts, scale = self.stored(row, modality)
        per_channel = (slice(None), *(None,) * (counts.ndim - 1)) if len(scale[0]) > 1 else (0,)
        values = ((counts - scale[1][per_channel]) / scale[0][per_channel]).astype(np.float32)
        if modality == "ecg":
            values[counts == NOT_RECORDED] = np.nan
        return values

    def stored(self, row: Mapping[str, Any], modality: str) -> tuple[NDArray[np.integer], NDArray[np.float64]]:
        """One study's integers and their (2, channel) gains and baselines.

        Raises:
            RecordError: if the study lacks it.
            DamagedFileError: if the shard cannot be read.
        """
        reader = self.reader(modality)
        if row[hash_column(modality)] is None:
            raise RecordError(f"study {row['study_id']} has no {modality}: leave it out")
        place = [(row["shard"], row["row"])]
        return reader.counts(place)[0], reader.scales(place)[0]

    def ecg(self, row: Mapping[str, Any]) -> ECG:
        """One study's ECG, with its integers."""
        counts, (gain, baseline) = self.stored(row, "ecg")
        patient = {name: row[name] for name in ("age", "sex") if row.get(name) is not None}
        notes = (f"from a cohort: {row['changes']}",) if row.get("changes") else ()
        samples = Counts(counts, gain, baseline, (NOT_RECORDED,) * len(gain))
        return ECG(samples, self.layout.leads, self.layout.fs, patient=patient, notes=notes)

    def study(self, row: Mapping[str, Any]) -> Study:
        """One study: its ECG, with age, sex and labels as facts.

        Raises:
            RecordError: if it has no ECG.
        """
        names = ("age", "sex", *self.facts["labels"])
        facts = {name: row[name] for name in names if row.get(name) is not None}
        day = date.fromisoformat(row["date"][:10]) if row.get("date") else None
        return Study(self.ecg(row), facts, self.text(row), day)

    def text(self, row: Mapping[str, Any], name: str = "report") -> str | None:
        """One study's report text, or None where it has none of this name.

        Raises:
            DamagedFileError: if the file of texts cannot be read.
        """
        if not self.layout.has_text:
            return None
        table = read_table(self.path / "text" / f"{row['shard']:06d}.parquet")
        studies = table["study_id"].to_pylist()
        if row["study_id"] not in studies or name not in table.column_names:
            return None
        return table[name][studies.index(row["study_id"])].as_py()
