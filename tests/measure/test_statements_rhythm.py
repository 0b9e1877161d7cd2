"""Rhythm, ectopy, block and pacing on ECGs made by hand: the statement, and the words the report uses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cardioloom.measure.statements.ventricular_fibrillation import leakage
from handmade import FS, QRS, WIDE, Beat, P, T, bumps, ecg, found, judged, regular

NARROW = (*P, *QRS, *T)
VENTRICULAR = ((1.6, 0.0, 0.035), (-0.8, 0.09, 0.03), (-0.5, 0.30, 0.05))

RHYTHMS = {"NSR", "SB", "STach", "SA", "AF", "AFL", "SVT", "PAC", "PVC", "VTach", "VF", "PAUSE", "PR", "IAVB", "CHB"}


def present(findings: dict) -> set[str]:
    return {code for code, finding in findings.items() if finding.present}


@pytest.mark.parametrize(("bpm", "code"), [(50, "SB"), (72, "NSR"), (98, "NSR"), (115, "STach")])
def test_sinus_rhythm_by_rate(bpm: float, code: str):
    findings = found(ecg(regular(bpm)))
    assert present(findings) & RHYTHMS == {code}
    assert f"rate {bpm}/min" in findings[code].evidence
    assert "a P wave before" in findings[code].evidence
    assert findings[code].spans_s == ((0.0, 10.0),)


def irregular(seed: int, seconds: float = 12.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 0.4 + np.concatenate([[0.0], np.cumsum(rng.uniform(0.45, 1.05, 40))])


def fibrillating(seed: int) -> dict:
    """No P waves, but P-like bumps and fibrillatory waves at times of their own."""
    rng = np.random.default_rng(seed)
    peaks = irregular(seed)
    beats = [Beat(at, (*QRS, *T)) for at in peaks[peaks < 11.6]]
    time = np.arange(round(12 * FS)) / FS
    extra = {}
    for lead in ("I", "II", "V1", "V2", "V5"):
        waves = 0.05 * np.sin(2 * np.pi * 6.3 * time + 2.5 * np.sin(2 * np.pi * 0.5 * time + seed) + rng.uniform(0, 6))
        extra[lead] = waves + sum(bumps(time, at, ((0.08, 0.0, 0.022),)) for at in rng.uniform(0, 12, 14))
    return found(ecg(beats, 12.0, extra=extra))


@pytest.mark.parametrize("seed", range(4))
def test_fibrillation_with_p_like_noise(seed: int):
    findings = fibrillating(seed)
    assert findings["AF"].present is True
    assert "RR intervals differ from each other by" in findings["AF"].evidence
    assert "a P wave before" in findings["AF"].evidence
    assert findings["NSR"].present is False
    assert "atrial fibrillation" in findings["NSR"].evidence
    assert findings["PAC"].present is None


def test_an_irregular_rhythm_with_p_waves_does_not_fibrillate():
    peaks = irregular(3)
    findings = found(ecg([Beat(at, NARROW) for at in peaks[peaks < 11.6]], 12.0))
    assert findings["AF"].present is False


def test_bigeminy_is_no_fibrillation():
    peaks = 0.5 + np.cumsum([0.0] + [0.55, 1.05] * 6)
    beats = [Beat(at, NARROW if n % 2 == 0 else VENTRICULAR) for n, at in enumerate(peaks) if at < 9.6]
    findings = found(ecg(beats))
    assert findings["AF"].present is None
    assert "too few intervals between normal beats" in findings["AF"].evidence
    assert findings["VBig"].present is True
    assert "every second beat is premature" in findings["VBig"].evidence


def test_flutter_waves():
    time = np.arange(round(10 * FS)) / FS
    saw = 0.3 * (2 * ((time * 5.0) % 1) - 1)  # 300 a minute
    beats = [Beat(at, QRS) for at in np.arange(0.43, 9.7, 0.83)]
    findings = found(ecg(beats, extra={"I": 0.1 * saw, "II": saw, "V1": 0.5 * saw}))
    assert findings["AFL"].present is True
    assert "atrial activity at 300/min" in findings["AFL"].evidence
    assert findings["NSR"].present is False
    assert found(ecg(regular(75)))["AFL"].present is False


def test_one_premature_beat_of_each_kind():
    before, after = [0.5, 1.3, 2.1, 2.9], [4.75, 5.55, 6.35, 7.15, 7.95, 8.75]
    atrial = [*(Beat(at, NARROW) for at in [*before, 3.42]), *(Beat(at - 0.4, NARROW) for at in after)]
    findings = found(ecg(atrial))
    assert findings["PAC"].present is True
    assert findings["PVC"].present is False
    assert "1 beat of 11 of the usual QRS shape" in findings["PAC"].evidence
    ((begin, end),) = findings["PAC"].spans_s
    assert begin < 3.42 < end
    ventricular = [Beat(at, NARROW) for at in [*before, *(at - 0.25 for at in after)]]
    findings = found(ecg([*ventricular, Beat(3.4, VENTRICULAR)]))
    assert findings["PVC"].present is True
    assert findings["PAC"].present is False
    assert "of another QRS shape" in findings["PVC"].evidence
    assert found(ecg(regular(75)))["PAC"].present is False


def test_trigeminy_pair_and_run():
    peaks = [0.5]
    while peaks[-1] < 12:
        peaks += [peaks[-1] + 0.8, peaks[-1] + 1.3, peaks[-1] + 2.4]
    beats = [Beat(at, VENTRICULAR if n % 3 == 2 else NARROW) for n, at in enumerate(peaks) if at < 13.5]
    assert found(ecg(beats, 14.0))["VTrig"].present is True
    lone = [Beat(at, NARROW) for at in [0.5, 1.3, 2.1, 2.9, 5.4, 6.2, 7.0, 7.8, 8.6, 9.4]]
    pair = [*lone, Beat(3.35, VENTRICULAR), Beat(3.85, VENTRICULAR), Beat(4.6, NARROW)]
    findings = judged(pair)
    assert findings["VPVC"].present is True
    assert findings["VTach"].present is False
    run = [*lone, *(Beat(3.35 + 0.4 * n, VENTRICULAR) for n in range(4))]
    findings = judged(run)
    assert findings["VTach"].present is True
    assert "run of ventricular beats, the longest of 4" in findings["VTach"].evidence


def test_wide_tachycardia():
    findings = found(
        ecg(regular(170, ((1.2, -0.02, 0.014), (1.0, 0.02, 0.014), (-0.6, 0.06, 0.014), (-0.15, 0.19, 0.04))))
    )
    assert findings["NSR"].present is False
    assert findings["VTach"].present is True
    assert "wide regular tachycardia, rate 170/min, QRS 15" in findings["VTach"].evidence


def test_250_a_minute():
    findings = found(ecg(regular(250, QRS, start=0.2)))
    assert findings["SVT"].present is True
    assert "regular, narrow, rate 250/min" in findings["SVT"].evidence
    assert not {"NSR", "SB", "AF", "VF"} & present(findings)


def test_25_a_minute():
    findings = found(ecg(regular(25, seconds=16.0), 16.0))
    assert {"SB", "PAUSE"} <= present(findings)
    assert "rate 25/min" in findings["SB"].evidence
    assert "pause of 2.4 s without a QRS (" in findings["PAUSE"].evidence
    assert "AF" not in present(findings)


def test_asystole_of_6_s():
    beats = [Beat(at, NARROW) for at in [0.5, 1.3, 2.1, 2.9, 8.9, 9.7, 10.5, 11.3]]
    findings = found(ecg(beats, 12.0))
    assert findings["PAUSE"].present is True
    assert "pause of 6.0 s without a QRS, longer than 3 s" in findings["PAUSE"].evidence
    assert findings["PAUSE"].spans_s == ((2.9, 8.9),)
    assert found(ecg(regular(72)))["PAUSE"].present is False


def test_ventricular_fibrillation():
    time, rng = np.arange(round(10 * FS)) / FS, np.random.default_rng(1)
    extra = {}
    for lead in ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6"):
        phase = 2 * np.pi * 5.0 * time + 1.5 * np.sin(2 * np.pi * 0.7 * time + rng.uniform(0, 6)) + rng.uniform(0, 6)
        extra[lead] = (0.5 + 0.25 * np.sin(2 * np.pi * 0.4 * time + rng.uniform(0, 6))) * np.sin(phase)
    findings = found(ecg([], extra=extra))
    assert findings["VF"].present is True
    assert "leads are nearly one wave of" in findings["VF"].evidence
    assert not {"NSR", "SB", "STach", "PAC"} & present(findings)
    assert found(ecg(regular(72)))["VF"].present is False


def test_leakage_is_0_for_a_sine_and_large_for_complexes():
    time = np.arange(5000) / FS
    share, rate = leakage(np.sin(2 * np.pi * 5 * time), FS)
    assert share < 0.05
    assert rate == pytest.approx(300, abs=5)
    assert leakage(ecg(regular(72)).signal[1].astype(float), FS)[0] > 0.6


def test_two_beats_only():
    findings = found(ecg([Beat(0.6, NARROW), Beat(1.5, NARROW)], 2.2))
    for code in ("NSR", "AF", "AFL", "PAC", "PVC", "IAVB", "CHB"):
        assert findings[code].present is None, code
    assert findings["NSR"].evidence == "only 2 beats were found, too few to judge a rhythm"


def test_no_beat():
    findings = found(ecg([], 10.0, noise_mv=0.0))
    assert present(findings) == set()
    assert findings["NSR"].evidence == "no beat was found, too few to judge a rhythm"
    assert findings["RBBB"].present is None


def test_one_lead_only():
    findings = found(ecg(regular(72), leads=("II",)))
    assert present(findings) == {"NSR"}
    assert findings["RBBB"].present is None
    assert findings["RBBB"].evidence == "needs leads V1, V6, not usable here"
    assert findings["LAD"].evidence == "the QRS axis was not measured"
    assert findings["LVH"].present is None


def paced() -> dict:
    by_lead = {"I": WIDE, "II": [(-0.9, 0.02, 0.04)], "V1": [(-1.2, 0.02, 0.04)]}
    beats = [Beat(at, (*WIDE, (-0.4, 0.3, 0.05)), by_lead) for at in np.arange(0.6, 9.6, 60 / 70)]
    time = np.arange(round(10 * FS)) / FS
    spikes = np.zeros_like(time)
    for beat in beats:
        spikes[round((beat.at - 0.10) * FS)] += 1.0
    return found(ecg(beats, extra=dict.fromkeys(("I", "II", "V1", "V5"), spikes)))


def test_paced_rhythm():
    findings = paced()
    assert findings["PR"].present is True
    assert "a narrow spike where R was detected in 11 of 11 beats" in findings["PR"].evidence
    assert findings["LBBB"].present is None
    assert findings["LBBB"].evidence == "the ventricles are paced"
    assert findings["CHB"].present is None
    assert findings["IAVB"].evidence == "the ventricles are paced: the interval from P to QRS is the pacemaker's"
    assert found(ecg(regular(72)))["PR"].present is False


def shifted_p(pr: float) -> tuple:
    return ((0.15, -pr + 0.02, 0.022), *QRS, *T)


@pytest.mark.parametrize(("delay", "expected"), [(0.17, False), (0.27, True)])
def test_first_degree_block(delay: float, expected: bool):
    finding = found(ecg(regular(65, shifted_p(delay))))["IAVB"]
    assert finding.present is expected
    assert "(limit 200 ms)" in finding.evidence


def test_second_degree_block_with_a_dropped_beat():
    atria = np.arange(0.4, 14.5, 0.8)
    dropped = set(range(3, len(atria), 4))
    beats = [Beat(at + 0.16, (*QRS, *T)) for n, at in enumerate(atria) if n not in dropped]
    beats += [Beat(at, ((0.2, 0.0, 0.022),)) for at in atria]
    findings = found(ecg(beats, 15.0))
    assert findings["IIAVB"].present is True
    assert "on time without a QRS, the first at 2.8 s" in findings["IIAVB"].evidence
    assert findings["CHB"].present is False
    assert found(ecg(regular(70)))["IIAVB"].present is False


def test_complete_block():
    beats = [Beat(at, (*QRS, *T)) for at in np.arange(0.7, 19.5, 60 / 38)]
    beats += [Beat(at, ((0.25, 0.0, 0.022),)) for at in np.arange(0.13, 19.9, 60 / 87)]
    findings = found(ecg(beats, 20.0))
    assert findings["CHB"].present is True
    assert "ventricular rate 38/min, atrial activity at 87/min independent of it" in findings["CHB"].evidence


def test_an_interrupted_recording_has_no_pause():
    record = ecg(regular(72, seconds=14.0), 14.0)
    signal = record.signal.copy()
    signal[:, 2000:4500] = np.nan
    assert found(replace(record, samples=signal))["PAUSE"].present is False
