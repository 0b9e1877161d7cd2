"""Reading WFDB records into arrays: ours against wfdb.rdsamp, in the same run.

    python benchmarks/read_wfdb.py [--json OUT] [--records 40] [--repeats 9] [--memory 2000]

Interleaved repeats, medians, files warm. Every record is compared bit by bit before anything is timed.
wfdb parses headers with pandas, and pandas 3 halves its speed: the ratio to trust is the one under pandas 2.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from cardioloom.readers.told import Told
from cardioloom.readers.wfdb import read
from cardioloom.readers.wfdb_fast import read_millivolts, read_physical
from cardioloom.readers.wfdb_signals import import_wfdb

wfdb = import_wfdb()
SHARED = Path(os.environ.get("CARDIOLOOM_SHARED", Path(__file__).resolve().parents[2] / "shared"))
Reader = Callable[[str], object]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Reading WFDB records into arrays")
    parser.add_argument("--json", type=Path, help="where the rows are written")
    parser.add_argument("--records", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--memory", type=int, default=2000, help="records read to see that memory stays flat")
    options = parser.parse_args(arguments)
    paths = headers("ludb", options.records)
    with tempfile.TemporaryDirectory() as folder:
        packed = as_212(paths, Path(folder))
        rows = twelve_leads(headers("ptbxl", options.records), "format 16, one gain (PTB-XL)", options.repeats)
        rows += twelve_leads(paths, "format 16, a gain a lead (LUDB)", options.repeats)
        rows += twelve_leads(packed, "format 212, a gain a lead (LUDB)", options.repeats)
    mit = str(SHARED / "data/formats/wfdb_physionet/100.hea")
    rows += measure(
        [mit], {"MIT-BIH 100, 30 min × 2 leads, format 212, float64": (read_physical, None)}, options.repeats
    )
    print_table(rows)
    print(f"\nresident memory over {options.memory} records: {growth(paths, options.memory):+.1f} MiB")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    return 0


def headers(source: str, n: int) -> list[str]:
    return [str(path) for path in sorted((SHARED / "data/ecg" / source).rglob("*.hea"))[:n]]


def as_212(paths: list[str], folder: Path) -> list[str]:
    """The same recordings clipped to 12 bits and packed two in three bytes."""
    made = []
    for n, path in enumerate(paths):
        record = wfdb.rdrecord(path[:-4], physical=False)
        pairs = (np.clip(record.d_signal, -2047, 2047).reshape(-1, 2) & 0xFFF).astype(np.uint32)
        triples = (pairs[:, 0] | pairs[:, 1] << 12).astype("<u4").view(np.uint8).reshape(-1, 4)[:, :3]
        (folder / f"r{n}.dat").write_bytes(triples.tobytes())
        lines = [f"r{n} {record.n_sig} {record.fs} {record.sig_len}"]
        for gain, baseline, name in zip(record.adc_gain, record.baseline, record.sig_name, strict=True):
            lines.append(f"r{n}.dat 212 {gain!r}({baseline})/mV 12 0 0 0 0 {name}")
        (folder / f"r{n}.hea").write_text("\n".join(lines) + "\n")
        made.append(str(folder / f"r{n}.hea"))
    return made


def twelve_leads(paths: list[str], kind: str, repeats: int) -> list[dict[str, object]]:
    shape = wfdb.rdsamp(paths[0][:-4])[0].shape
    out, leads = np.empty(shape), np.empty(shape[::-1], np.float32)
    what = f"12 leads × 10 s at 500 Hz, {kind}"
    ours: dict[str, tuple[Reader, float | None]] = {
        f"{what}, float64 into out": (lambda path: read_physical(path, out=out), 12),
        f"{what}, float64 fresh": (read_physical, 4),
        f"{what}, float32 (lead, time) into out": (lambda path: read_millivolts(path, out=leads), 14),
        f"{what}, float32 (lead, time) fresh": (read_millivolts, 14),
        f"{what}, ECG with signal": (lambda path: next(read(Path(path), Told())).signal, None),
    }
    return measure(paths, ours, repeats)


def measure(paths: list[str], ours: dict[str, tuple[Reader, float | None]], repeats: int) -> list[dict[str, object]]:
    check(paths)
    readers: dict[str, Reader] = {"peer": lambda path: wfdb.rdsamp(path[:-4])}
    readers |= {case: reader for case, (reader, _) in ours.items()}
    seconds: dict[str, list[float]] = {case: [] for case in readers}
    for _ in range(repeats):
        for case, reader in readers.items():
            begin = time.perf_counter()
            for path in paths:
                reader(path)
            seconds[case].append((time.perf_counter() - begin) / len(paths))
    peer = 1 / statistics.median(seconds["peer"])
    rows = []
    for case, (_, goal) in ours.items():
        rate = 1 / statistics.median(seconds[case])
        rows.append(
            {
                "bench": "read_wfdb",
                "case": case,
                "peer": f"wfdb {wfdb.__version__} rdsamp (pandas {version('pandas')})",
                "peer_rate": round(peer, 1),
                "our_rate": round(rate, 1),
                "ratio": round(rate / peer, 2),
                "goal": goal,
                "unit": "records/s",
                "note": "bit-equal",
            }
        )
    return rows


def check(paths: list[str]) -> None:
    for path in paths:
        peer = wfdb.rdsamp(path[:-4])[0]
        float32 = peer.T.astype(np.float32)
        same = np.array_equal(read_physical(path), peer, equal_nan=True)
        same &= np.array_equal(read_millivolts(path), float32, equal_nan=True)
        same &= np.array_equal(next(read(Path(path), Told())).signal, float32, equal_nan=True)
        if not same:
            raise SystemExit(f"{Path(path).name}: ours differs from wfdb.rdsamp")


def growth(paths: list[str], n: int) -> float:
    """MiB by which the resident memory grows over ``n`` records, after a first round (Linux)."""
    status = Path("/proc/self/statm")
    if not status.exists():
        return float("nan")
    for path in paths:
        read_physical(path)
        read_millivolts(path)
    before = int(status.read_text().split()[1])
    for index in range(n):
        read_physical(paths[index % len(paths)])
        read_millivolts(paths[index % len(paths)])
    return (int(status.read_text().split()[1]) - before) * os.sysconf("SC_PAGE_SIZE") / 2**20


def print_table(rows: list[dict[str, object]]) -> None:
    print("| case | wfdb.rdsamp, records/s | ours | ratio | goal |\n|---|---|---|---|---|")
    for row in rows:
        goal = f"≥ {row['goal']}×" if row["goal"] else "–"
        print(f"| {row['case']} | {row['peer_rate']} | {row['our_rate']} | {row['ratio']}× | {goal} |")


if __name__ == "__main__":
    sys.exit(main())
