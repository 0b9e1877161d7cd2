"""Premature beats and their patterns: single, bigeminy, trigeminy, pairs, runs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cardioloom.measure.statements.atrial import is_fibrillation, is_flutter
from cardioloom.measure.statements.case import Case, Verdict, unknown
from cardioloom.measure.statements.pacing import is_paced
from cardioloom.measure.statements.rhythm import wide_and_fast

RUN_BEATS = 3
TACHYCARDIA_BPM = 100.0
FEW_BEATS = 4
ORDINALS = {2: "second", 3: "third"}


def _unfit(case: Case) -> str | None:
    if case.too_few or case.n_beats < FEW_BEATS:
        return case.too_few or f"only {case.n_beats} beats were found, too few to tell which one is premature"
    return "the ventricles are paced" if is_paced(case) else None


def premature_atrial(case: Case) -> Verdict:
    """Beats of the usual QRS shape that come early and are followed by a return to the rhythm."""
    if why := _unfit(case):
        return unknown(why)
    if is_fibrillation(case) or is_flutter(case):
        return unknown("no beat is premature in an irregular atrial rhythm")
    beats = case.ectopy.supraventricular
    if not beats.any():
        return Verdict(False, "no beat of the usual shape comes early")
    haste = case.ectopy.haste[beats]
    words = f"{_count(beats)} of the usual QRS shape after {_shares(haste)} of the local RR interval"
    return Verdict(True, words, case.spans(beats))


def premature_ventricular(case: Case) -> Verdict:
    """Beats of another and wider QRS that come early or are followed by a pause."""
    if why := _unfit(case):
        return unknown(why)
    beats = case.ectopy.ventricular
    if not beats.any():
        return Verdict(False, "no early beat has another and wider QRS")
    f = case.features
    usual = f.qrs_ms[f.beat_class == 0]
    widths = f.qrs_ms[beats]
    widths = widths[np.isfinite(widths)]
    width = f", QRS {np.median(widths):.0f} ms" if len(widths) else ""
    against = f" against {np.nanmedian(usual):.0f} ms" if len(widths) and np.isfinite(usual).any() else ""
    words = f"{_count(beats)} of another QRS shape{width}{against}, after {_shares(case.ectopy.haste[beats])} of the RR"
    return Verdict(True, words, case.spans(beats))


def _count(beats: NDArray[np.bool_]) -> str:
    n = int(beats.sum())
    return f"{n} beat{'s' * (n > 1)} of {len(beats)}"


def _shares(haste: NDArray[np.float64]) -> str:
    known = haste[np.isfinite(haste)]
    if not len(known):
        return "an unknown share"
    low, high = float(known.min()), float(known.max())
    return f"{low:.0%}" if high - low < 0.01 else f"{low:.0%} to {high:.0%}"


def _pattern(case: Case, beats: NDArray[np.bool_], period: int, name: str) -> Verdict:
    """Every ``period``-th beat premature, at least three times in a row."""
    places = np.flatnonzero(beats)
    best, start, first = 0, 0, 0
    for n in range(len(places)):
        if n and places[n] - places[n - 1] != period:
            first = n
        if n - first + 1 > best:
            best, start = n - first + 1, first
    if best < RUN_BEATS:
        return Verdict(False, f"at most {best} premature beats in a row at a distance of {period} beats")
    part = places[start : start + best]
    peaks = case.features.r_peaks_s
    span = (round(float(peaks[max(0, part[0] - period + 1)]), 2), round(float(peaks[part[-1]]), 2))
    return Verdict(True, f"{name}: every {ORDINALS[period]} beat is premature, {best} times in a row", (span,))


def _patterned(case: Case, kind: str, period: int, name: str) -> Verdict:
    judged = premature_atrial(case) if kind == "supraventricular" else premature_ventricular(case)
    if judged.present is None:
        return judged
    return _pattern(case, getattr(case.ectopy, kind), period, name)


def ventricular_bigeminy(case: Case) -> Verdict:
    """Every second beat a ventricular premature one, three times or more."""
    return _patterned(case, "ventricular", 2, "ventricular bigeminy")


def ventricular_trigeminy(case: Case) -> Verdict:
    """Every third beat a ventricular premature one, three times or more."""
    return _patterned(case, "ventricular", 3, "ventricular trigeminy")


def atrial_bigeminy(case: Case) -> Verdict:
    """Every second beat a supraventricular premature one, three times or more."""
    return _patterned(case, "supraventricular", 2, "atrial bigeminy")


def ventricular_pairs(case: Case) -> Verdict:
    """Two ventricular beats in a row."""
    if why := _unfit(case):
        return unknown(why)
    runs = [run for run in runs_of(case.ectopy.ventricular) if run[1] - run[0] == 2]
    spans = tuple(_span(case, run) for run in runs)
    return Verdict(bool(runs), f"{len(runs)} pair{'s' * (len(runs) != 1)} of ventricular beats", spans)


def runs_of(beats: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(first, one past the last) of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], beats.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _span(case: Case, run: tuple[int, int]) -> tuple[float, float]:
    peaks = case.features.r_peaks_s
    return round(float(peaks[run[0]]), 2), round(float(peaks[run[1] - 1]), 2)


def ventricular_tachycardia(case: Case) -> Verdict:
    """Three or more wide beats of ventricular shape in a row above 100 a minute, or a regular wide rhythm without P."""
    if why := _unfit(case):
        return unknown(why)
    peaks = case.features.r_peaks_s
    fast = []
    for first, last in runs_of(case.ectopy.ventricular):
        if last - first >= RUN_BEATS and 60.0 * (last - first - 1) / (peaks[last - 1] - peaks[first]) > TACHYCARDIA_BPM:
            fast.append((first, last))
    if fast:
        longest = max(last - first for first, last in fast)
        words = f"{len(fast)} run{'s' * (len(fast) > 1)} of ventricular beats, the longest of {longest}"
        return Verdict(True, words, tuple(_span(case, run) for run in fast))
    return _sustained(case)


def _sustained(case: Case) -> Verdict:
    rate, qrs = case.rate, case.value("qrs_duration")
    if rate is None:
        return unknown("the rate was not measured")
    width = "QRS not measured" if qrs is None else f"QRS {qrs:.0f} ms"
    with_p, looked = case.p_count
    words = f"rate {rate:.0f}/min, {width}, a P wave before {with_p} of {looked} beats"
    doubt = wide_and_fast(case)
    if doubt is None:
        return Verdict(False, words)
    rr = case.normal_rr
    regular = len(rr) > 1 and float(rr.std() / rr.mean()) < 0.1
    if qrs is None or not regular or case.p_share >= 0.5:
        return unknown(f"{words}: a wide tachycardia that may be supraventricular or ventricular")
    return Verdict(True, f"wide regular tachycardia, {words}", case.whole)
