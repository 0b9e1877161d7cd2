"""ST deviation by the fourth universal definition of myocardial infarction, and its mimics.

Thygesen et al. 2018, doi:10.1161/CIR.0000000000000617; pericarditis and Brugada patterns as named at each function.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from cardioloom.measure.statements.case import NOT_PHYSICAL, Case, Verdict, unknown
from cardioloom.measure.statements.conduction import has_block, high_r, right_bundle
from cardioloom.records.leads import CHEST_LEADS

# Neighbours: the limb leads in Cabrera's order within lateral and inferior wall, the chest leads in theirs.
CONTIGUOUS = (("aVL", "I"), ("II", "aVF"), ("aVF", "III"), ("II", "III"), *pairwise(CHEST_LEADS), ("I", "V6"))
TERRITORIES = {
    "anterior": ("V1", "V2", "V3", "V4"),
    "inferior": ("II", "III", "aVF"),
    "lateral": ("I", "aVL", "V5", "V6"),
}
ELEVATION_MV = 0.10
DEPRESSION_MV = 0.05


def elevation_limit(lead: str, age: float | None, sex: str | None) -> float:
    """The J-point elevation that counts, mV; where age or sex is unknown, the higher limit."""
    if lead not in ("V2", "V3"):
        return ELEVATION_MV
    if sex == "F":
        return 0.15
    return 0.20 if age is not None and age >= 40 else 0.25


def _unfit(case: Case) -> str | None:
    if not case.features.is_physical:
        return NOT_PHYSICAL
    known = [lead for lead in case.features.waves if case.st(lead) is not None]
    return None if len(known) >= 2 else "needs two neighbouring leads with an ST level"


def raised(case: Case) -> dict[str, float]:
    """Lead → J level in mV of the leads above their limit."""
    f = case.features
    levels = {lead: case.st(lead) for lead in f.waves if lead != "aVR" and (lead[0] == "V" or not case.reversal)}
    return {lead: mv for lead, mv in levels.items() if mv is not None and mv >= elevation_limit(lead, f.age, f.sex)}


def lowered(case: Case) -> dict[str, float]:
    """Lead → level 60 ms after J in mV of the leads with horizontal or falling depression of 0.05 mV or more."""
    found = {}
    secondary = ("V1", "V2", "V3") if case.says(right_bundle) else ()  # opposite to R′ in right bundle branch block
    for lead in case.features.waves:
        j, later = case.st(lead), case.st(lead, "j60")
        if lead == "aVR" or lead in secondary or (lead[0] != "V" and case.reversal) or j is None or later is None:
            continue
        # Rising faster than 0.05 mV in 60 ms is an upsloping ST.
        if j <= -DEPRESSION_MV and later <= -DEPRESSION_MV and later - j < DEPRESSION_MV:
            found[lead] = later
    return found


def neighbours(leads: Sequence[str]) -> bool:
    """Whether two of the leads look at neighbouring walls."""
    return any(a in leads and b in leads for a, b in CONTIGUOUS)


def _listed(levels: dict[str, float]) -> str:
    return ", ".join(f"{lead} {mv:+.2f} mV" for lead, mv in levels.items())


def st_elevation(case: Case) -> Verdict:
    """J above its limit in two neighbouring leads: 0.1 mV, in V2 and V3 by age and sex."""
    if why := _unfit(case):
        return unknown(why)
    found = raised(case)
    if not neighbours(tuple(found)):
        return Verdict(
            False, f"raised in {_listed(found)}, no neighbouring lead with it" if found else "no lead raised"
        )
    block = has_block(case)
    if block and block != "right bundle branch block":
        return unknown(f"{block} raises ST by itself ({_listed(found)})")
    return Verdict(True, f"J {_listed(found)}", case.whole)


def st_depression(case: Case) -> Verdict:
    """Horizontal or falling ST of −0.05 mV or lower in two neighbouring leads."""
    if why := _unfit(case):
        return unknown(why)
    found = lowered(case)
    if not neighbours(tuple(found)):
        words = f"lowered in {_listed(found)}, no neighbouring lead with it" if found else "no lead lowered"
        return Verdict(False, words)
    block = has_block(case)
    if block and block != "right bundle branch block":
        return unknown(f"{block} lowers ST by itself ({_listed(found)})")
    return Verdict(True, f"60 ms after J {_listed(found)}", case.whole)


def pericarditis(case: Case) -> Verdict:
    """ST raised in leads of at least two walls, lowered in none but aVR and V1, and ST/T of 0.25 or more in V6.

    Ginzton & Laks 1982, doi:10.1161/01.CIR.65.5.1004, for the ratio.
    """
    if why := _unfit(case):
        return unknown(why)
    if why := case.lacking("I", "II", "V5", "V6"):
        return unknown(why)
    if block := has_block(case):
        return unknown(f"{block} distorts ST")
    f = case.features
    up = {lead: mv for lead in f.waves if lead not in ("aVR", "V1") and (mv := case.st(lead)) is not None}
    high = {lead: mv for lead, mv in up.items() if mv >= DEPRESSION_MV}
    down = [lead for lead, mv in up.items() if mv <= -DEPRESSION_MV]
    walls = [name for name, leads in TERRITORIES.items() if sum(lead in high for lead in leads) >= 2]
    v6 = case.wave("V6")
    assert v6 is not None
    ratio = (v6.st.get("j", 0.0) / v6.t) if v6.t is not None and v6.t > 0 else None
    present = len(walls) == 3 and not down and ratio is not None and ratio >= 0.25 and len(raised(case)) >= 4
    words = f"ST raised in {', '.join(high) or 'no lead'}, lowered in {', '.join(down) or 'none'}"
    words += f", ST/T in V6 {ratio:.2f}" if ratio is not None else ""
    return Verdict(present, words, case.whole if present else ())


def brugada(case: Case) -> Verdict:
    """Type 1: J of 0.2 mV or more in V1 or V2, falling to a negative T.

    Priori et al. 2013 (HRS/EHRA/APHRS), doi:10.1016/j.hrthm.2013.05.014.
    """
    if why := _unfit(case):
        return unknown(why)
    present, seen = [], []
    for lead in ("V1", "V2"):
        wave = case.wave(lead)
        if wave is None or not {"j", "j60", "j80"} <= set(wave.st):
            continue
        j, j60, j80 = (wave.st[point] for point in ("j", "j60", "j80"))
        seen.append(f"{lead} J {j:+.2f}, J+60 {j60:+.2f}, J+80 {j80:+.2f} mV")
        if j >= 0.2 and j > j60 > j80 and wave.t is not None and wave.t < 0 and high_r(wave) > 0:
            present.append(lead)
    if not seen:
        return unknown("needs V1 or V2 with an ST level")
    if (block := has_block(case)) and block != "right bundle branch block":
        return unknown(f"{block} distorts ST")
    return Verdict(bool(present), "; ".join(seen), case.whole if present else ())
