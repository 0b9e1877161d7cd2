"""What a report says of recordings that are hard or bad: the words on the terminal, and what is not said."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from cardioloom import measure
from cardioloom.records import ECG, STANDARD_LEADS, Provenance, Report, Study
from cardioloom.records.leads import DERIVABLE_LEADS, derive
from cardioloom.report import text
from handmade import FS, QRS, WIDE, Beat, P, T, bumps, ecg, regular

NARROW = (*P, *QRS, *T)
INDEPENDENT = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")


def said(record: ECG) -> str:
    """The report on the terminal, without frame and line breaks."""
    found = measure.ecg(record)
    report = Report(
        study=Study(record),
        quality=found.quality,
        beats=found.beats,
        measurements=found.measurements,
        findings=found.findings,
        abstained=found.abstained,
        provenance=Provenance(version="0", created="2026-01-01T00:00:00+00:00", preparation="none"),
    )
    console = Console(width=1000, record=True, file=io.StringIO())
    console.print(text.render(report))
    return " ".join(console.export_text().replace("│", " ").split())


def changed(record: ECG, signal: np.ndarray) -> ECG:
    return replace(record, samples=signal.astype(np.float32))


def independent(rows: np.ndarray) -> ECG:
    """(8, time) mV of I, II, V1–V6 as twelve leads."""
    signal = dict(zip(INDEPENDENT, rows, strict=True))
    signal |= {lead: derive(lead, signal["I"], signal["II"]) for lead in DERIVABLE_LEADS}
    return ECG(np.stack([signal[lead] for lead in STANDARD_LEADS]).astype(np.float32), STANDARD_LEADS, FS)


def banded(low_hz: float, high_hz: float, seed: int, seconds: float = 10.0) -> np.ndarray:
    """(8, time) mV of noise of the same source in every lead, in a narrow band."""
    rng = np.random.default_rng(seed)
    n = round(seconds * FS)
    hz = np.fft.rfftfreq(n, 1 / FS)
    spectrum = np.fft.rfft(rng.standard_normal(n)) * ((hz >= low_hz) & (hz <= high_hz))
    source = np.fft.irfft(spectrum, n)
    return np.outer(rng.uniform(0.3, 0.9, 8), 0.5 * source / source.std()) + 0.005 * rng.standard_normal((8, n))


def afib(seed: int) -> ECG:
    """Irregular, without P, with fibrillatory waves and bumps like P at times of their own."""
    rng, time = np.random.default_rng(seed), np.arange(round(12 * FS)) / FS
    peaks = 0.4 + np.concatenate([[0.0], np.cumsum(rng.uniform(0.45, 1.05, 40))])
    extra = {}
    for lead in ("I", "II", "V1", "V2", "V5"):
        waves = 0.05 * np.sin(2 * np.pi * 6.3 * time + 2.5 * np.sin(2 * np.pi * 0.5 * time + seed) + rng.uniform(0, 6))
        extra[lead] = waves + sum(bumps(time, at, ((0.08, 0.0, 0.022),)) for at in rng.uniform(0, 12, 14))
    return ecg([Beat(at, (*QRS, *T)) for at in peaks[peaks < 11.6]], 12.0, extra=extra)


@pytest.mark.parametrize("seed", range(3))
def test_fibrillation_with_noise_like_p_waves(seed: int):
    words = said(afib(seed))
    assert "Atrial fibrillation: RR intervals differ from each other by" in words
    assert "Sinus rhythm:" not in words
    assert "PR interval, P duration, P axis (" in words.split("Not computed:", 1)[1]
    assert "(the RR interval varies too much to correct QT for rate)" in words
    assert "Prolonged QT" not in words


def paced(spike_mv: float, fs: float = FS) -> ECG:
    """Wide beats, each 0.1 s after a spike of one sample, at a rate whose harmonics lie on the mains lines."""
    time = np.arange(round(10 * fs)) / fs
    wide = ((1.4, 0.0, 0.030), (-0.5, 0.06, 0.030), (-0.4, 0.32, 0.050))
    base, spikes = np.zeros_like(time), np.zeros_like(time)
    for at in np.arange(0.6, 9.6, 1.0):
        base += bumps(time, at, wide)
        spikes[round((at - 0.1) * fs)] = spike_mv
    rng = np.random.default_rng(0)
    gains = {"I": 0.7, "II": 1.0, "V1": -0.8, "V2": -0.6, "V3": 0.3, "V4": 1.0, "V5": 1.0, "V6": 0.8}
    signal = {lead: gain * (base + spikes) + 0.005 * rng.standard_normal(len(time)) for lead, gain in gains.items()}
    signal |= {lead: derive(lead, signal["I"], signal["II"]) for lead in DERIVABLE_LEADS}
    return ECG(np.stack([signal[lead] for lead in STANDARD_LEADS]).astype(np.float32), STANDARD_LEADS, fs)


@pytest.mark.parametrize("fs", [250.0, 500.0, 1000.0])
@pytest.mark.parametrize("spike_mv", [1.0, 4.0])
def test_pacing_is_no_mains_hum_and_no_sinus_rhythm(spike_mv: float, fs: float):
    words = said(paced(spike_mv, fs))
    assert "Pacing rhythm: a narrow spike" in words
    assert "in 9 of 9 beats" in words
    assert "Heart rate 60 bpm" in words
    assert "mains hum" not in words
    assert "Sinus rhythm:" not in words
    assert "PR interval, P duration" in words.split("Not computed:", 1)[1]


def test_bundle_branch_block_with_st_shifts_is_no_infarction():
    shifted = {
        "V1": ((-1.4, 0.03, 0.028), (0.35, 0.20, 0.07)),
        "V2": ((-1.6, 0.03, 0.028), (0.45, 0.20, 0.07)),
        "V3": ((-0.9, 0.03, 0.028), (0.30, 0.20, 0.07)),
    }
    waves = ((0.12, -0.2, 0.022), *WIDE, (-0.3, 0.24, 0.07))
    words = said(ecg([Beat(at, waves, shifted) for at in np.arange(0.6, 9.6, 60 / 70)]))
    assert "Left bundle branch block: QRS" in words
    for wrong in ("ST elevation:", "ST depression:", "infarction:", "Infarction", "T wave inversion:"):
        assert wrong not in words


def test_250_a_minute():
    words = said(ecg(regular(250, QRS, start=0.2)))
    assert "Heart rate 250 bpm" in words
    assert "Supraventricular tachycardia: regular, narrow, rate 250/min" in words
    assert "Not computed: QT interval, T axis (no end of the T wave was found)" in words


def test_a_t_wave_in_every_short_cycle_is_no_flutter():
    """At 250 a minute T comes as often as flutter waves would: one to one, the two look alike."""
    words = said(ecg(regular(250, start=0.2)))
    assert "Heart rate 250 bpm" in words
    assert "Supraventricular tachycardia: regular, narrow, rate 250/min" in words
    assert "Atrial flutter:" not in words


def test_25_a_minute():
    words = said(ecg(regular(25, seconds=16.0), 16.0))
    assert "Heart rate 25 bpm" in words
    assert "Sinus bradycardia: rate 25/min" in words
    assert "Pause: pause of 2.4 s without a QRS" in words


def test_asystole_of_6_s_does_not_shorten_qtc():
    beats = [Beat(at, NARROW) for at in (0.5, 1.3, 2.1, 2.9, 8.9, 9.7, 10.5, 11.3)]
    words = said(ecg(beats, 12.0))
    assert "Pause: pause of 6.0 s without a QRS, longer than 3 s" in words
    assert "Short QT" not in words
    steady = measure.ecg(ecg(regular(75))).measurements["qtc_bazett"].value
    assert measure.ecg(ecg(beats, 12.0)).measurements["qtc_bazett"].value == pytest.approx(steady, abs=12)


@pytest.mark.parametrize("level", [np.nan, 0.0])
@pytest.mark.parametrize("lost", [slice(0, 2000), slice(3000, 5000)])
def test_four_seconds_without_recording_at_an_end_are_no_pause(level: float, lost: slice):
    """Nothing recorded, or a loose cable that no lead moves on."""
    record = ecg(regular(72))
    signal = record.signal.copy()
    signal[:, lost] = level
    words = said(changed(record, signal))
    assert "Heart rate 72 bpm" in words
    assert "Pause:" not in words


def test_a_pause_at_the_end_is_one_though_the_last_samples_are_missing():
    record = ecg([Beat(at, NARROW) for at in (0.5, 1.3, 2.1, 2.9)])
    signal = record.signal.copy()
    signal[:, -50:] = np.nan
    assert "Pause: pause of 7.0 s without a QRS, longer than 3 s" in said(changed(record, signal))


def test_of_a_pause_with_missing_samples_what_was_recorded_counts():
    """From 2.9 to 8.9 s without a QRS, first not recorded from 6.0 to 6.1 s, then from 4.0 to 8.0 s."""
    record = ecg([Beat(at, NARROW) for at in (0.5, 1.3, 2.1, 2.9, 8.9, 9.7, 10.5, 11.3)], 12.0)
    signal = record.signal.copy()
    signal[:, 3000:3050] = np.nan
    found = next(one for one in measure.ecg(changed(record, signal)).findings if one.code == "PAUSE")
    assert found.evidence == "pause of 3.1 s without a QRS, longer than 3 s (2 above 2 s)"
    assert found.spans_s == ((2.9, 6.0), (6.1, 8.9))
    signal[:, 2000:4000] = np.nan
    assert "Pause:" not in said(changed(record, signal))


def test_two_beats_four_seconds_apart_have_no_negative_qtc():
    words = said(ecg([Beat(at, NARROW) for at in (3.0, 7.0)]))
    assert "Heart rate 15 bpm" in words
    assert "QTc (Framingham) (at an RR interval of 4.0 s the formula leaves no positive QT)" in words


@pytest.mark.parametrize(("low_hz", "high_hz", "seed"), [(3, 7, 1), (4, 6, 2), (2, 9, 3), (1.5, 5, 4), (1.5, 9, 2)])
def test_an_oscillation_without_qrs_has_no_rate(low_hz: float, high_hz: float, seed: int):
    words = said(independent(banded(low_hz, high_hz, seed)))
    assert "bpm" not in words
    assert "Heart rate, RR interval" in words.split("Not computed:", 1)[1]
    is_named = "Ventricular fibrillation:" in words
    why = "the ventricles fibrillate: there is no beat to measure" if is_named else "there is no beat to count"
    assert why in words or "no beat was found" in words
    for wrong in ("Pause:", "Sinus", "may be swapped", "Atrial", "tachycardia:"):
        assert wrong not in words


def test_ventricular_fibrillation_is_named_and_has_no_rate_and_no_beats():
    time, rng = np.arange(round(10 * FS)) / FS, np.random.default_rng(1)
    rows = []
    for _ in range(8):
        phase = 2 * np.pi * 5.0 * time + 1.5 * np.sin(2 * np.pi * 0.7 * time + rng.uniform(0, 6)) + rng.uniform(0, 6)
        rows.append((0.5 + 0.25 * np.sin(2 * np.pi * 0.4 * time + rng.uniform(0, 6))) * np.sin(phase))
    record = independent(np.array(rows))
    words = said(record)
    assert "Ventricular fibrillation: 12 of 12 leads are nearly one wave of 300/min" in words
    assert "bpm" not in words
    assert "(the ventricles fibrillate: there is no beat to measure)" in words
    measured = measure.ecg(record)
    assert measured.beats.waves == ()
    assert len(measured.beats.r_peaks_s) == 0


def test_fibrillation_of_one_minute_is_left_out_of_the_rate():
    """The second of three minutes fibrillates; the beats of the others are counted, across it none."""
    minute = ecg(regular(72, seconds=60.0), 60.0)
    time = np.arange(minute.shape[1]) / FS
    wave = 0.7 * np.sin(2 * np.pi * 5.0 * time + 1.5 * np.sin(2 * np.pi * 0.7 * time))
    parts = (minute.signal, np.outer(np.linspace(0.5, 1.2, 12), wave), minute.signal)
    measured = measure.ecg(changed(minute, np.concatenate(parts, axis=1)))
    assert next(finding for finding in measured.findings if finding.code == "VF").present is True
    assert measured.measurements["heart_rate"].value == pytest.approx(72, abs=0.5)
    assert not np.any((measured.beats.r_peaks_s > 60) & (measured.beats.r_peaks_s < 120))
    assert len(measured.beats.waves) == len(measured.beats.r_peaks_s)


def test_two_beats_only():
    words = said(ecg([Beat(0.6, NARROW), Beat(1.5, NARROW)], 2.2))
    assert "Only 2.2 s long: rhythm and averages rest on few beats." in words
    assert "Heart rate 67 bpm" in words
    assert "Sinus" not in words
    assert "(1 interval between beats of the usual shape is too few)" in words


@pytest.mark.parametrize("at", [0.3, 1.0, 2.2, 5.0, 9.6])
def test_a_lone_beat_is_placed_on_its_qrs_and_is_no_fault_of_the_unit(at: float):
    record = ecg([Beat(at, NARROW)])
    measured = measure.ecg(record)
    np.testing.assert_allclose(measured.beats.r_peaks_s, [at], atol=0.02)
    words = said(record)
    assert "implausibl" not in words
    assert "noisy" not in words
    assert "(only one beat was found, and an interval needs two)" in words
    for wrong in ("bundle branch block:", "Low QRS", "infarction:"):
        assert wrong not in words


def test_one_lead_only():
    words = said(ecg(regular(72), leads=("II",)))
    assert "Not the standard 12 leads: 1 lead (II)." in words
    assert "Sinus rhythm: rate 72/min" in words
    assert "P axis, QRS axis, T axis (an axis needs two limb leads)" in words


@pytest.mark.parametrize("noise_mv", [0.3, 0.5])
def test_all_leads_noisy(noise_mv: float):
    """Beats that stand out of the noise are counted; nothing is said of waves that drown in it."""
    record = ecg(regular(72))
    noise = noise_mv * np.random.default_rng(0).standard_normal(record.shape)
    words = said(changed(record, record.signal + noise))
    assert "Signal problems: all leads: noisy." in words
    assert "Heart rate 72 bpm" in words
    assert "(every lead is noisy: waves cannot be told from noise)" in words
    assert "QRS duration, QT interval" in words.split("Not computed:", 1)[1]
    for wrong in ("ST elevation:", "infarction:", "T wave inversion:", "QT interval:", "Abnormal Q", "Sinus"):
        assert wrong not in words


def test_nothing_but_noise():
    words = said(changed(ecg([]), 0.5 * np.random.default_rng(0).standard_normal((12, 5000))))
    assert "All leads are nothing but noise from 0.0 to 10.0 s" in words
    assert "Heart rate, RR interval (no beat was found)" in words
    assert "bpm" not in words


def test_reversed_arm_electrodes():
    record = ecg(regular(72))
    lead = dict(zip(STANDARD_LEADS, record.signal, strict=True))
    swapped = {"I": -lead["I"], "II": lead["III"], "III": lead["II"], "aVR": lead["aVL"], "aVL": lead["aVR"]}
    words = said(changed(record, np.stack([swapped.get(name, lead[name]) for name in STANDARD_LEADS])))
    assert "P and QRS are negative in I but not in V5 and V6: the arm electrodes may be swapped." in words
    assert "Right axis deviation:" not in words
    assert "infarction:" not in words
