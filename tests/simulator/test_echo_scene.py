"""The walls of the four-chamber plane: volume, mass, motion by territory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cardioloom.simulator import draw, echo_truth
from cardioloom.simulator.echo_scene import SHOWN, STEPS, longitudinal_strain, profile, walls
from cardioloom.simulator.heart import INFARCT_SITES, Heart, Scar
from cardioloom.simulator.volume_curve import volume_curve

PHASES = np.linspace(0, 1, 41)
INSIDE = STEPS >= 0


def scene(heart: Heart):
    lv_ml, rv_ml = volume_curve(heart, PHASES)
    return walls(heart, lv_ml, rv_ml, PHASES), lv_ml


def thickening(heart: Heart) -> np.ndarray:
    """(2, step) wall at end-systole over end-diastole, septal and lateral."""
    found, lv_ml = scene(heart)
    wall = found.tables[:, 2:4] - found.tables[:, :2]
    late = int(lv_ml.argmin())
    return wall[late] / np.maximum(wall[0], 0.1)


@pytest.mark.parametrize("population", ["general", "hospital"])
def test_discs_hold_the_volume_and_rings_the_mass(population: str):
    for patient in range(150):
        heart = draw(3, patient, population)
        found, lv_ml = scene(heart)
        table = found.tables.astype(float)
        width = table[:, 0] + table[:, 1]
        discs = np.pi / 4 * np.trapezoid(width[:, INSIDE] ** 2, STEPS[INSIDE], axis=1)
        np.testing.assert_allclose(discs * found.length / found.widening / 1000, lv_ml, rtol=1e-4)
        rings = (table[:, 2] ** 2 + table[:, 3] ** 2 - table[:, 0] ** 2 - table[:, 1] ** 2) / 2
        muscle = np.pi * np.trapezoid(rings, STEPS, axis=1) * found.length / found.widening / 1000
        np.testing.assert_allclose(muscle, heart.wall_volume_ml, rtol=3e-3)
        assert (table[:, 2:4] >= table[:, :2] - 1e-4).all()
        assert (found.tricuspid < found.length).all()
        assert (found.roof > found.length + 5).all()


def test_atria_hold_their_volume():
    heart = draw(3, 1)
    found, _ = scene(heart)
    half = (found.roof - found.length) / 2
    largest = (np.pi * half * found.atria[:, 1] ** 2 * (2 / 3 + 4 / 5)).max() / 1000
    assert largest == pytest.approx(heart.la_volume_ml, rel=1e-3)


def test_profile_is_widest_where_it_says():
    assert profile(STEPS).max() == pytest.approx(1, abs=1e-3)
    assert (profile(STEPS)[STEPS <= 0] == 0).all()


@pytest.mark.parametrize("site", [site for site in INFARCT_SITES if site != "posterior"])
def test_a_scar_does_not_thicken_where_it_lies(site: str):
    normal = draw(3, 2)
    hurt = replace(normal, scar=Scar(site, 0.3, 1.0, 24.0), lv_ef=0.42)
    ratio = thickening(hurt)
    for side, low, high in SHOWN[site]:
        row = 0 if side == "septal" else 1
        # not at the tip, where all that remains is the wall itself
        inside = (max(low + 0.1, 0.1) < STEPS) & (min(high - 0.1, 1.01) > STEPS)
        away = (STEPS > 0.3) & ((low - 0.1 > STEPS) | (high + 0.1 < STEPS))
        assert ratio[row, inside].mean() < 1.25
        if away.any():
            assert ratio[row, away].mean() > ratio[row, inside].mean() + 0.1


def test_bundle_branch_block_moves_the_septum_first():
    normal = draw(3, 2)
    blocked = replace(normal, electrics=replace(normal.electrics, conduction="lbbb", qrs_ms=150.0))
    middle = int(np.abs(STEPS - 0.6).argmin())
    shift = []
    for heart in (normal, blocked):
        found, _ = scene(heart)
        early = np.abs(PHASES - 0.075).argmin()
        shift.append(found.tables[0, 0, middle] - found.tables[early, 0, middle])
    assert shift[1] > shift[0] + 1.0


def test_strain_follows_ejection_fraction():
    heart = draw(3, 2)
    strains = [longitudinal_strain(replace(heart, lv_ef=ef)) for ef in (0.2, 0.35, 0.5, 0.65)]
    assert strains == sorted(strains, reverse=True)
    assert -25 < strains[-1] < -15
    assert strains[0] > -10
    more = replace(heart, longitudinal=heart.longitudinal + 1)
    assert longitudinal_strain(more) < longitudinal_strain(heart)


def masked_strain(heart: Heart) -> float:
    """% by which the cavity's border with the muscle is shorter at end-systole, measured in the masks of a video."""
    found, lengths = echo_truth(heart, size=336), []
    for mask in (found.masks[found.lv_ml.argmax()], found.masks[found.lv_ml.argmin()]):
        cavity = mask == 1
        rows = np.flatnonzero(cavity.any(1))
        left, right = cavity[rows].argmax(1), cavity.shape[1] - 1 - cavity[rows, ::-1].argmax(1)
        length = 0.0
        for side in (left, right):
            beside = [(mask[row, max(0, at - 2) : at + 3] == 2).any() for row, at in zip(rows, side, strict=True)]
            border = np.stack([side, rows], 1)[np.array(beside)][::8].astype(float)
            length += float(np.hypot(*np.diff(border, axis=0).T).sum())
        lengths.append(length)
    return 100 * (lengths[1] / lengths[0] - 1)


def test_strain_is_that_of_the_masks():
    hearts = [draw(3, patient, "hospital") for patient in range(12)]
    apart = [masked_strain(heart) - longitudinal_strain(heart) for heart in hearts]
    assert np.median(np.abs(apart)) < 2
    assert np.mean(np.abs(apart) < 3.5) > 0.8  # where muscle and right ventricle meet the border is found worse
    assert abs(np.mean(apart)) < 1.5
