"""Measurements and statements of every ECG of a cohort, once: kept in a Parquet file, taken from there later."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardioloom import measure
from cardioloom.errors import CardioloomError, UsageError
from cardioloom.records import ECG
from cardioloom.store import Folder
from cardioloom.store.entry import hash_column
from cardioloom.store.worker import begin_worker
from cardioloom.writers.atomic import replacing

CHUNK = 16  # studies of one task
KEEP_EVERY = 20  # tasks, after which what was measured is written
WORTH_A_PROCESS = 64  # studies; to start a process takes as long as measuring some twenty
VERSION = b"cardioloom.version"
TOLD = ("age", "sex")
Row = dict[str, float]
Tick = Callable[[int, int], None]


def features(ecg: ECG, age: float | None, sex: str | None) -> Row:
    """Measurements with their spread ("rr_interval", "rr_interval sd"), statements as 1 and 0 ("is AF"); what is not
    known is absent."""
    found = measure.ecg(ecg, age=age, sex=sex)
    row = {name: float(own.value) for name, own in found.measurements.items()}
    row |= {f"{name} sd": float(own.sd) for name, own in found.measurements.items() if own.sd is not None}
    row |= {f"is {own.code}": float(own.present) for own in found.findings if own.present is not None}
    return row


def measured(
    folder: Folder,
    rows: NDArray[np.int64],
    keep: Path,
    *,
    version: str,
    told: tuple[str, ...] = TOLD,
    workers: int = 1,
    tick: Tick | None = None,
) -> list[Row]:
    """The features of the studies of these rows of the manifest; a study that cannot be measured has none.

    Args:
        folder: the cohort.
        rows: (study,).
        keep: Parquet file of what was measured, read and written; studies are known by their signal, age and sex.
        version: of this library; what another one has measured is not taken.
        told: what the criteria may know of the patient; not what is to be predicted.
        workers: processes, this one alone where 1.
        tick: is told how many are done, and of how many.
    """
    names = [_name(folder, row, told) for row in rows.tolist()]
    known = _kept(keep, version)
    missing = [row for row, name in zip(rows.tolist(), names, strict=True) if name not in known]
    chunks = [missing[at : at + CHUNK] for at in range(0, len(missing), CHUNK)]
    done = 0
    n_processes = workers if len(missing) >= WORTH_A_PROCESS else 1
    for number, (chunk, found) in enumerate(_each(folder, chunks, told, n_processes)):
        known |= {_name(folder, row, told): own for row, own in zip(chunk, found, strict=True)}
        done += len(chunk)
        if tick:
            tick(len(rows) - len(missing) + done, len(rows))
        if (number + 1) % KEEP_EVERY == 0 or done == len(missing):
            _keep(keep, known, version)
    return [known[name] for name in names]


def _known(folder: Folder, row: int, told: tuple[str, ...]) -> tuple[float | None, str | None]:
    """Age and sex of a study, None = not known or not to be told."""
    columns = folder.columns
    age, sex = (columns[name][row] if name in told and name in columns else None for name in TOLD)
    return None if age is None or np.isnan(age) else float(age), sex


def _name(folder: Folder, row: int, told: tuple[str, ...]) -> str:
    """Of what was measured: the same signal of a patient of another age is judged by other criteria."""
    age, sex = _known(folder, row, told)
    return f"{folder.columns[hash_column('ecg')][row]} {age} {sex}"


def _each(
    folder: Folder, chunks: list[list[int]], told: tuple[str, ...], workers: int
) -> Iterator[tuple[list[int], list[Row]]]:
    """Each chunk with its rows, in their order."""
    if workers <= 1:
        for chunk in chunks:
            yield chunk, [_one(folder, row, told) for row in chunk]
        return
    with ProcessPoolExecutor(min(workers, len(chunks)), get_context("spawn"), begin_worker) as pool:
        waiting = [(chunk, pool.submit(_chunk, str(folder.path), chunk, told)) for chunk in chunks]
        try:
            for chunk, answer in waiting:
                yield chunk, answer.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@cache
def _folder(path: str) -> Folder:
    return Folder.at(path)


def _chunk(path: str, rows: list[int], told: tuple[str, ...]) -> list[Row]:
    """In a process of its own."""
    return [_one(_folder(path), row, told) for row in rows]


def _one(folder: Folder, row: int, told: tuple[str, ...]) -> Row:
    age, sex = _known(folder, row, told)
    facts = {name: values[row] for name, values in folder.columns.items()}
    ecg = folder.ecg(facts | {"age": age, "sex": sex})
    try:
        return features(ecg, age, sex)
    except CardioloomError:
        return {}  # nothing is known of it: a baseline takes that as it takes any missing value


def _kept(path: Path, version: str) -> dict[str, Row]:
    """What an earlier call of the same version has measured."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        return {}
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise UsageError(f"{path} cannot be read as Parquet: remove it, and the ECGs are measured again") from error
    if (table.schema.metadata or {}).get(VERSION) != version.encode():
        return {}
    return dict(zip(table["study"].to_pylist(), map(json.loads, table["features"].to_pylist()), strict=True))


def _keep(path: Path, known: Mapping[str, Row], version: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"study": list(known), "features": [json.dumps(row) for row in known.values()]}
    table = pa.table(columns, pa.schema([("study", pa.string()), ("features", pa.string())]))
    with replacing(path) as part:
        pq.write_table(table.replace_schema_metadata({VERSION: version.encode()}), part)
