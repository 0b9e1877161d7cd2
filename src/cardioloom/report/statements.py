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
    """The findings of a report that are judged by criteria, sorted by state."""
    models = _models(report)
    criteria = [finding for finding in report.findings if finding.source not in models]
    reasons: dict[str, list[Mapping[str, str]]] = {}
    for finding in criteria:
        if finding.present is None:
            reasons.setdefault(finding.evidence or "no reason is given", []).append(_entry(finding))
    return Statements(
        present=tuple(_entry(finding) for finding in criteria if finding.present),
        unjudged=tuple((why, tuple(entries)) for why, entries in reasons.items()),
        absent=tuple(_entry(finding) for finding in criteria if finding.present is False),
        n_unjudged=sum(map(len, reasons.values())),
    )


@dataclass(frozen=True)
class Answer:
    """One output of a model: what it is called, how probable, against which threshold (both from 0 to 1).

    ``code`` is empty where it would repeat the name.
    """

    name: str
    code: str
    group: str
    probability: float
    threshold: float
    note: str


@dataclass(frozen=True)
class Answers:
    """What one model says.

    Args:
        model: its name.
        trained_on: in the words of its card.
        notes: what limits all its answers.
        present: at or above their thresholds, most probable first.
        others: (group, below their thresholds, most probable first).
        n_unjudged: outputs that one ECG cannot support.
    """

    model: str
    trained_on: str
    notes: tuple[str, ...]
    present: tuple[Answer, ...]
    others: tuple[tuple[str, tuple[Answer, ...]], ...]
    n_unjudged: int


def answers(report: Report) -> tuple[Answers, ...]:
    """What each model says that was asked, one entry a model that did not abstain."""
    found = []
    for name, facts in _models(report).items():
        own = [finding for finding in report.findings if finding.source == name]
        if not own:
            continue
        ranked = sorted((finding for finding in own if finding.present is not None), key=_rank)
        below: dict[str, list[Answer]] = {}
        for finding in ranked:
            if not finding.present:
                below.setdefault(finding.group or "other", []).append(_answer(finding))
        found.append(
            Answers(
                model=name,
                trained_on=facts.get("trained_on", ""),
                notes=tuple(note for note in (facts.get("thresholds", ""),) if note),
                present=tuple(_answer(finding) for finding in ranked if finding.present),
                others=tuple((group, tuple(entries)) for group, entries in below.items()),
                n_unjudged=len(own) - len(ranked),
            )
        )
    return tuple(found)


def _models(report: Report) -> Mapping[str, Mapping[str, str]]:
    return {model.get("name", ""): model for model in report.provenance.models}


def _rank(finding: Finding) -> float:
    return -(finding.probability or 0.0)


def _answer(finding: Finding) -> Answer:
    return Answer(
        name=finding.name,
        code="" if finding.code.islower() else finding.code,  # made of the label itself
        group=finding.group or "",
        probability=finding.probability or 0.0,
        threshold=finding.threshold or 0.0,
        note=finding.evidence,
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
