"""A walk over an HDF5 file's global heaps, where texts of variable length lie: the HDF5 library loops on damaged ones.

Layout: HDF5 File Format Specification 3.0, III.E, "Disk Format: Level 1E - Global Heap".
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from cardioloom.errors import DamagedFileError

MAGIC = b"GCOL"
HEADER_BYTES = 16  # of a collection and of an object; sizes of 8 bytes


def check_heaps(path: Path) -> None:
    """Refuse a file whose heap objects do not fill their collections exactly.

    Raises:
        DamagedFileError: if one ends behind its collection or is free space that does not end with it.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.find(MAGIC)
        while at >= 0:
            if at % 8 == 0 and not _is_whole(data, at):
                raise DamagedFileError(f"{path.name} is a damaged HDF5 file (global heap): export or copy it again")
            at = data.find(MAGIC, at + 1)


def _is_whole(data: mmap.mmap, start: int) -> bool:
    if start + HEADER_BYTES > len(data):
        return False
    end = start + struct.unpack_from("<Q", data, start + 8)[0]
    at = start + HEADER_BYTES
    if not at <= end <= len(data):
        return False
    while end - at >= HEADER_BYTES:
        index, n_bytes = struct.unpack_from("<H6xQ", data, at)
        if index == 0:  # free space, its own header counted
            return at + n_bytes == end
        at += HEADER_BYTES + n_bytes + -n_bytes % 8
    return at <= end
