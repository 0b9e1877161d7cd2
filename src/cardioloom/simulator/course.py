"""The later studies of a simulated patient: the same heart at other dates, and what happened between them.

Changes follow the outcomes: no study after death or loss, atrial fibrillation and low LVEF from the date they begin.
How often a heart is operated, transplanted, worsens or recovers is a rule of this simulator. Nothing here is a patient.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cardioloom.simulator.diseases import FASTER_BPM
from cardioloom.simulator.heart import Electrics, Heart, Scar
from cardioloom.simulator.outcomes import FAILING, LOW_EF, Outcomes, outcomes
from cardioloom.simulator.pacing import paced, stimulated
from cardioloom.simulator.population import healthy
from cardioloom.simulator.streams import stream

MEAN_LATER = {"general": 0.6, "hospital": 1.6}  # studies after the first
MOST_LATER = 4
PERSISTENT_SHARE, SEEN_SHARE = 0.6, 0.3  # of new atrial fibrillation; of the studies of what comes and goes
FAILS_AS = {
    "normal": "dilated_cardiomyopathy",
    "pericarditis": "dilated_cardiomyopathy",
    "coronary_disease": "heart_failure",
    "ischaemic_scar": "heart_failure",
}
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
    last, fibrillates = dates[0], False
    for number, at in enumerate(years):
        later = stream(heart.seed, heart.patient, f"course/{number + 1}")
        if at < fate.followed_years and at - last.years > 0.02:
            last = _next(last, float(at), fate, later)
            fibrillates = "transplant" not in last.events and (fibrillates or "atrial fibrillation" in last.events)
            seen = _fibrillating(last.heart, number + 1) if fibrillates else last.heart
            dates.append(replace(last, heart=seen))
    return tuple(dates)


def _next(last: Date, years: float, fate: Outcomes, random: Random) -> Date:
    """What follows a date; in sinus rhythm if the first study was."""
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
        heart = replace(heart, la_volume_ml=1.15 * heart.la_volume_ml)
        events.append("atrial fibrillation")
    if heart.scar is not None:
        heart = replace(heart, scar=replace(heart.scar, months=heart.scar.months + 12 * (years - last.years)))
    return Date(years, _drifted(heart, random), tuple(events))


def _heals(heart: Heart, random: Random) -> tuple[Heart, str]:
    """Acute disease is over at the next study, and the heart beats slower. An occlusion leaves a scar; pericarditis and
    an open artery do not.

    A large transmural scar widens the ventricle, three in ten by a fifth or more (Bolognese et al. 2002, Circulation
    106:2351, from memory), and takes from its LVEF what the stunned muscle gives back, so that the mean stays (HEBE
    trial, PMC5577529).
    """
    if heart.diagnosis == "pericarditis":
        return replace(_calmed(heart, FASTER_BPM["pericarditis"]), diagnosis="normal"), "pericarditis resolved"
    if heart.ischaemia is None:
        return heart, ""
    was, heart = heart.ischaemia, replace(_calmed(heart, FASTER_BPM["acute_ischaemia"]), ischaemia=None)
    if not was.occluded:
        ef = float(np.clip(heart.lv_ef + 0.13 * was.severity, 0.15, 0.72))
        return replace(heart, diagnosis="coronary_disease", lv_ef=ef), "infarct healed"
    scar = Scar(was.site, 0.05 + 0.25 * was.severity, float(random.uniform(0.5, 1.0)), was.hours / 730)
    lost = scar.extent * scar.transmurality
    ef = float(np.clip(heart.lv_ef + 0.09 * was.severity - 0.35 * lost, min(_lowest(heart), heart.lv_ef), 0.72))
    wider = {"lv_edv_ml": heart.lv_edv_ml * (1 + 1.1 * lost), "la_volume_ml": heart.la_volume_ml * (1 + 0.6 * lost)}
    causes = replace(heart.causes, function=heart.causes.function - 3 * lost, volume=heart.causes.volume + 1.2 * lost)
    return replace(heart, scar=scar, diagnosis="ischaemic_scar", lv_ef=ef, causes=causes, **wider), "infarct healed"


def _calmed(heart: Heart, by_bpm: float) -> Heart:
    """Without the haste of an acute disease; an escape rhythm or a pacemaker had none."""
    if heart.electrics.av_block == 3 or paced(heart):
        return heart
    rate = heart.electrics.heart_rate_bpm
    slower = min(rate, max(48.0, rate - by_bpm))
    return replace(heart, electrics=replace(heart.electrics, heart_rate_bpm=slower))


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
    """A pacemaker for atrioventricular block."""
    if heart.electrics.av_block < 2 or "pacemaker_lead" in heart.devices:
        return heart, ""
    return stimulated(replace(heart, devices=(*heart.devices, "pacemaker_lead")), random), "pacemaker"


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
    """LVEF of 40 % or less in a wider ventricle: a failing heart, or a dilated one where there is no coronary disease.
    Hypertrophy, restriction and pulmonary hypertension keep their names."""
    ef = float(np.clip(random.uniform(0.27, LOW_EF), 0.1, heart.lv_ef))
    lost = heart.lv_ef - ef
    causes = replace(heart.causes, function=heart.causes.function - 10 * lost, volume=heart.causes.volume + 1.0)
    right = float(np.clip(heart.rv_ef - 0.4 * lost, 0.15, 0.75))
    larger = {"lv_edv_ml": 1.2 * heart.lv_edv_ml}
    name = FAILS_AS.get(heart.diagnosis, heart.diagnosis)
    return replace(heart, diagnosis=name, lv_ef=ef, rv_ef=right, causes=causes, **larger), "low LVEF"


def _fibrillating(heart: Heart, study: int) -> Heart:
    """A heart as a study after its first episode shows it: in fibrillation if that persists, else now and then."""
    own = stream(heart.seed, heart.patient, "course/fibrillation")
    is_persistent, faster = own.random() < PERSISTENT_SHARE, own.normal(18, 14)
    today = stream(heart.seed, heart.patient, f"course/{study}/fibrillation").random()
    if not (is_persistent or today < SEEN_SHARE):
        return heart
    e = replace(heart.electrics, rhythm="atrial_fibrillation", pac_burden=0.0, av_block=0)
    if not paced(heart):
        e = replace(e, heart_rate_bpm=float(np.clip(e.heart_rate_bpm + faster, 50, 165)))
    return replace(heart, electrics=e)


def _drifted(heart: Heart, random: Random) -> Heart:
    """What changes from one day to another: volumes by 3 %, LVEF by 1.5 points, heart rate, weight."""
    noise = random.standard_normal(4)
    electrics: Electrics = heart.electrics
    if "pacemaker_lead" not in heart.devices and electrics.av_block < 2:
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
