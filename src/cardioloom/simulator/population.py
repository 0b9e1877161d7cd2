"""Two populations of simulated hearts, and how one is drawn.

``general`` is a community as a biobank sees it (at most 2 % diseased), ``hospital`` a mixture of diseases. Means and
SDs of the healthy follow Petersen et al. 2017 (JCMR 19:18, doi:10.1186/s12968-017-0327-9; mass and volumes of its
tables not re-read). Of what moves a heart's size and function within one sex, a stated share is visible in the ECG
(`Causes`); the rest is hidden, and bounds what an ECG can tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import exp, sqrt

import numpy as np

from cardioloom.errors import UsageError
from cardioloom.simulator.diseases import afflicted
from cardioloom.simulator.heart import DEVICES, Causes, Electrics, Heart
from cardioloom.simulator.pacing import stimulated
from cardioloom.simulator.streams import stream


@dataclass(frozen=True)
class Population:
    """Who is drawn: age (mean, SD, lowest, highest), share of women, shares of diagnoses, rhythms and conduction."""

    age: tuple[float, float, float, float]
    women: float
    diagnoses: Mapping[str, float]  # the rest is normal
    atrial_fibrillation: float  # at 65 years; doubles every 9 years
    lbbb: float
    rbbb: float
    first_degree_block: float
    higher_block: float
    frequent_pvc: float  # a burden above 5 %
    faster_bpm: float  # of the resting heart, than in the community
    implanted: float  # share with a pacemaker; mitral clips and aortic prostheses are rarer
    sites: Mapping[str, tuple[float, float, float]]  # name → share, shift of age in years, factor of all diagnoses


POPULATIONS: dict[str, Population] = {
    "general": Population(
        age=(63.0, 7.5, 45.0, 82.0),
        women=0.52,
        diagnoses={
            "dilated_cardiomyopathy": 0.0010,
            "hypertrophic_cardiomyopathy": 0.0020,
            "restrictive_cardiomyopathy": 0.0003,
            "ischaemic_scar": 0.0040,
            "heart_failure": 0.0015,
            "pulmonary_hypertension": 0.0010,
            "coronary_disease": 0.0020,
        },
        atrial_fibrillation=0.003,
        lbbb=0.001,
        rbbb=0.003,
        first_degree_block=0.02,
        higher_block=0.0,
        frequent_pvc=0.002,
        faster_bpm=0.0,
        implanted=0.0,
        sites={"A": (0.4, 0.0, 1.0), "B": (0.3, 1.0, 1.3), "C": (0.3, -1.0, 0.7)},
    ),
    "hospital": Population(
        age=(66.0, 14.0, 20.0, 95.0),
        women=0.44,
        diagnoses={
            "dilated_cardiomyopathy": 0.08,
            "hypertrophic_cardiomyopathy": 0.06,
            "restrictive_cardiomyopathy": 0.02,
            "ischaemic_scar": 0.15,
            "acute_ischaemia": 0.09,
            "heart_failure": 0.08,
            "pulmonary_hypertension": 0.05,
            "pericarditis": 0.03,
            "coronary_disease": 0.07,
        },
        atrial_fibrillation=0.08,
        lbbb=0.03,
        rbbb=0.05,
        first_degree_block=0.06,
        higher_block=0.01,
        frequent_pvc=0.06,
        faster_bpm=8.0,
        implanted=0.02,
        sites={"A": (0.4, 0.0, 1.0), "B": (0.25, 6.0, 1.2), "C": (0.2, -8.0, 0.6), "D": (0.15, 2.0, 1.2)},
    ),
}


@dataclass(frozen=True)
class Norm:
    """The healthy of one sex: means, coefficients of variation (volumes, mass) and SDs."""

    height_cm: tuple[float, float]
    lv_edv_ml: tuple[float, float]  # mean, coefficient of variation
    lv_mass_g: tuple[float, float]
    la_volume_ml: tuple[float, float]
    lv_ef: tuple[float, float]  # mean, SD
    rv_ef: tuple[float, float]
    qrs_ms: float
    qtc_ms: float
    heart_rate_bpm: float
    mass_falls: float  # share a year with age


NORMS = {
    "M": Norm(
        (176.0, 6.8),
        (166.0, 0.193),
        (103.0, 0.204),
        (72.0, 0.26),
        (0.58, 0.05),
        (0.54, 0.055),
        100.0,
        393.0,
        63.0,
        0.003,
    ),
    "F": Norm(
        (162.5, 6.3), (124.0, 0.169), (70.0, 0.186), (62.0, 0.26), (0.61, 0.05), (0.58, 0.055), 92.0, 405.0, 66.0, 0.0
    ),
}
BMI = (26.8, 0.15)  # mean, SD of its logarithm
AGE_REFERENCE = 60.0
VOLUME_FALLS = 0.004  # share of the volumes a year with age, both sexes (Petersen 2017)
SIZE_SHARE = 0.30  # of the variance of mass and volumes within a sex that body size explains (BSA, standardised)
BSA_SD = 0.10  # coefficient of variation of BSA within a sex
# Shares of the variance within a sex that are visible in the ECG: tuned so that the best possible R² from the causes
# reaches the published ceilings (benchmarks/simulator_ceilings.py estimates them).
VISIBLE = {"mass": 0.33, "volume": 0.28, "function": 0.24, "right": 0.32}
SAME_FUNCTION = 0.6  # correlation of RVEF with LVEF
LENGTH_MM = 92.0  # of a ventricle of 145 mL
LENGTH_CV = 0.10  # of the long axis among ventricles of one volume


def draw(seed: int, patient: int, population: str = "general") -> Heart:
    """The heart of one simulated patient.

    Args:
        seed: of the cohort.
        patient: its number; the same number gives the same heart, whatever else is drawn.
        population: "general" or "hospital".

    Raises:
        UsageError: if the population is unknown.
    """
    if population not in POPULATIONS:
        raise UsageError(f"the population must be one of {', '.join(POPULATIONS)}, got {population!r}")
    chosen = POPULATIONS[population]
    random = stream(seed, patient, "heart")
    sites = list(chosen.sites)
    site = sites[int(random.choice(len(sites), p=[chosen.sites[name][0] for name in sites]))]
    sex = "F" if random.random() < chosen.women else "M"
    mean, sd, lowest, highest = chosen.age
    age = float(np.clip(mean + chosen.sites[site][1] + sd * random.standard_normal(), lowest, highest))
    unharmed = healthy(seed, patient, population, site, sex, age, random)
    heart = afflicted(unharmed, _diagnosis(chosen, site, random), _rhythm(chosen, age, random), random)
    heart = replace(heart, devices=_devices(chosen, heart, stream(seed, patient, "devices")))
    return stimulated(heart, stream(seed, patient, "pacing"))


def healthy(
    seed: int, patient: int, population: str, site: str, sex: str, age: float, random: np.random.Generator
) -> Heart:
    """A healthy heart of a sex and an age (years), drawn from ``random``; also what a donor's heart is drawn by."""
    norm = NORMS[sex]
    height = norm.height_cm[0] + norm.height_cm[1] * random.standard_normal()
    bmi = BMI[0] * exp(BMI[1] * random.standard_normal() - BMI[1] ** 2 / 2)
    weight = bmi * (height / 100) ** 2
    usual_bsa = norm.height_cm[0] ** 1.5 * sqrt(BMI[0]) / 6000
    size = (sqrt(height * weight / 3600) / usual_bsa - 1) / BSA_SD
    causes = Causes(*(float(value) for value in random.standard_normal(4)))
    hidden = random.standard_normal(6)
    years = age - AGE_REFERENCE

    def sized(visible: float, share: float, unseen: float) -> float:
        rest = 1 - share - SIZE_SHARE
        return sqrt(share) * visible + sqrt(SIZE_SHARE) * size + sqrt(rest) * unseen

    edv = _lognormal(norm.lv_edv_ml, sized(causes.volume, VISIBLE["volume"], hidden[0])) * exp(-VOLUME_FALLS * years)
    mass = _lognormal(norm.lv_mass_g, sized(causes.mass, VISIBLE["mass"], hidden[1])) * exp(-norm.mass_falls * years)
    function = sqrt(VISIBLE["function"]) * causes.function + sqrt(1 - VISIBLE["function"]) * hidden[2]
    other = sqrt(VISIBLE["right"]) * causes.right + sqrt(1 - VISIBLE["right"]) * hidden[3]
    right = SAME_FUNCTION * function - sqrt(1 - SAME_FUNCTION**2) * other  # a loaded ventricle ejects less
    atrium = float(random.standard_normal())
    return Heart(
        seed=seed,
        patient=patient,
        population=population,
        site=site,
        sex=sex,
        age_years=age,
        height_cm=float(height),
        weight_kg=float(weight),
        diagnosis="normal",
        lv_edv_ml=edv,
        lv_ef=float(np.clip(norm.lv_ef[0] + norm.lv_ef[1] * function, 0.42, 0.78)),
        rv_ef=float(np.clip(norm.rv_ef[0] + norm.rv_ef[1] * right, 0.35, 0.75)),
        lv_mass_g=mass,
        la_volume_ml=_lognormal(norm.la_volume_ml, atrium) * exp(0.006 * years),
        lv_length_mm=LENGTH_MM * (edv / 145) ** (1 / 3) * exp(LENGTH_CV * hidden[4]),
        longitudinal=float(hidden[5]),
        septal_thickening=float(1 + 0.06 * random.standard_normal()),
        causes=causes,
        electrics=_electrics(norm, causes, atrium, years, bmi, POPULATIONS[population].faster_bpm, random),
    )


def _electrics(
    norm: Norm, causes: Causes, atrium: float, years: float, bmi: float, faster_bpm: float, random: np.random.Generator
) -> Electrics:
    """Rhythm and intervals of the healthy: means as in Rijnbeek 2014 (from memory).

    The causes move QRS duration and axis by rules of this simulator: a wider cavity takes longer to depolarise, a
    loaded right ventricle turns the axis to the right, a heavier left one to the left.
    """
    noise = random.standard_normal(8)
    p_wave = float(np.clip(112 + 0.25 * years + 6 * atrium + 11 * noise[2], 75, 165))
    rate = norm.heart_rate_bpm + faster_bpm + 9.5 * noise[0] - 1.2 * causes.function
    return Electrics(
        heart_rate_bpm=float(np.clip(rate, 42, 105)),
        rr_sd_ms=float(np.clip(38 * exp(0.45 * noise[1] - 0.012 * years), 6, 140)),
        p_duration_ms=p_wave,
        pr_ms=float(np.clip(158 + 0.3 * years + 0.5 * (p_wave - 112) + 16 * noise[3], max(115.0, p_wave + 15), 199)),
        qrs_ms=float(np.clip(norm.qrs_ms + 2 * causes.mass + 4 * causes.volume + 4 * noise[4], 68, 116)),
        qtc_ms=float(np.clip(norm.qtc_ms + 0.2 * years + 13 * noise[5], 350, 465)),
        qrs_axis_deg=float(np.clip(58 - 0.7 * years + 11 * causes.right - 8 * causes.mass + 21 * noise[6], -40, 100)),
        voltage=float(exp(0.14 * noise[7] - 0.02 * (bmi - BMI[0]))),
    )


def _devices(chosen: Population, heart: Heart, random: np.random.Generator) -> tuple[str, ...]:
    """What was implanted before the first date: shares are rules of this simulator."""
    chance = random.random(len(DEVICES))
    paced = 0.4 if heart.electrics.av_block >= 2 else chosen.implanted
    shares = (paced, 0.5 * chosen.implanted, 0.8 * chosen.implanted)
    return tuple(name for name, drawn, share in zip(DEVICES, chance, shares, strict=True) if drawn < share)


def _lognormal(mean_and_cv: tuple[float, float], standardised: float) -> float:
    mean, cv = mean_and_cv
    return float(mean * exp(cv * standardised - cv**2 / 2))


def _diagnosis(chosen: Population, site: str, random: np.random.Generator) -> str:
    names = ["normal", *chosen.diagnoses]
    shares = [chosen.sites[site][2] * share for share in chosen.diagnoses.values()]
    return names[int(random.choice(len(names), p=[1 - sum(shares), *shares]))]


def _rhythm(chosen: Population, age: float, random: np.random.Generator) -> dict[str, object]:
    """What of rhythm and conduction is not normal, as values of `Electrics`; independent of the diagnosis."""
    chance = random.random(6)
    found: dict[str, object] = {}
    if chance[0] < min(0.5, chosen.atrial_fibrillation * 2 ** ((age - 65) / 9)):
        found["rhythm"] = "atrial_fibrillation"
    if chance[1] < chosen.lbbb:
        found["conduction"] = "lbbb"
    elif chance[1] < chosen.lbbb + chosen.rbbb:
        found["conduction"] = "rbbb"
    if chance[2] < chosen.higher_block:
        found["av_block"] = 2 if chance[3] < 0.5 else 3
    elif chance[2] < chosen.higher_block + chosen.first_degree_block:
        found["av_block"] = 1
    frequent = chance[4] < chosen.frequent_pvc
    found["pvc_burden"] = float(random.uniform(0.05, 0.35)) if frequent else float(random.exponential(0.002))
    found["pac_burden"] = float(random.exponential(0.004 * exp((age - 60) / 25)))
    return found
