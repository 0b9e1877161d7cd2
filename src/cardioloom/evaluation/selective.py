"""What a model gains by abstaining: risk and accuracy over the records that it is most confident of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation.checks import Floats, numbers


@dataclass(frozen=True)
class RiskCoverage:
    """The curve of the mean loss over the most confident share of the records.

    Args:
        coverage: (record,) 1/n … 1.
        risk: (record,) mean loss over that share, in the unit of the loss.
        confidence: (record,) the lowest confidence that is in it: answer from there up.
    """

    coverage: Floats
    risk: Floats
    confidence: Floats

    @property
    def area(self) -> float:
        """AURC, the mean risk over all coverages (Geifman et al. 2019, arXiv:1805.08206); lower is better."""
        return float(self.risk.mean())


def binary_confidence(score: ArrayLike, threshold: float = 0.5) -> Floats:
    """(record,) how far a probability is from the threshold, as a share of the way to 0 or to 1.

    Raises:
        UsageError: if scores are no probabilities, or the threshold is not inside 0 … 1.
    """
    score = numbers(score, "scores")
    if not ((score >= 0) & (score <= 1)).all():
        raise UsageError("scores must be probabilities from 0 to 1, got values outside or NaN: apply the sigmoid first")
    if not 0 < threshold < 1:
        raise UsageError(f"the threshold must be between 0 and 1, got {threshold}")
    return np.where(score >= threshold, (score - threshold) / (1 - threshold), (threshold - score) / threshold)


def risk_coverage(confidence: ArrayLike, loss: ArrayLike) -> RiskCoverage:
    """The risk–coverage curve (El-Yaniv & Wiener 2010, JMLR 11).

    Records of equal confidence each count their mean loss: what a random order among them gives on average, so that the
    order of the records does not matter.

    Args:
        confidence: (record,) higher = surer, any scale.
        loss: (record,) 0 or 1 for wrong decisions, or any finite loss.

    Raises:
        UsageError: if arguments differ in length or are not finite numbers.
        NotEstimableError: if there is no record.
    """
    confidence, loss = numbers(confidence, "confidence"), numbers(loss, "the loss")
    if confidence.shape != loss.shape or confidence.ndim != 1:
        raise UsageError(f"confidence and loss must both be (record,), got {confidence.shape} and {loss.shape}")
    if not (np.isfinite(confidence).all() and np.isfinite(loss).all()):
        raise UsageError("confidence and loss must be finite, got NaN or infinite ones: drop those records")
    if len(loss) == 0:
        raise NotEstimableError("risk over coverage needs records, got none: add some")
    levels, group, sizes = np.unique(-confidence, return_inverse=True, return_counts=True)
    mean_loss = np.bincount(group, loss) / sizes
    n_covered = np.arange(1, len(loss) + 1)
    risk = np.cumsum(np.repeat(mean_loss, sizes)) / n_covered
    return RiskCoverage(n_covered / len(loss), risk, np.repeat(-levels, sizes))


def accuracy_at(confidence: ArrayLike, correct: ArrayLike, coverage: float) -> float:
    """The share of right decisions among the most confident ``coverage`` of the records (rounded up to whole records).

    Args:
        confidence: (record,). correct: (record,) bool or 0/1.
        coverage: above 0 and up to 1.

    Raises:
        UsageError, NotEstimableError: as `risk_coverage`.
    """
    if not 0 < coverage <= 1:
        raise UsageError(f"coverage must be above 0 and up to 1, got {coverage}")
    correct = numbers(correct, "correct decisions")
    if not ((correct == 0) | (correct == 1)).all():
        raise UsageError("correct decisions must be 0 or 1, got other numbers")
    curve = risk_coverage(confidence, 1 - correct)
    n_covered = int(np.ceil(coverage * len(correct) - 1e-9))  # 0.7 · 10 is 7, not 7.000…01
    return 1 - float(curve.risk[max(n_covered, 1) - 1])
