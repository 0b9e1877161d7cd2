"""Shards on disk: written whole or not at all, read at random into the caller's buffer."""

from __future__ import annotations

import hashlib
import io
import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import DamagedFileError, UsageError
from cardioloom.store.fit import Stored
from cardioloom.store.layout import Layout, Modality
from cardioloom.store.packing import pack, unpack

SYNC_BYTES = 1 << 22  # written to a shard before the disk is asked to take them, while more are being made
MAX_OPEN_FILES = 128  # half of what a process may usually open on macOS; Linux allows more


class ShardWriter:
    """One shard of each modality; nothing bears its name before `finish`.

    Use it as a context: what is not finished when the context ends is removed.
    """

    def __init__(self, folder: Path, layout: Layout, number: int):
        self.folder, self.layout, self.number = folder, layout, number
        self.n_rows = 0
        self._scales: dict[str, list[NDArray[np.float64]]] = {name: [] for name in layout.modalities}
        self._ends: dict[str, list[int]] = {name: [0] for name in layout.modalities}  # bytes of packed studies
        self._files: dict[str, IO[bytes]] = {}
        self._parts: dict[Path, Path] = {}  # final → temporary
        self._open = ExitStack()
        self._synced = dict.fromkeys(layout.modalities, 0)  # bytes
        self._syncs: list[Future[None]] = []

    def __enter__(self) -> ShardWriter:
        for name, modality in self.layout.modalities.items():
            file = self._open.enter_context(self._part(modality.file(self.folder, self.number)).open("wb"))
            file.write(header(modality, 0))
            self._files[name] = file
        self._disk = self._open.enter_context(ThreadPoolExecutor(1))  # ends before the files are closed
        return self

    def _part(self, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._parts[path] = path.with_name(f".{path.name}.{uuid4().hex[:8]}.part")
        return self._parts[path]

    def add(self, arrays: Mapping[str, Stored]) -> int:
        """Append one study; a modality that it lacks becomes zeros. Returns its row."""
        for name, modality in self.layout.modalities.items():
            stored = arrays.get(name)
            counts = np.zeros(modality.shape, modality.dtype) if stored is None else stored.counts
            assert counts.shape == modality.shape
            counts = np.ascontiguousarray(counts, modality.dtype)
            written = self._files[name].write(pack(counts) if modality.is_packed else counts.data)
            self._ends[name].append(self._ends[name][-1] + written)
            scale = (np.ones(modality.channels), np.zeros(modality.channels))
            self._scales[name].append(np.stack(scale if stored is None else (stored.gain, stored.baseline)))
            if self._ends[name][-1] - self._synced[name] >= SYNC_BYTES:
                self._sync(name)
        self.n_rows += 1
        return self.n_rows - 1

    def _sync(self, name: str) -> None:
        self._files[name].flush()
        self._syncs.append(self._disk.submit(os.fsync, self._files[name].fileno()))
        self._synced[name] = self._ends[name][-1]

    def finish(self) -> None:
        """Give every file its name, and write the sums beside them; without a row there is nothing to name."""
        if self.n_rows == 0:
            return
        for name, modality in self.layout.modalities.items():
            file = self._files[name]
            file.seek(0)
            file.write(header(modality, self._ends[name][-1] if modality.is_packed else self.n_rows))
            self._sync(name)
            with self._part(modality.scale_file(self.folder, self.number)).open("wb") as scales:
                np.save(scales, np.stack(self._scales[name]))
            if modality.is_packed:
                with self._part(modality.index_file(self.folder, self.number)).open("wb") as index:
                    np.save(index, np.array(self._ends[name], np.int64))
        for final, part in self._parts.items():
            write_sum(part, final)
        for sync in self._syncs:  # each: an error of the disk is told once
            sync.result()
        for final, part in self._parts.items():
            os.replace(part, final)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._open.close()  # on a full disk this may fail once more
        finally:
            for part in self._parts.values():
                part.unlink(missing_ok=True)


def header(modality: Modality, n_rows: int) -> bytes:
    """The beginning of a .npy file, of the same length whatever the number of rows (of bytes, where it is packed)."""
    kind, shape = (np.dtype(np.uint8), ()) if modality.is_packed else (np.dtype(modality.dtype), modality.shape)
    told = {"descr": kind.newbyteorder("<").str, "fortran_order": False, "shape": (n_rows, *shape)}
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, told)
    return buffer.getvalue()


def file_sum(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sum_file(path: Path) -> Path:
    """Where the sum of a file stands."""
    return path.with_name(f"{path.name}.sha256")


def write_sum(content: Path, named: Path) -> None:
    """The sum of a file, as ``sha256sum`` writes it, beside the name that the file will have."""
    sum_file(named).write_text(f"{file_sum(content)}  {named.name}\n")


def _read_at(file: int, buffer: memoryview, offset: int) -> int:
    """Fill a buffer from a place in a file; the number of bytes that were there."""
    if hasattr(os, "preadv"):
        return os.preadv(file, [buffer], offset)
    os.lseek(file, offset, os.SEEK_SET)
    found = os.read(file, len(buffer))
    buffer[: len(found)] = found
    return len(found)


class ShardReader:
    """Rows of one modality in any order, read straight into a buffer; safe to share over forks, and to pickle.

    Args:
        folder: of the cohort.
        modality: which.
    """

    def __init__(self, folder: Path, modality: Modality):
        self.folder, self.modality = Path(folder), modality
        self.offset = len(header(modality, 0))
        self._files: OrderedDict[int, int] = OrderedDict()  # shard → descriptor
        self._beside: dict[tuple[int, str], NDArray[Any]] = {}  # shard and "scale" or "index"

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_files": OrderedDict(), "_beside": {}}

    def counts(self, places: Sequence[tuple[int, int]], out: NDArray[np.integer] | None = None) -> NDArray[np.integer]:
        """The integers of the studies at (shard, row).

        Args:
            places: where.
            out: (study, …) C-contiguous of the modality's type, is filled and returned where given.

        Raises:
            DamagedFileError: if a shard is missing or cut short.
            UsageError: if ``out`` has another shape or type.
        """
        shape = (len(places), *self.modality.shape)
        if out is None:
            out = np.empty(shape, self.modality.dtype)
        elif out.shape != shape or out.dtype != self.modality.dtype or not out.flags.c_contiguous:
            raise UsageError(f"the buffer must be {self.modality.dtype} {shape}, got {out.dtype} {out.shape}")
        if self.modality.is_packed:
            for (shard, row), own in zip(places, out, strict=True):
                unpack(self._packed(shard, row), own)
            return out
        size = self.modality.row_bytes
        view = memoryview(out.data).cast("B") if len(places) else memoryview(b"")
        for at, (shard, row) in enumerate(places):
            buffer = view[at * size : (at + 1) * size]
            if _read_at(self._descriptor(shard), buffer, self.offset + row * size) != size:
                raise self._damaged(shard, f"has no row {row}")
        return out

    def scales(self, places: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
        """(study, 2, channel) gain and baseline of the studies at (shard, row).

        Raises:
            DamagedFileError: if a shard is missing or cut short.
        """
        found = np.empty((len(places), 2, self.modality.channels))
        for at, (shard, row) in enumerate(places):
            found[at] = self._small(shard, "scale")[row]
        return found

    def _packed(self, shard: int, row: int) -> bytes:
        index = self._small(shard, "index")
        if row + 1 >= len(index):
            raise self._damaged(shard, f"has no row {row}")
        start, stop = index[row : row + 2].tolist()
        packed = bytearray(stop - start)
        if _read_at(self._descriptor(shard), memoryview(packed), self.offset + start) != len(packed):
            raise self._damaged(shard, f"has no row {row}")
        return bytes(packed)

    def _small(self, shard: int, what: str) -> NDArray[Any]:
        """The gains ("scale") or the "index" of a shard, kept in memory."""
        known = self._beside.get((shard, what))
        if known is not None:
            return known
        path = self.modality.file(self.folder, shard).with_suffix(f".{what}.npy")
        try:
            return self._beside.setdefault((shard, what), np.load(path, allow_pickle=False))
        except (OSError, ValueError, EOFError) as error:
            raise self._damaged(shard, f"lacks a {path.name} that can be read") from error

    def _descriptor(self, shard: int) -> int:
        known = self._files.get(shard)
        if known is not None:
            self._files.move_to_end(shard)
            return known
        path = self.modality.file(self.folder, shard)
        try:
            opened = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except OSError as error:
            raise self._damaged(shard, f"cannot be opened ({error.strerror})") from error
        if _read_at(opened, memoryview(magic := bytearray(6)), 0) != 6 or magic != b"\x93NUMPY":
            os.close(opened)
            raise self._damaged(shard, "is no .npy file")
        self._files[shard] = opened
        if len(self._files) > MAX_OPEN_FILES:
            os.close(self._files.popitem(last=False)[1])
        return opened

    def _damaged(self, shard: int, what: str) -> DamagedFileError:
        name = self.modality.file(self.folder, shard).relative_to(self.folder)
        return DamagedFileError(f"{name} {what}: copy it again from where it was built, or build the cohort again")

    def close(self) -> None:
        """Close all files; they are opened again when needed."""
        while self._files:
            os.close(self._files.popitem()[1])

    def __del__(self) -> None:
        self.close()
