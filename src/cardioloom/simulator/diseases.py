"""What a disease does to a heart: rules of this simulator, with the sources of their direction and size.

LVEF of the heart failures and of hypertrophy follows the masks of the Sunnybrook cohort (Radau et al. 2009,
http://hdl.handle.net/10380/3070); benchmarks/simulator_cine.py compares them group by group.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from cardioloom.simulator.heart import INFARCT_SITES, SITE_TERRITORY, Causes, Heart, Ischaemia, Scar
from cardioloom.simulator.streams import stream
from cardioloom.simulator.vector import axis_of_rbbb

Random = np.random.Generator
FASTER_BPM = {"acute_ischaemia": 12.0, "pericarditis": 15.0}  # mean; the rate comes down again when it is over
# Share of the infarcts without ST elevation whose artery is closed. Khan et al. 2017 (doi:10.1093/eurheartj/ehx418):
# 25.5 % in all; of the closed ones 40 % right, 33 % circumflex. Six sites of equal share give these by territory.
OCCLUDED_WITHOUT_ELEVATION = {"LAD": 0.138, "LCX": 0.252, "RCA": 0.612}


def afflicted(heart: Heart, diagnosis: str, rhythm: Mapping[str, Any], random: Random) -> Heart:
    """A healthy heart with a disease, and with what of its rhythm and conduction is not normal.

    Args:
        heart: healthy.
        diagnosis: one of `heart.DIAGNOSES`.
        rhythm: values of `Electrics` that are not normal.
        random: the patient's stream.
    """
    if diagnosis != "normal":
        heart = replace(RULES[diagnosis](heart, random), diagnosis=diagnosis)
    electrics = replace(heart.electrics, **{name: value for name, value in rhythm.items() if value != "normal"})
    if heart.electrics.conduction != "normal":  # the disease's own block stays
        electrics = replace(electrics, conduction=heart.electrics.conduction)
    if electrics.rhythm == "atrial_fibrillation":
        rate = float(np.clip(electrics.heart_rate_bpm + random.normal(18, 14), 50, 165))
        electrics = replace(electrics, heart_rate_bpm=rate, pac_burden=0.0, av_block=0)
        heart = replace(heart, la_volume_ml=heart.la_volume_ml * 1.35)
    if electrics.conduction != "normal":
        low, high = (125, 170) if electrics.conduction == "lbbb" else (121, 160)
        electrics = replace(electrics, qrs_ms=float(random.uniform(low, high)))
    if electrics.conduction == "rbbb":
        electrics = replace(electrics, qrs_axis_deg=_axis_of_rbbb(heart))
    if electrics.conduction == "lbbb":  # a right axis would speak against it
        electrics = replace(electrics, qrs_axis_deg=min(55.0, electrics.qrs_axis_deg))
    if electrics.av_block == 1:
        electrics = replace(electrics, pr_ms=float(random.uniform(204, 300)))
    if electrics.av_block == 3:
        electrics = replace(electrics, heart_rate_bpm=float(random.uniform(32, 48)))
    return replace(heart, electrics=electrics)


def _axis_of_rbbb(heart: Heart) -> float:
    """Frontal axis of the whole QRS: the right ventricle's late part turns it right; with the left anterior fascicle
    blocked too it is left. The share of that follows 36 real recordings with the block, a quarter of them left of -15°
    (benchmarks/simulator_ecg.py)."""
    random = stream(heart.seed, heart.patient, "axis of right bundle branch block")
    has_left_anterior_block, spread = random.random() < 0.25, random.standard_normal()
    return axis_of_rbbb(-38 + 12 * spread if has_left_anterior_block else heart.electrics.qrs_axis_deg)


def _shift(causes: Causes, **by: float) -> Causes:
    return replace(causes, **{name: getattr(causes, name) + value for name, value in by.items()})


def _electric(heart: Heart, **values: Any) -> Heart:
    return replace(heart, electrics=replace(heart.electrics, **values))


def _failing(heart: Heart, random: Random, mean: float, sd: float, wider: float) -> Heart:
    """Low LVEF in a wide ventricle; the right one follows in part."""
    ef = float(np.clip(random.normal(mean, sd), 0.10, 0.62))
    lost = heart.lv_ef - ef
    return replace(
        heart,
        lv_ef=ef,
        rv_ef=float(np.clip(heart.rv_ef - 0.55 * lost, 0.15, 0.7)),
        lv_edv_ml=heart.lv_edv_ml * wider,
        la_volume_ml=heart.la_volume_ml * 1.45,
        lv_length_mm=heart.lv_length_mm * wider**0.25,
        causes=_shift(heart.causes, function=-10 * lost, volume=2.2 * (wider - 1) / 0.5),
        electrics=replace(
            heart.electrics,
            heart_rate_bpm=float(np.clip(heart.electrics.heart_rate_bpm + random.normal(10, 6), 50, 125)),
            qrs_ms=min(119.0, heart.electrics.qrs_ms + 10),
            qtc_ms=heart.electrics.qtc_ms + 20,
            rr_sd_ms=heart.electrics.rr_sd_ms * 0.6,
        ),
    )


def _dilated(heart: Heart, random: Random) -> Heart:
    heart = replace(
        _failing(heart, random, 0.30, 0.08, float(random.uniform(1.35, 1.9))), lv_mass_g=heart.lv_mass_g * 1.3
    )
    return _electric(heart, conduction="lbbb") if random.random() < 0.3 else heart


def _hypertrophic(heart: Heart, random: Random) -> Heart:
    thicker = float(random.uniform(1.5, 2.6))
    return replace(
        heart,
        lv_mass_g=heart.lv_mass_g * thicker,
        lv_edv_ml=heart.lv_edv_ml * 0.93,
        lv_ef=float(np.clip(heart.lv_ef + 0.05, 0.45, 0.82)),
        la_volume_ml=heart.la_volume_ml * 1.3,
        septal_thickening=float(random.uniform(1.25, 1.8)),
        causes=_shift(heart.causes, mass=3.0 * (thicker - 1), function=-1.5),
    )


def _restrictive(heart: Heart, random: Random) -> Heart:
    """Infiltration: a thick wall of low voltage (amyloid), a small cavity, a large atrium."""
    ef = float(np.clip(random.normal(0.50, 0.08), 0.25, 0.65))
    heart = replace(
        heart,
        lv_mass_g=heart.lv_mass_g * float(random.uniform(1.3, 1.8)),
        lv_edv_ml=heart.lv_edv_ml * 0.82,
        lv_ef=ef,
        rv_ef=float(np.clip(heart.rv_ef - 0.10, 0.2, 0.65)),
        la_volume_ml=heart.la_volume_ml * 1.6,
        longitudinal=heart.longitudinal - 2.0,
    )
    return _electric(heart, voltage=heart.electrics.voltage * 0.55, pr_ms=min(240.0, heart.electrics.pr_ms + 25))


def _scarred(heart: Heart, random: Random) -> Heart:
    scar = Scar(
        site=INFARCT_SITES[int(random.integers(len(INFARCT_SITES)))],
        extent=float(np.clip(random.beta(2.2, 7), 0.03, 0.45)),
        transmurality=float(random.uniform(0.4, 1.0)),
        months=float(random.uniform(3, 120)),
    )
    lost = 0.75 * scar.extent * scar.transmurality
    wider = 1 + 1.1 * scar.extent
    return replace(
        heart,
        scar=scar,
        lv_ef=float(np.clip(heart.lv_ef - lost, 0.12, 0.72)),
        rv_ef=float(np.clip(heart.rv_ef - 0.2 * lost, 0.2, 0.7)),
        lv_edv_ml=heart.lv_edv_ml * wider,
        la_volume_ml=heart.la_volume_ml * 1.12,
        causes=_shift(heart.causes, function=-4 * lost, volume=1.2 * scar.extent),
    )


def _ischaemic(heart: Heart, random: Random) -> Heart:
    now = Ischaemia(
        site=INFARCT_SITES[int(random.integers(len(INFARCT_SITES)))],
        occluded=bool(random.random() < 0.45),
        severity=float(random.uniform(0.25, 1.0)),
        hours=float(random.exponential(5.0) + 0.3),
    )
    if not now.occluded:
        chance = stream(heart.seed, heart.patient, "culprit").random()
        if chance < OCCLUDED_WITHOUT_ELEVATION[SITE_TERRITORY[now.site]]:
            now = replace(now, occluded=True, elevates=False)
    heart = replace(heart, ischaemia=now, lv_ef=float(np.clip(heart.lv_ef - 0.14 * now.severity, 0.2, 0.72)))
    rate = float(np.clip(heart.electrics.heart_rate_bpm + random.normal(FASTER_BPM["acute_ischaemia"], 8), 48, 130))
    return _electric(heart, heart_rate_bpm=rate)


def _heart_failure(heart: Heart, random: Random) -> Heart:
    if random.random() < 0.5:
        heart = _scarred(heart, random)
        return _failing(heart, random, 0.25, 0.07, float(random.uniform(1.2, 1.6)))
    return _failing(heart, random, 0.31, 0.10, float(random.uniform(1.15, 1.6)))


def _pulmonary_hypertension(heart: Heart, random: Random) -> Heart:
    severity = float(random.uniform(0.4, 1.0))
    heart = replace(
        heart,
        rv_ef=float(np.clip(heart.rv_ef - 0.26 * severity, 0.15, 0.6)),
        lv_edv_ml=heart.lv_edv_ml * (1 - 0.12 * severity),
        causes=_shift(heart.causes, right=4.0 * severity),
    )
    axis = heart.electrics.qrs_axis_deg + 75 * severity
    return _electric(heart, qrs_axis_deg=float(np.clip(axis, -40, 150)))


def _pericarditis(heart: Heart, random: Random) -> Heart:
    rate = float(np.clip(heart.electrics.heart_rate_bpm + random.normal(FASTER_BPM["pericarditis"], 8), 55, 130))
    return _electric(heart, heart_rate_bpm=rate)


def _coronary(heart: Heart, random: Random) -> Heart:
    return replace(heart, lv_ef=float(np.clip(heart.lv_ef - abs(random.normal(0.0, 0.03)), 0.3, 0.75)))


RULES: dict[str, Callable[[Heart, Random], Heart]] = {
    "dilated_cardiomyopathy": _dilated,
    "hypertrophic_cardiomyopathy": _hypertrophic,
    "restrictive_cardiomyopathy": _restrictive,
    "ischaemic_scar": _scarred,
    "acute_ischaemia": _ischaemic,
    "heart_failure": _heart_failure,
    "pulmonary_hypertension": _pulmonary_hypertension,
    "pericarditis": _pericarditis,
    "coronary_disease": _coronary,
}
