"""How well a risk orders patients by their time to an event: Harrell's and Uno's C."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation.checks import Bools, Floats, numbers
from cardioloom.evaluation.pairs import counted

Outcome = tuple[Floats, Bools]


@dataclass(frozen=True)
class Concordance:
    """Counts of comparable pairs: one patient has the event while the other is known to be free of it.

    Args:
        concordant: pairs in which the patient with the event has the higher risk.
        discordant: pairs in which that patient has the lower risk.
        tied_risk: pairs of exactly equal risk; each counts one half.
        tied_time: those of all these pairs whose second patient was censored at the very time of the event.
    """

    concordant: int
    discordant: int
    tied_risk: int
    tied_time: int

    @property
    def pairs(self) -> int:
        """All comparable pairs."""
        return self.concordant + self.discordant + self.tied_risk

    @property
    def index(self) -> float:
        """The share of concordant pairs, ties counted one half. NotEstimableError without a comparable pair."""
        if self.pairs == 0:
            raise NotEstimableError(
                "the C-index needs patients followed beyond another's event, got no comparable pair"
            )
        return (self.concordant + self.tied_risk / 2) / self.pairs


def concordance(time: ArrayLike, event: ArrayLike, risk: ArrayLike) -> Concordance:
    """Exact counts of concordant, discordant and tied pairs in O(n log n).

    Harrell et al., Statistics in Medicine 1996;15:361–387. A pair is comparable where the earlier time is an event;
    a patient censored at the time of an event outlived it, and two events at one time are not compared.

    Args:
        time: (record,) years from the ECG to the event or to the end of follow-up, positive.
        event: (record,) bool, False = censored.
        risk: (record,) finite, higher = earlier event expected; any scale.

    Raises:
        NotEstimableError: all are censored. UsageError: time, event or risk cannot be.
    """
    years, events, risks = checked_risk(time, event, risk)
    totals, tied_time = counted(years, events, risks, events.astype(np.int64))
    concordant, discordant, tied = (int(total) for total in totals)
    return Concordance(concordant, discordant, tied, tied_time)


def harrell_c(time: ArrayLike, event: ArrayLike, risk: ArrayLike) -> float:
    """Harrell's C-index; arguments and errors of ``concordance``. Equals lifelines' index of ``-risk``."""
    return concordance(time, event, risk).index


def uno_c(
    time: ArrayLike,
    event: ArrayLike,
    risk: ArrayLike,
    *,
    horizon: float | None = None,
    reference: tuple[ArrayLike, ArrayLike] | None = None,
) -> float:
    """Uno's C: pairs weighted by 1/G(time of the event)², so that length of follow-up does not move it.

    Uno et al., Statistics in Medicine 2011;30:1105–1117. G is the Kaplan–Meier estimate of staying
    uncensored, right-continuous as it is written there; at one time events come before censoring.

    Args:
        time, event, risk: as in ``concordance``.
        horizon: τ in years; only events before it count. None = all events.
        reference: time and event of the patients from whom G is estimated, None = these patients.

    Raises:
        NotEstimableError: no event before the horizon, or no reference patient followed as long as an event.
        UsageError: time, event, risk or horizon cannot be.
    """
    years, events, risks = checked_risk(time, event, risk)
    counts = events if horizon is None else events & (years < checked_horizon(horizon))
    if not counts.any():
        raise NotEstimableError(f"Uno's C needs an event before the horizon of {horizon} years, got none: lengthen it")
    weights = np.zeros(len(years))
    weights[counts] = inverse_censoring(years[counts], (years, events) if reference is None else reference) ** 2
    concordant, discordant, tied = counted(years, counts, risks, weights)[0]
    total = concordant + discordant + tied
    if total == 0:
        raise NotEstimableError("Uno's C needs patients followed beyond another's event, got no comparable pair")
    return float((concordant + tied / 2) / total)


def checked_outcome(time: ArrayLike, event: ArrayLike) -> Outcome:
    """Time (record,) float64 and event (record,) bool, checked; UsageError where they cannot be.

    Numbers 0/1 are refused as events: time and event given in the wrong order would pass otherwise.
    """
    years, events = finite(time, "the time"), np.asarray(event)
    if events.dtype != np.bool_:
        raise UsageError(f"event must be boolean, False = censored, got {events.dtype}: compare with == 1 first")
    if events.shape != years.shape:
        raise UsageError(f"time and event must be of the same patients, got shapes {years.shape} and {events.shape}")
    if years.min() <= 0:
        raise UsageError(
            f"time must be positive, in years, got {years.min():g}: leave out patients whose event lies before the ECG"
        )
    return years, events


def checked_risk(time: ArrayLike, event: ArrayLike, risk: ArrayLike) -> tuple[Floats, Bools, Floats]:
    """``checked_outcome`` and a finite risk (record,); NotEstimableError where all patients are censored."""
    years, events = checked_outcome(time, event)
    risks = finite(risk, "risk")
    if risks.shape != years.shape:
        raise UsageError(f"time and risk must be of the same patients, got shapes {years.shape} and {risks.shape}")
    if not events.any():
        raise NotEstimableError(f"a survival metric needs events, got {len(years)} patients who are all censored")
    return years, events, risks


def checked_horizon(horizon: float) -> float:
    """A positive number of years; UsageError otherwise."""
    if not 0 < horizon < np.inf:
        raise UsageError(f"the horizon must be a positive number of years, got {horizon}")
    return float(horizon)


def finite(values: ArrayLike, what: str) -> Floats:
    """(record,) float64; UsageError for text, other shapes, NaN and infinite values."""
    given = numbers(values, what)
    if given.ndim != 1 or len(given) == 0:
        raise UsageError(f"{what} must be one number a record, got shape {given.shape}")
    if not np.isfinite(given).all():
        bad = np.count_nonzero(~np.isfinite(given))
        raise UsageError(f"{what} must be finite, got {bad} of {len(given)} NaN or infinite: leave these records out")
    return given


def product_limit(years: Floats, events: Bools, *, of_censoring: bool = False) -> tuple[NDArray[Any], ...]:
    """Distinct times, survival just after each, numbers at risk and numbers of events (times,).

    Kaplan and Meier, J Am Stat Assoc 1958;53:457–481. With ``of_censoring`` the event is to be censored, and those
    with an event at the same time have left before.
    """
    times, inverse = np.unique(years, return_inverse=True)
    died = np.bincount(inverse[events], minlength=len(times))
    left = np.bincount(inverse, minlength=len(times))
    at_risk = len(years) - np.concatenate(([0], np.cumsum(left)[:-1]))
    if of_censoring:
        at_risk, died = at_risk - died, left - died
    survival = np.cumprod(1 - died / np.maximum(at_risk, 1))
    return times, survival, at_risk, died


def inverse_censoring(at: Floats, reference: tuple[ArrayLike, ArrayLike]) -> Floats:
    """1/G at times ``at`` (time,), G from the reference patients' time and event.

    Raises:
        NotEstimableError: nobody of the reference patients stays uncensored as long as one of these times.
    """
    years, events = checked_outcome(*reference)
    times, stays, _, _ = product_limit(years, events, of_censoring=True)
    g = np.concatenate(([1.0], stays))[np.searchsorted(times, at, side="right")]
    unknown = (g <= 0) | (at > times[-1])
    if unknown.any():
        raise NotEstimableError(
            f"weighting for censoring needs patients followed to {at[unknown].min():g} years, got follow-up to "
            f"{times[-1]:g} years: shorten the horizon"
        )
    return 1 / g
