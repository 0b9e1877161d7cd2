"""`read`: files → reports."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cardioloom import __version__, measure
from cardioloom.api.loading import told
from cardioloom.api.output import names_for, write_text
from cardioloom.errors import CardioloomError, SomeFailedError, UsageError
from cardioloom.readers import find
from cardioloom.readers import read as read_file
from cardioloom.readers.told import Told
from cardioloom.records import ECG, Provenance, Report, Study

PREPARATION = "none: measured on the recorded signal"


@dataclass(frozen=True)
class Item:
    """One ECG of a call of `read`: its name and its report, or why there is none."""

    name: str
    result: Report | CardioloomError


@dataclass(frozen=True)
class Options:
    """What a call of `read` says about every file."""

    told: Told
    age: float | None
    sex: str | None
    json: Path | None
    html: Path | None


def read(
    *paths: Path,
    fs: float | None = None,
    leads: str | None = None,
    unit: str | None = None,
    age: float | None = None,
    sex: str | None = None,
    json: Path | None = None,
    html: Path | None = None,
) -> Report | list[Report]:
    """Report on ECG files: signal quality, beats, measurements.

    Args:
        paths: files, folders or globs. A folder means its ECG headers and ECG files, recursively.
        fs: sampling rate in Hz, for files that do not state it.
        leads: names of the channels in the file's order, comma between them, for files that do not name them.
        unit: unit of the samples (V, mV, uV, nV), for files that do not state it.
        age: the patient's age in years; goes before what a file states.
        sex: the patient's sex, M or F; goes before what a file states.
        json: where to write the report as JSON; a folder if there are several ECGs.
        html: where to write the report as one offline HTML page; a folder if there are several ECGs.

    Returns:
        one report for one file with one recording, otherwise a list.

    Raises:
        ReadError: if the only file cannot be read.
        SomeFailedError: if some of many failed; what succeeded is written, and listed in the error.
        UsageError: if a value given here cannot be.
    """
    files = files_of(paths)
    items = list(read_each(files, options(files, fs, leads, unit, age, sex, json, html)))
    done = [item.result for item in items if isinstance(item.result, Report)]
    failed = [(item.name, item.result) for item in items if isinstance(item.result, CardioloomError)]
    if len(items) == 1 and is_single(paths, files):
        if failed:
            raise failed[0][1]
        return done[0]
    if failed:
        raise SomeFailedError(done, failed)
    return done


def files_of(paths: Sequence[Path | str]) -> list[Path]:
    """Every ECG file that the paths mean, each once."""
    if not paths:
        raise UsageError("no file was named: give files, folders or globs to read")
    return list(dict.fromkeys(file for path in paths for file in find(path)))


def is_single(paths: Sequence[Path | str], files: Sequence[Path]) -> bool:
    """True where the call names one file itself, so that its one report needs no folder."""
    return len(paths) == 1 and list(files) == [Path(paths[0])]


def options(
    files: Sequence[Path],
    fs: float | None,
    leads: str | Sequence[str] | None,
    unit: str | None,
    age: float | None,
    sex: str | None,
    json: Path | None,
    html: Path | None,
) -> Options:
    """The options of a call, checked before the first file is opened."""
    sex = sex.upper() if sex else None
    if sex not in (None, "M", "F"):
        raise UsageError(f"--sex must be M or F, got {sex!r}")
    if age is not None and not 0 <= age <= 130:
        raise UsageError(f"--age must be a number of years from 0 to 130, got {age:g}")
    json = None if json is None else Path(json)
    html = None if html is None else Path(html)
    for flag, path in (("--json", json), ("--html", html)):
        if path is not None and len(files) > 1 and path.exists() and not path.is_dir():
            raise UsageError(f"{flag} must be a folder for {len(files)} files, got the file {path}")
    return Options(told(fs, leads, unit), age, sex, json, html)


def read_each(files: Sequence[Path], options: Options) -> Iterator[Item]:
    """Read, report and write one ECG after the other; what fails is yielded as its error, nothing stops the rest."""
    names = names_for(files)
    for file in files:
        try:
            # One record is held back, so that a file with a single recording keeps its plain name.
            ecgs = enumerate(read_file(file, options.told))
            for n, ecg in ecgs:
                own = ecg.source.file.stem if ecg.source and ecg.source.file.stem != file.stem else None
                name = names[file] if own is None and n == 0 else own or f"{names[file]}-{n + 1}"
                report = assemble(ecg, options)
                _write(report, name, options, many=len(files) > 1 or own is not None)
                yield Item(name, report)
        except CardioloomError as error:
            yield Item(str(file), error)


def assemble(ecg: ECG, options: Options) -> Report:
    """Measure one ECG and put everything that is said of it into a report."""
    said = {name: value for name, value in (("age", options.age), ("sex", options.sex)) if value is not None}
    measured = measure.ecg(ecg)
    day = ecg.start.date() if ecg.start else None
    return Report(
        study=Study(ecg, {**ecg.patient, **said}, day=day),
        quality=measured.quality,
        beats=measured.beats,
        measurements=measured.measurements,
        findings=measured.findings,
        abstained=measured.abstained,
        warnings=(*ecg.notes, *(notice.text for notice in measured.quality.warnings)),
        gaps_s=measured.gaps_s,
        provenance=Provenance(
            version=__version__,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            preparation=PREPARATION,
            sha256=_sha256(ecg),
        ),
    )


def _sha256(ecg: ECG) -> str | None:
    """SHA-256 over the bytes of every file the record was read from, header first."""
    if ecg.source is None:
        return None
    digest = hashlib.sha256()
    for path in ecg.source.files or (ecg.source.file,):
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def _write(report: Report, name: str, options: Options, *, many: bool) -> None:
    if options.json is not None:
        from cardioloom.report.json import dumps

        write_text(dumps(report) + "\n", options.json / f"{name}.json" if many else options.json)
    if options.html is not None:
        from cardioloom.report.html import render

        write_text(render(report), options.html / f"{name}.html" if many else options.html)
