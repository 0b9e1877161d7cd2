"""Which numbers are shown of an ECG's neighbours, and how they lie among those of the whole index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cardioloom.evaluation.phenotypes import Phenotype
    from cardioloom.evaluation.target import Target
    from cardioloom.records import Neighbour, Spread
    from cardioloom.store.index import Index

MAX_OTHERS = 8  # numbers that are shown of an index without phenotypes
MAX_SHARE = 1.5  # a column of fractions whose median is above is in %
SHARE, PERCENT = "share", "%"
UNITS = {"l_min": "l/min", "pg_ml": "pg/ml", "ng_l": "ng/l", "m2": "m²", "mmhg": "mmHg", "percent": "%"} | {
    unit: unit for unit in ("ml", "g", "mm", "cm", "kg", "ms", "bpm", "deg", "years")
}
SHORT = {"left ventricular": "LV", "right ventricular": "RV"}
BINS = 24
TAIL = 0.5  # % of the index at either side that the histogram may leave out


@dataclass(frozen=True)
class Number:
    """One that is shown.

    Args:
        target: its columns in the index, as they are; under the code of a phenotype, else "".
        unit: "share" from 0 to 1.
        title: of a phenotype, else "".
    """

    target: Target
    unit: str = ""
    title: str = ""

    @property
    def name(self) -> str:
        """Of the column, or "a - b"."""
        return self.target.left

    def of(self, row: Mapping[str, Any]) -> float | None:
        """Of one study; None where it is not known."""
        import math

        if any(row[name] is None for name in self.target.names):
            return None
        value = self.target.reckoned({name: float(row[name]) for name in self.target.names})
        return value if math.isfinite(value) else None


def numbers_of(index: Index) -> dict[Number, NDArray[Any]]:
    """The phenotypes that an index has, in the order of their list, else its first numbers; each with all known values.

    Raises:
        DamagedFileError: if they cannot be read.
    """
    import numpy as np

    from cardioloom.evaluation.target import Target

    there = [name for name, known in index.labels.items() if known.get("kind") == "number"]
    numbers = _phenotypes(there) or [Number(Target("", name), _unit(name)) for name in there[:MAX_OTHERS]]
    names = dict.fromkeys(name for own in numbers for name in own.target.names)
    columns = {name: index.column(name).astype(np.float64) for name in names}
    found = {}
    for own in numbers:
        values = own.target.reckoned(columns)
        values = values[np.isfinite(values)]
        if len(values):
            is_share = own.unit == PERCENT and np.median(values) <= MAX_SHARE
            found[replace(own, unit=SHARE) if is_share else own] = values
    return found


def _phenotypes(there: Sequence[str]) -> list[Number]:
    from cardioloom.evaluation.phenotypes import COLUMNS, TEN
    from cardioloom.evaluation.target import Target

    found = []
    for one in TEN:
        usual = [replace(Target.of(one.target), factor=1.0)]
        usual += [Target(one.code, column) for column, (code, _) in COLUMNS.items() if code == one.code]
        target = next((target for target in usual if all(name in there for name in target.names)), None)
        if target is not None:
            found.append(Number(target, one.unit, _title(one)))
    return found


def _title(one: Phenotype) -> str:
    title = one.name
    for long, short in SHORT.items():
        title = title.replace(long, short)
    return title[:1].upper() + title[1:]


def _unit(name: str) -> str:
    """What the name says: the columns of cohorts carry their unit at the end."""
    return next((unit for end, unit in UNITS.items() if name.endswith(f"_{end}")), "")


def spread(own: Number, whole: NDArray[Any], nearest: Sequence[Neighbour]) -> Spread | None:
    """The neighbours' values of one number; None where no neighbour has one.

    Args:
        own: the number.
        whole: (study,) its known values in the index.
        nearest: with its values among their facts.
    """
    import numpy as np

    from cardioloom.records import Spread

    values = [float(one.facts[own.name]) for one in nearest if own.name in one.facts]
    if not values:
        return None
    low, high = np.percentile(whole, (TAIL, 100 - TAIL))
    low, high = min(low, *values), max(high, *values)
    counts, _ = np.histogram(whole, BINS, (low, high))
    first, median, third = (float(q) for q in np.percentile(values, (25, 50, 75)))
    return Spread(
        name=own.name,
        unit=own.unit,
        values=tuple(values),
        median=median,
        quartiles=(first, third),
        n_index=len(whole),
        median_index=float(np.median(whole)),
        low=float(low),
        high=float(high),
        counts=tuple(counts.tolist()),
        code=own.target.code,
        title=own.title,
    )
