"""Start-up: the help text, importing the package, and a whole report, each in a fresh process.

python benchmarks/start_up.py [--json OUT]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from rows import parser, show

REPEATS = 9
CLI = "from cardioloom.app.cli import main; main({arguments})"
DICOM = "from pydicom.data import get_testdata_file as f; print(f('waveform_ecg.dcm', download=False))"
ROOT = Path(__file__).resolve().parents[1]


def seconds(code: str) -> float:
    """Wall-clock seconds of a fresh Python process that runs ``code``."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Measure interleaved and print or write the rows."""
    arguments = parser(__doc__).parse_args()
    dicom = subprocess.run([sys.executable, "-c", DICOM], check=True, capture_output=True, text=True).stdout.strip()
    cases = {
        "python": ("pass", None),
        "import numpy": ("import numpy", None),
        "import cardioloom": ("import cardioloom", None),
        "cardioloom --help": (CLI.format(arguments=["--help"]), 0.4),
        "cardioloom read waveform_ecg.dcm --json -": (CLI.format(arguments=["read", dicom, "--json", "-"]), 1.5),
    }
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(REPEATS):
        for name, (code, _limit) in cases.items():
            times[name].append(seconds(code))
    rows = [
        {"bench": "start_up", "case": name, "seconds": round(statistics.median(times[name]), 3), "goal_below": limit}
        for name, (_code, limit) in cases.items()
    ]
    show(rows, arguments.json)


if __name__ == "__main__":
    main()
