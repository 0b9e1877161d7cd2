"""Differences between two methods on the same simulated patients, with intervals: from judged.parquet of their runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from ptacl_relations import LESS, LESS_P1, UNSTATED, key

from cardioloom.errors import NotEstimableError
from cardioloom.evaluation.compare import paired_bootstrap
from cardioloom.recipes.ptacl_keep import BY_STUDY

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Metric = Callable[[Rows], float]


def differences(runs: Path, seeds: Sequence[int], of: str | None = None) -> dict[str, dict[str, Any]]:
    """Second less first of each pair of methods, mean over the seeds that both have, on the same draws of the patients.

    The interval is of other patients of the test split, with the nets as they were trained.

    Args:
        runs: folder of the runs.
        seeds: of which runs may be there.
        of: one method, for its pairs alone.
    """
    found = {}
    for what, pairs, metric in (("R²", LESS + UNSTATED, mean_r2), ("P@1", LESS_P1, mean_hits)):
        for first, second in (pair for pair in pairs if of is None or of in pair):
            tables = [
                [runs / f"{name}-{seed}" / BY_STUDY for name in (second, first)]
                for seed in seeds
                if all((runs / f"{name}-{seed}" / BY_STUDY).exists() for name in (second, first))
            ]
            if tables:
                sides = [_over([metric(path) for path in side]) for side in zip(*tables, strict=True)]
                patients = _patients(tables)
                try:
                    compared = paired_bootstrap(sides[0], sides[1], patients)
                except NotEstimableError:  # in a trial of few studies, of which judged.json has no mean either
                    continue
                found[key(what, first, second)] = compared.to_json() | {"seeds": len(tables)}
    return found


def mean_r2(path: Path) -> Metric:
    """Of studies of a run, the mean over its outputs of R² over those in which the truth is known.

    An output whose truth does not vary there has none and is left out, as in judged.json.
    """
    truth, estimate = (_columns(path, f"_{side}") for side in ("truth", "estimate"))

    def metric(rows: Rows) -> float:
        y, error = truth[rows], (truth[rows] - estimate[rows]) ** 2
        known = ~np.isnan(y)
        varies = np.where(known, y, -np.inf).max(axis=0) > np.where(known, y, np.inf).min(axis=0)
        if not varies.any():
            raise NotEstimableError(f"R² needs a truth that varies, got none in {path}: add studies")
        mean = np.nansum(y, axis=0) / np.maximum(known.sum(axis=0), 1)
        spread = np.nansum((y - mean) ** 2, axis=0)
        return float(np.mean(1 - np.nansum(error, axis=0)[varies] / spread[varies]))

    return metric


def mean_hits(path: Path) -> Metric:
    """Of ECGs of a run, the mean over phenotypes of P@1."""
    hits = _columns(path, "_hit")
    return lambda rows: float(np.nanmean(hits[rows], axis=0).mean())


def _columns(path: Path, tail: str) -> Floats:
    table = pq.read_table(path)
    return np.stack([table[name].to_numpy() for name in table.column_names if name.endswith(tail)], axis=1)


def _patients(tables: Sequence[Sequence[Path]]) -> list[str]:
    """Of the studies; SystemExit where two runs were judged on others."""
    read = [pq.read_table(path, columns=["study_id", "patient_id"]) for pair in tables for path in pair]
    if any(not table.equals(read[0]) for table in read):
        raise SystemExit(
            f"{tables[0][0].parent.parent}: its runs were judged on different studies: begin another folder"
        )
    return read[0]["patient_id"].to_pylist()


def _over(metrics: Sequence[Metric]) -> Metric:
    """The mean over seeds."""
    return lambda rows: float(np.mean([metric(rows) for metric in metrics]))
