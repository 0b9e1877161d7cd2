"""Run every benchmark, peer and ours in the same run, and write docs/benchmarks.md.

    python benchmarks/run.py [NAME …]      (all benchmarks, or those named)

Peers live in an environment of their own: `python -m venv PEERS && PEERS/bin/pip install -r benchmarks/peers.txt` and
then `PEERS/bin/python benchmarks/run.py`. A peer that is not installed is left out of the table, with a note.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
ROWS = HERE / "results"
NAMES = (
    "read_wfdb",
    "ecgfounder_preset",
    "r_peaks",
    "delineation",
    "statements",
    "start_up",
    "read_folder",
    "net1d",
    "ecgfounder_rules",
    "simulator_ecg",
    "simulator_ceilings",
    "simulate",
    "store",
    "embed",
    "simulator_cine",
    "augment",
    "bootstrap_auroc",
    "concordance",
    "fit",
    "prepare_ptacl",
    "contrastive",
    "search",
    "ptacl_step",
)
MORE = dict.fromkeys(("delineation", "simulator_ecg"), ("--pictures", str(HERE.parent / "docs" / "pictures")))
PICTURES = {"delineation": {"pictures/bland_altman_ludb.png": "Bland–Altman plots of PR, QRS, QT and axes, LUDB"}}
# Speed is measured on one thread each; set before any benchmark imports numpy.
ALL_THREADS = ("net1d",)  # but for these, which a user calls on all cores
BEST = {
    "search": "Best of the repeats.",
    "ptacl_step": "Best of the repeats.",
    "store": "Building: best of the repeats.",
}
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def run(name: str) -> None:
    """Run one benchmark in a process of its own and keep its rows in benchmarks/results/."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rows.json"
        command = [sys.executable, str(HERE / f"{name}.py"), "--json", str(out), *MORE.get(name, ())]
        subprocess.run(
            command,
            check=True,
            env={**os.environ, **({} if name in ALL_THREADS else ONE_THREAD)},
            stdout=subprocess.DEVNULL,
        )
        rows = json.loads(out.read_text())
    ROWS.mkdir(exist_ok=True)
    stamp = {"measured": datetime.now(UTC).date().isoformat(), "machine": machine(), "rows": rows}
    (ROWS / f"{name}.json").write_text(json.dumps(stamp, indent=1) + "\n")


def machine() -> str:
    """Processor, cores and Python in words."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        model = names[0] if names else model
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}"


def table(rows: list[dict[str, object]]) -> str:
    """A markdown table of rows that share their keys, in the order in which the keys first appear."""
    columns = list(dict.fromkeys(key for row in rows for key in row if key != "bench"))
    lines = ["| " + " | ".join(column.replace("_", " ") for column in columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(cell(row.get(column)) for column in columns) + " |" for row in rows]
    return "\n".join(lines)


def cell(value: object) -> str:
    """A number with four significant digits, nothing for None."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "\\|")


def page() -> str:
    """The whole of docs/benchmarks.md from the kept rows."""
    parts = [
        "# Benchmarks",
        "Written by `python benchmarks/run.py`; do not edit. Peer and ours are measured in the same run, interleaved, "
        "one thread each; medians. A benchmark that differs says so. Rates depend on the machine, ratios hold.",
    ]
    for name in NAMES:
        kept = ROWS / f"{name}.json"
        if not kept.exists():
            continue
        result = json.loads(kept.read_text())
        summary = (HERE / f"{name}.py").read_text().split('"""')[1].strip().splitlines()[0]
        differs = [BEST[name]] if name in BEST else []
        differs += ["All threads."] if name in ALL_THREADS else []
        parts += [f"## {name}", summary, " ".join([f"Measured {result['measured']} on {result['machine']}.", *differs])]
        groups: dict[str, list[dict[str, object]]] = {}
        rows = [row for row in result["rows"] if not str(row.get("data", "")).endswith(" dB")]
        if len(rows) < len(result["rows"]):
            parts.append(f"Single noise levels (pooled here as one row) are in benchmarks/results/{name}.json.")
        for row in rows:
            groups.setdefault(str(row["bench"]), []).append(row)
        for group, rows in groups.items():
            parts += [f"*{group}*"] if len(groups) > 1 else []
            parts.append(table(rows))
        parts += [f"![{words}]({path})" for path, words in PICTURES.get(name, {}).items()]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    for chosen in sys.argv[1:] or NAMES:
        print(f"running {chosen} …", flush=True)
        run(chosen)
    PAGE.write_text(page())
    print(f"wrote {PAGE.relative_to(HERE.parent)}")
