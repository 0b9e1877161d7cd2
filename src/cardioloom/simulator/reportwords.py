"""Wordings of the simulated report: our own; each list says one thing in several ways."""

from __future__ import annotations

RHYTHMS = {"sinus": "sinus rhythm", "atrial_fibrillation": "atrial fibrillation"}
SEGMENTS = {
    "anterior": "anterior wall and the apex",
    "anteroseptal": "anterior septum and the apex",
    "anterolateral": "anterolateral wall",
    "inferior": "inferior wall and the basal inferior septum",
    "inferolateral": "inferolateral wall",
    "posterior": "basal inferolateral (posterior) wall",
}
DEVICES = {
    "pacemaker_lead": "a pacemaker lead in the right heart",
    "mitral_clip": "a clip on the mitral leaflets",
    "aortic_prosthesis": "an aortic valve prosthesis",
}
# The order of the sentences in a long and in a short report.
LONG = (
    "patient",
    "cavity",
    "function",
    "motion",
    "walls",
    "asymmetry",
    "dyssynchrony",
    "restriction",
    "atrium",
    "right",
    "mitral",
    "aortic_usual",
    "sclerosis",
    "tricuspid",
    "pressure_usual",
    "pressure_high",
    "septal_flattening",
    "devices",
    "no_effusion",
    "effusion",
    "ectopy",
)
SHORT = ("function", "motion", "asymmetry", "la_large", "rv_impaired", "pressure_high", "devices", "effusion")
VARIANTS: dict[str, tuple[str, ...]] = {
    "patient": (
        "A {age}-year-old {sex} in {rhythm}, {rate}/min.",
        "{age} years, {sex}; {rhythm} at {rate} beats a minute.",
        "Examined in {rhythm} with a rate of {rate}/min: a {sex} of {age} years.",
    ),
    "cavity": (
        "The left ventricle is {lv_size}: {lv_diameter_mm} mm in diastole, {lv_systolic_mm} mm in systole, "
        "end-diastolic volume {lv_edv_ml} mL, end-systolic volume {lv_esv_ml} mL.",
        "Left ventricular cavity {lv_size} (EDV {lv_edv_ml} mL, ESV {lv_esv_ml} mL; diameters {lv_diameter_mm} and "
        "{lv_systolic_mm} mm).",
        "LV {lv_size}, volumes {lv_edv_ml}/{lv_esv_ml} mL, diameters {lv_diameter_mm}/{lv_systolic_mm} mm.",
    ),
    "function": (
        "Left ventricular systolic function is {lv_function}, LVEF {lvef_percent} %.",
        "LVEF {lvef_percent} %: {lv_function} systolic function of the left ventricle.",
        "The ejection fraction of the left ventricle is {lvef_percent} % ({lv_function}).",
        "Systolic function of the LV: {lv_function}; LVEF by volumes {lvef_percent} %.",
    ),
    "motion": (
        "Wall motion: {motion}.",
        "Regional assessment shows {motion}.",
        "Segments: {motion}.",
    ),
    "walls": (
        "Wall thickness is {wall}: septum {septum_mm} mm, lateral wall {lateral_mm} mm; LV mass {lv_mass_g} g.",
        "Septum {septum_mm} mm and lateral wall {lateral_mm} mm ({wall} thickness), mass {lv_mass_g} g.",
        "The muscle of the left ventricle weighs {lv_mass_g} g, with {wall} thickness (septal {septum_mm}, lateral "
        "{lateral_mm} mm).",
    ),
    "asymmetry": (
        "Hypertrophy is asymmetric and septal, septum to lateral wall {septum_ratio}.",
        "Asymmetric septal hypertrophy (ratio {septum_ratio}).",
    ),
    "dyssynchrony": (
        "The septum moves early and paradoxically, as in left bundle branch block.",
        "Septal flash with late lateral contraction.",
    ),
    "restriction": (
        "Thick walls, a small cavity and large atria: restrictive physiology.",
        "Filling is restrictive.",
    ),
    "atrium": (
        "The left atrium is {la_size}, {la_volume_ml} mL ({la_index_ml_m2} mL/m²).",
        "Left atrial volume {la_volume_ml} mL, indexed {la_index_ml_m2} mL/m²: {la_size}.",
        "LA {la_size} at {la_index_ml_m2} mL/m² ({la_volume_ml} mL).",
    ),
    "la_large": (
        "Left atrium {la_size} ({la_index_ml_m2} mL/m²).",
        "The left atrium is {la_size}, {la_index_ml_m2} mL/m².",
    ),
    "right": (
        "The right ventricle is {rv_size} ({rv_mm} mm at its base); its function is {rv_function}, TAPSE "
        "{tapse_mm} mm, RVEF {rvef_percent} %.",
        "RV {rv_size}, basal diameter {rv_mm} mm, systolic function {rv_function} (TAPSE {tapse_mm} mm, RVEF "
        "{rvef_percent} %).",
    ),
    "rv_impaired": (
        "Right ventricular function is {rv_function}.",
        "The right ventricle contracts less than normal: {rv_function} function, TAPSE {tapse_mm} mm.",
    ),
    "mitral": (
        "Mitral regurgitation: {mitral}.",
        "Mitral valve with regurgitation graded {mitral}.",
    ),
    "aortic_usual": (
        "The aortic valve is unremarkable.",
        "Aortic valve without stenosis.",
    ),
    "sclerosis": (
        "The cusps of the aortic valve are sclerotic, without stenosis.",
        "Aortic sclerosis.",
    ),
    "tricuspid": (
        "Tricuspid regurgitation: {tricuspid}.",
        "At the tricuspid valve regurgitation graded {tricuspid}.",
    ),
    "pressure_usual": (
        "Estimated systolic pressure of the right ventricle {rvsp_mmhg} mmHg.",
        "RVSP {rvsp_mmhg} mmHg.",
    ),
    "pressure_high": (
        "Estimated systolic pressure of the right ventricle is raised, {rvsp_mmhg} mmHg.",
        "RVSP raised to {rvsp_mmhg} mmHg.",
    ),
    "septal_flattening": (
        "The septum is flattened by the pressure of the right ventricle.",
        "Systolic flattening of the septum.",
    ),
    "devices": (
        "There is {devices}.",
        "Seen: {devices}.",
        "Status after implantation: {devices}.",
    ),
    "no_effusion": ("No pericardial effusion.", "The pericardium holds no fluid."),
    "effusion": ("A small pericardial effusion.", "There is a small pericardial effusion."),
    "ectopy": (
        "Frequent ventricular premature beats during the examination.",
        "Ventricular ectopy was frequent.",
    ),
}
