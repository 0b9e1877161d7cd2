"""NumPy's NPY and NPZ files. Nothing in them is executed: object arrays are refused.

An NPZ of this library holds ``signal`` (lead, time) float32 in mV, ``leads`` and ``fs``; optionally the recorder's
integers as ``counts``, ``gain``, ``baseline`` and ``invalid`` (NaN = none), and ``derived``, ``age``, ``sex``,
``start`` (ISO 8601), ``device``, ``measured`` (names) with ``measured_values``, ``stated``, ``notes``. It is read
whole, so at most `MAX_ARRAY_BYTES` unpacked.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tokenize import TokenError
from typing import IO
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import DamagedFileError, LimitError, NotAnECGError
from cardioloom.readers.arrays import Stated, ecg_of, patient_facts
from cardioloom.readers.limits import LAZY_VALUES, MAX_ARRAY_BYTES, check_file, check_shape
from cardioloom.readers.told import Told
from cardioloom.records import ECG, Counts

NPY_MAGIC, ZIP_MAGIC = b"\x93NUMPY", b"PK\x03\x04"


def sniff(_path: Path, head: bytes) -> bool:
    """True for NPY, and for ZIP archives whose first member is an NPY."""
    return head.startswith(NPY_MAGIC) or (head.startswith(ZIP_MAGIC) and _first_member(head).endswith(b".npy"))


def in_folder(path: Path, head: bytes) -> bool:
    """True for an NPZ that names its leads and rate; any other array says nothing of being an ECG."""
    if not head.startswith(ZIP_MAGIC):
        return False
    try:
        with ZipFile(path) as archive:
            return {"leads.npy", "fs.npy"} <= set(archive.namelist())
    except BadZipFile:
        return True  # damaged: it shall be listed as failed


def read(path: Path, told: Told) -> Iterator[ECG]:
    """The ECG of an NPY or NPZ file.

    Raises:
        ReadError: if facts are missing, or the file is damaged, too large or holds Python objects.
    """
    check_file(path, MAX_ARRAY_BYTES)
    with path.open("rb") as file:
        is_npy = file.read(len(NPY_MAGIC)) == NPY_MAGIC
    try:
        if is_npy:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            samples = array if array.size > LAZY_VALUES else np.array(array)
            yield ecg_of(path, "npy", samples, Stated(), told)
            return
        arrays = _members(path)
    except (BadZipFile, zlib.error, RuntimeError, TokenError) as error:
        # An archive of an unknown or encrypted kind is a RuntimeError, a header that is no Python literal a TokenError.
        raise DamagedFileError(f"{path.name} is damaged or of an unknown kind ({error}): export it again") from error
    yield _own(path, arrays, told) if {"signal", "leads", "fs"} <= set(arrays) else _other(path, arrays, told)


def _first_member(head: bytes) -> bytes:
    """The name of a ZIP archive's first member, from its local header."""
    length = int.from_bytes(head[26:28], "little")
    return head[30 : 30 + length]


def _members(path: Path) -> dict[str, NDArray]:
    """Every array of an NPZ, after its size was checked."""
    with ZipFile(path) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
        total = sum(sizes.values())
        if total > MAX_ARRAY_BYTES:
            raise LimitError(
                f"{path.name} unpacks to {total} bytes, more than the {MAX_ARRAY_BYTES} accepted: split it"
            )
        arrays = {}
        for member in (name for name in sizes if name.endswith(".npy")):
            with archive.open(member) as file:
                _check_header(path, member, file, sizes[member])
            with archive.open(member) as file:
                arrays[member.removesuffix(".npy")] = np.lib.format.read_array(file, allow_pickle=False)
    return arrays


def _check_header(path: Path, member: str, file: IO[bytes], size: int) -> None:
    """Refuse an array whose header promises more than its member holds: numpy would allocate it first."""
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(file)
    n_bytes = dtype.itemsize * int(np.prod(shape, dtype=object))
    if n_bytes > size:
        raise DamagedFileError(f"{path.name}: {member} promises {n_bytes} bytes and holds {size}: export it again")


def _own(path: Path, arrays: Mapping[str, NDArray], told: Told) -> ECG:
    """An NPZ with ``signal``, ``leads`` and ``fs``."""
    notes = list(_names(arrays, "notes"))
    stated = Stated(
        fs=float(arrays["fs"]),
        leads=tuple(str(lead) for lead in np.atleast_1d(arrays["leads"])),
        unit="mV",
        patient=patient_facts(arrays.get("age"), arrays.get("sex"), notes),
        start=datetime.fromisoformat(str(arrays["start"])) if "start" in arrays else None,
    )
    ecg = ecg_of(path, "npy", arrays["signal"], stated, told, notes=notes)
    return replace(
        ecg,
        samples=_counts(path, arrays, ecg) if "counts" in arrays else ecg.samples,
        derived=tuple(lead for lead in _names(arrays, "derived") if lead in ecg.leads),
        device=str(arrays["device"]) if "device" in arrays else None,
        measured=_measured(path, arrays),
        stated=_names(arrays, "stated"),
    )


def _measured(path: Path, arrays: Mapping[str, NDArray]) -> dict[str, float]:
    names, values = _names(arrays, "measured"), np.atleast_1d(arrays.get("measured_values", np.empty(0)))
    if len(names) != len(values):
        raise DamagedFileError(f"{path.name} names {len(names)} measurements and holds {len(values)}: export it again")
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def _names(arrays: Mapping[str, NDArray], key: str) -> tuple[str, ...]:
    return tuple(str(text) for text in np.atleast_1d(arrays[key])) if key in arrays else ()


def _counts(path: Path, arrays: Mapping[str, NDArray], ecg: ECG) -> Counts:
    """The recorder's integers, which must agree with ``signal`` in shape."""
    values, n_leads = arrays["counts"], len(ecg.leads)
    if values.shape != ecg.shape:
        raise DamagedFileError(f"{path.name} holds counts {values.shape} and a signal {ecg.shape}: export it again")
    check_shape(path.name, *values.shape, in_memory=True)
    invalid = np.broadcast_to(arrays.get("invalid", np.array(np.nan)), (n_leads,))
    return Counts(
        values,
        np.broadcast_to(arrays["gain"], (n_leads,)),
        np.broadcast_to(arrays.get("baseline", np.array(0.0)), (n_leads,)),
        tuple(None if np.isnan(count) else int(count) for count in invalid),
    )


def _other(path: Path, arrays: Mapping[str, NDArray], told: Told) -> ECG:
    """An NPZ of someone else: its one 2-D array of numbers; ``fs`` and ``leads`` where it has them."""
    matrices = [key for key, array in arrays.items() if array.ndim >= 2 and array.dtype.kind in "iuf"]
    if len(matrices) != 1:
        found = ", ".join(f"{key} {array.shape}" for key, array in arrays.items()) or "nothing"
        raise NotAnECGError(
            f"{path.name} must hold one array of samples, found {found[:200]}: save it as signal, leads, fs"
        )
    fs = arrays.get("fs", np.empty(0))
    leads = _names(arrays, "leads") or None
    stated = Stated(fs=float(fs.item()) if fs.size == 1 and fs.dtype.kind in "iuf" else None, leads=leads)
    return ecg_of(path, "npy", arrays[matrices[0]], stated, told)
