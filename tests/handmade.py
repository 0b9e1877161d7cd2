"""ECGs and features made by hand for the tests of the statements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cardioloom.measure import build
from cardioloom.measure.features import Features, LeadWaves
from cardioloom.measure.statements import judge
from cardioloom.prepare.beats import r_peaks
from cardioloom.records import ECG, STANDARD_LEADS, Finding, Measurement
from cardioloom.records.leads import DERIVABLE_LEADS, derive

FS = 500.0
# Amplitude (of the lead's gain), centre and width (s) round R.
P = ((0.12, -0.16, 0.022),)
QRS = ((-0.04, -0.025, 0.008), (1.2, 0.0, 0.010), (-0.25, 0.028, 0.009))
T = ((0.3, 0.25, 0.045),)
WIDE = ((1.0, 0.0, 0.030), (0.8, 0.045, 0.030))  # notched, positive in I, V5, V6
GAINS = {"I": 0.7, "II": 1.0, "V1": -0.6, "V2": -0.4, "V3": 0.5, "V4": 1.1, "V5": 1.0, "V6": 0.8}
SEPTAL = {"V1": ((0.25, -0.024, 0.008),), "V2": ((0.35, -0.022, 0.009),)}  # their r before the S
Waves = Sequence[tuple[float, float, float]]


@dataclass(frozen=True)
class Beat:
    """One beat: when, and its waves in every lead (``by_lead`` instead of ``waves`` where given, mV)."""

    at: float
    waves: Waves
    by_lead: Mapping[str, Waves] | None = None


def bumps(time: np.ndarray, at: float, waves: Waves) -> np.ndarray:
    """A sum of Gaussians, on the samples of ``time``."""
    total = np.zeros_like(time)
    for amplitude, centre, width in waves:
        total += amplitude * np.exp(-0.5 * ((time - at - centre) / width) ** 2)
    return total


def ecg(
    beats: Sequence[Beat],
    seconds: float = 10.0,
    *,
    leads: Sequence[str] = STANDARD_LEADS,
    noise_mv: float = 0.005,
    seed: int = 0,
    extra: Mapping[str, np.ndarray] | None = None,
) -> ECG:
    """The beats in 12 leads at 500 Hz that obey Einthoven; ``extra`` (time,) mV is added to a lead."""
    rng, time = np.random.default_rng(seed), np.arange(round(seconds * FS)) / FS
    signal = {}
    for lead, gain in GAINS.items():
        row = noise_mv * rng.standard_normal(len(time)) + (extra or {}).get(lead, 0.0)
        for beat in beats:
            own = (beat.by_lead or {}).get(lead)
            if set(QRS) <= set(beat.waves):
                row = row + bumps(time, beat.at, SEPTAL.get(lead, ()))
            row = row + (gain * bumps(time, beat.at, beat.waves) if own is None else bumps(time, beat.at, own))
        signal[lead] = row
    signal |= {lead: derive(lead, signal["I"], signal["II"]) for lead in DERIVABLE_LEADS}
    return ECG(np.stack([signal[lead] for lead in leads]).astype(np.float32), tuple(leads), FS)


def regular(bpm: float, waves: Waves = (*P, *QRS, *T), seconds: float = 10.0, start: float = 0.4) -> list[Beat]:
    """Beats of one shape at one rate."""
    return [Beat(at, waves) for at in np.arange(start, seconds - 0.35, 60.0 / bpm)]


def features(record: ECG, at: Sequence[float] | None = None, **known: object) -> Features:
    """Features of a record as the library measures them; R peaks at the given seconds, else found by the library."""
    peaks = r_peaks(record.signal, record.fs) if at is None else np.round(np.array(at) * record.fs).astype(np.int64)
    return build.features(record, peaks, **known)[0]  # type: ignore[arg-type]


def judged(beats: Sequence[Beat], seconds: float = 10.0) -> dict[str, Finding]:
    """What is said of beats whose R peaks are known."""
    beats = sorted(beats, key=lambda beat: beat.at)
    return found(features(ecg(beats, seconds), [beat.at for beat in beats]))


def found(source: ECG | Features, **known: object) -> dict[str, Finding]:
    """code → finding."""
    measured = source if isinstance(source, Features) else features(source, None, **known)
    return {finding.code: finding for finding in judge(measured)}


_NORMAL: list[Features] = []


def normal() -> Features:
    """Features of a normal ECG, measured once."""
    if not _NORMAL:
        _NORMAL.append(features(ecg(regular(72)), age=50.0, sex="M"))
    return _NORMAL[0]


def like_normal(
    waves: Mapping[str, Mapping[str, object]] | None = None, values: Mapping[str, float] | None = None, **other: object
) -> Features:
    """A normal ECG's features with some lead's amplitudes, some measurements or fields replaced."""
    base = normal()
    leads = {lead: LeadWaves(q=0.0, r=0.8, s=-0.3, r_ms=40, s_ms=30, r_peak_ms=35, p=0.1, t=0.2) for lead in base.waves}
    leads = {lead: replace(wave, st={"j": 0.0, "j60": 0.0, "j80": 0.0}) for lead, wave in leads.items()}
    leads["V1"] = replace(leads["V1"], r=0.2, s=-0.8)
    for lead, change in (waves or {}).items():
        leads[lead] = replace(leads[lead], **change)  # type: ignore[arg-type]
    units = {"qrs_axis": "deg", "p_axis": "deg", "heart_rate": "bpm"}
    measured = dict(base.measurements) | {
        "qrs_duration": Measurement(92.0, "ms", 2.0, 12),
        "qrs_axis": Measurement(40.0, "deg"),
        "pr_interval": Measurement(160.0, "ms", 2.0, 12),
        "qtc_bazett": Measurement(410.0, "ms", None, 12),
    }
    measured |= {name: Measurement(value, units.get(name, "ms"), 2.0, 12) for name, value in (values or {}).items()}
    return replace(base, waves=leads, measurements=measured, **other)  # type: ignore[arg-type]
