"""What `evaluate` shows: a bar, then the metrics with their intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cardioloom.app.show import progress_bar

if TYPE_CHECKING:
    from cardioloom.api.evaluating import Evaluated, Progress

WIDTH = 13  # of "(0.834–0.964)", which is not to be cut on a narrow terminal
MAX_ROWS = 30  # outputs in the table of a terminal; all are on the page
LABEL = {"auroc": "AUROC", "auprc": "AUPRC", "sensitivity": "sensitivity", "specificity": "specificity"}
NUMBER = {"mae": "mean abs. error", "rmse": "RMSE", "r2": "R²", "r": "r"}
BASELINES = {"age_sex": "age + sex", "measure": "measurements + trees", "random_encoder": "random encoder"}


def show_evaluation(evaluate: Callable[[Progress], Evaluated]) -> int:
    """Evaluate under a bar, then say what was found and what was not estimable."""
    with progress_bar() as bar:
        row = bar.add_task("evaluating", total=None)
        found = evaluate(lambda what, done, total: bar.update(row, description=what, completed=done, total=total))
    metrics, console = found.metrics, Console()
    for line in _heading(metrics):
        console.print(Text(line), soft_wrap=True)
    console.print(_outputs(metrics))
    if metrics["baselines"]:
        console.print(_baselines(metrics))
    for line in _endings(metrics):
        console.print(Text(line), soft_wrap=True)
    console.print(Text(f"wrote {found.out}"), soft_wrap=True)
    return 0


def _heading(metrics: Mapping[str, Any]) -> list[str]:
    model, cohort, seen = metrics["model"], metrics["cohort"], metrics["contamination"]
    n = f"{cohort['studies']} studies of {cohort['patients']} patients"
    lines = [f"{model['name']} (trained on {model['trained_on']}) on {cohort['source']}, split {cohort['split']}: {n}"]
    lines += [cohort["statement"]] if cohort["statement"] else []
    return [*lines, f"contamination: {seen['verdict']}: {seen['why']}"]


def _outputs(metrics: Mapping[str, Any]) -> Table:
    is_label = metrics["kind"] == "multi_label"
    columns, rows = (LABEL, metrics["labels"]) if is_label else (NUMBER, metrics["numbers"])
    table = Table(box=None)
    for title in ("output", "n", *(["events"] if is_label else [])):
        table.add_column(title, header_style="dim", justify="left" if title == "output" else "right")
    for title in columns.values():
        table.add_column(title, header_style="dim", justify="right", min_width=WIDTH)
    for code, row in list(rows.items())[:MAX_ROWS]:
        counts = [str(row["n"]), *([str(row["events"])] if is_label else [])]
        table.add_row(Text(_called(code, row)), *counts, *(Text(number(row[name])) for name in columns))
    if is_label:
        macro = [number(metrics["macro"][name]) if name in metrics["macro"] else "" for name in columns]
        table.add_row("macro", "", "", *macro)
    return table


def _called(code: str, row: Mapping[str, Any]) -> str:
    return f"{code} ({row['unit']})" if row.get("unit") else code


def number(estimate: Mapping[str, Any]) -> str:
    """ "0.91 (0.85–0.96)", "1 (no interval)", or "n. e." where these data do not give it."""
    if "value" not in estimate:
        return "n. e."
    text = _spelt(estimate["value"])
    if "interval" in estimate:
        low, high = (_spelt(end) for end in estimate["interval"])
        text += f" ({low} to {high})" if low.startswith("-") or high.startswith("-") else f" ({low}–{high})"
    elif "no_interval" in estimate:
        text += " (no interval)"
    return text.replace("-", "−")


def _spelt(value: float) -> str:
    """Three decimals, or three digits of what is larger than ten."""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.3g}"


def _baselines(metrics: Mapping[str, Any]) -> Table:
    """Macro AUROC, or the first number's mean absolute error, of each baseline, and what the model adds."""
    is_label = metrics["kind"] == "multi_label"
    table = Table(box=None)
    first = "macro AUROC" if is_label else f"mean abs. error of {next(iter(metrics['numbers']))}"
    for title in ("baseline", first, "model − baseline", "p"):
        table.add_column(title, header_style="dim")
    for name, own in metrics["baselines"].items():
        if "not_made" in own:
            table.add_row(BASELINES[name], Text(f"not made: {own['not_made']}"))
            continue
        if is_label:
            value, difference = own["macro"], own["macro_difference"]
        else:
            value, difference = (next(iter(own[key].values())) for key in ("labels", "difference"))
        p = difference.get("p")
        table.add_row(BASELINES[name], number(value), number(difference), "" if p is None else f"{p:.2g}")
    return table


def _endings(metrics: Mapping[str, Any]) -> list[str]:
    lines = []
    if "survival" in metrics:
        own = metrics["survival"]
        lines.append(
            f"survival: {own['output']} as risk of {own['event']}, {own['events']} events among {own['n']}: "
            f"Harrell's C {number(own['harrell_c'])}, Uno's C {number(own['uno_c'])}"
        )
    rows = metrics.get("labels") or metrics.get("numbers") or {}
    for row in rows.values():
        reasons = {estimate["not_estimable"] for estimate in row.values() if _is_reason(estimate)}
        lines += [f"not estimable: {reason}" for reason in sorted(reasons)[:1]]
    lines = lines[:MAX_ROWS]
    if "survival" in metrics:
        lines += [
            f"not estimable: {metrics['survival'][name]['not_estimable']}"
            for name in ("harrell_c",)
            if _is_reason(metrics["survival"][name])
        ]
    if excluded := metrics["excluded"]:
        lines.append(f"{len(excluded)} studies without an answer, the first because: {excluded[0]['reason']}")
    if without := metrics["outputs_without_truth"]:
        lines.append(f"{len(without)} outputs without a truth in this cohort: {', '.join(without[:8])}")
    return lines


def _is_reason(estimate: Any) -> bool:
    return isinstance(estimate, Mapping) and "not_estimable" in estimate
