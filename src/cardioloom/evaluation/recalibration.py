"""A site's calibration: a monotone map of one label's scores, fitted on local records and kept as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit
from scipy.stats import rankdata

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation.calibration import checked_label, logistic_line, logit
from cardioloom.evaluation.checks import Floats

# Two parameters at ten events each (Peduzzi et al., J Clin Epidemiol 1996;49:1373–1379).
LEAST_FOR_PLATT = 20
# A free monotone step function overfits below about a thousand records (Niculescu-Mizil and Caruana, ICML 2005).
LEAST_FOR_ISOTONIC = 100
PARAMETERS = {"platt": ("slope", "intercept"), "isotonic": ("score", "probability")}


@dataclass(frozen=True)
class Recalibration:
    """A fitted map from score to probability.

    Args:
        kind: "platt" or "isotonic".
        parameters: platt: ``slope`` and ``intercept`` on the logit; isotonic: ``score`` and ``probability``, the knots
            of a piecewise linear map, ascending; scores beyond the knots get the probability of the nearest.

    Raises:
        UsageError: an unknown kind, or parameters that do not belong to it or would reverse the order of scores.
    """

    kind: str
    parameters: Mapping[str, Any]

    def __post_init__(self) -> None:
        wanted = PARAMETERS.get(self.kind)
        if wanted is None:
            raise UsageError(f"a recalibration is platt or isotonic, got {self.kind}")
        if set(self.parameters) != set(wanted):
            raise UsageError(f"a {self.kind} recalibration has {' and '.join(wanted)}, got {sorted(self.parameters)}")
        first, second = (np.atleast_1d(np.asarray(self.parameters[name], np.float64)) for name in wanted)
        if not (np.isfinite(first).all() and np.isfinite(second).all()) or first.shape != second.shape:
            raise UsageError(f"the parameters of a {self.kind} recalibration must be finite and pair up")
        if self.kind == "platt" and (first.shape != (1,) or first[0] <= 0):
            raise UsageError(f"the slope of a platt recalibration must be positive, got {first.tolist()}")
        if self.kind == "isotonic" and not climbs(first, second):
            raise UsageError("the knots of an isotonic recalibration must ascend, with probabilities from 0 to 1")

    def apply(self, score: ArrayLike) -> Floats:
        """Probabilities of the shape of the scores; UsageError for scores outside 0–1."""
        p = np.asarray(score, np.float64)
        if not ((p >= 0) & (p <= 1)).all():
            raise UsageError("a recalibration takes probabilities from 0 to 1, got scores outside")
        if self.kind == "platt":
            return expit(self.parameters["intercept"] + self.parameters["slope"] * logit(p))
        return np.interp(p, self.parameters["score"], self.parameters["probability"])

    def to_json(self) -> dict[str, Any]:
        """``kind`` and ``parameters``; ``from_json`` gives an equal value back."""
        return {"kind": self.kind, "parameters": dict(self.parameters)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Recalibration:
        """The value that ``to_json`` wrote; UsageError where it is not one."""
        if set(stored) != {"kind", "parameters"} or not isinstance(stored["parameters"], Mapping):
            raise UsageError(f"a stored recalibration has kind and parameters, got {sorted(stored)}")
        return cls(stored["kind"], dict(stored["parameters"]))


def fit_platt(
    truth: ArrayLike, score: ArrayLike, *, least: int = LEAST_FOR_PLATT, name: str = "this label"
) -> Recalibration:
    """Slope and intercept on the logit of the score by maximum likelihood.

    Platt 1999, Advances in Large Margin Classifiers, in the logistic recalibration of Cox 1958 (no smoothed targets).

    Args:
        truth: (record,) 0/1, NaN = not labelled, of patients that the model was not trained on.
        score: (record,) probabilities.
        least: positives, and negatives, that are needed.
        name: of the label, for messages.

    Raises:
        NotEstimableError: too few of a class, scores that separate the classes, or rank them backwards.
        UsageError: truth or score cannot be.
    """
    y, p = enough(truth, score, least, name)
    intercept, slope = logistic_line(y, p)[0].tolist()
    if slope <= 0:
        raise NotEstimableError(backwards(name))
    return Recalibration("platt", {"slope": slope, "intercept": intercept})


def fit_isotonic(
    truth: ArrayLike, score: ArrayLike, *, least: int = LEAST_FOR_ISOTONIC, name: str = "this label"
) -> Recalibration:
    """The best non-decreasing map (Zadrozny and Elkan, KDD 2002; computed by scikit-learn).

    Its ends may be exactly 0 or 1 where the lowest or highest scores are all of one class.
    Arguments and errors of ``fit_platt``; scores that separate the classes are accepted.
    """
    from sklearn.isotonic import IsotonicRegression

    y, p = enough(truth, score, least, name)
    ranks = rankdata(p)
    if ranks[y == 1].mean() <= ranks[y == 0].mean():
        raise NotEstimableError(backwards(name))
    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(p, y)
    knots = {"score": fitted.X_thresholds_.tolist(), "probability": fitted.y_thresholds_.tolist()}
    return Recalibration("isotonic", knots)


def enough(truth: ArrayLike, score: ArrayLike, least: int, name: str) -> tuple[Floats, Floats]:
    """The labelled records, if there are ``least`` of each class."""
    y, p = checked_label(truth, score, "a recalibration", name)
    positives = int(y.sum())
    if min(positives, len(y) - positives) < least:
        raise NotEstimableError(
            f"a recalibration of {name} needs {least} positives and {least} negatives, got {positives} and "
            f"{len(y) - positives}: add records"
        )
    return y, p


def backwards(name: str) -> str:
    """The sentence for scores that do not rise with the outcome."""
    return f"a recalibration of {name} needs scores that rise with the outcome, got the reverse: check the label's sign"


def climbs(score: Floats, probability: Floats) -> bool:
    """Knots at ascending scores with probabilities from 0 to 1 that never fall."""
    rises = (np.diff(score) > 0).all() and (np.diff(probability) >= 0).all()
    return bool(rises and len(score) > 0 and probability[0] >= 0 and probability[-1] <= 1)
