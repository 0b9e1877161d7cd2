"""A walk over a MATLAB 5 file's elements before it is decoded: scipy's reader crashes the process on unknown types.

Layout: "MAT-File Format", MathWorks, level 5: elements of a tag (type, bytes) and data, matrices nested in matrices.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from cardioloom.errors import DamagedFileError, LimitError, NotAnECGError

NUMBERS = frozenset({1, 2, 3, 4, 5, 6, 7, 9, 12, 13})  # int8 … double, int64, uint64
TEXTS = NUMBERS | {16, 17, 18}  # and UTF-8, UTF-16, UTF-32
MATRIX, COMPRESSED = 14, 15
CELL, STRUCT, OBJECT, CHAR = 1, 2, 3, 4
LAST_NUMERIC_CLASS = 15
MAX_DEPTH = 16


def check_v5(path: Path, max_bytes: int) -> None:
    """Refuse what is not a consistent tree of known elements, or inflates beyond ``max_bytes``.

    Raises:
        DamagedFileError: if a type is unknown or an element ends behind its parent.
        LimitError: if the file unpacks to more than is accepted.
        NotAnECGError: if it holds objects of classes other than numbers, text, cells and structs.
    """
    with path.open("rb") as file:
        order = ">" if file.read(128)[126:128] == b"MI" else "<"
        left = max_bytes
        while tag := file.read(8):
            kind, n_bytes = struct.unpack(f"{order}2I", tag) if len(tag) == 8 else (0, 0)
            body = file.read(n_bytes) if kind in (MATRIX, COMPRESSED) else b""
            if not body or len(body) < n_bytes:
                raise _damaged(path)
            if kind == COMPRESSED:
                body = _inflated(path, body, left)
                left -= len(body)
                elements = list(_elements(path, memoryview(body), order))
                if len(elements) != 1 or elements[0][0] != MATRIX:
                    raise _damaged(path)
                _check_matrix(path, elements[0][1], order, 0)
            else:
                _check_matrix(path, memoryview(body), order, 0)


def _damaged(path: Path) -> DamagedFileError:
    return DamagedFileError(f"{path.name} is a truncated or damaged MATLAB file: export or copy it again")


def _inflated(path: Path, body: bytes, max_bytes: int) -> bytes:
    inflate = zlib.decompressobj()
    try:
        data = inflate.decompress(body, max_bytes)
    except zlib.error as error:
        raise _damaged(path) from error
    if inflate.unconsumed_tail:
        raise LimitError(f"{path.name} unpacks to more than is accepted, {max_bytes} bytes were left: split it")
    if not inflate.eof:
        raise _damaged(path)
    return data


def _elements(path: Path, data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Type and data of each element, one after the other."""
    at = 0
    while at < len(data):
        if at + 8 > len(data):
            raise _damaged(path)
        kind, n_bytes = struct.unpack_from(f"{order}2I", data, at)
        if kind >> 16:  # small element: its data is in the second half of the tag
            kind, n_bytes, start, end = kind & 0xFFFF, kind >> 16, at + 4, at + 8
        else:
            start, end = at + 8, at + 8 + n_bytes + (-n_bytes % 8 if kind != MATRIX else 0)
        if start + n_bytes > min(end, len(data)):
            raise _damaged(path)
        yield kind, data[start : start + n_bytes]
        at = end


def _check_matrix(path: Path, data: memoryview, order: str, depth: int) -> None:
    if not len(data):
        return  # an empty cell may be a matrix of no bytes
    elements = list(_elements(path, data, order))
    kinds = [kind for kind, _ in elements]
    if len(kinds) < 3 or kinds[0] != 6 or len(elements[0][1]) != 8 or depth > MAX_DEPTH:
        raise _damaged(path)
    matrix_class = struct.unpack_from(f"{order}I", elements[0][1])[0] & 0xFF
    if matrix_class == OBJECT or matrix_class > LAST_NUMERIC_CLASS:
        raise NotAnECGError(f"{path.name} holds MATLAB objects, which are not read: save plain matrices")
    if kinds[1] != 5 or kinds[2] != 1 or matrix_class == 0:
        raise _damaged(path)
    if matrix_class in (CELL, STRUCT):
        n_own = 3 if matrix_class == CELL else 5  # flags, sizes, name; a struct adds its fields' names
        if kinds[3:n_own] != [5, 1][: n_own - 3] or set(kinds[n_own:]) - {MATRIX}:
            raise _damaged(path)
        for _, body in elements[n_own:]:
            _check_matrix(path, body, order, depth + 1)
    elif set(kinds[3:]) - (TEXTS if matrix_class == CHAR else NUMBERS):
        raise _damaged(path)
