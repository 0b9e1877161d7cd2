"""R peaks: accuracy on real recordings, clean and with graded noise, and speed, beside the peers in the same run.

    python benchmarks/r_peaks.py [--json OUT] [--quick]

Peers (neurokit2, biosppy, wfdb) that are not installed are named and left out. The shared recordings are found by
CARDIOLOOM_SHARED, else beside the repository.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import importlib.util
import json
import os
import statistics
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from cardioloom.prepare.beats import r_peaks, r_peaks_batch

SHARED = Path(os.environ.get("CARDIOLOOM_SHARED", Path(__file__).resolve().parents[2] / "shared"))
LEAD_II = 1
NOISES = ("white", "muscle", "wander", "mains", "motion")
SNRS_DB = (18, 12, 6, 0)
FAILED: Counter[str] = Counter()  # errors of peers by name
Detector = Callable[[np.ndarray, float], np.ndarray]  # (lead, time) mV, Hz → R peaks, s


def ours(leads: slice) -> Detector:
    return lambda signal, fs: r_peaks(signal[leads], fs) / fs


def neurokit(method: str) -> Detector:
    import neurokit2 as nk

    def detect(signal: np.ndarray, fs: float) -> np.ndarray:
        clean = nk.ecg_clean(signal[LEAD_II].astype(float), sampling_rate=int(fs), method=method)
        _, found = nk.ecg_peaks(clean, sampling_rate=int(fs), method=method)
        return np.asarray(found["ECG_R_Peaks"]) / fs

    return detect


def hamilton(signal: np.ndarray, fs: float) -> np.ndarray:
    from biosppy.signals import ecg, tools

    lead = signal[LEAD_II].astype(float)
    filtered, _, _ = tools.filter_signal(lead, "FIR", "bandpass", int(0.3 * fs), [3, 45], fs)
    rough = ecg.hamilton_segmenter(filtered, fs)["rpeaks"]
    return np.asarray(ecg.correct_rpeaks(filtered, rough, fs, tol=0.05)["rpeaks"]) / fs


def xqrs(signal: np.ndarray, fs: float) -> np.ndarray:
    from wfdb.processing import xqrs_detect

    lead = signal[LEAD_II].astype(float)
    # Its thresholds expect millivolts; 2 mV peak to peak is the kindest scale for it.
    return np.asarray(xqrs_detect(lead * (2.0 / max(np.ptp(lead), 1e-9)), fs, verbose=False)) / fs


def peers(methods: Iterable[str]) -> dict[str, Detector]:
    """Detectors of the peers that can be imported, all on lead II."""
    found = {f"NeuroKit2 {method}": neurokit(method) for method in methods} if _installed("neurokit2") else {}
    found |= {"biosppy hamilton": hamilton} if _installed("biosppy") else {}
    return found | ({"wfdb xqrs (2 mV)": xqrs} if _installed("wfdb") else {})


def _installed(name: str) -> bool:
    if importlib.util.find_spec(name) is not None:
        return True
    print(f"{name} is not installed: its rows are left out")
    return False


def ludb_half(record: str) -> str:
    return "reporting" if hashlib.sha256(f"ludb/{record}".encode()).digest()[-1] % 2 else "tuning"


def load_ludb() -> dict[str, np.ndarray]:
    """{record: (12, time) mV at 500 Hz} of the records that have reference marks."""
    import wfdb

    names = sorted((path.with_suffix("") for path in (SHARED / "data/ecg/ludb/data").glob("*.hea")), key=str)
    return {name.name: wfdb.rdrecord(str(name)).p_signal.T.astype(np.float32) for name in names}


def load_all() -> list[tuple[str, np.ndarray, float]]:
    """Every record of data/ecg by its own reader: (name, (lead, time) mV, Hz)."""
    sys.path.insert(0, str(SHARED / "data/ecg"))
    import read_ecg  # pyright: ignore[reportMissingImports]

    records = []
    with (SHARED / "data/ecg/records.csv").open() as table:
        for row in csv.DictReader(table):
            if row["source"] != "ptbxl_predictions":
                signal, fs = read_ecg.read(str(SHARED / "data/ecg"), row)
                records.append((f"{row['source']}/{row['record_id']}", signal.astype(np.float32), float(fs)))
    return records


def noise(kind: str, shape: tuple[int, int], fs: float, rng: np.random.Generator) -> np.ndarray:
    """(lead, time) noise of one kind; independent between leads except the mains' and the motion's times."""
    n_leads, n_samples = shape
    if kind == "white":
        return rng.standard_normal(shape)
    if kind == "muscle":
        return _in_band(rng.standard_normal(shape), fs, 15, 150)
    if kind == "wander":
        return _in_band(rng.standard_normal(shape), fs, 0.05, 0.6)
    if kind == "mains":
        phase, strength = rng.uniform(0, 2 * np.pi, (n_leads, 1)), rng.uniform(0.5, 1.5, (n_leads, 1))
        return strength * np.sin(2 * np.pi * 50 * np.arange(n_samples) / fs + phase)
    # Motion of electrodes: bursts of 1–12 Hz at times common to all leads, from two sources mixed into each lead.
    sources = _in_band(rng.standard_normal((2, n_samples)), fs, 1, 12)
    gate = np.zeros(n_samples)
    for _ in range(max(1, round(n_samples / fs / 4))):
        start, length = rng.integers(n_samples), int(rng.uniform(0.4, 1.2) * fs)
        gate[start : start + length] = np.hanning(length)[: n_samples - start]
    return rng.standard_normal((n_leads, 2)) @ (sources * gate)


def _in_band(x: np.ndarray, fs: float, low: float, high: float) -> np.ndarray:
    hz = np.fft.rfftfreq(x.shape[-1], 1 / fs)
    return np.fft.irfft(np.fft.rfft(x) * ((hz >= low) & (hz <= high)), x.shape[-1])


def with_noise(signal: np.ndarray, fs: float, kind: str, snr_db: float, seed: str) -> np.ndarray:
    """The signal plus noise of that ratio of powers, lead by lead."""
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big"))
    added = noise(kind, signal.shape, fs, rng)
    ratio = signal.var(axis=1, dtype=np.float64) / np.maximum(added.var(axis=1), 1e-30)
    return (signal + added * np.sqrt(ratio * 10 ** (-snr_db / 10))[:, None]).astype(np.float32)


class Scores:
    """Counts by data, method and tolerance, by the shared scorer; what was missed or false, by record and time."""

    def __init__(self) -> None:
        sys.path.insert(0, str(SHARED / "score"))
        import score_marks  # pyright: ignore[reportMissingImports]

        self.scorer = score_marks
        self.reference = json.loads((SHARED / "score/ref_ludb_open.json").read_text())
        self.counts: dict[tuple[str, str, int], list[int]] = {}
        self.errors: list[str] = []

    def add(self, data: str, method: str, record: str, lead: dict, found: np.ndarray, *, listed: bool = False) -> None:
        result = self.scorer.score_lead(lead, {"r_peak": found.tolist()}, ["r_peak"])
        if result is None:
            return
        for tolerance in (150, 75):
            tp, fp, fn = result["r_peak"][tolerance][:3]
            total = self.counts.setdefault((data, method, tolerance), [0, 0, 0])
            total[:] = [total[0] + tp, total[1] + fn, total[2] + fp]
            if listed and fp + fn:
                self.errors.append(f"{method}, record {record}, {tolerance} ms: {self._where(lead, found, tolerance)}")

    def _where(self, lead: dict, found: np.ndarray, tolerance: int) -> str:
        pairs = self.scorer.match(lead["r_peak"], found.tolist(), tolerance / 1000)
        marks = [t for name, times in lead.items() if not name.startswith("_") for t in times]
        missed = [t for i, t in enumerate(lead["r_peak"]) if i not in {i for i, _ in pairs}]
        false = [t for j, t in enumerate(found) if j not in {j for _, j in pairs} and min(marks) <= t <= max(marks)]
        return f"missed at {np.round(missed, 2).tolist()} s, false at {np.round(false, 2).tolist()} s"

    def rows(self) -> list[dict]:
        rows = []
        for (data, method, tolerance), (tp, fn, fp) in self.counts.items():
            row = {"bench": "r_peaks_accuracy", "data": data, "method": method, "tolerance_ms": tolerance}
            rates = {"se": tp / max(tp + fn, 1), "ppv": tp / max(tp + fp, 1), "f1": 2 * tp / max(2 * tp + fp + fn, 1)}
            row |= {"tp": tp, "fn": fn, "fp": fp} | {name: round(rate, 4) for name, rate in rates.items()}
            rows.append(row)
        return rows


def accuracy(scores: Scores, ludb: dict[str, np.ndarray], detectors: dict[str, Detector], snrs: Iterable[int]) -> None:
    for record, signal in ludb.items():
        half, lead = ludb_half(record), scores.reference[record]["ii"]
        for method, detect in detectors.items():
            found = attempt(method, detect, signal, 500.0)
            for data in (f"LUDB II, {half} half", "LUDB II, both halves"):
                scores.add(data, method, record, lead, found, listed="both" in data and method.startswith("cardioloom"))
        if half == "reporting":
            for kind in NOISES:
                for snr in snrs:
                    noisy = with_noise(signal, 500.0, kind, snr, f"{kind}/{snr}/{record}")
                    for method, detect in detectors.items():
                        found = attempt(method, detect, noisy, 500.0)
                        scores.add(f"LUDB II + {kind} {snr} dB", method, record, lead, found)
                        scores.add("LUDB II + noise, all", method, record, lead, found)


def attempt(method: str, detect: Detector, signal: np.ndarray, fs: float) -> np.ndarray:
    """What a detector finds; a peer that raises has found nothing, which is counted; ours may not raise."""
    if method.startswith("cardioloom"):
        return detect(signal, fs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return np.asarray(detect(signal, fs), float)
        except Exception as error:  # noqa: BLE001
            FAILED[f"{method} {type(error).__name__}"] += 1
            return np.empty(0)


def mit_100(scores: Scores) -> None:
    """The whole 30 minutes within 100 ms."""
    import wfdb

    signal = wfdb.rdrecord(str(SHARED / "data/formats/wfdb_physionet/100")).p_signal.T.astype(np.float32)
    reference = json.loads((SHARED / "score/ref_mitdb100.json").read_text())["100"]["MLII"]["r_peak"]
    for method, rows in (("cardioloom, both leads", slice(None)), ("cardioloom, MLII", slice(1))):
        found = (r_peaks(signal[rows], 360.0) / 360.0).tolist()
        tp = len(scores.scorer.match(reference, found, 0.1))
        scores.counts["MIT-BIH 100, 30 min", method, 100] = [tp, len(reference) - tp, len(found) - tp]


def plausible() -> list[str]:
    """Sentences on records of data/ecg with an unusual rate or RR interval; every record is read without an error."""
    odd, records = [], load_all()
    for name, signal, fs in records:
        rr = np.diff(r_peaks(signal, fs)) / fs
        middle = float(np.median(rr)) if rr.size else np.inf
        if rr.size < 3:
            odd.append(f"{name}: {rr.size + 1} beats or fewer in {signal.shape[1] / fs:.0f} s")
        elif not 30 <= 60 / middle <= 220 or rr.max() > 2 * middle or rr.min() < 0.45 * middle:
            odd.append(f"{name}: {60 / middle:.0f}/min, RR {rr.min():.2f}–{rr.max():.2f} s, median {middle:.2f} s")
    return [f"{len(records)} records, {len(odd)} with an unusual rate or interval", *odd]


def speed(ludb: dict[str, np.ndarray], methods: Iterable[str], *, repeats: int) -> list[dict]:
    """Leads a second on 10 s, 12 leads, 500 Hz: medians of interleaved repeats, one record after the other."""
    signals = [ludb[name] for name in list(ludb)[:20]]
    stack = np.stack(signals)
    ways: dict[str, tuple[int, Callable[[], object]]] = {
        "cardioloom": (12 * len(signals), lambda: [r_peaks(signal, 500.0) for signal in signals]),
        "cardioloom, batch": (12 * len(signals), lambda: r_peaks_batch(stack, 500.0)),
        "cardioloom, one lead": (len(signals), lambda: [r_peaks(signal[1:2], 500.0) for signal in signals]),
    }
    for name, detect in peers(methods).items():
        ways[name] = (3, lambda name=name, detect=detect: [attempt(name, detect, x, 500.0) for x in signals[:3]])
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(repeats + 1):
        for name, (n_leads, way) in ways.items():
            start = time.perf_counter()
            way()
            if repeat:  # the first warms up
                rates[name].append(n_leads / (time.perf_counter() - start))
    median = {name: statistics.median(values) for name, values in rates.items()}
    raised = {failure.rsplit(" ", 1)[0] for failure in FAILED}  # an error is quick: no rate
    rivals = {name: rate for name, rate in median.items() if name not in raised and not name.startswith("cardioloom")}
    fastest = max(
        (name for name in rivals if name.startswith("NeuroKit2")), key=lambda name: rivals[name], default=None
    )
    rows = []
    for ours_name in ("cardioloom", "cardioloom, batch", "cardioloom, one lead"):
        for name, rate in rivals.items():
            row = {"bench": "r_peaks", "case": f"{ours_name}, 10 s, 500 Hz", "peer": name, "peer_rate": round(rate, 1)}
            row |= {"our_rate": round(median[ours_name], 1), "ratio": round(median[ours_name] / rate, 2)}
            row |= {"goal": 5.0 if name == fastest and ours_name == "cardioloom" else None, "unit": "leads/s"}
            rows.append(row | {"note": "the peer one lead at a time, its cleaning included"})
    return rows


def table(rows: list[dict], keys: list[str]) -> str:
    lines = ["| " + " | ".join(keys) + " |", "|" + "---|" * len(keys)]
    lines += ["| " + " | ".join("" if row[key] is None else str(row[key]) for key in keys) + " |" for row in rows]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--quick", action="store_true", help="6 dB only, fewer repeats")
    options = parser.parse_args()
    ludb, scores = load_ludb(), Scores()
    rows = speed(ludb, ("pantompkins", "neurokit", "hamilton", "kalidas2017"), repeats=3 if options.quick else 9)
    print(table(rows, ["case", "peer", "peer_rate", "our_rate", "ratio", "goal"]) + "\n", flush=True)
    mit_100(scores)
    detectors = {"cardioloom, all leads": ours(slice(None)), "cardioloom, II": ours(slice(LEAD_II, LEAD_II + 1))}
    accuracy(scores, ludb, detectors | peers(("neurokit",)), (6,) if options.quick else SNRS_DB)
    found = sorted(scores.rows(), key=lambda row: (row["data"], row["tolerance_ms"], -row["f1"]))
    print(table(found, ["data", "tolerance_ms", "method", "tp", "fn", "fp", "se", "ppv", "f1"]) + "\n")
    if FAILED:
        print("errors raised by peers, counted as nothing found: " + ", ".join(f"{k} {n}" for k, n in FAILED.items()))
    print("\n".join([*scores.errors, "", *plausible()]))
    if options.json:
        listed = [{"bench": "r_peaks_listed", "what": line} for line in [*scores.errors, *plausible()] if line]
        options.json.write_text(json.dumps(rows + found + listed, indent=1))


if __name__ == "__main__":
    main()
