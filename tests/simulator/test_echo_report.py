"""The simulated report never contradicts its heart."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from cardioloom.simulator import draw
from cardioloom.simulator.heart import INFARCT_SITES, SITE_TERRITORY, Heart, Ischaemia, Scar
from cardioloom.simulator.reporttext import TITLE, findings, report_text, rvsp_mmhg
from cardioloom.simulator.reportwords import LONG, SEGMENTS, SHORT, VARIANTS

HEARTS = [draw(21, patient, "hospital") for patient in range(120)]


def quiet() -> Heart:
    """A normal heart without device."""
    return next(heart for heart in HEARTS if heart.diagnosis == "normal" and heart.electrics.conduction == "normal")


@pytest.mark.parametrize("long", [True, False])
def test_the_ejection_fraction_stands_in_every_report(long: bool):
    for heart in HEARTS:
        for study in range(2):
            text = report_text(heart, long=long, study=study)
            assert text.startswith(TITLE)
            assert f"{round(100 * heart.lv_ef)} %" in text
            assert "{" not in text
            assert "  " not in text


def test_numbers_of_a_long_report_are_the_hearts():
    for heart in HEARTS:
        text = report_text(heart, long=True)
        numbers = {int(number) for number in re.findall(r"\d+", text)}
        expected = {heart.lv_edv_ml, heart.lv_esv_ml, heart.lv_mass_g, heart.la_volume_ml, 100 * heart.rv_ef}
        expected |= {heart.la_volume_ml / heart.bsa_m2, heart.electrics.heart_rate_bpm, rvsp_mmhg(heart)}
        assert {round(number) for number in expected} <= numbers


def test_words_are_deterministic_and_vary():
    heart = HEARTS[0]
    assert report_text(heart, long=True) == report_text(heart, long=True)
    assert len({report_text(heart, long=True, study=study) for study in range(12)}) > 8


def test_a_short_report_is_shorter():
    lengths = [(len(report_text(heart, long=False)), len(report_text(heart, long=True))) for heart in HEARTS]
    assert all(short < 0.6 * long for short, long in lengths)


@pytest.mark.parametrize(
    ("share", "sex", "grade"),
    [
        (0.52, "M", "normal"),
        (0.52, "F", "mildly reduced"),
        (0.41, "M", "mildly reduced"),
        (0.40, "M", "moderately reduced"),
        (0.30, "F", "moderately reduced"),
        (0.29, "F", "severely reduced"),
    ],
)
def test_grades_of_ejection_fraction(share: float, sex: str, grade: str):
    for study in range(6):
        text = report_text(replace(quiet(), lv_ef=share, sex=sex), long=False, study=study)
        sentence = next(sentence for sentence in text.split(". ") if f"{round(100 * share)} %" in sentence)
        said = [word for word in ("normal", "mildly", "moderately", "severely") if word in sentence]
        assert said == [grade.split()[0]]


@pytest.mark.parametrize("site", INFARCT_SITES)
@pytest.mark.parametrize("long", [True, False])
def test_wall_motion_names_segment_and_artery(site: str, long: bool):
    heart = quiet()
    for hurt, lost in (
        (replace(heart, scar=Scar(site, 0.2, 0.9, 12.0)), "akinesia"),
        (replace(heart, ischaemia=Ischaemia(site, True, 0.5, 3.0)), "hypokinesia"),
    ):
        text = report_text(hurt, long=long)
        assert f"{lost} of the {SEGMENTS[site]}" in text
        assert f"{SITE_TERRITORY[site]} territory" in text
    assert "no regional abnormality" in report_text(heart, long=long)


def test_devices_are_named_and_only_then():
    words = {"pacemaker_lead": "pacemaker", "mitral_clip": "clip", "aortic_prosthesis": "prosthesis"}
    for long in (True, False):
        for device, word in words.items():
            text = report_text(replace(quiet(), devices=(device,)), long=long)
            assert word in text
            assert word not in report_text(quiet(), long=long)
    both = report_text(replace(quiet(), devices=("pacemaker_lead", "mitral_clip")), long=True)
    assert "a pacemaker lead in the right heart and a clip on the mitral leaflets" in both
    assert "sclero" not in report_text(replace(quiet(), devices=("aortic_prosthesis",), age_years=94.0), long=True)


def test_pulmonary_hypertension_has_a_high_pressure():
    ill = [heart for heart in HEARTS if heart.diagnosis == "pulmonary_hypertension"]
    assert ill
    for heart in ill:
        assert rvsp_mmhg(heart) >= 45
        assert "raised" in report_text(heart, long=False)
        assert "flatten" in report_text(heart, long=True)
    assert all(rvsp_mmhg(heart) < 40 for heart in HEARTS if heart.diagnosis == "normal" and heart.lv_ef > 0.45)


def test_fibrillation_and_left_bundle_branch_block():
    heart = quiet()
    fast = replace(heart, electrics=replace(heart.electrics, rhythm="atrial_fibrillation"))
    assert "atrial fibrillation" in report_text(fast, long=True)
    assert "atrial fibrillation" not in report_text(heart, long=True)
    blocked = replace(heart, electrics=replace(heart.electrics, conduction="lbbb", qrs_ms=150.0))
    for study in range(6):
        says = [word in report_text(blocked, long=True, study=study) for word in ("Septal flash", "paradoxically")]
        assert sum(says) == 1
        assert "aradoxical" not in report_text(heart, long=True, study=study)
    assert findings(blocked).lvef_percent == findings(heart).lvef_percent


def test_every_sentence_has_wordings():
    assert set(LONG) | set(SHORT) == set(VARIANTS)
    assert all(len(set(texts)) == len(texts) >= 2 for texts in VARIANTS.values())


def test_pericarditis_alone_has_an_effusion():
    for heart in HEARTS:
        text = report_text(heart, long=True)
        assert ("small pericardial effusion" in text) == findings(heart).effusion
        assert not findings(heart).effusion or heart.diagnosis == "pericarditis"
