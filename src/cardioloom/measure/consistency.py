"""Do the leads fit each other, the unit and the usual recording? Warnings with a code each."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cardioloom.measure.quality import FLAT_MV, IMPLAUSIBLE_MV, LeadState
from cardioloom.records import ECG, STANDARD_LEADS, Notice
from cardioloom.records.leads import DERIVABLE_LEADS, derive

BROKEN_SHARE = 0.15  # RMS of the disagreement above this share of the RMS of the leads themselves
TINY_MV = 0.05  # the largest lead below this: volts declared as millivolts, or no patient
LOW_FS_HZ = 250.0
HIGH_FS_HZ = 1000.0
SHORT_S = 9.5
LONG_S = 30.5
USUAL_LEAD_SETS = (frozenset(STANDARD_LEADS),)


def broken_identities(ecg: ECG) -> tuple[str, ...]:
    """Stored limb leads that contradict I and II: III = II − I and Goldberger's aVR, aVL, aVF.

    Returns:
        the leads at odds; ``("I or II",)`` where all four disagree, since the common cause is then in I or II.
    """
    signal = dict(zip(ecg.leads, ecg.signal, strict=True))
    tested = [lead for lead in DERIVABLE_LEADS if lead in signal and lead not in ecg.derived]
    if not {"I", "II"} <= set(signal) or not tested:
        return ()
    broken = [lead for lead in tested if _disagreement(lead, signal) > BROKEN_SHARE]
    if len(broken) == len(DERIVABLE_LEADS):
        return ("I or II",)
    return tuple(broken)


def counts_agree(ecg: ECG) -> bool:
    """True where the recorder's integers obey III = II − I though the millivolts do not: gains were normalised."""
    if ecg.counts is None or not {"I", "II", "III"} <= set(ecg.leads) or "III" in ecg.derived:
        return False
    one, two, three = (np.asarray(ecg.counts.values[:, :])[ecg.leads.index(lead)] for lead in ("I", "II", "III"))
    return bool(np.abs(two.astype(np.int64) - one - three).max() <= 2)  # two counts of rounding


def _disagreement(lead: str, signal: Mapping[str, np.ndarray]) -> float:
    """RMS of (stored − derived) over the RMS of the leads concerned, both without their means; 0 = agreement."""
    stored = signal[lead].astype(np.float64)
    difference = stored - derive(lead, signal["I"], signal["II"])
    both = np.isfinite(difference)
    if not both.any():
        return 0.0
    parts = [np.std(row[both].astype(np.float64)) for row in (stored, signal["I"], signal["II"])]
    scale = float(np.max(parts))
    return float(np.std(difference[both])) / scale if scale > FLAT_MV / 2 else 0.0


def signal_notices(ecg: ECG, states: Mapping[str, LeadState], broken: tuple[str, ...]) -> list[Notice]:
    """Warnings about unit and identities, from a recording (or its first block) that fits in memory."""
    notices = []
    amplitudes = [state.amplitude_mv for state in states.values() if state.missing < 1 and state.amplitude_mv > 0]
    if amplitudes and float(np.median(amplitudes)) > IMPLAUSIBLE_MV:
        text = (
            f"The amplitude is implausible: {np.median(amplitudes):.0f} mV peak to peak (median over leads); "
            "the samples may be microvolts declared as millivolts. Nothing was rescaled."
        )
        notices.append(Notice("implausible_unit", text))
    elif amplitudes and max(amplitudes) < TINY_MV:
        text = (
            f"The amplitude is implausibly small: at most {1000 * max(amplitudes):.1f} µV peak to peak; "
            "the samples may be volts declared as millivolts. Nothing was rescaled."
        )
        notices.append(Notice("implausible_unit", text))
    if broken and counts_agree(ecg):
        text = (
            "The limb leads agree in the recorder's counts but not in millivolts: each lead seems to be scaled on its "
            "own, so amplitudes are not physical."
        )
        notices.append(Notice("amplitudes_not_physical", text))
    elif broken:
        text = f"Limb leads contradict each other (III = II − I, aVR = −(I + II)/2 …): look at {', '.join(broken)}."
        notices.append(Notice("einthoven", text))
    return notices


def form_notices(ecg: ECG) -> list[Notice]:
    """Warnings about the form of a recording that is read all the same: leads, rate, duration."""
    notices = []
    stored = [lead for lead in ecg.leads if lead not in ecg.derived]
    if frozenset(ecg.leads) not in USUAL_LEAD_SETS:
        text = f"Not the standard 12 leads: {len(ecg.leads)} lead{'s' * (len(ecg.leads) > 1)} ({', '.join(ecg.leads)})."
        notices.append(Notice("unusual_leads", text))
    if ecg.derived:
        text = f"{', '.join(ecg.derived)} were derived from I and II; stored were {', '.join(stored)}."
        notices.append(Notice("derived_leads", text))
    if ecg.fs < LOW_FS_HZ:
        text = f"Sampled at {ecg.fs:g} Hz, below 250 Hz: durations are less exact and fine notches are lost."
        notices.append(Notice("low_sampling_rate", text))
    elif ecg.fs > HIGH_FS_HZ:
        text = f"Sampled at {ecg.fs:g} Hz, above the usual 250 to 1000 Hz."
        notices.append(Notice("high_sampling_rate", text))
    if ecg.seconds < SHORT_S:
        text = f"Only {ecg.seconds:.3g} s long: rhythm and averages rest on few beats."
        notices.append(Notice("short_recording", text))
    elif ecg.seconds > LONG_S:
        text = f"{_duration(ecg.seconds)} long, where a resting ECG lasts 10 s: measurements are over all of it."
        notices.append(Notice("long_recording", text))
    return notices


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.4g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"
