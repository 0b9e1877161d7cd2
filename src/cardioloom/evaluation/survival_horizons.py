"""Predicted risk at a horizon under censoring: time-dependent AUROC, Brier and integrated Brier score.

Patients censored before the horizon have no outcome there; those who have one are weighted by the inverse of the
probability of staying uncensored so long (IPCW). ``reference`` is in all functions the time and event of the
patients from whom that probability is estimated; None = the patients judged.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation.checks import Bools, Floats
from cardioloom.evaluation.survival import checked_horizon, checked_risk, finite, inverse_censoring
from cardioloom.evaluation.survival_curves import probabilities

Reference = tuple[ArrayLike, ArrayLike] | None


def time_dependent_auroc(
    time: ArrayLike, event: ArrayLike, risk: ArrayLike, horizon: float, *, reference: Reference = None
) -> float:
    """Cumulative/dynamic AUROC: patients with the event by the horizon against those free of it beyond.

    Uno et al., J Am Stat Assoc 2007;102:527–537; Hung and Chiang, Can J Stat 2010;38:8–26. A case weighs 1/G(time
    of its event), controls weigh the same; equal risks count one half.

    Args:
        time: (record,) years, positive.
        event: (record,) bool, False = censored.
        risk: (record,) finite, higher = more likely; any scale.
        horizon: years.

    Raises:
        NotEstimableError: no event by the horizon, nobody followed beyond it, or no weight (see ``inverse_censoring``).
        UsageError: time, event, risk or horizon cannot be.
    """
    years, events, risks = checked_risk(time, event, risk)
    case, control = split_at(years, events, checked_horizon(horizon))
    weights = inverse_censoring(years[case], (years, events) if reference is None else reference)
    ordered = np.sort(risks[control])
    below = np.searchsorted(ordered, risks[case], side="left")
    not_above = np.searchsorted(ordered, risks[case], side="right")
    return float(weights @ (below + not_above) / (2 * weights.sum() * len(ordered)))


def brier_at(
    time: ArrayLike, event: ArrayLike, predicted: ArrayLike, horizon: float, *, reference: Reference = None
) -> float:
    """Brier score at a horizon, weighted for censoring: 0 is perfect.

    Graf et al., Statistics in Medicine 1999;18:2529–2545, equation for BS^c(t).

    Args:
        time, event: as in ``time_dependent_auroc``.
        predicted: (record,) probability of an event by the horizon.
        horizon: years.

    Raises:
        NotEstimableError: all censored, nobody followed beyond the horizon, or no weight.
        UsageError: time, event, predicted or horizon cannot be.
    """
    years, events, _ = checked_risk(time, event, predicted)
    risks, at = probabilities(predicted, len(years)), checked_horizon(horizon)
    case, control = (years <= at) & events, years > at
    if not control.any():
        raise NotEstimableError(beyond(at, years))
    known = (years, events) if reference is None else reference
    missed = (1 - risks[case]) ** 2 @ inverse_censoring(years[case], known)
    alarmed = (risks[control] ** 2).sum() * inverse_censoring(np.array([at]), known)[0]
    return float((missed + alarmed) / len(years))


def integrated_brier(
    time: ArrayLike, event: ArrayLike, predicted: ArrayLike, horizons: ArrayLike, *, reference: Reference = None
) -> float:
    """The mean Brier score from the first horizon to the last, by the trapezoidal rule (Graf et al. 1999).

    Args:
        time, event: as in ``time_dependent_auroc``.
        predicted: (record, horizon) probability of an event by each horizon.
        horizons: (horizon,) years, ascending, two or more.

    Raises:
        NotEstimableError: as ``brier_at``, for any of the horizons.
        UsageError: time, event, predicted or horizons cannot be.
    """
    at, risks = finite(horizons, "horizons"), np.asarray(predicted)
    if len(at) < 2 or (np.diff(at) <= 0).any():
        raise UsageError(f"horizons must be two or more ascending years, got {at.tolist()}")
    if risks.ndim != 2 or risks.shape[1] != len(at):
        raise UsageError(f"predicted must be (record, {len(at)} horizons), got shape {risks.shape}")
    scores = [brier_at(time, event, risks[:, k], at[k], reference=reference) for k in range(len(at))]
    return float(np.trapezoid(scores, at) / (at[-1] - at[0]))


def split_at(years: Floats, events: Bools, horizon: float) -> tuple[Bools, Bools]:
    """Who had the event by the horizon and who was followed free of it beyond (record,); both must exist."""
    case, control = (years <= horizon) & events, years > horizon
    if not case.any():
        raise NotEstimableError(
            f"the AUROC at {horizon:g} years needs an event by then, got none among {len(years)} patients: lengthen "
            "the horizon"
        )
    if not control.any():
        raise NotEstimableError(beyond(horizon, years))
    return case, control


def beyond(horizon: float, years: Floats) -> str:
    """The sentence for a horizon that nobody was followed beyond."""
    return (
        f"a metric at {horizon:g} years needs patients followed beyond, got follow-up to {years.max():g} years: "
        "shorten the horizon"
    )
