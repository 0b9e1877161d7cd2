"""`convert`: a record in one format → a file in another."""

from __future__ import annotations

from pathlib import Path

from cardioloom.api.loading import load
from cardioloom.api.output import same_file
from cardioloom.errors import UsageError


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
        UsageError: if the source means several ECGs, the format is unknown, or the target is the source itself.
    """
    from cardioloom.readers import find
    from cardioloom.writers import companions, format_of, write

    source, target = Path(source), Path(target)
    format_of(target, to)  # a wrong name is said before anything is read
    files = find(source)
    if files != [source]:
        raise UsageError(f"{source} means {len(files)} ECGs, but convert takes one file: convert them one by one")
    record = load(source, fs=fs, leads=leads, unit=unit)
    if isinstance(record, list):
        raise UsageError(f"{source.name} holds {len(record)} ECGs, but convert takes one: load it and write them")
    own = [record.source.file, *record.source.files] if record.source else []
    if same_file([target, *companions(target)], [source, *own]):
        raise UsageError(f"{target} would overwrite the file that is read: choose another name")
    target.parent.mkdir(parents=True, exist_ok=True)
    write(record, target, to)
    return target
