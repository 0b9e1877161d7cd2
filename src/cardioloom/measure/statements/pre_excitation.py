"""Pre-excitation: a short PR interval and a QRS that begins slowly."""

from __future__ import annotations

import numpy as np

from cardioloom.measure.statements.case import Case, Verdict, unknown

SHORT_PR_MS = 120.0
WIDE_MS = 110.0
DELTA_S = 0.04
SLOW_SHARE = 0.35  # slope of the first 40 ms over the steepest slope of the QRS, on average over leads


def slow_start(case: Case) -> float | None:
    """Mean slope of the first 40 ms of the QRS over its steepest slope, averaged over leads by amplitude."""
    f = case.features
    on = f.median_marks.get("qrs_on", np.nan)
    off = f.median_marks.get("qrs_off", np.nan)
    if not (np.isfinite(on) and np.isfinite(off)):
        return None
    beats = [beat for lead, beat in f.median_beat.items() if lead in f.usable and np.isfinite(beat).all() and len(beat)]
    if not beats:
        return None
    qrs = np.stack([beat[round(on) : round(off) + 1] for beat in beats])
    n = round(DELTA_S * f.fs)
    if qrs.shape[1] < 2 * n:
        return None
    reach = max(1, round(0.01 * f.fs))
    slope = np.abs(qrs[:, reach:] - qrs[:, :-reach])
    return float(slope[:, : n - reach].mean(axis=1).sum() / slope.max(axis=1).sum())


def pre_excitation(case: Case) -> Verdict:
    """PR below 120 ms, QRS above 110 ms, and a delta wave: the QRS begins with a slow part."""
    pr, qrs = case.value("pr_interval"), case.value("qrs_duration")
    if qrs is None:
        return unknown("the QRS duration was not measured")
    if pr is None:
        return unknown("no PR interval: no repeating P wave was found")
    words = f"PR {pr:.0f} ms, QRS {qrs:.0f} ms"
    if pr >= SHORT_PR_MS or qrs <= WIDE_MS:
        return Verdict(False, words)
    share = slow_start(case)
    if share is None:
        return unknown(f"{words}, the beginning of the QRS could not be measured")
    present = share < SLOW_SHARE
    words += f", its first 40 ms at {share:.0%} of the steepest slope"
    return Verdict(present, words, case.whole if present else ())
