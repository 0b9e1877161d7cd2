"""What `simulate` and `cohort` print."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cardioloom.app.complain import complain
from cardioloom.app.show import progress_bar
from cardioloom.errors import ReadError

if TYPE_CHECKING:
    from cardioloom.api.cohorts import Progress
    from cardioloom.store import Built
    from cardioloom.store.check import Checked


def show_built(task: str, build: Callable[[Progress], Built]) -> int:
    """Build under a bar, then say what there is; the exit code is 1 where something failed."""
    with progress_bar() as bar:
        row = bar.add_task(task, total=None)
        built = build(lambda done, total: bar.update(row, completed=done, total=total))
    for name, reason in built.failed:
        complain(ReadError(f"{name}: {reason}"), 1)
    console = Console()
    table = Table(box=None, show_header=False)
    for name in ("source", "statement", "generator", "population", "counts", "fingerprint"):
        if name in built.facts:
            table.add_row(Text(name, style="dim"), Text(_words(built.facts[name])))
    console.print(table)
    console.print(Text(f"wrote {built.folder}, {len(built.failed)} failed"), soft_wrap=True)
    return 1 if built.failed else 0


def show_checked(checked: Checked, page: Path | None = None) -> int:
    """Problems, notes and the page that was written; the exit code is 1 where there is a problem."""
    for problem in checked.problems:
        print(f"{problem.code}: {problem.text}", file=sys.stderr)
    console = Console()
    for note in checked.notes:
        console.print(Text(f"· {note}"), soft_wrap=True)
    n = len(checked.problems)
    console.print(Text(f"{n} problem{'s' * (n != 1)} found"))
    if page is not None:
        console.print(Text(f"wrote {page}"), soft_wrap=True)
    return 1 if n else 0


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {count}" for name, count in value.items())
    return str(value)
