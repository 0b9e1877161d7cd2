"""The ECGFounder filters and z-score: the official function restated with scipy, beside ours in the same run.

    python benchmarks/ecgfounder_preset.py [--json OUT] [--repeats N]

Both take real 10 s records at 500 Hz as (12, 5000) float64 and give float32, one thread each. The shared recordings
are found by CARDIOLOOM_SHARED, else beside the repository.
"""

from __future__ import annotations

import os

# Before numpy is imported: one thread for each side.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import scipy
from scipy.signal import butter, filtfilt, iirnotch, medfilt

from cardioloom.prepare import PRESETS, Preparation, apply
from cardioloom.readers.wfdb_signals import import_wfdb

SHARED = Path(os.environ.get("CARDIOLOOM_SHARED", Path(__file__).resolve().parents[2] / "shared"))
SOURCES = {"cpsc2018": 24, "ludb": 24}  # records of each
FS, SAMPLES = 500, 5000
GOAL = 5


def official(signal: np.ndarray) -> np.ndarray:
    """(lead, time) → float32: the official filter and z-score, lead by lead, said again from their description."""
    b, a = iirnotch(50, 30, FS)
    quiet = np.zeros_like(signal)
    for lead in range(len(signal)):
        quiet[lead] = filtfilt(b, a, signal[lead])
    band_pass = cast(Any, butter(4, [0.67, 40], btype="bandpass", fs=FS))
    band = np.zeros_like(quiet)
    for lead in range(len(signal)):
        band[lead] = filtfilt(band_pass[0], band_pass[1], quiet[lead])
    kernel = int(0.4 * FS) + 1
    kernel += 1 - kernel % 2
    baseline = np.zeros_like(band)
    for lead in range(len(signal)):
        baseline[lead] = medfilt(band[lead], kernel)
    filtered = band - baseline
    return ((filtered - np.mean(filtered)) / (np.std(filtered) + 1e-8)).astype(np.float32)


def records(source: str, count: int) -> np.ndarray:
    """(record, 12, 5000) mV: the first records of a source that are long enough and 500 Hz."""
    wfdb, found = import_wfdb(), []
    for header in sorted((SHARED / "data" / "ecg" / source).rglob("*.hea")):
        record = wfdb.rdrecord(str(header.with_suffix("")), sampto=None)
        if record.fs == FS and record.n_sig == 12 and record.sig_len >= SAMPLES:
            found.append(np.ascontiguousarray(record.p_signal[:SAMPLES].T))
        if len(found) == count:
            break
    return np.nan_to_num(np.stack(found))


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def compare(case: str, signals: np.ndarray, preset: Preparation, repeats: int) -> dict[str, object]:
    """Median rates of both sides over interleaved repeats, and the largest difference of their results."""
    theirs = np.stack([official(signal) for signal in signals])
    ours = apply(signals, preset)
    peer_s, our_s = [], []
    for _ in range(repeats):
        peer_s.append(seconds(lambda: [official(signal) for signal in signals]))
        our_s.append(seconds(lambda: apply(signals, preset)))
    peer_rate, our_rate = (len(signals) / statistics.median(times) for times in (peer_s, our_s))
    difference, equal = float(np.abs(theirs - ours).max()), bool(np.array_equal(theirs, ours))
    return {
        "bench": "ecgfounder_preset",
        "case": case,
        "peer": f"official function restated, scipy {scipy.__version__}",
        "peer_rate": peer_rate,
        "our_rate": our_rate,
        "ratio": our_rate / peer_rate,
        "goal": GOAL,
        "unit": "records/s",
        "note": f"max |difference| {difference:g}, bit-equal in float32: {str(equal).lower()}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--repeats", type=int, default=9, help="interleaved repeats, at least 7")
    options = parser.parse_args()
    rows = []
    for source, count in SOURCES.items():
        signals = records(source, count)
        twelve, one = PRESETS["ecgfounder"], PRESETS["ecgfounder_1l"]
        rows.append(compare(f"{len(signals)} records of {source}, 12 leads", signals, twelve, max(7, options.repeats)))
        rows.append(
            compare(f"{len(signals)} records of {source}, lead I", signals[:, :1], one, max(7, options.repeats))
        )
    print("| case | official, records/s | ours, records/s | ratio | goal | note |\n|---|---|---|---|---|---|")
    for row in rows:
        rates = f"{row['peer_rate']:.0f} | {row['our_rate']:.0f} | {row['ratio']:.2f}"
        print(f"| {row['case']} | {rates} | {row['goal']} | {row['note']} |")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
