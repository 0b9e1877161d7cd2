"""What the benchmarks share: their options, how they take times, and where their rows go."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


def parser(doc: str | None) -> argparse.ArgumentParser:
    """A parser that knows ``--json FILE``; its help is the benchmark's docstring."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", type=Path, help="write the rows here")
    return made


class Times(NamedTuple):
    """Case → seconds of each repeat, by the clock and of the processor."""

    wall: dict[str, list[float]]
    processor: dict[str, list[float]]


def in_turns(cases: Mapping[str, Callable[[], object]], repeats: int) -> Times:
    """Every case once, then every case again: what slows the machine for a while slows all of them."""
    times = Times({name: [] for name in cases}, {name: [] for name in cases})
    for _ in range(repeats):
        for name, case in cases.items():
            start, begun = time.perf_counter(), time.process_time()
            case()
            times.wall[name].append(time.perf_counter() - start)
            times.processor[name].append(time.process_time() - begun)
    return times


def show(rows: Sequence[object], path: Path | None) -> None:
    """Print the rows, and write them where a path was given."""
    for row in rows:
        print(row)
    if path:
        path.write_text(json.dumps(rows, indent=1))
