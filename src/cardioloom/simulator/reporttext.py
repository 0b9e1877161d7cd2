"""The report of a simulated echocardiogram: sentences of our own, with the numbers of one `Heart`. Never a patient's.

Every number and every grade is computed from the heart; chance picks only the wording. Grades of LVEF and of left
atrial volume follow Lang et al. 2015 (doi:10.1016/j.echo.2014.10.003); all other grades are rules of this simulator.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from math import exp

import numpy as np

from cardioloom.simulator.anatomy import RV_LENGTH_MM, long_axis_shortening
from cardioloom.simulator.echo_scene import STEPS, WIDEST, walls
from cardioloom.simulator.heart import Heart
from cardioloom.simulator.reportwords import DEVICES, LONG, RHYTHMS, SEGMENTS, SHORT, VARIANTS
from cardioloom.simulator.streams import stream

TITLE = "Simulated echocardiogram, not a patient."
GRADES = ("none", "trace", "mild", "moderate", "severe")
ENLARGED = ("normal in size", "mildly enlarged", "moderately enlarged", "severely enlarged")


@dataclass(frozen=True)
class Findings:
    """What a report states, before it is put in words.

    Args:
        lvef_percent, lv_edv_ml, lv_esv_ml, lv_mass_g, la_volume_ml, la_index_ml_m2: of the left heart.
        lv_diameter_mm, lv_systolic_mm, septum_mm, lateral_mm: in the four-chamber plane, at the cavity's widest.
        rv_mm: basal diameter; tapse_mm: of the tricuspid annulus; rvef_percent.
        rvsp_mmhg: systolic pressure of the right ventricle.
        mitral, tricuspid: regurgitation, of `GRADES`.
        aortic_sclerosis, effusion: whether there is one.
    """

    lvef_percent: int
    lv_edv_ml: int
    lv_esv_ml: int
    lv_mass_g: int
    la_volume_ml: int
    la_index_ml_m2: int
    lv_diameter_mm: int
    lv_systolic_mm: int
    septum_mm: int
    lateral_mm: int
    rv_mm: int
    tapse_mm: int
    rvef_percent: int
    rvsp_mmhg: int
    mitral: str
    tricuspid: str
    aortic_sclerosis: bool
    effusion: bool


def report_text(heart: Heart, *, long: bool, study: int = 0) -> str:
    """The report of one study in English.

    Args:
        heart: at that date.
        long: every chamber and valve with its numbers; otherwise two to five sentences.
        study: number of the study; another picks other words for the same facts.
    """
    found = findings(heart)
    random = stream(heart.seed, heart.patient, f"report/{study}")
    words = _words(heart, found)
    values = {**vars(found), **words}
    chosen = []
    for name in LONG if long else SHORT:
        texts = VARIANTS[name]
        pick = int(random.integers(len(texts)))  # drawn for every sentence, so that a fact moves no other's wording
        if values.get(f"say_{name}", True):
            chosen.append(texts[pick].format(**values))
    return " ".join([TITLE, *chosen])


def findings(heart: Heart) -> Findings:
    """The numbers and grades of a heart."""
    volumes = np.array([heart.lv_edv_ml, heart.lv_esv_ml]), np.array([heart.rv_edv_ml, heart.rv_esv_ml])
    found = walls(heart, *volumes, np.array([0.0, 0.35]))
    widest = int(np.abs(STEPS - WIDEST).argmin())
    tables = found.tables[:, :, widest].astype(float)
    draw = stream(heart.seed, heart.patient, "valves").standard_normal(4)
    dilated = heart.lv_edv_ml / heart.bsa_m2 / 80 - 1
    leak = 0.6 + 1.6 * max(0.0, dilated) + 2.2 * max(0.0, 0.45 - heart.lv_ef) + 0.012 * (heart.age_years - 60)
    leak += 0.4 * (heart.electrics.rhythm == "atrial_fibrillation") - 1.2 * ("mitral_clip" in heart.devices)
    pressure = rvsp_mmhg(heart)
    return Findings(
        lvef_percent=round(100 * heart.lv_ef),
        lv_edv_ml=round(heart.lv_edv_ml),
        lv_esv_ml=round(heart.lv_esv_ml),
        lv_mass_g=round(heart.lv_mass_g),
        la_volume_ml=round(heart.la_volume_ml),
        la_index_ml_m2=round(heart.la_volume_ml / heart.bsa_m2),
        lv_diameter_mm=round(tables[0, 0] + tables[0, 1]),
        lv_systolic_mm=round(tables[1, 0] + tables[1, 1]),
        septum_mm=round(tables[0, 2] - tables[0, 0]),
        lateral_mm=round(tables[0, 3] - tables[0, 1]),
        rv_mm=round(float(found.tables[0, 4].max())),
        tapse_mm=round(RV_LENGTH_MM * long_axis_shortening(heart)[1]),
        rvef_percent=round(100 * heart.rv_ef),
        rvsp_mmhg=round(pressure),
        mitral=_grade(leak + 0.5 * draw[0]),
        tricuspid=_grade(0.5 + 0.04 * (pressure - 25) + 0.5 * draw[1]),
        aortic_sclerosis=bool(draw[2] > 0.6 - 0.06 * (heart.age_years - 70)),
        effusion=heart.diagnosis == "pericarditis" and bool(draw[3] > -0.3),
    )


def rvsp_mmhg(heart: Heart) -> float:
    """Systolic pressure of the right ventricle, mmHg: at least 45 in pulmonary hypertension."""
    noise = float(stream(heart.seed, heart.patient, "rvsp").standard_normal())
    if heart.diagnosis == "pulmonary_hypertension":
        return 45 + 12 * max(0.0, heart.causes.right) * exp(0.2 * noise)
    high = 34.0 if heart.lv_ef >= 0.45 else 44.0
    return float(np.clip(24 + 30 * max(0.0, 0.5 - heart.lv_ef) + 3.5 * noise, 15, high))


def _grade(score: float) -> str:
    return GRADES[bisect_right([0.45, 0.95, 1.8, 2.7], score)]


def _words(heart: Heart, found: Findings) -> dict[str, str | bool]:
    """What the sentences say beside numbers, and which of them are said."""
    electrics = heart.electrics
    thick = max(found.septum_mm, found.lateral_mm)
    asymmetric = heart.diagnosis == "hypertrophic_cardiomyopathy"
    wall = "mildly increased" if thick >= 9 else "normal"
    wall = "increased" if thick >= 11 or asymmetric else wall
    conduction = electrics.conduction == "lbbb"
    return {
        "sex": "woman" if heart.sex == "F" else "man",
        "age": str(int(heart.age_years)),
        "rhythm": RHYTHMS[electrics.rhythm],
        "rate": str(round(electrics.heart_rate_bpm)),
        "lv_function": _lv_function(heart.sex, found.lvef_percent),
        "lv_size": _lv_size(heart),
        "wall": wall,
        "la_size": ENLARGED[bisect_right([34.5, 41.5, 48.5], found.la_index_ml_m2)],
        "rv_function": _rv_function(found.rvef_percent),
        "rv_size": "dilated" if found.rv_mm > 41 else "normal in size",
        "motion": _motion(heart),
        "septum_ratio": f"{found.septum_mm / max(found.lateral_mm, 1):.1f}",
        "devices": _joined([DEVICES[device] for device in heart.devices]),
        "say_asymmetry": asymmetric,
        "say_restriction": heart.diagnosis == "restrictive_cardiomyopathy",
        "say_pressure_high": found.rvsp_mmhg >= 40,
        "say_pressure_usual": found.rvsp_mmhg < 40,
        "say_septal_flattening": heart.diagnosis == "pulmonary_hypertension",
        "say_devices": bool(heart.devices),
        "say_effusion": found.effusion,
        "say_no_effusion": not found.effusion,
        "say_dyssynchrony": conduction,
        "say_sclerosis": found.aortic_sclerosis and "aortic_prosthesis" not in heart.devices,
        "say_aortic_usual": not found.aortic_sclerosis and "aortic_prosthesis" not in heart.devices,
        "say_ectopy": electrics.pvc_burden >= 0.05,
        "say_la_large": found.la_index_ml_m2 >= 35,
        "say_rv_impaired": found.rvef_percent < 45,
    }


def _lv_function(sex: str, percent: int) -> str:
    if percent >= (52 if sex == "M" else 54):
        return "normal"
    return "mildly reduced" if percent > 40 else "moderately reduced" if percent >= 30 else "severely reduced"


def _lv_size(heart: Heart) -> str:
    """By the volume for the body; the limits are 2 SD above the mean of the healthy of this simulator."""
    index = heart.lv_edv_ml / heart.bsa_m2
    limit = 110.0 if heart.sex == "M" else 90.0
    return "normal in size" if index <= limit else "mildly dilated" if index <= 1.2 * limit else "dilated"


def _rv_function(percent: int) -> str:
    return "normal" if percent >= 45 else "mildly reduced" if percent >= 38 else "reduced"


def _motion(heart: Heart) -> str:
    """Wall motion, territory by territory."""
    parts = []
    if heart.scar is not None:
        how = "akinesia" if heart.scar.transmurality > 0.7 else "hypokinesia"
        where = SEGMENTS[heart.scar.site]
        parts.append(f"{how} of the {where} ({heart.scar.territory} territory), with thinning")
    if heart.ischaemia is not None:
        how = "akinesia" if heart.ischaemia.severity > 0.75 else "hypokinesia"
        parts.append(f"{how} of the {SEGMENTS[heart.ischaemia.site]} ({heart.ischaemia.culprit} territory)")
    if not parts:
        return "global hypokinesia without regional difference" if heart.lv_ef < 0.45 else "no regional abnormality"
    rest = "; the other segments are hypokinetic" if heart.lv_ef < 0.40 else "; the other segments contract normally"
    return _joined(parts) + rest


def _joined(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
