"""Bootstrap of AUROC and AUPRC, 150 labels × 20,000 records × 1000 draws, beside a loop of scikit-learn.

python benchmarks/bootstrap_auroc.py [--json OUT] [--repeats N]

One thread each. The loop is timed on a sample of its 150,000 evaluations and extrapolated (it would take from twenty
minutes up); plain numpy on every tenth label, likewise. Scores are random: as many ties as rounding to 1e-4 gives.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from cardioloom.evaluation.bootstrap import patient_draws
from cardioloom.evaluation.bootstrap_labels import bootstrap_labels
from cardioloom.evaluation.checks import coded_patients
from rows import parser, show

N_RECORDS, N_LABELS, N_PATIENTS, DRAWS, SEED = 20_000, 150, 14_000, 1000, 0
SAMPLE = 60  # evaluations of scikit-learn a repeat
EVERY = 10  # labels, of plain numpy
PEERS = {"auroc": roc_auc_score, "auprc": average_precision_score}
GOALS = {("auroc", "cardioloom"): 250.0, ("auroc", "cardioloom, plain numpy"): 15.0}


def cohort() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth and scores (record, label) of rare to common labels, patients (record,)."""
    rng = np.random.default_rng(SEED)
    truth = (rng.random((N_RECORDS, N_LABELS)) < np.geomspace(0.002, 0.4, N_LABELS)).astype(float)
    score = np.clip(rng.normal(0.3 + 0.2 * truth, 0.15), 0, 1).round(4)
    return truth, score, rng.integers(0, N_PATIENTS, N_RECORDS)


def timed(call: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    """Seconds and result."""
    start = time.perf_counter()
    found = call()
    return time.perf_counter() - start, found


def rows_of(metric: str, repeats: int) -> list[dict[str, object]]:
    """scikit-learn, ours, and ours in plain numpy, interleaved."""
    truth, score, patients = cohort()
    codes = coded_patients(patients, N_RECORDS)
    counts = patient_draws(int(codes.max()) + 1, draws=DRAWS, seed=SEED)
    rng, peer = np.random.default_rng(1), PEERS[metric]
    labels = rng.integers(0, N_LABELS // EVERY, SAMPLE) * EVERY
    draws = rng.integers(0, DRAWS, SAMPLE)
    drawn = [np.repeat(np.arange(N_RECORDS), counts[codes, draw]) for draw in draws]

    def loop() -> np.ndarray:
        each = zip(drawn, labels, strict=True)
        return np.array([peer(truth[rows, label], score[rows, label]) for rows, label in each])

    def ours() -> np.ndarray:
        return bootstrap_labels(metric, truth, score, patients, draws=DRAWS, seed=SEED, threads=1)

    def plain() -> np.ndarray:
        some = slice(None, None, EVERY)
        given = truth[:, some], score[:, some], patients
        return bootstrap_labels(metric, *given, draws=DRAWS, seed=SEED, threads=1, plain=True)

    bootstrap_labels(metric, truth[:, :1], score[:, :1], patients, draws=100, threads=1)  # compiled, or read from disk
    seconds: dict[str, list[float]] = {"scikit-learn": [], "cardioloom": [], "cardioloom, plain numpy": []}
    for _ in range(repeats):
        took, expected = timed(loop)
        seconds["scikit-learn"].append(took * N_LABELS * DRAWS / SAMPLE)
        took, fast = timed(ours)
        seconds["cardioloom"].append(took)
        took, slow = timed(plain)
        seconds["cardioloom, plain numpy"].append(took * EVERY)
    differences = {
        "scikit-learn": None,
        "cardioloom": float(np.abs(fast[draws, labels] - expected).max()),
        "cardioloom, plain numpy": float(np.abs(slow[draws, labels // EVERY] - expected).max()),
    }
    whole = {case: statistics.median(found) for case, found in seconds.items()}
    return [
        {
            "bench": "bootstrap_auroc",
            "metric": metric,
            "case": case,
            "s_for_150_labels_x_1000_draws": took,
            "evaluations_per_s": N_LABELS * DRAWS / took,
            "extrapolated": {"scikit-learn": f"{SAMPLE} evaluations", "cardioloom": "no"}.get(case, "15 labels"),
            "ratio": whole["scikit-learn"] / took,
            "goal": GOALS.get((metric, case)),
            "largest_difference": differences[case],
        }
        for case, took in whole.items()
    ]


def main() -> None:
    """Measure and print or write the rows."""
    options = parser(__doc__)
    options.add_argument("--repeats", type=int, default=5)
    arguments = options.parse_args()
    rows = [row for metric in PEERS for row in rows_of(metric, arguments.repeats)]
    show(rows, arguments.json)


if __name__ == "__main__":
    main()
