"""Later studies of a patient agree with the outcomes and with themselves."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from cardioloom.simulator import draw
from cardioloom.simulator.course import Date, course, studies
from cardioloom.simulator.outcomes import LOW_EF, outcomes
from cardioloom.simulator.pacing import paced

N_PATIENTS = 900


@pytest.fixture(scope="module")
def courses() -> list[tuple[Date, ...]]:
    return [course(draw(41, patient, "hospital")) for patient in range(N_PATIENTS)]


def test_the_first_date_is_the_heart_itself(courses):
    for patient in range(0, N_PATIENTS, 30):
        heart = draw(41, patient, "hospital")
        assert studies(heart)[0] is heart
        assert courses[patient][0].heart == heart
        assert course(heart) == courses[patient]


def test_dates_are_in_order_and_age_the_patient(courses):
    for dates in courses:
        years = [date.years for date in dates]
        assert years == sorted(set(years))
        for date in dates:
            assert date.heart.age_years == pytest.approx(dates[0].heart.age_years + date.years)
            assert (date.heart.patient, date.heart.sex) == (dates[0].heart.patient, dates[0].heart.sex)


def test_nothing_happens_after_the_end_of_follow_up(courses):
    for dates in courses:
        assert dates[-1].years < outcomes(dates[0].heart).followed_years


def test_events_agree_with_the_outcomes(courses):
    seen = set()
    for dates in courses:
        fate = outcomes(dates[0].heart)
        transplanted = False
        for before, date in pairwise(dates):
            seen.update(date.events)
            transplanted |= "transplant" in date.events
            due = fate.af_event and before.years < fate.af_years <= date.years
            assert ("atrial fibrillation" in date.events) == (due and "transplant" not in date.events)
            if not (transplanted or fate.low_ef_prevalent):
                falling = fate.low_ef_event and fate.low_ef_years <= date.years
                assert (date.heart.lv_ef <= LOW_EF) <= falling
                assert "low LVEF" not in date.events or date.heart.lv_ef <= LOW_EF
    expected = {"transplant", "aortic surgery", "mitral clip", "pacemaker", "worsening", "recovery"}
    assert expected | {"infarct healed", "pericarditis resolved", "atrial fibrillation", "low LVEF"} == seen


def test_what_each_event_does(courses):
    for dates in courses:
        for before, after in pairwise(dates):
            old, new = before.heart, after.heart
            assert set(old.devices) <= set(new.devices) or "transplant" in after.events
            if after.events == ("transplant",):
                assert new.lv_ef > 0.42
                assert new.scar is None
                assert not new.devices
                assert new.electrics.rhythm == "sinus"
            if after.events == ("worsening",):
                assert new.lv_ef < old.lv_ef + 0.03
            if "pacemaker" in after.events:
                assert "pacemaker_lead" in new.devices
                assert new.electrics.av_block == 0
            if "infarct healed" in after.events:
                assert new.ischaemia is None
                assert (new.scar is not None) or not old.ischaemia.occluded
            if not after.events:
                assert new.diagnosis == old.diagnosis
                assert abs(new.lv_ef - old.lv_ef) < 0.07


def test_a_scar_ages_with_its_patient(courses):
    seen = 0
    for dates in courses:
        for before, after in pairwise(dates):
            old, new = before.heart, after.heart
            if new.scar is None or "transplant" in after.events:
                continue
            was = old.scar.months if old.scar else old.ischaemia.hours / 730
            assert new.scar.months == pytest.approx(was + 12 * (after.years - before.years))
            seen += 1
    assert seen > 50


def test_what_an_infarct_leaves():
    """The rate comes down; large scars widen the ventricle, three in ten by a fifth or more; LVEF stays on average."""
    pairs = []
    for patient in range(3000):
        heart = draw(43, patient, "hospital")
        if heart.ischaemia is None or not heart.ischaemia.occluded:
            continue
        dates = course(heart)
        if len(dates) > 1 and dates[1].events == ("infarct healed",):
            pairs.append((heart, dates[1].heart))
    assert len(pairs) > 40
    wider = np.array([new.lv_edv_ml / old.lv_edv_ml for old, new in pairs])
    lost = np.array([new.scar.extent * new.scar.transmurality for _, new in pairs])
    assert 0.15 < (wider > 1.2).mean() < 0.45
    assert np.corrcoef(lost, wider)[0, 1] > 0.7
    sinus = [(old, new) for old, new in pairs if old.electrics.av_block < 3 and not paced(old)]
    slower = [old.electrics.heart_rate_bpm - new.electrics.heart_rate_bpm for old, new in sinus]
    assert 8 < np.mean(slower) < 16
    assert abs(np.mean([new.lv_ef - old.lv_ef for old, new in pairs])) < 0.03


def test_a_low_ejection_fraction_has_a_name():
    """Who falls to 40 % or less is no longer called normal."""
    fallen = []
    for patient in range(700):
        heart = draw(41, patient, "hospital")
        if heart.lv_ef > LOW_EF:
            heart = replace(heart, electrics=replace(heart.electrics, pvc_burden=0.4))
            fallen += [date.heart for date in course(heart)[1:] if "low LVEF" in date.events]
    assert len(fallen) > 30
    names = {heart.diagnosis for heart in fallen}
    assert not names & {"normal", "coronary_disease", "ischaemic_scar", "pericarditis"}
    assert names >= {"dilated_cardiomyopathy", "heart_failure"}
    assert all(heart.scar is None for heart in fallen if heart.diagnosis == "dilated_cardiomyopathy")


def test_fibrillation_that_comes_and_goes_is_seen_study_by_study():
    """After its first episode a heart persists in fibrillation, or shows it at some studies and not at others."""
    later = []
    for patient in range(500):
        old = replace(draw(45, patient, "hospital"), age_years=84.0, la_volume_ml=170.0)  # most fibrillate soon
        dates = course(old)
        first = next((n for n, date in enumerate(dates) if "atrial fibrillation" in date.events), None)
        if first is not None and not any("transplant" in date.events for date in dates):
            later.append([date.heart.electrics.rhythm == "atrial_fibrillation" for date in dates[first:]])
    assert 0.55 < np.mean([seen for one in later for seen in one]) < 0.85
    several = [one for one in later if len(one) > 1]
    mixed = [one for one in several if 0 < sum(one) < len(one)]
    assert 0.05 < len(mixed) / len(several) < 0.4
    assert any(one[0] and not one[1] for one in mixed)  # back in sinus rhythm


def test_no_acute_disease_at_a_later_date(courses):
    for dates in courses:
        assert all(date.heart.ischaemia is None for date in dates[1:])


def test_dates_do_not_depend_on_what_was_made_before():
    heart = draw(41, 5, "hospital")
    first = course(heart)
    course(draw(41, 6, "hospital"))
    assert course(heart) == first
    assert course(replace(heart, patient=6)) != first
