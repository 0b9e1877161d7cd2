"""The simulated ECG: what it promises of its own form, against slow second ways to compute it."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardioloom.errors import UsageError
from cardioloom.records import STANDARD_LEADS
from cardioloom.simulator import draw
from cardioloom.simulator.electrocardiogram import _add, ecg, premature_beats, truth
from cardioloom.simulator.loops import QRS
from cardioloom.simulator.noise import RECORDERS
from cardioloom.simulator.rhythm import beats
from cardioloom.simulator.torso import CHEST, LIMB, rotation, turn_to_axis
from simulated import healthy


def test_the_record_says_what_it_is() -> None:
    heart = healthy(0)
    record = ecg(heart)
    assert record.leads == STANDARD_LEADS
    assert record.shape == (12, 5000)
    assert record.fs == 500
    assert record.counts is not None
    assert record.counts.values.dtype == np.int16
    assert record.device == RECORDERS[heart.site].name
    assert record.patient == {"age": round(heart.age_years, 1), "sex": heart.sex}
    assert "simulated patient" in record.notes[0]


@pytest.mark.parametrize("site", sorted(RECORDERS))
def test_limb_leads_obey_einthoven_but_for_rounding(site: str) -> None:
    record = ecg(replace(healthy(1), site=site))
    assert record.counts is not None
    one, two, three, avr, avl, avf = np.asarray(record.counts.values[:6, :], np.int64)
    for sum_of_counts, roundings in (
        (one + three - two, 3),
        (2 * avr + one + two, 4),
        (2 * avl - one + three, 4),
        (2 * avf - two - three, 4),
    ):
        assert np.abs(sum_of_counts).max() <= roundings / 2


def test_dowers_matrix_is_the_inverse_of_the_published_inverse() -> None:
    # Edenbrandt & Pahlm 1988: x, y, z from I, II, V1–V6.
    inverse = np.array(
        [
            [0.156, -0.010, -0.172, -0.074, 0.122, 0.231, 0.239, 0.194],
            [-0.227, 0.887, 0.057, -0.019, -0.106, -0.022, 0.041, 0.048],
            [0.022, 0.102, -0.229, -0.310, -0.246, -0.063, 0.055, 0.108],
        ]
    )
    np.testing.assert_allclose(inverse @ np.concatenate([LIMB, CHEST]), np.eye(3), atol=0.002)


@given(st.floats(0.2, 1.0), st.floats(-0.3, 0.3), st.floats(-0.2, 0.2), st.floats(-90, 140))
def test_the_turned_vector_has_the_axis(x: float, y: float, z: float, wanted: float) -> None:
    area, fixed = np.array([x, y, z]), np.array([0.02, -0.01, 0.05])
    turned = rotation(2, turn_to_axis(area, fixed, wanted)) @ area + fixed
    one, two = LIMB @ turned
    axis = np.degrees(np.arctan2((2 * two - one) / np.sqrt(3), one))
    assert abs((axis - wanted + 180) % 360 - 180) < 0.01


def test_waves_are_the_sum_of_their_gaussians() -> None:
    out, onset, lasts, fs, start = (
        np.zeros((3, 700), np.float32),
        np.array([0.1, 0.55]),
        np.array([0.09, 0.15]),
        500,
        -0.2,
    )
    _add(out, (start, fs), onset, QRS, lasts, (-0.06, 0.30), np.array([1.0, 1.2]))
    at = np.arange(700) / fs + start
    slow = np.zeros((3, 700))
    for beat, gain in ((0, 1.0), (1, 1.2)):
        for n in range(len(QRS.centre)):
            z = (at - onset[beat]) / lasts[beat] - QRS.centre[n]
            slow += gain * QRS.vectors[:, n, None] * np.exp(-0.5 * (z / np.where(z < 0, QRS.rise[n], QRS.fall[n])) ** 2)
    np.testing.assert_allclose(out, slow, atol=1e-5)


def test_a_recording_is_the_same_whatever_was_made_before() -> None:
    heart = draw(3, 5, "hospital")
    first = ecg(heart, recording=1)
    ecg(draw(3, 6), recording=0)
    again = ecg(draw(3, 5, "hospital"), recording=1)
    assert np.array_equal(first.counts.values, again.counts.values)  # pyright: ignore
    assert not np.array_equal(first.counts.values, ecg(heart).counts.values)  # pyright: ignore


@pytest.mark.parametrize(
    "electrics",
    [{}, {"rhythm": "atrial_fibrillation"}, {"av_block": 3}, {"av_block": 2}, {"pvc_burden": 0.2, "pac_burden": 0.2}],
)
def test_a_longer_recording_begins_with_the_same_beats(electrics: dict[str, Any]) -> None:
    heart = healthy(4, **electrics)
    short, long = beats(heart, 0, 10.0), beats(heart, 0, 40.0)
    for name in ("qrs_onset_s", "kind", "p_onset_s"):
        few, many = getattr(short, name), getattr(long, name)
        n = int(((short.p_onset_s if name == "p_onset_s" else short.qrs_onset_s) < 10).sum())
        assert n >= 5 or (name == "p_onset_s" and electrics.get("rhythm") == "atrial_fibrillation")
        assert np.array_equal(few[:n], many[:n])


@pytest.mark.parametrize("fs", [250.0, 1000.0])
def test_another_rate_samples_the_same_heart(fs: float) -> None:
    heart = healthy(6)
    usual, other = ecg(heart, seconds=4.0).signal, ecg(heart, fs=fs, seconds=4.0).signal
    at_250 = usual[:, ::2], other[:, :: round(fs / 250)]
    assert np.corrcoef(at_250[0].ravel(), at_250[1].ravel())[0, 1] > 0.97
    assert np.array_equal(truth(heart)["r_peaks_s"], truth(heart, fs=fs)["r_peaks_s"])


@pytest.mark.parametrize(("fs", "seconds"), [(50.0, 10.0), (500.0, 0.5), (np.nan, 10.0)])
def test_what_cannot_be_recorded_is_refused(fs: float, seconds: float) -> None:
    with pytest.raises(UsageError, match="at least 100 Hz and one second"):
        ecg(healthy(0), fs=fs, seconds=seconds)


def test_truth_is_in_order() -> None:
    for number in range(8):
        heart = healthy(number)
        found = truth(heart)
        order = [found[name] for name in ("p_onset_s", "p_end_s", "qrs_onset_s", "r_peaks_s", "qrs_end_s")]
        order += [found[name] for name in ("t_onset_s", "t_peak_s", "t_end_s")]
        assert all((later > earlier).all() for earlier, later in pairwise(order))
        e = heart.electrics
        np.testing.assert_allclose(found["qrs_end_s"] - found["qrs_onset_s"], e.qrs_ms / 1000)
        np.testing.assert_allclose((found["qrs_onset_s"] - found["p_onset_s"]).mean(), e.pr_ms / 1000, atol=0.004)
        assert found["phase"].shape == (5000,)
        assert (found["phase"] >= 0).all()
        assert (found["phase"] < 1).all()
        wraps = np.flatnonzero(np.diff(found["phase"]) < 0)
        inside = found["qrs_onset_s"][(found["qrs_onset_s"] > 0.01) & (found["qrs_onset_s"] < 9.99)]
        assert len(wraps) - len(inside) in (0, 1)  # the beat at the end may have its R peak beyond
        np.testing.assert_allclose(wraps[: len(inside)] / 500, inside, atol=0.003)


def test_premature_beats_of_the_ventricle_are_as_frequent_as_said_and_followed_by_a_pause() -> None:
    n_pvc = n_beats = 0
    pairs = []
    for number in range(12):
        found = beats(healthy(number, pvc_burden=0.15), 0, 120.0)
        early = np.flatnonzero(found.kind == "pvc")
        n_pvc, n_beats = n_pvc + len(early), n_beats + len(found.kind)
        early = early[(early > 0) & (early < len(found.kind) - 1)]
        pairs += list((found.rr_s[early] + found.rr_s[early + 1]) / found.usual_rr_s)
    assert 0.11 < n_pvc / n_beats < 0.19
    assert 1.9 < np.median(pairs) < 2.1  # fully compensatory, as the sinus node keeps its time
    assert 0.01 < np.mean(np.array(pairs) < 1.5) < 0.12  # a few are interpolated


@pytest.mark.parametrize("bpm", [45.0, 64.0, 105.0])
@pytest.mark.parametrize("electrics", [{}, {"rhythm": "atrial_fibrillation"}, {"av_block": 2}])
def test_premature_beats_of_the_ventricle_do_not_raise_the_rate(bpm: float, electrics: dict[str, Any]) -> None:
    rates, shares = [], []
    for number in range(8):
        found = beats(healthy(number, pvc_burden=0.25, heart_rate_bpm=bpm, **electrics), 0, 120.0)
        inside = (found.qrs_onset_s >= 0) & (found.qrs_onset_s < 120)
        rates.append(inside.sum() / 120 * found.usual_rr_s)
        shares.append((found.kind[inside] == "pvc").mean())
        assert np.diff(found.qrs_onset_s).min() > 0.25
    assert np.mean(rates) == pytest.approx(1, abs=0.05)
    assert np.mean(shares) == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize("devices", [(), ("pacemaker_lead",)])
def test_complete_block_has_its_premature_beats(devices: tuple[str, ...]) -> None:
    hearts = [healthy(number, av_block=3, heart_rate_bpm=42.0, pvc_burden=0.2) for number in range(8)]
    found = [beats(replace(heart, devices=devices), 0, 120.0) for heart in hearts]
    assert np.mean([(one.kind == "pvc").mean() for one in found]) == pytest.approx(0.2, abs=0.05)
    assert set(np.concatenate([one.kind for one in found])) == {"pvc", "paced" if devices else "escape"}


def test_counts_of_premature_beats_are_those_of_the_recording() -> None:
    for number in range(6):
        heart = healthy(number, pvc_burden=0.2, pac_burden=0.2)
        for recording, seconds in ((0, 10.0), (2, 25.0)):
            kinds = list(truth(heart, recording=recording, seconds=seconds)["kind"])
            counted = premature_beats(heart, recording=recording, seconds=seconds)
            assert counted == {kind: kinds.count(kind) for kind in ("pvc", "pac")}
            assert sum(counted.values()) > 0
    assert premature_beats(healthy(0)) == {"pvc": 0, "pac": 0}


def test_fibrillation_is_irregular_without_p() -> None:
    for number in range(5):
        found = beats(healthy(number, rhythm="atrial_fibrillation"), 0, 120.0)
        assert len(found.p_onset_s) == 0
        rr = found.rr_s[1:]
        assert 0.15 < rr.std() / rr.mean() < 0.40
        assert abs(np.corrcoef(rr[1:], rr[:-1])[0, 1]) < 0.35
        assert rr.mean() == pytest.approx(found.usual_rr_s, rel=0.08)


def test_blocks_drop_what_they_should() -> None:
    second, third = healthy(2, av_block=2), healthy(2, av_block=3, heart_rate_bpm=40.0)
    dropped, apart = truth(second, seconds=60), truth(third, seconds=60)
    assert len(dropped["p_waves_s"]) > 1.1 * len(dropped["r_peaks_s"])
    assert np.isfinite(dropped["p_onset_s"]).all()
    assert len(apart["p_waves_s"]) > 1.4 * len(apart["r_peaks_s"])
    assert np.isnan(apart["p_onset_s"]).all()
    assert set(apart["kind"]) == {"escape"}
    paced = truth(replace(third, devices=("pacemaker_lead",)), seconds=60)
    assert set(paced["kind"]) == {"paced"}
    assert np.diff(paced["r_peaks_s"]).std() < 0.005


def test_sinus_intervals_vary_as_much_as_said() -> None:
    ratio = []
    for number in range(10):
        heart = healthy(number, rr_sd_ms=40.0, heart_rate_bpm=65.0)
        ratio.append(beats(heart, 0, 300.0).rr_s[1:].std() * 1000 / 40.0)
    assert 0.85 < np.mean(ratio) < 1.15


def test_mains_is_of_the_country() -> None:
    for site, hz in (("A", 50), ("C", 60)):
        power = np.zeros(2501)
        for number in range(6):
            power += (np.abs(np.fft.rfft(ecg(replace(healthy(number), site=site)).signal[6:], axis=1)) ** 2).sum(axis=0)
        other = 110 - hz
        assert power[10 * hz] > 5 * np.median(power[10 * hz - 30 : 10 * hz + 30])
        assert power[10 * other] < 3 * np.median(power[10 * other - 30 : 10 * other + 30])
