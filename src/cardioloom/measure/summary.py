"""What was measured block by block of a long recording, put together for the whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from cardioloom.records import Finding, Measurement

PAUSE_S = 2.0  # an RR interval from this on is counted as a pause (ESC 2021 pacing guideline: 3 s awake; 2 s is noted)


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


def statements(parts: Sequence[tuple[float, tuple[Finding, ...]]]) -> tuple[Finding, ...]:
    """Each statement over all blocks: present where it is in any, with how many and where.

    Args:
        parts: (offset of the block in s, its findings in s from its own beginning).
    """
    codes = dict.fromkeys(finding.code for _, findings in parts for finding in findings)
    return tuple(_over_blocks(code, parts) for code in codes)


def _over_blocks(code: str, parts: Sequence[tuple[float, tuple[Finding, ...]]]) -> Finding:
    own = [(offset, finding) for offset, findings in parts for finding in findings if finding.code == code]
    if len(own) == 1:
        return own[0][1]
    present = [(offset, finding) for offset, finding in own if finding.present]
    judged = [finding for _, finding in own if finding.present is not None]
    spans = tuple((a + offset, b + offset) for offset, finding in present for a, b in finding.spans_s)
    shown = present[0][1] if present else (judged[0] if judged else own[0][1])
    if present:
        evidence = f"in {len(present)} of {len(own)} minutes, first at {present[0][0]:.0f} s: {shown.evidence}"
    else:
        evidence = shown.evidence
    return replace(shown, present=bool(present) if judged else None, evidence=evidence, spans_s=spans)


def rhythm_block(
    offset: float, seconds: float, rr_s: np.ndarray, findings: Sequence[Finding], n_beats: int
) -> dict[str, object]:
    """One row of the rhythm summary: beats, rate, ectopy, pauses of one block."""
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
        "pauses": int((rr >= PAUSE_S).sum()),
    }


def _count(finding: Finding | None) -> int:
    """How many beats a finding of single beats names: one span each."""
    return len(finding.spans_s) if finding is not None and finding.present else 0
