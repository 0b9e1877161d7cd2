"""What becomes of a simulated patient: times to atrial fibrillation, death and low LVEF; markers of the blood.

Sources: CHARGE-AF, simple model (Alonso et al. 2013, doi:10.1161/JAHA.112.000102; coefficients from memory and from
two open implementations, not re-read in the paper). P wave: hazard ratio 1.55 beyond 120 ms (Magnani et al. 2015,
doi:10.1016/j.ahj.2014.10.009); here 1.21 per 10 ms, a rule of this simulator. Ventricular ectopy: 1.12 per percent of
burden, lowest harmful burden 10 % (Baman et al. 2010, doi:10.1016/j.hrthm.2010.03.036). All other sizes are rules of
this simulator. Nothing here is a patient.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp, expm1, inf, log, log1p
from typing import Any

import numpy as np

from cardioloom.simulator.echo_scene import longitudinal_strain
from cardioloom.simulator.heart import Heart, Ischaemia
from cardioloom.simulator.population import NORMS
from cardioloom.simulator.streams import stream

FOLLOW_UP_YEARS = 5.0
LOST_A_YEAR = 0.015
CHARGE_MEAN, CHARGE_SURVIVAL = 12.5815600, 0.9718412736
AGEING = 0.508 / 5  # growth of the hazard of atrial fibrillation a year, as CHARGE-AF has it
ATRIUM_PER_SD, P_PER_10_MS, P_USUAL_MS, MALE = 0.37, 0.19, 113.0, 0.18  # logarithms of hazard ratios
AF_LEVEL = 0.05  # so that about 4 % of the general population fibrillate within five years
DEATH_AT_60, DEATH_DOUBLES_YEARS = 0.0035, 8.0  # hazard a year of a woman
LOW_EF = 0.40
LOW_EF_A_YEAR, PER_PERCENT_BURDEN, HARMFUL_PERCENT = 0.0012, log(1.12), 10.0
TROPONIN_HOURS = (0.0, 1.0, 3.0)
FAILING = ("heart_failure", "dilated_cardiomyopathy", "restrictive_cardiomyopathy")


@dataclass(frozen=True)
class RiskFactors:
    """The inputs of CHARGE-AF that a heart does not hold.

    Args:
        white: whether the patient is white, as the score asks.
        systolic_mmhg, diastolic_mmhg: blood pressure.
        smoker, antihypertensives, diabetes: at present.
        heart_failure, infarction: ever.
    """

    white: bool
    systolic_mmhg: float
    diastolic_mmhg: float
    smoker: bool
    antihypertensives: bool
    diabetes: bool
    heart_failure: bool
    infarction: bool


@dataclass(frozen=True)
class Outcomes:
    """What follows a study; times in years from it, `followed_years` where the event was not seen.

    Args:
        factors: the risk factors.
        charge_af: linear predictor of CHARGE-AF; charge_af_risk: its risk of five years.
        followed_years: until death, loss or five years.
        died: whether death ended it.
        af_prevalent: atrial fibrillation at the study or before; then it is no event.
        af_event, af_years: first atrial fibrillation.
        low_ef_prevalent, low_ef_event, low_ef_years: LVEF of 40 % or less, likewise.
        nt_probnp_pg_ml: NT-proBNP.
        troponin_ng_l: high-sensitivity troponin T at 0, 1 and 3 hours after arrival.
        infarct_type: "STEMI" with ST elevation, "NSTEMI" without, "none".
        gls_percent: global longitudinal strain in the four-chamber plane, negative.
    """

    factors: RiskFactors
    charge_af: float
    charge_af_risk: float
    followed_years: float
    died: bool
    af_prevalent: bool
    af_event: bool
    af_years: float
    low_ef_prevalent: bool
    low_ef_event: bool
    low_ef_years: float
    nt_probnp_pg_ml: float
    troponin_ng_l: tuple[float, float, float]
    infarct_type: str
    gls_percent: float

    def later(self, years: float) -> Outcomes:
        """The outcomes as they follow a study so many years later; what has come by then is prevalent."""
        changed: dict[str, Any] = {"followed_years": (left := max(0.0, self.followed_years - years))}
        for name in ("af", "low_ef"):
            was, event = getattr(self, f"{name}_prevalent"), getattr(self, f"{name}_event")
            time = getattr(self, f"{name}_years")
            has_come = was or (event and time <= years)
            changed |= {f"{name}_prevalent": has_come, f"{name}_event": event and not has_come}
            changed |= {f"{name}_years": left if has_come else max(0.0, time - years)}
        return replace(self, **changed)


def outcomes(heart: Heart) -> Outcomes:
    """The outcomes of a patient whose first study shows this heart."""
    factors = risk_factors(heart)
    score = charge_af(heart, factors)
    rolls = stream(heart.seed, heart.patient, "outcomes").standard_exponential(4)
    dies = _when(rolls[0], death_hazard(heart, factors), log(2) / DEATH_DOUBLES_YEARS)
    followed = min(FOLLOW_UP_YEARS, float(rolls[1]) / LOST_A_YEAR, dies)
    fibrillating = heart.electrics.rhythm == "atrial_fibrillation"
    af = inf if fibrillating else _when(rolls[2], af_hazard(heart, factors), AGEING)
    low = heart.lv_ef <= LOW_EF
    falls = inf if low else _when(rolls[3], low_ef_hazard(heart), 0.02)
    return Outcomes(
        factors=factors,
        charge_af=score,
        charge_af_risk=1 - CHARGE_SURVIVAL ** exp(score - CHARGE_MEAN),
        followed_years=followed,
        died=dies <= followed,
        af_prevalent=fibrillating,
        af_event=af <= followed,
        af_years=min(af, followed),
        low_ef_prevalent=low,
        low_ef_event=falls <= followed,
        low_ef_years=min(falls, followed),
        nt_probnp_pg_ml=nt_probnp(heart),
        troponin_ng_l=troponin(heart),
        infarct_type=infarct_type(heart),
        gls_percent=longitudinal_strain(heart),
    )


def risk_factors(heart: Heart) -> RiskFactors:
    """Risk factors by age, sex, body and disease; the same draws at every date of a patient."""
    random = stream(heart.seed, heart.patient, "risk")
    chance, noise = random.random(4), random.standard_normal(3)
    years, bmi = heart.age_years - 60, heart.weight_kg / (heart.height_cm / 100) ** 2
    pressure = 131 + 0.45 * years + 0.7 * (bmi - 26.8) + 16 * noise[0]
    treated = _share(-1.15 + 0.045 * years + 0.09 * (bmi - 26.8) + 0.03 * (pressure - 131))
    has_infarct = heart.scar is not None or infarct_type(heart) != "none"
    return RiskFactors(
        white=bool(chance[0] < 0.9),
        systolic_mmhg=float(np.clip(pressure, 88, 215)),
        diastolic_mmhg=float(np.clip(79 + 0.42 * (pressure - 131) - 0.35 * years + 6 * noise[1], 42, 125)),
        smoker=bool(chance[1] < _share(-1.9 - 0.03 * years + (0.25 if heart.sex == "M" else 0))),
        antihypertensives=bool(chance[2] < treated),
        diabetes=bool(chance[3] < _share(-2.9 + 0.025 * years + 0.12 * (bmi - 26.8))),
        heart_failure=heart.diagnosis in FAILING or heart.lv_ef < 0.35,
        infarction=has_infarct,
    )


def charge_af(heart: Heart, factors: RiskFactors) -> float:
    """Linear predictor of CHARGE-AF's simple model."""
    return (
        0.508 * heart.age_years / 5
        + 0.465 * factors.white
        + 0.248 * heart.height_cm / 10
        + 0.115 * heart.weight_kg / 15
        + 0.197 * factors.systolic_mmhg / 20
        - 0.101 * factors.diastolic_mmhg / 10
        + 0.359 * factors.smoker
        + 0.349 * factors.antihypertensives
        + 0.237 * factors.diabetes
        + 0.701 * factors.heart_failure
        + 0.496 * factors.infarction
    )


def af_hazard(heart: Heart, factors: RiskFactors) -> float:
    """Hazard of a first atrial fibrillation at the first study, a year.

    CHARGE-AF's hazard of five years, times hazard ratios of sex, atrial size for sex and age, and P duration, at the
    level of `AF_LEVEL`: somewhat above what CHARGE-AF alone says of the general population.
    """
    mean, cv = NORMS[heart.sex].la_volume_ml
    usual = mean * exp(0.006 * (heart.age_years - 60))
    atrium = ATRIUM_PER_SD * (log(heart.la_volume_ml / usual) / cv + cv / 2)
    p_wave = P_PER_10_MS * (heart.electrics.p_duration_ms - P_USUAL_MS) / 10
    own = atrium + p_wave + (MALE if heart.sex == "M" else 0.0) + AF_LEVEL
    over_five = -log(CHARGE_SURVIVAL) * exp(charge_af(heart, factors) - CHARGE_MEAN + own)
    return over_five * AGEING / expm1(AGEING * FOLLOW_UP_YEARS)


def death_hazard(heart: Heart, factors: RiskFactors) -> float:
    """Hazard of death at the first study, a year: by age, sex, function, failure, infarct and habits."""
    lost = max(0.0, 0.55 - heart.lv_ef) + 0.5 * max(0.0, 0.45 - heart.rv_ef)
    load = 4.0 * lost + 0.6 * factors.heart_failure + 0.3 * factors.infarction + 0.5 * factors.smoker
    load += 0.35 * factors.diabetes + (0.4 if heart.sex == "M" else 0.0)
    load += 1.0 * (heart.ischaemia.severity if heart.ischaemia else 0.0)
    return DEATH_AT_60 * 2 ** ((heart.age_years - 60) / DEATH_DOUBLES_YEARS) * exp(load)


def low_ef_hazard(heart: Heart) -> float:
    """Hazard of an LVEF of 40 % or less, a year: steep in the burden of ventricular ectopy beyond 10 %."""
    beyond = 2 * log1p(exp((100 * heart.electrics.pvc_burden - HARMFUL_PERCENT) / 2))  # smooth max(0, ·)
    wide = 0.5 * (heart.electrics.conduction == "lbbb")
    return LOW_EF_A_YEAR * exp(PER_PERCENT_BURDEN * beyond + 11 * max(0.0, 0.62 - heart.lv_ef) + wide)


def nt_probnp(heart: Heart) -> float:
    """NT-proBNP in pg/mL: lognormal on age, sex, body, LVEF, atrial size, rhythm and disease."""
    noise = stream(heart.seed, heart.patient, "nt-probnp").standard_normal()
    bmi = heart.weight_kg / (heart.height_cm / 100) ** 2
    level = log(55) + 0.030 * (heart.age_years - 60) + (0.35 if heart.sex == "F" else 0.0) - 0.03 * (bmi - 26.8)
    level += 5.0 * (0.60 - heart.lv_ef) + 0.9 * log(heart.la_volume_ml / NORMS[heart.sex].la_volume_ml[0])
    level += 1.0 * (heart.electrics.rhythm == "atrial_fibrillation") + 1.0 * (heart.diagnosis in FAILING)
    level += 1.0 * (heart.diagnosis == "pulmonary_hypertension")
    return float(np.clip(exp(level + 0.6 * noise), 5, 70000))


def infarct_type(heart: Heart) -> str:
    """ "STEMI" for an occlusion that raises ST, "NSTEMI" for other acute ischaemia, "none"."""
    if heart.ischaemia is None:
        return "none"
    return "STEMI" if heart.ischaemia.st_elevation else "NSTEMI"


def troponin(heart: Heart) -> tuple[float, float, float]:
    """High-sensitivity troponin T in ng/L at 0, 1 and 3 h after arrival.

    A resting level by age, sex and failure with 4 % of analytical noise; in acute ischaemia a release that rises with
    the hours since the onset, ten times larger in STEMI than where the artery is open, and wanes after 18 h. Of a
    closed artery without ST elevation it is somewhat larger than of an open one (Hung et al. 2018,
    doi:10.1186/s13054-018-1944-x: by 0.43 SD at its peak).
    """
    random = stream(heart.seed, heart.patient, "troponin")
    noise, error = random.standard_normal(2), random.standard_normal(3)
    level = log(6.5) + 0.03 * (heart.age_years - 60) + (0.35 if heart.sex == "M" else 0.0)
    resting = exp(level + 0.6 * (heart.diagnosis in FAILING) + 0.4 * noise[0])
    found = []
    for hours, wrong in zip(TROPONIN_HOURS, error, strict=True):
        released = 0.0
        if heart.ischaemia is not None:
            since = heart.ischaemia.hours + hours
            peak = _peak_ng_l(heart.ischaemia) * heart.ischaemia.severity * exp(0.6 * noise[1])
            released = peak * (since / (since + 6)) ** 2 * exp(-max(0.0, since - 18) / 60)
        found.append(max(3.0, (resting + released) * (1 + 0.04 * wrong)))  # 3 ng/L: limit of blank
    return found[0], found[1], found[2]


def _peak_ng_l(now: Ischaemia) -> float:
    if now.st_elevation:
        return 3000.0
    return 450.0 if now.occluded else 300.0


def _share(log_odds: float) -> float:
    return 1 / (1 + exp(-log_odds))


def _when(roll: float, hazard: float, growth: float) -> float:
    """Years until a hazard that grows exponentially (Gompertz) has added up to ``roll``."""
    return log1p(growth * float(roll) / hazard) / growth
