"""What `train` shows: a bar and the last values on a terminal, the result in a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

if TYPE_CHECKING:
    from cardioloom.api.training import Trained, Watch

COLUMNS = ("step", "epoch", "loss", "lr", "gradient", "waited")


def show_training(train: Callable[[Watch], Trained]) -> int:
    """Train under a live table, then say where the model lies."""
    console = Console()
    last: dict[str, Any] = {}
    validations: list[Mapping[str, Any]] = []

    def told(line: Mapping[str, Any]) -> None:
        if "validation" in line:
            validations.append(line)
        else:
            last.update(line)
        if live.is_started:
            live.update(_table(last, validations))

    with Live(console=console, auto_refresh=console.is_terminal, refresh_per_second=4, transient=True) as live:
        if not console.is_terminal:
            live.stop()
        trained = train(told)
    if not trained.is_main:
        return 0
    best = trained.said.get("best")
    which = trained.said.get("watched", "value")
    step = trained.said.get("best_step")
    how = f", best validation {which} {best:.4g}" + (f" after step {step}" if step else "") if best is not None else ""
    waited = f"the net waited for batches {trained.said['waited']:.1%} of the time"
    console.print(f"trained {trained.said['steps']} steps{how}; {waited}", highlight=False)
    if left_out := trained.said.get("left_out"):
        console.print(f"{left_out} studies of the training split lack an ECG or a cine: they were no pairs")
    for line in _noted(trained.said):
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    console.print(f"wrote {trained.model or trained.run}", highlight=False, soft_wrap=True, markup=False)
    return 0


def _noted(said: Mapping[str, Any]) -> Iterator[str]:
    """What of the cohort, or of the runs that a training begins with, was not used."""
    if flat := said.get("flat"):
        has = "study has" if len(flat) == 1 else "studies have"
        yield f"{len(flat)} {has} a cine of one value only ({flat[0]}): counted as without a cine"
    for run, other in said.get("not_taken", {}).items():
        yield f"the pairs were trained anew: those of {run} have another {', '.join(other)}"


def _table(last: Mapping[str, Any], validations: list[Mapping[str, Any]]) -> Table:
    names = list(dict.fromkeys(name for line in validations for name in line["validation"]))
    table = Table(title="training", title_justify="left")
    for name in ("", *COLUMNS, *(f"val. {name}" for name in names)):
        table.add_column(name, justify="right")
    for line in validations[-5:]:
        values = [_number(line["validation"].get(name)) for name in names]
        table.add_row("best" if line["best"] else "", str(line["step"]), *[""] * (len(COLUMNS) - 1), *values)
    table.add_row("now", *(_number(last.get(name)) for name in COLUMNS), *[""] * len(names))
    return table


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.4g}"
