"""`read_cine` and `read_echo`: files of moving pictures → records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cardioloom.errors import CardioloomError, ReadError, SomeFailedError

if TYPE_CHECKING:
    from cardioloom.records import Cine, Echo


def read_cine(path: str | Path, *, view: str | None = None, frame_ms: float | None = None) -> list[Cine]:
    """Read cardiac MRI cines: a NIfTI file, a DICOM file, or every DICOM series in a folder and below.

    Args:
        path: the file or folder.
        view: "sax", "lax_4ch", "lax_2ch" or "lax_3ch", where the files do not say it; then of all of them.
        frame_ms: between two frames, for files that do not state their times.

    Returns:
        one `Cine` a series; series of still pictures in a folder are passed over.

    Raises:
        ReadError: in one sentence, if nothing there can become a record.
        SomeFailedError: if some series of many failed; it carries what was read.
        MissingExtraError: if a package that the format needs is not installed.
        UsageError: if a value given here cannot be.
    """
    from cardioloom.readers.cine import read_cines

    done: list[Cine] = []
    failed: list[tuple[str, CardioloomError]] = []
    for result in read_cines(Path(path), view=view, frame_ms=frame_ms):
        if isinstance(result, ReadError):
            failed.append((str(path), result))
        else:
            done.append(result)
    if failed and not done and len(failed) == 1:
        raise failed[0][1]
    if failed:
        raise SomeFailedError(done, failed)
    return done


def read_echo(path: str | Path, *, fps: float | None = None, view: str = "") -> Echo:
    """Read an echocardiogram: AVI, MP4, or multi-frame ultrasound DICOM.

    Args:
        path: the file.
        fps: frames a second, for files that do not state it.
        view: name of the view ("a4c" is the apical four-chamber view), "" = not known; files do not say it.

    Raises:
        ReadError: in one sentence, if the file cannot become a record.
        MissingExtraError: if a package that the format needs is not installed.
        UsageError: if ``fps`` cannot be.
    """
    from cardioloom.readers.echo import read_echo as read

    return read(Path(path), fps=fps, view=view)
