"""The table of a cohort (``cohort.parquet``), its facts (``cohort.json``), and the parts of the table before that."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cardioloom.errors import DamagedFileError, MissingExtraError, UsageError
from cardioloom.store.entry import OWN, hash_column
from cardioloom.store.layout import FACTS, SCHEMA, Layout
from cardioloom.writers.atomic import replacing

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from numpy.typing import NDArray

FAILURES = b"cardioloom.failed"
INTEGERS = ("shard", "row")
GROUP_ROWS = 16_384
AGAIN = "copy it again, or build the cohort again"
NEEDED_FACTS = ("fs", "leads", "fit", "shard_rows", "has_text", "modalities", "counts", "labels", "fingerprint")


def need_pyarrow() -> None:
    """Raise MissingExtraError where pyarrow or filelock is not installed."""
    if missing := [name for name in ("pyarrow", "filelock") if find_spec(name) is None]:
        raise MissingExtraError(
            f"cohorts need {' and '.join(missing)}, not installed here: pip install 'cardioloom[models]'"
        )


def part_file(building: Path, shard: int) -> Path:
    """Where the part of a shard lies."""
    return building / f"{shard:06d}.parquet"


def write_part(
    path: Path, rows: Sequence[Mapping[str, Any]], layout: Layout, failed: Sequence[tuple[str, str]]
) -> None:
    """Write the rows of one shard; the file's being there says that the shard is complete."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = list(rows[0]) if rows else [*OWN]
    columns = {name: [row[name] for row in rows] for name in names}
    fields = [pa.field(name, _type(name, values, layout)) for name, values in columns.items()]
    table = pa.table(columns, schema=pa.schema(fields, metadata={FAILURES: json.dumps(list(failed)).encode()}))
    with replacing(path) as part:
        pq.write_table(table, part)


def _type(name: str, values: Sequence[Any], layout: Layout) -> pa.DataType:
    import pyarrow as pa

    texts = {"study_id", "patient_id", "date", "split", "sex", "file", "changes", *map(hash_column, layout.modalities)}
    if name in INTEGERS:
        return pa.int32()
    if name in texts or any(isinstance(value, str) for value in values):
        return pa.string()
    is_known = name == "age" or any(value is not None for value in values)
    return pa.float64() if is_known else pa.null()


def summary(path: Path) -> tuple[int, list[tuple[str, str]]]:
    """Number of rows of a part, and the tasks that failed: name, reason.

    Raises:
        DamagedFileError: if it cannot be read.
    """
    with _opened(path) as file:
        found = json.loads((file.schema_arrow.metadata or {}).get(FAILURES, b"[]"))
        return file.metadata.num_rows, [(name, reason) for name, reason in found]


def read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """A Parquet file.

    Raises:
        DamagedFileError: if it cannot be read.
    """
    with _opened(path) as file:
        return file.read(columns=None if columns is None else list(columns))


def read_columns(path: Path, columns: Sequence[str] | None = None, *, advice: str = AGAIN) -> dict[str, NDArray[Any]]:
    """Name → (study,) values, as `Cohort` takes them; one column after the other, so that memory is bounded.

    Args:
        path: of a Parquet file.
        columns: their names; all if not given.
        advice: what to do where it cannot be read.

    Raises:
        DamagedFileError: if it cannot be read.
    """
    with _opened(path, advice) as file:
        names = list(columns or file.schema_arrow.names)
        return {name: _values(file.read(columns=[name])[name]) for name in names}


def _values(column: pa.ChunkedArray) -> NDArray[Any]:
    """Numbers, or texts, of which equal ones are one object."""
    import numpy as np
    import pyarrow as pa

    if not pa.types.is_string(column.type) or not len(column):
        return column.to_numpy()
    encoded = column.combine_chunks().dictionary_encode()
    words = np.array([*encoded.dictionary.to_pylist(), None], object)
    return words[encoded.indices.fill_null(len(words) - 1).to_numpy()]


@contextmanager
def _opened(path: Path, advice: str = AGAIN) -> Iterator[pq.ParquetFile]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, memory_map=False) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise DamagedFileError(f"{path} cannot be read as Parquet: {advice}") from error


def columns_of_parts(paths: Sequence[Path], columns: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Some columns of all parts; one that is empty in one part takes its type from the others."""
    import pyarrow as pa

    table = pa.concat_tables([read_table(path, columns) for path in paths], promote_options="permissive")
    return {name: _values(table[name]) for name in columns}


def merge(paths: Sequence[Path], texts: Collection[str], split_of: Mapping[str, str], target: Path) -> None:
    """All parts in one file, with the splits, some thousand rows at a time.

    Args:
        paths: of parts with rows.
        texts: labels that are texts, even where none is known; the others are numbers.
        split_of: patient → split.
        target: the file to write.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(paths, texts)
    with pq.ParquetWriter(target, schema) as writer:
        waiting: list[pa.Table] = []
        for path in paths:
            table = read_table(path)
            split = pa.array([split_of[patient] for patient in table["patient_id"].to_pylist()], pa.string())
            table = table.set_column(table.column_names.index("split"), schema.field("split"), split)
            waiting.append(table.select(schema.names).cast(schema))
            if sum(map(len, waiting)) >= GROUP_ROWS or path == paths[-1]:
                writer.write_table(pa.concat_tables(waiting), GROUP_ROWS)
                waiting = []


def _schema(paths: Sequence[Path], texts: Collection[str]) -> pa.Schema:
    """The columns of all parts with one type each."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = [pq.read_schema(path).remove_metadata() for path in paths]
    schema = pa.unify_schemas(found, promote_options="permissive")
    unknown = [field for field in schema if pa.types.is_null(field.type)]  # known of no study at all
    for field in unknown:
        kind = pa.string() if field.name in texts else pa.float64()
        schema = schema.set(schema.get_field_index(field.name), pa.field(field.name, kind))
    return schema


def write_facts(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write ``cohort.json``, whose being there says that the cohort is complete."""
    with replacing(folder / FACTS) as part:
        part.write_text(json.dumps(dict(facts), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_facts(folder: Path) -> dict[str, Any]:
    """What ``cohort.json`` says.

    Raises:
        UsageError: if the folder is no cohort, or not a complete one.
        DamagedFileError: if the file cannot be read, or lacks something.
    """
    path = Path(folder) / FACTS
    if not path.is_file():
        raise UsageError(
            f"{folder} is no complete cohort, it has no {FACTS}: name a folder that cohort build or simulate wrote, "
            "or run that command again to finish it"
        )
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        schema = facts["schema"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedFileError(f"{path} cannot be read: {AGAIN}") from error
    if schema != SCHEMA:
        raise UsageError(f"{path} is {schema!r}, this version reads {SCHEMA}: use the version that wrote it")
    refuse_gaps(path, facts, NEEDED_FACTS)
    return facts


def refuse_gaps(path: Path, found: Collection[str], needed: Collection[str]) -> None:
    """Raise DamagedFileError if a file lacks some of what a build writes into it."""
    if missing := [name for name in needed if name not in found]:
        raise DamagedFileError(f"{path} lacks {', '.join(missing)}: {AGAIN}")
