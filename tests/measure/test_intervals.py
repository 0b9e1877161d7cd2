"""Intervals, corrected QT, variability, beat classes, and what is abstained from with its reason."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardioloom.measure.beat_classes import beat_classes
from cardioloom.measure.build import features
from cardioloom.measure.delineation import Marks, delineate
from cardioloom.measure.features import Features
from cardioloom.measure.intervals import UNSTEADY, bounds, corrected_qt, rr_before_qt, variability
from cardioloom.prepare.beats import r_peaks
from cardioloom.records import ECG, STANDARD_LEADS, Abstention, Measurement
from cardioloom.records.leads import DERIVABLE_LEADS, derive
from synthetic import GAINS, beat_train, ecg

QTC = ("qtc_bazett", "qtc_fridericia", "qtc_framingham", "qtc_hodges")


def twelve(base: np.ndarray, fs: float = 500.0) -> ECG:
    signal = {lead: gain * base for lead, gain in GAINS.items()}
    signal |= {lead: derive(lead, signal["I"], signal["II"]) for lead in DERIVABLE_LEADS}
    rng = np.random.default_rng(0)
    rows = np.stack([signal[lead] for lead in STANDARD_LEADS]) + 0.003 * rng.standard_normal((12, len(base)))
    return ECG(rows.astype(np.float32), STANDARD_LEADS, fs)


def wide_beat(time: np.ndarray, peak: float) -> np.ndarray:
    """A ventricular beat: 160 ms wide, no P, T against the QRS."""
    shape = 1.5 * np.exp(-0.5 * ((time - peak) / 0.035) ** 2) - 0.5 * np.exp(-0.5 * ((time - peak - 0.08) / 0.03) ** 2)
    return shape - 0.5 * np.exp(-0.5 * ((time - peak - 0.33) / 0.05) ** 2)


def measured(record: ECG) -> tuple[Features, dict[str, str]]:
    found, abstained = features(record, r_peaks(record.signal, record.fs))
    return found, {one.what: one.why for one in abstained}


def test_formulas_of_corrected_qt() -> None:
    found, missing = corrected_qt(Measurement(400.0, "ms", 5.0, 9), 0.64)
    assert not missing
    assert found["qtc_bazett"].value == pytest.approx(500.0)  # 400 / 0.8
    assert found["qtc_fridericia"].value == pytest.approx(400.0 / 0.64 ** (1 / 3))
    assert found["qtc_framingham"].value == pytest.approx(400.0 + 154 * 0.36)
    assert found["qtc_hodges"].value == pytest.approx(400.0 + 1.75 * (93.75 - 60))
    assert {one.value for one in corrected_qt(Measurement(400.0, "ms"), 1.0)[0].values()} == {400.0}
    assert all(one.unit == "ms" and one.n == 9 for one in found.values())


def test_a_formula_that_leaves_no_positive_qt_is_not_computed() -> None:
    """154 · (1 − 4) = −462 and 1.75 · (15 − 60) = −78.75 ms."""
    found, missing = corrected_qt(Measurement(462.0, "ms"), 4.0)
    assert set(found) == {"qtc_bazett", "qtc_fridericia", "qtc_hodges"}
    assert [(one.what, one.why) for one in missing] == [
        ("qtc_framingham", "at an RR interval of 4.0 s the formula leaves no positive QT")
    ]
    assert corrected_qt(Measurement(463.0, "ms"), 4.0)[0]["qtc_framingham"].value == pytest.approx(1.0)


ALL = np.ones(8, bool)


@pytest.mark.parametrize(
    ("rr", "dominant", "expected"),
    [
        ([0.8, 0.8, 0.8, 6.0, 0.8, 0.8, 0.8], ALL, 0.8),  # a pause
        ([0.8, 0.8, 0.5, 1.1, 0.8, 0.8, 0.8], np.array([1, 1, 1, 0, 1, 1, 1, 1], bool), 0.8),  # one ventricular beat
        ([np.nan, 0.9, np.nan, np.nan, np.nan, np.nan, 0.9], ALL, 0.9),  # an interrupted recording
        ([0.6, 0.9, 0.5, 0.8, 1.1, 0.6, 0.9], ALL, "the RR interval varies too much to correct QT for rate"),
        ([0.5, 1.1, 0.5, 1.1, 0.5, 1.1, 0.5], ALL & (np.arange(8) % 2 == 0), UNSTEADY),  # bigeminy
        ([0.7, 0.9], ALL[:3], 0.8),  # too few to say that they vary
        ([np.nan], ALL[:2], "no RR interval was measured"),
        ([], ALL[:1], "no RR interval was measured"),
    ],
)
def test_the_rr_interval_that_qt_is_corrected_with(rr: list[float], dominant: np.ndarray, expected: float | str):
    found = rr_before_qt(np.array(rr, float), dominant)
    assert found == (expected if isinstance(expected, str) else pytest.approx(expected))


@given(st.lists(st.floats(0.3, 2.0), min_size=4, max_size=30), st.data())
def test_variability_against_plain_loops(rr: list[float], data: st.DataObject) -> None:
    classes = data.draw(st.lists(st.sampled_from([0, 0, 0, 1]), min_size=len(rr) + 1, max_size=len(rr) + 1))
    found, abstained = variability(np.array(rr), np.array(classes))
    normal = [k for k in range(len(rr)) if classes[k] == classes[k + 1] == 0]
    steps = [(rr[k + 1] - rr[k]) * 1000 for k in normal if k + 1 in normal]
    for name, values in (("sdnn", [1000 * rr[k] for k in normal]), ("rmssd", steps)):
        if len(values) < 3:
            assert name in {one.what for one in abstained}
            continue
        mean = sum(values) / len(values)
        sdnn = (sum((v - mean) ** 2 for v in values) / (len(values) - 1)) ** 0.5
        rmssd = (sum(v**2 for v in values) / len(values)) ** 0.5
        assert found[name].value == pytest.approx(sdnn if name == "sdnn" else rmssd, abs=1e-6)
        assert found[name].n == len(values)


def test_bounds_run_from_early_to_late_and_ignore_a_stray_lead() -> None:
    marks = {name: np.full((1, 12), np.nan) for name in ("p_on", "qrs_on", "t_on", "p_off", "qrs_off", "t_off")}
    marks["qrs_on"][0] = [100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111]
    marks["qrs_off"][0] = marks["qrs_on"][0] + 50
    found = bounds(marks, 6)
    assert found["qrs_on"][0] < np.median(marks["qrs_on"])
    assert found["qrs_off"][0] > np.median(marks["qrs_off"])
    stray = {name: values.copy() for name, values in marks.items()}
    stray["qrs_on"][0, 0] = 20
    stray["qrs_off"][0, 11] = 400
    again = bounds(stray, 6)
    assert again["qrs_on"][0] == found["qrs_on"][0]
    assert again["qrs_off"][0] == found["qrs_off"][0]
    assert np.isnan(found["p_on"][0])
    marks["t_off"][0, :5] = 200  # five leads of twelve are too few
    assert np.isnan(bounds(marks, 6)["t_off"][0])


@pytest.mark.parametrize("bpm", [50.0, 72.0, 90.0])
def test_a_regular_ecg_has_its_intervals(bpm: float) -> None:
    found, abstained = measured(ecg(bpm=bpm))
    values = {name: one.value for name, one in found.measurements.items()}
    assert values["heart_rate"] == pytest.approx(bpm, abs=0.5)
    # The Gaussians of `synthetic`, each seen from about 2 to 2.5 widths before to as much after its centre.
    assert 130 < values["pr_interval"] < 190
    assert 80 < values["p_duration"] < 130
    assert 70 < values["qrs_duration"] < 110
    assert 360 < values["qt_interval"] < 430
    assert values["sdnn"] < 3
    assert found.p_present.mean() > 0.8
    assert (found.beat_class == 0).all()
    assert set(QTC) <= set(values)
    assert abstained == {}
    limits = bounds(found.marks.by_lead, 6)
    for mark in ("qrs_on", "qrs_off", "t_off"):  # the marks of the median beat are those of the beats
        usual = np.nanmedian(limits[mark] - found.marks.r_peaks)
        assert found.median_marks[mark] - found.median_beat_r == pytest.approx(usual, abs=1.5)
    for name in ("pr_interval", "qrs_duration", "qt_interval"):
        assert found.measurements[name].n is not None
        assert found.measurements[name].n > 5


def test_ventricular_beats_stay_out_of_the_usual_intervals() -> None:
    time = np.arange(7500) / 500.0
    normal = np.array([0.6, 1.4, 2.2, 3.8, 4.6, 5.4, 7.0, 7.8, 8.6, 10.2, 11.0, 11.8, 13.4, 14.2])
    ectopic = (2.75, 5.95, 9.15, 12.35)
    base = beat_train(normal, 15.0, 500.0) + sum(wide_beat(time, peak) for peak in ectopic)
    record = twelve(base)
    peaks = np.sort(np.concatenate([normal, ectopic]))
    found, _ = features(record, np.round(peaks * 500).astype(int))
    plain, _ = measured(ecg(bpm=75.0))
    is_ectopic = np.isin(peaks, ectopic)
    assert (found.beat_class[~is_ectopic] == 0).all()
    assert (found.beat_class[is_ectopic] == 1).all()
    for name in ("qrs_duration", "qt_interval", "pr_interval"):
        assert found.measurements[name].value == pytest.approx(plain.measurements[name].value, abs=8)
    assert np.median(found.qrs_ms[is_ectopic]) > 1.4 * found.measurements["qrs_duration"].value
    assert found.measurements["sdnn"].value < 5
    assert found.waves["II"].r == pytest.approx(plain.waves["II"].r, rel=0.05)


def test_in_bigeminy_the_narrow_beat_is_the_usual_one() -> None:
    time = np.arange(6000) / 500.0
    normal, ectopic = np.arange(0.6, 10.0, 1.6), np.arange(1.2, 12.0, 1.6)
    record = twelve(beat_train(normal, 12.0, 500.0) + sum(wide_beat(time, peak) for peak in ectopic))
    peaks = np.sort(np.concatenate([normal, ectopic]))
    found, _ = features(record, np.round(peaks * 500).astype(int))
    assert len(ectopic) > len(normal)
    assert (found.beat_class[np.isin(peaks, normal)] == 0).all()


def test_classes_follow_the_shape_whatever_the_lag_and_size() -> None:
    rng = np.random.default_rng(2)
    rows, peaks = np.zeros((3, 6000)), np.arange(300, 5800, 400)
    shapes = [np.hanning(41), np.gradient(np.hanning(61)) * 20]
    kinds = np.array([0, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1, 0])
    for peak, kind in zip(peaks, kinds, strict=True):
        shape, late = shapes[kind] * rng.uniform(0.7, 1.4), rng.integers(-5, 6)
        at = peak + late - len(shape) // 2
        rows[:, at : at + len(shape)] += np.array([1.0, -0.6, 0.8])[:, None] * shape
    rows += 0.01 * rng.standard_normal(rows.shape)
    classes, _ = beat_classes(rows, peaks, np.full(len(peaks), 90.0), 500.0)
    assert classes.tolist() == kinds.tolist()


def test_what_is_absent_is_abstained_from_with_its_reason() -> None:
    silent = ECG(np.zeros((12, 5000), np.float32), STANDARD_LEADS, 500.0)
    found, why = measured(silent)
    assert not found.measurements
    for name in ("pr_interval", "qrs_duration", "qt_interval", "heart_rate", "sdnn", "qrs_axis", *QTC):
        assert why[name]
    one_lead, why = measured(ecg(leads=("II",)))
    assert "qrs_duration" in one_lead.measurements
    assert why["qrs_axis"] == "an axis needs two limb leads"
    assert "V1" in why["sokolow_lyon"]


def test_without_p_waves_there_is_no_pr_interval() -> None:
    record = ecg()
    peaks = r_peaks(record.signal, record.fs)
    marks = delineate(record.signal, peaks, record.fs)
    gone = {name: np.full_like(v, np.nan) if name.startswith("p_") else v for name, v in marks.by_lead.items()}
    over = {name: np.full_like(v, np.nan) if name.startswith("p_") else v for name, v in marks.over_leads.items()}
    found, abstained = features(record, peaks, marks=Marks(peaks, gone, over, marks.usable))
    for what in ("pr_interval", "p_duration", "p_axis"):
        assert Abstention(what, "no P wave was found") in abstained
        assert what not in found.measurements
    assert not found.p_present.any()
    assert "qt_interval" in found.measurements


def test_an_interval_across_a_gap_is_no_rr_interval() -> None:
    record = ecg(seconds=20.0)
    signal = record.signal.copy()
    signal[:, 4000:5500] = np.nan
    found, _ = measured(ECG(signal, record.leads, record.fs))
    assert np.isnan(found.rr_s).sum() == 1
    assert np.nanmax(found.rr_s) < 0.9
    assert found.measurements["heart_rate"].value == pytest.approx(72.0, abs=0.7)


@pytest.mark.parametrize(("bpm", "seconds"), [(250.0, 10.0), (25.0, 30.0), (60.0, 2.2)])
def test_extreme_rates_and_two_beats_measure_or_abstain(bpm: float, seconds: float) -> None:
    found, why = measured(ecg(bpm=bpm, seconds=seconds))
    assert found.measurements["qrs_duration"].value == pytest.approx(90, abs=25)
    for name in ("pr_interval", "qt_interval", "heart_rate", "sdnn"):
        assert (name in found.measurements) != (name in why)


def test_noise_without_beats_measures_or_abstains() -> None:
    rng = np.random.default_rng(5)
    noise = np.cumsum(rng.standard_normal((12, 5000)), axis=1)
    noise = noise - np.apply_along_axis(np.convolve, 1, noise, np.ones(200) / 200, mode="same")
    found, why = measured(ECG((0.05 * noise).astype(np.float32), STANDARD_LEADS, 500.0))
    for name in ("pr_interval", "p_duration", "qrs_duration", "qt_interval", "qrs_axis"):
        assert (name in found.measurements) != (name in why)
    assert all(np.isfinite(one.value) for one in found.measurements.values())
