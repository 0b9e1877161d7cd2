"""What the commands print."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from cardioloom.api import Reading
from cardioloom.api.embedding import Embedding
from cardioloom.api.installing import fetch
from cardioloom.api.output import write_text
from cardioloom.app.complain import complain, note
from cardioloom.errors import CardioloomError, UsageError

if TYPE_CHECKING:
    from cardioloom.records import Report

STDOUT = Path("-")


def show_reports(reading: Reading, *, is_json_shown: bool) -> int:
    """Read, report and show; the exit code is 1 where something failed.

    Raises:
        UsageError: if the JSON is to be shown and the file holds several ECGs; nothing is printed then.
    """
    total = len(reading.files) + len(reading.not_found)
    done, failed, text = 0, 0, ""
    with progress_bar() as progress:
        task = progress.add_task("reading", total=total)
        search = reading.similar.telling(note) if reading.similar else None
        ticking = replace(
            reading, similar=search, tick=lambda share: progress.update(task, completed=done + failed + share)
        )
        for item in ticking:
            if isinstance(item.result, CardioloomError):
                failed += complain(item.result, 1)
            elif is_json_shown and done:
                raise UsageError("--json - takes one ECG, but the file holds several: give a folder to write to")
            else:
                done += 1
                text = _shown(item.name, item.result, progress.console, is_json_shown, is_one_line=total > 1)
            progress.update(task, completed=done + failed)
    if text:
        print(text)
    if done + failed > 1:
        print(f"{done} read, {failed} failed", file=sys.stderr)
    return 1 if failed else 0


def _shown(name: str, report: Report, console: Console, is_json_shown: bool, *, is_one_line: bool) -> str:
    """Show one report; JSON is returned instead, to be printed once it is known to be the only one."""
    if is_json_shown:
        from cardioloom.report.json import dumps

        return dumps(report)
    from cardioloom.report import text

    if is_one_line:
        console.print(text.line(name, report), soft_wrap=True, highlight=False)
    else:
        text.show(report, console)
    return ""


def show_embedding(embedding: Embedding) -> int:
    """Embed and show how far it is; the exit code is 1 where something failed."""
    done, failed = len(embedding.done.studies), 0
    with progress_bar() as progress:
        task = progress.add_task("embedding", total=len(embedding.files), completed=embedding.files_done)
        for item in embedding:
            if item.error is None:
                done += 1
            else:
                failed += complain(item.error, 1)
            progress.update(task, completed=item.files_done)
    print(f"{done} embedded in {embedding.parts.out}, {failed} failed", file=sys.stderr)
    return 1 if failed else 0


def fetch_shown(name: str, **options: Any) -> Mapping[str, Any]:
    """Fetch weights under a bar."""
    with progress_bar() as progress:
        task = progress.add_task(f"fetching {name}", total=1.0)
        return fetch(name, **options, tick=lambda share: progress.update(task, completed=share))


def progress_bar() -> Progress:
    """A bar on a terminal, nothing in a pipe."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    console = Console()
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


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
    if not findings["models"]:
        table.add_row("models", "none installed: cardioloom weights list")
    for model in findings["models"]:
        runs = f" on {model['runtime']}" if "runtime" in model else ""
        state = f"REFUSED: {model['problem']}" if "problem" in model else _fitness(model)
        table.add_row(f"{model['name']}{runs}", Text(state))
    Console().print(table)


def _fitness(model: Mapping[str, Any]) -> str:
    return (
        f"golden pair within {model['largest_deviation']:.1e}, {model['ecg_per_s']:.0f} ECG/s, "
        f"trained on {model['trained_on']}, licence {model['licence']}"
    )


def show_weights(action: str, said: Mapping[str, Any]) -> None:
    """What `weights` answers, as a table or in lines."""
    console = Console()
    if action == "list":
        table = Table(box=None)
        for title in ("model", "state", "leads", "outputs", "trained on", "source"):
            table.add_column(title, header_style="dim")
        for row in said["models"]:
            state = row.get("problem", "installed" if row["installed"] else "not installed")
            cells = (len(row.get("leads", ())), row.get("outputs"), row.get("trained_on"), row.get("source"))
            table.add_row(row["name"], Text(state), *("" if cell is None else Text(str(cell)) for cell in cells))
        console.print(table)
        console.print(Text(f"Models lie in {said['cache']}"), soft_wrap=True)
        return
    if action == "export":
        console.print(Text(f"wrote {said['file']}"), soft_wrap=True)
        return
    for line in _model_lines(said):
        console.print(Text(line), soft_wrap=True)


def _model_lines(said: Mapping[str, Any]) -> list[str]:
    card, preparation, outputs = said["card"], said["preparation"], said["task"]["outputs"]
    steps = ", ".join(step["step"] for step in preparation["steps"])
    calibrated = sum(output["calibrated"] for output in outputs)
    gives = f"{len(outputs)} outputs, {calibrated} of their thresholds calibrated" if outputs else "features alone"
    lines = [
        f"{said['name']}: {card['title']}",
        f"installed in {said['folder']}" if said["installed"] else "not installed",
        f"trained on: {card['trained_on']}",
        f"source: {card['source']}" + (f" at {card['revision']}" if card["revision"] else ""),
        f"SHA-256 of the checkpoint: {card['sha256'] or 'recorded when it is added'}",
        f"licence: {card['licence']}",
        f"cite: {card['citation']}",
        f"takes: {', '.join(preparation['leads'])} in {preparation['unit']} at {preparation['fs']:g} Hz, windows of "
        f"{preparation['window_seconds']:g} s; {steps}",
        f"gives: {gives}",
        f"for: {card['intended_use']}",
    ]
    lines += [f"limit: {limit}" for limit in card["limits"]]
    return lines + [f"note: {note}" for note in card["notes"]]
