"""Lead names and the arithmetic of the limb leads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardioloom.records.leads import STANDARD_LEADS, derive, is_ecg_name, standard_lead

SPELLINGS = {
    "I": ["I", "i", "Lead I (Einthoven)", "DI", "D1", "ECG I", "MDC_ECG_LEAD_I", "EKG-I", "Lead_I", "I ECG"],
    "II": ["II", "ii", "DII", "Lead II", "ECG II", "L2", " II "],
    "III": ["III", "iii", "DIII", "lead iii"],
    "aVR": ["aVR", "AVR", "avr", "Lead aVR", "MDC_ECG_LEAD_AVR", "aVr", "ECG aVR", "a VR"],
    "aVL": ["aVL", "AVL", "ECG avl"],
    "aVF": ["aVF", "AVF", "aVf", "Lead aVF"],
    "V1": ["V1", "v1", "C1", "Lead V1", "V 1", "ECG C1", "MDC_ECG_LEAD_V1", "EKG V1", "V01", "V\u200e1", "V1\x00"],
    "V4": ["CHEST V4", "precordial V4", "Chest lead V4", "C04", "V04"],
    "V6": ["V6", "v6", "C6", "lead_v6", "V6 lead"],
    "V4R": ["V4R", "v4r", "C4R", "V04R"],
}


@pytest.mark.parametrize(("lead", "name"), [(lead, name) for lead, names in SPELLINGS.items() for name in names])
def test_spellings_map_to_the_standard(lead: str, name: str):
    assert standard_lead(name) == lead
    assert is_ecg_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "MLII",
        "ML2",
        "CM5",
        "V",
        "vx",
        "VY",
        "Vz",
        "Z",
        "Frank X",
        "ECG 1",
        "lead 1",
        "lead1",
        "ECG",
        "mod.V1",
        "EASI ECG",
        "CC5",
        "MCL1",
    ],
)
def test_other_ecg_leads_keep_their_names(name: str):
    assert standard_lead(name) is None
    assert is_ecg_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "PLETH",
        "Chest",
        "channel X",
        "ch1",
        "MI",
        "ABP",
        "RESP",
        "SpO2",
        "sine 5Hz",
        "sig 0, fmt 8",
        "Fp1",
        "EEG C3",
        "1",
        "R",
        "ART",
        "EMG",
        "",
        "IV",
        "L",
    ],
)
def test_what_is_no_ecg_lead(name: str):
    assert standard_lead(name) is None
    assert not is_ecg_name(name)


@given(st.sampled_from(STANDARD_LEADS), st.sampled_from(["", "Lead ", "ECG ", "lead_"]), st.booleans())
def test_case_and_prefix_do_not_matter(lead: str, prefix: str, upper: bool):
    assert standard_lead(prefix + (lead.upper() if upper else lead.lower())) == lead


def test_limb_leads_obey_einthoven_and_goldberger():
    rng = np.random.default_rng(1)
    one, two = rng.standard_normal((2, 50))
    three, avr, avl, avf = (derive(lead, one, two) for lead in ("III", "aVR", "aVL", "aVF"))
    np.testing.assert_allclose(one + three, two, atol=1e-12)
    np.testing.assert_allclose(avr + avl + avf, 0, atol=1e-12)
    # With electrodes: aVF is the foot against the mean of the arms.
    right, left = rng.standard_normal((2, 50))
    foot = two + right
    left = one + right
    np.testing.assert_allclose(avf, foot - (right + left) / 2, atol=1e-12)
    np.testing.assert_allclose(avl, left - (right + foot) / 2, atol=1e-12)
    np.testing.assert_allclose(avr, right - (left + foot) / 2, atol=1e-12)
