"""What was measured block by block of a long recording, put together for the whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from cardioloom.records import Finding, Measurement


def whole(parts: Sequence[Mapping[str, Measurement]]) -> dict[str, Measurement]:
    """Each measurement over all blocks: the mean weighted by the number of beats, the SD over all of them.

    Angles are averaged as directions, so that 179° and −179° give 180°.
    """
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: _joined([part[name] for part in parts if name in part]) for name in names}


def _joined(values: Sequence[Measurement]) -> Measurement:
    if len(values) == 1:
        return values[0]
    weights = np.array([value.n or 1 for value in values], float)
    means = np.array([value.value for value in values])
    spread = np.array([value.sd or 0.0 for value in values])
    if values[0].unit == "deg":
        vector = np.average(np.exp(1j * np.radians(means)), weights=weights)
        mean = float(np.degrees(np.angle(vector)))
        means = mean + (means - mean + 180) % 360 - 180
    else:
        mean = float(np.average(means, weights=weights))
    variance = np.average(spread**2 + (means - mean) ** 2, weights=weights)
    n = int(weights.sum()) if all(value.n for value in values) else None
    return Measurement(mean, values[0].unit, float(np.sqrt(variance)), n)


@dataclass
class Tally:
    """One statement over the blocks seen so far: what its finding for the whole needs, not the blocks' findings."""

    shown: Finding  # the first that is present, else the first that was judged, else the first
    blocks: int = 0
    present: int = 0
    first_s: float = 0.0  # offset of the first block where it is present
    spans_s: list[tuple[float, float]] = field(default_factory=list)

    def add(self, offset: float, finding: Finding) -> None:
        """Count one more block, ``offset`` s from the beginning, with its finding in s from its own beginning."""
        self.blocks += 1
        if finding.present and not self.present:
            self.shown, self.first_s = finding, offset
        elif finding.present is not None and self.shown.present is None:
            self.shown = finding
        self.present += bool(finding.present)
        self.spans_s += [(a + offset, b + offset) for a, b in finding.spans_s if finding.present]

    def whole(self) -> Finding:
        """Present where it is in any block, with how many and where."""
        if self.blocks == 1:
            return self.shown
        evidence = self.shown.evidence
        if self.present:
            evidence = f"in {self.present} of {self.blocks} minutes, first at {self.first_s:.0f} s: {evidence}"
        return replace(self.shown, evidence=evidence, spans_s=tuple(self.spans_s))


def tally(tallies: dict[str, Tally], offset: float, findings: Iterable[Finding]) -> None:
    """Add the findings of one more block to the tallies, by code."""
    for finding in findings:
        tallies.setdefault(finding.code, Tally(finding)).add(offset, finding)


def rhythm_block(
    offset: float, seconds: float, rr_s: np.ndarray, findings: Sequence[Finding], n_beats: int
) -> dict[str, object]:
    """One row of the rhythm summary: beats, rate, ectopy of one block. Pauses do not keep to blocks."""
    rr = rr_s[np.isfinite(rr_s)]
    by_code = {finding.code: finding for finding in findings}
    rates = 60.0 / rr if len(rr) else np.empty(0)
    af = by_code.get("AF")
    return {
        "start_s": round(offset, 3),
        "seconds": round(seconds, 3),
        "beats": n_beats,
        "rate": round(float(60.0 / rr.mean()), 1) if len(rr) else None,
        "rate_min": round(float(np.percentile(rates, 5)), 1) if len(rr) else None,
        "rate_max": round(float(np.percentile(rates, 95)), 1) if len(rr) else None,
        "af": af.present if af else None,
        "pvc": _count(by_code.get("PVC")),
        "pac": _count(by_code.get("PAC")),
    }


def with_pauses(rows: Sequence[Mapping[str, object]], findings: Iterable[Finding]) -> list[dict[str, object]]:
    """The rows of the rhythm summary, in order, each with the number of pauses that begin in it."""
    begun = [begin for finding in findings if finding.code == "PAUSE" for begin, _ in finding.spans_s]
    place = np.searchsorted([row["start_s"] for row in rows], begun, side="right") - 1  # type: ignore[arg-type]
    counts = np.bincount(place, minlength=len(rows)).tolist()
    return [{**row, "pauses": n} for row, n in zip(rows, counts, strict=True)]


def _count(finding: Finding | None) -> int:
    """How many beats a finding of single beats names: one span each."""
    return len(finding.spans_s) if finding is not None and finding.present else 0
