"""How well scores tell positives from negatives: AUROC and AUPRC, of one label and over labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation.checks import Bools, Floats, checked, names_of, need_both_classes, one_label

Metric = Callable[[Bools, Floats], float]


def auroc(truth: ArrayLike, score: ArrayLike, *, name: str = "this label") -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counting one half.

    Hanley & McNeil 1982, doi:10.1148/radiology.143.1.7063747.

    Args:
        truth: (record,) 0 or 1, NaN = not labelled, which is left out.
        score: (record,) probabilities.
        name: of the label, for the message.

    Raises:
        UsageError: if truth or scores are not that.
        NotEstimableError: if there is one class only.
    """
    positive, score = one_label(truth, score, "AUROC", name)
    return _auroc(positive, score)


def average_precision(truth: ArrayLike, score: ArrayLike, *, name: str = "this label") -> float:
    """Area under the precision–recall curve as average precision: Σ (recall_k − recall_{k−1}) · precision_k.

    Not the trapezoid, which interpolates between points that no threshold reaches (Davis & Goadrich 2006,
    doi:10.1145/1143844.1143874). Arguments and errors as `auroc`.
    """
    positive, score = one_label(truth, score, "AUPRC", name)
    return _average_precision(positive, score)


@dataclass(frozen=True)
class Average:
    """A metric over labels, and which labels it rests on.

    Args:
        value: the mean, weighted or not.
        labels: that entered.
        left_out: {label: why it is not estimable}.
    """

    value: float
    labels: tuple[str, ...]
    left_out: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """``left_out`` only where there is something to say."""
        known = {"value": self.value, "n_labels": len(self.labels)}
        return known | {"left_out": self.left_out} if self.left_out else known


def macro(
    metric: str, truth: ArrayLike, score: ArrayLike, *, labels: Sequence[str] | None = None, weighted: bool = False
) -> Average:
    """The mean of a metric over the labels that have both classes.

    ECGFounder's published evaluation counts a label without both classes as 0; here it is left out and named.

    Args:
        metric: "auroc" or "auprc".
        truth, score: (record, label).
        labels: names.
        weighted: by the number of positives of each label (scikit-learn's "weighted").

    Raises:
        UsageError: as `auroc`.
        NotEstimableError: if no label is estimable.
    """
    spoken, of_one = metric_named(metric)
    truth, score = checked(truth, score)
    values: dict[str, tuple[float, int]] = {}
    left_out: dict[str, str] = {}
    for name, column, scores in zip(names_of(labels, truth.shape[1]), truth.T, score.T, strict=True):
        labelled = ~np.isnan(column)
        positive = column[labelled] == 1
        try:
            need_both_classes(positive, spoken, name)
        except NotEstimableError as error:
            left_out[name] = str(error)
            continue
        values[name] = of_one(positive, scores[labelled]), int(positive.sum())
    if not values:
        raise NotEstimableError(
            f"macro {spoken} needs a label with both classes, got none among {len(left_out)}: add records"
        )
    found, positives = np.array(list(values.values())).T
    mean = np.average(found, weights=positives if weighted else None)
    return Average(float(mean), tuple(values), left_out)


def micro(metric: str, truth: ArrayLike, score: ArrayLike) -> float:
    """A metric of all labelled (record, label) pairs together, as if they were of one label.

    Args:
        metric: "auroc" or "auprc".
        truth, score: (record, label).

    Raises:
        UsageError, NotEstimableError: as `auroc`.
    """
    spoken, of_one = metric_named(metric)
    truth, score = checked(truth, score)
    positive, score = one_label(truth.ravel(), score.ravel(), spoken, "all labels together")
    return of_one(positive, score)


def _auroc(positive: Bools, score: Floats) -> float:
    """Both classes are there."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(positive, score))


def _average_precision(positive: Bools, score: Floats) -> float:
    """Both classes are there."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(positive, score))


# {name: (in messages, of the labelled records of one label that has both classes)}
METRICS: dict[str, tuple[str, Metric]] = {"auroc": ("AUROC", _auroc), "auprc": ("AUPRC", _average_precision)}


def metric_named(metric: str) -> tuple[str, Metric]:
    """The entry of METRICS.

    Raises:
        UsageError: if there is none.
    """
    if metric not in METRICS:
        raise UsageError(f"metrics over labels are {', '.join(METRICS)}, got {metric!r}")
    return METRICS[metric]
