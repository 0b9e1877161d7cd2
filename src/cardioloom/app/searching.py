"""What `similar` shows: a table an ECG, or the JSON."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from cardioloom.api.searching import Found, Searching, dumps, write_found
from cardioloom.app.complain import complain, note
from cardioloom.errors import CardioloomError
from cardioloom.report import words
from cardioloom.report.text import neighbours

STDOUT = Path("-")
PIPE_WIDTH = 132  # columns of a table that no terminal cuts


def show_similar(searching: Searching, json: Path | None) -> int:
    """Search and show; the exit code is 1 where something failed."""
    found: list[Found] = []
    failed = 0
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPE_WIDTH)
    for one in replace(searching, search=searching.search.telling(note)):
        found.append(one)
        if isinstance(one.result, CardioloomError):
            failed += complain(one.result, 1)
        elif json != STDOUT:
            console.print(Text(words.clean(one.name), style="bold"))
            console.print(neighbours(one.result, console.width))
    if json != STDOUT:
        write_found(found, json)
    elif failed < len(found):
        print(dumps(found))
    return 1 if failed else 0
