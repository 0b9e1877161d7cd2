"""What a dataset lists: which recording, of whom, with which labels, and the cine of the same heart."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from cardioloom.errors import MissingFactError, NotAnECGError, ReadError
from cardioloom.readers import read_each
from cardioloom.readers.cine import read_cines
from cardioloom.readers.told import Told
from cardioloom.records import ECG, Cine

NO_TIMES_MS = 20.0  # between frames of files that state no times: frames of a cohort count as one beat in any case


@dataclass(frozen=True)
class WantedCine:
    """The cine that belongs to a recording.

    Args:
        file: a file, or a folder of DICOM files.
        name: of it, as the dataset writes it.
        view: what the dataset says of files that do not say it themselves.
    """

    file: Path
    name: str
    view: str | None = None

    def read(self, view: str) -> Cine:
        """The one cine of a view that is there; in a folder other series are passed over.

        What the files say counts; where they say nothing, what the dataset says. The two must not contradict.

        Raises:
            ReadError: naming the cine, if none of this view is there or can be read, or more than one.
        """
        try:
            return self._read(view)
        except ReadError as error:
            raise self._named(error) from error

    def _read(self, view: str) -> Cine:
        wanted = self.view or view
        found, failed, others = self._sorted(wanted)
        unsaid = {place for place, error in failed.items() if isinstance(error, MissingFactError)}
        if not found and self.view and unsaid:
            found, still, _ = self._sorted(wanted, unsaid)
            failed = {place: error for place, error in failed.items() if place not in unsaid} | still
        if not found and failed:
            raise next(iter(failed.values()))
        shown = wanted if found else ", ".join(others)
        if not found and self.view:
            raise ReadError(f"it shows {shown}, but cine_view says {self.view}: correct what is wrong, or name another")
        if not found or wanted != view:
            raise ReadError(f"it shows {shown}, not {view}: name another, or leave it empty")
        return found[0]

    def _sorted(
        self, view: str, told: Collection[int] | None = None
    ) -> tuple[list[Cine], dict[int, ReadError], dict[str, None]]:
        """The cine of a view, place → what cannot be read, and other views; where told, of these places as this view.

        Raises:
            ReadError: if there are two of the view.
        """
        found: list[Cine] = []
        failed: dict[int, ReadError] = {}
        others: dict[str, None] = {}
        for place, result in enumerate(self._each(view if told else None)):
            if told and place not in told:
                continue
            if isinstance(result, ReadError):
                failed[place] = result
            elif result.view == view:
                found.append(result)
            else:
                others[result.view] = None
            if len(found) > 1:
                raise ReadError(f"it holds more than one {view} cine: name the file or folder of one")
        return found, failed, others

    def _each(self, view: str | None) -> Iterator[Cine | ReadError]:
        try:
            yield from read_cines(self.file, view=view, frame_ms=NO_TIMES_MS)
        except ReadError as error:
            yield error

    def _named(self, error: ReadError) -> ReadError:
        """The same with the cine's name before it."""
        if isinstance(error, MissingFactError) and self.view is None:  # times are never missed here
            return MissingFactError(
                f"the cine {self.name} does not say which view it shows: write sax into the column cine_view"
            )
        return type(error)(f"the cine {self.name}: {error}")


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
        cine: of the same heart; None where there is none.
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
    cine: WantedCine | None = None
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
