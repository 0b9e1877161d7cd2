"""Many records through `embed`: memory, time, and what a kill in the middle costs.

python benchmarks/embed.py [--json OUT] [--records 10000]

Records of 2 s at 100 Hz and a net of a few thousand parameters, so that the number of records is what is tested. The
run is killed (SIGKILL) after two fifths of the records and called again; then each record must be there once.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq

from rows import parser, show

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))


def made(folder: Path, records: int) -> Path:
    """A model folder and so many WFDB records; returns the folder of the records."""
    import small_net
    from synthetic import ecg, write_wfdb

    small_net.model_folder(folder / "model")
    home = folder / "records"
    home.mkdir()
    first = write_wfdb(home / "r000000.hea", ecg(fs=100.0, seconds=2.0))
    header, samples = first.read_text(), first.with_suffix(".dat").read_bytes()
    for n in range(1, records):
        name = f"r{n:06d}"
        (home / f"{name}.hea").write_text(header.replace("r000000", name))
        (home / f"{name}.dat").write_bytes(samples)
    return home


def child(model: str, home: str, out: str, stop_after: int) -> None:
    """Embed in this process; print resident memory at each fifth; end by SIGKILL after ``stop_after`` records."""
    from cardioloom.api import embed_each

    embedding = embed_each(model, Path(home), Path(out))
    total, kept = len(embedding.files), embedding.files_done
    marks: dict[str, float] = {}
    for n, item in enumerate(embedding, start=1):
        assert item.error is None
        if (kept + n) % max(1, total // 5) == 0:
            marks[str(kept + n)] = rss_mb()
        if n == stop_after:
            print(json.dumps({"kept": kept, "rss_mb": marks}), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
    marks["end"] = rss_mb()
    print(json.dumps({"kept": kept, "rss_mb": marks}), flush=True)


def rss_mb() -> float:
    """Resident memory of this process, MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * resource.getpagesize() / 1e6, 1)


def run(model: Path, home: Path, out: Path, stop_after: int) -> tuple[dict[str, object], float]:
    """One call in a process of its own: what it printed, and its seconds."""
    start = time.perf_counter()
    command = [sys.executable, __file__, "--child", str(model), str(home), str(out), str(stop_after)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, -signal.SIGKILL):
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1]), time.perf_counter() - start


def main() -> None:
    """Measure and print or write the rows."""
    options = parser(__doc__)
    options.add_argument("--records", type=int, default=10_000)
    options.add_argument("--child", nargs=4)
    arguments = options.parse_args()
    if arguments.child:
        child(*arguments.child[:3], int(arguments.child[3]))
        return
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        home = made(folder, arguments.records)
        out = folder / "features.parquet"
        for case, stop_after in (("killed in the middle", 2 * arguments.records // 5), ("called again", -1)):
            said, seconds = run(folder / "model", home, out, stop_after)
            rows.append(
                {
                    "bench": "embed",
                    "case": case,
                    "records": arguments.records,
                    "seconds": seconds,
                    "not_computed_again": said["kept"],
                    "resident_MB_at": ", ".join(f"{at}: {mb}" for at, mb in said["rss_mb"].items()),  # type: ignore[attr-defined]
                }
            )
        there = pq.read_table(out, columns=["study_id"])["study_id"].to_pylist()
        assert len(there) == len(set(there)) == arguments.records
    show(rows, arguments.json)


if __name__ == "__main__":
    main()
