"""Electrodes on the wrong place: suspicions from the median beat.

Limb leads after Kligfield et al. 2007 (AHA/ACCF/HRS part I, doi:10.1161/CIRCULATIONAHA.106.180200) and Batchvarov et
al. 2007 (doi:10.1093/europace/eum172); chest leads by the smoothness of their sequence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from cardioloom.measure.features import Features, LeadWaves
from cardioloom.records import Notice
from cardioloom.records.leads import CHEST_LEADS

FLAT_SHARE = 0.06  # QRS of a limb lead below this share of the largest limb lead: both its electrodes on the legs
LEAST_QRS_MV = 0.15
LEAST_P_MV = 0.03
SMOOTHER = 0.65  # a swap that leaves less than this share of the roughness is believed
LEFT_CHEST = ("V5", "V6")


@dataclass(frozen=True)
class LimbSwap:
    """Two limb electrodes that seem to be swapped, in words.

    ``on_right_leg``: one of them is that of the right leg, so that a lead is lost. Any other swap exchanges the six
    limb leads among each other and turns some over, which leaves the largest of them as large as it was.
    """

    text: str
    on_right_leg: bool = False


def misplaced(features: Features) -> list[Notice]:
    """Suspicions that electrodes were swapped, as warnings."""
    notices = []
    waves = {lead: wave for lead, wave in features.waves.items() if lead in features.usable}
    if swap := limb_swap(features):
        notices.append(Notice("limb_lead_reversal", swap.text))
    if set(CHEST_LEADS) <= set(waves):  # without bounds of the QRS there is nothing to compare
        pair = swapped_chest_leads({lead: features.median_beat[lead] for lead in CHEST_LEADS})
        if pair:
            text = f"{pair[0]} and {pair[1]} may be swapped: exchanged, the chest leads follow each other smoothly."
            notices.append(Notice("chest_lead_misplacement", text))
    return notices


def limb_swap(features: Features) -> LimbSwap | None:
    """The suspicion that limb electrodes were swapped, None where there is none or a lead of I, II, III is missing."""
    waves = {lead: wave for lead, wave in features.waves.items() if lead in features.usable}
    return _limb_suspicion(waves) if {"I", "II", "III"} <= set(waves) else None


def _net(wave: LeadWaves) -> float:
    """R + R′ + Q + S + S′, mV: positive where the QRS points to the lead."""
    return wave.r + wave.r_prime + wave.q + wave.s + wave.s_prime


def _size(wave: LeadWaves) -> float:
    return max(wave.r, wave.r_prime) - min(wave.q, wave.s, wave.s_prime)


def _limb_suspicion(waves: Mapping[str, LeadWaves]) -> LimbSwap | None:
    one, two, three = (waves[lead] for lead in ("I", "II", "III"))
    largest = max(_size(wave) for wave in (one, two, three))
    if largest < LEAST_QRS_MV:
        return None
    if _size(two) < FLAT_SHARE * largest:
        text = "Lead II is almost flat: the electrodes of right arm and right leg may be swapped."
        return LimbSwap(text, on_right_leg=True)
    if _size(three) < FLAT_SHARE * largest:
        text = "Lead III is almost flat: the electrodes of left arm and right leg may be swapped."
        return LimbSwap(text, on_right_leg=True)
    p_one, p_two = one.p, two.p
    chest = [_net(waves[lead]) for lead in LEFT_CHEST if lead in waves]
    # Dextrocardia has a small, negative V6 as well; with swapped arms the chest leads stay as they are.
    if p_one is not None and p_one < -LEAST_P_MV and _net(one) < 0 and chest and min(chest) > 0:
        return LimbSwap("P and QRS are negative in I but not in V5 and V6: the arm electrodes may be swapped.")
    if p_two is not None and p_two < -LEAST_P_MV and _net(two) < 0 and _net(three) < 0 and chest and min(chest) > 0:
        return LimbSwap(
            "P and QRS are negative in II and III: the electrodes of right arm and left leg may be swapped."
        )
    return None


def swapped_chest_leads(beats: Mapping[str, NDArray[np.floating]]) -> tuple[str, str] | None:
    """The two chest leads whose exchange makes the sequence V1–V6 much smoother, or None.

    V1 and V6 lie far apart and their exchange shows nearly always; V5 and V6 resemble each other and theirs seldom.
    A sequence in reverse order is as smooth as the right one and is not seen.

    Args:
        beats: V1–V6 → (time,) mV, median beats of one alignment.
    """
    rows = [np.asarray(beats[lead], np.float64) for lead in CHEST_LEADS]
    # Shapes only: how near the heart an electrode lies must not matter.
    shapes = [row / max(float(np.linalg.norm(row)), 1e-9) for row in rows]
    apart = np.array([[((a - b) ** 2).sum() for b in shapes] for a in shapes])
    best, pair = SMOOTHER * _roughness(apart, list(range(len(shapes)))), None
    for one, other in combinations(range(len(shapes)), 2):
        order = list(range(len(shapes)))
        order[one], order[other] = other, one
        after = _roughness(apart, order)
        if after < best:
            best, pair = after, (CHEST_LEADS[one], CHEST_LEADS[other])
    return pair


def _roughness(apart: NDArray[np.float64], order: list[int]) -> float:
    return sum(float(apart[a, b]) for a, b in pairwise(order))
