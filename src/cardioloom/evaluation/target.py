"""What is to be predicted of a study, read from the columns of its cohort."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import RecordError, UsageError
from cardioloom.records.cohort import Cohort, Column

Number = TypeVar("Number", float, NDArray[np.float64])
MAX_WORDS = 12  # of a column, in a message
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "<=": np.less_equal,
    ">=": np.greater_equal,
    "!=": np.not_equal,
    "<": np.less,
    ">": np.greater,
    "=": np.equal,
}
_FORM = re.compile(r"^(?:(?P<code>[^:]+):)?(?P<left>[^<>=!:]+?)(?:(?P<sign><=|>=|!=|<|>|=)(?P<value>.+))?$")
_MINUS = re.compile(r"\s+-\s+")  # with spaces round it: a name may hold a minus sign
_EXAMPLES = "NAME:COLUMN, NAME:COLUMN*FACTOR, NAME:COLUMN - COLUMN or NAME:COLUMN<=VALUE (also >= < > = !=)"


@dataclass(frozen=True)
class Target:
    """One thing to predict.

    Args:
        code: by which tables and models call it.
        column: of the cohort.
        sign: "<=", ">=", "<", ">", "=", "!=", or "" = the number as it is.
        value: that the number, or the word of the column, is compared with.
        factor: that the column is multiplied with.
        minus: the column that is subtracted, "" = none.
    """

    code: str
    column: str
    sign: str = ""
    value: str = ""
    factor: float = 1.0
    minus: str = ""

    @classmethod
    def of(cls, text: str) -> Target:
        """ "AF:rhythm=AF", "lvef40:lv_ef<=0.4", "LVEF:lv_ef*100", "RVSV:rv_edv_ml - rv_esv_ml", "y_AF", "age".

        Raises:
            UsageError: if it cannot be read so.
        """
        if not (found := _FORM.match(text.strip())) or not found["left"].strip():
            raise UsageError(f"a target is written {_EXAMPLES}, got {text!r}")
        column, minus, factor = _left(found["left"].strip())
        sign, value = found["sign"] or "", (found["value"] or "").strip()
        made = cls("", column, sign, value, factor, minus)
        return replace(made, code=(found["code"] or made.text).strip())

    @property
    def names(self) -> tuple[str, ...]:
        """The column, or the two of a difference."""
        return (self.column, self.minus) if self.minus else (self.column,)

    @property
    def left(self) -> str:
        """What is compared, or the number itself: "lv_ef*100", "rv_edv_ml - rv_esv_ml"."""
        times = f"*{repr(self.factor).removesuffix('.0')}" if self.factor != 1 else ""
        return " - ".join(self.names) + times

    @property
    def text(self) -> str:
        """All but the code."""
        return f"{self.left}{self.sign}{self.value}"

    def __str__(self) -> str:
        return f"{self.code}:{self.text}"

    def columns(self, cohort: Cohort) -> tuple[str, ...]:
        """The columns that it is made of, whether the cohort has them or not.

        A column that is itself called "a - b" or "a*2" is that column.
        """
        return (self.left,) if self.left in cohort.columns else self.names

    def is_in(self, cohort: Cohort) -> bool:
        """Whether the cohort has its columns."""
        return all(name in cohort.columns for name in self.columns(cohort))

    def values(self, cohort: Cohort) -> NDArray[np.float64]:
        """(study,) the truth: 1 and 0 for a comparison, else numbers; NaN = not known.

        Raises:
            RecordError: if there is no such column.
            UsageError: if a text column is not compared with a text, or a number with no number, or text is reckoned
                with.
        """
        names = self.columns(cohort)
        columns = {name: self._column(cohort, name) for name in names}
        is_plain = names == (self.left,)
        if is_plain and columns[self.left].dtype == object:
            return self._of_words(columns[self.left])
        for name, column in columns.items():
            if column.dtype == object:
                raise UsageError(f"{self} reckons with {name}, which is a column of words: name a column of numbers")
        columns = {name: column.astype(np.float64) for name, column in columns.items()}
        numbers = columns[self.left] if is_plain else self.reckoned(columns)
        if not self.sign:
            return numbers
        try:
            limit = float(self.value)
        except ValueError:
            limit = np.nan
        if not np.isfinite(limit):
            raise UsageError(f"{self.left} is a column of numbers: compare it with a number, got {self.value!r}")
        return _compared(self.sign, numbers, limit, np.isnan(numbers))

    def reckoned(self, values: Mapping[str, Number]) -> Number:
        """The number that is compared, or that is the truth.

        Args:
            values: column → its value of one study, or (study,) of many, for all of `names`.
        """
        first = values[self.column]
        return (first - values[self.minus] if self.minus else first) * self.factor

    def _column(self, cohort: Cohort, name: str) -> Column:
        parts = tuple(part.strip() for part in name.split("-"))
        if name not in cohort.columns and len(parts) == 2 and all(part in cohort.columns for part in parts):
            raise RecordError(f"this cohort has no column {name}: a difference has spaces, write {' - '.join(parts)}")
        return cohort.column(name)

    def _of_words(self, column: Column) -> NDArray[np.float64]:
        known = sorted({str(value) for value in column if value is not None})
        if self.sign not in ("=", "!=") or self.value not in known:
            some = ", ".join(known[:MAX_WORDS]) + (" …" if len(known) > MAX_WORDS else "")
            raise UsageError(f"{self.left} is one of {some}: write {self.code}:{self.left}=WORD, got {self}")
        return _compared(self.sign, column.astype(str), self.value, np.array([value is None for value in column]))


def _compared(sign: str, values: NDArray[Any], limit: Any, missing: NDArray[np.bool_]) -> NDArray[np.float64]:
    found = _COMPARE[sign](values, limit).astype(np.float64)
    found[missing] = np.nan
    return found


def _left(text: str) -> tuple[str, str, float]:
    """Column, the column that is subtracted ("" = none), factor.

    Raises:
        UsageError: if the factor is 0 or not finite, or there are a difference and a factor.
    """
    column, star, times = (part.strip() for part in text.rpartition("*"))
    try:
        factor = float(times) if star and column else 1.0
    except ValueError:  # a name may hold an asterisk
        factor, column = 1.0, text
    else:
        column = column if star and column else text
    if not np.isfinite(factor) or factor == 0:
        raise UsageError(f"the factor of a target must be a number other than 0, got {text!r}: for example lv_ef*100")
    parts = _MINUS.split(column)
    if len(parts) != 2:
        return column, "", factor
    if factor != 1:
        raise UsageError(
            f"a target is a difference or has a factor, got both in {text!r}: bring the columns to one unit"
        )
    return parts[0], parts[1], factor


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
