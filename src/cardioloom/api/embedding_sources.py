"""Where `embed` takes its ECGs from: files, or the studies of a cohort."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cardioloom.api.embedding_parts import Row
from cardioloom.api.output import names_for
from cardioloom.errors import CardioloomError, InternalError, NotAnECGError, ReadError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from cardioloom.readers.told import Told
    from cardioloom.records import ECG
    from cardioloom.records.cohort import Cohort

Error = TypeVar("Error", bound=CardioloomError)
COHORT, MANIFEST = "cohort.json", "cohort.parquet"
OWN_COLUMNS = tuple(name for name in Row.__dataclass_fields__ if name != "labels")


@dataclass(frozen=True, eq=False)
class Source:
    """One file, or one study of a cohort.

    Args:
        file: what the rows say of where they come from: the path as it was given, or the study.
        name: of its study; where it holds several ECGs, what their names begin with.
        results: read it: each ECG, or why there is none.
        patient_id: where it is known.
        labels: gives column → value; called once, so that a cohort's labels are not all held.
    """

    file: str
    name: str
    results: Callable[[], Iterator[ECG | CardioloomError]]
    patient_id: str | None = None
    labels: Callable[[], Mapping[str, Any]] = dict


@dataclass(frozen=True, eq=False)
class Sources:
    """All of a call.

    Args:
        each: in the order in which they are read.
        not_found: paths that mean nothing, with the reason.
        job: what the rows depend on, besides the model.
        facts: metadata of the Parquet file.
        columns: of the labels, with their types.
    """

    each: tuple[Source, ...]
    not_found: tuple[tuple[str, CardioloomError], ...] = ()
    job: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    columns: tuple[pa.Field, ...] = ()


def sources(places: tuple[Path, ...], said: Told, split: str | None) -> Sources:
    """What the places mean: files, folders of files, globs; or one cohort.

    Raises:
        UsageError: if a cohort is named beside something else, or an option is for the other kind.
        DamagedFileError: if the cohort's table cannot be read.
    """
    cohorts = [place for place in places if (place / COHORT).is_file()]
    if not cohorts:
        if split is not None:
            named = ", ".join(map(str, places))
            raise UsageError(f"--split takes a part of a cohort, got files ({named}): name a cohort folder")
        return _files(places, said)
    if len(places) > 1:
        raise UsageError(f"a cohort is embedded alone, got {cohorts[0]} and {len(places) - 1} more: name one of them")
    if told := [f"--{name}" for name in ("fs", "leads", "unit") if getattr(said, name) is not None]:
        raise UsageError(f"{cohorts[0]} is a cohort, which states what {', '.join(told)} would say: leave it out")
    return _cohort(cohorts[0], split)


def _files(places: tuple[Path, ...], said: Told) -> Sources:
    from cardioloom.readers import find

    files: dict[Path, None] = {}
    not_found: list[tuple[str, CardioloomError]] = []
    for place in places:
        try:
            files |= dict.fromkeys(find(place))
        except ReadError as error:
            not_found.append((str(place), error))
    names = names_for(list(files))
    each = tuple(Source(shown(file), names[file], partial(_of_file, file, said)) for file in files)
    job = {"fs": said.fs, "leads": None if said.leads is None else ",".join(said.leads), "unit": said.unit}
    return Sources(each, tuple(not_found), job)


def _cohort(path: Path, split: str | None) -> Sources:
    from cardioloom.store import Folder

    folder = Folder.of_ecgs(path)
    whole = folder.cohort(folder.ecg)
    if split is not None and split not in whole.splits:
        raise UsageError(f"{path} has the splits {', '.join(whole.splits) or 'none'}, got --split {split}: name one")
    cohort = whole if split is None else whole.split(split)
    labels, facts = folder.facts["labels"], folder.facts
    if taken := [name for name in labels if name in OWN_COLUMNS]:
        raise UsageError(f"{path} has a label called {taken[0]}, which is a column of embeddings: rename the label")
    return Sources(
        tuple(_studies(cohort)),
        job={"cohort": facts["fingerprint"], "split": split},
        facts={
            "cardioloom.cohort_fingerprint": facts["fingerprint"],
            "cardioloom.made_of": _whom(facts, split),
            "cardioloom.simulated": "true" if "generator" in facts else "false",
            "cardioloom.labels": json.dumps(labels),
        },
        columns=_columns(path, tuple(labels)),
    )


def _whom(facts: Mapping[str, Any], split: str | None) -> str:
    """Of whom the cohort is, in words that follow a number."""
    part = "" if split is None else f", split {split}"
    if "generator" in facts:
        return f"simulated patients ({facts['generator']}, population {facts['population']}{part})"
    return f"patients of {facts.get('source') or 'a cohort without a name'}{part}"


def _columns(path: Path, labels: tuple[str, ...]) -> tuple[pa.Field, ...]:
    """Of the labels, with the types that the cohort's table gives them."""
    import pyarrow.parquet as pq

    schema = pq.read_schema(path / MANIFEST)
    return tuple(schema.field(name).remove_metadata() for name in labels)


def _studies(cohort: Cohort) -> Iterator[Source]:
    whom = zip(cohort.column("study_id").tolist(), cohort.column("patient_id").tolist(), strict=True)
    for n, (study, patient) in enumerate(whom):
        study = str(study)
        yield Source(study, study, partial(_of_study, cohort, n), str(patient), partial(_labels, cohort, n))


def _labels(cohort: Cohort, n: int) -> dict[str, Any]:
    row = cohort.row(n)
    return {name: row[name] for name in cohort.labels}


def _of_study(cohort: Cohort, n: int) -> Iterator[ECG | CardioloomError]:
    try:
        yield cohort[n]
    except CardioloomError as error:
        yield light(error)


def _of_file(path: Path, said: Told) -> Iterator[ECG | CardioloomError]:
    from cardioloom.readers import read_each

    is_empty = True
    try:
        for result in read_each(path, said):
            is_empty = False
            yield result  # its error, if it is one, is not made light: that would end the reader, whose frame it holds
    except UsageError:
        raise
    except CardioloomError as error:
        yield light(error)
    except Exception as error:  # noqa: BLE001 (one file must not stop the others; the cause stays attached)
        yield broken(path.name, error)
    else:
        if is_empty:
            yield NotAnECGError(f"{path.name} holds no ECG: name another file")


def shown(path: Path) -> str:
    """A path as it was given, in characters that every program can read."""
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")


def broken(name: str, error: Exception) -> InternalError:
    """A fault of this library met in one item, with its cause."""
    fault = InternalError(f"{name} met a fault of this library ({error!r}): please report it")
    fault.__cause__ = error
    return light(fault)


def light(error: Error) -> Error:
    """The error without the arrays in its frames: thousands may be kept until they are listed."""
    link: BaseException | None = error
    while link is not None:
        traceback.clear_frames(link.__traceback__)
        link = link.__cause__
    return error
