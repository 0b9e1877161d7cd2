"""What a builder of cohorts is given of each study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cardioloom.records import ECG, Cine
from cardioloom.store.fit import Framed, Stored, stored_cine, stored_ecg, stored_frames
from cardioloom.store.layout import Layout

Label = float | str | None
# Columns of the manifest that are no labels.
FACTS = ("study_id", "patient_id", "date", "split", "age", "sex", "file")
OWN = (*FACTS, "shard", "row", "hash", "changes")


@dataclass(frozen=True, eq=False)
class Entry:
    """One study on its way into a cohort.

    Args:
        study_id: unique in the cohort.
        patient_id: of whom.
        records: modality → an `ECG`, or what has ``frames`` (or a sequence of such, stacked); where the layout says
            how cines are prepared, a `Cine` of any size.
        age: years.
        sex: "M" or "F".
        date: ISO 8601.
        split: where it is decided already.
        file: as its source calls it.
        labels: by name: numbers, texts, None = not known; the same names for every study.
        texts: report texts by name.
    """

    study_id: str
    patient_id: str
    records: Mapping[str, ECG | Framed | tuple[Framed, ...]]
    age: float | None = None
    sex: str | None = None
    date: str | None = None
    split: str | None = None
    file: str | None = None
    labels: Mapping[str, Label] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)

    def stored(self, layout: Layout) -> dict[str, Stored]:
        """Modality → integers, of the records that the layout keeps.

        Raises:
            PreparationError: if a record cannot be brought to the layout's shape.
        """
        import numpy as np

        arrays: dict[str, Stored] = {}
        for name, modality in layout.modalities.items():
            record = self.records.get(name)
            if isinstance(record, ECG):
                arrays[name] = stored_ecg(record, layout)
            elif isinstance(record, tuple):
                arrays[name] = stored_frames(np.stack([one.frames for one in record]), modality)
            elif isinstance(record, Cine) and modality.preparation is not None:
                arrays[name] = stored_cine(record, modality, modality.preparation, layout.fit)
            elif record is not None:
                arrays[name] = stored_frames(record.frames, modality)
        return arrays

    def row(self, arrays: Mapping[str, Stored], layout: Layout, shard: int, row: int) -> dict[str, Any]:
        """The study's row of the manifest.

        Args:
            arrays: what `stored` gave.
            layout: of the cohort.
            shard, row: where they lie.
        """
        values: dict[str, Any] = {name: getattr(self, name) for name in FACTS} | dict(self.labels)
        values |= {"shard": shard, "row": row}
        for name in layout.modalities:
            values[hash_column(name)] = arrays[name].hash if name in arrays else None
        changes = [f"{name}: {change}" for name, stored in arrays.items() for change in stored.changes]
        return values | {"changes": ", ".join(changes)}


def hash_column(modality: str) -> str:
    """The manifest's column of a modality's hashes; empty where a study lacks it."""
    return "hash" if modality == "ecg" else f"hash_{modality}"
