"""QT interval and T waves."""

from __future__ import annotations

from cardioloom.measure.intervals import UNSTEADY
from cardioloom.measure.statements.case import NOT_PHYSICAL, Case, Verdict, unknown
from cardioloom.measure.statements.conduction import has_block, high_r
from cardioloom.measure.statements.ischaemia import neighbours

LONG_QTC_MS = {"M": 450.0, "F": 460.0}
LONG_UNKNOWN_MS = 460.0
SHORT_QTC_MS = 340.0
BAZETT_BPM = (60.0, 100.0)  # outside this Bazett over- or undercorrects
CORRECTED_BPM = (40.0, 130.0)  # outside this no formula is trusted
T_LEADS = ("I", "II", "aVL", "aVF", "V2", "V3", "V4", "V5", "V6")
INVERTED_MV = -0.1
LEAST_R_MV = 0.1


def _qtc(case: Case) -> tuple[float, str] | str:
    """QTc in ms and its formula; or why there is none."""
    bazett, fridericia, rate = case.value("qtc_bazett"), case.value("qtc_fridericia"), case.rate
    if rate is None or (bazett is None and fridericia is None):
        is_measured = rate is not None and case.value("qt_interval") is not None
        return UNSTEADY if is_measured else "the QT interval was not measured"
    if not CORRECTED_BPM[0] <= rate <= CORRECTED_BPM[1]:
        return f"no formula corrects QT reliably at {rate:.0f}/min"
    if bazett is not None and BAZETT_BPM[0] <= rate <= BAZETT_BPM[1]:
        return bazett, "Bazett"
    return (fridericia, "Fridericia") if fridericia is not None else (bazett or 0.0, "Bazett")


def long_qt(case: Case) -> Verdict:
    """QTc of 450 ms (men) or 460 ms (women, or sex unknown) or more; a wide QRS is allowed for."""
    qtc = _qtc(case)
    if isinstance(qtc, str):
        return unknown(qtc)
    value, formula = qtc
    limit = LONG_QTC_MS.get(case.features.sex or "", LONG_UNKNOWN_MS)
    words = f"QTc ({formula}) {value:.0f} ms, limit {limit:.0f} ms"
    qrs = case.value("qrs_duration")
    if qrs is not None and qrs >= 120.0:
        # Bogossian et al. 2014, Heart Rhythm 11:2273–2277: QT less 48.5 % of a wide QRS, then corrected.
        qt = case.value("qt_interval")
        value -= 0.485 * qrs * (value / qt if qt else 1.0)
        words += f"; without 48.5 % of the QRS of {qrs:.0f} ms: {value:.0f} ms"
    present = value >= limit
    return Verdict(present, words, case.whole if present else ())


def short_qt(case: Case) -> Verdict:
    """QTc of 340 ms or less."""
    qtc = _qtc(case)
    if isinstance(qtc, str):
        return unknown(qtc)
    value, formula = qtc
    present = value <= SHORT_QTC_MS
    return Verdict(
        present, f"QTc ({formula}) {value:.0f} ms, limit {SHORT_QTC_MS:.0f} ms", case.whole if present else ()
    )


def t_inversion(case: Case) -> Verdict:
    """T of −0.1 mV or lower in two neighbouring leads in which it is upright in health and R is prominent."""
    if not case.features.is_physical:
        return unknown(NOT_PHYSICAL)
    leads = [lead for lead in T_LEADS if lead[0] == "V" or not case.reversal]
    waves = {lead: wave for lead in leads if (wave := case.wave(lead)) is not None and wave.t is not None}
    if len(waves) < 2:
        return unknown("needs two neighbouring leads with a T wave")
    block = has_block(case)
    if block == "right bundle branch block":
        waves = {lead: wave for lead, wave in waves.items() if lead not in ("V2", "V3")}  # secondary there
    elif block:
        return unknown(f"{block} inverts T by itself")
    found = [
        f"{lead} {wave.t:+.2f} mV"
        for lead, wave in waves.items()
        if wave.t is not None and wave.t <= INVERTED_MV and (high_r(wave) >= LEAST_R_MV or lead[0] == "V")
    ]
    present = neighbours([words.split()[0] for words in found])
    return Verdict(present, f"T {', '.join(found)}" if found else "no inverted T", case.whole if present else ())
