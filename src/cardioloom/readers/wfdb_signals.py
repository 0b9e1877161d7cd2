"""WFDB signal files: bytes → frames of counts, by signal(5) of the WFDB Applications Guide.

Formats 16 and 212 are decoded here; every other format by the wfdb library, which is imported only then.
A frame holds one sample of each signal of a file, or several where a signal says so.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import DamagedFileError
from cardioloom.readers.limits import check_file
from cardioloom.readers.wfdb_header import Signal

# Per format: bytes a sample (None: compressed) and the count that means "not recorded".
# https://physionet.org/physiotools/wag/signal-5.htm; format 8 has no such count, and never reaches this one.
FORMATS: dict[str, tuple[float | None, int]] = {
    "8": (1, -(1 << 31)),
    "16": (2, -(1 << 15)),
    "24": (3, -(1 << 23)),
    "32": (4, -(1 << 31)),
    "61": (2, -(1 << 15)),
    "80": (1, -(1 << 7)),
    "160": (2, -(1 << 15)),
    "212": (1.5, -(1 << 11)),
    "310": (4 / 3, -(1 << 9)),
    "311": (4 / 3, -(1 << 9)),
    "508": (None, -(1 << 7)),
    "516": (None, -(1 << 15)),
    "524": (None, -(1 << 23)),
}


@dataclass(frozen=True)
class SignalFile:
    """The signals of one record that lie in one file."""

    path: Path
    signals: tuple[Signal, ...]
    n_frames: int

    @property
    def format(self) -> str:
        return self.signals[0].format

    @property
    def width(self) -> int:
        """Samples a frame, all signals together."""
        return sum(signal.per_frame for signal in self.signals)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.int16 if self.format in ("16", "212") else np.int32)

    def frames(self, start: int, stop: int) -> NDArray[np.integer]:
        """Frames ``start:stop``, (frame, sample of the frame); only they are read."""
        if self.format == "16":
            return self._frames_16(start, stop)
        if self.format == "212":
            return self._frames_212(start, stop)
        return self._frames_by_wfdb(start, stop)

    def _read(self, first_byte: int, n_bytes: int) -> bytes:
        with open(self.path, "rb", buffering=0) as file:
            file.seek(self.signals[0].offset + first_byte)
            data = file.read(n_bytes)
            while 0 < len(data) < n_bytes and (more := file.read(n_bytes - len(data))):
                data += more  # one read call returns at most 2 GiB
        if len(data) < n_bytes:
            raise DamagedFileError(f"{self.path.name} ends before the samples that its header announces: copy it again")
        return data

    def _frames_16(self, start: int, stop: int) -> NDArray[np.int16]:
        data = self._read(2 * start * self.width, 2 * (stop - start) * self.width)
        counts = np.frombuffer(data, "<i2").reshape(-1, self.width)
        return counts.astype(np.int16, copy=False)

    def _frames_212(self, start: int, stop: int) -> NDArray[np.int16]:
        first, last = start * self.width, stop * self.width
        even = first - first % 2  # two samples share three bytes
        data = self._read(even // 2 * 3, math.ceil(last * 1.5) - even // 2 * 3)
        return unpack_212(data, last - even)[first - even :].reshape(-1, self.width)

    def _frames_by_wfdb(self, start: int, stop: int) -> NDArray[np.int32]:
        if start and self.format == "8":  # stores differences: only the beginning has a known value
            return self._frames_by_wfdb(0, stop)[start:]
        # Its own header, in plain form: wfdb refuses spellings that real headers have.
        n_signals = len(self.signals)
        lines = [f"record {n_signals} 1 {self.n_frames}"]
        for n, signal in enumerate(self.signals):
            shape = f"{signal.format}x{signal.per_frame}+{signal.offset}"
            lines.append(f"signal.dat {shape} 1(0)/NU 0 0 {signal.initial} 0 0 s{n}")
        wfdb = import_wfdb()
        with tempfile.TemporaryDirectory() as folder:
            _link(self.path, Path(folder, "signal.dat"))
            Path(folder, "record.hea").write_text("\n".join(lines) + "\n")
            # Physical values with gain 1 are the counts: wfdb's digital way fails on format 61.
            try:
                record = wfdb.rdrecord(str(Path(folder, "record")), sampfrom=start, sampto=stop, smooth_frames=False)
            except (ValueError, RuntimeError, OSError, IndexError, TypeError) as error:
                raise DamagedFileError(
                    f"{self.path.name} could not be decoded as format {self.format} ({type(error).__name__}): "
                    "copy it again"
                ) from error
        frames = np.empty((stop - start, self.width), np.int32)
        column = 0
        for samples, signal in zip(record.e_p_signal, self.signals, strict=True):
            counts = np.where(np.isnan(samples), FORMATS[self.format][1], samples)
            frames[:, column : column + signal.per_frame] = counts.reshape(-1, signal.per_frame)
            column += signal.per_frame
        return frames


def import_wfdb() -> Any:
    """The wfdb library; what its import warns of under a newer pandas is not the caller's concern."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import wfdb
    return wfdb


def _link(file: Path, link: Path) -> None:
    try:
        os.symlink(file.resolve(), link)
    except OSError:  # Windows without the right to link
        shutil.copyfile(file, link)


def unpack_212(data: bytes, n: int) -> NDArray[np.int16]:
    """``n`` samples of 12 bits, two in three bytes: ``[a0–a7] [a8–a11, b8–b11] [b0–b7]``, two's complement."""
    n_pairs = -(-len(data) // 3)
    # Four bytes at every third: each pair in one word, with one byte too many at its top.
    words = np.ndarray((n_pairs,), "<u4", data + b"\0" * (3 * n_pairs + 1 - len(data)), strides=(3,)).copy()
    # Each sample to the top of one half of the word, and back by an arithmetic shift that carries the sign.
    pairs = ((words << 4) & 0x0FF0FFF0) | ((words << 16) & 0xF0000000)
    counts = pairs.astype("<u4", copy=False).view("<i2")
    counts >>= 4
    return counts[:n].astype(np.int16, copy=False)


def group_files(header_path: Path, signals: tuple[Signal, ...], n_frames: int | None) -> list[SignalFile]:
    """One `SignalFile` for each file that the signals name, in their order, each as long as the header says.

    Raises:
        DamagedFileError: if one is absent, outside the header's folder, too short or of an unknown format.
    """
    groups: dict[str, list[Signal]] = {}
    for signal in signals:
        groups.setdefault(signal.file, []).append(signal)
    files = []
    for name, members in groups.items():
        kinds = {(signal.format, signal.offset) for signal in members}
        if len(kinds) > 1 or members[0].format not in FORMATS:
            found = ", ".join(sorted({signal.format for signal in members}))
            raise DamagedFileError(
                f"{header_path.name} gives {name} the format {found}; known, one a file, are {', '.join(FORMATS)}"
            )
        file = SignalFile(beside(header_path, name), tuple(members), n_frames or 0)
        files.append(_sized(file, header_path.name, n_frames))
    return files


def _sized(file: SignalFile, header: str, n_frames: int | None) -> SignalFile:
    try:
        size = check_file(file.path)
    except OSError as error:
        raise DamagedFileError(
            f"{header} needs its signal file {file.path.name}, which is not beside it: copy both together"
        ) from error
    size_of_sample = FORMATS[file.format][0]
    if size_of_sample is None:
        if n_frames is None:
            raise DamagedFileError(f"{header} must state the number of samples of compressed {file.path.name}: add it")
        return file
    held = int((size - file.signals[0].offset) / size_of_sample + 1e-6) // file.width
    if n_frames is None and held > 0:
        return SignalFile(file.path, file.signals, held)
    if n_frames is None or held < n_frames:
        raise DamagedFileError(
            f"{file.path.name} holds {max(held, 0)} samples a signal, fewer than the {n_frames or 1} that {header} "
            "announces: it is truncated, copy it again"
        )
    return file


def beside(header_path: Path, name: str) -> Path:
    """The file ``name`` in the header's folder.

    Raises:
        DamagedFileError: if the name, or a link behind it, leads out of that folder.
    """
    path = header_path.parent / name
    if name in ("", ".", "..") or any(mark in name for mark in ("/", "\\", ":")):
        raise DamagedFileError(
            f"{header_path.name} names the file {name[:80]!r} outside its own folder, which is not followed: "
            "put both in one folder"
        )
    if path.is_symlink() and path.resolve().parent != header_path.parent.resolve():
        raise DamagedFileError(
            f"{path.name} beside {header_path.name} is a link that leaves the folder, which is not followed: "
            "put the file itself there, or name the header beside the file that the link means"
        )
    return path
