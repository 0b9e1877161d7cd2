"""The Parquet file of `embed` as an index: which of its studies have embeddings like this one.

Below `EXACT_ROWS` rows every row is compared. Above, usearch's graph finds them (approximately); see `graph`. The file
may come from anybody: what it says of itself is checked when it is opened (`index_facts`), what it holds when it is
read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import DamagedFileError, LimitError, UsageError
from cardioloom.store.coarse import Copy
from cardioloom.store.index_facts import MAKE_ONE, said_by
from cardioloom.store.manifest import need_pyarrow, read_columns
from cardioloom.store.nearest import nearest, unit

EXACT_ROWS = 1_000_000
SPARE = 8  # how many more the graph is asked for than are wanted, of which the best by cosine are kept
BATCH = 1024  # rows that are read at once: a row group of `embed`
AGAIN = "copy it again, or embed again"


def _log(sentence: str) -> None:
    import logging

    logging.getLogger("cardioloom").warning("%s", sentence)


@dataclass(frozen=True, eq=False)
class Index:
    """A file of embeddings. Get one with `open`.

    Args:
        path: of the Parquet file.
        facts: its metadata, without the prefix: ``model``, ``model_sha256``, ``modality``, ``trained_on``; of a
            cohort also ``made_of``, ``simulated`` and ``labels``.
        labels: name → what is known of it (``kind``), of the columns that are labels of the cohort.
        names: of its columns.
        n_rows: studies.
        width: features.
        cache: a folder to keep what is built for very many studies; None = it is not kept.
        tell: is called with a sentence where work takes long, or is done again.
    """

    path: Path
    facts: Mapping[str, str]
    labels: Mapping[str, Mapping[str, Any]]
    names: tuple[str, ...]
    n_rows: int
    width: int
    cache: Path | None = None
    tell: Callable[[str], object] = _log
    _copy: Copy = field(default_factory=Copy, init=False, repr=False)  # of the unit vectors in 8 bits, once it pays

    @classmethod
    def open(cls, path: str | Path, *, cache: Path | None = None, tell: Callable[[str], object] = _log) -> Index:
        """The index in a file; embeddings are not read yet.

        Raises:
            UsageError: if it is no file that `embed` wrote, an empty one, or one whose columns or metadata are of
                other kinds.
            MissingExtraError: if pyarrow is absent.
        """
        need_pyarrow()
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = Path(path)
        if not path.is_file():
            what = "is a folder, no index" if path.is_dir() else "does not exist"
            raise UsageError(f"the index {path} {what}: {MAKE_ONE}")
        try:
            with pq.ParquetFile(path, memory_map=False) as file:
                schema, n_rows, names = file.schema_arrow, file.metadata.num_rows, tuple(file.schema_arrow.names)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} cannot be read as Parquet, so it is no index: {MAKE_ONE}") from error
        facts, labels, width = said_by(path, schema)
        if not n_rows:
            raise UsageError(f"{path} holds no study: embed some")
        return cls(path, facts, labels, names, n_rows, width, cache, tell)

    def __len__(self) -> int:
        return self.n_rows

    @property
    def is_exact(self) -> bool:
        """Whether every row is compared."""
        return self.n_rows < EXACT_ROWS

    @property
    def is_simulated(self) -> bool:
        """Whether its patients are simulated ones."""
        return self.facts.get("simulated") == "true"

    @cached_property
    def made_of(self) -> str:
        """Of whom it is, as in "200 simulated patients (phantom/1, population hospital)"."""
        if self._n_patients and (whom := self.facts.get("made_of")):
            return f"{self._n_patients:,} {whom}"
        return f"{self.n_rows:,} {'ECG' if self.n_rows == 1 else 'ECGs'} of patients that the index does not name"

    def column(self, name: str) -> NDArray[Any]:
        """(row,) the values of one column: numbers, NaN = missing, or texts, None = missing.

        Raises:
            DamagedFileError: if it cannot be read.
        """
        with self._read():
            values = read_columns(self.path, [name], advice=AGAIN)[name]
            if len(values) != self.n_rows:
                raise DamagedFileError(f"{self.path} has {len(values)} of {self.n_rows} values of {name}: {AGAIN}")
            return values

    def rows(self, places: Sequence[int], names: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Column → value of some rows, in this order; None = missing.

        Args:
            places: rows.
            names: of columns; all but the embeddings, if not given.

        Raises:
            DamagedFileError: if they cannot be read, or have no study_id.
        """
        import pyarrow.parquet as pq

        names = [name for name in self.names if name != "embedding"] if names is None else [*names]
        found: dict[int, dict[str, Any]] = {}
        with self._read(), pq.ParquetFile(self.path, memory_map=False) as file:
            sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
            ends = np.cumsum(sizes)
            groups = np.searchsorted(ends, places, side="right")
            for group in np.unique(groups).tolist():
                table = file.read_row_group(group, columns=names)
                for place in np.asarray(places)[groups == group].tolist():
                    found[place] = table.slice(place - ends[group] + sizes[group], 1).to_pylist()[0]
        if any("study_id" in row and row["study_id"] is None for row in found.values()):
            raise DamagedFileError(f"{self.path} has studies without a study_id: {AGAIN}")
        return [found[place] for place in places]

    def studies_of(self, patient: str) -> int:
        """How many studies are a patient's."""
        return len(self._rows_of(patient))

    @property
    def names_patients(self) -> bool:
        """Whether it says of any study whose it is."""
        return bool(self._n_patients)

    def load(self) -> None:
        """Read the embeddings now, not with the first query.

        Raises:
            DamagedFileError: if they cannot be read, or have no direction.
            LimitError: if there is not so much memory.
            MissingExtraError: if there are so many rows that usearch is needed, and it is not installed.
        """
        _ = self._units if self.is_exact else self._graph

    @contextmanager
    def _read(self) -> Iterator[None]:
        """Around what reads the file."""
        import pyarrow as pa

        try:
            yield
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise DamagedFileError(f"{self.path} cannot be read as Parquet: {AGAIN}") from error

    def nearest(
        self, queries: NDArray[Any], k: int, *, exclude: Sequence[str | None] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The studies of largest cosine for each query, best first; of equal ones the earlier row first.

        Args:
            queries: (query, width) embeddings of the same model, of any length but zero.
            k: how many.
            exclude: (query,) a patient whose own studies are not to be found for it, or None.

        Returns:
            (query, k) rows and (query, k) cosines.

        Raises:
            UsageError: if the index has not so many studies of others, or a query is no vector of its width.
            DamagedFileError: if embeddings cannot be read, or have no direction.
            MissingExtraError: if there are so many rows that usearch is needed, and it is not installed.
        """
        queries = np.asarray(queries)
        if queries.ndim != 2 or queries.shape[1] != self.width:
            raise UsageError(f"{self.path} holds vectors of {self.width}, got {queries.shape}: embed with its model")
        own, good = unit(queries)
        if not good.all():
            raise UsageError(f"{(~good).sum()} of {len(own)} embeddings are zero or not finite: leave them out")
        pairs, most = self._without(exclude)
        if not 1 <= k <= self.n_rows - most:
            others = f", {most} of them the patient's own" if most else ""
            raise UsageError(
                f"k must be from 1 to {self.n_rows - most}, got {k}: {self.path} has {self.n_rows} studies{others}"
            )
        if not self.is_exact:
            return self._by_graph(own, k, pairs, most)
        return nearest(self._units, own, k, pairs, self._copy.of(self._units, len(own), k))

    def _without(self, exclude: Sequence[str | None] | None) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64]], int]:
        """Queries and rows that are of one patient, and of how many rows a query is deprived at most."""
        queries, rows = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for query, patient in enumerate(exclude or ()):
            if patient is not None:
                rows.append(self._rows_of(patient))
                queries.append(np.full(len(rows[-1]), query))
        return (np.concatenate(queries), np.concatenate(rows)), max(map(len, rows))

    @property
    def _n_patients(self) -> int:
        """How many it names."""
        return len(self._patients[0].keys() - {None})

    def _rows_of(self, patient: str) -> NDArray[np.int64]:
        """(study,) the rows of a patient, ascending."""
        numbers, rows, ends = self._patients
        n = numbers.get(patient)
        return rows[:0] if n is None else rows[ends[n] : ends[n + 1]]

    @cached_property
    def _patients(self) -> tuple[dict[str | None, int], NDArray[np.int64], NDArray[np.int64]]:
        """Patient (None: not named) → number; (row,) rows, patient by patient; (patient + 1,) where each ends."""
        numbers: dict[str | None, int] = {}
        whose = [numbers.setdefault(patient, len(numbers)) for patient in self.column("patient_id").tolist()]
        codes = np.array(whose, np.int64)
        return numbers, np.argsort(codes, kind="stable"), np.append(0, np.cumsum(np.bincount(codes)))

    @cached_property
    def _units(self) -> NDArray[np.float32]:
        """(row, width) unit vectors."""
        try:
            vectors = np.empty((self.n_rows, self.width), np.float32)
        except (MemoryError, ValueError) as error:
            raise LimitError(
                f"{self.path} holds {self.n_rows} vectors of {self.width}, more than there is memory: use a smaller one"
            ) from error
        at = 0
        for part in self._parts():
            vectors[at : at + len(part)] = part
            at += len(part)
        return vectors

    def _parts(self) -> Iterator[NDArray[np.float32]]:
        """Some rows' unit vectors after the other, as they lie in the file; as many as it says it has."""
        import pyarrow.parquet as pq

        n_read = 0
        with self._read(), pq.ParquetFile(self.path, memory_map=False) as file:
            for batch in file.iter_batches(BATCH, columns=["embedding"]):
                column, n = batch.column(0), len(batch)
                if column.null_count:
                    raise DamagedFileError(f"{self.path} has studies without an embedding: {AGAIN}")
                if (n_read := n_read + n) > self.n_rows:
                    break
                flat = column.flatten().to_numpy(zero_copy_only=False)
                vectors, good = unit(flat.reshape(n, self.width))
                if not good.all():
                    raise DamagedFileError(f"{(~good).sum()} embeddings in {self.path} are zero or not finite: {AGAIN}")
                yield vectors
        if n_read != self.n_rows:
            raise DamagedFileError(f"{self.path} has not the {self.n_rows} embeddings that it declares: {AGAIN}")

    def _by_graph(
        self, queries: NDArray[np.float32], k: int, pairs: tuple[NDArray[np.int64], NDArray[np.int64]], most: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """What usearch finds, with exact cosines."""
        found = np.atleast_2d(self._graph.search(queries, min(k + most + SPARE, self.n_rows)).keys).astype(np.int64)
        rows, cosines = np.empty((len(queries), k), np.int64), np.empty((len(queries), k))
        for query, own in enumerate(found):
            own = own[~np.isin(own, pairs[1][pairs[0] == query])]
            exact = np.asarray(self._graph.get(own), np.float64) @ queries[query].astype(np.float64)
            best = np.lexsort((own, -exact))[:k]
            rows[query], cosines[query] = own[best], exact[best]
        return rows, cosines

    @cached_property
    def _graph(self) -> Any:
        from cardioloom.store.graph import graph_of

        return graph_of(self.path, self._parts, (self.n_rows, self.width), self.cache, self.tell)
