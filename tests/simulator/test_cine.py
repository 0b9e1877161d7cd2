"""Simulated cines against their truth."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from cardioloom.errors import UsageError
from cardioloom.simulator import GENERATOR, Causes, Electrics, Heart, Ischaemia, Scar, draw
from cardioloom.simulator.anatomy import beat
from cardioloom.simulator.cine import SCENES, cine, cine_truth
from cardioloom.simulator.cine_paint import ANGLES, LV_CAVITY, LV_MUSCLE, RV_CAVITY, Group, Layer, Scene, paint
from cardioloom.simulator.cine_wall import area_mm2, contours, ischaemic_share
from cardioloom.simulator.streams import stream

PHASES = np.arange(50) / 50
VIEWS = tuple(SCENES)


def healthy(patient: int = 3) -> Heart:
    return next(h for h in (draw(21, p) for p in range(patient, 500)) if h.diagnosis == "normal" and h.site == "A")


def walls(heart: Heart) -> tuple[np.ndarray, np.ndarray]:
    """Thickness of the wall at end-diastole and end-systole, (angle,) mm."""
    now = beat(heart, PHASES)
    shape = contours(heart, now, stream(0, 0, "test"))
    systole = int(np.argmax(now.contracted))
    return shape.epi[0] - shape.endo[0], shape.epi[systole] - shape.endo[systole]


def at(values: np.ndarray, degrees: float) -> float:
    return float(np.interp(np.radians(degrees % 360), ANGLES, values, period=2 * np.pi))


@pytest.mark.parametrize("view", VIEWS)
def test_a_cine_is_one_beat_of_whole_numbers(view: str):
    heart = healthy()
    made = cine(heart, view=view)
    assert made.shape == (50, 1, 84, 84)
    assert made.frames.dtype == np.uint8
    wider = 1.2 if view == "lax_4ch" else 1.0
    assert made.spacing_mm == pytest.approx((8.0, 1.8 * wider, 1.8 * wider))
    assert made.times_ms[0] == 0
    assert 50 * made.times_ms[1] == pytest.approx(60000 / heart.electrics.heart_rate_bpm)
    assert any("simulated" in note for note in made.notes)
    assert cine(heart, view=view, n_frames=7, size=96, spacing_mm=1.4).shape == (7, 1, 96, 96)


@pytest.mark.parametrize("view", VIEWS)
def test_the_same_numbers_give_the_same_cine_and_others_another(view: str):
    heart = healthy()
    made = cine(heart, view=view).frames
    cine(healthy(40), view=view)  # what was made before does not matter
    assert np.array_equal(made, cine(heart, view=view).frames)
    again = cine(heart, view=view, recording=1).frames
    assert not np.array_equal(made, again)
    assert not np.array_equal(made, cine(replace(heart, patient=99), view=view).frames)


def test_another_process_makes_the_same_cine():
    code = (
        "from cardioloom.simulator import draw\nfrom cardioloom.simulator.cine import cine\nimport hashlib\n"
        "print(hashlib.sha256(cine(draw(5, 8, 'hospital'), n_frames=8).frames.tobytes()).hexdigest())"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert there == hashlib.sha256(cine(draw(5, 8, "hospital"), n_frames=8).frames.tobytes()).hexdigest()


@pytest.mark.parametrize("patient", range(12))
def test_the_masks_have_the_areas_of_the_slice(patient: int):
    heart = draw(22, patient, "hospital")
    truth = cine_truth(heart, size=200, spacing_mm=0.9)
    for phase in (0, int(np.argmax(truth.beat.contracted))):
        counts = np.bincount(truth.masks[phase].ravel(), minlength=4) * 0.81
        assert counts[LV_CAVITY] == pytest.approx(truth.beat.lv_mm2[phase], rel=0.02)
        assert counts[LV_MUSCLE] == pytest.approx(truth.beat.muscle_mm2[phase], rel=0.03)
        assert counts[RV_CAVITY] == pytest.approx(truth.beat.rv_mm2[phase], rel=0.04)


def test_the_contours_have_these_areas_and_each_sector_keeps_its_mass():
    for patient in range(40):
        heart = draw(23, patient, "hospital")
        now = beat(heart, PHASES)
        shape = contours(heart, now, stream(1, patient, "test"))
        assert np.allclose(area_mm2(shape.endo), now.lv_mm2)
        assert np.allclose(area_mm2(shape.epi) - area_mm2(shape.endo), now.muscle_mm2)
        assert np.allclose(area_mm2(shape.right) - area_mm2(shape.epi), now.rv_mm2)
        sector = (shape.epi**2 - shape.endo**2) * now.lv_length_mm[:, None]
        assert np.allclose(sector, sector[:1])
        assert (shape.endo > 1).all()
        assert (shape.epi - shape.endo > 1).all()


def test_the_four_chambers_shorten_and_narrow():
    heart = healthy()
    truth = cine_truth(heart, view="lax_4ch", size=200, spacing_mm=1.0)
    systole = int(np.argmax(truth.beat.contracted))
    sizes = [np.bincount(truth.masks[phase].ravel(), minlength=4) for phase in (0, systole)]
    assert sizes[1][LV_CAVITY] < 0.8 * sizes[0][LV_CAVITY]
    assert sizes[1][RV_CAVITY] < 0.8 * sizes[0][RV_CAVITY]
    # area–length: V = 8 A² / (3 π L), within what a bullet differs from an ellipsoid and the slice from the whole
    for phase, size in ((0, sizes[0]), (systole, sizes[1])):
        volume = 8 * size[LV_CAVITY] ** 2 / (3 * np.pi * truth.beat.lv_length_mm[phase]) / 1000
        assert volume == pytest.approx(truth.beat.lv_ml[phase], rel=0.45)


def test_a_scar_is_thin_and_does_not_thicken_and_the_rest_does():
    scar = Scar("inferior", extent=0.2, transmurality=1.0, months=24)
    before, after = walls(replace(healthy(), scar=scar, lv_ef=0.4))
    middle = 120 + 145  # of the inferior arc, degrees of the picture
    assert at(before, middle) < 0.7 * at(before, middle - 180)
    assert at(after / before, middle) < 1.25
    assert at(after / before, middle - 180) > 1.35


def test_a_wall_without_blood_moves_less():
    heart = healthy()
    attacked = replace(heart, ischaemia=Ischaemia("anterior", occluded=True, severity=1.0, hours=2), lv_ef=0.45)
    before, after = walls(attacked)
    assert at(after / before, 110) < at(after / before, 290)
    assert ischaemic_share(attacked, 110) > 0.8
    assert ischaemic_share(heart, 110) == 0.0
    assert ischaemic_share(attacked, 290) == 0.0


def test_a_thick_septum_is_thick():
    before, _ = walls(replace(healthy(), septal_thickening=1.6))
    assert at(before, 180) > 1.3 * at(before, 0)


def test_the_septum_beats_early_in_left_bundle_branch_block():
    heart = healthy()
    blocked = replace(heart, electrics=replace(heart.electrics, conduction="lbbb", qrs_ms=150.0))

    def moved(one: Heart) -> tuple[float, float]:
        """Of the septum and of the lateral wall, inwards, from the R peak to 45 ms, mm."""
        phase = 45 / (60000 / one.electrics.heart_rate_bpm)
        endo = contours(one, beat(one, [0.0, phase]), stream(0, 0, "test")).endo
        return at(endo[0] - endo[1], 180), at(endo[0] - endo[1], 0)

    assert moved(blocked)[0] > 1.0
    assert moved(blocked)[1] < -1.0
    assert abs(moved(heart)[0]) < 0.5


def test_blood_is_bright_muscle_dark_and_lung_black():
    for patient in range(8):
        heart = draw(24, patient)
        truth, made = cine_truth(heart), cine(heart).frames
        blood, muscle = (float(made[truth.masks == label].mean()) for label in (LV_CAVITY, LV_MUSCLE))
        assert 0.2 * blood < muscle < 0.55 * blood
        assert np.percentile(made, 10) < 0.12 * blood


def test_noise_is_of_the_size_that_the_scanner_says():
    heart = healthy()
    made = cine(heart, n_frames=50).frames[:, 0].astype(float)
    truth = cine_truth(heart)
    always = (truth.masks[:, 0] == LV_CAVITY).all(axis=0) & (truth.frames[:, 0].std(axis=0) < 0.09)
    assert always.sum() > 20
    noise = np.diff(made[:, always], axis=0).std() / np.sqrt(2) / made[:, always].mean()
    assert 0.015 < noise < 0.06


def test_partial_volume_and_the_black_line_around_fat():
    steady = np.ones(1)
    ring = [Layer(np.full((1, 128), radius), value * steady, 1, 0.5) for radius, value in ((30.0, -1.0), (20.0, 0.3))]
    scene = Scene(np.full((84, 84), 0.03), (Group(np.zeros((1, 2)), tuple(ring)),), np.empty((0, 1, 5)))
    signal, labels = paint(scene, 1.8)
    assert (labels.sum() * 1.8**2) == pytest.approx(np.pi * 30**2, rel=0.01)
    places = (np.arange(84) - 41.5) * 1.8
    away = np.hypot(places[:, None], places[None, :])
    magnitude = np.abs(signal[0])
    assert magnitude[(away > 18) & (away < 22)].min() < 0.05  # where fat and water cancel
    assert np.allclose(magnitude[away < 18], 0.3)
    assert np.allclose(magnitude[(away > 22) & (away < 28)], 1.0)
    assert len(np.unique(np.round(signal, 4))) > 20


def test_what_cannot_be_made_is_refused():
    heart = healthy()
    with pytest.raises(UsageError, match="lax_4ch"):
        cine(heart, view="axial")
    with pytest.raises(UsageError, match="frames"):
        cine(heart, n_frames=0)
    with pytest.raises(UsageError, match="spacing"):
        cine(heart, spacing_mm=float("nan"))


def fixed() -> Heart:
    """A heart that does not depend on how hearts are drawn."""
    electrics = Electrics(62.0, 30.0, 106.0, 160.0, 92.0, 405.0, 40.0, 1.0)
    return Heart(
        seed=1, patient=2, population="general", site="A", sex="M", age_years=60.0, height_cm=178.0, weight_kg=82.0,
        diagnosis="normal", lv_edv_ml=160.0, lv_ef=0.6, rv_ef=0.55, lv_mass_g=105.0, la_volume_ml=70.0,
        lv_length_mm=94.0, longitudinal=0.2, septal_thickening=1.05, causes=Causes(0.0, 0.0, 0.0, 0.0),
        electrics=electrics,
    )  # fmt: skip


# Mean of the frames and pixels of each label: another value makes another generator (`GENERATOR`).
FINGERPRINT = {"sax": [39.171, 39.693, 4732, 3637, 5219], "lax_4ch": [49.127, 50.369, 6912, 2851, 2881]}


@pytest.mark.parametrize("view", VIEWS)
def test_the_generator_is_phantom_1(view: str):
    assert GENERATOR == "phantom/1"
    frames, masks = cine(fixed(), view=view, n_frames=10).frames, cine_truth(fixed(), view=view, n_frames=10).masks
    found = [float(frames.mean()), float(frames[3].std()), *np.bincount(masks.ravel(), minlength=4)[1:]]
    assert found == pytest.approx(FINGERPRINT[view], rel=2e-3)
