"""What 1,000, 10,000 and 100,000 ECGs take, and 100,000 simulated patients; written to docs/scale.md.

    python benchmarks/scale.py [--sizes 1000,10000,100000] [--patients 100000] [--work FOLDER]
    python benchmarks/scale.py --page      (the page again, from benchmarks/results/scale.json)

Needs 12 GB of disk for 100,000 ECGs. Each step runs in a process of its own, whose peak of memory the system tells
(``ru_maxrss``). What is said of 10 million is computed from the largest size, and is not measured.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
KEPT = HERE / "results" / "scale.json"
PAGE = HERE.parent / "docs" / "scale.md"
BATCH, SHAPE = 32, (12, 5000)
WALKED = 20_000  # records that are read in random order, of all that there are
Row = dict[str, Any]


def peak_mb() -> tuple[float, float]:
    """Peak of resident memory of this process, and of the largest that it started, MB."""
    unit = 1e-6 if sys.platform == "darwin" else 1.024e-3  # bytes there, KiB elsewhere
    own, others = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return round(own * unit, 1), round(others * unit, 1)


class Clock:
    """Is called as a build goes on; the rest of the build after the last call is the finish."""

    def __init__(self) -> None:
        self.begun = self.last = time.perf_counter()
        self.mb_at_first = 0.0

    def __call__(self, _done: int, _all: int) -> None:
        self.last = time.perf_counter()
        self.mb_at_first = self.mb_at_first or peak_mb()[0]

    def row(self, n: int) -> Row:
        end = time.perf_counter()
        own, others = peak_mb()
        return {
            "seconds": round(end - self.begun, 2),
            "records_per_s": round(n / (end - self.begun)),
            "finish_s": round(end - self.last, 2),
            "MB_at_first_shard": self.mb_at_first,
            "peak_MB": own,
            "peak_MB_of_a_worker": others,
        }


def build(table: str, out: str, n: str, *more: str) -> Row:
    """`cohort build` of a table."""
    from cardioloom.api.cohorts import build_cohort

    clock = Clock()
    build_cohort(Path(table), Path(out), progress=clock, packed="packed" in more)
    return clock.row(int(n)) | sizes(Path(out), int(n))


def sizes(folder: Path, n: int) -> Row:
    """Bytes a record on disk, of the shards and of the table, and the number of files."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    table = (folder / "cohort.parquet").stat().st_size
    whole = sum(path.stat().st_size for path in files)
    return {"shard_bytes": round((whole - table) / n), "table_bytes": round(table / n, 1), "files": len(files)}


def load(out: str) -> Row:
    """Open a cohort and read records of it in random order."""
    import numpy as np

    from cardioloom.store import Folder, Loader

    begin = time.perf_counter()
    folder = Folder.at(out)
    n = len(folder.cohort())
    opened = time.perf_counter()
    loader = Loader(folder, batch=BATCH)
    order = loader.order(0)
    ready = time.perf_counter()
    buffer = np.empty((BATCH, *SHAPE), np.int16)
    walks = min(n, WALKED) // BATCH
    for _ in islice(loader.batches(0, {"ecg": buffer}), walks):
        pass
    walked = time.perf_counter()
    assert len(order) == n
    return {
        "open_s": round(opened - begin, 3),
        "loader_s": round(ready - opened, 3),
        "walked_per_s": round(walks * BATCH / (walked - ready)),
        "walk_peak_MB": peak_mb()[0],
    }


class AllShardsThereError(Exception):
    """Stops a build before its finish."""


def simulate(out: str, n: str) -> Row:
    """`simulate` of the labels alone, stopped when all shards are there: the finish is a step of its own."""
    from cardioloom.api.simulating import build_simulated

    def stop(done: int, total: int) -> None:
        if done == total:
            raise AllShardsThereError

    begin = time.perf_counter()
    try:
        build_simulated(Path(out), patients=int(n), only="labels", progress=stop)
    except AllShardsThereError:
        return {"records_per_s": round(int(n) / (time.perf_counter() - begin)), "peak_MB": peak_mb()[0]}
    raise SystemExit("the build was not stopped")


def finish(out: str, n: str) -> Row:
    """The same call goes on: all that is left are the splits and the one table."""
    from cardioloom.api.simulating import build_simulated

    begin = time.perf_counter()
    build_simulated(Path(out), patients=int(n), only="labels")
    return {"finish_s": round(time.perf_counter() - begin, 2), "peak_MB": peak_mb()[0]} | sizes(Path(out), int(n))


def opened(out: str) -> Row:
    """Open a cohort's table and take its splits."""
    from cardioloom.store import Folder

    begin = time.perf_counter()
    cohort = Folder.at(out).cohort()
    shares = {name: len(cohort.split(name)) for name in cohort.splits}
    return {
        "open_s": round(time.perf_counter() - begin, 3),
        "peak_MB": peak_mb()[0],
        "columns": len(cohort.columns),
    } | {"splits": shares}


STEPS: Mapping[str, Callable[..., Row]] = {
    "build": build,
    "load": load,
    "simulate": simulate,
    "finish": finish,
    "opened": opened,
}


def step(name: str, *arguments: object) -> Row:
    """One step in a process of its own."""
    command = [sys.executable, __file__, "--step", name, *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measured(work: Path, chosen: Sequence[int], patients: int) -> list[Row]:
    """All steps at all sizes; nothing is left on the disk."""
    from store import listed

    rows: list[Row] = []
    for n in chosen:
        need = n * 125_000 * 1.1
        if shutil.disk_usage(work).free < need:
            raise SystemExit(f"{work} has no room for {need / 1e9:.0f} GB: name another folder with --work")
        table, out = listed(work / "table.csv", n), work / "cohort"
        rows.append({"what": "ECGs", "n": n, **step("build", table, out, n)})
        rows[-1] |= step("load", out)
        shutil.rmtree(out)
        print(rows[-1], flush=True)
    table, out = listed(work / "table.csv", min(chosen)), work / "cohort"
    rows.append({"what": "ECGs, packed", "n": min(chosen), **step("build", table, out, min(chosen), "packed")})
    shutil.rmtree(out)
    rows.append({"what": "simulated patients", "n": patients, **step("simulate", out, patients)})
    print(rows[-1], flush=True)
    rows.append({"what": "table and splits", "n": patients, **step("finish", out, patients)})
    rows.append({"what": "opened", "n": patients, **step("opened", out)})
    shutil.rmtree(out)
    print(*rows[-2:], sep="\n", flush=True)
    return rows


def main() -> None:
    """Measure, keep the rows, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1000,10000,100000")
    parser.add_argument("--patients", type=int, default=100_000)
    parser.add_argument("--work", type=Path, help="a folder on the disk to measure")
    parser.add_argument("--page", action="store_true", help="only write the page")
    parser.add_argument("--step", nargs="+", help="for this command itself")
    options = parser.parse_args()
    if options.step:
        name, *arguments = options.step
        print(json.dumps(STEPS[name](*arguments)))
        return
    from scale_page import page

    if not options.page:
        from run import machine

        with tempfile.TemporaryDirectory(dir=options.work) as work:
            rows = measured(Path(work), [int(n) for n in options.sizes.split(",")], options.patients)
        stamp = {"measured": datetime.now(UTC).date().isoformat(), "machine": machine(), "rows": rows}
        KEPT.write_text(json.dumps(stamp, indent=1) + "\n")
    PAGE.write_text(page(json.loads(KEPT.read_text())))
    print(f"wrote {PAGE.relative_to(HERE.parent)}")


if __name__ == "__main__":
    main()
