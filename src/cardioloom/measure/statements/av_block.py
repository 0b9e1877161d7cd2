"""Atrioventricular block: first degree by the PR interval, second and third by P waves that no QRS follows."""

from __future__ import annotations

import numpy as np

from cardioloom.measure.statements.atrial import is_fibrillation, is_flutter
from cardioloom.measure.statements.atrial_activity import blocked_p_waves, free_atrial_rate
from cardioloom.measure.statements.case import Case, Verdict, against, unknown
from cardioloom.measure.statements.pacing import is_paced
from cardioloom.measure.statements.rhythm import wide_and_fast

LONG_PR_MS = 200.0
LONGEST_RISE_MS = 70.0  # from P onset to P peak
PR_VARIES_MS = 25.0  # SD over the beats: above, P onsets of some beats were taken in the T wave, or PR is not constant
P_BEFORE_MOST = 0.6
ESCAPE_BPM = 55.0
REGULAR = 0.05  # SD of the RR intervals over their mean


def first_degree(case: Case) -> Verdict:
    """PR interval above 200 ms, much the same from beat to beat, with a P wave before the beats."""
    if case.too_few:
        return unknown(case.too_few)
    if is_paced(case):
        return unknown("the ventricles are paced: the interval from P to QRS is the pacemaker's")
    if is_fibrillation(case) or is_flutter(case):
        return Verdict(False, "the atria fibrillate or flutter")
    if doubt := wide_and_fast(case):
        return unknown(doubt)
    pr = case.features.measurements.get("pr_interval")
    with_p, looked = case.p_count
    if pr is None or case.p_share < P_BEFORE_MOST:
        return unknown(f"no PR interval: a P wave before {with_p} of {looked} beats")
    spread = "" if pr.sd is None else f" ± {pr.sd:.0f}"
    words = f"PR {against(pr.value, LONG_PR_MS)}{spread} ms (limit {LONG_PR_MS:.0f} ms), "
    words += f"a P wave before {with_p} of {looked} beats"
    marks, fs = case.features.marks.over_leads, case.features.fs
    ahead = 1000.0 * (marks["qrs_on"] - marks["p_peak"])[case.features.beat_class == 0] / fs
    peak = float(np.nanmedian(ahead)) if np.isfinite(ahead).any() else np.nan
    if pr.value > LONG_PR_MS and peak < LONG_PR_MS - LONGEST_RISE_MS:
        return unknown(f"{words}, but its peak only {peak:.0f} ms before the QRS: the P onset is not sure")
    if pr.value > LONG_PR_MS and pr.sd is not None and pr.sd > PR_VARIES_MS:
        return unknown(f"{words}: it varies too much for a first degree block, or the P onset is not sure")
    return Verdict(pr.value > LONG_PR_MS, words, case.whole if pr.value > LONG_PR_MS else ())


def second_degree(case: Case) -> Verdict:
    """P waves on time that no QRS follows, while others are conducted."""
    if case.too_few:
        return unknown(case.too_few)
    if is_fibrillation(case) or is_flutter(case):
        return Verdict(False, "the atria fibrillate or flutter")
    if case.p_share < P_BEFORE_MOST:
        return unknown("no P wave that repeats itself before the beats to look for elsewhere")
    times = blocked_p_waves(case)
    if times is None:
        return unknown("no lead shows a P wave clear enough to look for elsewhere")
    if not len(times):
        return Verdict(False, "every P wave that was found is followed by a QRS")
    words = f"{len(times)} P wave{'s' * (len(times) > 1)} on time without a QRS, the first at {times[0]:.1f} s"
    return Verdict(True, words, tuple((round(t - 0.1, 2), round(t + 0.1, 2)) for t in times))


def third_degree(case: Case) -> Verdict:
    """A slow regular ventricular rhythm, and regular atrial activity that has no fixed relation to it."""
    if case.too_few:
        return unknown(case.too_few)
    rr = case.normal_rr if len(case.normal_rr) > 1 else case.features.rr_s[np.isfinite(case.features.rr_s)]
    rate = 60.0 / float(np.mean(rr))
    spread = float(np.std(rr) / np.mean(rr))
    words = f"ventricular rate {rate:.0f}/min"
    if is_paced(case):
        return unknown("the ventricles are paced: what would conduct without it is not seen")
    if case.p_share >= P_BEFORE_MOST:
        with_p, looked = case.p_count
        return Verdict(False, f"{words}, a P wave before {with_p} of {looked} beats")
    if rate > ESCAPE_BPM or spread > REGULAR:
        return Verdict(False, f"{words}, RR varies by {spread:.0%}: no slow regular escape rhythm")
    atrial = free_atrial_rate(case)
    if atrial is None:
        return unknown(f"{words}, no atrial activity could be told from the rest")
    per_min, strength = atrial
    present = strength
    words += f", atrial activity at {per_min:.0f}/min independent of it" if present else ", no regular atrial activity"
    return Verdict(present, words, case.whole if present else ())
