"""Files → records, one format a file. The content decides which reader is used, not only the suffix."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from cardioloom.errors import NotAnECGError, ReadError, UnknownFormatError
from cardioloom.readers.limits import check_file
from cardioloom.readers.pictures import reader_of
from cardioloom.readers.recorded import check_recorded
from cardioloom.readers.sentences import clean, one_sentence
from cardioloom.readers.told import Told
from cardioloom.records import ECG, printable

# Name of the format → module. Each module has
#   sniff(path, head) -> bool         by content; imports nothing heavy
#   in_folder(path, head) -> bool     of a sniffed file met in a folder: is it an ECG, or another thing of its format?
#   read(path, told) -> Iterator[ECG]; or Iterator[ECG | ReadError] where a file holds many recordings: the error of
#                                     one recording is yielded, that of the whole file raised
# The order is the order of the questions.
READERS = {
    "dicom": "cardioloom.readers.dicom",
    "edf": "cardioloom.readers.edf",
    "hdf5": "cardioloom.readers.hdf5",
    "npy": "cardioloom.readers.npy",
    "wfdb": "cardioloom.readers.wfdb",
    "mat": "cardioloom.readers.mat",
    "csv": "cardioloom.readers.csv",
}
HEAD_BYTES = 4096
# A file of these suffixes that no reader recognises is damaged, not something else.
SUFFIXES_WITH_MAGIC = frozenset({".hea", ".dcm", ".edf", ".bdf", ".h5", ".hdf5", ".mat", ".npy", ".npz"})


def sniff(path: Path) -> str | None:
    """The name of the format by the file's content, or None."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    for name, module in READERS.items():
        if import_module(module).sniff(path, head):
            return name
    return None


def read(path: Path, told: Told | None = None) -> Iterator[ECG]:
    """The ECGs of one file, lazily: nearly always one, many for CODE-15's exam files.

    Raises:
        ReadError: in one sentence, if the file, or a recording in it, cannot become a record.
    """
    for result in read_each(path, told):
        if isinstance(result, ReadError):
            raise result
        yield result


def read_each(path: Path, told: Told | None = None) -> Iterator[ECG | ReadError]:
    """The ECGs of one file, lazily; of a recording in a file of many that cannot be read, the error in its place.

    Raises:
        ReadError: in one sentence, if the file itself cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        raise ReadError(printable(f"{path} does not exist or is not a file: check the path"))
    check_file(path)
    name = sniff(path)
    if name is None:
        _refuse_pictures(path)
        known = ", ".join(READERS)
        raise UnknownFormatError(
            printable(f"{path.name} is in no format that is known here ({known}): convert it to one of them")
        )
    with one_sentence(path.name, name):
        for result in import_module(READERS[name]).read(path, told or Told()):
            if isinstance(result, ReadError):
                yield clean(result)
            else:
                yield from _usable(result, path.name)


def _refuse_pictures(path: Path) -> None:
    """Say which function reads a cine or an echocardiogram."""
    with path.open("rb") as file:
        found = reader_of(file.read(HEAD_BYTES))
    if found is not None:
        raise NotAnECGError(printable(f"{path.name} is {found[0]}, not an ECG: read it in Python with {found[1]}"))


def _usable(ecg: ECG, file: str) -> Iterator[ECG | ReadError]:
    """The record with its derived leads; an error where nothing was recorded."""
    record = ecg.source.record if ecg.source else None
    try:
        check_recorded(ecg, file if record is None else f"exam {record} of {file}")
    except ReadError as error:
        if record is None:
            raise
        yield clean(error)
    else:
        yield ecg.with_derived_leads()


def find(path: str | Path) -> list[Path]:
    """The ECG files that a path means: itself; what a glob matches; in a folder, headers and sniffed ECG files.

    In a folder companions (signal files of a header), annotations and tables are passed over; a file that looks
    like an ECG by its name but is damaged is kept, so that it is listed as failed rather than lost.

    Raises:
        ReadError: if nothing is there.
    """
    if Path(path).is_dir():
        found = _in_folder(Path(path))
    elif glob.has_magic(str(path)) and not Path(path).exists():
        found = [Path(name) for name in sorted(glob.glob(str(path), recursive=True)) if Path(name).is_file()]
    else:
        return [Path(path)]
    if not found:
        raise ReadError(f"no ECG file was found in {path}: check the path or name the file itself")
    return found


def _in_folder(folder: Path) -> list[Path]:
    files = sorted(file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))
    companions: set[Path] = set()
    wfdb = import_module(READERS["wfdb"])
    for header in (file for file in files if file.suffix == ".hea"):
        companions |= {header.parent / name for name in wfdb.companions(header)}
    return [file for file in files if file not in companions and _is_ecg_file(file)]


def _is_ecg_file(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    for module in map(import_module, READERS.values()):
        if module.sniff(path, head):
            return bool(module.in_folder(path, head))
    return path.suffix.lower() in SUFFIXES_WITH_MAGIC
