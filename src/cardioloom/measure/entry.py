"""The entry of the room: one ECG → everything that is measured of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from cardioloom.measure.consistency import (
    I_OR_II,
    broken_identities,
    errors_without,
    form_notices,
    identity_errors,
    lead_notices,
    narrowed,
    scaled_apart,
    signal_notices,
)
from cardioloom.measure.delineation import Marks
from cardioloom.measure.likeness import likeness
from cardioloom.measure.mains import mains_hum
from cardioloom.measure.phantoms import on_the_qrs, without_phantoms
from cardioloom.measure.quality import LeadState, all_noisy, judge, lead_states, suspect_noise
from cardioloom.measure.rate import every_rr_s, measure_rate
from cardioloom.measure.stretches import dead_stretches_s, inside, interruptions_s, noise_stretches_s, stretch_notices
from cardioloom.measure.walk import FIBRILLATE, NOISY, Setting, Walked, walk, without_beats
from cardioloom.measure.windows import Windows, joined, runs, windows
from cardioloom.prepare.beats import MIN_FS_HZ, MIN_SECONDS, r_peaks
from cardioloom.records import ECG, Abstention, Beats, Finding, Measurement, Notice, Quality

BLOCK_S = 60.0  # a recording is walked in blocks of this length …
NO_QRS = Notice(
    "no_qrs", "No QRS complex shows an onset and an end: what was taken for beats, and the rate, may be wrong."
)
NO_BEATS = Notice("no_qrs", "No QRS complex shows an onset and an end: there is no beat to count.")
STEADY_SD, STEADY_OF = 0.1, 8  # SD over mean of at least so many RR intervals: what comes so regularly is a heart
FIRST_WALK = 0.3  # share of the work that is done when the beats are known
OVERLAP_S = 4.0  # … that share this much, so that every beat is seen with its neighbours


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured of one ECG; the parts of a report that need no learned weights."""

    quality: Quality
    beats: Beats
    measurements: Mapping[str, Measurement]
    findings: tuple[Finding, ...]
    abstained: tuple[Abstention, ...]
    gaps_s: float
    attachments: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _Block:
    """What was found in the part of a block that the block before does not hold."""

    r_peaks_s: NDArray[np.float64]
    likeness: NDArray[np.float64]  # (beat,) to the others of the block; 1 where nothing is noisy
    all_missing: NDArray[np.float64]  # (gap, 2) s: no lead recorded
    some_missing: float  # s: a lead not recorded that is recorded elsewhere in the block
    seen: Windows
    identity_errors: Mapping[str, NDArray[np.float64]]  # lead → (window,)
    hum_hz: tuple[float | None, ...]  # (lead,) the mains line that stands out, if one does
    scaled_apart: bool | None  # None where the block's limb leads agree
    errors_without: Mapping[str, NDArray[np.float64]]  # limb lead → (window,); empty where it is clear which is wrong


def ecg(
    record: ECG,
    marks: Marks | None = None,
    *,
    age: float | None = None,
    sex: str | None = None,
    tick: Callable[[float], None] | None = None,
) -> Measured:
    """Measure one ECG of any length, in bounded memory.

    Args:
        record: the electrocardiogram; longer than a minute it is walked in blocks.
        marks: wave marks of the whole record from elsewhere; else the waves are delineated here.
        age: of the patient, years, for criteria that depend on it.
        sex: of the patient, "M" or "F".
        tick: is called with the share of the work that is done, from 0 to 1.

    Returns:
        quality, beats, measurements, findings, and what was abstained from with the reason.
    """
    blocks = []
    for offset, part in record.blocks(BLOCK_S, OVERLAP_S):
        blocks.append(_measure_block(part, offset, is_first=offset == 0, is_last=_ends(record, part, offset)))
        if tick:
            tick(FIRST_WALK * (offset + part.seconds) / record.seconds)
    seen = joined([block.seen for block in blocks])
    states = dict(zip(record.leads, lead_states(seen), strict=True))
    peaks = np.concatenate([block.r_peaks_s for block in blocks])
    dead = dead_stretches_s(seen)
    noise = noise_stretches_s(seen, peaks, np.concatenate([block.likeness for block in blocks]))
    peaks = peaks[~inside(peaks, dead)] if marks is None else marks.r_peaks / record.fs
    no_signal, no_sense = interruptions_s(dead, noise)
    gaps = np.concatenate([*(block.all_missing for block in blocks), no_signal])
    interrupted = np.concatenate([gaps, no_sense])
    quality, is_physical = _quality(record, states, blocks, ~all_noisy(seen), stretch_notices(dead, noise))
    rr_s = every_rr_s(peaks, interrupted)
    rest = (lambda share: tick(FIRST_WALK + (1 - FIRST_WALK) * share)) if tick else None
    # A unit that cannot be right makes every voltage wrong, as gains of each lead's own do.
    is_physical = is_physical and not any(notice.code == "implausible_unit" for notice in quality.warnings)
    setting = Setting(is_physical, age, sex, marks, _noisy_s(seen), interrupted)
    walked = walk(record, peaks, rr_s, setting, rest)
    measurements, abstained = _rate(record, walked, gaps, no_sense)
    is_believed = bool(measurements) or (len(walked.beats.r_peaks_s) > 0 and not len(noise))
    doubts = _doubts(walked, measurements, rr_s)
    if NO_BEATS in doubts:
        is_believed, walked = False, without_beats(walked)
        abstained = [Abstention(name, NO_BEATS.text[:1].lower() + NO_BEATS.text[1:-1]) for name in measurements]
    if not is_believed:
        abstained += [Abstention(name, abstained[0].why) for name in walked.measurements]
    measured = {**walked.measurements, **measurements} if is_believed else {}
    unjudged = [Abstention(finding.code, finding.evidence) for finding in walked.findings if finding.present is None]
    return Measured(
        quality=replace(quality, warnings=(*quality.warnings, *walked.notices, *doubts)),
        beats=walked.beats,
        measurements=measured,
        findings=walked.findings,
        abstained=tuple(
            {why.what: why for why in (*walked.abstained, *abstained, *unjudged) if why.what not in measured}.values()
        ),
        gaps_s=round(float(sum(block.some_missing for block in blocks)), 3),
        attachments=walked.attachments,
    )


def _noisy_s(seen: Windows) -> NDArray[np.float64]:
    """(stretch, 2) s in which every lead is noisy, whether or not beats stand out of it."""
    noisy = runs(all_noisy(seen))
    return np.stack([seen.begin_s[noisy[:, 0]], seen.end_s[noisy[:, 1] - 1]], axis=1)


def _rate(
    record: ECG, walked: Walked, gaps: NDArray[np.float64], no_sense: NDArray[np.float64]
) -> tuple[dict[str, Measurement], list[Abstention]]:
    unfit = _unfit(record) or (FIBRILLATE if len(walked.fibrillating_s) else None)
    return measure_rate(walked.beats.r_peaks_s, gaps, np.concatenate([no_sense, walked.fibrillating_s]), unfit=unfit)


def _doubts(walked: Walked, measurements: Mapping[str, Measurement], rr_s: NDArray[np.float64]) -> tuple[Notice, ...]:
    """A warning where no QRS was delineated: of the rate where it is steady, else of what was taken for beats."""
    is_noisy = any(why.what == "qrs_duration" and why.why == NOISY for why in walked.abstained)
    if not measurements or "qrs_duration" in walked.measurements or is_noisy:
        return ()
    rr = rr_s[np.isfinite(rr_s)]
    is_steady = len(rr) >= STEADY_OF and float(rr.std()) <= STEADY_SD * float(rr.mean())
    return (NO_QRS,) if is_steady else (NO_BEATS,)


def _unfit(record: ECG) -> str | None:
    """Why beats cannot be found in a recording of this form, or None."""
    if record.fs < MIN_FS_HZ:
        return f"beats need at least {MIN_FS_HZ:g} Hz, the recording has {record.fs:g} Hz"
    if record.seconds < MIN_SECONDS:
        return f"beats need at least {MIN_SECONDS:g} s, the recording has {record.seconds:.3g} s"
    return None


def _ends(record: ECG, part: ECG, offset: float) -> bool:
    return round(offset * record.fs) + part.shape[1] >= record.shape[1]


def _measure_block(part: ECG, offset: float, *, is_first: bool, is_last: bool) -> _Block:
    # Half of what two neighbours share belongs to each.
    begin = offset if is_first else offset + OVERLAP_S / 2
    end = offset + part.seconds - (0 if is_last else OVERLAP_S / 2)
    found = np.empty(0, np.int64)
    if not _unfit(part):
        found = without_phantoms(part.signal, r_peaks(part.signal, part.fs), part.fs)
        found = on_the_qrs(part.signal, found, part.fs)
    peaks = found / part.fs + offset
    is_mine = (peaks >= begin) & (peaks < end)
    mine = slice(round((begin - offset) * part.fs), round((end - offset) * part.fs))
    gap: NDArray[np.bool_] = np.isnan(part.signal[:, mine])
    there = ~gap.all(axis=1)
    own = part.window(mine.start, mine.stop)
    errors = identity_errors(own)
    seen = windows(own.signal, own.fs, begin)
    alike = likeness(part.signal, found, part.fs) if suspect_noise(seen).any() else np.ones(len(found))
    return _Block(
        r_peaks_s=peaks[is_mine],
        likeness=alike[is_mine],
        all_missing=runs(np.asarray(gap.all(axis=0))) / part.fs + begin,
        some_missing=float(gap[there].any(axis=0).sum() if there.any() else gap.shape[1]) / part.fs,
        seen=seen,
        identity_errors=errors,
        hum_hz=tuple(hum[0] if hum else None for hum in mains_hum(own.signal, own.fs)),
        scaled_apart=scaled_apart(own) if (broken := broken_identities(errors)) else None,
        errors_without=errors_without(own) if len(broken) > 1 or broken == (I_OR_II,) else {},
    )


def _quality(
    record: ECG,
    states: Mapping[str, LeadState],
    blocks: list[_Block],
    heard: NDArray[np.bool_],
    stretches: list[Notice],
) -> tuple[Quality, bool]:
    """The quality, and whether amplitudes are physical: False where each lead is scaled on its own."""
    # Noise contradicts everything: only the windows (window,) ``heard`` are asked whether the limb leads agree.
    errors = {
        lead: np.concatenate([block.identity_errors[lead] for block in blocks])[heard]
        for lead in blocks[0].identity_errors
    }
    broken = broken_identities(errors)
    told = [block.errors_without for block in blocks if block.errors_without]
    if told and (len(broken) > 1 or broken == (I_OR_II,)):
        broken = narrowed(broken, {lead: np.concatenate([errors[lead] for errors in told]) for lead in told[0]})
    physical = not broken or not all(block.scaled_apart for block in blocks if block.scaled_apart is not None)
    extra: dict[str, dict[str, float]] = {lead: _hum(n, blocks) for n, lead in enumerate(record.leads)}
    for lead in broken if physical else ():
        if lead in extra:
            extra[lead]["breaks Einthoven's identity"] = 1.0
    leads = {lead: judge(state, extra[lead]) for lead, state in states.items()}
    problems = {lead: {**state.problems, **extra[lead]} for lead, state in states.items()}
    notices = [
        *form_notices(record),
        *stretches,
        *signal_notices(states, broken, physical=physical),
        *lead_notices(problems, {lead: state.missing for lead, state in states.items()}),
    ]
    score = float(np.mean([lead.score for lead in leads.values()]))
    return Quality(round(score, 3), leads, tuple(notices)), physical


def _hum(lead: int, blocks: list[_Block]) -> dict[str, float]:
    """The mains hum of a lead as a problem with the share of the blocks in which it stands out."""
    lines = [block.hum_hz[lead] for block in blocks if block.hum_hz[lead] is not None]
    if not lines:
        return {}
    usual = max(set(lines), key=lines.count)
    return {f"mains hum {usual:g} Hz": round(lines.count(usual) / len(blocks), 2)}
