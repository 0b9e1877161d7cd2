"""The entry of the room: one ECG → everything that is measured of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardioloom.measure.consistency import broken_identities, counts_agree, form_notices, signal_notices
from cardioloom.measure.quality import LeadState, judge, lead_states
from cardioloom.measure.rate import measure_rate
from cardioloom.prepare.beats import MIN_FS_HZ, MIN_SECONDS, r_peaks
from cardioloom.records import ECG, Abstention, Beats, Finding, LeadQuality, Measurement, Notice, Quality

BLOCK_S = 60.0  # a recording is walked in blocks of this length …
OVERLAP_S = 4.0  # … that share this much, so that every beat is seen with its neighbours
NOT_YET = "waves are not delineated in this version"
# Rows of the report that need wave marks: abstained from until the delineation is there.
NEED_WAVES = ("pr_interval", "qrs_duration", "qt_interval", "qtc", "axes")


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured of one ECG; the parts of a report that need no learned weights."""

    quality: Quality
    beats: Beats
    measurements: Mapping[str, Measurement]
    findings: tuple[Finding, ...]
    abstained: tuple[Abstention, ...]
    gaps_s: float


@dataclass(frozen=True, eq=False)
class _Block:
    """One block of a recording: its new part is [begin, end) in s of the recording."""

    begin: float
    end: float
    r_peaks_s: NDArray[np.float64]
    all_missing: NDArray[np.float64]  # (gap, 2) s: no lead recorded
    some_missing: float  # s: a lead not recorded that is recorded elsewhere in the block
    states: Mapping[str, LeadState]
    broken: tuple[str, ...]


def ecg(record: ECG) -> Measured:
    """Measure one ECG of any length, in bounded memory.

    Args:
        record: the electrocardiogram; longer than a minute it is walked in blocks.

    Returns:
        quality, beats, measurements and what was abstained from with the reason.
    """
    first = None
    blocks = []
    for offset, part in record.blocks(BLOCK_S, OVERLAP_S):
        first = part if first is None else first
        blocks.append(_measure_block(part, offset, is_first=offset == 0, is_last=_ends(record, part, offset)))
    assert first is not None  # an ECG has at least one sample
    peaks = np.concatenate([block.r_peaks_s for block in blocks])
    gaps = np.concatenate([block.all_missing for block in blocks])
    measurements, abstained = measure_rate(peaks, gaps, unfit=_unfit(record))
    abstained += [Abstention(what, NOT_YET) for what in NEED_WAVES]
    return Measured(
        quality=_quality(record, first, blocks),
        beats=Beats(r_peaks_s=peaks),
        measurements=measurements,
        findings=(),
        abstained=tuple(abstained),
        gaps_s=round(float(sum(block.some_missing for block in blocks)), 3),
    )


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
    peaks = np.empty(0) if _unfit(part) else r_peaks(part.signal, part.fs) / part.fs + offset
    mine = slice(round((begin - offset) * part.fs), round((end - offset) * part.fs))
    gap: NDArray[np.bool_] = np.isnan(part.signal[:, mine])
    there = ~gap.all(axis=1)
    states = lead_states(part)
    return _Block(
        begin=begin,
        end=end,
        r_peaks_s=peaks[(peaks >= begin) & (peaks < end)],
        all_missing=_runs(np.asarray(gap.all(axis=0))) / part.fs + begin,
        some_missing=float(gap[there].any(axis=0).sum() if there.any() else gap.shape[1]) / part.fs,
        states=states,
        broken=broken_identities(part),
    )


def _runs(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(run, 2) first sample and one past the last of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return edges.reshape(-1, 2).astype(np.float64)


def _quality(record: ECG, first: ECG, blocks: list[_Block]) -> Quality:
    seconds = np.array([block.end - block.begin for block in blocks])
    broken = _often([block.broken for block in blocks])
    physical = not (broken and counts_agree(first))
    leads = {}
    for lead in record.leads:
        extra = ("breaks Einthoven's identity",) if lead in broken and physical else ()
        verdicts = [judge(block.states[lead], extra) for block in blocks]
        score = float(np.average([verdict.score for verdict in verdicts], weights=seconds))
        problems = _often([verdict.problems for verdict in verdicts])
        missing = float(np.average([block.states[lead].missing for block in blocks], weights=seconds))
        if 0 < missing < 1:
            problems = (*problems, f"gaps ({max(missing, 0.01):.0%} not recorded)")
        leads[lead] = LeadQuality(round(score, 3), problems)
    notices = form_notices(record) + signal_notices(first, blocks[0].states, broken)
    if poor := [f"{lead} {', '.join(state.problems)}" for lead, state in leads.items() if state.problems]:
        notices.append(Notice("lead_quality", f"Leads with problems: {'; '.join(poor)}."))
    score = float(np.mean([lead.score for lead in leads.values()]))
    return Quality(round(score, 3), leads, tuple(notices))


def _often(lists: list[tuple[str, ...]]) -> tuple[str, ...]:
    """What is said in at least a tenth of the blocks, in the order in which it came up."""
    said = [text for texts in lists for text in texts]
    return tuple(text for text in dict.fromkeys(said) if said.count(text) >= 0.1 * len(lists))
