"""Harrell's C of 100,000 patients beside lifelines, the same value.

python benchmarks/concordance.py [--json OUT] [--patients N] [--repeats N]

Times follow a Cox model of the risk, cut off by censoring at three rates; once with times in days and risks of two
digits, so that both tie. Values are compared before anything is timed; calls are interleaved, medians. The first call
of the process, which imports numba and loads or makes the compiled code, is given on its own.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
from lifelines.utils import concordance_index

from cardioloom.evaluation.survival import harrell_c
from rows import parser, show

GOAL = 25.0
CASES = {"a tenth have the event": 0.1, "half have the event": 0.5, "nine tenths have the event": 0.9}


def patients(n: int, share: float, *, ties: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Years, events and risks of n simulated patients of whom a share have the event."""
    rng = np.random.default_rng(0)
    risk = rng.normal(size=n)
    years, event = rng.exponential(5 * np.exp(-risk)) + 0.01, rng.random(n) < share
    years = np.where(event, years, years * rng.random(n) + 0.001)
    return (np.ceil(years * 365.25) / 365.25, event, np.round(risk, 2)) if ties else (years, event, risk)


def row_of(name: str, n: int, share: float, repeats: int, *, ties: bool) -> dict[str, object]:
    """Median seconds of both on one cohort, and how far their values differ."""
    years, event, risk = patients(n, share, ties=ties)
    start = time.perf_counter()
    ours = harrell_c(years, event, risk)
    first = time.perf_counter() - start
    theirs = float(concordance_index(years, -risk, event))
    if ours != theirs:
        raise SystemExit(f"the values differ on {name}: {ours} and {theirs}")
    seconds: dict[str, list[float]] = {"ours": [], "lifelines": []}
    for _ in range(repeats):
        start = time.perf_counter()
        harrell_c(years, event, risk)
        seconds["ours"].append(time.perf_counter() - start)
        start = time.perf_counter()
        concordance_index(years, -risk, event)
        seconds["lifelines"].append(time.perf_counter() - start)
    mine, peer = (statistics.median(seconds[who]) for who in ("ours", "lifelines"))
    return {
        "bench": "concordance",
        "case": name + (", times and risks tie" if ties else ""),
        "patients": n,
        "C": ours,
        "lifelines_ms": 1000 * peer,
        "cardioloom_ms": 1000 * mine,
        "first_call_ms": 1000 * first,
        "ratio": peer / mine,
        "goal": GOAL,
        "difference": ours - theirs,
    }


def main() -> None:
    """Measure and print or write the rows."""
    options = parser(__doc__)
    options.add_argument("--patients", type=int, default=100_000)
    options.add_argument("--repeats", type=int, default=9)
    arguments = options.parse_args()
    rows = [
        row_of(name, arguments.patients, share, arguments.repeats, ties=ties)
        for ties in (False, True)
        for name, share in CASES.items()
    ]
    show(rows, arguments.json)


if __name__ == "__main__":
    main()
