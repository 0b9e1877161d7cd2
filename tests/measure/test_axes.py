"""Frontal axes: against the vector they come from, and on real recordings whose counts obey Einthoven."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardioloom.measure.axes import DIRECTIONS, axis_deg
from cardioloom.measure.build import features
from cardioloom.prepare.beats import r_peaks
from cardioloom.readers import read
from cardioloom.records import ECG
from synthetic import ecg

LIMB = ("I", "II", "III", "aVR", "aVL", "aVF")


def wrapped(difference: float) -> float:
    return (difference + 180) % 360 - 180


@given(st.floats(-179.9, 179.9), st.floats(0.1, 5.0), st.sets(st.sampled_from(LIMB), min_size=2))
def test_any_two_limb_leads_give_the_vectors_direction(angle: float, length: float, leads: set[str]) -> None:
    one = length * np.cos(np.radians(angle))
    two = length * np.cos(np.radians(angle - 60))  # Einthoven: II looks from 60°
    areas = {"I": one, "II": two, "III": two - one, "aVR": -(one + two) / 2}
    areas |= {"aVL": one - two / 2, "aVF": two - one / 2}
    found = axis_deg({lead: areas[lead] for lead in leads}, 0.01)
    assert found is not None
    assert wrapped(found - angle) == pytest.approx(0, abs=1e-6)


def test_directions_are_those_of_the_hexaxial_system() -> None:
    degrees = {lead: round(float(np.degrees(np.arctan2(y, x)))) for lead, (x, y) in DIRECTIONS.items()}
    assert degrees == {"I": 0, "II": 60, "III": 120, "aVR": -150, "aVL": -30, "aVF": 90}


def test_a_short_vector_and_a_single_lead_have_no_direction() -> None:
    assert axis_deg({"I": 0.001, "aVF": -0.001}, 0.01) is None
    assert axis_deg({"I": 1.0, "V1": 1.0}, 0.01) is None
    assert axis_deg({"II": 1.0, "aVF": float("nan")}, 0.01) is None


@pytest.mark.parametrize(
    ("one", "two", "angle"), [(1.0, 1.0, 30.0), (0.2, 1.0, 79.1), (1.0, -0.2, -39.0), (-0.8, -0.9, -144.2)]
)
def test_axes_of_an_ecg(one: float, two: float, angle: float) -> None:
    base = ecg(leads=("X",), noise_mv=0.0).signal[0].astype(float)
    assert wrapped(np.degrees(np.arctan2((2 * two - one) / 3**0.5, one)) - angle) == pytest.approx(0, abs=0.1)
    rows = np.stack([one * base, two * base]) + 0.002 * np.random.default_rng(0).standard_normal((2, len(base)))
    record = ECG(rows.astype(np.float32), ("I", "II"), 500.0)
    found, _ = features(record, r_peaks(record.signal, 500.0))
    for name in ("p_axis", "qrs_axis", "t_axis"):
        assert wrapped(found.measurements[name].value - angle) == pytest.approx(0, abs=6), name
        assert found.measurements[name].unit == "deg"


def test_an_ecg_that_is_flat_in_the_frontal_plane_abstains() -> None:
    record = ecg(leads=("I", "II", "V1"), noise_mv=0.0005)
    signal = record.signal.copy()
    signal[:2] = 0.004 * signal[:2] + 0.0005 * np.random.default_rng(0).standard_normal(signal[:2].shape)
    found, abstained = features(ECG(signal, record.leads, record.fs), r_peaks(record.signal, record.fs))
    assert "qrs_axis" not in found.measurements
    assert "qrs_axis" in {one.what for one in abstained}


def test_counts_give_the_axis_where_millivolts_are_not_physical(shared: Path) -> None:
    """LUDB scales every lead on its own; its counts obey Einthoven, and its readers stated the axis in words."""
    with (shared / "data/ecg/ludb/ludb.csv").open() as table:
        stated = {row["ID"]: row["Electric axis of the heart"].rpartition(": ")[2] for row in csv.DictReader(table)}
    middle = {}
    for word in ("left axis deviation", "horizontal", "normal", "vertical"):
        axes = []
        for name in [name for name, said in stated.items() if said == word][:9]:
            record = next(iter(read(shared / f"data/ecg/ludb/data/{name}.hea")))
            found, _ = features(record, r_peaks(record.signal, record.fs), is_physical=False)
            axes.append(found.measurements["qrs_axis"].value)
        middle[word] = float(np.median(axes))
    assert (
        middle["left axis deviation"] < 0 < middle["horizontal"] < 35 < middle["normal"] < 70 < middle["vertical"] < 100
    )


def test_without_counts_what_is_not_physical_has_no_axis(shared: Path) -> None:
    record = next(iter(read(shared / "data/ecg/ludb/data/1.hea")))
    plain = ECG(record.signal, record.leads, record.fs)
    found, abstained = features(plain, r_peaks(plain.signal, plain.fs), is_physical=False)
    why = {one.what: one.why for one in abstained}
    for what in ("p_axis", "qrs_axis", "t_axis", "sokolow_lyon", "cornell_voltage"):
        assert why[what] == "amplitudes are not in millivolts"
        assert what not in found.measurements
