"""What a dataset lists: which recording, of whom, with which labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from cardioloom.errors import NotAnECGError, ReadError
from cardioloom.readers import read_each
from cardioloom.readers.told import Told
from cardioloom.records import ECG


@dataclass(frozen=True)
class Wanted:
    """One recording of a dataset.

    Args:
        file: where it lies.
        name: of the file, as the dataset writes it.
        study_id: unique in the dataset.
        patient_id: of whom.
        record: which of a file of many, by its own name.
        told: what the dataset says of files that do not say it themselves.
        split: where the dataset decides it.
        age: years.
        sex: "M" or "F".
        date: ISO 8601.
        labels: numbers, texts, None = not known; the same names for every recording of a dataset.
    """

    file: Path
    name: str
    study_id: str
    patient_id: str
    record: str | None = None
    told: Told = field(default_factory=Told)
    split: str | None = None
    age: float | None = None
    sex: str | None = None
    date: str | None = None
    labels: Mapping[str, float | str | None] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name if self.record is None else f"{self.name} ({self.record})"

    def ecg(self) -> ECG:
        """The recording.

        Raises:
            ReadError: if it is not there, cannot be read, or the file holds many and none is named.
        """
        found = list(islice(self._named(), 2))  # a file of many may hold thousands
        if len(found) != 1:
            what = "no recording" if not found else "more than one recording"
            which = f" named {self.record!r}" if self.record is not None else ""
            raise NotAnECGError(f"{self.name} holds {what}{which}: name one in the column record")
        if isinstance(found[0], ReadError):
            raise found[0]
        return found[0]

    def _named(self) -> Iterator[ECG | ReadError]:
        """What the file holds; of many the one that is named, or why it cannot be read."""
        for result in read_each(self.file, replace(self.told, record=self.record)):
            if self.record is None:
                yield result
            elif isinstance(result, ReadError) or (result.source is not None and result.source.record == self.record):
                yield result
                return


@dataclass(frozen=True)
class Listed:
    """All recordings of a dataset.

    Args:
        wanted: one a study.
        labels: name → what is known of it: ``kind`` "binary", "number" or "text", and ``low``, ``high``.
        facts: source and licence, for cohort.json.
        sha256: of the table that lists them.
    """

    wanted: tuple[Wanted, ...]
    labels: Mapping[str, Mapping[str, Any]]
    facts: Mapping[str, Any]
    sha256: str
