"""Do limb leads that contradict each other get the right reason?"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from cardioloom import measure
from cardioloom.records import ECG, Counts, Quality
from synthetic import ecg

LIMB = ("I", "II", "III", "aVR", "aVL", "aVF")


def counted(gains: float | np.ndarray, seconds: float = 10.0, apart: int = 7) -> ECG:
    """Integers of 1 µV that obey Einthoven, declared with these gains; baselines are ``apart`` from each other."""
    rows = np.round(ecg(seconds=seconds, fs=250).signal[:2] * 1000).astype(np.int32)
    one, two = rows - rows % 2  # even, so that the augmented leads are whole counts
    values = np.stack([one, two, two - one, -(one + two) // 2, one - two // 2, two - one // 2])
    baseline = np.arange(6) * apart
    gain = np.broadcast_to(np.asarray(gains, float), 6).copy()
    return ECG(Counts(values + baseline[:, None].astype(np.int32), gain, baseline.astype(float)), LIMB, 250)


def spoilt(record: ECG, how: str) -> ECG:
    counts = record.counts
    assert counts is not None
    values = np.array(counts.values[:, :])
    if how == "aVR flat":
        values[3] = 0
    elif how == "aVR a copy of I":
        values[3] = values[0]
    else:  # "arms reversed"
        values = values[[0, 2, 1, 4, 3, 5]]
        values[0] = -values[0]
    return replace(record, samples=Counts(values, counts.gain, counts.baseline))


def codes(record: ECG) -> set[str]:
    return {notice.code for notice in measure.ecg(record).quality.warnings}


OWN_GAINS = np.array([1300.0, 900.0, 700.0, 1100.0, 800.0, 1000.0])


@pytest.mark.parametrize("seconds", [10, 130])
def test_leads_scaled_each_on_its_own_are_named_as_such(seconds: float):
    """LUDB's trap: counts obey Einthoven, millivolts do not."""
    quality = measure.ecg(counted(OWN_GAINS, seconds)).quality
    assert "amplitudes_not_physical" in {notice.code for notice in quality.warnings}
    assert "einthoven" not in {notice.code for notice in quality.warnings}
    assert quality.score == 1.0


@pytest.mark.parametrize("how", ["aVR flat", "aVR a copy of I"])
def test_one_gain_for_all_leads_is_no_excuse(how: str):
    record = spoilt(counted(1000.0, apart=0), how)
    quality = measure.ecg(record).quality
    assert "einthoven" in {notice.code for notice in quality.warnings}
    assert "amplitudes_not_physical" not in {notice.code for notice in quality.warnings}
    assert quality.leads["aVR"].score < 1


def test_reversed_arms_obey_einthoven_and_give_no_warning_of_scale():
    """I negated with II and III swapped obeys III = II − I; with aVR and aVL swapped too it is a possible recording."""
    assert not codes(spoilt(counted(1000.0, apart=0), "arms reversed")) & {"einthoven", "amplitudes_not_physical"}


def test_i_negated_with_ii_and_iii_swapped_alone():
    record = counted(1000.0, apart=0)
    counts = record.counts
    assert counts is not None
    values = np.array(counts.values[:, :])
    values[:3] = np.stack([-values[0], values[2], values[1]])
    given = codes(replace(record, samples=Counts(values, counts.gain, counts.baseline)))
    assert "einthoven" in given
    assert "amplitudes_not_physical" not in given


@pytest.mark.parametrize("how", ["aVR flat", "aVR a copy of I"])
def test_unequal_gains_do_not_excuse_a_lead_that_is_wrong_in_counts_too(how: str):
    assert "einthoven" in codes(spoilt(counted(OWN_GAINS), how))


def einthoven(record: ECG, changes: dict[int, object]) -> tuple[str, Quality]:
    """What the report says of limb leads that were multiplied with a number or replaced."""
    signal = record.signal.copy()
    for lead, change in changes.items():
        signal[lead] = signal[lead] * change if isinstance(change, float) else change
    quality = measure.ecg(replace(record, samples=signal)).quality
    (text,) = (notice.text for notice in quality.warnings if notice.code == "einthoven")
    return text, quality


@pytest.mark.parametrize("change", [-1.0, 1.5, 0.0])
@pytest.mark.parametrize(("lead", "seconds"), [(0, 10.0), (1, 10.0), (2, 10.0), (3, 10.0), (5, 10.0), (1, 70.0)])
def test_the_one_limb_lead_at_fault_is_named(lead: int, seconds: float, change: float):
    """I and II too, which contradict all derived ones: the others agree without it."""
    text, quality = einthoven(ecg(seconds=seconds, fs=250), {lead: change})
    assert text.endswith(f"look at {LIMB[lead]}.")
    broken = [name for name, state in quality.leads.items() if "breaks Einthoven's identity" in state.problems]
    assert broken == [LIMB[lead]]


def test_what_cannot_be_narrowed_to_one_lead_is_left():
    text, quality = einthoven(ecg(), {0: -1.0, 1: -1.0})
    assert text.endswith("look at I or II.")
    assert all(lead.score == 1 for lead in quality.leads.values())
    swapped = ecg().signal[[1, 0]]
    assert einthoven(ecg(), {0: swapped[0], 1: swapped[1]})[0].endswith("look at III, aVL, aVF.")
    assert einthoven(ecg(leads=("I", "II", "III", "V1")), {0: -1.0})[0].endswith("look at I, II or III.")
    assert einthoven(ecg(leads=("I", "II", "III", "aVR")), {0: -1.0})[0].endswith("look at I.")


def test_identities_are_judged_over_all_blocks():
    """Nothing is recorded in the first minute, and III is upside down in the others."""
    record = ecg(seconds=130, fs=250, leads=LIMB)
    signal = record.signal.copy()
    signal[2] *= -1
    signal[:, : 62 * 250] = np.nan
    quality = measure.ecg(replace(record, samples=signal)).quality
    assert "einthoven" in {notice.code for notice in quality.warnings}
    assert "breaks Einthoven's identity" in quality.leads["III"].problems


def test_noise_of_half_the_time_is_not_a_contradiction():
    record = ecg(seconds=60, fs=250, leads=LIMB)
    signal = record.signal.copy()
    signal[:, 5000:13000] = np.random.default_rng(0).standard_normal((6, 8000))
    assert "einthoven" not in codes(replace(record, samples=signal))


def test_real_leads_scaled_each_on_its_own(shared):
    """Every LUDB header gives each lead a gain of its own, to 1 mV peak to peak (data/README.md)."""
    from cardioloom import load

    folder = shared / "data/ecg/ludb/data"
    found = Counter(code for path in sorted(folder.glob("1*.hea"))[:20] for code in codes(load(path)))
    assert found["einthoven"] == 0
    assert found["amplitudes_not_physical"] >= 18
