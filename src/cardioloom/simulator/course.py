"""The later studies of a simulated patient: the same heart at other dates, and what happened between them.

Changes follow the outcomes: no study after death or loss, atrial fibrillation and low LVEF from the date they begin.
How often a heart is operated, transplanted, worsens or recovers is a rule of this simulator. Nothing here is a patient.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cardioloom.simulator.heart import Electrics, Heart, Scar
from cardioloom.simulator.outcomes import FAILING, LOW_EF, Outcomes, outcomes
from cardioloom.simulator.population import healthy
from cardioloom.simulator.streams import stream

MEAN_LATER = {"general": 0.6, "hospital": 1.6}  # studies after the first
MOST_LATER = 4
Random = np.random.Generator


@dataclass(frozen=True)
class Date:
    """A study of a patient.

    Args:
        years: since the first study.
        heart: as it is then; `Heart.age_years` has grown by the years.
        events: what happened since the study before: "transplant", "aortic surgery", "mitral clip", "pacemaker",
            "worsening", "recovery", "infarct healed", "pericarditis resolved", "atrial fibrillation", "low LVEF".
    """

    years: float
    heart: Heart
    events: tuple[str, ...] = ()


def studies(heart: Heart) -> tuple[Heart, ...]:
    """The heart at each date of a study, in order; the first is the heart itself."""
    return tuple(date.heart for date in course(heart))


def course(heart: Heart) -> tuple[Date, ...]:
    """The dates of a patient's studies, the first of which shows this heart."""
    fate = outcomes(heart)
    random = stream(heart.seed, heart.patient, "course")
    n_later = min(MOST_LATER, int(random.poisson(MEAN_LATER[heart.population])))
    years = np.sort(random.uniform(0.1, 5.0, n_later))
    dates = [Date(0.0, heart)]
    for number, at in enumerate(years):
        later = stream(heart.seed, heart.patient, f"course/{number + 1}")
        if at < fate.followed_years and at - dates[-1].years > 0.02:
            dates.append(_next(dates[-1], float(at), fate, later))
    return tuple(dates)


def _next(last: Date, years: float, fate: Outcomes, random: Random) -> Date:
    heart = replace(last.heart, age_years=last.heart.age_years + years - last.years)
    events: list[str] = []
    for rule in (_heals, _transplanted, _operated, _paced, _moves):
        heart, event = rule(heart, random)
        events += [event] if event else []
        if event == "transplant":
            return Date(years, heart, tuple(events))
    if fate.low_ef_event and last.years < fate.low_ef_years <= years:
        heart, event = _falls(heart, random)
        events.append(event)
    if fate.af_event and last.years < fate.af_years <= years:
        heart, event = _fibrillates(heart, random)
        events.append(event)
    return Date(years, _drifted(heart, random), tuple(events))


def _heals(heart: Heart, random: Random) -> tuple[Heart, str]:
    """Acute ischaemia is over at the next study: an occlusion leaves a scar; pericarditis leaves nothing."""
    if heart.ischaemia is not None:
        was = heart.ischaemia
        gain = 0.09 * was.severity if was.occluded else 0.13 * was.severity
        scar = (
            Scar(was.site, 0.05 + 0.25 * was.severity, float(random.uniform(0.5, 1.0)), 3.0) if was.occluded else None
        )
        ef = float(np.clip(heart.lv_ef + gain, 0.15, 0.72))
        name = "ischaemic_scar" if was.occluded else "coronary_disease"
        return replace(heart, ischaemia=None, scar=scar or heart.scar, diagnosis=name, lv_ef=ef), "infarct healed"
    if heart.diagnosis == "pericarditis":
        slower = max(50.0, heart.electrics.heart_rate_bpm - 15)
        calm = replace(heart.electrics, heart_rate_bpm=slower)
        return replace(heart, diagnosis="normal", electrics=calm), "pericarditis resolved"
    return heart, ""


def _transplanted(heart: Heart, random: Random) -> tuple[Heart, str]:
    """The heart of a donor: normal, without scar, device or bundle branch block; denervated, so fast and even."""
    if not (heart.lv_ef < 0.24 and heart.age_years < 68 and random.random() < 0.3):
        return heart, ""
    donor = healthy(heart.seed, heart.patient, heart.population, heart.site, heart.sex, 40.0, random)
    rate, spread = float(random.uniform(85, 105)), float(random.uniform(3, 8))
    electrics = replace(donor.electrics, heart_rate_bpm=rate, rr_sd_ms=spread, voltage=heart.electrics.voltage)
    body = {"age_years": heart.age_years, "height_cm": heart.height_cm, "weight_kg": heart.weight_kg}
    # Both atria's walls are sewn together: the left one is large.
    return replace(donor, electrics=electrics, la_volume_ml=1.4 * donor.la_volume_ml, **body), "transplant"


def _operated(heart: Heart, random: Random) -> tuple[Heart, str]:
    """An aortic prosthesis: the muscle thins by a tenth. A mitral clip: the left atrium and ventricle shrink."""
    chance = random.random(2)
    often = 0.04 if heart.population == "hospital" else 0.005
    if heart.age_years > 60 and "aortic_prosthesis" not in heart.devices and chance[0] < often:
        devices = (*heart.devices, "aortic_prosthesis")
        return replace(heart, devices=devices, lv_mass_g=0.9 * heart.lv_mass_g), "aortic surgery"
    if heart.diagnosis in FAILING and "mitral_clip" not in heart.devices and chance[1] < 0.15:
        smaller = {"la_volume_ml": 0.88 * heart.la_volume_ml, "lv_edv_ml": 0.95 * heart.lv_edv_ml}
        return replace(heart, devices=(*heart.devices, "mitral_clip"), **smaller), "mitral clip"
    return heart, ""


def _paced(heart: Heart, random: Random) -> tuple[Heart, str]:
    """A pacemaker for atrioventricular block; pacing of the right ventricle spreads as left bundle branch block."""
    if heart.electrics.av_block < 2 or "pacemaker_lead" in heart.devices:
        return heart, ""
    wide, rate = float(random.uniform(140, 175)), float(random.uniform(60, 75))
    paced = {"av_block": 0, "conduction": "lbbb", "qrs_ms": wide, "heart_rate_bpm": rate, "pr_ms": 170.0}
    electrics = replace(heart.electrics, **paced)
    return replace(heart, electrics=electrics, devices=(*heart.devices, "pacemaker_lead")), "pacemaker"


def _moves(heart: Heart, random: Random) -> tuple[Heart, str]:
    """A failing heart worsens, recovers under treatment, or stays."""
    chance, by = random.random(), float(random.uniform(0.04, 0.10))
    if heart.diagnosis not in FAILING or chance > 0.6:
        return heart, ""
    sign, event = (-1, "worsening") if chance < 0.33 else (1, "recovery")
    ef = float(np.clip(heart.lv_ef + sign * by, _lowest(heart), 0.60))
    wider = 1 - 0.9 * sign * by
    larger = {"lv_edv_ml": heart.lv_edv_ml * wider, "la_volume_ml": heart.la_volume_ml * wider}
    causes = replace(heart.causes, function=heart.causes.function + 10 * sign * by)
    return replace(heart, lv_ef=ef, causes=causes, **larger), event


def _lowest(heart: Heart) -> float:
    """LVEF that a heart may reach unless the outcomes say that it falls."""
    return 0.10 if heart.lv_ef <= LOW_EF else LOW_EF + 0.001


def _falls(heart: Heart, random: Random) -> tuple[Heart, str]:
    """LVEF of 40 % or less in a wider ventricle."""
    ef = float(np.clip(random.uniform(0.27, LOW_EF), 0.1, heart.lv_ef))
    lost = heart.lv_ef - ef
    causes = replace(heart.causes, function=heart.causes.function - 10 * lost, volume=heart.causes.volume + 1.0)
    right = float(np.clip(heart.rv_ef - 0.4 * lost, 0.15, 0.75))
    return replace(heart, lv_ef=ef, rv_ef=right, lv_edv_ml=1.2 * heart.lv_edv_ml, causes=causes), "low LVEF"


def _fibrillates(heart: Heart, random: Random) -> tuple[Heart, str]:
    """From its first episode on: in fibrillation at six studies of ten, the atrium larger in any case."""
    larger = replace(heart, la_volume_ml=1.15 * heart.la_volume_ml)
    if random.random() < 0.4:
        return larger, "atrial fibrillation"
    rate = float(np.clip(heart.electrics.heart_rate_bpm + random.normal(18, 14), 50, 165))
    changed = {"rhythm": "atrial_fibrillation", "heart_rate_bpm": rate, "pac_burden": 0.0, "av_block": 0}
    return replace(larger, electrics=replace(heart.electrics, **changed)), "atrial fibrillation"


def _drifted(heart: Heart, random: Random) -> Heart:
    """What changes from one day to another: volumes by 3 %, LVEF by 1.5 points, heart rate, weight."""
    noise = random.standard_normal(4)
    electrics: Electrics = heart.electrics
    if not heart.devices and electrics.av_block < 2:
        rate = float(np.clip(electrics.heart_rate_bpm * (1 + 0.06 * noise[2]), 40, 170))
        electrics = replace(electrics, heart_rate_bpm=rate)
    highest = 0.82 if heart.lv_ef > LOW_EF else LOW_EF
    return replace(
        heart,
        lv_edv_ml=heart.lv_edv_ml * float(np.exp(0.03 * noise[0])),
        lv_ef=float(np.clip(heart.lv_ef + 0.015 * noise[1], _lowest(heart), highest)),
        weight_kg=heart.weight_kg * float(np.exp(0.02 * noise[3])),
        electrics=electrics,
    )
