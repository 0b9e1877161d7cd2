"""The generator is `phantom/1`: results are quoted for it, so what an existing column or stream gives must not change.

A number that moves here makes another generator: `streams.GENERATOR` and these numbers then change together. A new
column comes from a stream of its own and moves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np
import pytest

from cardioloom.simulator import (
    GENERATOR,
    POPULATIONS,
    Heart,
    Ischaemia,
    Scar,
    cine,
    cine_truth,
    course,
    draw,
    ecg,
    ecg_truth,
    echo,
    echo_truth,
    outcomes,
    report_text,
)
from cardioloom.simulator.heart import DEVICES, INFARCT_SITES
from cardioloom.simulator.outcomes import Outcomes

PATIENTS = [(5, patient, population) for population in ("general", "hospital") for patient in range(40)]


def numbers(heart: Heart) -> list[float]:
    """Every number of a heart, in the order of its fields."""

    def flat(value: object) -> list[float]:
        if isinstance(value, dict):
            return [number for part in value.values() for number in flat(part)]
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return []
        return [float(value)]

    return flat(asdict(heart))


def fingerprint() -> dict[str, float]:
    """A few sums over hearts and their recordings; the last digits may differ between processors."""
    hearts = [draw(*key) for key in PATIENTS]
    some = [hearts[0], hearts[-1]]
    found = {"hearts": sum(sum(numbers(heart)) for heart in hearts)}
    found["diagnoses"] = float(sum(heart.diagnosis != "normal" for heart in hearts))
    found["ecg"] = float(sum(np.abs(ecg(heart).signal).mean() for heart in some))
    for view in ("sax", "lax_4ch"):
        found[view] = float(sum(cine(heart, view=view, n_frames=10).frames.mean() for heart in some))
    found["echo"] = float(sum(echo(heart, n_frames=8).frames.mean() for heart in some))
    found["report"] = float(sum(len(report_text(heart, long=True)) for heart in hearts))
    found["outcomes"] = float(sum(outcomes(heart).nt_probnp_pg_ml for heart in hearts))
    return found


def by_field(things: Sequence[Heart | Outcomes]) -> dict[str, float]:
    """The sum of every number of hearts or outcomes, field by field; texts count by their letters."""
    found: dict[str, float] = {}

    def add(name: str, value: object) -> None:
        if isinstance(value, dict):
            for inner, part in value.items():
                add(inner, part)
        elif isinstance(value, (tuple, list)):
            for part in value:
                add(name, part)
        elif isinstance(value, str):
            found[name] = found.get(name, 0.0) + sum(map(ord, value))
        elif value is not None:
            found[name] = found.get(name, 0.0) + float(value)  # pyright: ignore[reportArgumentType]

    for thing in things:
        add("", asdict(thing))
    return found


def variants() -> dict[str, Heart]:
    """One heart with each rhythm, conduction, injury and site."""
    plain = draw(5, 0, "hospital")
    electric = {
        "fibrillation": {"rhythm": "atrial_fibrillation"},
        "lbbb": {"conduction": "lbbb", "qrs_ms": 145.0},
        "rbbb": {"conduction": "rbbb", "qrs_ms": 135.0},
        "second degree": {"av_block": 2},
        "third degree": {"av_block": 3},
        "pvc": {"pvc_burden": 0.3},
        "pac": {"pac_burden": 0.3},
    }
    found = {name: replace(plain, electrics=replace(plain.electrics, **values)) for name, values in electric.items()}
    found["paced"] = replace(found["third degree"], devices=DEVICES)
    found |= {f"scar {site}": replace(plain, scar=Scar(site, 0.2, 0.8, 12.0)) for site in INFARCT_SITES}
    for occluded in (True, False):
        found[f"occluded {occluded}"] = replace(plain, ischaemia=Ischaemia("inferior", occluded, 0.7, 3.0))
    found["pericarditis"] = replace(plain, diagnosis="pericarditis")
    found["pulmonary hypertension"] = replace(plain, diagnosis="pulmonary_hypertension")
    return found | {f"site {site}": replace(plain, site=site) for site in POPULATIONS["hospital"].sites}


def test_the_generator_is_phantom_1():
    assert GENERATOR == "phantom/1"
    assert fingerprint() == pytest.approx(PHANTOM_1, rel=1e-4)


PHANTOM_1 = {
    "hearts": 135985.80008112107,
    "diagnoses": 25.0,
    "ecg": 0.163202166557312,
    "sax": 77.69445861678005,
    "lax_4ch": 104.5595238095238,
    "echo": 58.33700374681122,
    "report": 56515.0,
    "outcomes": 29840.863094859906,
}


def test_every_field_of_hearts_outcomes_and_courses():
    """Six digits each: a mean that moves by little moves here."""
    hearts = [draw(*key) for key in PATIENTS]
    assert by_field(hearts) == pytest.approx(HEARTS, rel=1e-6)
    assert by_field([outcomes(heart) for heart in hearts]) == pytest.approx(OUTCOMES, rel=1e-6)
    later = [date.heart for heart in hearts for date in course(heart)[1:]]
    assert by_field(later) == pytest.approx(LATER, rel=1e-6)


def test_recordings_of_each_rhythm_injury_and_site():
    for name, heart in variants().items():
        waves = np.abs(ecg(heart, recording=1, seconds=6).signal).mean()
        beats = ecg_truth(heart, recording=1, seconds=6)["r_peaks_s"].sum()
        sax = cine(heart, n_frames=3, recording=1).frames.mean()
        masks = cine_truth(heart, view="lax_4ch", n_frames=3).masks.mean()
        video = echo(heart, video=1, n_frames=3).frames.mean()
        walls = echo_truth(heart, video=1, n_frames=3).masks.mean()
        words = len(report_text(heart, long=True, study=1)) + len(report_text(heart, long=False))
        assert (waves, beats, sax, masks, video, walls, words) == pytest.approx(RECORDINGS[name], rel=2e-4), name


HEARTS = {
    "seed": 400.0,
    "patient": 1560.0,
    "population": 64080.0,
    "site": 17068.0,
    "sex": 5887.0,
    "age_years": 5294.247231,
    "height_cm": 13419.29706,
    "weight_kg": 6016.92159,
    "diagnosis": 84927.0,
    "lv_edv_ml": 11393.4372,
    "lv_ef": 45.46585963,
    "rv_ef": 42.84720309,
    "lv_mass_g": 7160.557939,
    "la_volume_ml": 6348.435792,
    "lv_length_mm": 7325.546547,
    "longitudinal": -15.23183709,
    "septal_thickening": 81.00550678,
    "mass": 24.29300372,
    "volume": -11.56803911,
    "function": -20.36191181,
    "right": 14.74726072,
    "heart_rate_bpm": 5887.326511,
    "rr_sd_ms": 3640.964124,
    "p_duration_ms": 9251.577311,
    "pr_ms": 13259.17794,
    "qrs_ms": 7720.891146,
    "qtc_ms": 32054.39631,
    "qrs_axis_deg": 4540.800478,
    "voltage": 81.67163867,
    "rhythm": 60899.0,
    "conduction": 51673.0,
    "av_block": 4.0,
    "pvc_burden": 0.9120559093,
    "pac_burden": 0.3159874541,
    "extent": 1.631162855,
    "transmurality": 4.926229042,
    "months": 445.155396,
    "devices": 4451.0,
    "occluded": 1.0,
    "severity": 1.311582432,
    "hours": 11.10180227,
    "elevates": 2.0,
}
OUTCOMES = {
    "white": 70.0,
    "systolic_mmhg": 10775.24944,
    "diastolic_mmhg": 6222.612914,
    "smoker": 10.0,
    "antihypertensives": 25.0,
    "diabetes": 4.0,
    "heart_failure": 5.0,
    "infarction": 9.0,
    "charge_af": 1013.893634,
    "charge_af_risk": 5.17528873,
    "followed_years": 378.9823722,
    "died": 6.0,
    "af_prevalent": 11.0,
    "af_event": 6.0,
    "af_years": 370.3439808,
    "low_ef_prevalent": 5.0,
    "low_ef_event": 4.0,
    "low_ef_years": 371.2200612,
    "nt_probnp_pg_ml": 29840.86309,
    "troponin_ng_l": 5299.016314,
    "infarct_type": 34546.0,
    "gls_percent": -1327.316888,
}
LATER = {
    "seed": 410.0,
    "patient": 1510.0,
    "population": 67960.0,
    "site": 18240.0,
    "sex": 6034.0,
    "age_years": 5631.381779,
    "height_cm": 13809.43969,
    "weight_kg": 6213.656962,
    "diagnosis": 98533.0,
    "lv_edv_ml": 11688.98179,
    "lv_ef": 46.63839623,
    "rv_ef": 44.22481762,
    "lv_mass_g": 7524.197377,
    "la_volume_ml": 6362.251607,
    "lv_length_mm": 7545.897187,
    "longitudinal": -26.45038746,
    "septal_thickening": 81.64323673,
    "mass": 17.72173857,
    "volume": -0.2845271843,
    "function": -30.93601561,
    "right": 8.802942239,
    "heart_rate_bpm": 6276.134659,
    "rr_sd_ms": 3478.787632,
    "p_duration_ms": 9356.676426,
    "pr_ms": 13701.46335,
    "qrs_ms": 7836.951508,
    "qtc_ms": 32723.41968,
    "qrs_axis_deg": 4814.071578,
    "voltage": 84.11656951,
    "rhythm": 64921.0,
    "conduction": 52971.0,
    "av_block": 4.0,
    "pvc_burden": 1.406140125,
    "pac_burden": 0.3380460355,
    "extent": 1.936919232,
    "transmurality": 6.561718084,
    "months": 1030.877485,
    "devices": 13574.0,
}
RECORDINGS = {
    "fibrillation": (0.1101671, 18.96617, 42.13379, 0.2350246, 17.68019, 0.5441911, 820.0),
    "lbbb": (0.1372788, 21.6661, 41.71991, 0.2274187, 17.05086, 0.4889456, 883.0),
    "rbbb": (0.1277169, 21.44683, 41.70739, 0.2275605, 17.0554, 0.4896365, 809.0),
    "second degree": (0.1175235, 19.72125, 41.7278, 0.227655, 17.06957, 0.4915232, 809.0),
    "third degree": (0.1035876, 17.25228, 42.53444, 0.2350246, 17.02612, 0.4813457, 809.0),
    "pvc": (0.13103, 20.87913, 41.27655, 0.227655, 17.06957, 0.4915232, 842.0),
    "pac": (0.1199559, 23.03157, 41.7278, 0.227655, 17.06957, 0.4915232, 809.0),
    "paced": (0.120937, 17.24345, 42.53444, 0.2350246, 19.40638, 0.4813457, 1025.0),
    "scar anterior": (0.1070283, 21.49298, 41.78349, 0.227655, 17.08934, 0.4899288, 985.0),
    "scar anteroseptal": (0.1188857, 21.48946, 41.84524, 0.2278439, 17.23634, 0.4897162, 989.0),
    "scar anterolateral": (0.1025531, 21.50002, 41.8168, 0.228836, 17.10005, 0.4908854, 969.0),
    "scar inferior": (0.1321131, 21.48595, 41.71906, 0.2278439, 17.09218, 0.4912309, 1019.0),
    "scar inferolateral": (0.1123102, 21.4965, 41.46027, 0.227655, 17.0595, 0.4912309, 969.0),
    "scar posterior": (0.1347022, 21.47891, 41.49202, 0.2275605, 17.06367, 0.4917092, 1005.0),
    "occluded True": (0.1331566, 21.48946, 41.67588, 0.2280329, 17.06606, 0.490912, 995.0),
    "occluded False": (0.1095225, 21.48946, 41.67588, 0.2280329, 17.06606, 0.490912, 995.0),
    "pericarditis": (0.1325531, 21.48946, 41.7278, 0.227655, 17.06957, 0.4915232, 846.0),
    "pulmonary hypertension": (0.118231, 21.48946, 41.79223, 0.2285525, 17.19194, 0.5244473, 864.0),
    "site A": (0.1208349, 21.48946, 39.14064, 0.227655, 18.34819, 0.4915232, 809.0),
    "site B": (0.09605659, 21.48946, 36.5026, 0.227655, 18.15582, 0.4915232, 809.0),
    "site C": (0.118231, 21.48946, 41.7278, 0.227655, 17.06957, 0.4915232, 809.0),
    "site D": (0.1129528, 21.48946, 37.4974, 0.3287982, 13.01424, 0.4915232, 809.0),
}
