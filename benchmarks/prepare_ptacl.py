"""The slow steps of the `ptacl` and `mmcl` preparations beside PyWavelets and scipy's sparse solver.

python benchmarks/prepare_ptacl.py [--json OUT] [--repeats N]

One record of 12 leads, 10 s at 500 Hz, one thread: 8 levels of db6, and 5 iterations of asymmetric least squares.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from cardioloom.prepare.baseline import least_squares_baseline
from cardioloom.prepare.wavelet import wavelet_band
from rows import in_turns, parser, show

LEADS, SAMPLES, LEVELS, FINEST = 12, 5000, 8, 2
STIFFNESS, P, ITERATIONS = 1e7, 0.3, 5
GOALS = {"wavelet": 1.5, "least squares": 60.0}
Signal = NDArray[np.float64]


def lead_by_lead(signal: Signal) -> Signal:
    """The same levels dropped, with PyWavelets."""
    import pywt

    out = []
    for row in signal:
        parts = pywt.wavedec(row, "db6", level=LEVELS)
        for i in (0, *range(-FINEST, 0)):
            parts[i] = np.zeros_like(parts[i])
        out.append(pywt.waverec(parts, "db6")[: len(row)])
    return np.stack(out)


def sparse_solves(signal: Signal) -> Signal:
    """Each lead and iteration by scipy.sparse.linalg.spsolve, as in MMCL's code; the penalty is made once."""
    from scipy import sparse
    from scipy.sparse.linalg import spsolve

    one = sparse.csr_array(sparse.eye_array(signal.shape[1]))
    second = one[:-2] - 2 * one[1:-1] + one[2:]
    penalty = (STIFFNESS * second.T @ second).tocsc()
    out = []
    for row in signal:
        weight, baseline = np.ones(len(row)), row
        for _ in range(ITERATIONS):
            baseline = spsolve(penalty + sparse.diags_array(weight, format="csc"), weight * row)
            weight = P * (row > baseline) + (1 - P) * (row < baseline)
        out.append(row - baseline)
    return np.stack(out)


def ours(signal: Signal) -> Signal:
    """All leads of a record at once."""
    return least_squares_baseline(signal, stiffness=STIFFNESS, p=P, iterations=ITERATIONS)


def rows_of(
    name: str, peer: str, cases: dict[str, Callable[[Signal], Signal]], repeats: int
) -> list[dict[str, object]]:
    """Median milliseconds a record, interleaved; and how far both results lie apart."""
    signal = np.random.default_rng(0).standard_normal((LEADS, SAMPLES)).cumsum(1) / 10
    results = {case: run(signal) for case, run in cases.items()}
    times = in_turns({case: partial(run, signal) for case, run in cases.items()}, repeats)
    seconds = {case: statistics.median(found) for case, found in times.wall.items()}
    return [
        {
            "bench": "prepare_ptacl",
            "step": name,
            "case": case,
            "ms_per_record": 1000 * seconds[case],
            "ratio": seconds[peer] / seconds[case],
            "goal": GOALS[name] if case == "cardioloom" else None,
            "largest_difference": float(np.abs(results[case] - results[peer]).max()),
        }
        for case in cases
    ]


def main() -> None:
    """Measure and print or write the rows."""
    options = parser(__doc__)
    options.add_argument("--repeats", type=int, default=9)
    repeats = options.parse_args().repeats
    wavelets = {"PyWavelets, lead by lead": lead_by_lead, "cardioloom": wavelet_band}
    solvers = {"scipy spsolve, lead by lead": sparse_solves, "cardioloom": ours}
    rows = rows_of("wavelet", "PyWavelets, lead by lead", wavelets, 10 * repeats)
    rows += rows_of("least squares", "scipy spsolve, lead by lead", solvers, repeats)
    show(rows, options.parse_args().json)


if __name__ == "__main__":
    main()
