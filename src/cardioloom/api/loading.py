"""`load`: files → records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cardioloom.errors import CardioloomError, ReadError, SomeFailedError, UsageError

if TYPE_CHECKING:
    from cardioloom.readers.told import Told
    from cardioloom.records import ECG


def told(fs: float | None, leads: str | Sequence[str] | None, unit: str | None) -> Told:
    """What the caller says of files that do not say it; ``leads`` as a sequence or "I,II,V1".

    Raises:
        UsageError: if a value cannot be.
    """
    from cardioloom.readers.told import Told

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
        SomeFailedError: if some of many failed; it carries what was read.
        UsageError: if a value given here cannot be.
    """
    from cardioloom.readers import find, read_each

    said = told(fs, leads, unit)
    files = find(path)
    done: list[ECG] = []
    failed: list[tuple[str, CardioloomError]] = []
    for file in files:
        try:
            for result in read_each(file, said):
                if isinstance(result, ReadError):
                    failed.append((str(file), result))
                else:
                    done.append(result)
        except ReadError as error:
            failed.append((str(file), error))
    if failed and not done and len(failed) == 1:
        raise failed[0][1]
    if failed:
        raise SomeFailedError(done, failed)
    return done[0] if len(done) == 1 and files == [Path(path)] else done
