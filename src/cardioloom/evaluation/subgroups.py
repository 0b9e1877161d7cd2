"""The same metrics in parts of the patients: by sex, age, site, device; and centre by centre."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import UsageError
from cardioloom.evaluation.assess_numbers import METRICS, metric_of
from cardioloom.evaluation.bootstrap_labels import label_table
from cardioloom.evaluation.estimate import Estimate
from cardioloom.evaluation.groups import ages, ordered
from cardioloom.evaluation.judged import Bootstrap, Judged
from cardioloom.records.cohort import Cohort

ALWAYS = ("sex", "age")
WHERE_THERE = ("site", "source", "device")  # columns that are asked for by themselves
CENTRES = ("site", "source", "centre", "hospital")
MAX_GROUPS = 60
METRIC = {"multi_label": "auroc", "regression": "mae"}  # of a subgroup: R² would change with its spread alone


def groups_of(cohort: Cohort, by: tuple[str, ...], centre: str | None) -> dict[str, NDArray[np.object_]]:
    """Column → (study,) the group of each study in words, None = not known.

    Args:
        cohort: of the studies.
        by: columns that are asked for, beside sex and age and those of `WHERE_THERE`.
        centre: the column of centres.

    Raises:
        UsageError: if a column is not there, or one of numbers that are no groups, or has too many different texts.
    """
    there = [name for name in (*ALWAYS, *WHERE_THERE) if name in cohort.columns]
    there = [name for name in there if name == "age" or cohort.column(name).dtype == object]
    asked = [*there, *by, *([centre] if centre else [])]
    found = {name: _words(cohort, name, is_asked=name in by or name == centre) for name in dict.fromkeys(asked)}
    return {name: words for name, words in found.items() if words is not None}


def _words(cohort: Cohort, name: str, *, is_asked: bool) -> NDArray[np.object_] | None:
    if name not in cohort.columns:
        raise UsageError(f"the cohort has no column {name!r} for subgroups: name one of {', '.join(cohort.columns)}")
    values = cohort.column(name)
    if name == "age":
        return ages(values.astype(np.float64))
    words = values
    if values.dtype != object:
        numbers = values.astype(np.float64)
        if not np.isin(numbers[~np.isnan(numbers)], (0.0, 1.0)).all():
            raise UsageError(f"{name} holds numbers, subgroups are by a text or by 0 and 1: name another column")
        words = np.array([None if value != value else f"{value:.0f}" for value in numbers.tolist()], object)
    n = len({word for word in words.tolist() if word is not None})
    if n > MAX_GROUPS:
        if is_asked:
            raise UsageError(f"{name} has {n} different values, subgroups may be {MAX_GROUPS}: name another column")
        return None
    return words


def default_centre(cohort: Cohort) -> str | None:
    """The first of `CENTRES` that is a text column with two or more centres."""
    for name in CENTRES:
        if name in cohort.columns and (values := cohort.column(name)).dtype == object:
            n = len({value for value in values.tolist() if value is not None})
            if 2 <= n <= MAX_GROUPS:
                return name
    return None


def by_group(
    judged: Judged, drawn: Bootstrap, *, tick: Callable[[str, int, int], None] | None = None
) -> dict[str, dict[str, dict[str, Any]]]:
    """Column → group → output → AUROC, or mean absolute error of a number, each with its interval or a reason."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for done, (column, words) in enumerate(judged.groups.items()):
        if tick:
            tick("judging subgroups", done, len(judged.groups))
        names = ordered(column, words)
        found[column] = {name: _metrics(judged.take(words == name), drawn)[0] for name in names}
    return found


def _metrics(part: Judged, drawn: Bootstrap) -> tuple[dict[str, Any], dict[str, Any]]:
    """Output → metric, and the macro average of a multi-label model."""
    if part.kind == "multi_label":
        rows = label_table(
            part.truth,
            part.score,
            part.patients,
            labels=part.codes,
            metrics=("auroc",),
            draws=drawn.draws,
            seed=drawn.seed,
        )
        return {row["label"]: row["auroc"] for row in rows[:-1]}, rows[-1]["auroc"]
    found = {}
    for at, code in enumerate(part.codes):
        known = ~np.isnan(part.truth[:, at])
        if not known.any():
            reason = f"{code} was measured in no study of this group: add some"
            found[code] = Estimate(None, reason=reason).to_json()
            continue
        columns = part.truth[known, at], part.score[known, at], part.patients[known]
        found[code] = metric_of(METRICS["mae"], *columns, drawn)
    return found, {}


def centres(judged: Judged, column: str | None, drawn: Bootstrap) -> dict[str, Any]:
    """One row a centre: studies, patients, macro AUROC, and each output's metric.

    Args:
        judged: predictions, truth and groups.
        column: of ``judged.groups``; None = there is none.
        drawn: how intervals are drawn.
    """
    if column is None:
        why = f"the cohort has no column {', '.join(CENTRES[:-1])} or {CENTRES[-1]} with two or more centres"
        return {"column": None, "rows": {}, "not_made": f"{why}: name one with --centre"}
    words = judged.groups[column]
    rows = {}
    for name in ordered(column, words):
        part = judged.take(words == name)
        metrics, macro = _metrics(part, drawn)
        own: dict[str, Any] = {"studies": len(part), "patients": part.n_patients}
        rows[name] = own | ({"macro_auroc": macro} if macro else {}) | metrics
    return {"column": column, "rows": rows}
