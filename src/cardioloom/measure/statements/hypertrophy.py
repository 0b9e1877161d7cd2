"""Voltages: left and right ventricular hypertrophy, low voltage."""

from __future__ import annotations

from cardioloom.measure.statements.case import NOT_PHYSICAL, Case, Verdict, unknown
from cardioloom.measure.statements.conduction import deep_s, has_block, high_r
from cardioloom.records.leads import CHEST_LEADS

SOKOLOW_LYON_MV = 3.5
R_AVL_MV = 1.1
CORNELL_MV = {"M": 2.8, "F": 2.0}
CORNELL_UNKNOWN_MV = 2.8  # the higher limit where the sex is unknown
LIMB = ("I", "II", "III", "aVR", "aVL", "aVF")
LOW_LIMB_MV, LOW_CHEST_MV = 0.5, 1.0


def left_ventricle(case: Case) -> Verdict:
    """Sokolow–Lyon, Cornell by sex or R in aVL above its limit."""
    if not case.features.is_physical:
        return unknown(NOT_PHYSICAL)
    measured = _left_voltages(case)
    if not measured:
        return unknown(case.reversal or "needs V1 with V5 or V6, or aVL with V3, or aVL: not usable here")
    if case.features.age is not None and case.features.age < 16:
        return unknown("the limits are those of adults")
    met = [f"{name} {value:.2f} mV (limit {limit:.1f})" for name, value, limit in measured if value > limit]
    others = [f"{name} {value:.2f} mV" for name, value, limit in measured if value <= limit]
    words = "; ".join([*met, *others])
    block = has_block(case)
    words += f"; less reliable with {block}" if met and block else ""
    return Verdict(bool(met), words, case.whole if met else ())


def _left_voltages(case: Case) -> list[tuple[str, float, float]]:
    """(name, value, limit) in mV of each criterion whose leads are there and believed."""
    found: list[tuple[str, float, float]] = []
    v1, v3, avl = case.wave("V1"), case.wave("V3"), None if case.reversal else case.wave("aVL")
    left = [wave for lead in ("V5", "V6") if (wave := case.wave(lead)) is not None]
    if v1 is not None and left:
        found.append(("Sokolow–Lyon S V1 + R V5/V6", deep_s(v1) + max(map(high_r, left)), SOKOLOW_LYON_MV))
    if avl is not None and v3 is not None:
        sex = case.features.sex
        limit = CORNELL_MV.get(sex or "", CORNELL_UNKNOWN_MV)
        found.append(("Cornell R aVL + S V3", high_r(avl) + deep_s(v3), limit))
    if avl is not None:
        found.append(("R aVL", high_r(avl), R_AVL_MV))
    return found


def right_ventricle(case: Case) -> Verdict:
    """R in V1 above 0.7 mV and above its S, or R V1 + S V5/V6 above 1.05 mV, with an axis of 90° or more."""
    if not case.features.is_physical:
        return unknown(NOT_PHYSICAL)
    if why := case.lacking("V1"):
        return unknown(why)
    axis = case.value("qrs_axis")
    if axis is None or case.reversal:
        return unknown(case.reversal or "the QRS axis was not measured")
    if block := has_block(case):
        return unknown(f"{block} distorts the right chest leads")
    v1 = case.wave("V1")
    assert v1 is not None
    r, s = high_r(v1), deep_s(v1)
    left = [deep_s(wave) for lead in ("V5", "V6") if (wave := case.wave(lead)) is not None]
    total = r + max(left, default=0.0)
    tall = (r > 0.7 and r > s) or (total > 1.05 and r > s)
    present = tall and axis >= 90.0
    words = f"R V1 {r:.2f} mV, S V1 {s:.2f} mV, R V1 + S V5/V6 {total:.2f} mV, QRS axis {axis:.0f}°"
    return Verdict(present, words, case.whole if present else ())


def low_voltage(case: Case) -> Verdict:
    """QRS below 0.5 mV peak to peak in every limb lead, or below 1.0 mV in every chest lead."""
    if not case.features.is_physical:
        return unknown(NOT_PHYSICAL)
    found = []
    lost = case.reversal if case.limb_swap and case.limb_swap.on_right_leg else None
    for leads, limit, place in ((LIMB, LOW_LIMB_MV, "limb"), (CHEST_LEADS, LOW_CHEST_MV, "chest")):
        if not case.absent(*leads) and not (place == "limb" and lost):
            heights = [_peak_to_peak(case, lead) for lead in leads]
            found.append((max(heights), limit, place))
    if not found:
        return unknown(lost or "needs all limb leads or all chest leads")
    low = [place for height, limit, place in found if height < limit]
    words = ", ".join(f"largest QRS of the {place} leads {height:.2f} mV" for height, _, place in found)
    return Verdict(bool(low), words, case.whole if low else ())


def _peak_to_peak(case: Case, lead: str) -> float:
    wave = case.wave(lead)
    assert wave is not None
    return high_r(wave) - min(wave.q, wave.s, wave.s_prime)
