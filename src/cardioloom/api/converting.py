"""`convert`: a record in one format → a file in another."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cardioloom.api.loading import load
from cardioloom.errors import UsageError
from cardioloom.records import ECG


def convert(
    source: Path,
    target: Path,
    *,
    to: str | None = None,
    fs: float | None = None,
    leads: str | None = None,
    unit: str | None = None,
) -> Path:
    """Write any readable ECG in another format; the recorder's integers travel where the format allows.

    Args:
        source: the ECG file.
        target: the file to write; its suffix names the format (.hea WFDB, .csv, .npz, .dcm DICOM).
        to: the format by name (wfdb, csv, npz, dicom), where the suffix does not say it.
        fs: sampling rate in Hz, for files that do not state it.
        leads: names of the channels in the file's order, comma between them, for files that do not name them.
        unit: unit of the samples (V, mV, uV, nV), for files that do not state it.

    Returns:
        the file that was written.

    Raises:
        ReadError: if the source cannot be read.
        WriteError: if the record cannot be written in that format.
        UsageError: if the source means several ECGs, or the target is the source itself.
    """
    from cardioloom.writers import companions, format_of, write

    source, target = Path(source), Path(target)
    format_of(target, to)  # a wrong name is said before anything is read
    record = load(source, fs=fs, leads=leads, unit=unit)
    if not isinstance(record, ECG):
        raise UsageError(f"{source} means {len(record)} ECGs, but convert takes one: convert them one by one")
    own = set(record.source.files) | {record.source.file} if record.source else {source}
    if _resolved([target, *companions(target)]) & _resolved([source, *own]):
        raise UsageError(f"{target} would overwrite the file that is read: choose another name")
    target.parent.mkdir(parents=True, exist_ok=True)
    write(record, target, to)
    return target


def _resolved(paths: Iterable[Path]) -> set[Path]:
    return {path.resolve() for path in paths}
