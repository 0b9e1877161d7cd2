"""Outcomes follow the heart: monotone in each input, the same at every making, at the stated rates."""

from __future__ import annotations

from dataclasses import replace
from math import exp

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardioloom.simulator import draw
from cardioloom.simulator.heart import Heart, Ischaemia, Scar
from cardioloom.simulator.outcomes import (
    AGEING,
    FOLLOW_UP_YEARS,
    RiskFactors,
    _when,
    af_hazard,
    charge_af,
    death_hazard,
    infarct_type,
    low_ef_hazard,
    nt_probnp,
    outcomes,
    risk_factors,
    troponin,
)

FACTORS = RiskFactors(True, 130.0, 80.0, False, False, False, False, False)
PATIENT = draw(31, 0)


@pytest.fixture(scope="module")
def general() -> list[tuple[Heart, object]]:
    return [(heart, outcomes(heart)) for heart in (draw(31, patient) for patient in range(2500))]


def electric(heart: Heart, **values) -> Heart:
    return replace(heart, electrics=replace(heart.electrics, **values))


def test_charge_af_of_a_patient_by_hand():
    """A white man of 70, 175 cm, 85 kg, 140/80, smoker, treated, no diabetes, failure or infarct."""
    heart = replace(PATIENT, age_years=70.0, height_cm=175.0, weight_kg=85.0)
    factors = replace(FACTORS, systolic_mmhg=140.0, smoker=True, antihypertensives=True)
    by_hand = 7.112 + 0.465 + 4.34 + 0.651667 + 1.379 - 0.808 + 0.359 + 0.349
    assert charge_af(heart, factors) == pytest.approx(by_hand, abs=1e-5)
    risk = 1 - 0.9718412736 ** exp(by_hand - 12.58156)
    assert 0.05 < risk < 0.12


@pytest.mark.parametrize(
    ("name", "low", "high", "rises"),
    [
        ("white", False, True, True),
        ("systolic_mmhg", 120.0, 160.0, True),
        ("diastolic_mmhg", 70.0, 95.0, False),
        ("smoker", False, True, True),
        ("antihypertensives", False, True, True),
        ("diabetes", False, True, True),
        ("heart_failure", False, True, True),
        ("infarction", False, True, True),
    ],
)
def test_fibrillation_is_monotone_in_each_factor(name: str, low: object, high: object, rises: bool):
    hazards = [af_hazard(PATIENT, replace(FACTORS, **{name: value})) for value in (low, high)]
    assert (hazards[1] > hazards[0]) == rises


@given(st.floats(46, 90), st.floats(0.5, 20))
def test_fibrillation_rises_with_age_size_atrium_and_p_wave(age: float, more: float):
    heart = replace(PATIENT, age_years=age)
    before = af_hazard(heart, FACTORS)
    # At one size for the age the atrium adds nothing; a year alone brings CHARGE-AF's e^0.1016.
    older = replace(heart, age_years=age + more, la_volume_ml=heart.la_volume_ml * exp(0.006 * more))
    assert af_hazard(older, FACTORS) / before == pytest.approx(exp(AGEING * more), rel=1e-9)
    assert af_hazard(replace(heart, la_volume_ml=heart.la_volume_ml + more), FACTORS) > before
    assert af_hazard(replace(heart, height_cm=heart.height_cm + more), FACTORS) > before
    assert af_hazard(replace(heart, weight_kg=heart.weight_kg + more), FACTORS) > before
    longer = electric(heart, p_duration_ms=heart.electrics.p_duration_ms + more)
    assert af_hazard(longer, FACTORS) > before


def test_men_fibrillate_more_at_one_atrial_size_for_their_sex():
    woman, man = replace(PATIENT, sex="F", la_volume_ml=62.0), replace(PATIENT, sex="M", la_volume_ml=72.0)
    assert af_hazard(man, FACTORS) > af_hazard(woman, FACTORS)


@given(st.floats(0.0, 0.4), st.floats(0.001, 0.1))
def test_low_ejection_fraction_follows_the_burden(burden: float, more: float):
    one, two = (low_ef_hazard(electric(PATIENT, pvc_burden=value)) for value in (burden, burden + more))
    assert two > one
    assert low_ef_hazard(replace(PATIENT, lv_ef=0.45)) > low_ef_hazard(replace(PATIENT, lv_ef=0.60))


def test_a_burden_of_ten_percent_does_little_and_of_thirty_much():
    hazards = [low_ef_hazard(electric(PATIENT, pvc_burden=burden)) for burden in (0.0, 0.05, 0.2, 0.3)]
    assert hazards[1] < 1.1 * hazards[0]
    assert hazards[2] == pytest.approx(hazards[0] * 1.12**10, rel=0.05)
    assert hazards[3] == pytest.approx(hazards[2] * 1.12**10, rel=0.05)


def test_death_follows_age_sex_function_and_habits():
    base = death_hazard(PATIENT, FACTORS)
    assert death_hazard(replace(PATIENT, age_years=PATIENT.age_years + 8), FACTORS) == pytest.approx(2 * base)
    assert death_hazard(replace(PATIENT, lv_ef=0.25), FACTORS) > 2 * base
    assert death_hazard(PATIENT, replace(FACTORS, smoker=True)) > base
    man, woman = (death_hazard(replace(PATIENT, sex=sex), FACTORS) for sex in "MF")
    assert man > woman


def test_years_of_a_hazard_that_grows():
    """Half survive where the cumulated hazard is ln 2: against a sum in small steps."""
    years = _when(np.log(2), 0.05, 0.1)
    steps = np.linspace(0, years, 20001)
    assert np.trapezoid(0.05 * np.exp(0.1 * steps), steps) == pytest.approx(np.log(2), rel=1e-6)


def test_probnp_rises_with_failure_age_atrium_and_fibrillation():
    base = nt_probnp(PATIENT)
    assert nt_probnp(replace(PATIENT, lv_ef=0.30)) > 2 * base
    assert nt_probnp(replace(PATIENT, age_years=PATIENT.age_years + 20)) > base
    assert nt_probnp(replace(PATIENT, la_volume_ml=1.5 * PATIENT.la_volume_ml)) > base
    assert nt_probnp(electric(PATIENT, rhythm="atrial_fibrillation")) > 2 * base
    assert nt_probnp(replace(PATIENT, weight_kg=1.3 * PATIENT.weight_kg)) < base


def test_troponin_of_three_kinds():
    def of(ischaemia: Ischaemia | None) -> np.ndarray:
        return np.array([troponin(replace(draw(31, patient), ischaemia=ischaemia)) for patient in range(80)])

    none, minor, major = of(None), of(Ischaemia("anterior", False, 0.7, 3)), of(Ischaemia("anterior", True, 0.7, 3))
    assert (np.abs(np.log(none[:, 2] / none[:, 0])) < 0.25).all()
    assert np.median(none) < 14
    assert (minor[:, 2] > minor[:, 0]).all()
    assert np.median(major[:, 0]) > 5 * np.median(minor[:, 0])
    closed = of(Ischaemia("anterior", True, 0.7, 3, elevates=False))
    assert np.median(minor[:, 2]) < np.median(closed[:, 2]) < np.median(major[:, 2])
    worse = of(Ischaemia("anterior", True, 0.9, 3))
    assert (worse >= major).all()
    assert infarct_type(replace(PATIENT, ischaemia=Ischaemia("inferior", False, 0.5, 2))) == "NSTEMI"
    assert infarct_type(replace(PATIENT, ischaemia=Ischaemia("inferior", True, 0.5, 2))) == "STEMI"
    assert infarct_type(replace(PATIENT, ischaemia=Ischaemia("inferior", True, 0.5, 2, elevates=False))) == "NSTEMI"
    assert infarct_type(replace(PATIENT, scar=Scar("inferior", 0.2, 0.8, 12))) == "none"


def test_the_same_at_every_making():
    heart = draw(31, 77, "hospital")
    first = outcomes(heart)
    outcomes(draw(31, 78))
    assert outcomes(heart) == first
    assert outcomes(draw(32, 77, "hospital")) != first


def test_identities(general):
    for heart, found in general:
        assert 0 < found.followed_years <= FOLLOW_UP_YEARS
        assert 0 <= found.af_years <= found.followed_years
        assert 0 <= found.low_ef_years <= found.followed_years
        assert found.af_event == (found.af_years < found.followed_years)
        assert not (found.af_event and found.af_prevalent)
        assert not (found.low_ef_event and found.low_ef_prevalent)
        assert found.af_prevalent == (heart.electrics.rhythm == "atrial_fibrillation")
        assert found.low_ef_prevalent == (heart.lv_ef <= 0.40)
        assert found.gls_percent < 0
        assert found.factors == risk_factors(heart)
        assert found.charge_af_risk == pytest.approx(1 - 0.9718412736 ** exp(found.charge_af - 12.58156))


def test_rates_of_the_general_population(general):
    free = [found for _, found in general if not found.af_prevalent]
    assert 0.027 < np.mean([found.af_event for found in free]) < 0.05
    assert 0.02 < np.mean([found.charge_af_risk for found in free]) < 0.045
    assert 0.02 < np.mean([found.died for found in free]) < 0.07
    assert 0.85 < np.mean([found.factors.white for found in free]) < 0.95
    assert 0.03 < np.mean([found.factors.diabetes for found in free]) < 0.10
    early = [found for found in free if found.followed_years < FOLLOW_UP_YEARS and not found.died]
    assert 0.05 < len(early) / len(free) < 0.10


def test_what_the_hazard_says_happens(general):
    """The third with the highest hazard has most events; all together have as many as the hazards add up to."""
    free = [(heart, found) for heart, found in general if not found.af_prevalent]
    hazard = np.array([af_hazard(heart, found.factors) for heart, found in free])
    events = np.array([found.af_event for _, found in free])
    order = np.argsort(hazard)
    thirds = [events[part].mean() for part in np.array_split(order, 3)]
    assert thirds[0] < thirds[1] < thirds[2]
    years = np.array([found.af_years for _, found in free])
    expected = (hazard * np.expm1(AGEING * years) / AGEING).sum()
    assert events.sum() == pytest.approx(expected, abs=3 * expected**0.5)


def test_a_burden_now_is_a_low_ejection_fraction_later():
    """Of the same people, more fall to 40 % or less with many ventricular beats; the first study shows none of it."""
    people = [heart for heart in (draw(31, patient) for patient in range(300)) if heart.lv_ef > 0.5]
    falls = []
    for burden in (0.0, 0.40):
        found = [outcomes(electric(heart, pvc_burden=burden)) for heart in people]
        assert not any(one.low_ef_prevalent for one in found)
        falls.append(np.mean([one.low_ef_event for one in found]))
    assert falls[0] < 0.02
    assert falls[1] > 0.08


@pytest.mark.parametrize("years", [0.0, 0.4, 1.7, 4.9])
def test_a_later_study_knows_what_has_come_by_then(years: float, general):
    """What lies behind a study is prevalent there; what lies ahead lies so many years less ahead."""
    for _, first in general[:400]:
        later = first.later(years)
        for name in ("af", "low_ef"):
            was, event = getattr(first, f"{name}_prevalent"), getattr(first, f"{name}_event")
            when = getattr(first, f"{name}_years")
            has_come = was or (event and when <= years)
            assert getattr(later, f"{name}_prevalent") == has_come
            assert getattr(later, f"{name}_event") == (event and not has_come)
            if event and not has_come:
                assert getattr(later, f"{name}_years") == pytest.approx(when - years)
        assert later.followed_years == pytest.approx(max(0.0, first.followed_years - years))
        assert first.later(0.0) == first
