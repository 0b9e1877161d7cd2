"""The ten phenotypes of cardiac function that PTACL predicts: what they are called, their units, their columns.

The limits are far wider than what is normal. The means of healthy adults (left ventricle: Kawel-Boehm et al. 2015,
doi:10.1186/s12968-015-0111-7; right: Hudsmith et al. 2005, doi:10.1080/10976640500295516) lie a factor of four or more
within them, ejection fractions apart, so that children and failing hearts have room; a wrong unit is a factor of a
hundred or more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import RecordError, UsageError
from cardioloom.evaluation.target import MAX_WORDS, Target
from cardioloom.records.cohort import Cohort

MOST_OUTSIDE = 0.05  # share of the studies that may lie outside the limits: slips happen, two units are no slip
THOUSAND, HUNDRED = (1e3, 1e-3), (1e2, 1e-2)  # by which units that are mistaken for each other differ
PERCENT = "%"


@dataclass(frozen=True)
class Phenotype:
    """One of them.

    Args:
        code: by which tables and models call it.
        name: in words.
        unit: of the values.
        target: where a cohort of this library holds it, as text.
        low, high: limits of what a heart can have, in the unit.
    """

    code: str
    name: str
    unit: str
    target: str
    low: float
    high: float

    @property
    def columns(self) -> tuple[str, ...]:
        """That a cohort needs for it."""
        return Target.of(self.target).names


TEN = (
    Phenotype("LVEDV", "left ventricular end-diastolic volume", "ml", "LVEDV:lv_edv_ml", 20, 800),
    Phenotype("LVESV", "left ventricular end-systolic volume", "ml", "LVESV:lv_esv_ml", 5, 700),
    Phenotype("LVSV", "left ventricular stroke volume", "ml", "LVSV:stroke_volume_ml", 10, 450),
    Phenotype("LVEF", "left ventricular ejection fraction", "%", "LVEF:lv_ef*100", 3, 95),
    Phenotype("LVCO", "cardiac output", "l/min", "LVCO:cardiac_output_l_min", 0.5, 40),
    Phenotype("LVM", "left ventricular mass", "g", "LVM:lv_mass_g", 15, 800),
    Phenotype("RVEDV", "right ventricular end-diastolic volume", "ml", "RVEDV:rv_edv_ml", 20, 800),
    Phenotype("RVESV", "right ventricular end-systolic volume", "ml", "RVESV:rv_esv_ml", 5, 700),
    Phenotype("RVSV", "right ventricular stroke volume", "ml", "RVSV:rv_edv_ml - rv_esv_ml", 10, 450),
    Phenotype("RVEF", "right ventricular ejection fraction", "%", "RVEF:rv_ef*100", 3, 95),
)
BY_CODE = {one.code: one for one in TEN}
# Column → what it holds by its name, and by what factor that comes to the unit of the phenotype.
COLUMNS = {own.column: (own.code, own.factor) for own in (Target.of(one.target) for one in TEN) if not own.minus}
COLUMNS |= {"lv_ef_percent": ("LVEF", 1.0), "rv_ef_percent": ("RVEF", 1.0)}


def targets_of(cohort: Cohort) -> tuple[Target, ...]:
    """Those of the ten whose columns the cohort has, in their order.

    Raises:
        RecordError: if it has none of them.
    """
    found = tuple(target for target in (Target.of(one.target) for one in TEN) if target.is_in(cohort))
    if not found:
        wanted = ", ".join(dict.fromkeys(name for one in TEN for name in one.columns))
        there = ", ".join([*cohort.columns][:MAX_WORDS]) + (" …" if len(cohort.columns) > MAX_WORDS else "")
        raise RecordError(
            f"the phenotypes need one or more of the columns {wanted}, got {there}: name targets, for example "
            "LVEF:COLUMN*100"
        )
    return found


def described(target: Target, typical: float) -> tuple[str, str]:
    """Name and unit of what a model is trained on: a phenotype's where the code is one's and its values can be, else
    the code and no unit.

    Args:
        target: what is predicted.
        typical: mean or median of its values.
    """
    own = BY_CODE.get(target.code)
    if own is None or target.sign or not own.low <= typical <= own.high:
        return target.code, ""
    return own.name, own.unit


def refuse_odd(targets: Sequence[Target], values: NDArray[np.float64]) -> None:
    """Raise where the numbers of a phenotype cannot be in its unit: EF as a share, volumes in litres, mass in kg.

    A target is of a phenotype by its code ("LVEF" is in %), else by its column ("lv_ef" is a share, "lv_ef_percent" is
    in %). Comparisons and other targets pass.

    Args:
        targets: what is predicted.
        values: (study, target), NaN = not known.

    Raises:
        UsageError: if the median, or more than one in twenty, of a phenotype lies outside its limits.
    """
    for target, column in zip(targets, values.T, strict=True):
        known = column[~np.isnan(column)]
        if target.sign or not len(known):
            continue
        if target.code in BY_CODE:
            of = BY_CODE[target.code]
            _refuse(of, target, known, (of.low, of.high), of.unit)
        elif not target.minus and target.column in COLUMNS:
            code, factor = COLUMNS[target.column]
            of = BY_CODE[code]
            unit = "(a share)" if of.unit == PERCENT and factor != 1 else of.unit
            plain = replace(target, code=code, factor=1.0)
            _refuse(of, plain, known / target.factor, (of.low / factor, of.high / factor), unit)


def refuse_other_unit(target: Target, unit: str, values: NDArray[np.float64]) -> None:
    """Raise where the truth of a model's output cannot be in the unit of the output.

    An output is a phenotype by its code, else by the column that holds its truth, and in that phenotype's unit: of an
    output in another unit, or in none, nothing is known. A comparison passes.

    Args:
        target: where the truth of the output is.
        unit: of the output.
        values: (study,) the truth, NaN = not known.

    Raises:
        UsageError: as `refuse_odd`.
    """
    by_column = "" if target.minus else COLUMNS.get(target.column, ("",))[0]
    of = BY_CODE.get(target.code) or BY_CODE.get(by_column)
    known = values[~np.isnan(values)]
    if of is not None and of.unit == unit and not target.sign and len(known):
        _refuse(of, target, known, (of.low, of.high), unit)


def _refuse(of: Phenotype, target: Target, values: NDArray[np.float64], limits: tuple[float, float], unit: str) -> None:
    low, high = limits
    median, must = float(np.median(values)), f"{target.left} must lie between {low:g} and {high:g} {unit} for {of.code}"
    if not low <= median <= high:
        raise UsageError(f"{must}, its median is {median:.6g}: {_advice(of, target, median)}")
    outside = int(((values < low) | (values > high)).sum())
    if outside > MOST_OUTSIDE * len(values):
        raise UsageError(
            f"{must}, {outside} of {len(values)} values do not (median {median:.6g}): bring all to one unit"
        )


def _advice(of: Phenotype, target: Target, median: float) -> str:
    """What to write, where the column is in another unit that is known."""
    powers = (1.0, *(HUNDRED if of.unit == PERCENT else THOUSAND))
    power = next((power for power in powers if of.low <= median * power <= of.high), None)
    if power is None or target.minus:
        return f"bring {' and '.join(target.names)} to {of.unit}"
    return f"if it is in another unit, write {replace(target, factor=float(f'{target.factor * power:.12g}'))}"
