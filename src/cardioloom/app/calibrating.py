"""What `calibrate` prints: each output before and after, what stayed and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cardioloom.app.show import progress_bar

if TYPE_CHECKING:
    from cardioloom.api.calibrating import Calibrated, Progress
    from cardioloom.evaluation.site import Fitted

LABEL = {"threshold": "threshold", "slope": "slope", "intercept": "intercept"}
NUMBER = {"half_width": "± half width", "coverage": "coverage"}


def show_calibration(calibrate: Callable[[Progress], Calibrated]) -> int:
    """Calibrate under a bar, then say what changed."""
    with progress_bar() as bar:
        row = bar.add_task("calibrating", total=None)
        done = calibrate(lambda n, total: bar.update(row, completed=n, total=total))
    console = Console()
    if changed := [one for one in done.fitted if one.stays is None]:
        console.print(_table(changed))
    for one in done.fitted:
        if one.stays is not None:
            console.print(Text(f"{one.before.code} stays: {one.stays}"), soft_wrap=True)
    for why, n in done.abstained.items():
        console.print(Text(f"left out {n} ECGs: {why}"), soft_wrap=True)
    console.print(Text(f"card of {done.name}: {done.note}"), soft_wrap=True)
    console.print(Text(f"wrote {done.model}"), soft_wrap=True)
    return 0


def _table(changed: list[Fitted]) -> Table:
    is_label = changed[0].events is not None
    names = LABEL if is_label else NUMBER
    table = Table(box=None)
    for title in ("output", "n", *(["events"] if is_label else []), *names.values()):
        table.add_column(title, header_style="dim", justify="left" if title == "output" else "right")
    for one in changed:
        events = [str(one.events)] if is_label else []
        cells = [_change(getattr(one.before, name), getattr(one.after, name)) for name in names]
        table.add_row(Text(one.before.code), str(one.n), *events, *cells)
    return table


def _change(before: float | None, after: float) -> str:
    return f"{'none' if before is None else f'{before:.3g}'} → {after:.3g}".replace("-", "−")
