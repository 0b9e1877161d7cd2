"""ECGs made of Gaussian waves, for tests that need a known truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cardioloom.records import ECG, STANDARD_LEADS
from cardioloom.records.leads import DERIVABLE_LEADS, derive

# Amplitude (mV), centre and width (s) of P, Q, R, S, T round the R peak.
WAVES = ((0.12, -0.16, 0.022), (-0.10, -0.025, 0.008), (1.2, 0.0, 0.010), (-0.25, 0.028, 0.009), (0.3, 0.25, 0.045))
# What each lead but the derived ones sees of that beat.
GAINS = {"I": 0.7, "II": 1.0, "V1": -0.6, "V2": -0.4, "V3": 0.5, "V4": 1.1, "V5": 1.0, "V6": 0.8}


def beat_train(r_peaks_s: np.ndarray, seconds: float, fs: float) -> np.ndarray:
    """(time,) mV: one beat at each R peak."""
    time = np.arange(round(seconds * fs)) / fs
    signal = np.zeros_like(time)
    for peak in r_peaks_s:
        for amplitude, centre, width in WAVES:
            signal += amplitude * np.exp(-0.5 * ((time - peak - centre) / width) ** 2)
    return signal


def ecg(
    *,
    seconds: float = 10.0,
    fs: float = 500.0,
    bpm: float = 72.0,
    leads: tuple[str, ...] = STANDARD_LEADS,
    noise_mv: float = 0.005,
    seed: int = 0,
) -> ECG:
    """A regular ECG; the first R peak is at half an interval; limb leads obey Einthoven."""
    rng = np.random.default_rng(seed)
    base = beat_train(np.arange(30.0 / bpm, seconds, 60.0 / bpm), seconds, fs)
    signal = {lead: gain * base + noise_mv * rng.standard_normal(len(base)) for lead, gain in GAINS.items()}
    signal |= {lead: derive(lead, signal["I"], signal["II"]) for lead in DERIVABLE_LEADS}
    extra = {lead: base + noise_mv * rng.standard_normal(len(base)) for lead in leads if lead not in signal}
    return ECG(np.stack([(signal | extra)[lead] for lead in leads]).astype(np.float32), leads, fs)


def write_wfdb(header: Path, record: ECG, gain: float = 1000.0) -> Path:
    """A format 16 record written byte by byte, so that no writer of ours is needed to test a reader of ours."""
    counts = np.where(np.isnan(record.signal), -32768, np.round(record.signal * gain)).astype("<i2")
    name = header.stem
    lines = [f"{name} {len(record.leads)} {record.fs:g} {counts.shape[1]}"]
    lines += [
        f"{name}.dat 16 {gain:g}/mV 16 0 {row[0]} 0 0 {lead}" for lead, row in zip(record.leads, counts, strict=True)
    ]
    header.write_text("\n".join([*lines, "#Age: 61", "#Sex: Female", ""]))
    header.with_suffix(".dat").write_bytes(counts.T.tobytes())
    return header


def write_exams(path: Path, n: int = 3, spoil: int | list[int] | None = None) -> Path:
    """CODE-15's layout with exams 11, 12, … of 60, 70, … beats a minute; some may hold an infinite value."""
    import h5py

    signal = np.zeros((n, 4096, 12), np.float32)
    for i in range(n):
        signal[i, 200:3900] = ecg(seconds=9.25, fs=400, bpm=60 + 10 * i).signal.T
    if spoil is not None:
        signal[spoil, 1000, 3] = np.inf
    with h5py.File(path, "w") as file:
        file["exam_id"], file["tracings"] = np.arange(11, 11 + n), signal
    return path
