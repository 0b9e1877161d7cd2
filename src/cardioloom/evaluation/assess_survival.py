"""An output as a risk of what happened later: order, discrimination and calibration at horizons, curves by risk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation.bootstrap import bootstrap
from cardioloom.evaluation.checks import Bools, Codes, Floats
from cardioloom.evaluation.estimate import Estimate, independent, without_interval
from cardioloom.evaluation.judged import Bootstrap
from cardioloom.evaluation.survival import checked_outcome, finite, harrell_c, uno_c
from cardioloom.evaluation.survival_curves import calibration_at, kaplan_meier_by_group, log_rank, risk_groups
from cardioloom.evaluation.survival_horizons import brier_at, integrated_brier, time_dependent_auroc
from cardioloom.records.cohort import Cohort

HORIZONS = (1.0, 2.0, 3.0, 5.0, 10.0)  # years
GROUPS = 3  # of risk, for the curves
TENTHS = 10  # groups of a calibration at a horizon …
OF_A_GROUP = 20  # … of at least so many patients each
DIGITS = 6
READ_AS = (
    "Brier scores and calibration read the score as the probability of the event by the horizon, which it is only "
    "where the model was trained to give that"
)


@dataclass(frozen=True)
class Outcome:
    """What to read of a cohort for survival.

    Args:
        time: column of years from the ECG to the event or the end of follow-up.
        event: column of 1 = event, 0 = censored.
        output: code of the output that is the risk.
    """

    time: str
    event: str
    output: str

    @classmethod
    def of(cls, text: str, codes: tuple[str, ...]) -> Outcome:
        """ "af_years,af_event" or "af_years,af_event,AF".

        Raises:
            UsageError: if it cannot be read, or the output is not one of ``codes`` or not named where there are many.
        """
        parts = [part.strip() for part in text.split(",")]
        if len(parts) not in (2, 3) or not all(parts):
            raise UsageError(
                f"survival is written TIME,EVENT or TIME,EVENT,OUTPUT (af_years,af_event,AF), got {text!r}"
            )
        if len(parts) == 2 and len(codes) != 1:
            raise UsageError(f"the model has {len(codes)} outputs: write {text},OUTPUT with one of {', '.join(codes)}")
        output = parts[2] if len(parts) == 3 else codes[0]
        if output not in codes:
            raise UsageError(f"the risk must be an output of the model ({', '.join(codes)}), got {output!r}")
        return cls(parts[0], parts[1], output)

    def read(self, cohort: Cohort) -> tuple[Floats, Floats, dict[str, int]]:
        """Years and event (study,), NaN where they are not known or the event came before; and why, counted.

        Where the cohort has a column af_prevalent beside af_event, its patients had the event before the ECG.

        Raises:
            UsageError: if a column is not there or not of numbers, an event is not 0 or 1, or a time is not positive.
        """
        years, events = (_numbers(cohort, name) for name in (self.time, self.event))
        if not np.isin(events[~np.isnan(events)], (0.0, 1.0)).all():
            raise UsageError(
                f"{self.event} must be 0 (censored) or 1 (event), got other numbers: give the event second"
            )
        unknown = np.isnan(years) | np.isnan(events)
        before = np.zeros(len(years), bool)
        prevalent = self.event.removesuffix("event") + "prevalent"
        if self.event.endswith("_event") and prevalent in cohort.columns:
            before = (_numbers(cohort, prevalent) == 1) & ~unknown
        keep = ~(unknown | before)
        if keep.any():
            checked_outcome(years[keep], events[keep] == 1)
        left_out = {"time or event not known": int(unknown.sum()), "event before the ECG": int(before.sum())}
        years[~keep] = events[~keep] = np.nan
        return years, events, {reason: n for reason, n in left_out.items() if n}


def _numbers(cohort: Cohort, name: str) -> Floats:
    if name not in cohort.columns:
        raise UsageError(f"the cohort has no column {name!r} for survival: name one of {', '.join(cohort.columns)}")
    if (values := cohort.column(name)).dtype == object and any(value is not None for value in values):
        raise UsageError(f"{name} is a text column, survival needs numbers: years, and 0 or 1 for the event")
    return values.astype(np.float64)


def assess_survival(
    years: Floats, events: Floats, risk: Floats, patients: Codes, drawn: Bootstrap, *, is_probability: bool
) -> dict[str, Any]:
    """Everything of one outcome; what these data cannot give has a reason.

    Args:
        years, events: (study,) NaN = left out.
        risk: (study,) score.
        patients: (study,).
        drawn: how intervals are drawn.
        is_probability: whether the score can be read as a probability.
    """
    known = ~(np.isnan(years) | np.isnan(events))
    t, e, r = years[known], events[known] == 1, risk[known]
    codes = np.unique(patients[known], return_inverse=True)[1]
    found: dict[str, Any] = {"n": int(known.sum()), "events": int(e.sum())}
    if not known.any():
        none = Estimate(None, reason="survival needs studies whose time and event are known, got none: add some")
        return found | {"harrell_c": none.to_json(), "uno_c": none.to_json(), "horizons": [], "kaplan_meier": {}}
    finite(r, "risk")
    metric = _metric(e, codes, drawn)
    found["harrell_c"] = metric(lambda k: harrell_c(t[k], e[k], r[k]))
    found["uno_c"] = metric(lambda k: uno_c(t[k], e[k], r[k]))
    found["horizons"] = [
        _at(horizon, (t, e, r), metric, is_probability=is_probability) for horizon in HORIZONS if horizon <= t.max()
    ]
    is_one_each = len(np.unique(codes)) == len(codes)
    if not is_one_each:
        found["horizons"] = [_without_intervals(row) for row in found["horizons"]]
    if is_probability:
        found["integrated_brier"] = _integrated(t, e, r, found["horizons"], metric)
        found["read_as"] = READ_AS
    return found | _curves(t, e, r, is_one_each=is_one_each)


def _metric(e: Bools, codes: Codes, drawn: Bootstrap) -> Callable[[Callable[[Codes], float]], dict[str, Any]]:
    """A metric of study numbers → its patient-level estimate."""

    def estimate(metric: Callable[[Codes], float]) -> dict[str, Any]:
        return bootstrap(metric, codes.tolist(), draws=drawn.draws, seed=drawn.seed, events=int(e.sum())).to_json()

    return estimate


def _at(
    horizon: float,
    outcome: tuple[Floats, Bools, Floats],
    metric: Callable[[Callable[[Codes], float]], dict[str, Any]],
    *,
    is_probability: bool,
) -> dict[str, Any]:
    """One horizon."""
    t, e, r = outcome
    row: dict[str, Any] = {"years": horizon, "events_by_then": int((e & (t <= horizon)).sum())}
    row["auroc"] = metric(lambda k: time_dependent_auroc(t[k], e[k], r[k], horizon))
    if not is_probability:
        return row
    row["brier"] = metric(lambda k: brier_at(t[k], e[k], r[k], horizon))
    groups = max(2, min(TENTHS, len(t) // OF_A_GROUP))
    try:
        row["calibration"] = calibration_at(t, e, r, horizon, groups=groups)
    except (NotEstimableError, UsageError) as error:  # fewer patients than groups
        row["calibration"] = Estimate(None, n=len(t), reason=str(error)).to_json()
    return row


def _without_intervals(row: dict[str, Any]) -> dict[str, Any]:
    """A horizon whose groups have no interval: Greenwood's variance is of independent studies."""
    if not isinstance(groups := row.get("calibration"), list):
        return row
    reason = independent("Greenwood's variance")
    return row | {"calibration": [own | {"observed": without_interval(own["observed"], reason)} for own in groups]}


def _integrated(
    t: Floats,
    e: Bools,
    r: Floats,
    rows: list[dict[str, Any]],
    metric: Callable[[Callable[[Codes], float]], dict[str, Any]],
) -> dict[str, Any]:
    """The mean Brier score over the horizons that have one; the same score is read as the risk by each of them."""
    at = [row["years"] for row in rows if "value" in row["brier"]]
    if len(at) < 2:
        reason = f"the integrated Brier score needs two horizons that have a Brier score, got {len(at)}: add follow-up"
        return Estimate(None, n=len(t), reason=reason).to_json()
    found = metric(lambda k: integrated_brier(t[k], e[k], np.repeat(r[k, None], len(at), axis=1), at))
    return found | {"from_years": at[0], "to_years": at[-1]}


def _curves(t: Floats, e: Bools, r: Floats, *, is_one_each: bool) -> dict[str, Any]:
    """Kaplan–Meier curves by thirds of risk, and the log-rank test; both of independent studies, but for the curves."""
    try:
        groups = risk_groups(r, groups=GROUPS)
        curves = kaplan_meier_by_group(t, e, groups)
        named = {("low", "middle", "high")[name]: curve for name, curve in curves.items()}
        found: dict[str, Any] = {"kaplan_meier": {name: _rounded(curve.to_json()) for name, curve in named.items()}}
    except (NotEstimableError, UsageError) as error:
        return {"kaplan_meier": {}, "log_rank": {"not_estimable": str(error)}}
    if not is_one_each:
        for curve in found["kaplan_meier"].values():
            curve["low"] = curve["high"] = [None] * len(curve["times"])
        return found | {"log_rank": {"not_estimable": independent("the log-rank test")}}
    try:
        return found | {"log_rank": {"p": log_rank(t, e, groups)}}
    except NotEstimableError as error:
        return found | {"log_rank": {"not_estimable": str(error)}}


def _rounded(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    return {
        name: [round(value, DIGITS) if isinstance(value, float) else value for value in values]
        for name, values in columns.items()
    }
