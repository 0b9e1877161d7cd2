"""Delineation: marks, intervals and axes against LUDB's experts, and speed, beside the peers in the same run.

    python benchmarks/delineation.py [--json OUT] [--pictures FOLDER] [--quick]

What was tuned was tuned on the tuning half of the patients only. Peers that are not installed are named and left out.
The shared recordings are found by CARDIOLOOM_SHARED, else beside the repository.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cardioloom.measure.build import features
from cardioloom.measure.delineation import Marks, delineate
from cardioloom.prepare.beats import r_peaks
from cardioloom.readers import read
from cardioloom.records import ECG
from delineation_peers import FAILED, finders, over_leads  # pyright: ignore[reportMissingImports]
from ludb_agreement import (  # pyright: ignore[reportMissingImports]
    FS,
    LEADS,
    Leads,
    agreement,
    axes_of,
    draw,
    intervals_of,
    reference_beats,
    resampled,
    score_marks,
    shown,
)
from r_peaks import SHARED, ludb_half, table  # pyright: ignore[reportMissingImports]

SCORED = ("p_on", "p_off", "qrs_on", "qrs_off", "t_on", "t_off")
AIMS = {"p_on": (0.96, 10), "p_off": (0.96, 10), "qrs_on": (0.998, 8), "qrs_off": (0.998, 10), "t_off": (0.99, 15)}
INTERVALS = ("pr_interval", "p_duration", "qrs_duration", "qt_interval")


def ours(signal: np.ndarray, peaks: np.ndarray) -> Leads:
    marks = delineate(signal, peaks, FS)
    over = {name: (values[np.isfinite(values)] / FS).tolist() for name, values in marks.over_leads.items()}
    return by_lead(marks) | {"global": over}


def by_lead(marks: Marks) -> Leads:
    leads: Leads = {}
    for name, values in marks.by_lead.items():
        for lead, column in zip(LEADS, values.T, strict=True):
            leads.setdefault(lead, {})[name] = (column[np.isfinite(column)] / FS).tolist()
    return leads


def methods() -> dict[str, Callable[[np.ndarray, np.ndarray], Leads]]:
    return {"cardioloom": ours} | {name: over_leads(name, find) for name, find in finders().items()}


def measured(record: ECG) -> dict[str, float]:
    """What the library's report says of a record whose millivolts are not physical."""
    found, _ = features(record, r_peaks(record.signal, record.fs), is_physical=False)
    return {name: one.value for name, one in found.measurements.items()}


def accuracy(
    half: str, names: list[str], reference: dict[str, Leads], found: dict[str, dict[str, Leads]]
) -> list[dict]:
    """Global marks within 150 ms: F1, mean and SD of the error."""
    rows, weights = [], resampled(len(names))
    for mark in SCORED:
        for method, marks in found.items():
            results = [
                score_marks.score_lead(reference[n]["global"], marks[n]["global"], [mark])[mark][150] for n in names
            ]
            counts = weights @ np.array([result[:3] for result in results])
            errors = [1000 * np.array(result[3]) for result in results]
            n, total, square = (weights @ np.array([(e**power).sum() for e in errors]) for power in (0, 1, 2))
            f1 = 2 * counts[:, 0] / np.maximum(2 * counts[:, 0] + counts[:, 1] + counts[:, 2], 1)
            mean = total / np.maximum(n, 1)
            sd = np.sqrt(np.maximum(square - n * mean**2, 0) / np.maximum(n - 1, 1))
            aim = AIMS.get(mark)
            row = {"bench": "delineation_marks", "data": f"LUDB, {half} half, {len(names)} patients", "mark": mark}
            row |= {"method": method, "f1": shown(f1, 3), "mean_ms": shown(mean, 1), "sd_ms": shown(sd, 1)}
            rows.append(
                row
                | {"tp": int(counts[0, 0]), "fp": int(counts[0, 1]), "fn": int(counts[0, 2])}
                | {"aim": f"F1 ≥ {aim[0]}, SD ≤ {aim[1]}" if aim else ""}
            )
    return rows


def chapman() -> list[dict]:
    """The few records whose machine printed its values, ours / the machine's: shown, not concluded from."""
    folder = SHARED / "data/ecg/chapman_ningbo"
    listed = next((SHARED / "data/ecg").rglob("chapman_measurements.csv"))
    columns = {"heart_rate": "VentricularRate", "qrs_duration": "QRSDuration", "qt_interval": "QTInterval"}
    columns |= {"qtc_bazett": "QTCorrected", "qrs_axis": "RAxis", "t_axis": "TAxis"}
    rows = []
    with listed.open(encoding="utf-8-sig") as lines:
        for line in csv.DictReader(lines):
            header = folder / f"{line['record_id']}.hea"
            if not header.exists():
                continue
            record = next(iter(read(header)))
            found, _ = features(record, r_peaks(record.signal, record.fs))
            row = {"bench": "delineation_machine", "record": line["record_id"]}
            for name, column in columns.items():
                own = found.measurements.get(name)
                row[name] = f"{own.value:.0f} / {line[column]}" if own else f"– / {line[column]}"
            rows.append(row)
    return rows


def speed(signals: list[np.ndarray], *, repeats: int, with_peers: bool) -> list[dict]:
    """Leads a second, R peaks given, 10 s, 500 Hz: medians of interleaved repeats.

    Peers run one lead at a time, their cleaning and resampling included.
    """
    peaks = [r_peaks(signal, FS) for signal in signals]
    ways: dict[str, tuple[int, Callable[[], object]]] = {
        "cardioloom": (12 * len(signals), lambda: [delineate(s, p, FS) for s, p in zip(signals, peaks, strict=True)])
    }
    for name, find in finders().items() if with_peers else ():
        ways[name] = (3, lambda find=find: [find(signals[0][k], peaks[0]) for k in (0, 1, 7)])
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(repeats + 1):
        for name, (n_leads, way) in ways.items():
            start = time.perf_counter()
            way()
            if repeat:  # the first warms up
                rates[name].append(n_leads / (time.perf_counter() - start))
    median = {name: statistics.median(values) for name, values in rates.items()}
    own = median.pop("cardioloom")
    row = {"bench": "delineation", "case": "10 s, 12 leads, 500 Hz", "our_rate": round(own, 1), "unit": "leads/s"}
    return [
        row
        | {
            "peer": name,
            "peer_rate": round(rate, 1),
            "ratio": round(own / rate, 1),
            "goal": 10 if "dwt" in name else None,
        }
        for name, rate in median.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--pictures", type=Path, help="draw the Bland–Altman plots into this folder")
    parser.add_argument("--quick", action="store_true", help="without peers")
    options = parser.parse_args()
    reference = json.loads((SHARED / "score/ref_ludb_open.json").read_text())
    records = {name: next(iter(read(SHARED / f"data/ecg/ludb/data/{name}.hea"))) for name in reference}
    used = {"cardioloom": ours} if options.quick else methods()
    found: dict[str, dict[str, Leads]] = {name: {} for name in used}
    for name, record in records.items():
        peaks = r_peaks(record.signal, FS)
        for method, find in used.items():
            with warnings.catch_warnings():
                warnings.simplefilter("error" if method == "cardioloom" else "ignore")
                found[method][name] = find(record.signal, peaks)
    rows = speed([record.signal for record in list(records.values())[:20]], repeats=7, with_peers=not options.quick)
    for half in ("reporting", "tuning"):
        names = [name for name in records if ludb_half(name) == half]
        rows += accuracy(half, names, reference, found)
        for method in used:
            pairs = compared(names, records, reference, found[method], is_ours=method == "cardioloom")
            rows += agreement(half, method, pairs)
            if options.pictures and method == "cardioloom" and half == "reporting":
                draw(pairs, options.pictures)
    rows += chapman()
    for bench in dict.fromkeys(row["bench"] for row in rows):
        part = [row for row in rows if row["bench"] == bench]
        print(table(part, [key for key in part[0] if key != "bench"]) + "\n")
    if FAILED:
        print("leads on which a peer raised: " + ", ".join(f"{name} {n}" for name, n in FAILED.items()))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


def compared(
    names: list[str], records: dict[str, ECG], reference: dict[str, Leads], found: dict[str, Leads], *, is_ours: bool
) -> dict[str, list[tuple[float, float]]]:
    """quantity → (method's, experts') values of the patients for whom both have one."""
    pairs: dict[str, list[tuple[float, float]]] = {}
    for name in names:
        recorded = records[name].counts
        assert recorded is not None, f"{name} carries no counts"
        counts = np.asarray(recorded.values)
        experts = reference_beats(reference[name])
        truth = intervals_of(experts) | axes_of(experts, counts)
        if is_ours:
            own = measured(records[name])
        else:
            marks = reference_beats(found[name])
            own = intervals_of(marks) | axes_of(marks, counts)
        for what in truth.keys() & own.keys():
            pairs.setdefault(what, []).append((own[what], truth[what]))
    return {what: pairs[what] for what in (*INTERVALS, "p_axis", "qrs_axis", "t_axis")}


if __name__ == "__main__":
    main()
