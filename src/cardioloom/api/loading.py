"""`load`: files → records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cardioloom.errors import CardioloomError, ReadError, SomeFailedError, UsageError
from cardioloom.readers import find
from cardioloom.readers import read as read_file
from cardioloom.readers.told import Told
from cardioloom.records import ECG


def told(fs: float | None, leads: str | Sequence[str] | None, unit: str | None) -> Told:
    """What the caller says of files that do not say it; ``leads`` as a sequence or "I,II,V1"."""
    names = leads.split(",") if isinstance(leads, str) else leads
    stripped = None if names is None else tuple(name.strip() for name in names)
    if stripped is not None and not all(stripped):
        raise UsageError(f"--leads must name every channel, got {leads!r}: write them like I,II,V1")
    return Told(fs, stripped, unit)


def load(
    path: str | Path,
    *,
    fs: float | None = None,
    leads: str | Sequence[str] | None = None,
    unit: str | None = None,
) -> ECG | list[ECG]:
    """Read ECG files into records.

    Args:
        path: a file; or a folder or glob, which gives many.
        fs: sampling rate in Hz, for files that do not state it.
        leads: names of the channels in the file's order, for files that do not name them ("I,II,V1").
        unit: unit of the samples (V, mV, uV, nV), for files that do not state it.

    Returns:
        one `ECG` for a file with one recording; a list for folders, globs and files that hold many.

    Raises:
        ReadError: in one sentence, if the file cannot become a record.
        SomeFailedError: if some of many files failed; it carries what was read.
        UsageError: if a value given here cannot be.
    """
    said = told(fs, leads, unit)
    files = find(path)
    if files == [Path(path)]:
        ecgs = list(read_file(files[0], said))
        return ecgs[0] if len(ecgs) == 1 else ecgs
    done: list[ECG] = []
    failed: list[tuple[str, CardioloomError]] = []
    for file in files:
        try:
            done += list(read_file(file, said))
        except ReadError as error:
            failed.append((str(file), error))
    if failed:
        raise SomeFailedError(done, failed)
    return done
