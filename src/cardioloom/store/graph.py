"""usearch's graph of the embeddings of an index of very many studies: built once, kept, and believed only if whole.

    CACHE/FOOTER-CONTENT.usearch

FOOTER is a sum over the footer of the Parquet file, which holds its metadata and the sizes and ranges of all columns.
CONTENT is a sum over the graph's own file: a damaged graph would end the process, not raise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import DamagedFileError, MissingExtraError

SUM_CHARACTERS = 16
TAIL = 8  # bytes of a Parquet file after the footer: its length and "PAR1"
Parts = Callable[[], Iterator[NDArray[np.float32]]]


def graph_of(
    path: Path, parts: Parts, shape: tuple[int, int], cache: Path | None, tell: Callable[[str], object]
) -> Any:
    """The graph, from the cache or built.

    Args:
        path: of the index.
        parts: gives its unit vectors, some rows after the other.
        shape: rows and width.
        cache: folder of graphs; None = not kept.
        tell: is called with a sentence where one is built, is damaged, or cannot be kept.

    Raises:
        DamagedFileError: if the index cannot be read.
        MissingExtraError: if usearch is not installed.
    """
    try:
        from usearch.index import Index as Graph
    except ImportError as error:
        raise MissingExtraError(
            f"{shape[0]:,} studies are searched with the package usearch, which is not installed: "
            "pip install 'cardioloom[models]'"
        ) from error
    key = footer_sum(path)
    for kept in [] if cache is None else sorted(cache.glob(f"{key}-*.usearch")):
        if (graph := _whole(kept, key, parts, shape)) is not None:
            return graph
        tell(f"the search graph {kept} is damaged or another index's: it is built again")
        kept.unlink(missing_ok=True)
    tell(f"building the search graph of {shape[0]:,} studies, once for this index: some minutes for each million")
    graph = Graph(ndim=shape[1], metric="cos", dtype="f32")
    at = 0
    for part in parts():
        graph.add(np.arange(at, at + len(part)), part)
        at += len(part)
    if cache is not None:
        _keep(graph, cache, key, tell)
    return graph


def footer_sum(path: Path) -> str:
    """Of the whole footer of a Parquet file, and of its size.

    Raises:
        DamagedFileError: if it has none.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - TAIL))
        tail = file.read(TAIL)
        length = int.from_bytes(tail[:4], "little") + TAIL
        if tail[4:] != b"PAR1" or length > size:
            raise DamagedFileError(f"{path} has no whole footer: copy it again, or embed again")
        file.seek(size - length)
        return hashlib.sha256(str(size).encode() + file.read(length)).hexdigest()[:SUM_CHARACTERS]


def _whole(kept: Path, key: str, parts: Parts, shape: tuple[int, int]) -> Any | None:
    """The graph of a file, mapped into memory; None where it is not this index's, or not as it was written."""
    from usearch.index import Index as Graph

    try:
        with kept.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()[:SUM_CHARACTERS]
        if kept.name != _name(key, content):
            return None
        graph = Graph.restore(str(kept), view=True)
    except (OSError, RuntimeError, ValueError, TypeError):
        return None
    if graph is None or (len(graph), graph.ndim) != shape:
        return None
    first = next(parts())  # footers may be equal where embeddings are not
    own = np.asarray(graph.get(np.arange(len(first))), np.float32)
    return graph if own.shape == first.shape and np.array_equal(own, first) else None


def _keep(graph: Any, cache: Path, key: str, tell: Callable[[str], object]) -> None:
    """Whole or not at all; where the cache cannot be written to it is built again each time."""
    part = cache / f".{key}.{uuid4().hex[:8]}.part"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        try:
            graph.save(str(part))
            with part.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()[:SUM_CHARACTERS]
            part.replace(cache / _name(key, content))
        finally:
            part.unlink(missing_ok=True)
    except (OSError, RuntimeError) as error:
        tell(f"{cache} cannot be written to ({error}): the search graph is built again each time")


def _name(key: str, content: str) -> str:
    return f"{key}-{content}.usearch"
