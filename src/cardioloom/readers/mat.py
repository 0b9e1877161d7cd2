"""MATLAB files, versions 4, 5 and 7.3. Nothing in them is executed.

CPSC-2018 (a struct ``ECG``), CODE-15 extracts (``feats``), the PTB extract s0273lre, and any file with one matrix of
samples, for which the caller tells what the file does not.
"""

from __future__ import annotations

import math
import re
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import DamagedFileError, LimitError, NotAnECGError
from cardioloom.readers.arrays import Stated, ecg_of, patient_facts
from cardioloom.readers.hdf5_check import check_heaps
from cardioloom.readers.layouts import LAYOUTS, Layout
from cardioloom.readers.limits import MAX_ARRAY_BYTES, MAX_VALUES_IN_MEMORY, check_file
from cardioloom.readers.mat_check import check_v5
from cardioloom.readers.told import Told
from cardioloom.records import ECG

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
RATE_NAMES = ("curr_sample_rate", "fs", "Fs", "FS", "sampling_rate", "sampling_frequency", "sfreq")
MATRIX_NAMES = ("val", "signal", "ecg", "ECG", "data", "feats")


def sniff(path: Path, head: bytes) -> bool:
    """True for the text header of versions 5 and 7.3, and for a consistent first matrix of version 4."""
    return head.startswith(b"MATLAB ") or _is_v4(head, path.stat().st_size)


def in_folder(_path: Path, _head: bytes) -> bool:
    """True: a table or a model is not told from an ECG without reading it, and is then listed with its reason."""
    return True


def read(path: Path, told: Told) -> Iterator[ECG]:
    """The ECG of a MATLAB file.

    Raises:
        ReadError: if facts are missing, or the file is damaged, too large or no ECG.
    """
    check_file(path, MAX_ARRAY_BYTES)
    with path.open("rb") as file:
        head = file.read(520)
    variables = _variables_v73(path) if head[512:520] == HDF5_MAGIC else _variables(path, head)
    ecg = variables.get("ECG")
    if isinstance(ecg, Mapping) and "data" in ecg:
        notes: list[str] = []
        stated = Stated(patient=patient_facts(ecg.get("age"), ecg.get("sex"), notes))
        yield ecg_of(path, "mat", np.asarray(ecg["data"]), stated, told, layout=LAYOUTS["CPSC-2018"], notes=notes)
        return
    name, matrix = _matrix(path, variables)
    stated = Stated(fs=_rate(variables))
    yield ecg_of(path, "mat", matrix, stated, told, layout=_layout(path, name, variables, matrix))


def _is_v4(head: bytes, size: int) -> bool:
    """Version 4 has no magic: its 20-byte matrix header must be consistent with the file."""
    if len(head) < 21:
        return False
    for order in "<>":
        kind, rows, columns, imaginary, name_length = struct.unpack(f"{order}5i", head[:20])
        thousands, rest = divmod(kind, 1000)
        item = {0: 8, 10: 4, 20: 4, 30: 2, 40: 2, 50: 1}.get(rest - rest % 10)
        if thousands != (0 if order == "<" else 1) or item is None or rest % 10 > 2 or imaginary not in (0, 1):
            continue
        name = head[20 : 20 + name_length - 1] if 1 < name_length < 64 else b""
        is_name = re.fullmatch(rb"[A-Za-z]\w*", name) is not None
        if is_name and rows > 0 and columns > 0 and rows * columns * item <= size * 1032:
            return True
    return False


def _variables(path: Path, head: bytes) -> dict[str, object]:
    """Variables of versions 4 and 5 by name: arrays, or mappings for structs of one element."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    if head.startswith(b"MATLAB "):
        check_v5(path, 8 * MAX_VALUES_IN_MEMORY)
    try:
        # What scipy warns of (a name twice, text that is no number) is harmless to the matrix that is wanted.
        with np.errstate(invalid="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = loadmat(path, appendmat=False)
    except (MatReadError, zlib.error, struct.error, RuntimeError, MemoryError, OverflowError) as error:
        raise DamagedFileError(f"{path.name} is a damaged MATLAB file ({error}): export or copy it again") from error
    return {name: _plain(value) for name, value in loaded.items() if not name.startswith("__")}


def _plain(value: object) -> object:
    """A struct of one element as a mapping of its fields, one level deep."""
    if isinstance(value, np.ndarray) and value.dtype.names and value.size == 1:
        record = value.reshape(-1)[0]
        fields = {name: np.asarray(record[name]) for name in value.dtype.names}
        return {name: field.item() if field.size == 1 else field for name, field in fields.items()}
    return value


def _variables_v73(path: Path) -> dict[str, object]:
    """Variables of version 7.3, which is HDF5 with each array transposed."""
    import h5py

    def members(group: h5py.Group) -> dict[str, object]:
        names = (str(name) for name in group if isinstance(group.get(name, getlink=True), h5py.HardLink))
        return {name: plain(group[name]) for name in names if not name.startswith("#")}

    def plain(item: object) -> object:
        if isinstance(item, h5py.Group):
            return members(item)
        if not isinstance(item, h5py.Dataset) or item.shape is None or item.dtype.kind not in "iuf":
            return None
        if (n_values := math.prod(item.shape)) > MAX_VALUES_IN_MEMORY:
            raise LimitError(f"{path.name} holds {n_values} values, more than {MAX_VALUES_IN_MEMORY}: split it")
        value = np.asarray(item[()]).T
        if item.attrs.get("MATLAB_class") == b"char":
            return "".join(map(chr, value.ravel()))
        return value.item() if value.size == 1 else value

    check_heaps(path)
    try:
        with h5py.File(path, "r") as file:
            return members(file)
    except RuntimeError as error:
        raise DamagedFileError(f"{path.name} is a damaged MATLAB file ({error}): export or copy it again") from error


def _rate(variables: Mapping[str, object]) -> float | None:
    """The sampling rate where the file has it as a number of its own, Hz."""
    for name in RATE_NAMES:
        value = np.asarray(variables.get(name))
        if value.size == 1 and value.dtype.kind in "iuf":
            return float(value.item())
    return None


def _matrix(path: Path, variables: Mapping[str, object]) -> tuple[str, NDArray]:
    """Name and values of the matrix of samples."""
    found = {
        name: value
        for name, value in variables.items()
        if isinstance(value, np.ndarray) and value.dtype.kind in "iuf" and value.ndim == 2 and value.size > 1
    }
    named = [name for name in MATRIX_NAMES if name in found]
    if len(named) == 1:
        return named[0], found[named[0]]
    if len(found) == 1:
        return next(iter(found.items()))
    listed = ", ".join(f"{key} {getattr(value, 'shape', '')}" for key, value in variables.items())
    raise NotAnECGError(
        f"{path.name} must hold one matrix of samples, found {listed[:200] or 'none'}: save it alone as val"
    )


def _layout(path: Path, name: str, variables: Mapping[str, object], matrix: NDArray) -> Layout | None:
    """The dataset that a file is recognised as by its variables, or None."""
    if name == "feats" and matrix.shape[0] == 12 and {"curr_sample_rate", "org_sample_rate"} <= set(variables):
        return LAYOUTS["CODE-15"]
    if name == "signal" and matrix.shape[1] == 12 and re.match(r"s\d{4}(?:l|_)re", path.stem):
        return LAYOUTS["PTB diagnostic"]
    return None
