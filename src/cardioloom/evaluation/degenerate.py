"""Intervals of no width are none: where every draw of the patients gives the same value, the bootstrap is silent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cardioloom.evaluation.estimate import without_interval

REASON = "every draw of the patients gives the same value, so that a bootstrap has no interval: add patients"


def without_degenerate(found: Any) -> Any:
    """The same results, in which an estimate whose interval has no width says so in place of it.

    A sensitivity of 3 out of 3 is 1 in every draw; "1 (1–1)" would look exact, and three patients say little.

    Args:
        found: mappings and lists with `Estimate.to_json` inside.
    """
    if isinstance(found, Mapping):
        ends = found.get("interval")
        if isinstance(ends, list) and len(ends) == 2 and ends[0] == ends[1]:
            found = without_interval(found, REASON)
        return {name: without_degenerate(value) for name, value in found.items()}
    return [without_degenerate(value) for value in found] if isinstance(found, list) else found
