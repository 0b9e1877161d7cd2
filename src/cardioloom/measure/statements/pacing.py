"""Pacing: spikes of a pacemaker, and a QRS that follows each at the same short delay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardioloom.measure.statements.case import Case, Verdict, unknown
from cardioloom.measure.windows import SD_OF_MAD

SPIKE_S = 0.003  # a spike stands above what lies this long before and after it
SHARPER = 8.0  # than the usual movement of the lead in that time …
LEAST_SHARE = 0.04  # … and than this share of the lead's amplitude
TALL_SHARE = 0.4
MIN_FS_HZ = 200.0
BEFORE_R_S = (0.055, 0.30)  # nearer to R lies the Q wave of a narrow QRS
ATRIAL_S = 0.10  # a spike this long before R may pace the atria, and the QRS be narrow
QRS_AFTER_R_S = 0.12  # up to here a spike belongs to the QRS
SAME_DELAY_S = 0.012
MOST = 0.5  # of the beats, and of the spikes
LEADS_NEEDED = 2


@dataclass(frozen=True, eq=False)
class Sharp:
    """How sharply each usable lead stands out of its surroundings.

    Args:
        height: (lead, time) mV above what lies `width` samples before and after; 0 on a slope.
        usual: (lead,) SD of the movement in that time, mV.
        amplitude: (lead,) 1st to 99th percentile, mV.
        width: samples.
    """

    height: NDArray[np.float64]
    usual: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    width: int


def sharp(case: Case) -> Sharp:
    """What `spikes_s` looks for spikes in."""
    f = case.features
    width = max(1, round(SPIKE_S * f.fs))
    usable = [n for n, lead in enumerate(f.leads) if lead in f.usable]
    rows = np.nan_to_num(f.signal[usable].astype(np.float64))
    low, high = np.percentile(rows, (1, 99), axis=1) if usable else np.zeros((2, 0))
    before, after = rows[:, width:-width] - rows[:, : -2 * width], rows[:, width:-width] - rows[:, 2 * width :]
    is_alike = np.sign(before) == np.sign(after)
    before, after = np.abs(before), np.abs(after)
    height = np.where(is_alike, np.minimum(before, after), 0.0)
    usual = SD_OF_MAD * np.median(before, axis=1) if usable else np.zeros(0)
    return Sharp(height, usual, high - low, width)


def spikes_s(case: Case, seen: Sharp, least_share: float = LEAST_SHARE) -> NDArray[np.float64]:
    """Times of narrow spikes seen in at least two leads (in the only one where there is one), s.

    They are higher than a share of the lead's amplitude, and much higher than its usual movement.
    """
    f, width = case.features, seen.width
    votes = np.zeros(f.signal.shape[1])
    least = np.maximum(np.maximum(SHARPER * seen.usual, least_share * seen.amplitude), 1e-9)
    found = seen.height > least[:, None]
    for row in found[found.any(axis=1)]:
        votes[width:-width] += np.convolve(row, np.ones(2 * width + 1), "same") > 0  # not to the sample the same
    enough = votes >= max(1, min(LEADS_NEEDED, len(found)))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], enough.astype(np.int8), [0]])))
    return (edges[::2] + edges[1::2]) / 2.0 / f.fs


def outside_qrs(case: Case, spikes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The spikes that do not lie so near to an R peak that they may be part of the QRS."""
    ahead = case.features.r_peaks_s[:, None] - spikes
    return spikes[~np.any((ahead < BEFORE_R_S[0]) & (ahead > -QRS_AFTER_R_S), axis=0)]


def paced_beats(case: Case, spikes: NDArray[np.float64]) -> tuple[NDArray[np.bool_], float]:
    """(beat,) whether a spike precedes it at the delay that most share; and that delay, s."""
    ahead = case.features.r_peaks_s[:, None] - spikes
    ahead = np.where((ahead > -SAME_DELAY_S) & (ahead <= BEFORE_R_S[1]), ahead, np.nan)
    known = ahead[np.isfinite(ahead)]
    if not len(known):
        return np.zeros(case.n_beats, bool), float("nan")
    support = (np.abs(known[:, None] - known) <= SAME_DELAY_S).sum(axis=1)
    usual = float(np.median(known[np.abs(known - known[support.argmax()]) <= SAME_DELAY_S]))
    return np.any(np.abs(ahead - usual) <= SAME_DELAY_S, axis=1), usual


def is_paced(case: Case) -> bool:
    """Whether most beats are paced."""
    return case.says(pacing_rhythm)


def pacing_rhythm(case: Case) -> Verdict:
    """A narrow spike at a fixed delay before at least half of the beats."""
    f = case.features
    if case.n_beats < 2:
        return unknown("too few beats to see spikes before them")
    if f.fs < MIN_FS_HZ:
        return unknown(f"spikes are not visible at {f.fs:g} Hz")
    seen = sharp(case)
    small = _paced_by(case, outside_qrs(case, spikes_s(case, seen)))
    if small.present:
        return small
    # No QRS is as sharp as a tall spike, which may even have been taken for R.
    tall = _paced_by(case, spikes_s(case, seen, TALL_SHARE), is_sure=True)
    return tall if tall.present else small


def _paced_by(case: Case, spikes: NDArray[np.float64], *, is_sure: bool = False) -> Verdict:
    """``is_sure``: no spike can be a part of the QRS, which may then be narrow (pacing of the conduction system)."""
    paced, delay = paced_beats(case, spikes)
    n = int(paced.sum())
    if n < max(2, MOST * case.n_beats) or n < MOST * len(spikes):
        return Verdict(False, f"a spike at one delay before {n} of {case.n_beats} beats, {len(spikes)} spikes in all")
    if delay < ATRIAL_S and not case.is_wide and not (is_sure and delay > SAME_DELAY_S):
        return Verdict(False, f"a sharp deflection {1000 * delay:.0f} ms before R, but no wide QRS")
    where = f"{1000 * delay:.0f} ms before R" if abs(delay) > SAME_DELAY_S else "where R was detected"
    return Verdict(True, f"a narrow spike {where} in {n} of {case.n_beats} beats", case.spans(paced))
