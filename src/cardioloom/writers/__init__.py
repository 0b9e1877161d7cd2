"""Records → files, one format a file."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from cardioloom.errors import UsageError, WriteError
from cardioloom.records import ECG

# Name of the format → module. Each module has ``write(ecg, path)``.
WRITERS = {
    "wfdb": "cardioloom.writers.wfdb",
    "dicom": "cardioloom.writers.dicom",
    "csv": "cardioloom.writers.csv",
    "npz": "cardioloom.writers.npz",
}
SUFFIXES = {".hea": "wfdb", ".csv": "csv", ".npz": "npz", ".dcm": "dicom"}


def format_of(path: str | Path, format: str | None = None) -> str:
    """The format to write: the one named, else the one that the suffix means.

    Raises:
        UsageError: if neither is known.
    """
    if format is not None:
        if format.lower() in WRITERS:
            return format.lower()
        raise UsageError(f"the format {format} cannot be written: give one of {', '.join(WRITERS)}")
    suffix = Path(path).suffix.lower()
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    raise UsageError(
        f"{Path(path).name} has the suffix {suffix or '(none)'}, which means no format that can be written: "
        f"use {', '.join(SUFFIXES)} or name one of {', '.join(WRITERS)}"
    )


def companions(path: str | Path) -> tuple[Path, ...]:
    """The files that writing ``path`` makes beside it: a WFDB header's signal file."""
    return (Path(path).with_suffix(".dat"),) if SUFFIXES.get(Path(path).suffix.lower()) == "wfdb" else ()


def write(ecg: ECG, path: str | Path, format: str | None = None) -> None:
    """Write an ECG by the path's suffix, or in the format that is named.

    Raises:
        UsageError: if the format is unknown.
        WriteError: if it cannot hold the record, or the file cannot be written.
    """
    name = format_of(path, format)
    try:
        import_module(WRITERS[name]).write(ecg, Path(path))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise WriteError(
            f"{Path(path).name} could not be written ({reason}): check the folder and its rights"
        ) from error
