"""HDF5: a dataset ``ecg`` (SPH and plain files), and CODE-15's exam files (``exam_id``, ``tracings``)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import DamagedFileError, LimitError, NotAnECGError, ReadError, UsageError
from cardioloom.readers.arrays import Stated, ecg_of, patient_facts
from cardioloom.readers.hdf5_check import check_heaps
from cardioloom.readers.layouts import LAYOUTS, Layout
from cardioloom.readers.limits import MAX_LEADS, MAX_VALUES_IN_MEMORY, check_file
from cardioloom.readers.told import Told
from cardioloom.records import ECG, Source

if TYPE_CHECKING:
    import h5py

MAGIC = b"\x89HDF\r\n\x1a\n"
SIGNAL_NAMES = ("ecg", "ECG", "signal", "signals", "data", "p_signal")
RATE_NAMES = ("fs", "sampling_rate", "sampling_frequency", "sample_rate", "Fs")
LEAD_NAMES = ("leads", "lead_names", "sig_name", "channels")
UNIT_NAMES = ("unit", "units")


def sniff(_path: Path, head: bytes) -> bool:
    """True for the HDF5 signature at the beginning or behind a user block (MATLAB 7.3 is left to its own reader)."""
    if head.startswith(b"MATLAB "):
        return False
    return any(head[at : at + 8] == MAGIC for at in (0, 512, 1024, 2048))


def in_folder(path: Path, _head: bytes) -> bool:
    """True where a dataset has a name under which ECGs are stored."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            datasets = _datasets(file)
            return "tracings" in datasets or _signal(datasets) is not None
    except OSError:
        return True  # damaged: it shall be listed as failed


def read(path: Path, told: Told) -> Iterator[ECG | ReadError]:
    """The ECG of a file, or one ECG an exam, lazily, of a CODE-15 file; in the place of a bad exam its error.

    Raises:
        ReadError: if facts are missing, or the file is damaged, too large or no ECG.
    """
    import h5py

    check_file(path)
    try:
        with h5py.File(path, "r") as file:
            datasets = _datasets(file)
            signal = _signal(datasets)
            if "tracings" in datasets:
                yield from _exams(path, datasets, told)
            elif signal is not None:
                yield _plain(path, file, datasets, signal, told)
            else:
                found = ", ".join(file) or "nothing"
                raise NotAnECGError(f"{path.name} has no dataset named ecg, only {found[:200]}: rename the samples")
    except RuntimeError as error:
        raise DamagedFileError(f"{path.name} is a damaged HDF5 file ({error}): export or copy it again") from error


def _datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    """The datasets at the top of a file that are not null; links to other files are not followed."""
    import h5py

    found = {}
    for name in file:
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            continue
        item = file[name]
        if isinstance(item, h5py.Dataset) and item.shape is not None:
            found[str(name)] = item
    return found


def _signal(datasets: Mapping[str, h5py.Dataset]) -> h5py.Dataset | None:
    """The dataset of samples: the first known name."""
    for name in SIGNAL_NAMES:
        item = datasets.get(name)
        if item is not None and item.dtype.kind in "iuf" and len(item.shape) in (1, 2, 3):
            return item
    return None


def _plain(path: Path, file: h5py.File, datasets: Mapping[str, h5py.Dataset], signal: h5py.Dataset, told: Told) -> ECG:
    """A file of one ECG; its facts from attributes of the dataset or the file, or small datasets."""
    _check_size(path, math.prod(signal.shape))
    check_heaps(path)
    fs, leads, unit = (_fact(file, datasets, signal, names) for names in (RATE_NAMES, LEAD_NAMES, UNIT_NAMES))
    age, sex = (_fact(file, datasets, signal, (name,)) for name in ("age", "sex"))
    notes: list[str] = []
    stated = Stated(
        fs=None if fs is None else float(np.asarray(fs).item()),
        leads=None if leads is None else _texts(leads),
        unit=None if unit is None else _texts(unit)[0],
        patient=patient_facts(_texts(age)[0], _texts(sex)[0], notes),
    )
    return ecg_of(path, "hdf5", np.asarray(signal[()]), stated, told, layout=_layout(signal), notes=notes)


def _check_size(path: Path, n_values: int) -> None:
    if n_values > MAX_VALUES_IN_MEMORY:
        raise LimitError(f"{path.name} has {n_values} values, more than the {MAX_VALUES_IN_MEMORY} accepted: split it")


def _layout(signal: h5py.Dataset) -> Layout | None:
    """SPH is recognised by its half-precision floats in twelve rows."""
    is_sph = signal.name == "/ecg" and signal.dtype == np.float16 and len(signal.shape) == 2 and signal.shape[0] == 12
    return LAYOUTS["SPH"] if is_sph else None


def _fact(file: h5py.File, datasets: Mapping[str, h5py.Dataset], signal: h5py.Dataset, names: tuple[str, ...]) -> Any:
    """An attribute of the samples or of the file, or else a small dataset, of one of the names; None where none is."""
    for name in names:
        for attributes in (signal.attrs, file.attrs):
            if name in attributes:
                return attributes[name]
        if name in datasets and math.prod(datasets[name].shape) <= MAX_LEADS:
            return datasets[name][()]
    return None


def _texts(value: Any) -> tuple[str, ...]:
    """Strings of an attribute in any of HDF5's ways; a single text may list names by commas or blanks."""
    items = [item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item) for item in np.ravel(value)]
    if len(items) == 1:
        return tuple(items[0].replace(",", " ").split()) or ("",)
    return tuple(items)


def _exams(path: Path, datasets: Mapping[str, h5py.Dataset], told: Told) -> Iterator[ECG | ReadError]:
    """CODE-15: ``tracings`` (exam, time, lead), zero padded at both ends, and ``exam_id`` (exam,)."""
    tracings = datasets["tracings"]
    if len(tracings.shape) != 3 or 0 in tracings.shape:
        raise DamagedFileError(f"{path.name} has tracings {tracings.shape}, not (exam, time, lead): export it again")
    _check_size(path, tracings.shape[1] * tracings.shape[2])
    n_exams = tracings.shape[0]
    numbers = np.ravel(datasets["exam_id"][()] if "exam_id" in datasets else np.arange(n_exams))
    if len(numbers) != n_exams:
        raise DamagedFileError(f"{path.name} has {len(numbers)} exam ids for {n_exams} tracings: export it again")
    for row, number in enumerate(numbers):
        if told.record not in (None, str(number)):
            continue
        name = f"exam {number} of {path.name}"
        try:
            samples = np.asarray(tracings[row])
            if number == 0 and not samples.any():
                continue  # a part may end with an exam of id 0 and zeros only
            result = _exam(path, name, str(number), samples, told)
        except ReadError as error:
            result = error
        except (OSError, RuntimeError, ValueError) as error:
            if isinstance(error, UsageError):
                raise
            result = DamagedFileError(f"{name} could not be read ({error}): export or copy the file again")
            result.__cause__ = error
        yield result


def _exam(path: Path, name: str, number: str, samples: NDArray, told: Told) -> ECG:
    """One exam; ``source.record`` is its number."""
    notes = [name]
    used = np.flatnonzero(samples.any(axis=1))
    n_samples = samples.shape[0]
    if used.size and (used[0] > 0 or used[-1] < n_samples - 1):
        before, after = int(used[0]), int(n_samples - 1 - used[-1])
        notes.append(f"{before} samples of zeros before and {after} after the tracing were left out as padding")
        samples = samples[used[0] : used[-1] + 1]
    ecg = ecg_of(path, "hdf5", samples.T, Stated(), told, layout=LAYOUTS["CODE-15"], notes=notes, name=name)
    return replace(ecg, source=Source(path, "hdf5", (path,), number))
