"""The tables of an evaluation: metrics with intervals, calibration, baselines, centres, survival, Table 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from cardioloom.report.evaluation_words import (
    ABSENT,
    Cell,
    Notes,
    Table,
    count,
    estimate,
    listed,
    of_metrics,
    p_value,
    text,
)
from cardioloom.report.trend import round_ticks
from cardioloom.report.words import number

__all__ = [
    "listed",
    "of_baselines",
    "of_centres",
    "of_labels",
    "of_numbers",
    "of_survival",
    "p_of",
    "reliability",
    "summary",
    "table_1",
]

BASELINES = {
    "age_sex": "Age and sex",
    "measure": "ECG measurements, boosted trees",
    "random_encoder": "The same net with random weights",
}
DISCRIMINATION = (("n", "n"), ("events", "positive"), ("auroc", "AUROC"), ("auprc", "AUPRC"))
DECISIONS = (
    ("threshold", "threshold"),
    ("calibrated", "chosen on a cohort"),
    ("sensitivity", "sensitivity"),
    ("specificity", "specificity"),
    ("ppv", "PPV"),
    ("npv", "NPV"),
    ("f1", "F1"),
)
CALIBRATION = (
    ("slope", "slope"),
    ("intercept", "intercept"),
    ("in_the_large", "in the large"),
    ("ece", "ECE"),
    ("brier", "Brier"),
)
SETS = (
    ("promised", "promised"),
    ("coverage", "coverage"),
    ("positives", "of positives"),
    ("negatives", "of negatives"),
    ("one_answer", "one answer"),
    ("not_sure", "not sure"),
    ("empty", "empty"),
    ("fitted_on", "fitted on"),
)
NUMBERS = (
    ("n", "n"),
    ("unit", "unit"),
    ("r2", "R²"),
    ("r", "r"),
    ("mae", "MAE"),
    ("rmse", "RMSE"),
    ("bias", "bias"),
    ("lower_limit", "lower limit"),
    ("upper_limit", "upper limit"),
)

OVER_OUTPUTS = (("r2", "R²"), ("r", "r"), ("mae", "MAE"), ("mae_in_sd", "MAE / SD"))
INTERVALS = (
    "Output",
    "n",
    "promised",
    "found",
    "mean width",
    "unit",
    "width / SD",
    "below the promise in",
)


def summary(metrics: Mapping[str, Any]) -> list[Table]:
    """Averages over the labels or the numbers, and the Challenge's score."""
    rows = {name: metrics.get(name) or {} for name in ("macro", "micro")}
    found = []
    if metrics.get("mean"):
        row = {"mean": metrics["mean"]}
        found.append(of_metrics("Over all outputs", row, OVER_OUTPUTS, first="average", digits=None))
        found[-1] = replace(found[-1], notes=(*found[-1].notes, *(metrics["mean"].get("left_out") or {}).items()))
    if any(rows.values()):
        columns = (("auroc", "AUROC"), ("auprc", "AUPRC"))
        found.append(of_metrics("Over all labels", rows, columns, first="average"))
    if metrics.get("challenge_2021"):
        score = {"Challenge 2021": {"score": metrics["challenge_2021"]}}
        found.append(of_metrics("PhysioNet Challenge 2021", score, (("score", "score"),), first=""))
    return found


def of_labels(labels: Mapping[str, Mapping[str, Any]]) -> list[Table]:
    """Discrimination, decisions, calibration, prediction sets."""
    if not labels:
        return []
    lines = {code: own.get("calibration") or {} for code, own in labels.items()}
    sets = {code: own["sets"] for code, own in labels.items() if own.get("sets")}
    found = [
        of_metrics("Discrimination", labels, DISCRIMINATION),
        of_metrics("Decisions at the threshold", labels, DECISIONS),
        of_metrics("Calibration: perfect are slope 1, intercept 0, in the large 0, ECE 0", lines, CALIBRATION),
    ]
    if sets:
        # What was not made has one reason for all its cells.
        plain = {code: own if "not_made" not in own else {"coverage": own} for code, own in sets.items()}
        found.append(of_metrics("Prediction sets (conformal)", plain, SETS))
    return found


def of_numbers(numbers: Mapping[str, Mapping[str, Any]]) -> list[Table]:
    """Errors and agreement, intervals, their coverage by group."""
    if not numbers:
        return []
    found = [of_metrics("Errors and agreement, in the unit of each number", numbers, NUMBERS, digits=None)]
    notes, rows = Notes(), []
    for code, own in numbers.items():
        coverage = own.get("coverage") or {}
        short = listed(coverage.get("short_in") or (), 3) or "none"
        cells = (
            count((coverage.get("found") or {}).get("n")),
            Cell(f"{float(coverage.get('target', 0)):g}"),
            estimate(coverage.get("found"), notes, f"coverage of {code}"),
            _plain(coverage.get("mean_width")),
            text(own.get("unit") or ABSENT),
            _plain(coverage.get("width_in_sd")),
            text(short if coverage.get("by") else ABSENT),
        )
        rows.append((code, cells))
    found.append(Table("Intervals: coverage and mean width; SD of the truth", INTERVALS, tuple(rows), notes.all()))
    return found + _coverage_by_group({code: own.get("coverage") or {} for code, own in numbers.items()})


def _plain(value: Any) -> Cell:
    return Cell(ABSENT if value is None else number(float(value), None))


def _coverage_by_group(coverages: Mapping[str, Mapping[str, Any]]) -> list[Table]:
    """A row a group, a column an output: it is promised on average and may fail in a group."""
    codes = [code for code, own in coverages.items() if own.get("by")]
    groups = list(dict.fromkeys(name for code in codes for name in coverages[code]["by"]))
    notes, rows = Notes(), []
    for name in groups:
        cells = []
        for code in codes:
            found = coverages[code]["by"].get(name)
            cell = estimate(found, notes, f"coverage of {code}, {name}")
            n = f"n {int((found or {}).get('n', 0)):,}"
            cells.append(replace(cell, interval=", ".join(filter(None, (cell.interval, n)))))
        rows.append((name, tuple(cells)))
    return [Table("Coverage of the intervals by group", ("Group", *codes), tuple(rows), notes.all())] if rows else []


def reliability(code: str, own: Mapping[str, Any]) -> Table | None:
    """The bins of the reliability curve."""
    rows = own.get("reliability") or ()
    if not rows:
        return None
    columns = (("n", "n"), ("predicted", "predicted"), ("observed", "observed"))
    named = {f"{row['low']:.2g}–{row['high']:.2g}": row for row in rows}
    return of_metrics(f"Bins of {code}", named, columns, first="probability")


def of_centres(found: Mapping[str, Any], *, is_label: bool) -> tuple[Table | None, str]:
    """One row a centre; or why there is no table."""
    rows = found.get("rows") or {}
    if not rows:
        return None, str(found.get("not_made") or "")
    digits = 3 if is_label else None
    names = list(dict.fromkeys(key for row in rows.values() for key in row))
    headings = {"macro_auroc": "macro AUROC"}
    columns = [(str(name), headings.get(name, str(name))) for name in names]
    metric = "AUROC" if is_label else "mean absolute error"
    caption = f"{metric} by {found.get('column')}"
    return of_metrics(caption, rows, columns, first=str(found.get("column")), digits=digits), ""


def of_baselines(metrics: Mapping[str, Any]) -> list[tuple[str, str, Table | None]]:
    """(name, how it was made or why not, table) of each baseline."""
    is_label = metrics.get("kind") != "regression"
    key, outputs = ("auroc", metrics.get("labels")) if is_label else ("mae", metrics.get("numbers"))
    found: list[tuple[str, str, Table | None]] = []
    for name, own in (metrics.get("baselines") or {}).items():
        title = BASELINES.get(name, str(name))
        if "not_made" in own:
            found.append((title, f"Not made: {own['not_made']}", None))
            continue
        how = "; ".join(str(own[part]) for part in ("features", "fitted_on") if own.get(part))
        macro = own.get("macro_model") or (metrics.get("macro") or {}).get(key)
        found.append((title, f"Fitted on {how}." if how else "", _against(own, outputs or {}, key, macro)))
    return found


def _against(own: Mapping[str, Any], outputs: Mapping[str, Any], key: str, macro: Mapping[str, Any] | None) -> Table:
    """Model, baseline and their difference for each output, the average first."""
    digits = 3 if key == "auroc" else None
    parts = [(code, outputs.get(code, {}).get(key), found) for code, found in (own.get("labels") or {}).items()]
    differences = dict(own.get("difference") or {})
    if own.get("macro"):
        parts.insert(0, ("macro average", macro, own["macro"]))
        differences["macro average"] = own.get("macro_difference") or {}
    notes, rows = Notes(), []
    for name, ours, theirs in parts:
        difference = differences.get(name) or {}
        cells = (
            estimate(ours, notes, f"model, {name}", digits),
            estimate(theirs, notes, f"baseline, {name}", digits),
            estimate(difference, notes, f"difference, {name}", digits),
            Cell(p_value(difference.get("p"))),
            text(difference.get("method") or "–"),
        )
        rows.append((name, cells))
    metric = "AUROC" if key == "auroc" else "MAE"
    columns = ("Output", f"{metric} of the model", f"{metric} of the baseline", "model − baseline", "p", "test")
    return Table(f"{metric} on the same studies", columns, tuple(rows), notes.all())


def of_survival(found: Mapping[str, Any]) -> list[Table]:
    """C-indices, horizons, calibration at horizons, numbers at risk."""
    overall = {"all": found}
    columns = [("n", "n"), ("events", "events"), ("harrell_c", "Harrell's C"), ("uno_c", "Uno's C")]
    if found.get("integrated_brier"):
        columns.append(("integrated_brier", "integrated Brier"))
    made = [of_metrics("Order of events", overall, columns, first="")]
    horizons = found.get("horizons") or ()
    if horizons:
        rows = {_years(row["years"]): row for row in horizons}
        wanted = [("events_by_then", "events by then"), ("auroc", "time-dependent AUROC")]
        wanted += [("brier", "Brier")] if any("brier" in row for row in horizons) else []
        made.append(of_metrics("At horizons", rows, wanted, first="horizon"))
    for row in horizons:
        groups = row.get("calibration")
        name = f"Calibration at {_years(row['years'])}, groups by predicted risk"
        if isinstance(groups, Mapping):
            made.append(of_metrics(name, {"all": {"observed": groups}}, (("observed", "observed"),), first="group"))
        elif groups:
            of_groups = {str(group["group"] + 1): group for group in groups}
            wanted = [("n", "n"), ("predicted", "predicted"), ("observed", "observed")]
            made.append(of_metrics(name, of_groups, wanted, first="group"))
    if found.get("kaplan_meier"):
        made.append(_at_risk(found["kaplan_meier"]))
    return made


def _at_risk(curves: Mapping[str, Mapping[str, Any]]) -> Table:
    """Patients under observation at whole years."""
    end = max(curve["times"][-1] for curve in curves.values())
    years = round_ticks(0.0, end, 6)
    rows = []
    for name, curve in curves.items():
        pairs = list(zip(curve["times"], curve["at_risk"], strict=True))
        left = [next((n for time, n in pairs if time >= year), 0) for year in years]
        rows.append((f"{name} risk", tuple(count(n) for n in left)))
    return Table("Patients at risk", ("group", *(_years(year) for year in years)), tuple(rows))


def _years(value: float) -> str:
    return f"{value:g} year{'' if value == 1 else 's'}"


def p_of(found: Mapping[str, Any]) -> str:
    """p of a test in words."""
    return p_value(found.get("p"))


def table_1(rows: Sequence[Mapping[str, str]]) -> Table | None:
    """Who was judged."""
    if not rows:
        return None
    columns = [name for name in rows[0] if name != "variable"]
    made = tuple((str(row["variable"]), tuple(Cell(str(row.get(name, ""))) for name in columns)) for row in rows)
    return Table("Table 1: mean (SD), or count (share of the known)", ("Variable", *columns), made)
