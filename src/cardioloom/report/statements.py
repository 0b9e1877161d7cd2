"""The findings of a report as sentences: what is present, what could not be judged, what was tried and not found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cardioloom.records import Finding, Report
from cardioloom.report.words import number

MAX_SPANS = 6


@dataclass(frozen=True)
class Statements:
    """Findings by their state.

    Args:
        present: one entry a finding, in the report's order.
        unjudged: (reason, statements) of what could not be judged.
        absent: one entry a finding.
        n_unjudged: how many could not be judged.
    """

    present: tuple[Mapping[str, str], ...]
    unjudged: tuple[tuple[str, tuple[Mapping[str, str], ...]], ...]
    absent: tuple[Mapping[str, str], ...]
    n_unjudged: int

    @property
    def tried(self) -> int:
        """How many statements were tried."""
        return len(self.present) + self.n_unjudged + len(self.absent)


def statements(report: Report) -> Statements:
    """The findings of a report, sorted by state."""
    reasons: dict[str, list[Mapping[str, str]]] = {}
    for finding in report.findings:
        if finding.present is None:
            reasons.setdefault(finding.evidence or "no reason is given", []).append(_entry(finding))
    return Statements(
        present=tuple(_entry(finding) for finding in report.findings if finding.present),
        unjudged=tuple((why, tuple(entries)) for why, entries in reasons.items()),
        absent=tuple(_entry(finding) for finding in report.findings if finding.present is False),
        n_unjudged=sum(map(len, reasons.values())),
    )


def _entry(finding: Finding) -> Mapping[str, str]:
    """One finding in words."""
    chance = "" if finding.probability is None else number(finding.probability, 2)
    if chance and finding.threshold is not None:
        chance += f" (threshold {number(finding.threshold, 2)})"
    snomed = f", SNOMED CT {finding.snomed}" if finding.snomed else ""
    return {
        "name": finding.name[:1].upper() + finding.name[1:],
        "code": finding.code + snomed,
        "evidence": finding.evidence,
        "chance": chance,
        "source": finding.source,
        "spans": spans(finding),
    }


def spans(finding: Finding) -> str:
    """``"1.0–3.5 s, 7.2–8.0 s and 4 more"``; empty where none are given."""
    shown = [f"{start:,.1f}–{stop:,.1f} s" for start, stop in finding.spans_s[:MAX_SPANS]]
    more = len(finding.spans_s) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")
