"""What a worker process does: one shard."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

from cardioloom.errors import CardioloomError, InternalError
from cardioloom.store.entry import Entry
from cardioloom.store.layout import BUILDING, Layout
from cardioloom.store.manifest import part_file, write_part
from cardioloom.store.shards import ShardWriter, write_sum
from cardioloom.writers.atomic import replacing


@dataclass(frozen=True)
class ShardJob:
    """One shard to write.

    Args:
        folder: of the cohort.
        layout: of the cohort.
        number: of the shard.
        tasks: whose studies go into it.
        make: task → studies.
    """

    folder: Path
    layout: Layout
    number: int
    tasks: Sequence[Any]
    make: Callable[[Any], Iterable[Entry]]


def begin_worker() -> None:
    """Leave interruptions to the parent, and end when it is gone: a killed parent must leave no process behind."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def get_ready() -> None:
    """Load what takes longest."""
    import pyarrow.parquet  # noqa: F401


def write_shard(job: ShardJob) -> int:
    """Write the shard, its text and its part of the table; returns its number.

    Raises:
        OSError: if the disk is full or refuses.
    """
    rows: list[dict[str, Any]] = []
    failed: list[tuple[str, str]] = []
    texts: list[dict[str, str]] = []
    with ShardWriter(job.folder, job.layout, job.number) as shard:
        for task in job.tasks:
            try:
                entries = [(entry, entry.stored(job.layout)) for entry in job.make(task)]
            except CardioloomError as error:
                failed.append((str(task), str(error)))
                continue
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001 (one task must not stop the others; its reason is listed)
                failed.append((str(task), str(_fault(error))))
                continue
            for entry, arrays in entries:
                rows.append(entry.row(arrays, job.layout, job.number, shard.add(arrays)))
                texts.append({"study_id": entry.study_id, **entry.texts})
        shard.finish()
    if job.layout.has_text and texts:
        _write_texts(job.folder / "text" / f"{job.number:06d}.parquet", texts)
    write_part(part_file(job.folder / BUILDING, job.number), rows, job.layout, failed)
    return job.number


def _fault(error: Exception) -> InternalError:
    return InternalError(f"a fault of cardioloom ({type(error).__name__}: {error}): please report it")


def _write_texts(path: Path, texts: Sequence[dict[str, str]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        pq.write_table(pa.Table.from_pylist(list(texts)), part)
        write_sum(part, path)
