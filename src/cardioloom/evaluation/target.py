"""What is to be predicted of a study, read from the columns of its cohort."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import UsageError
from cardioloom.records.cohort import Cohort

MAX_WORDS = 12  # of a column, in a message
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "<=": np.less_equal,
    ">=": np.greater_equal,
    "!=": np.not_equal,
    "<": np.less,
    ">": np.greater,
    "=": np.equal,
}
_FORM = re.compile(r"^(?:(?P<code>[^:]+):)?(?P<column>[^<>=!:]+?)(?:(?P<sign><=|>=|!=|<|>|=)(?P<value>.+))?$")


@dataclass(frozen=True)
class Target:
    """One thing to predict.

    Args:
        code: by which tables and models call it.
        column: of the cohort.
        sign: "<=", ">=", "<", ">", "=", "!=", or "" = the column as it is.
        value: that the column is compared with.
    """

    code: str
    column: str
    sign: str = ""
    value: str = ""

    @classmethod
    def of(cls, text: str) -> Target:
        """ "AF:rhythm=AF", "lvef40:lv_ef<=0.4", "y_AF", "age".

        Raises:
            UsageError: if it cannot be read so.
        """
        if not (found := _FORM.match(text.strip())):
            raise UsageError(f"a target is written NAME:COLUMN, or NAME:COLUMN<=VALUE (also >= < > = !=), got {text!r}")
        column, sign, value = found["column"].strip(), found["sign"] or "", (found["value"] or "").strip()
        return cls((found["code"] or (f"{column}{sign}{value}" if sign else column)).strip(), column, sign, value)

    def __str__(self) -> str:
        return f"{self.code}:{self.column}{self.sign}{self.value}"

    def values(self, cohort: Cohort) -> NDArray[np.float64]:
        """(study,) the truth: 1 and 0 for a comparison, else the column's numbers; NaN = not known.

        Raises:
            RecordError: if there is no such column.
            UsageError: if a text column is not compared with a text, or a number with no number.
        """
        column = cohort.column(self.column)
        if column.dtype == object:
            known = sorted({str(value) for value in column if value is not None})
            if self.sign not in ("=", "!=") or self.value not in known:
                some = ", ".join(known[:MAX_WORDS]) + (" …" if len(known) > MAX_WORDS else "")
                raise UsageError(f"{self.column} is one of {some}: write {self.code}:{self.column}=WORD, got {self}")
            missing = np.array([value is None for value in column])
            found = _COMPARE[self.sign](column.astype(str), self.value).astype(np.float64)
        else:
            numbers = column.astype(np.float64)
            missing = np.isnan(numbers)
            if not self.sign:
                return numbers
            try:
                limit = float(self.value)
            except ValueError:
                limit = np.nan
            if not np.isfinite(limit):
                raise UsageError(f"{self.column} is a column of numbers: compare it with a number, got {self.value!r}")
            found = _COMPARE[self.sign](numbers, limit).astype(np.float64)
        found[missing] = np.nan
        return found


def parse(text: str) -> tuple[Target, ...]:
    """Targets with commas between them.

    Raises:
        UsageError: if one cannot be read, or two have one code.
    """
    targets = tuple(Target.of(part) for part in text.split(",") if part.strip())
    codes = [target.code for target in targets]
    if not targets or len(set(codes)) != len(codes):
        raise UsageError(f"targets need names that differ, got {', '.join(codes) or 'none'}")
    return targets


def default(cohort: Cohort) -> tuple[Target, ...]:
    """The cohort's labels of 0 and 1, of which it has both; "y_AF" is called AF.

    Args:
        cohort: the studies of the training.

    Raises:
        UsageError: if it has none.
    """
    known = cohort.labels if cohort.binary is None else cohort.binary
    names = [name for name in known if _is_binary(values := cohort.column(name)) and {0.0, 1.0} <= {*values.tolist()}]
    if not names:
        raise UsageError("the cohort has no label of 0 and 1 with both: name targets, for example low_ef:lv_ef<=0.4")
    return tuple(Target(name.removeprefix("y_"), name) for name in names)


def truth(cohort: Cohort, targets: Sequence[Target]) -> NDArray[np.float64]:
    """(study, target), NaN = not known."""
    return np.stack([target.values(cohort) for target in targets], axis=1)


def kind_of(targets: Sequence[Target], values: NDArray[np.float64]) -> str:
    """ "binary" or "number".

    Args:
        targets: for the message.
        values: (study, target).

    Raises:
        UsageError: if some are of one kind and some of the other: a model has one.
    """
    kinds: Mapping[str, str] = {
        target.code: "binary" if _is_binary(values[:, n]) else "number" for n, target in enumerate(targets)
    }
    if len(set(kinds.values())) > 1:
        said = ", ".join(f"{code} is {kind}" for code, kind in kinds.items())
        raise UsageError(f"targets must be all 0 or 1, or all numbers ({said}): train two models, or compare (age>=65)")
    return next(iter(kinds.values()))


def _is_binary(values: NDArray[Any]) -> bool:
    if values.dtype == object:
        return False
    known = values[~np.isnan(values.astype(np.float64))]
    return bool(len(known)) and bool(np.isin(known, (0.0, 1.0)).all())
