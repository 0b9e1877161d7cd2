"""A report for every record of a folder, JSON and HTML, by one `cardioloom read`: seconds a record after start-up.

    python benchmarks/read_folder.py [--json OUT] [--folder FOLDER]

Start-up is the command on one small record, that record's own work included. The shared recordings are found by
CARDIOLOOM_SHARED, else beside the repository.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

REPEATS = 3
GOAL_S = 0.15  # a record
CLI = "from cardioloom.app.cli import main; main()"
SHARED = Path(os.environ.get("CARDIOLOOM_SHARED", Path(__file__).resolve().parents[2] / "shared"))


@dataclass(frozen=True)
class Run:
    """One call of the command: wall-clock and processor seconds, reports written, what was said on stderr."""

    wall_s: float
    cpu_s: float
    n_json: int
    n_html: int
    said: str


def read(place: Path) -> Run:
    """Run `cardioloom read` in a fresh process, with folders for both kinds of report."""
    with tempfile.TemporaryDirectory() as folder:
        outs = {kind: Path(folder) / kind for kind in ("json", "html")}
        for out in outs.values():
            out.mkdir()  # also where one file is read, whose report is else a file of that name
        options = [part for kind, out in outs.items() for part in (f"--{kind}", str(out))]
        before, start = _children_s(), time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", CLI, "read", str(place), *options], check=False, capture_output=True, text=True
        )
        wall, cpu = time.perf_counter() - start, _children_s() - before
        if done.returncode not in (0, 1):  # 1: some records failed, which are counted
            raise SystemExit(f"cardioloom read {place} ended with {done.returncode}: {done.stderr}")
        n_json, n_html = (len(list(out.glob(f"*.{kind}"))) for kind, out in outs.items())
        return Run(wall, cpu, n_json, n_html, done.stderr)


def _children_s() -> float:
    """Processor seconds of every process that was started and has ended."""
    times = os.times()
    return times.children_user + times.children_system


def failed(run: Run) -> int:
    """Records without a report, from the command's own last line."""
    found = re.search(r"(\d+) read, (\d+) failed", run.said)
    if not found:
        raise SystemExit(f"cardioloom read did not say how many records failed: {run.said!r}")
    return int(found[2])


def main() -> None:
    """Measure interleaved, say what failed, and print or write the row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--folder", type=Path, default=SHARED / "data/ecg", help="records to read")
    options = parser.parse_args()
    small = SHARED / "data/ecg/ludb/data/1.hea"
    ones, all_of_it = [], []
    for _ in range(REPEATS):
        ones.append(read(small))
        all_of_it.append(read(options.folder))
    last = all_of_it[-1]
    n, n_failed = last.n_json, failed(last)
    if n_failed:
        print(last.said)
    if not n or n != last.n_html or any(run.n_json != n for run in all_of_it):
        raise SystemExit(f"the runs wrote {[(run.n_json, run.n_html) for run in all_of_it]} reports: expected one each")
    wall, cpu = (statistics.median(getattr(run, name) for run in all_of_it) for name in ("wall_s", "cpu_s"))
    one, one_cpu = (statistics.median(getattr(run, name) for run in ones) for name in ("wall_s", "cpu_s"))
    row = {"bench": "read_folder", "case": f"cardioloom read {options.folder.name} --json J --html H", "records": n}
    row |= {"failed": n_failed, "seconds": round(wall, 2), "one_small_record_s": round(one, 3)}
    row |= {"s_per_record": round((wall - one) / max(n - 1, 1), 4), "goal_at_most": GOAL_S}
    row |= {"processor_s_per_record": round((cpu - one_cpu) / max(n - 1, 1), 4)}
    row |= {"slowest_run_s": round(max(run.wall_s for run in all_of_it), 2)}
    print(row)
    if options.json:
        options.json.write_text(json.dumps([row], indent=1))


if __name__ == "__main__":
    main()
