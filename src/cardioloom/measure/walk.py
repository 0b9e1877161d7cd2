"""The second walk through a recording, once its beats are known: waves, intervals, statements, part by part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from cardioloom.measure import build, summary
from cardioloom.measure.delineation import MARKS, Marks
from cardioloom.measure.electrodes import misplaced
from cardioloom.measure.features import Features
from cardioloom.measure.listed import times
from cardioloom.measure.statements import judge
from cardioloom.measure.statements.rhythm import pauses
from cardioloom.records import ECG, Abstention, Beats, Finding, Measurement, Notice

PART_S = 60.0
LISTED_S = 300.0  # up to this duration the marks of every beat are listed
P_MEASURES = ("pr_interval", "p_duration", "p_axis")
NO_PR = {"AF": "atrial fibrillation has no P wave", "PR": "the rhythm is paced"}
SUMMARISED_S = 600.0  # from this duration on a rhythm summary by parts is made
NOISY_SHARE = 0.5  # of a part: then only beats are counted in it
NOISY = "every lead is noisy: waves cannot be told from noise"
COUNTED = ("PAUSE",)  # statements that need no waves
FIBRILLATE = "the ventricles fibrillate: there is no beat to measure"


@dataclass(frozen=True)
class Setting:
    """What is known of a recording before its waves are measured."""

    is_physical: bool = True
    age: float | None = None
    sex: str | None = None
    marks: Marks | None = None  # of the whole recording, from elsewhere
    noisy_s: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 2)))  # (stretch, 2) s: all leads noisy
    # (stretch, 2) s in which no beat can be seen
    interrupted_s: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 2)))


@dataclass(frozen=True, eq=False)
class Walked:
    """What the walk found; ``fibrillating_s`` (stretch, 2) s are parts in ventricular fibrillation, without beats."""

    beats: Beats
    measurements: Mapping[str, Measurement]
    findings: tuple[Finding, ...]
    abstained: tuple[Abstention, ...]
    notices: tuple[Notice, ...]
    attachments: Mapping[str, object] = field(default_factory=dict)
    fibrillating_s: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 2)))


@dataclass(frozen=True, eq=False)
class _Part:
    """One part of the recording and what was measured of it."""

    offset: float
    seconds: float
    r_peaks_s: NDArray[np.float64]
    rhythm: Mapping[str, object]  # its row of the rhythm summary
    features: Features | None  # only where the marks of its beats are listed: it holds the signal
    median_beat: Mapping[str, object]  # only of the part with the most beats
    notices: tuple[Notice, ...]
    measurements: Mapping[str, Measurement]
    abstained: list[Abstention]
    findings: tuple[Finding, ...]  # none once they are counted
    has_p: bool  # False in atrial fibrillation, whatever bumps there are
    fibrillates: bool


def walk(
    record: ECG,
    r_peaks_s: NDArray[np.float64],
    rr_s: NDArray[np.float64],
    setting: Setting,
    tick: Callable[[float], None] | None = None,
) -> Walked:
    """Measure waves and judge statements over a recording of any length, in bounded memory.

    Args:
        record: the electrocardiogram; longer than a minute it is cut into equal parts of at most a minute.
        r_peaks_s: (beat,) s.
        rr_s: (beat - 1,) s; NaN where an interval is not one of two successive beats.
        setting: what is known before.
        tick: is called with the share of the recording that is done, from 0 to 1.
    """
    n_samples, n_parts = record.shape[1], max(1, int(np.ceil(record.seconds / PART_S)))
    is_listed = record.seconds <= LISTED_S
    parts: list[_Part] = []
    tallies: dict[str, summary.Tally] = {}
    fullest: Mapping[str, object] = {}
    most = 0
    for n in range(n_parts):
        first, last = n_samples * n // n_parts, n_samples * (n + 1) // n_parts
        part = _measure(record.window(first, last), first, r_peaks_s, rr_s, setting)
        summary.tally(tallies, part.offset, part.findings)
        if len(part.r_peaks_s) > most:  # the part with the most beats stands for the recording
            fullest, most = part.median_beat, len(part.r_peaks_s)
        part = replace(part, findings=(), median_beat={})
        parts.append(part if is_listed else replace(part, features=None))
        if tick:
            tick((n + 1) / n_parts)
    findings = tuple(one.whole() for one in tallies.values())
    peaks = np.concatenate([part.r_peaks_s for part in parts])
    fibrillating = np.array([(p.offset, p.offset + p.seconds) for p in parts if p.fibrillates]).reshape(-1, 2)
    if n_parts > 1 and len(peaks):
        findings = _with_pauses(findings, peaks, np.concatenate([setting.interrupted_s, fibrillating]), record.seconds)
    measured = summary.whole([part.measurements for part in parts])
    abstained = [why for part in parts for why in part.abstained if why.what not in measured]
    rows = [part.rhythm for part in parts]
    if not is_listed:
        abstained.append(Abstention("waves", f"marks of single beats are listed up to {LISTED_S / 60:.0f} min only"))
    return Walked(
        beats=Beats(peaks, *(_listed(parts, record.leads) if is_listed else ((), {}))),
        measurements=measured,
        findings=tuple(_clipped(one, record.seconds) for one in findings),
        abstained=tuple({why.what: why for why in abstained}.values()),
        notices=_suspicions([part.notices for part in parts]),
        attachments=({"median_beat": fullest} if fullest else {})
        | ({"rhythm_blocks": summary.with_pauses(rows, findings)} if record.seconds >= SUMMARISED_S else {}),
        fibrillating_s=fibrillating,
    )


def _with_pauses(
    findings: tuple[Finding, ...], r_peaks_s: NDArray[np.float64], interrupted_s: NDArray[np.float64], seconds: float
) -> tuple[Finding, ...]:
    """Pauses of the whole recording in place of those of its parts: one may begin in one part and end in another."""
    said = pauses(r_peaks_s, interrupted_s, seconds)
    return tuple(
        replace(one, present=said.present, evidence=said.evidence, spans_s=said.spans_s) if one.code == "PAUSE" else one
        for one in findings
    )


def _measure(
    part: ECG, first: int, r_peaks_s: NDArray[np.float64], rr_s: NDArray[np.float64], setting: Setting
) -> _Part:
    offset = first / part.fs
    samples = np.round(r_peaks_s * part.fs).astype(np.int64) - first
    mine = np.flatnonzero((samples >= 0) & (samples < part.shape[1]))
    features, abstained = build.features(
        part,
        samples[mine],
        marks=None if setting.marks is None else _marks_of(setting.marks, mine, first),
        is_physical=setting.is_physical,
        age=setting.age,
        sex=setting.sex,
        rr_s=rr_s[mine[:-1]],
        interrupted_s=_within(setting.interrupted_s - offset, part.seconds),
    )
    findings = judge(features)
    names = [*features.measurements, *(why.what for why in abstained)]
    heard = np.clip(setting.noisy_s, offset, offset + features.seconds)
    if float(np.diff(heard, axis=1).sum()) > NOISY_SHARE * features.seconds:
        findings = tuple(
            finding if finding.code in COUNTED else replace(finding, present=None, evidence=NOISY, spans_s=())
            for finding in findings
        )
        return _without_waves(features, offset, r_peaks_s[mine], findings, [Abstention(name, NOISY) for name in names])
    if any(finding.code == "VF" and finding.present for finding in findings):
        why = [Abstention(name, FIBRILLATE) for name in names]
        return _without_waves(features, offset, np.empty(0), findings, why, fibrillates=True)
    why = {finding.code: NO_PR[finding.code] for finding in findings if finding.present and finding.code in NO_PR}
    # Fibrillation has no P wave; behind a pacemaker's spike what looks like one is not.
    gone = {name: why[code] for code in why for name in P_MEASURES if name in features.measurements}
    measured = {name: value for name, value in features.measurements.items() if name not in gone}
    abstained += [Abstention(name, reason) for name, reason in gone.items()]
    return _Part(
        offset=offset,
        seconds=features.seconds,
        r_peaks_s=r_peaks_s[mine],
        rhythm=summary.rhythm_block(offset, features.seconds, features.rr_s, findings, len(mine)),
        features=features,
        median_beat=_median_beat(features),
        notices=tuple(misplaced(features)),
        measurements=measured,
        abstained=abstained,
        findings=findings,
        has_p="AF" not in why,
        fibrillates=False,
    )


def _without_waves(
    features: Features,
    offset: float,
    r_peaks_s: NDArray[np.float64],
    findings: tuple[Finding, ...],
    abstained: list[Abstention],
    *,
    fibrillates: bool = False,
) -> _Part:
    """A part in noise, or in ventricular fibrillation without beats: nothing is measured of its waves."""
    rr_s = np.empty(0) if fibrillates else features.rr_s
    return _Part(
        offset=offset,
        seconds=features.seconds,
        r_peaks_s=r_peaks_s,
        rhythm=summary.rhythm_block(offset, features.seconds, rr_s, findings, len(r_peaks_s)),
        features=None,
        median_beat={},
        notices=(),
        measurements={},
        abstained=abstained,
        findings=findings,
        has_p=False,
        fibrillates=fibrillates,
    )


def without_beats(walked: Walked) -> Walked:
    """What is left of it where nothing that was taken for a beat is one."""
    why = "no QRS complex shows an onset and an end"
    return replace(
        walked,
        beats=Beats(),
        findings=tuple(
            finding if finding.code == "VF" else replace(finding, present=None, evidence=why, spans_s=())
            for finding in walked.findings
        ),
        notices=(),
        attachments={name: value for name, value in walked.attachments.items() if name != "median_beat"},
    )


def _median_beat(features: Features) -> Mapping[str, object]:
    if not features.median_beat:
        return {}
    r = features.median_beat_r
    return {
        "fs": features.fs,
        "r": r,
        "leads": {
            lead: beat.astype(np.float32) for lead, beat in features.median_beat.items() if lead in features.usable
        },
        "marks": {mark: (at - r) / features.fs for mark, at in features.median_marks.items() if np.isfinite(at)},
    }


def _clipped(finding: Finding, seconds: float) -> Finding:
    """Spans within the recording, whatever they were rounded to."""
    last = float(np.floor(seconds * 1e3) / 1e3)
    return replace(finding, spans_s=tuple((max(0.0, a), min(b, last)) for a, b in finding.spans_s))


def _within(stretches_s: NDArray[np.float64], seconds: float) -> NDArray[np.float64]:
    """What of the stretches (stretch, 2) lies between 0 and ``seconds``."""
    clipped = np.clip(stretches_s, 0.0, seconds)
    return clipped[clipped[:, 1] > clipped[:, 0]]


def _marks_of(marks: Marks, beats: NDArray[np.int64], first: int) -> Marks:
    return Marks(
        r_peaks=marks.r_peaks[beats] - first,
        by_lead={mark: values[beats] - first for mark, values in marks.by_lead.items()},
        over_leads={mark: values[beats] - first for mark, values in marks.over_leads.items()},
        usable=marks.usable,
    )


def _listed(
    parts: Sequence[_Part], leads: Sequence[str]
) -> tuple[tuple[Mapping[str, float], ...], dict[str, Mapping[str, object]]]:
    """Marks of every beat over leads and by lead, s from the start; marks that are not there are absent."""
    waves, by_lead = [], {lead: {"waves": [], "st_mv": {}} for lead in leads}
    all_features = [part.features for part in parts if part.features is not None]
    for part in parts:
        if part.features is None:
            waves += [{"r_peak": round(float(peak), 4)} for peak in part.r_peaks_s]
            for lead in leads:
                by_lead[lead]["waves"] += [{} for _ in part.r_peaks_s]  # type: ignore[operator]
            continue
        marks, at = part.features.marks, partial(times, fs=part.features.fs, offset=part.offset, has_p=part.has_p)
        waves += at(marks.over_leads)
        for n, lead in enumerate(leads):
            by_lead[lead]["waves"] += at({mark: marks.by_lead[mark][:, n] for mark in MARKS})  # type: ignore[operator]
    for lead in leads:
        levels = [features.waves[lead].st for features in all_features if lead in features.waves]
        points = dict.fromkeys(point for level in levels for point in level)
        by_lead[lead]["st_mv"] = {
            point: round(float(np.mean([level[point] for level in levels if point in level])), 4) for point in points
        }
    return tuple(waves), by_lead  # type: ignore[return-value]


def _suspicions(lists: Sequence[Sequence[Notice]]) -> tuple[Notice, ...]:
    """Suspicions that hold in at least half of the parts."""
    said = [notice for notices in lists for notice in notices]
    return tuple(notice for notice in dict.fromkeys(said) if 2 * said.count(notice) >= len(lists))
