"""The 12-lead ECG of a simulated heart, and the truth behind it. It is no recording of a patient."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import UsageError
from cardioloom.records import ECG, STANDARD_LEADS, Counts
from cardioloom.records.leads import FROM_I_AND_II
from cardioloom.simulator.heart import Heart
from cardioloom.simulator.loops import Loop
from cardioloom.simulator.noise import Recorder, noise, recorded, recorder
from cardioloom.simulator.rhythm import WARM_UP_S, Beats, beats
from cardioloom.simulator.streams import stream
from cardioloom.simulator.torso import lead_matrices, rotation
from cardioloom.simulator.vector import HeartVector, heart_vector

NOTE = "simulated patient: not a recording of a person"
P_WINDOW_S, QRS_WINDOW_S, T_WINDOW_S = (-0.06, 0.26), (-0.06, 0.30), (-0.14, 0.80)
BEHIND_S = 0.2  # made beyond the end, for the filters
CHUNK = 256  # beats at once
BEAT_GAIN_SD, P_GAIN_SD = 0.02, 0.04
MEMORY_OF_RR = 0.7  # share of the usual RR interval in the one that sets QT: repolarisation follows slowly
QT_AT_MOST = 0.86  # of the interval that follows
BREATH_TURN_DEG, BREATH_GAIN = (2.0, 2.5, 3.5), 0.03
PR_SEGMENT_MV = 0.05  # depression in pericarditis
SPIKE_MV, SPIKE_MS = 2.0, 0.9


@dataclass(frozen=True, eq=False)
class _Plan:
    """All that is fixed before a sample is drawn."""

    vector: HeartVector
    beats: Beats
    qt_s: NDArray[np.float64]


def ecg(heart: Heart, *, recording: int = 0, fs: float = 500.0, seconds: float = 10.0) -> ECG:
    """The 12-lead ECG of a simulated heart as the recorder of its site stores it.

    Args:
        heart: whose.
        recording: its number; another number, another recording of the same heart.
        fs: Hz.
        seconds: length.

    Returns:
        the standard twelve leads as 16-bit counts. III, aVR, aVL and aVF are the sums of I and II before rounding.

    Raises:
        UsageError: if the rate is below 100 Hz or the length below one second.
    """
    if not (fs >= 100 and seconds >= 1):
        raise UsageError(f"a simulated ECG needs at least 100 Hz and one second, got {fs:g} Hz and {seconds:g} s")
    plan, kind = _plan(heart, recording, seconds), recorder(heart.site)
    ahead, n = round(WARM_UP_S * fs), round(seconds * fs)
    made, start_s = n + ahead + round(BEHIND_S * fs), -ahead / fs
    ventricles, atria = _sources(heart, plan, recording, start_s, made, fs)
    placed = stream(heart.seed, heart.patient, f"ecg/{recording}/placement")
    of_ventricles, of_atria = (m.astype(np.float32) for m in lead_matrices(placed, plan.vector.chest_gain))
    signal = np.asarray(of_ventricles @ ventricles + of_atria @ atria, np.float32)
    random = stream(heart.seed, heart.patient, f"ecg/{recording}/noise")
    signal += noise(kind, random, (start_s, fs), made, (plan.beats.breath_hz, plan.beats.breath_phase))
    eight = recorded(signal, kind, fs)[:, ahead : ahead + n]
    return ECG(
        _counts(eight, kind),
        STANDARD_LEADS,
        fs,
        device=kind.name,
        patient={"age": round(heart.age_years, 1), "sex": heart.sex},
        notes=(NOTE,),
    )


def truth(heart: Heart, *, recording: int = 0, fs: float = 500.0, seconds: float = 10.0) -> dict[str, NDArray]:
    """What the simulator knows of a recording without measuring it.

    Args:
        heart, recording, fs, seconds: as for `ecg`.

    Returns:
        times in s from the start, for the beats whose R peak lies in the recording: ``r_peaks_s``, ``kind``,
        ``p_onset_s``, ``p_end_s`` (NaN where no P was conducted), ``qrs_onset_s``, ``qrs_end_s``, ``t_onset_s``,
        ``t_peak_s``, ``t_end_s``; ``p_waves_s``, the onsets of all P waves; ``phase`` (time,), the share of the way
        from one QRS onset to the next, and ``beat`` (time,), the number of the beat it belongs to, -1 before the first.
    """
    plan = _plan(heart, recording, seconds)
    b = plan.beats
    forms = [plan.vector.form(str(kind)) for kind in b.kind]
    qrs_s = np.array([form.qrs_ms for form in forms]) / 1000
    r = b.qrs_onset_s + np.array([form.r_peak_ms for form in forms]) / 1000
    inside = (r >= 0) & (r < seconds)
    p_onset = b.qrs_onset_s - b.pr_s
    end = b.qrs_onset_s + plan.qt_s
    at = np.arange(round(seconds * fs)) / fs
    n = np.searchsorted(b.qrs_onset_s, at, side="right") - 1
    following = np.append(b.qrs_onset_s[1:], b.qrs_onset_s[-1] + b.usual_rr_s)
    number = np.cumsum(inside) - 1
    t_onset = b.qrs_onset_s + qrs_s + 0.35 * (plan.qt_s - qrs_s)
    found = {
        "r_peaks_s": r,
        "kind": b.kind,
        "p_onset_s": p_onset,
        "p_end_s": p_onset + heart.electrics.p_duration_ms / 1000,
        "qrs_onset_s": b.qrs_onset_s,
        "qrs_end_s": b.qrs_onset_s + qrs_s,
        "t_onset_s": t_onset,
        "t_peak_s": b.qrs_onset_s + qrs_s + np.array([form.t.peak() for form in forms]) * (plan.qt_s - qrs_s),
        "t_end_s": end,
    }
    shown = (b.p_onset_s >= 0) & (b.p_onset_s < seconds)
    return {name: values[inside] for name, values in found.items()} | {
        "p_waves_s": b.p_onset_s[shown],
        "phase": ((at - b.qrs_onset_s[n]) / (following - b.qrs_onset_s)[n]).astype(np.float32),
        "beat": np.where(inside[n], number[n], -1),
    }


def premature_beats(heart: Heart, *, recording: int = 0, seconds: float = 10.0) -> dict[str, int]:
    """How many premature beats of the ventricles ("pvc") and of the atria ("pac") have their R peak in a recording.

    Args:
        heart, recording, seconds: as for `ecg`.
    """
    b, vector = beats(heart, recording, seconds), None
    found = {}
    for kind in ("pvc", "pac"):
        onset = b.qrs_onset_s[b.kind == kind]
        if len(onset):
            vector = vector or heart_vector(heart)
        peak = onset + (vector.form(kind).r_peak_ms / 1000 if vector else 0.0)
        found[kind] = int(((peak >= 0) & (peak < seconds)).sum())
    return found


def _plan(heart: Heart, recording: int, seconds: float) -> _Plan:
    vector, found = heart_vector(heart), beats(heart, recording, seconds)
    rr = MEMORY_OF_RR * found.usual_rr_s + (1 - MEMORY_OF_RR) * found.rr_s
    qt = heart.electrics.qtc_ms / 1000 * np.cbrt(np.clip(rr, 0.35, 2.2))  # Fridericia 1920
    longer = np.array([vector.form(str(kind)).longer_qt_ms for kind in found.kind]) / 1000
    following = np.append(found.rr_s[1:], found.usual_rr_s)
    qrs_s = np.array([vector.form(str(kind)).qrs_ms for kind in found.kind]) / 1000
    qt = np.maximum(np.minimum(qt + longer, np.maximum(QT_AT_MOST * following, 0.25)), qrs_s + 0.11)
    return _Plan(vector, found, qt)


def _sources(
    heart: Heart, plan: _Plan, recording: int, start_s: float, n_samples: int, fs: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(3, time) mV each: the vectors of ventricles and atria, turned by respiration."""
    b, e = plan.beats, heart.electrics
    random = stream(heart.seed, heart.patient, f"ecg/{recording}/beats")
    out, atria = np.zeros((3, n_samples), np.float32), np.zeros((3, n_samples), np.float32)
    gain = 1 + np.array([BEAT_GAIN_SD, BEAT_GAIN_SD, P_GAIN_SD], np.float32) * random.standard_normal(
        (max(len(b.kind), len(b.p_onset_s)), 3), dtype=np.float32
    )
    clock = (start_s, fs)
    for early in (False, True):
        chosen = b.p_early == early
        form, lasts = (plan.vector.early_p if early else plan.vector.p), e.p_duration_ms / 1000
        onset = b.p_onset_s[chosen]
        _add(atria, clock, onset, form, np.full(len(onset), lasts), P_WINDOW_S, gain[: len(chosen), 2][chosen])
    if heart.diagnosis == "pericarditis":
        _depress_pr(atria, clock, plan, e.p_duration_ms / 1000)
    for kind in np.unique(b.kind):
        chosen, form = b.kind == kind, plan.vector.form(str(kind))
        onset, qt = b.qrs_onset_s[chosen], plan.qt_s[chosen]
        qrs_s, size = form.qrs_ms / 1000, gain[: len(chosen)][chosen]
        _add(out, clock, onset, form.qrs, np.full(len(onset), qrs_s), QRS_WINDOW_S, size[:, 0])
        _add(out, clock, onset + qrs_s, form.t, qt - qrs_s, T_WINDOW_S, size[:, 1])
        if kind == "paced":
            _add(out, clock, onset - 0.012, _spike(), np.ones(len(onset)), (-0.01, 0.01), np.ones(len(onset)))
    if e.rhythm == "atrial_fibrillation":
        atria += _fibrillation(heart, plan.vector, recording, np.arange(n_samples) / fs + start_s)
    at = np.arange(n_samples) / fs + start_s
    return _breathing(out, b, at), _breathing(atria, b, at)


def _add(
    out: NDArray[np.float32],
    clock: tuple[float, float],
    onset: NDArray[np.float64],
    wave: Loop,
    lasts: NDArray[np.float64],
    window: tuple[float, float],
    gain: NDArray[np.floating],
) -> None:
    """Add a wave at every onset.

    Args:
        out: (3, time).
        clock: time of the first sample in s, rate in Hz.
        onset, lasts: (beat,) s.
        wave: as shares of what it lasts.
        window: in s from the onset, beyond which it is nothing.
        gain: (beat,).
    """
    start_s, fs = clock
    width = round((window[1] - window[0]) * fs) + 1
    first = np.ceil((onset + window[0] - start_s) * fs).astype(np.int64)
    inside = (first + width > 0) & (first < out.shape[1])
    first, onset, lasts, gain = first[inside], onset[inside], lasts[inside], np.asarray(gain)[inside]
    grid = np.arange(width)
    for begin in range(0, len(first), CHUNK):
        some = slice(begin, begin + CHUNK)
        at = ((first[some, None] + grid) / fs + start_s - onset[some, None]) / lasts[some, None]  # (beat, time)
        z = at.astype(np.float32)[:, None] - wave.centre.astype(np.float32)[:, None]  # (beat, kernel, time)
        z /= np.where(z < 0, wave.rise.astype(np.float32)[:, None], wave.fall.astype(np.float32)[:, None])
        shapes = wave.vectors.astype(np.float32) @ np.exp(np.float32(-0.5) * z * z)  # (beat, 3, time)
        shapes *= np.asarray(gain[some], np.float32)[:, None, None]
        for at_sample, shape in zip(first[some], shapes, strict=True):
            low, high = max(0, at_sample), min(out.shape[1], at_sample + width)
            out[:, low:high] += shape[:, low - at_sample : high - at_sample]


def _depress_pr(out: NDArray[np.float32], clock: tuple[float, float], plan: _Plan, p_s: float) -> None:
    """From the end of P to the QRS below the level of TP, as repolarising atria show it in pericarditis."""
    b = plan.beats
    conducted = np.isfinite(b.pr_s)
    lasts = np.maximum(b.pr_s[conducted] - p_s, 0.03) + 0.03
    centre, fall = np.array([0.6]), np.array([0.28])
    way = -PR_SEGMENT_MV * np.array([[0.62], [0.68], [-0.30]])
    onset = b.qrs_onset_s[conducted] - lasts
    _add(out, clock, onset, Loop(centre, np.array([0.5]), fall, way), lasts, (-0.1, 0.2), np.ones(len(onset)))


def _spike() -> Loop:
    """A stimulus; times in s."""
    width = np.array([SPIKE_MS / 1000])
    return Loop(np.zeros(1), width, width, SPIKE_MV * np.array([[0.45], [0.65], [0.1]]))


def _fibrillation(heart: Heart, vector: HeartVector, recording: int, at: NDArray[np.float64]) -> NDArray[np.float32]:
    """f waves: a sawtooth of 4.8–8 Hz; rate and height move slowly (Stridh & Sörnmo 2001, IEEE TBME 48:105)."""
    random = stream(heart.seed, heart.patient, f"ecg/{recording}/fibrillation")
    own = random.random((3, 8))
    rate = 4.8 + 3.2 * own[0, 0]
    out = np.zeros((3, len(at)))
    for axis in range(3):
        swing = 0.35 * np.sin(2 * pi * (0.15 + 0.2 * own[axis, 1]) * at + 2 * pi * own[axis, 2])
        swing += 0.8 * np.sin(2 * pi * (0.5 + 0.5 * own[axis, 3]) * at + 2 * pi * own[axis, 4])
        height = 1 + 0.35 * np.sin(2 * pi * (0.3 + 0.3 * own[axis, 5]) * at + 2 * pi * own[axis, 6])
        phase = 2 * pi * rate * at + swing + 0.8 * own[axis, 7]
        saw = np.sin(phase) - np.sin(2 * phase) / 2 + np.sin(3 * phase) / 3
        out[axis] = vector.fibrillation[axis] * height * saw
    return out.astype(np.float32)


def _breathing(source: NDArray[np.float32], b: Beats, at: NDArray[np.float64]) -> NDArray[np.float32]:
    """The heart turns and its voltage changes a little with each breath (Sameni 2007 turns the dipole so)."""
    breath = np.sin(2 * pi * b.breath_hz * at + b.breath_phase).astype(np.float32)
    turn = np.eye(3)
    for axis, degrees in enumerate(BREATH_TURN_DEG):
        turn = turn @ rotation(axis, degrees)
    change = ((turn - np.eye(3)) + BREATH_GAIN * np.eye(3)).astype(np.float32)
    return np.asarray(source + breath * (change @ source), np.float32)


def _counts(eight: NDArray[np.float32], kind: Recorder) -> Counts:
    """(12, time) 16-bit counts from I, II, V1–V6 in mV."""
    twelve = np.empty((len(STANDARD_LEADS), eight.shape[1]), np.float32)
    for row, lead in enumerate(STANDARD_LEADS):
        if lead in FROM_I_AND_II:
            one, two = FROM_I_AND_II[lead]
            twelve[row] = np.float32(one) * eight[0] + np.float32(two) * eight[1]
        else:
            twelve[row] = eight[["I", "II", "V1", "V2", "V3", "V4", "V5", "V6"].index(lead)]
    limit = np.iinfo(np.int16)
    values = np.clip(np.rint(twelve * np.float32(kind.counts_per_mv)), limit.min, limit.max).astype(np.int16)
    n = len(STANDARD_LEADS)
    return Counts(values, np.full(n, kind.counts_per_mv), np.zeros(n))
