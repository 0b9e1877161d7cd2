"""The Parquet file of `embed`, and the parts of it that an interruption leaves behind.

    OUT.parquet                        one row an ECG
    OUT.parquet.parts/part-000123.parquet   rows that are finished, while OUT is not

Every file's metadata names the job (model, options) and its open files: those of which a row is there or was tried,
and whose last ECG was not reached or whose ECGs did not all succeed. A file is done where it has rows and the last
part that has rows of it does not call it open.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from glob import escape
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cardioloom.errors import MissingExtraError, UsageError, WriteError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

SUFFIX = ".parquet"
GROUP_ROWS = 1024  # rows of a row group: 4 MB of 1024 features
JOB, OPEN = "cardioloom.options", "cardioloom.open"
LOCK = "lock"


def need_pyarrow() -> None:
    """Raise MissingExtraError where pyarrow is not installed."""
    if find_spec("pyarrow") is None:
        raise MissingExtraError(
            "embeddings are written with the package pyarrow, which is not installed: pip install 'cardioloom[models]'"
        )


@dataclass(frozen=True)
class Row:
    """One ECG's embedding.

    Args:
        study_id: unique in the file.
        patient_id: where it is known; never a name.
        file: as it was given.
        embedding: (feature,) float32.
        n_windows: it is the mean over so many.
        warnings: in sentences.
        age: years.
        sex: "M" or "F".
        labels: column → value, of a cohort's study.
    """

    study_id: str
    patient_id: str | None
    file: str
    embedding: Any
    n_windows: int
    warnings: str
    age: float | None
    sex: str | None
    labels: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Done:
    """What earlier runs have finished.

    Args:
        files: those of which nothing is left to do.
        studies: study_id → file, of every row.
    """

    files: frozenset[str]
    studies: Mapping[str, str]


@dataclass(frozen=True)
class Parts:
    """The file and its parts.

    Args:
        out: the Parquet file.
        job: what the rows depend on: model and options.
        facts: metadata of the file.
        labels: columns of the labels.
    """

    out: Path
    job: Mapping[str, Any]
    facts: Mapping[str, str]
    labels: tuple[pa.Field, ...] = ()

    @property
    def folder(self) -> Path:
        """Where the parts lie."""
        return self.out.with_name(self.out.name + ".parts")

    def paths(self) -> list[Path]:
        """The finished pieces in their order: OUT of an earlier run that some files failed in, then the parts."""
        parts = sorted(self.folder.glob(f"part-*{SUFFIX}"))
        return [self.out, *parts] if self.out.exists() else parts

    def done(self) -> Done:
        """What earlier runs of the same job have finished.

        Raises:
            UsageError: if OUT is complete, or OUT or the parts are another job's.
        """
        files: dict[str, bool] = {}
        studies: dict[str, str] = {}
        for path in self.paths():
            rows, still_open = self._look(path)
            for study, file in zip(*(rows.column(name).to_pylist() for name in ("study_id", "file")), strict=True):
                studies[study] = file
                files[file] = file not in still_open
        return Done(frozenset(file for file, is_done in files.items() if is_done), studies)

    def _look(self, path: Path) -> tuple[pa.Table, Collection[str]]:
        with _opened(path) as file:
            said = {key.decode(): value.decode() for key, value in (file.schema_arrow.metadata or {}).items()}
            job, still_open = said.get(JOB), said.get(OPEN)
            if path == self.out and still_open in (None, "[]"):
                raise UsageError(f"{path} exists: name another file, or remove it")
            if job is None or json.loads(job) != dict(self.job):
                what = path if path == self.out else self.folder
                raise UsageError(
                    f"{what} was begun with {_spelt(json.loads(job or '{}'), self.job)}: name another file to write, "
                    "or remove it"
                )
            return file.read(columns=["study_id", "file"]), set(json.loads(still_open or "[]"))

    def add(self, rows: Sequence[Row], still_open: Collection[str]) -> None:
        """Write rows as the next part, whole or not at all.

        Raises:
            WriteError: if the place cannot be written to.
        """
        import numpy as np
        import pyarrow as pa
        import pyarrow.parquet as pq

        width = len(rows[0].embedding)
        own = [name for name in Row.__dataclass_fields__ if name != "labels"]
        columns: dict[str, Any] = {name: [getattr(row, name) for row in rows] for name in own}
        columns |= {label.name: [row.labels[label.name] for row in rows] for label in self.labels}
        flat = pa.array(np.concatenate(columns["embedding"]), pa.float32())
        columns["embedding"] = pa.FixedSizeListArray.from_arrays(flat, width)
        table = pa.table(columns, schema=schema(width, self.labels)).replace_schema_metadata(self._metadata(still_open))
        numbers = [int(path.stem.removeprefix("part-")) for path in self.folder.glob(f"part-*{SUFFIX}")]
        path = self.folder / f"part-{max(numbers, default=-1) + 1:06d}{SUFFIX}"
        with _writing(path) as part:
            pq.write_table(table, part)

    def merge(self, still_open: Collection[str]) -> None:
        """All pieces in one file, a row group at a time; then the parts are removed.

        Raises:
            WriteError: if the place cannot be written to.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        paths = self.paths()
        if not paths:
            return
        with _opened(paths[0]) as file:
            target = file.schema_arrow.with_metadata(self._metadata(still_open))
        with _writing(self.out) as part, pq.ParquetWriter(part, target) as writer:
            waiting: list[pa.RecordBatch] = []
            for batch in self._batches(paths):
                waiting.append(batch)
                if sum(len(own) for own in waiting) >= GROUP_ROWS:
                    writer.write_table(pa.Table.from_batches(waiting, target), GROUP_ROWS)
                    waiting = []
            if waiting:
                writer.write_table(pa.Table.from_batches(waiting, target), GROUP_ROWS)
        self._remove_parts()

    def _batches(self, paths: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        seen = set[str]()  # a run that was killed after OUT was written has left parts whose rows are in OUT
        for path in paths:
            with _opened(path) as file:
                for batch in file.iter_batches(GROUP_ROWS):
                    studies = batch.column("study_id").to_pylist()
                    yield batch.filter(pa.array([s not in seen for s in studies])).replace_schema_metadata(None)
                    seen.update(studies)

    def _metadata(self, still_open: Collection[str]) -> dict[str, str]:
        return {**self.facts, JOB: json.dumps(dict(self.job)), OPEN: json.dumps(sorted(still_open))}

    @contextmanager
    def held(self) -> Iterator[None]:
        """The parts' folder, for one run at a time; removed at the end if nothing is left in it.

        Raises:
            UsageError: if another run writes the same file.
            WriteError: if the place cannot be written to.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(self.folder / LOCK, timeout=0)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout as error:
            raise UsageError(f"another run writes {self.out}: wait for it, or name another file") from error
        except OSError as error:
            raise WriteError(f"{self.folder} cannot be written to ({error.strerror}): choose another place") from error
        try:
            yield
        finally:
            lock.release()
            if all(path.name == LOCK for path in self.folder.iterdir()):
                (self.folder / LOCK).unlink(missing_ok=True)
                self.folder.rmdir()

    def _remove_parts(self) -> None:
        unfinished = (*self.folder.glob(".part-*.part"), *self.out.parent.glob(f".{escape(self.out.name)}.*.part"))
        for path in (*self.folder.glob(f"part-*{SUFFIX}"), *unfinished):
            path.unlink(missing_ok=True)


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, memory_map=False) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise UsageError(
            f"{path} cannot be read as Parquet: remove it (its rows are computed again), or name another file to write"
        ) from error


@contextmanager
def _writing(path: Path) -> Iterator[Path]:
    from cardioloom.writers.atomic import replacing

    try:
        with replacing(path) as part:
            yield part
    except OSError as error:
        raise WriteError(f"{path} cannot be written ({error.strerror or error}): choose another place") from error


def _spelt(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """The options in which two jobs differ, in words."""
    other = [key for key in {**wanted, **found} if found.get(key) != wanted.get(key)]
    return ", ".join(f"{key} {found.get(key)} (now {wanted.get(key)})" for key in other)


def schema(width: int, labels: Sequence[pa.Field] = ()) -> pa.Schema:
    """Of the Parquet file, without its metadata.

    Args:
        width: number of features.
        labels: columns that follow.
    """
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("study_id", pa.string(), nullable=False),
            pa.field("patient_id", pa.string()),
            pa.field("file", pa.string(), nullable=False),
            pa.field("embedding", pa.list_(pa.float32(), width), nullable=False),
            pa.field("n_windows", pa.int32(), nullable=False),
            pa.field("warnings", pa.string(), nullable=False),
            pa.field("age", pa.float32()),
            pa.field("sex", pa.string()),
            *labels,
        ]
    )
