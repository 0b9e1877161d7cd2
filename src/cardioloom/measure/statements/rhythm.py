"""The basic rhythm: sinus rhythm and its rate, sinus arrhythmia, narrow tachycardia without P waves, pauses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cardioloom.measure.statements.atrial import is_fibrillation, is_flutter
from cardioloom.measure.statements.case import Case, Spans, Verdict, against, unknown
from cardioloom.measure.statements.pacing import is_paced
from cardioloom.measure.stretches import without_qrs_s

SLOW_BPM, FAST_BPM = 60.0, 100.0
P_BEFORE_MOST = 0.5  # of the dominant beats
P_OF_ALL = 0.33  # and of all beats, where most are of another shape
P_AXIS_DEG = (-30.0, 120.0)  # 0 to 75° is normal; below and above that range the P wave is not of sinus origin
SINUS_ARRHYTHMIA_S = 0.16  # between the longest and the shortest interval
SINUS_ARRHYTHMIA_SHARE = 0.10  # of the mean interval
TACHYCARDIA_BPM = 150.0
FAST_AND_WIDE_BPM, WIDE_MS = 120.0, 140.0
PAUSE_S = 2.0
LONG_PAUSE_S = 3.0


def why_not_sinus(case: Case) -> str | None:
    """Why the rhythm is not of sinus origin, None where it is."""
    if is_paced(case):
        return "the ventricles are paced"
    if is_fibrillation(case):
        return "the rhythm is atrial fibrillation"
    if is_flutter(case):
        return "the rhythm is atrial flutter"
    with_p, looked = case.p_count
    if case.p_share < P_BEFORE_MOST or with_p < P_OF_ALL * case.n_beats:
        return f"a P wave was found before {with_p} of {looked} normal beats of {case.n_beats}"
    axis = case.value("p_axis")
    if axis is not None and not case.reversal and not P_AXIS_DEG[0] <= axis <= P_AXIS_DEG[1]:
        return f"the P axis is {axis:.0f}°, outside {P_AXIS_DEG[0]:.0f}° to {P_AXIS_DEG[1]:.0f}°"
    return None


def wide_and_fast(case: Case) -> str | None:
    """A sentence where a fast rhythm may be ventricular, so that what precedes the QRS may be a T wave."""
    rate, qrs = case.rate, case.value("qrs_duration")
    if rate is None or rate < FAST_AND_WIDE_BPM or (qrs is not None and qrs < WIDE_MS):
        return None
    wide = "a QRS that could not be measured" if qrs is None else f"a QRS of {qrs:.0f} ms"
    return f"rate {rate:.0f}/min with {wide}: bumps before it need not be P waves"


def _sinus_at(case: Case, low: float, high: float) -> Verdict:
    if case.too_few:
        return unknown(case.too_few)
    rate = case.rate
    assert rate is not None  # three beats give an interval
    shown = against(rate, SLOW_BPM if rate < (SLOW_BPM + FAST_BPM) / 2 else FAST_BPM)
    if why := why_not_sinus(case):
        return Verdict(False, f"{why}; rate {shown}/min")
    if doubt := wide_and_fast(case):
        return unknown(doubt)
    with_p, looked = case.p_count
    words = f"rate {shown}/min, a P wave before {with_p} of {looked} beats"
    return Verdict(low <= rate < high, words, case.whole if low <= rate < high else ())


def sinus_rhythm(case: Case) -> Verdict:
    """P waves of sinus axis before the beats, 60 to 100 a minute."""
    return _sinus_at(case, SLOW_BPM, np.nextafter(FAST_BPM, np.inf))


def sinus_bradycardia(case: Case) -> Verdict:
    """Sinus rhythm below 60 a minute."""
    return _sinus_at(case, 0.0, SLOW_BPM)


def sinus_tachycardia(case: Case) -> Verdict:
    """Sinus rhythm above 100 a minute."""
    return _sinus_at(case, np.nextafter(FAST_BPM, np.inf), np.inf)


def sinus_arrhythmia(case: Case) -> Verdict:
    """Sinus rhythm whose normal intervals differ by more than 0.16 s and 10 % of their mean."""
    if case.too_few:
        return unknown(case.too_few)
    if why := why_not_sinus(case):
        return Verdict(False, why)
    rr = case.normal_rr
    if len(rr) < 3:
        return unknown(f"only {len(rr)} intervals lie between normal beats")
    span, mean = float(np.ptp(rr)), float(rr.mean())
    present = span > max(SINUS_ARRHYTHMIA_S, SINUS_ARRHYTHMIA_SHARE * mean)
    words = (
        f"normal RR intervals from {1000 * rr.min():.0f} to {1000 * rr.max():.0f} ms ({span / mean:.0%} of the mean)"
    )
    return Verdict(present, words, case.whole if present else ())


def narrow_tachycardia(case: Case) -> Verdict:
    """Regular, narrow, above 150 a minute, and no sinus P wave."""
    if case.too_few:
        return unknown(case.too_few)
    rate, rr = case.rate, case.normal_rr
    assert rate is not None
    if rate <= TACHYCARDIA_BPM:
        return Verdict(False, f"rate {rate:.0f}/min")
    if case.is_wide is None:
        return unknown("the QRS duration was not measured")
    why = why_not_sinus(case)
    regular = len(rr) > 1 and float(rr.std() / rr.mean()) < 0.1
    words = f"{'regular' if regular else 'irregular'}, {'wide' if case.is_wide else 'narrow'}, rate {rate:.0f}/min"
    present = regular and not case.is_wide and (why is not None or rate > 200.0)
    return Verdict(present, f"{words}; {why or 'P waves were found'}", case.whole if present else ())


def pause(case: Case) -> Verdict:
    """More than 2 s without a QRS complex, at the ends of the recording too."""
    f = case.features
    return pauses(f.r_peaks_s, f.interrupted_s, f.seconds)


def pauses(r_peaks_s: NDArray[np.float64], interrupted_s: NDArray[np.float64], seconds: float) -> Verdict:
    """`pause` from the beats of a recording of any length; arguments as `stretches.without_qrs_s` has them."""
    if not len(r_peaks_s):
        return unknown("no beat was found")
    free = without_qrs_s(r_peaks_s, interrupted_s, seconds)
    lengths = np.diff(free, axis=1)[:, 0]
    longest = float(lengths.max(initial=0.0))
    if longest <= PAUSE_S:
        return Verdict(False, f"the longest interval without a QRS is {longest:.1f} s")
    spans: Spans = tuple((round(float(a), 2), round(float(b), 2)) for a, b in free[lengths > PAUSE_S])
    grave = f", longer than {LONG_PAUSE_S:.0f} s" if longest > LONG_PAUSE_S else ""
    return Verdict(True, f"pause of {longest:.1f} s without a QRS{grave} ({len(spans)} above {PAUSE_S:.0f} s)", spans)
