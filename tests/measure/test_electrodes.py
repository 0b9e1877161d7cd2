"""Swapped electrodes leave their trace; electrodes in place are not accused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cardioloom.measure import build
from cardioloom.measure.electrodes import _limb_suspicion, swapped_chest_leads
from cardioloom.measure.features import LeadWaves
from cardioloom.prepare.beats import r_peaks
from cardioloom.records.leads import CHEST_LEADS


def chest() -> dict[str, np.ndarray]:
    """A QRS that turns from rS to R from V1 to V6."""
    time = np.linspace(-0.1, 0.3, 200)
    r, s, t = (np.exp(-0.5 * ((time - at) / width) ** 2) for at, width in ((0, 0.012), (0.03, 0.012), (0.22, 0.04)))
    return {
        lead: (0.2 + 0.25 * n) * r - (1.2 - 0.22 * n) * s + (-0.1 + 0.1 * n) * t for n, lead in enumerate(CHEST_LEADS)
    }


def test_chest_leads_in_order_are_not_accused():
    assert swapped_chest_leads(chest()) is None


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_swapped_pair_is_found(n: int):
    beats = chest()
    one, two = CHEST_LEADS[n], CHEST_LEADS[n + 1]
    beats[one], beats[two] = beats[two], beats[one]
    assert swapped_chest_leads(beats) == (one, two)


@pytest.mark.parametrize(("one", "two"), [("V1", "V6"), ("V1", "V5"), ("V1", "V3"), ("V2", "V5"), ("V3", "V6")])
def test_an_exchange_of_electrodes_far_apart_is_found(one: str, two: str):
    beats = chest()
    beats[one], beats[two] = beats[two], beats[one]
    assert swapped_chest_leads(beats) == (one, two)


def test_real_chest_leads_are_rarely_accused_and_exchanged_ones_usually(shared: Path):
    """Of the records of PTB-XL: none as it is; with V1 and V6 exchanged most."""
    from cardioloom import load

    accused = exchanged = n = 0
    for path in sorted((shared / "data/ecg/ptbxl").rglob("*.hea")):
        record = load(path)
        features, _ = build.features(record, r_peaks(record.signal, record.fs))
        beats = {lead: features.median_beat[lead] for lead in CHEST_LEADS}
        n += 1
        accused += swapped_chest_leads(beats) is not None
        exchanged += swapped_chest_leads(beats | {"V1": beats["V6"], "V6": beats["V1"]}) == ("V1", "V6")
    assert n >= 15
    assert accused == 0
    assert exchanged >= 0.8 * n


def limbs(one: LeadWaves, two: LeadWaves, three: LeadWaves) -> dict[str, LeadWaves]:
    return {"I": one, "II": two, "III": three, "V5": LeadWaves(r=1.2, s=-0.2, p=0.1), "V6": LeadWaves(r=1, p=0.1)}


UP, DOWN, FLAT = LeadWaves(r=0.8, s=-0.1, p=0.1), LeadWaves(r=0.1, s=-0.8, p=-0.1), LeadWaves(r=0.01, p=0.0)


@pytest.mark.parametrize(
    ("one", "two", "three", "says"),
    [
        (UP, UP, UP, None),
        (DOWN, UP, UP, "arm electrodes"),
        (UP, DOWN, DOWN, "right arm and left leg"),
        (UP, FLAT, DOWN, "right arm and right leg"),
        (UP, UP, FLAT, "left arm and right leg"),
    ],
)
def test_limb_leads(one: LeadWaves, two: LeadWaves, three: LeadWaves, says: str | None):
    swap = _limb_suspicion(limbs(one, two, three))
    assert (says is None and swap is None) or says in swap.text
    assert swap is None or swap.on_right_leg == ("right leg" in says)


def test_dextrocardia_is_not_taken_for_swapped_arms():
    waves = limbs(DOWN, UP, UP) | {"V5": LeadWaves(r=0.1, s=-0.6), "V6": LeadWaves(r=0.05, s=-0.4)}
    assert _limb_suspicion(waves) is None
