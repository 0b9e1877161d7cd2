"""Bootstrap intervals of AUROC and AUPRC for many labels at once, and the table of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation import bootstrap_kernels as kernels
from cardioloom.evaluation.bootstrap import DRAWS, LEVEL, Resampled, patient_draws
from cardioloom.evaluation.checks import Codes, Floats, Patients, checked, coded_patients, names_of
from cardioloom.evaluation.discrimination import auroc, average_precision, macro, metric_named
from cardioloom.evaluation.estimate import Estimate, estimated
from cardioloom.prepare.median import compiled

MAX_DRAWN = 2**31  # records of one draw: the kernels count in 32 bits
# {metric: (compiled pass, numpy pass)}
PASSES: dict[str, tuple[Callable[..., None], Callable[..., None]]] = {
    "auroc": (kernels.auroc_pass, kernels.auroc_numpy),
    "auprc": (kernels.precision_pass, kernels.precision_numpy),
}
POINT = {"auroc": auroc, "auprc": average_precision}


@dataclass(frozen=True)
class _Job:
    """What every label of one call shares."""

    metric: str
    patients: Codes
    blocks: list[NDArray[np.unsignedinteger]]  # (patient, draw) each
    one_pass: Callable[..., None]


def bootstrap_labels(
    metric: str,
    truth: ArrayLike,
    score: ArrayLike,
    patients: Patients,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    threads: int | None = None,
    plain: bool = False,
) -> Floats:
    """The metric of every label on every draw of the patients.

    All labels see the same draws, so that their values can be averaged or subtracted draw by draw.

    Args:
        metric: "auroc" or "auprc".
        truth: (record, label) 0 or 1, NaN = not labelled. score: (record, label) probabilities.
        patients: (record,) None = each record its own patient.
        draws, seed: see `patient_draws`.
        threads: None = one a core; they do not change the result.
        plain: without compiled code; the same AUROC to the bit, AUPRC to rounding.

    Returns:
        (draw, label) NaN where a draw holds one class only.

    Raises:
        UsageError: as `checked`, `coded_patients`, `patient_draws`.
    """
    metric_named(metric)
    truth, score = checked(truth, score)
    coded = coded_patients(patients, len(truth))
    counts = patient_draws(int(coded.max(initial=-1)) + 1, draws=draws, seed=seed)
    if counts.shape[0] * int(np.bincount(coded).max()) >= MAX_DRAWN:
        raise UsageError(f"a bootstrap draw holds up to {MAX_DRAWN} records, these could give more: evaluate fewer")
    blocks = [np.ascontiguousarray(counts[:, i : i + kernels.LANES]) for i in range(0, draws, kernels.LANES)]
    fast, slow = PASSES[metric]
    job = _Job(metric, coded, blocks, slow if plain else compiled(fast))
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        columns = list(pool.map(lambda column: _one_label(job, *column), zip(truth.T, score.T, strict=True)))
    return np.stack(columns, axis=1)


def _one_label(job: _Job, truth: Floats, score: Floats) -> Floats:
    """(draw,) of one label, given its columns (record,)."""
    labelled = ~np.isnan(truth)
    records = kernels.sort(truth[labelled] == 1, score[labelled], job.patients[labelled])
    values = []
    for weights in job.blocks:
        n_lanes = weights.shape[1]
        area = np.zeros(n_lanes, np.int64 if job.metric == "auroc" else np.float64)
        n_positive, n_negative = np.zeros(n_lanes, np.int32), np.zeros(n_lanes, np.int32)
        if len(records.kind):
            job.one_pass(records.patient, records.kind, weights, area, n_positive, n_negative)
        whole = 2.0 * n_positive * n_negative if job.metric == "auroc" else np.where(n_negative > 0, n_positive, 0)
        values.append(np.divide(area, whole, out=np.full(n_lanes, np.nan), where=whole > 0))
    return np.concatenate(values)


def label_table(
    truth: ArrayLike,
    score: ArrayLike,
    patients: Patients,
    *,
    labels: Sequence[str] | None = None,
    metrics: Sequence[str] = ("auroc", "auprc"),
    draws: int = DRAWS,
    seed: int = 0,
    level: float = LEVEL,
) -> list[dict[str, Any]]:
    """One row a label, and last the macro average, each metric with its interval or the reason why there is none.

    Returns:
        ``[{"label": "AF", "auroc": Estimate.to_json(), "auprc": …}, …, {"label": "macro", …, "left_out": {…}}]``. The
        macro average of a draw is over the labels that the draw can give, as `macro` is over those the data can give.

    Raises:
        UsageError: as `bootstrap_labels`.
    """
    truth, score = checked(truth, score)
    names = names_of(labels, truth.shape[1])
    rows: list[dict[str, Any]] = [{"label": name} for name in names]
    whole: dict[str, Any] = {"label": "macro"}
    for metric in metrics:
        values = bootstrap_labels(metric, truth, score, patients, draws=draws, seed=seed)
        for row, name, column, scores, drawn in zip(rows, names, truth.T, score.T, values.T, strict=True):
            row[metric] = _estimate(metric, name, column, scores, Resampled(drawn, level)).to_json()
        try:
            average = macro(metric, truth, score, labels=names)
        except NotEstimableError as error:
            whole[metric] = Estimate(None, n=len(truth), reason=str(error)).to_json()
            continue
        resampled = Resampled(macro_of_draws(values), level)
        whole[metric] = resampled.estimate(average.value, n=len(truth)).to_json()
        whole["left_out"] = average.left_out
    return [*rows, whole]


def macro_of_draws(values: Floats) -> Floats:
    """(draw,) mean over the labels that each draw can give, from (draw, label); NaN where it can give none."""
    known = np.isfinite(values)
    total, n_labels = np.where(known, values, 0.0).sum(axis=1), known.sum(axis=1)
    return np.divide(total, n_labels, out=np.full(len(values), np.nan), where=n_labels > 0)


def _estimate(metric: str, name: str, truth: Floats, score: Floats, resampled: Resampled) -> Estimate:
    """One label's metric with its interval, or why there is none."""
    labelled = ~np.isnan(truth)
    n, events = int(labelled.sum()), int((truth[labelled] == 1).sum())
    point = estimated(lambda: POINT[metric](truth, score, name=name), n, events)
    return point if point.value is None else resampled.estimate(point.value, n=n, events=events)
