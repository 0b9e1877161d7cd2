"""What the commands print."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from cardioloom.api.output import write_text
from cardioloom.api.reading import Item, files_of, options, read_each
from cardioloom.app.complain import complain
from cardioloom.errors import UsageError
from cardioloom.records import Report

STDOUT = Path("-")


def show_reports(paths: Sequence[Path], *, json: Path | None = None, html: Path | None = None, **said: Any) -> int:
    """Read, report and show; the exit code is 1 where something failed."""
    files = files_of(paths)
    to_stdout = json == STDOUT
    if to_stdout and len(files) > 1:
        raise UsageError(f"--json - takes one ECG, got {len(files)} files: give a folder to write to")
    if html == STDOUT:
        raise UsageError("--html takes a file name, got -: name the page to write")
    names = ("fs", "leads", "unit", "age", "sex")
    checked = options(files, *(said.get(name) for name in names), None if to_stdout else json, html)  # type: ignore[arg-type]
    quiet = to_stdout or len(files) > 1
    failed = 0
    with _progress(len(files)) as progress:
        task = progress.add_task("reading", total=len(files))
        for item in read_each(files, checked):
            failed += _show(item, progress.console, to_stdout=to_stdout, one_line=quiet)
            progress.advance(task)
    if len(files) > 1:
        print(f"{len(files) - failed} read, {failed} failed", file=sys.stderr)
    return 1 if failed else 0


def _show(item: Item, console: Console, *, to_stdout: bool, one_line: bool) -> int:
    if not isinstance(item.result, Report):
        return complain(item.result, 1)
    if to_stdout:
        from cardioloom.report.json import dumps

        print(dumps(item.result))
    elif one_line:
        from cardioloom.report.text import line

        console.print(line(item.name, item.result), soft_wrap=True, highlight=False)
    else:
        from cardioloom.report.text import show

        show(item.result, console)
    return 0


def _progress(total: int) -> Progress:
    """A bar on a terminal, nothing in a pipe."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console()
    return Progress(*columns, console=console, transient=True, disable=total < 2 or not console.is_terminal)


def show_doctor(findings: Mapping[str, Any], json: Path | None) -> None:
    """The table, or the JSON."""
    text = jsonlib.dumps(findings, indent=2)
    if json == STDOUT:
        print(text)
        return
    if json is not None:
        write_text(text + "\n", json)
    table = Table(title=f"cardioloom {findings['cardioloom']}", title_justify="left", box=None)
    for title in ("what", "state"):
        table.add_column(title, header_style="dim")
    table.add_row("Python", f"{findings['python']} on {findings['platform']}")
    for name, version in findings["packages"].items():
        table.add_row(name, version or "MISSING: pip install cardioloom again")
    for extra, packages in findings["extras"].items():
        missing = [name for name, version in packages.items() if version is None]
        state = f"not complete, without {', '.join(missing)}" if missing else "installed"
        table.add_row(f"extra [{extra}]".replace("[", r"\["), state if packages else "nothing needed in this version")
    table.add_row("formats read", ", ".join(findings["formats"]["read"]))
    table.add_row("formats written", ", ".join(findings["formats"]["write"]))
    table.add_row("models", "none in this version")
    Console().print(table)
