"""`read`: files → reports, written as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cardioloom.api.loading import told
from cardioloom.api.output import names_for, same_file, write_text
from cardioloom.errors import CardioloomError, InternalError, ReadError, SomeFailedError, UsageError

if TYPE_CHECKING:
    from cardioloom.api.neighbours import Search
    from cardioloom.models import Model
    from cardioloom.readers.told import Told
    from cardioloom.records import Report


@dataclass(frozen=True)
class Item:
    """One ECG of a call of `read`: its name and its report, or why there is none."""

    name: str
    result: Report | CardioloomError


@dataclass(frozen=True)
class Reading:
    """A call of `read`, checked and ready to run: iterate over it to read, measure and write one ECG after the other.

    Args:
        files: every file that the paths mean, each once.
        not_found: paths that mean nothing, with the reason; they come first.
        is_single: True where the call names one file itself, so that its one report needs no folder.
        told: what the caller says of the files.
        age, sex: of the patient, where the caller says them.
        json, html: where to write.
        models: that are asked about each ECG.
        similar: the index that is asked for patients with a similar ECG.
        tick: is called with the share of the ECG in work that is done, from 0 to 1.
    """

    files: tuple[Path, ...]
    not_found: tuple[Item, ...]
    is_single: bool
    told: Told
    age: float | None
    sex: str | None
    json: Path | None
    html: Path | None
    models: tuple[Model, ...] = ()
    similar: Search | None = None
    tick: Callable[[float], None] | None = None

    def __iter__(self) -> Iterator[Item]:
        yield from self.not_found
        names = names_for(self.files)
        for file in self.files:
            try:
                yield from self._of_file(file, names[file])
            except UsageError:
                raise
            except CardioloomError as error:
                yield Item(str(file), error)
            except Exception as error:  # noqa: BLE001 (one file must not stop the others; the cause stays attached)
                broken = InternalError(f"{file.name} met a fault of this library ({error!r}): please report it")
                broken.__cause__ = error
                yield Item(str(file), broken)

    def _of_file(self, file: Path, name: str) -> Iterator[Item]:
        from cardioloom.api.assembling import assemble
        from cardioloom.readers import read_each as read_records

        for result in read_records(file, self.told):
            if isinstance(result, ReadError):
                yield Item(str(file), result)
                continue
            own = result.source.record if result.source else None
            report = assemble(
                result, age=self.age, sex=self.sex, models=self.models, similar=self.similar, tick=self.tick
            )
            self._write(report, f"{name}-{own}" if own else name, is_one_of_many=own is not None)
            yield Item(f"{name}-{own}" if own else name, report)

    def _write(self, report: Report, name: str, *, is_one_of_many: bool) -> None:
        for place, suffix in ((self.json, "json"), (self.html, "html")):
            if place is None:
                continue
            is_folder = is_one_of_many or not self.is_single or place.is_dir()
            path = place / f"{name}.{suffix}" if is_folder else place
            source = report.study.ecg.source
            if source and same_file([path], [source.file, *source.files]):
                raise UsageError(f"{path} would overwrite the file that is read: choose another name for --{suffix}")
            write_text(_text(report, suffix), path)


def _text(report: Report, suffix: str) -> str:
    if suffix == "json":
        from cardioloom.report.json import dumps

        return dumps(report) + "\n"
    from cardioloom.report.html import render

    return render(report)


def read(
    *paths: Path,
    fs: float | None = None,
    leads: str | None = None,
    unit: str | None = None,
    age: float | None = None,
    sex: str | None = None,
    json: Path | None = None,
    html: Path | None = None,
    model: list[str] | None = None,
    similar: Path | None = None,
    patient: str | None = None,
) -> Report | list[Report]:
    """Report on ECG files: signal quality, beats, measurements, statements.

    Args:
        paths: files, folders or globs. A folder means its ECG headers and ECG files, recursively.
        fs: sampling rate in Hz, for files that do not state it.
        leads: names of the channels in the file's order, comma between them, for files that do not name them.
        unit: unit of the samples (V, mV, uV, nV), for files that do not state it.
        age: the patient's age in years; goes before what a file states.
        sex: the patient's sex, M or F; goes before what a file states.
        json: where to write the report as JSON; a folder if there are several ECGs; on the command line, - for standard
            output.
        html: where to write the report as one offline HTML page; a folder if there are several ECGs.
        model: names of installed models, or model folders, whose findings are added; give it again for another.
        similar: a Parquet file that `embed` wrote of a cohort: the ten patients with the most similar ECG are added.
        patient: whose the ECGs are, by the patient_id of that index: that patient's own studies are left out.

    Returns:
        one report for one file with one recording, otherwise a list.

    Raises:
        ReadError: if the only file cannot be read.
        ModelError: if a model folder is not what it says, or does not give its golden pair.
        SomeFailedError: if some of many failed; what succeeded is written, and listed in the error.
        UsageError: if a value given here cannot be.
    """
    given = {"fs": fs, "leads": leads, "unit": unit, "age": age, "sex": sex, "json": json, "html": html}
    reading = read_each(*paths, **given, model=model, similar=similar, patient=patient)
    items = list(reading)
    failed = [(item.name, item.result) for item in items if isinstance(item.result, CardioloomError)]
    done = [item.result for item in items if not isinstance(item.result, CardioloomError)]
    if len(items) == 1 and failed and len(paths) == 1:
        raise failed[0][1]
    if failed:
        raise SomeFailedError(done, failed)
    return done[0] if len(done) == 1 and reading.is_single else done


def read_each(
    *paths: Path,
    fs: float | None = None,
    leads: str | None = None,
    unit: str | None = None,
    age: float | None = None,
    sex: str | None = None,
    json: Path | None = None,
    html: Path | None = None,
    model: list[str] | None = None,
    similar: Path | None = None,
    patient: str | None = None,
) -> Reading:
    """`read`, one report at a time: checks the call now, does the work as the result is iterated over.

    Raises:
        UsageError: if a value given here cannot be.
    """
    from cardioloom.records.study import MAX_AGE_YEARS

    if not paths:
        raise UsageError("no file was named: give files, folders or globs to read")
    sex = sex.upper() if sex else None
    if sex not in (None, "M", "F"):
        raise UsageError(f"--sex must be M or F, got {sex!r}")
    if age is not None and not 0 <= age <= MAX_AGE_YEARS:
        raise UsageError(f"--age must be a number of years from 0 to {MAX_AGE_YEARS:.0f}, got {age:g}")
    said = told(fs, leads, unit)
    json, html = (None if path is None else Path(path) for path in (json, html))
    files, not_found = _files_of(paths)
    is_single = len(paths) == 1 and files == [Path(paths[0])]
    _check_places(json, html, is_single=is_single, n_files=len(files))
    if patient is not None and similar is None:
        raise UsageError(
            "--patient leaves a patient out of an index, got no --similar: name the index, or leave it out"
        )
    models = _models(model)
    search = None if similar is None else _search(similar, models, patient)
    return Reading(tuple(files), tuple(not_found), is_single, said, age, sex, json, html, models, search)


def _models(names: Sequence[str] | None) -> tuple[Model, ...]:
    if not names:
        return ()
    from cardioloom.models import Model

    return tuple(Model.from_pretrained(name) for name in dict.fromkeys(names))


def _search(index: Path, models: tuple[Model, ...], patient: str | None) -> Search:
    from cardioloom.api.neighbours import open_search

    return open_search(index, loaded=models, patient=patient)


def _files_of(paths: Sequence[Path | str]) -> tuple[list[Path], list[Item]]:
    from cardioloom.readers import find

    files: dict[Path, None] = {}
    not_found = []
    for path in paths:
        try:
            files |= dict.fromkeys(find(path))
        except ReadError as error:
            not_found.append(Item(str(path), error))
    return list(files), not_found


def _check_places(json: Path | None, html: Path | None, *, is_single: bool, n_files: int) -> None:
    if is_single and json is not None and json == html and not json.is_dir():
        raise UsageError(f"--json and --html both name {json}: give each its own")
    for flag, path in (("--json", json), ("--html", html)):
        if path is not None and not is_single and path.exists() and not path.is_dir():
            raise UsageError(f"{flag} must be a folder for {n_files} files, got the file {path}")
