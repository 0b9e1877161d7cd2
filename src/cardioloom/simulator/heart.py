"""A heart: anatomy, function, electricity and disease of one simulated patient at one date."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import sqrt

from cardioloom.errors import RecordError

# The six sites of infarction that the PTB diagnostic database names most often.
INFARCT_SITES = ("anterior", "anteroseptal", "anterolateral", "inferior", "inferolateral", "posterior")
SITE_TERRITORY = {
    "anterior": "LAD",
    "anteroseptal": "LAD",
    "anterolateral": "LAD",
    "inferior": "RCA",
    "inferolateral": "LCX",
    "posterior": "LCX",
}
DIAGNOSES = (
    "normal",
    "dilated_cardiomyopathy",
    "hypertrophic_cardiomyopathy",
    "restrictive_cardiomyopathy",
    "ischaemic_scar",
    "acute_ischaemia",
    "heart_failure",
    "pulmonary_hypertension",
    "pericarditis",
    "coronary_disease",
)
RHYTHMS = ("sinus", "atrial_fibrillation")
DEVICES = ("pacemaker_lead", "mitral_clip", "aortic_prosthesis")
CONDUCTIONS = ("normal", "lbbb", "rbbb")


@dataclass(frozen=True)
class Causes:
    """What drives both the ECG and the heart's size and function: all that an ECG can tell of them.

    Standardised (mean 0, SD 1 in the healthy of one sex). What is not here and moves mass, volumes or function is
    hidden from the ECG: it is the noise that bounds every estimate from an ECG (`population`).

    Args:
        mass: muscle that depolarises: QRS voltage.
        volume: cavity of the left ventricle: QRS duration, progression of R.
        function: contraction: T amplitude and QRS–T angle.
        right: load of the right ventricle: axis, R in V1, S in V6.
    """

    mass: float
    volume: float
    function: float
    right: float


@dataclass(frozen=True)
class Scar:
    """Myocardium that was lost.

    Args:
        site: one of `INFARCT_SITES`.
        extent: share of the left ventricle's mass, 0–1.
        transmurality: share of the wall's thickness, 0–1.
        months: since the infarct.
    """

    site: str
    extent: float
    transmurality: float
    months: float

    @property
    def territory(self) -> str:
        """The coronary artery."""
        return SITE_TERRITORY[self.site]


@dataclass(frozen=True)
class Ischaemia:
    """Myocardium that lacks blood now.

    Args:
        site: one of `INFARCT_SITES`.
        occluded: whether the artery is closed; if not, the ischaemia is subendocardial.
        severity: 0–1; scales the ST vector and the troponin.
        hours: since the onset.
        elevates: whether a closed artery raises ST; some do not (`diseases.OCCLUDED_WITHOUT_ELEVATION`).
    """

    site: str
    occluded: bool
    severity: float
    hours: float
    elevates: bool = True

    @property
    def st_elevation(self) -> bool:
        """Whether it is a STEMI: an open artery raises no ST."""
        return self.occluded and self.elevates

    @property
    def culprit(self) -> str:
        """The coronary artery."""
        return SITE_TERRITORY[self.site]


@dataclass(frozen=True)
class Electrics:
    """Rhythm and conduction.

    Args:
        heart_rate_bpm: of the resting heart.
        rr_sd_ms: SD of its sinus RR intervals.
        p_duration_ms, pr_ms, qrs_ms, qtc_ms: global durations; QTc after Fridericia.
        qrs_axis_deg: frontal axis.
        voltage: factor of QRS amplitude from body habitus, 1 = usual; it says nothing of the heart.
        rhythm, conduction: of `RHYTHMS`, `CONDUCTIONS`.
        av_block: degree of atrioventricular block, 0–3.
        pvc_burden, pac_burden: share of beats that are premature.
    """

    heart_rate_bpm: float
    rr_sd_ms: float
    p_duration_ms: float
    pr_ms: float
    qrs_ms: float
    qtc_ms: float
    qrs_axis_deg: float
    voltage: float
    rhythm: str = "sinus"
    conduction: str = "normal"
    av_block: int = 0
    pvc_burden: float = 0.0
    pac_burden: float = 0.0


@dataclass(frozen=True)
class Heart:
    """One heart at one date. Derived quantities are properties, so that the identities hold whatever is changed.

    Args:
        seed, patient: by which it was drawn.
        population, site: where the patient comes from.
        sex: "F" or "M"; age_years; height_cm; weight_kg.
        diagnosis: one of `DIAGNOSES`.
        lv_edv_ml, lv_ef: of the left ventricle; lv_ef as a share.
        rv_ef: of the right ventricle, as a share; its volumes follow from RVSV = LVSV.
        lv_mass_g: myocardium, density 1.05 g/mL.
        la_volume_ml: largest volume of the left atrium.
        lv_length_mm: long axis at end-diastole, base to apex; no short-axis slice tells it.
        longitudinal: standardised long-axis shortening that one short-axis slice does not show.
        septal_thickening: factor of the septum's over the mean wall thickness (1 = even; above in hypertrophy).
        causes: see `Causes`.
        electrics: see `Electrics`.
        scar, ischaemia: where there is one.
        devices: of `DEVICES`.
    """

    seed: int
    patient: int
    population: str
    site: str
    sex: str
    age_years: float
    height_cm: float
    weight_kg: float
    diagnosis: str
    lv_edv_ml: float
    lv_ef: float
    rv_ef: float
    lv_mass_g: float
    la_volume_ml: float
    lv_length_mm: float
    longitudinal: float
    septal_thickening: float
    causes: Causes
    electrics: Electrics
    scar: Scar | None = None
    ischaemia: Ischaemia | None = None
    devices: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.diagnosis not in DIAGNOSES:
            raise RecordError(f"a diagnosis must be one of {', '.join(DIAGNOSES)}, got {self.diagnosis!r}")
        if not (0 < self.lv_ef < 1 and 0 < self.rv_ef < 1):
            raise RecordError(f"ejection fractions must lie between 0 and 1, got {self.lv_ef} and {self.rv_ef}")
        for name in ("lv_edv_ml", "lv_mass_g", "la_volume_ml", "lv_length_mm", "height_cm", "weight_kg"):
            if not getattr(self, name) > 0:
                raise RecordError(f"{name} must be above 0, got {getattr(self, name)}")

    @property
    def bsa_m2(self) -> float:
        """Body surface area (Mosteller 1987, doi:10.1056/NEJM198710223171717)."""
        return sqrt(self.height_cm * self.weight_kg / 3600)

    @property
    def lv_esv_ml(self) -> float:
        """End-systolic volume of the left ventricle."""
        return self.lv_edv_ml * (1 - self.lv_ef)

    @property
    def stroke_volume_ml(self) -> float:
        """SV = EDV − ESV, the same in both ventricles."""
        return self.lv_edv_ml * self.lv_ef

    @property
    def rv_edv_ml(self) -> float:
        """End-diastolic volume of the right ventricle: SV / RVEF."""
        return self.stroke_volume_ml / self.rv_ef

    @property
    def rv_esv_ml(self) -> float:
        """End-systolic volume of the right ventricle."""
        return self.rv_edv_ml - self.stroke_volume_ml

    @property
    def cardiac_output_l_min(self) -> float:
        """CO = SV × heart rate."""
        return self.stroke_volume_ml * self.electrics.heart_rate_bpm / 1000

    @property
    def wall_volume_ml(self) -> float:
        """Volume of the left ventricle's muscle; the same throughout the beat."""
        return self.lv_mass_g / 1.05
