"""Do probabilities mean what they say: reliability curve, slope and intercept, expected calibration error, Brier score.

All functions take one label: truth (record,) 0/1 with NaN = not labelled, score (record,) probabilities, and the
label's ``name`` for messages. They raise NotEstimableError where the labelled records are of one class, and
UsageError where truth or score cannot be.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import binomtest, norm

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation.checks import Floats, one_label
from cardioloom.evaluation.estimate import Estimate

Bins = Literal["width", "mass"]
# A probability of exactly 0 or 1 has no logit; float32 cannot tell nearer ones from 1.
NEAREST_TO_CERTAIN = 1e-7


def brier(truth: ArrayLike, score: ArrayLike, *, name: str = "this label") -> float:
    """Mean squared difference of probability and outcome (Brier, Monthly Weather Review 1950;78:1–3); 0 is perfect."""
    y, p = checked_label(truth, score, "the Brier score", name)
    return float(np.mean((p - y) ** 2))


def reliability(
    truth: ArrayLike, score: ArrayLike, *, bins: int = 10, equal: Bins = "width", name: str = "this label"
) -> list[dict[str, Any]]:
    """The reliability curve: in each bin of scores the mean score and the share of positives, with Wilson's interval.

    Wilson, J Am Stat Assoc 1927;22:209–212.

    Args:
        bins: their number; empty ones are left out.
        equal: "width" = bins of one width over 0–1, closed above (Guo et al. 2017); "mass" = by quantiles of the
            scores, equal scores together.

    Returns:
        One row a bin: low, high (its limits), n, predicted (mean score), observed (an Estimate as JSON).
    """
    y, p = checked_label(truth, score, "the reliability curve", name)
    edges, place = binned(p, bins, equal)
    rows: list[dict[str, Any]] = []
    for k in np.unique(place):
        inside = place == k
        n, positives = int(inside.sum()), int(y[inside].sum())
        low, high = wilson(positives, n)
        rows.append(
            {
                "low": float(edges[k]),
                "high": float(edges[k + 1]),
                "n": n,
                "predicted": float(p[inside].mean()),
                "observed": Estimate(positives / n, low, high, n=n, events=positives).to_json(),
            }
        )
    return rows


def calibration_error(
    truth: ArrayLike, score: ArrayLike, *, bins: int = 10, equal: Bins = "width", name: str = "this label"
) -> float:
    """Expected calibration error: mean over records of |share of positives − mean score| of their bin.

    Naeini et al., AAAI 2015; Guo et al., ICML 2017, equation 3 (``equal="width"``); ``equal="mass"`` as in Nguyen and
    O'Connor, EMNLP 2015. It depends on the bins: say which when you report it.
    """
    y, p = checked_label(truth, score, "the calibration error", name)
    _, place = binned(p, bins, equal)
    gaps = np.bincount(place, weights=y - p)
    return float(np.abs(gaps).sum() / len(y))


def calibration_slope(truth: ArrayLike, score: ArrayLike, *, name: str = "this label") -> float:
    """b of logit P(positive) = a + b·logit(score): 1 is perfect, below 1 = scores too extreme.

    Cox, Biometrika 1958;45:562–565; Van Calster et al., BMC Medicine 2019;17:230.

    Raises:
        NotEstimableError: also where scores are all equal, or separate the classes: the slope has no limit then.
    """
    return float(logistic_line(*checked_label(truth, score, "the calibration slope", name))[0][1])


def calibration_intercept(truth: ArrayLike, score: ArrayLike, *, name: str = "this label") -> float:
    """a of logit P(positive) = a + b·logit(score), both fitted; errors of ``calibration_slope``."""
    return float(logistic_line(*checked_label(truth, score, "the calibration intercept", name))[0][0])


def calibration_in_the_large(truth: ArrayLike, score: ArrayLike, *, name: str = "this label") -> float:
    """a of logit P(positive) = a + logit(score), the slope held at 1: 0 is perfect, above 0 = scores too low."""
    y, p = checked_label(truth, score, "calibration in the large", name)
    return shift(logit(p), y)[0]


def calibration_line(
    truth: ArrayLike, score: ArrayLike, *, coverage: float = 0.95, name: str = "this label"
) -> dict[str, Estimate]:
    """``slope``, ``intercept`` and ``in_the_large`` with Wald intervals; errors of ``calibration_slope``."""
    y, p = checked_label(truth, score, "the calibration line", name)
    width = float(norm.ppf((1 + checked_coverage(coverage)) / 2))
    (a, b), line = logistic_line(y, p)
    large, of_large = shift(logit(p), y)
    found = {"slope": (b, line[1, 1]), "intercept": (a, line[0, 0]), "in_the_large": (large, of_large)}
    return {
        term: Estimate(
            float(value),
            float(value - width * variance**0.5),
            float(value + width * variance**0.5),
            n=len(y),
            events=int(y.sum()),
        )
        for term, (value, variance) in found.items()
    }


def wilson(positives: int, n: int, *, coverage: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a share (computed by scipy); UsageError unless 0 ≤ positives ≤ n and n > 0."""
    if not 0 <= positives <= n or n == 0:
        raise UsageError(f"an interval needs positives from 0 to the number of records, got {positives} of {n}")
    found = binomtest(positives, n).proportion_ci(confidence_level=checked_coverage(coverage), method="wilson")
    return float(found.low), float(found.high)


def checked_label(truth: ArrayLike, score: ArrayLike, metric: str, name: str) -> tuple[Floats, Floats]:
    """Truth and score (record,) of the labelled records, float64; errors of ``checks.one_label``."""
    positive, p = one_label(truth, score, metric, name)
    return positive.astype(np.float64), p


def checked_coverage(coverage: float) -> float:
    """A share between 0 and 1, both excluded; UsageError otherwise."""
    if not 0 < coverage < 1:
        raise UsageError(f"the coverage of an interval lies between 0 and 1, got {coverage}")
    return coverage


def binned(p: Floats, bins: int, equal: Bins) -> tuple[Floats, NDArray[np.intp]]:
    """Limits (bin + 1,) and the bin of each score (record,); a score on a limit lies in the bin below."""
    if bins < 1 or equal not in ("width", "mass"):
        raise UsageError(f"bins must be one or more and of equal width or mass, got {bins} of equal {equal}")
    shares = np.linspace(0, 1, bins + 1)
    edges = shares if equal == "width" else np.quantile(p, shares)
    return edges, np.searchsorted(edges[1:-1], p, side="left")


def logit(p: Floats) -> Floats:
    """Log odds; scores nearer to 0 or 1 than ``NEAREST_TO_CERTAIN`` count as that near."""
    q = np.clip(p, NEAREST_TO_CERTAIN, 1 - NEAREST_TO_CERTAIN)
    return np.log(q) - np.log1p(-q)


def logistic_line(y: Floats, p: Floats) -> tuple[Floats, Floats]:
    """(intercept, slope) of the outcome on the logit of the score, and their covariance (2, 2)."""
    x = logit(p)
    positive, negative = x[y == 1], x[y == 0]
    if positive.min() >= negative.max() or positive.max() <= negative.min():
        what = "are all equal" if x.min() == x.max() else "separate the classes"
        raise NotEstimableError(f"the calibration slope needs scores that overlap, got scores that {what}: add records")
    return newton(x, y)


def newton(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Maximum-likelihood logistic line of y (record,) on x (record,): (intercept, slope) and their covariance (2, 2).

    Newton's steps from the prevalence alone, halved until the likelihood, which is concave, rises as it should
    (Armijo's rule).
    """
    design = np.column_stack((np.ones(len(x)), x))

    def likelihood(line: Floats) -> float:
        eta = design @ line
        return float(y @ eta - np.logaddexp(0, eta).sum())

    found = np.array([np.log(y.sum() / (len(y) - y.sum())), 0.0])
    for _ in range(100):
        p = expit(design @ found)
        gradient, information = design.T @ (y - p), (design.T * (p * (1 - p))) @ design
        if np.linalg.cond(information) > 1e14:
            break
        step = np.linalg.solve(information, gradient)
        rise = float(gradient @ step)
        # Half of this is what the likelihood still gains; below it, its rounding hides whether it rises.
        if rise <= 1e-8:
            return found + step, np.linalg.inv(information)
        size, before = 1.0, likelihood(found)
        while size > 1e-10 and likelihood(found + size * step) < before + 1e-4 * size * rise:
            size /= 2
        found = found + size * step
    raise NotEstimableError(
        f"the calibration line of {len(y)} records has no finite maximum: add records of both classes"
    )


def shift(x: Floats, y: Floats) -> tuple[float, float]:
    """The a at which y (record,) has the mean of expit(a + x), and its variance; a falling function has one root."""
    log_odds = np.log(y.sum() / (len(y) - y.sum()))
    low, high = float(log_odds - x.max()), float(log_odds - x.min())
    root: Any = low if low == high else brentq(lambda a: np.mean(y - expit(a + x)), low - 1e-6, high + 1e-6, xtol=1e-12)
    a = float(root)
    p = expit(a + x)
    return a, float(1 / (p * (1 - p)).sum())
