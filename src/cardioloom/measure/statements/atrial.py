"""Atrial fibrillation and flutter, and ventricular fibrillation."""

from __future__ import annotations

import numpy as np

from cardioloom.measure.statements.atrial_activity import HZ, atrial_rate, level, slow_rows
from cardioloom.measure.statements.case import Case, Verdict, unknown

FEW_STEPS, FEW_STEPS_APART = 3, 6
IRREGULAR = 0.03  # median |difference of RR intervals| over the median RR interval
VERY_IRREGULAR = 0.10
LONGEST_PATTERN = 3  # beats: bigeminy and trigeminy repeat themselves
P_RARE = 0.6  # of the dominant beats
USUAL_RISE_S = 0.04  # from QRS onset to R, where the onset was not found
BEFORE_QRS_S = (0.24, 0.01)  # the stretch that holds the P wave
P_ALIKE = 0.70  # correlation over leads of the stretches before late beats: above, a P wave repeats itself
P_ALIKE_REGULAR = 0.50  # where the irregularity is small
FLUTTER_STRENGTH = 0.62  # correlation of the atrial signal with itself one cycle later
FLUTTER_PER_MIN = (220.0, 350.0)
ONE_TO_ONE = 0.08  # of the ventricular rate: an atrial rate no further from it is as well that of the T waves


def irregularity(case: Case) -> float | None:
    """How far RR intervals differ from those one, two or three before (the least of the three), as a share.

    Median |ΔRR| / median RR, so that single early beats do not move it; two and three before, so that a pattern
    (bigeminy, trigeminy) is not irregular. Intervals next to a ventricular beat are left out.
    """
    f = case.features
    ventricular = case.ectopy.ventricular
    rr = np.where(ventricular[:-1] | ventricular[1:], np.nan, f.rr_s) if len(f.rr_s) else f.rr_s
    known = rr[np.isfinite(rr)]
    spreads = []
    for lag in range(1, LONGEST_PATTERN + 1):
        steps = np.abs(rr[lag:] - rr[:-lag]) if len(rr) > lag else rr[:0]
        steps = steps[np.isfinite(steps)]
        if len(steps) >= (FEW_STEPS if lag == 1 else FEW_STEPS_APART):
            spreads.append(float(np.median(steps) / np.median(known)))
    return min(spreads) if spreads else None


def is_fibrillation(case: Case) -> bool:
    """Whether atrial fibrillation is present."""
    return case.says(fibrillation)


def is_flutter(case: Case) -> bool:
    """Whether atrial flutter is present."""
    return case.says(flutter)


def fibrillation(case: Case) -> Verdict:
    """RR intervals irregular without a pattern, and no repeating P wave."""
    if case.too_few:
        return unknown(case.too_few)
    spread = irregularity(case)
    if spread is None:
        return unknown("too few intervals between normal beats to judge the irregularity of the rhythm")
    with_p, looked = case.p_count
    words = (
        f"RR intervals differ from each other by {spread:.0%} (median) without a pattern, "
        f"a P wave before {with_p} of {looked} beats"
    )
    # A share of few of the beats says little where most are early or of other shapes.
    without_p = case.p_share < P_RARE or 2 * looked < case.n_beats
    if spread <= IRREGULAR or not without_p:
        return Verdict(False, words)
    alike = likeness_before_late_beats(case)
    words += f", what precedes late beats repeats itself with a correlation of {alike:.2f}" if alike is not None else ""
    present = alike is None or alike < (P_ALIKE if spread > VERY_IRREGULAR else P_ALIKE_REGULAR)
    return Verdict(present, words, case.whole if present else ())


def likeness_before_late_beats(case: Case) -> float | None:
    """Median correlation, over leads, of what precedes the beats that do not come early; None with too few of them.

    Early beats hide the P wave in the T wave before; late ones show it, in a rhythm of many premature beats too.
    """
    f = case.features
    rows = slow_rows(case)
    before = np.concatenate([[np.nan], f.rr_s])
    late = (before >= np.nanmedian(f.rr_s)) & ~case.ectopy.ventricular
    onset = f.median_marks.get("qrs_on", np.nan)
    rise = (f.median_beat_r - onset) / f.fs if np.isfinite(onset) else USUAL_RISE_S
    start = np.round((f.r_peaks_s[late] - rise - BEFORE_QRS_S[0]) * HZ).astype(int)
    length = round((BEFORE_QRS_S[0] - BEFORE_QRS_S[1]) * HZ)
    start = start[(start >= 0) & (start + length <= rows.shape[1])]
    if len(start) < FEW_STEPS or not len(rows):
        return None
    parts = level(rows[:, start[:, None] + np.arange(length)]).transpose(1, 0, 2).reshape(len(start), -1)
    alike = []
    for n, part in enumerate(parts):
        others = np.median(np.delete(parts, n, axis=0), axis=0)
        size = float(np.linalg.norm(part) * np.linalg.norm(others))
        alike.append(float(part @ others) / size if size > 0 else 0.0)
    return float(np.median(alike))


def flutter(case: Case) -> Verdict:
    """Regular atrial activity of 220 to 350 a minute in II, III, aVF or V1."""
    if case.too_few:
        return unknown(case.too_few)
    found = atrial_rate(case, FLUTTER_PER_MIN)
    if found is None:
        return unknown("needs one of the leads II, III, aVF, V1 and an interval between beats to look at")
    per_min, strength, leads = found
    words = f"atrial activity at {per_min:.0f}/min repeats itself with a correlation of {strength:.2f} in {leads}"
    present = strength >= FLUTTER_STRENGTH
    rate = case.rate
    if present and rate is not None and abs(per_min - rate) <= ONE_TO_ONE * rate:
        return unknown(f"{words}, but the ventricles beat at {rate:.0f}/min: one to one, T waves look like flutter")
    return Verdict(present, words, case.whole if present else ())
