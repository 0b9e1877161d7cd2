"""Patient-level bootstrap: how far a metric would move with other patients.

Whole patients are drawn with replacement, all their records with them (the cluster bootstrap; Efron & Tibshirani 1993,
chapters 6 and 13: percentile interval). Each draw has a random stream of its own, so that the same seed gives the same
interval on however many threads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation.checks import Codes, Floats, Patients, coded_patients
from cardioloom.evaluation.estimate import Estimate

DRAWS, LEVEL = 1000, 0.95
MIN_ESTIMABLE = (
    0.95  # share of the draws without which there is no interval: the missing ones are not missing at random
)
MIN_DRAWS = 100  # below, the ends of a 95 % interval are single draws


@dataclass(frozen=True)
class Resampled:
    """A metric on the bootstrap draws.

    Args:
        values: (draw,) NaN where the draw could not give the metric.
        level: of the interval.
    """

    values: Floats
    level: float = LEVEL

    def __post_init__(self) -> None:
        check_level(self.level)

    @property
    def n_estimable(self) -> int:
        """Draws that gave a value."""
        return int(np.isfinite(self.values).sum())

    def interval(self) -> tuple[float, float]:
        """The percentile interval of the draws that gave a value.

        Raises:
            NotEstimableError: if fewer than 95 % of the draws did.
        """
        found, n_draws = self.values[np.isfinite(self.values)], len(self.values)
        if len(found) < MIN_ESTIMABLE * n_draws:
            raise NotEstimableError(
                f"a bootstrap interval needs {MIN_ESTIMABLE:.0%} of the draws, got {len(found)} of {n_draws}: "
                "there are too few patients of one class, add some"
            )
        low, high = np.quantile(found, [(1 - self.level) / 2, (1 + self.level) / 2])
        return float(low), float(high)

    def estimate(self, value: float, *, n: int, events: int | None = None) -> Estimate:
        """The point value with this interval, or with the reason why there is none."""
        try:
            low, high = self.interval()
        except NotEstimableError as error:
            return Estimate(value, n=n, events=events, reason=str(error))
        return Estimate(value, low, high, n=n, events=events)


def patient_draws(n_patients: int, *, draws: int = DRAWS, seed: int = 0) -> NDArray[np.unsignedinteger]:
    """(patient, draw): how often each patient was drawn. Each column sums to the number of patients.

    Draw d takes its random numbers from Philox with the seed as key and d in the highest word of its counter (Salmon et
    al. 2011, doi:10.1145/2063384.2063405): it is the same whatever is drawn before it, beside it or not at all.

    Raises:
        UsageError: if there is no patient, fewer than 100 draws, or a negative seed.
    """
    check_draws(n_patients, draws, seed)
    counts = np.empty((draws, n_patients), np.uint8 if n_patients < 256 else np.uint16)
    for draw in range(draws):
        counts[draw] = np.bincount(drawn(n_patients, draw, seed), minlength=n_patients)
    if counts.max() < 256:  # but for a chance below 10⁻⁵⁰⁰
        counts = counts.astype(np.uint8)
    return np.ascontiguousarray(counts.T)


def drawn(n_patients: int, draw: int, seed: int) -> Codes:
    """(patient,) numbers of the patients of one draw."""
    generator = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, draw]))
    return generator.integers(0, n_patients, n_patients)


def check_level(level: float) -> None:
    """Raise UsageError unless 0 < level < 1."""
    if not 0 < level < 1:
        raise UsageError(f"the level of an interval must be between 0 and 1, got {level}: 0.95 is usual")


def check_draws(n_patients: int, draws: int, seed: int) -> None:
    """Raise UsageError where nothing can be drawn."""
    if n_patients < 1:
        raise UsageError("a bootstrap needs patients, got none")
    if draws < MIN_DRAWS:
        raise UsageError(f"a bootstrap needs at least {MIN_DRAWS} draws, got {draws}: ask for {DRAWS}")
    if not 0 <= seed < 2**64:
        raise UsageError(f"the seed must be from 0 to 2⁶⁴ − 1, got {seed}")


def bootstrap(
    metric: Callable[[Codes], float],
    patients: Patients | int,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    level: float = LEVEL,
    events: int | None = None,
) -> Estimate:
    """Any metric with its interval.

    Args:
        metric: of record numbers (a record of a patient drawn twice is there twice), e.g.
            ``lambda rows: auroc(truth[rows], score[rows])``; raises NotEstimableError where they cannot give it.
        patients: (record,) patient of each record; a number = so many records, each its own patient.
        draws, seed, level: of the interval.
        events: for the result.

    Returns:
        The metric of all records; without a value where these cannot give it, without an interval where fewer than 95 %
        of the draws can, and then with the reason.

    Raises:
        UsageError: as `patient_draws` and `coded_patients`.
    """
    codes = coded(patients)
    try:
        value = float(metric(np.arange(len(codes))))
    except NotEstimableError as error:
        return Estimate(None, n=len(codes), events=events, reason=str(error))
    values = resample(metric, codes, draws=draws, seed=seed)
    return Resampled(values, level).estimate(value, n=len(codes), events=events)


def coded(patients: Patients | int) -> Codes:
    """(record,) numbers of the patients; a number of records = each its own patient."""
    if isinstance(patients, int):
        return coded_patients(None, patients)
    if patients is None:
        raise UsageError("a bootstrap needs the patients, got None: give the number of records if each is its own")
    given = list(patients)
    return coded_patients(given, len(given))


def resample(metric: Callable[[Codes], float], patients: Codes, *, draws: int = DRAWS, seed: int = 0) -> Floats:
    """(draw,) the metric of each draw, NaN where it is not estimable. Arguments as `bootstrap`, patients coded."""
    n_patients = int(patients.max(initial=-1)) + 1
    check_draws(n_patients, draws, seed)
    of_patient = np.argsort(patients, kind="stable")
    first = np.searchsorted(patients[of_patient], np.arange(n_patients + 1))
    lengths, values = np.diff(first), np.empty(draws)
    for draw in range(draws):
        chosen = drawn(n_patients, draw, seed)
        ends = np.cumsum(lengths[chosen])
        within = np.arange(ends[-1]) - np.repeat(ends - lengths[chosen], lengths[chosen])
        rows = of_patient[np.repeat(first[chosen], lengths[chosen]) + within]
        try:
            values[draw] = metric(rows)
        except NotEstimableError:
            values[draw] = np.nan  # counted by Resampled
    return values
