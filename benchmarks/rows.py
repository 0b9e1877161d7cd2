"""What the benchmarks' commands share: their options, and where their rows go."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path


def parser(doc: str | None) -> argparse.ArgumentParser:
    """A parser that knows ``--json FILE``; its help is the benchmark's docstring."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", type=Path, help="write the rows here")
    return made


def show(rows: Sequence[object], path: Path | None) -> None:
    """Print the rows, and write them where a path was given."""
    for row in rows:
        print(row)
    if path:
        path.write_text(json.dumps(rows, indent=1))
