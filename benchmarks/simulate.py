"""Simulated patients a second on all cores, the shards on disk included.

python benchmarks/simulate.py [--json OUT]
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import cardioloom
from rows import parser, show

CASES = {"ECG alone": ("ecg", 1500, 60.0), "ECG, two cines, two echo videos, report": (None, 450, 15.0)}
FEW = 20  # starting the processes is measured on so many, and left out


def seconds(only: str | None, patients: int) -> float:
    """Wall-clock seconds of one cohort."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        cardioloom.simulate(Path(folder) / "cohort", patients=patients, seed=1, only=only)
        return time.perf_counter() - start


def main() -> None:
    """Measure and print or write the rows."""
    arguments = parser(__doc__).parse_args()
    rows = []
    for case, (only, patients, goal) in CASES.items():
        starting, whole = seconds(only, FEW), seconds(only, patients)
        rows.append(
            {
                "bench": "simulate",
                "case": case,
                "patients": patients,
                "seconds": whole,
                "patients_per_s": patients / whole,
                f"patients_per_s_beyond_the_first_{FEW}": (patients - FEW) / (whole - starting),
                "goal_at_least": goal,
            }
        )
    show(rows, arguments.json)


if __name__ == "__main__":
    main()
