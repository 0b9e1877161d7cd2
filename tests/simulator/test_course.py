"""Later studies of a patient agree with the outcomes and with themselves."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from cardioloom.simulator import draw
from cardioloom.simulator.course import Date, course, studies
from cardioloom.simulator.outcomes import LOW_EF, outcomes

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


def test_no_acute_disease_at_a_later_date(courses):
    for dates in courses:
        assert all(date.heart.ischaemia is None for date in dates[1:])


def test_dates_do_not_depend_on_what_was_made_before():
    heart = draw(41, 5, "hospital")
    first = course(heart)
    course(draw(41, 6, "hospital"))
    assert course(heart) == first
    assert course(replace(heart, patient=6)) != first
