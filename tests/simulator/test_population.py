"""Hearts as they are drawn: identities, the reference values of the healthy, who is ill, streams that stay apart."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardioloom import simulator
from cardioloom.errors import UsageError
from cardioloom.simulator import POPULATIONS, Heart, draw, stream
from cardioloom.simulator.diseases import RULES
from cardioloom.simulator.heart import DIAGNOSES, INFARCT_SITES, RHYTHMS, SITE_TERRITORY
from cardioloom.simulator.pacing import paced
from cardioloom.simulator.rhythm import beats
from cardioloom.simulator.torso import LIMB
from cardioloom.simulator.vector import heart_vector

# Mean and SD (women, men): Petersen et al. 2017, doi:10.1186/s12968-017-0327-9; volumes and mass not re-read there.
REFERENCE = {
    "lv_edv_ml": ((124, 21), (166, 32)),
    "lv_esv_ml": ((49, 11), (69, 16)),
    "lv_mass_g": ((70, 13), (103, 21)),
    "lv_ef": ((0.61, 0.05), (0.58, 0.05)),
    "rv_edv_ml": ((130, 24), (182, 36)),
    "rv_ef": ((0.58, 0.06), (0.54, 0.06)),
}


@pytest.fixture(scope="module")
def general() -> list[Heart]:
    return [draw(3, patient, "general") for patient in range(4000)]


@pytest.fixture(scope="module")
def hospital() -> list[Heart]:
    return [draw(3, patient, "hospital") for patient in range(4000)]


@given(st.integers(0, 10_000), st.sampled_from(sorted(POPULATIONS)))
def test_identities(patient: int, population: str):
    heart = draw(3, patient, population)
    stroke = heart.lv_edv_ml - heart.lv_esv_ml
    assert heart.stroke_volume_ml == pytest.approx(stroke)
    assert heart.rv_edv_ml - heart.rv_esv_ml == pytest.approx(stroke)
    assert heart.lv_ef == pytest.approx(stroke / heart.lv_edv_ml)
    assert heart.rv_ef == pytest.approx(stroke / heart.rv_edv_ml)
    assert heart.cardiac_output_l_min == pytest.approx(stroke * heart.electrics.heart_rate_bpm / 1000)


@pytest.mark.parametrize("name", REFERENCE)
@pytest.mark.parametrize(("sex", "column"), [("F", 0), ("M", 1)])
def test_the_healthy_are_like_the_reference(name: str, sex: str, column: int, general: list[Heart]):
    """Within 5 % of the mean and 15 % of the SD, which are given without decimals."""
    found = [getattr(heart, name) for heart in general if heart.diagnosis == "normal" and heart.sex == sex]
    mean, sd = REFERENCE[name][column]
    assert np.mean(found) == pytest.approx(mean, rel=0.05)
    assert np.std(found) == pytest.approx(sd, rel=0.15)


def test_volumes_fall_with_age_and_function_does_not(general: list[Heart]):
    for sex in "FM":
        healthy = [heart for heart in general if heart.diagnosis == "normal" and heart.sex == sex]
        ages = [heart.age_years for heart in healthy]
        slopes = {name: np.polyfit(ages, [getattr(heart, name) for heart in healthy], 1)[0] for name in REFERENCE}
        assert slopes["lv_edv_ml"] < -0.2
        assert slopes["rv_edv_ml"] < -0.2
        assert abs(slopes["lv_ef"]) < 0.001


def test_who_is_ill(general: list[Heart], hospital: list[Heart]):
    assert 0.005 < np.mean([heart.diagnosis != "normal" for heart in general]) <= 0.02
    shares = Counter(heart.diagnosis for heart in hospital)
    assert set(shares) == set(DIAGNOSES)
    for name, share in POPULATIONS["hospital"].diagnoses.items():
        assert shares[name] / len(hospital) == pytest.approx(share, abs=0.02)
    assert {heart.electrics.rhythm for heart in hospital} == set(RHYTHMS)
    assert {heart.electrics.av_block for heart in hospital} == {0, 1, 2, 3}
    assert all(sum(chosen.diagnoses.values()) < 1 for chosen in POPULATIONS.values())


@pytest.mark.parametrize("population", sorted(POPULATIONS))
def test_a_population_is_spread_over_its_sites_and_ages(population: str, general: list[Heart], hospital: list[Heart]):
    hearts, chosen = {"general": general, "hospital": hospital}[population], POPULATIONS[population]
    assert sum(share for share, _, _ in chosen.sites.values()) == pytest.approx(1)
    for site, (share, older, _) in chosen.sites.items():
        there = [heart.age_years for heart in hearts if heart.site == site]
        assert len(there) / len(hearts) == pytest.approx(share, abs=0.03)
        assert np.mean(there) == pytest.approx(chosen.age[0] + older, abs=1.5)
    ages = [heart.age_years for heart in hearts]
    assert chosen.age[2] <= min(ages)
    assert max(ages) <= chosen.age[3]


def test_diseases_do_what_they_say(hospital: list[Heart]):
    """LVEF by group against Sunnybrook's masks (Radau 2009): within its range, in its order."""

    def of(diagnosis: str, name: str, scarred: bool | None = None) -> np.ndarray:
        chosen = [heart for heart in hospital if heart.diagnosis == diagnosis]
        return np.array([getattr(heart, name) for heart in chosen if scarred in (None, heart.scar is not None)])

    ef = {
        "infarcted": of("heart_failure", "lv_ef", True).mean(),
        "failing": of("heart_failure", "lv_ef", False).mean(),
        "normal": of("normal", "lv_ef").mean(),
        "thick": of("hypertrophic_cardiomyopathy", "lv_ef").mean(),
    }
    assert list(ef) == sorted(ef, key=lambda name: ef[name])
    for name, published in (("infarcted", 0.25), ("failing", 0.30), ("normal", 0.62), ("thick", 0.64)):
        assert ef[name] == pytest.approx(published, abs=0.04)
    assert of("hypertrophic_cardiomyopathy", "lv_mass_g").mean() > 1.6 * of("normal", "lv_mass_g").mean()
    assert of("dilated_cardiomyopathy", "lv_edv_ml").mean() > 1.4 * of("normal", "lv_edv_ml").mean()
    assert of("pulmonary_hypertension", "rv_ef").mean() < of("normal", "rv_ef").mean() - 0.1
    assert of("restrictive_cardiomyopathy", "la_volume_ml").mean() > 1.4 * of("normal", "la_volume_ml").mean()
    for heart in hospital:
        assert (heart.ischaemia is not None) == (heart.diagnosis == "acute_ischaemia")
        assert heart.scar is None or heart.diagnosis in ("ischaemic_scar", "heart_failure")


def test_streams_stay_apart():
    keys = [(seed, patient, purpose) for seed in (1, 11) for patient in (1, 11) for purpose in ("heart", "ecg/0")]
    drawn = np.array([stream(*key).standard_normal(2000) for key in keys])
    apart = np.corrcoef(drawn) - np.eye(len(keys))
    assert np.abs(apart).max() < 0.12
    again = stream(*keys[0])
    assert np.array_equal(again.standard_normal(2000), drawn[0])


def test_a_heart_is_the_same_whatever_was_drawn_before():
    alone = draw(3, 17, "hospital")
    for patient in range(5):
        draw(3, patient)
    assert draw(3, 17, "hospital") == alone
    assert draw(4, 17, "hospital") != alone


def test_an_unknown_population_is_refused():
    with pytest.raises(UsageError, match="general, hospital, got 'martian'"):
        draw(3, 0, "martian")


def test_infarcts_of_six_sites_and_the_artery_of_each(hospital: list[Heart]):
    scars = [heart.scar for heart in hospital if heart.scar is not None]
    acute = [heart.ischaemia for heart in hospital if heart.ischaemia is not None]
    assert {scar.site for scar in scars} == {now.site for now in acute} == set(INFARCT_SITES)
    assert all(scar.territory == SITE_TERRITORY[scar.site] for scar in scars)
    assert {now.culprit for now in acute} == {"LAD", "LCX", "RCA"}
    assert np.mean([now.st_elevation for now in acute]) == pytest.approx(0.45, abs=0.08)


def test_prevalence_differs_by_site(general: list[Heart], hospital: list[Heart]):
    """Each site's share of the ill is its factor of the population's; over all sites the factors cancel."""
    for name, hearts in (("general", general), ("hospital", hospital)):
        sites, ill = POPULATIONS[name].sites, sum(POPULATIONS[name].diagnoses.values())
        assert sum(share * factor for share, _, factor in sites.values()) == pytest.approx(1)
        for site, (_, _, factor) in sites.items():
            there = [heart.diagnosis != "normal" for heart in hearts if heart.site == site]
            sd = (factor * ill * (1 - factor * ill) / len(there)) ** 0.5
            assert np.mean(there) == pytest.approx(factor * ill, abs=3 * sd)
            assert factor * ill < (0.02 if name == "general" else 0.9)
        assert len({factor for _, _, factor in sites.values()}) > 1


def test_a_quarter_of_the_infarcts_without_elevation_have_a_closed_artery():
    """Khan et al. 2017: 25.5 %; of these 40 % right and 33 % circumflex artery. No open artery raises ST."""
    heart, random = draw(8, 0, "hospital"), np.random.default_rng(8)
    people = [RULES["acute_ischaemia"](replace(heart, patient=number), random) for number in range(3000)]
    acute = [ill.ischaemia for ill in people if ill.ischaemia is not None]
    assert all(now.occluded for now in acute if now.st_elevation)
    without = [now for now in acute if not now.st_elevation]
    closed = [now.culprit for now in without if now.occluded]
    assert len(closed) / len(without) == pytest.approx(0.255, abs=0.03)
    shares = Counter(closed)
    assert shares["RCA"] / len(closed) == pytest.approx(0.40, abs=0.06)
    assert shares["LCX"] / len(closed) == pytest.approx(0.33, abs=0.06)
    assert not replace(acute[0], occluded=False).st_elevation


def test_a_paced_heart_is_labelled_as_it_is_paced():
    """Rate, QRS and axis of the first study are those of the recording, and no block is left."""
    leads = [heart for heart in (draw(3, n, "hospital") for n in range(2500)) if "pacemaker_lead" in heart.devices]
    assert all(heart.electrics.av_block < 2 for heart in leads)
    stimulated = [heart for heart in leads if paced(heart)]
    assert len(stimulated) >= 10
    for heart in stimulated:
        found, e = beats(heart, 0, 60.0), heart.electrics
        assert {"paced"} <= set(found.kind) <= {"paced", "pvc"}
        assert found.usual_rr_s == pytest.approx(60 / e.heart_rate_bpm, rel=0.12)
        assert 60 / np.diff(found.qrs_onset_s).mean() == pytest.approx(e.heart_rate_bpm, rel=0.12)
        assert heart_vector(heart).paced.qrs_ms == e.qrs_ms > 120
        area = LIMB @ heart_vector(heart).paced.qrs.area
        axis = np.degrees(np.arctan2((2 * area[1] - area[0]) / np.sqrt(3), area[0]))
        assert axis == pytest.approx(e.qrs_axis_deg, abs=1)


def test_the_door_gives_functions_whichever_module_was_imported():
    """Modules of the same name as a function must not take its place."""
    for name in ("cine", "echo", "course", "outcomes"):
        module = importlib.import_module(f"cardioloom.simulator.{name}")
        assert getattr(simulator, name) is getattr(module, name)
    for name in simulator.__all__:
        assert not isinstance(getattr(simulator, name), ModuleType), name
    with pytest.raises(AttributeError, match="'martian'"):
        _ = simulator.martian  # pyright: ignore[reportAttributeAccessIssue]


def test_drawing_hearts_imports_no_renderer():
    code = "import sys; from cardioloom.simulator import draw; draw(1, 1); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"cardioloom.simulator.cine", "cardioloom.simulator.echo", "scipy", "numba"} & set(loaded)
