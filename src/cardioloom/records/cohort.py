"""A cohort: a lazy table of studies. Nothing is read before a study is asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cardioloom.errors import RecordError

NEEDED = ("study_id", "patient_id")
PLACES = ("shard", "row")  # where a study lies says nothing of what it is
SPLIT = "split"
Column = NDArray[Any]  # (study,) numbers, NaN = missing; or texts, None = missing


@dataclass(frozen=True, eq=False)
class Cohort:
    """Studies, one row each.

    Args:
        columns: name → (study,) values; ``study_id`` (each once) and ``patient_id`` are needed, ``split`` (text, None
            = in none), ``age`` (years), ``sex`` ("M", "F"), ``date`` and labels as they are known.
        load: a row (name → value) → what is kept of that study: a `Study`, or its arrays.
        labels: the columns that are labels.
        binary: those of them that are 0 or 1; those with no other value where None.

    Raises:
        RecordError: if a column is absent, lengths differ, a study_id is there twice, or a patient is in two splits.
    """

    columns: Mapping[str, Column]
    load: Callable[[Mapping[str, Any]], Any]
    labels: tuple[str, ...] = ()
    binary: tuple[str, ...] | None = None
    _rows: NDArray[np.int64] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self._rows is not None:
            return  # a part of a cohort that was checked
        if missing := [name for name in (*NEEDED, *self.labels) if name not in self.columns]:
            raise RecordError(
                f"a cohort needs the columns {', '.join(missing)}, got {', '.join(self.columns)}: add them"
            )
        columns = {str(name): _column(name, values) for name, values in self.columns.items()}
        lengths = {name: len(values) for name, values in columns.items()}
        if len(set(lengths.values())) > 1:
            raise RecordError(f"all columns must have one value a study, got {lengths}")
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "labels", tuple(self.labels))
        object.__setattr__(self, "_rows", np.arange(len(columns["study_id"])))
        self._refuse_what_cannot_be()

    @classmethod
    def of(cls, table: Any, load: Callable[[Mapping[str, Any]], Any], labels: Sequence[str] = ()) -> Cohort:
        """From a pandas DataFrame or a pyarrow Table.

        Args:
            table: one row a study.
            load: a row (name → value) → what is kept of that study.
            labels: the columns that are labels.

        Raises:
            RecordError: if the table cannot be a cohort's.
        """
        names = list(getattr(table, "column_names", None) or table.columns)
        return cls({name: table[name].to_numpy() for name in names}, load, tuple(labels))

    def _refuse_what_cannot_be(self) -> None:
        for name in NEEDED:
            if any(_is_missing(value) for value in self.columns[name].tolist()):
                raise RecordError(f"each study needs a {name}, got a row without one: fill it in")
        studies, counts = np.unique(self.columns["study_id"].astype(str), return_counts=True)
        if (counts > 1).any():
            raise RecordError(f"each study_id must be there once, got {studies[counts > 1][0]} twice: rename one")
        if leaks := patients_in_two_splits(self.columns):
            n = counted(len(leaks), "patient is", "patients are")
            raise RecordError(f"{n} in more than one split ({_some(leaks)}): a split is by patient")

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Any:
        """What ``load`` gives for one study."""
        return self.load(self.row(index))

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))

    @property
    def rows(self) -> NDArray[np.int64]:
        """(study,) the rows of ``columns`` that are of this cohort."""
        assert self._rows is not None
        return self._rows

    def column(self, name: str) -> Column:
        """(study,) the values of one column.

        Raises:
            RecordError: if there is none of this name.
        """
        if name not in self.columns:
            raise RecordError(f"this cohort has the columns {', '.join(self.columns)}, not {name}")
        return self.columns[name][self.rows]

    def row(self, index: int) -> dict[str, Any]:
        """Name → value of one study; a missing value is None."""
        at = self.rows[index]
        return {name: _plain(values[at]) for name, values in self.columns.items()}

    def take(self, indices: ArrayLike) -> Cohort:
        """Some of the studies, by number or by a mask (study,), in the order given; the columns are shared."""
        return replace(self, _rows=self.rows[np.asarray(indices)])

    def split(self, name: str) -> Cohort:
        """The studies of the patients in one split. Splits are by patient: there is no other way to part a cohort.

        Raises:
            RecordError: if there is no such split.
        """
        if name not in self.splits:
            raise RecordError(f"this cohort has the splits {', '.join(self.splits) or 'none'}, not {name!r}")
        return self.take(self.column(SPLIT) == name)

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits, in the order in which they are met."""
        if SPLIT not in self.columns:
            return ()
        return tuple(dict.fromkeys(value for value in self.column(SPLIT) if value is not None))

    @property
    def n_patients(self) -> int:
        """Number of patients."""
        return len(set(self.column("patient_id").tolist()))

    def fingerprint(self) -> str:
        """SHA-256 over all values but the places of storage; the same for the same studies in any order."""
        order = np.argsort(self.column("study_id").astype(str), kind="stable")
        digest = hashlib.sha256()
        for name in sorted(set(self.columns) - set(PLACES)):
            values = self.column(name)[order]
            digest.update(f"\x1d{name}\x1d".encode())
            if values.dtype == object:
                digest.update("\x1e".join("\x00" if v is None else str(v) for v in values).encode())
            else:
                numbers = values.astype("<f8") + 0.0  # −0 and 0 are one
                digest.update(np.where(np.isnan(numbers), np.nan, numbers).tobytes())
        return digest.hexdigest()

    def table_1(self) -> list[dict[str, str]]:
        """Who is in it: one row a variable, with a column for all and one a split.

        Numbers as mean (SD), what is 0 or 1 as count (share of the known), texts as a row a value; ``missing`` counts.
        """
        groups = {"all": self} | {name: self.split(name) for name in self.splits}
        lines = [
            {"variable": "studies"} | {name: str(len(part)) for name, part in groups.items()},
            {"variable": "patients"} | {name: str(part.n_patients) for name, part in groups.items()},
        ]
        for name in ("age", "sex", *self.labels):
            if name in self.columns:
                is_binary = None if self.binary is None else name in self.binary
                lines += _described(name, {group: part.column(name) for group, part in groups.items()}, is_binary)
        return lines


def counted(n: int, one: str, more: str) -> str:
    """A number and its words, as in "1 patient is", "2 patients are"."""
    return f"{n} {one if n == 1 else more}"


def patients_in_two_splits(columns: Mapping[str, Column]) -> list[str]:
    """Patients that are in more than one split; an empty list where there are no splits."""
    if SPLIT not in columns:
        return []
    seen: dict[str, str] = {}
    leaks: dict[str, None] = {}
    for patient, split in zip(columns["patient_id"].astype(str), columns[SPLIT], strict=True):
        # A study in no split beside one in a split is a leak as well: whoever trains on "the rest" would meet it.
        if seen.setdefault(patient, split) != split:
            leaks[patient] = None
    return list(leaks)


def _column(name: str, values: ArrayLike) -> Column:
    """Numbers, or texts with None; a date becomes its ISO text."""
    column = np.asarray(values)
    if column.ndim != 1:
        raise RecordError(f"column {name} must have one value a study, got shape {column.shape}")
    if column.dtype.kind in "biuf":
        return column
    if column.dtype.kind == "M":
        column = np.datetime_as_string(column).astype(object)
    texts = [None if _is_missing(value) else value for value in column.tolist()]
    known = {type(value) for value in texts if value is not None}
    if known <= {int, float, bool} and known:
        return np.array([np.nan if value is None else value for value in texts], np.float64)
    if {int, float, bool} & known:
        raise RecordError(f"column {name} holds numbers and text: write one of both")
    return np.array([value if value is None or isinstance(value, str) else str(value) for value in texts], object)


def _is_missing(value: object) -> bool:
    """None, NaN, pandas' NA and NaT: what does not equal itself, or does not say whether it does."""
    return value is None or value != value or type(value).__name__ in ("NAType", "NaTType")


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and value != value else value


def _described(name: str, values: Mapping[str, Column], is_binary: bool | None) -> list[dict[str, str]]:
    """The rows of Table 1 for one column.

    Args:
        name: of the column.
        values: group → (study,).
        is_binary: whether numbers are 0 or 1; what they look like where None.
    """
    whole = values["all"]
    if whole.dtype == object:
        names = sorted({value for value in whole if value is not None})
        rows = [
            {"variable": f"{name} = {word}"}
            | {group: _share(part == word, len(part)) for group, part in values.items()}
            for word in names
        ]
        gone = {group: sum(value is None for value in part) for group, part in values.items()}
    else:
        numbers = {group: part.astype(np.float64) for group, part in values.items()}
        known = {group: part[~np.isnan(part)] for group, part in numbers.items()}
        if is_binary is None:
            is_binary = bool(len(known["all"])) and bool(np.isin(known["all"], (0.0, 1.0)).all())
        rows = [
            {"variable": name}
            | {group: _share(part == 1, len(part)) if is_binary else _mean(part) for group, part in known.items()}
        ]
        gone = {group: len(numbers[group]) - len(known[group]) for group in numbers}
    if any(gone.values()):
        rows.append({"variable": f"{name} missing"} | {group: str(count) for group, count in gone.items()})
    return rows


def _share(mask: NDArray[np.bool_], n: int) -> str:
    count = int(np.sum(mask))
    return f"{count} ({100 * count / n:.1f}%)" if n else "0"


def _mean(values: NDArray[np.float64]) -> str:
    if not len(values):
        return "–"
    return f"{values.mean():.4g} ({values.std(ddof=1) if len(values) > 1 else 0.0:.3g})".replace("-", "−")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
