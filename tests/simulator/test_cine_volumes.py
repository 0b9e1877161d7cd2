"""Volumes over the beat, and the areas of the slice that follow from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardioloom.simulator import Heart, draw
from cardioloom.simulator.anatomy import BULLET, beat, hidden, long_axis_shortening, wall_mm
from cardioloom.simulator.volume_curve import beat_times, delays_ms, kick_share, volume_curve

PHASES = np.arange(50) / 50


def with_rhythm(heart: Heart, **values: object) -> Heart:
    return replace(heart, electrics=replace(heart.electrics, **values))


def some(diagnosis: str) -> Heart:
    return next(heart for heart in (draw(2, p, "hospital") for p in range(2000)) if heart.diagnosis == diagnosis)


@given(st.integers(0, 5000), st.sampled_from(["general", "hospital"]))
def test_the_curve_meets_its_ends_and_both_ventricles_eject_the_same(patient: int, population: str):
    heart = draw(11, patient, population)
    left, right = volume_curve(heart, PHASES)
    assert left[0] == left.max() == heart.lv_edv_ml
    assert right[0] == right.max() == heart.rv_edv_ml
    assert left.min() == pytest.approx(heart.lv_esv_ml, rel=1e-9)
    assert right.min() == pytest.approx(heart.rv_esv_ml, rel=1e-9)
    assert np.ptp(left) == pytest.approx(np.ptp(right))


@given(st.integers(0, 3000))
def test_the_times_of_a_beat_are_in_order(patient: int):
    times = beat_times(draw(12, patient, "hospital"))
    order = [0, times.ejection_starts, times.end_systole, times.filling_starts, times.early_ends, times.kick_ends]
    assert order == sorted(order)
    assert times.filling_starts < times.kick_starts <= times.kick_ends <= times.rr


def test_systole_ends_with_the_t_wave():
    heart = with_rhythm(draw(1, 1), heart_rate_bpm=60.0, qrs_ms=90.0, qtc_ms=400.0, conduction="normal")
    assert beat_times(heart).end_systole == pytest.approx(400 - 45)
    longer = with_rhythm(heart, qtc_ms=440.0)
    assert beat_times(longer).end_systole == pytest.approx(440 - 45)


def test_without_p_wave_there_is_no_kick():
    heart = with_rhythm(draw(1, 1), rhythm="sinus", av_block=0, heart_rate_bpm=60.0, pr_ms=160.0)
    fibrillates = with_rhythm(heart, rhythm="atrial_fibrillation")
    assert kick_share(fibrillates) == 0 < kick_share(heart)
    late = np.array([0.80, 0.985])  # around the P wave and after it
    gain, gain_without = np.diff(volume_curve(heart, late)[0])[0], np.diff(volume_curve(fibrillates, late)[0])[0]
    assert gain > 0.1 * heart.stroke_volume_ml
    assert gain_without < 0.03 * heart.stroke_volume_ml


def test_the_kick_grows_with_age():
    shares = [
        kick_share(replace(with_rhythm(draw(1, 1), rhythm="sinus", av_block=0), age_years=age)) for age in (30, 60, 85)
    ]
    assert shares == sorted(shares)
    assert shares[0] < shares[-1]


@pytest.mark.parametrize(("conduction", "side"), [("lbbb", 0), ("rbbb", 1)])
def test_the_blocked_ventricle_is_late(conduction: str, side: int):
    heart = with_rhythm(draw(1, 1), conduction=conduction, qrs_ms=150.0)
    assert delays_ms(heart)[side] == 25.0
    assert delays_ms(heart)[1 - side] == 0.0
    curves = [(curve - curve.min()) / np.ptp(curve) for curve in volume_curve(heart, PHASES)]
    assert curves[side][4] > curves[1 - side][4]


@given(st.integers(0, 3000))
def test_the_slice_keeps_the_mass_of_its_muscle(patient: int):
    heart = draw(13, patient, "hospital")
    now = beat(heart, PHASES)
    volume = now.muscle_mm2 * now.lv_length_mm
    assert np.allclose(volume, volume[0])
    assert (np.diff(now.lv_mm2[np.argsort(now.contracted)]) <= 1e-9).all()
    systole = int(np.argmax(now.contracted))
    assert wall_mm(now.lv_mm2, now.muscle_mm2)[systole] > wall_mm(now.lv_mm2, now.muscle_mm2)[0]
    assert now.lv_length_mm.min() == pytest.approx(heart.lv_length_mm * (1 - long_axis_shortening(heart)[0]))


def test_the_slice_follows_the_bullet_up_to_what_is_hidden():
    hearts = [draw(14, patient) for patient in range(600)]
    ratio = [np.log(beat(h, [0.0]).lv_mm2[0] * BULLET * h.lv_length_mm / (1000 * h.lv_edv_ml)) for h in hearts]
    shape = [hidden(h).shape for h in hearts]
    assert np.corrcoef(ratio, shape)[0, 1] > 0.999
    assert abs(np.mean(ratio)) < 0.005


def test_a_failing_heart_has_a_wide_slice_that_hardly_moves():
    def change(heart: Heart) -> float:
        now = beat(heart, PHASES)
        return float(1 - now.lv_mm2.min() / now.lv_mm2[0])

    weak, well = some("dilated_cardiomyopathy"), some("normal")
    assert change(weak) < 0.6 * change(well)
    assert beat(weak, [0.0]).lv_mm2[0] > beat(well, [0.0]).lv_mm2[0]


def test_the_hidden_stays_with_the_patient():
    heart = draw(1, 7)
    assert hidden(heart) == hidden(replace(heart, age_years=heart.age_years + 5, lv_ef=0.4))
    assert hidden(heart) != hidden(draw(1, 8))
