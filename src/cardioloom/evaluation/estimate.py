"""A number with its interval, or the reason why these data do not give one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cardioloom.errors import NotEstimableError


@dataclass(frozen=True)
class Estimate:
    """One metric.

    Args:
        value: the point estimate, None = not estimable.
        low, high: its interval (95 % unless told), None = no interval was asked for or none could be given.
        n: records (or patients, where the metric is of patients) that it rests on.
        events: positives, or events, among them; None where the metric knows none.
        reason: why there is no value, or no interval; a sentence.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    events: int | None = None
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The keys that are known; ``not_estimable`` holds the reason where there is no value."""
        known: dict[str, Any] = {"n": self.n}
        if self.events is not None:
            known["events"] = self.events
        if self.value is None:
            return known | {"not_estimable": self.reason}
        known["value"] = self.value
        if self.low is not None:
            known["interval"] = [self.low, self.high]
        elif self.reason:
            known["no_interval"] = self.reason
        return known


def without_interval(found: Mapping[str, Any], reason: str) -> dict[str, Any]:
    """An `Estimate.to_json` with the reason in place of its interval; one that has none stays as it is."""
    if "interval" not in found:
        return dict(found)
    return {name: value for name, value in found.items() if name != "interval"} | {"no_interval": reason}


def independent(metric: str) -> str:
    """Why ``metric`` says nothing where some studies are of one patient."""
    return f"some studies are of one patient, and {metric} takes studies as independent: judge one study a patient"


def estimated(metric: Callable[[], float], n: int, events: int | None = None) -> Estimate:
    """What ``metric`` gives, or the reason why it is not estimable."""
    try:
        return Estimate(float(metric()), n=n, events=events)
    except NotEstimableError as error:
        return Estimate(None, n=n, events=events, reason=str(error))
