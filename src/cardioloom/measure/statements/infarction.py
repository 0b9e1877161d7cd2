"""Infarction: Q waves and their territory, and acute occlusion behind left bundle branch block or pacing.

Q waves: fourth universal definition, table 3 (Thygesen et al. 2018, doi:10.1161/CIR.0000000000000617).
"""

from __future__ import annotations

from itertools import pairwise

from cardioloom.measure.amplitudes import LEAST_MV
from cardioloom.measure.statements.case import NOT_PHYSICAL, Case, Verdict, unknown
from cardioloom.measure.statements.conduction import deep_s, has_block, high_r, left_bundle
from cardioloom.measure.statements.ischaemia import TERRITORIES, lowered, raised
from cardioloom.measure.statements.pacing import is_paced
from cardioloom.measure.statements.pre_excitation import pre_excitation
from cardioloom.measure.statements.rhythm import wide_and_fast
from cardioloom.records.leads import CHEST_LEADS

Q_MS, Q_MV = 30.0, 0.1
Q_V23_MS = 20.0
ADULT_YEARS = 16.0
GROUPS = (("I", "aVL"), ("V1", "V2", "V3", "V4", "V5", "V6"), ("II", "III", "aVF"))


def is_qs(case: Case, lead: str) -> bool:
    """A QRS without R wave."""
    wave = case.wave(lead)
    return wave is not None and deep_s(wave) > 0 and high_r(wave) == 0.0


def abnormal_q(case: Case, lead: str) -> bool:
    """Q of 0.1 mV and 30 ms or QS; in V2 and V3 any Q above 20 ms or QS."""
    wave = case.wave(lead)
    if wave is None:
        return False
    if is_qs(case, lead):
        return True
    if lead in ("V2", "V3"):
        return wave.q_ms > Q_V23_MS and -wave.q >= LEAST_MV
    return wave.q_ms >= Q_MS and -wave.q >= Q_MV


def _unfit(case: Case) -> str | None:
    if not case.features.is_physical:
        return NOT_PHYSICAL
    if not case.features.waves:
        return "no lead was measured"
    if case.says(left_bundle) or is_paced(case):
        return "left bundle branch block or pacing hides Q waves"
    if case.says(pre_excitation):
        return "pre-excitation imitates Q waves"
    if case.features.age is not None and case.features.age < ADULT_YEARS:
        return "the criteria are those of adults: deep Q waves are common in health before"
    return wide_and_fast(case)


def q_leads(case: Case) -> dict[str, list[str]]:
    """Territory → leads with an abnormal Q, where two neighbours of it have one.

    The definition takes any Q above 20 ms or QS in one of V2 and V3. Here a QS there suffices, but a Q needs an
    abnormal neighbour, as elsewhere: the definition itself finds Q waves most specific in several leads, and of the
    five recordings of the benchmark with a lone q of 21 to 26 ms in V2 or V3 only one, which is paced, is labelled
    infarction.
    """
    found = {}
    for name, leads in TERRITORIES.items():
        believed = [lead for lead in leads if lead[0] == "V" or not case.reversal]
        shown = [lead for lead in believed if abnormal_q(case, lead)]
        pairs = any(sum(lead in shown for lead in group) >= 2 for group in (*GROUPS, ("V4", "V5", "V6", "I")))
        # Q in III alone or with aVL alone is common in health.
        if _anterior_q(case) if name == "anterior" else len(shown) >= 2 and pairs:
            found[name] = shown
    return found


def _anterior_q(case: Case) -> bool:
    """QS in V2 or V3, or abnormal Q in two neighbours from V1 to V5."""
    if any(is_qs(case, lead) for lead in ("V2", "V3")):
        return True
    return any(abnormal_q(case, a) and abnormal_q(case, b) for a, b in pairwise(CHEST_LEADS[:5]))


def q_waves(case: Case) -> Verdict:
    """Pathological Q waves in any territory."""
    if why := _unfit(case):
        return unknown(why)
    found = q_leads(case)
    words = "; ".join(f"{name}: {', '.join(leads)}" for name, leads in found.items())
    return Verdict(
        bool(found), f"abnormal Q or QS, {words}" if found else "no abnormal Q wave", _span(case, bool(found))
    )


def _span(case: Case, present: bool) -> tuple[tuple[float, float], ...]:
    return case.whole if present else ()


def _territory(case: Case, name: str) -> Verdict:
    leads = TERRITORIES[name]
    if why := _unfit(case):
        return unknown(why)
    if name != "anterior" and case.reversal:
        return unknown(case.reversal)
    if len(case.absent(*leads)) > len(leads) - 2:
        return unknown(case.lacking(*leads) or "")
    old = q_leads(case).get(name, [])
    up = [lead for lead in leads if lead in raised(case)]
    facing = [lead for other, others in TERRITORIES.items() if other != name for lead in others]
    down = [lead for lead in facing if lead in lowered(case)]
    block = has_block(case)
    acute = len(up) >= 2 and bool(down) and not (block and block != "right bundle branch block")
    words = f"Q in {', '.join(old) or 'none'}; ST raised in {', '.join(up) or 'none'}"
    words += f", lowered opposite in {', '.join(down)}" if up and down else ""
    present = bool(old) or acute
    return Verdict(present, words, _span(case, present))


def anterior(case: Case) -> Verdict:
    """Q waves in V1–V4, or ST raised there and lowered opposite."""
    return _territory(case, "anterior")


def inferior(case: Case) -> Verdict:
    """Q waves in II, III, aVF, or ST raised there and lowered opposite."""
    return _territory(case, "inferior")


def lateral(case: Case) -> Verdict:
    """Q waves in I, aVL, V5, V6, or ST raised there and lowered opposite."""
    return _territory(case, "lateral")


TERRITORY_STATEMENTS = {"anterior": anterior, "inferior": inferior, "lateral": lateral}


def any_infarction(case: Case) -> Verdict:
    """A pattern of infarction in any territory."""
    if why := _unfit(case):
        return unknown(why)
    judged = {name: case.once(judge) for name, judge in TERRITORY_STATEMENTS.items()}
    named = [name for name, verdict in judged.items() if verdict.present]
    if not named and all(verdict.present is None for verdict in judged.values()):
        return unknown("needs two leads of one territory")
    words = "; ".join(f"{name}: {judged[name].evidence}" for name in named) or "no territory with Q waves or acute ST"
    return Verdict(bool(named), words, _span(case, bool(named)))


def _in_left_block(case: Case) -> Verdict | None:
    """What there is to say before the criteria that hold in left bundle branch block are looked at."""
    if not case.features.is_physical:
        return unknown(NOT_PHYSICAL)
    block = case.once(left_bundle)
    if block.present is None and not is_paced(case):
        return unknown(block.evidence)
    return None if block.present or is_paced(case) else Verdict(False, "no left bundle branch block")


def _net(case: Case, lead: str) -> float:
    wave = case.wave(lead)
    return 0.0 if wave is None else high_r(wave) - max(deep_s(wave), -wave.q)


def _concordant(case: Case, up_mv: float, down_mv: float, down_leads: tuple[str, ...]) -> list[str]:
    found = []
    for lead in case.features.waves:
        level, net = case.st(lead), _net(case, lead)
        if level is None or lead == "aVR":
            continue
        if level >= up_mv and net > 0:
            found.append(f"concordant elevation in {lead} ({level:+.2f} mV)")
        if level <= -down_mv and net < 0 and lead in down_leads:
            found.append(f"concordant depression in {lead} ({level:+.2f} mV)")
    return found


def sgarbossa(case: Case) -> Verdict:
    """3 points or more: concordant elevation ≥ 0.1 mV (5), depression ≥ 0.1 mV in V1–V3 (3), discordant ≥ 0.5 mV (2).

    Sgarbossa et al. 1996, doi:10.1056/NEJM199602223340801.
    """
    if (early := _in_left_block(case)) is not None:
        return early
    found = _concordant(case, 0.1, 0.1, ("V1", "V2", "V3"))
    points = 5 * any("elevation" in words for words in found) + 3 * any("depression" in words for words in found)
    large = [
        lead for lead in case.features.waves if (case.st(lead) or 0.0) >= 0.5 and _net(case, lead) < 0 and lead != "aVR"
    ]
    points += 2 * bool(large)
    words = [*found, *([f"discordant elevation ≥ 0.5 mV in {', '.join(large)}"] if large else [])]
    present = points >= 3
    return Verdict(present, f"{points} points" + (f": {'; '.join(words)}" if words else ""), _span(case, present))


def barcelona(case: Case) -> Verdict:
    """Concordant deviation ≥ 0.1 mV in any lead, or discordant ≥ 0.1 mV where R or S is at most 0.6 mV.

    Di Marco et al. 2020, doi:10.1161/JAHA.119.015573.
    """
    if (early := _in_left_block(case)) is not None:
        return early
    found = _concordant(case, 0.1, 0.1, tuple(case.features.waves))
    for lead, wave in case.features.waves.items():
        level, net = case.st(lead), _net(case, lead)
        small = max(high_r(wave), deep_s(wave), -wave.q) <= 0.6
        if level is not None and small and abs(level) >= 0.1 and level * net < 0:
            found.append(f"discordant deviation in {lead} ({level:+.2f} mV) with a QRS of at most 0.6 mV")
    return Verdict(bool(found), "; ".join(found) or "no concordant or excessive deviation", _span(case, bool(found)))
