"""Leads by name: any order, any spelling, limb leads derived."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardioloom.errors import PreparationError
from cardioloom.prepare import select
from cardioloom.prepare.leads import derived
from cardioloom.records import ECG, STANDARD_LEADS, Counts

RNG = np.random.default_rng(5)


def twelve(n: int = 50) -> np.ndarray:
    """(12, n) mV in standard order that obeys Einthoven and Goldberger."""
    one, two, *chest = RNG.normal(size=(8, n))
    limb = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    return np.stack([*limb, *chest])


@given(order=st.permutations(STANDARD_LEADS))
def test_any_order_becomes_the_order_asked_for(order):
    signal = twelve()
    shuffled = signal[[STANDARD_LEADS.index(lead) for lead in order]]
    assert np.array_equal(select((shuffled, order), STANDARD_LEADS), signal)


@given(absent=st.sets(st.sampled_from(["III", "aVR", "aVL", "aVF"])))
def test_absent_limb_leads_are_derived(absent):
    signal = twelve()
    kept = [lead for lead in STANDARD_LEADS if lead not in absent]
    rows = signal[[STANDARD_LEADS.index(lead) for lead in kept]]
    assert np.allclose(select((rows, kept), STANDARD_LEADS), signal, atol=1e-12)
    assert set(derived(kept, STANDARD_LEADS)) == absent


def test_stored_leads_win_over_derived_ones():
    signal = twelve()
    signal[2] += 1.0
    assert np.array_equal(select((signal, STANDARD_LEADS), ("III",))[0], signal[2])


def test_spellings_are_understood():
    signal = RNG.normal(size=(3, 20))
    got = select((signal, ["Lead II", "avr", "ECG V1"]), ("V1", "II", "aVR"))
    assert np.array_equal(got, signal[[2, 0, 1]])


def test_missing_leads_are_named():
    with pytest.raises(PreparationError, match=r"leads III, V2 are needed .* got I, V1"):
        select((RNG.normal(size=(2, 20)), ["I", "V1"]), ("I", "III", "V1", "V2"))


def test_gaps_pass_through_and_into_derived_leads():
    signal = RNG.normal(size=(2, 20))
    signal[1, 3] = np.nan
    got = select((signal, ["I", "II"]), ("I", "aVF"))
    assert np.isnan(got[1, 3])
    assert np.isnan(got).sum() == 1


def test_counts_are_converted_without_rounding_to_float32():
    values = RNG.integers(-30000, 30000, (2, 100)).astype(np.int16)
    values[0, 4] = -32768
    counts = Counts(values, np.array([1000.0, 204.7]), np.array([3.0, -0.5]), (-32768, None))
    got = select(ECG(counts, ("I", "V1"), 500), ("V1", "I"))
    assert np.array_equal(got[0], (values[1] + 0.5) / 204.7)
    assert np.isnan(got[1, 4])
    assert np.isnan(got).sum() == 1


@pytest.mark.parametrize(
    ("signal", "names", "match"),
    [
        (np.zeros((2, 5)), ["I"], "one name a lead"),
        (np.zeros(5), ["I"], "one name a lead"),
        (np.zeros((2, 5)), ["I", "Lead I"], "same name"),
    ],
)
def test_refuses_what_cannot_be_named(signal, names, match):
    with pytest.raises(PreparationError, match=match):
        select((signal, names), ("I",))


def test_input_is_untouched():
    signal = twelve()
    before = signal.copy()
    select((signal, STANDARD_LEADS), STANDARD_LEADS)[:] = 9.0
    ecg = ECG(signal, STANDARD_LEADS, 500)
    select(ecg, STANDARD_LEADS)[:] = 9.0
    assert np.array_equal(signal, before)
    assert np.array_equal(ecg.signal, before.astype(np.float32))
