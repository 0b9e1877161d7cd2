"""`similar`: the studies of an index whose ECGs are most like this one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cardioloom.api.embedding_sources import broken
from cardioloom.api.loading import told
from cardioloom.api.neighbours import Search, open_search
from cardioloom.api.output import same_file, write_text
from cardioloom.errors import CardioloomError, SomeFailedError, UsageError

if TYPE_CHECKING:
    from cardioloom.readers.told import Told
    from cardioloom.records import Neighbours

SCHEMA = "cardioloom.similar/1"


@dataclass(frozen=True)
class Found:
    """One ECG of a call of `similar`: its name, and its neighbours or why there are none."""

    name: str
    result: Neighbours | CardioloomError


@dataclass(frozen=True, eq=False)
class Searching:
    """A call of `similar`, checked: iterate over it to get one ECG's neighbours after the other."""

    file: Path
    search: Search
    told: Told

    def __iter__(self) -> Iterator[Found]:
        from cardioloom.readers import read_each

        if self.search.failure:
            raise self.search.failure
        for result in read_each(self.file, self.told):
            if isinstance(result, CardioloomError):
                yield Found(str(self.file), result)
                continue
            own = result.source.record if result.source else None
            name = f"{self.file.stem}-{own}" if own else self.file.stem
            try:
                asked = self.search.model.predict(result, lead=self.search.lead)
                yield Found(name, self.search.like(asked))
            except UsageError:
                raise
            except CardioloomError as error:
                yield Found(name, error)
            except Exception as error:  # noqa: BLE001 (one ECG must not stop the others; the cause stays attached)
                yield Found(name, broken(name, error))


def similar(
    file: Path,
    index: Path,
    /,
    *,
    k: int | None = None,
    json: Path | None = None,
    fs: float | None = None,
    leads: str | None = None,
    unit: str | None = None,
    lead: str | None = None,
    model: str | None = None,
    patient: str | None = None,
    all_columns: bool = False,
) -> Neighbours | list[Neighbours]:
    """The patients of an index whose ECGs are most like this one, with what is known of their hearts.

    Args:
        file: an ECG file.
        index: a Parquet file that `embed` wrote, best of a cohort.
        k: how many studies; ten, or as many as the index has, if not given.
        json: where to write the result as JSON; on the command line, - for standard output.
        fs: sampling rate in Hz, for files that do not state it.
        leads: names of the channels in the file's order, comma between them, for files that do not name them.
        unit: unit of the samples (V, mV, uV, nV), for files that do not state it.
        lead: for models of one lead, which lead of the ECG to give them; the index's if not given.
        model: the model folder, or the name under which the model is installed that wrote the index; the index names
            it if not given.
        patient: whose the ECG is, by the patient_id of the index: that patient's own studies are left out.
        all_columns: give all that the index knows of these studies, with patient_id and exact age, not only the numbers
            that are shown.

    Returns:
        one result for a file with one recording, otherwise a list.

    Raises:
        ReadError: if the file or the index cannot be read.
        UsageError: if a value given here cannot be, the index is none, or the model is not the one that wrote it.
        PreparationError: if the model abstains from the only ECG.
        SomeFailedError: if some of many ECGs failed.
        MissingExtraError: if torch, pyarrow or, for an index of more than a million studies, usearch is not installed.
    """
    given = {"k": k, "json": json, "fs": fs, "leads": leads, "unit": unit, "lead": lead, "model": model}
    searching = similar_each(file, index, **given, patient=patient, all_columns=all_columns)
    found = list(searching)
    failed = [(one.name, one.result) for one in found if isinstance(one.result, CardioloomError)]
    done = [one.result for one in found if not isinstance(one.result, CardioloomError)]
    if failed and not done and len(failed) == 1:
        raise failed[0][1]
    write_found(found, json)
    if failed:
        raise SomeFailedError(done, failed)
    return done[0] if len(done) == 1 else done


def similar_each(
    file: Path,
    index: Path,
    /,
    *,
    k: int | None = None,
    json: Path | None = None,
    fs: float | None = None,
    leads: str | None = None,
    unit: str | None = None,
    lead: str | None = None,
    model: str | None = None,
    patient: str | None = None,
    all_columns: bool = False,
) -> Searching:
    """`similar`, one ECG at a time: checks the call now, does the work as the result is iterated over.

    Raises:
        UsageError: if a value given here cannot be, the index is none, or the model is not the one that wrote it.
    """
    file = Path(file)
    if file.is_dir():
        raise UsageError(f"similar takes one ECG file, got the folder {file}: name a file in it")
    said = told(fs, leads, unit)
    if json is not None and same_file([Path(json)], [file, Path(index)]):
        raise UsageError(f"{json} would overwrite what is read: choose another name for --json")
    search = open_search(index, k=k, model=model, lead=lead, patient=patient, all_columns=all_columns)
    return Searching(file, search, said)


def write_found(found: Sequence[Found], json: str | Path | None) -> None:
    """Write the JSON of a call where one is asked for; where no ECG has neighbours there is nothing to write."""
    if json is not None and not all(isinstance(one.result, CardioloomError) for one in found):
        write_text(dumps(found) + "\n", Path(json))


def dumps(found: Sequence[Found]) -> str:
    """The JSON of a call: ``ecgs``, one entry an ECG of the file, with its neighbours as a report's or its error."""
    from cardioloom.report.json import indented, neighbours_dict

    entries = []
    for one in found:
        own = {"error": str(one.result)} if isinstance(one.result, CardioloomError) else neighbours_dict(one.result)
        entries.append({"name": one.name, **own})
    return indented({"schema": SCHEMA, "ecgs": entries})
