"""Do the leads fit each other, the unit and the usual recording? Warnings with a code each."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from cardioloom.measure.quality import IMPLAUSIBLE_MV, TINY_MV, LeadState
from cardioloom.measure.windows import STILL_MV, folded
from cardioloom.records import ECG, STANDARD_LEADS, Notice
from cardioloom.records.leads import DERIVABLE_LEADS, derive

BROKEN_SHARE = 0.15  # RMS of the disagreement above this share of the RMS of the leads themselves
AGREE_SHARE = 0.05  # below this share leads agree without doubt
UNEQUAL_GAINS = 1.05  # largest over smallest gain
I_OR_II = "I or II"
ROUNDING_COUNTS = 2  # rounding of three leads
LOW_FS_HZ = 250.0
HIGH_FS_HZ = 1000.0
SHORT_S = 9.5
LONG_S = 30.5
USUAL_LEAD_SETS = (frozenset(STANDARD_LEADS),)


def identity_errors(ecg: ECG) -> dict[str, NDArray[np.float64]]:
    """How far stored limb leads contradict I and II: III = II − I and Goldberger's aVR, aVL, aVF.

    Returns:
        lead → (window,) SD of (stored − derived) over the largest SD of the three leads concerned, window by window
        as `windows.windows` has them; NaN where the leads are still or not recorded. Empty without I and II.
    """
    tested = [lead for lead in DERIVABLE_LEADS if lead in ecg.leads and lead not in ecg.derived]
    if not {"I", "II"} <= set(ecg.leads) or not tested:
        return {}
    one, two = (ecg.signal[ecg.leads.index(lead)] for lead in ("I", "II"))
    errors = {}
    for lead in tested:
        stored = ecg.signal[ecg.leads.index(lead)].astype(np.float64)
        difference = stored - derive(lead, one, two)
        rows = np.stack([difference, stored, one, two])
        rows[:, np.isnan(difference)] = np.nan
        disagreement, *sizes = _sd(folded(rows, ecg.fs))
        size = np.max(sizes, axis=0)
        errors[lead] = np.where(size > STILL_MV / 2, disagreement / np.maximum(size, STILL_MV / 2), np.nan)
    return errors


def broken_identities(errors: Mapping[str, NDArray[np.float64]]) -> tuple[str, ...]:
    """Leads that contradict I and II in the median over windows.

    Args:
        errors: what `identity_errors` returned, of one block or of all blocks joined.

    Returns:
        the leads at odds; ``("I or II",)`` where all four disagree, since the common cause is then in I or II;
        ``("I, II or III",)`` where there is no fourth limb lead to tell.
    """
    broken = [lead for lead, rows in errors.items() if np.isfinite(rows).any() and np.nanmedian(rows) > BROKEN_SHARE]
    if len(broken) == len(DERIVABLE_LEADS):
        return (I_OR_II,)
    if broken and len(errors) == 1:
        return (f"{I_OR_II.replace(' or', ',')} or {broken[0]}",)
    return tuple(broken)


def errors_without(ecg: ECG) -> dict[str, NDArray[np.float64]]:
    """How far the stored limb leads but one contradict each other: near 0 only without the one at fault.

    What is measured is how far the others are from any one vector in the frontal plane, by least squares.

    Returns:
        limb lead that is left out → (window,) the largest of these over the others, as `identity_errors` gives them;
        empty where there are fewer than four limb leads, since two never contradict each other.
    """
    stored = [lead for lead in ("I", "II", *DERIVABLE_LEADS) if lead in ecg.leads and lead not in ecg.derived]
    if len(stored) < 4:
        return {}
    return {lead: _out_of_plane(ecg, [name for name in stored if name != lead]) for lead in stored}


def _out_of_plane(ecg: ECG, left: list[str]) -> NDArray[np.float64]:
    rows = ecg.signal[[ecg.leads.index(name) for name in left]].astype(np.float64)
    planes = np.array([_in_the_plane(name) for name in left])  # (lead, 2)
    # What the leads cannot be of one frontal vector.
    rest = rows - planes @ (np.linalg.pinv(planes) @ np.where(np.isnan(rows), 0.0, rows))
    gone = np.isnan(rows).any(axis=0)
    rows[:, gone], rest[:, gone] = np.nan, np.nan
    size, away = _sd(folded(rows, ecg.fs)).max(axis=0), _sd(folded(rest, ecg.fs)).max(axis=0)
    return np.where(size > STILL_MV / 2, away / np.maximum(size, STILL_MV / 2), np.nan)


def narrowed(broken: tuple[str, ...], without: Mapping[str, NDArray[np.float64]]) -> tuple[str, ...]:
    """The one limb lead without which all others agree, where there is exactly one such; else ``broken`` as it is.

    Args:
        broken: what `broken_identities` returned.
        without: limb lead → what `errors_without` gave, of all blocks joined.
    """
    known = {lead: np.nanmedian(rows) for lead, rows in without.items() if np.isfinite(rows).any()}
    clean = [lead for lead, error in known.items() if error <= AGREE_SHARE]
    return tuple(clean) if len(clean) == 1 and len(known) == len(without) else broken


def _in_the_plane(lead: str) -> tuple[float, float]:
    """Shares of I and II in a limb lead."""
    one, two = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    shares = {"I": one, "II": two}.get(lead)
    shares = derive(lead, one, two) if shares is None else shares
    return float(shares[0]), float(shares[1])


def scaled_apart(ecg: ECG) -> bool:
    """True where each lead was scaled on its own, as the recorder's integers show.

    The gains of I, II and III differ clearly, a limb lead contradicts I and II in millivolts, and in counts neither
    III nor that lead does.
    """
    needed = ("I", "II", "III")
    if ecg.counts is None or not set(needed) <= set(ecg.leads) or "III" in ecg.derived:
        return False
    gains = np.abs(ecg.counts.gain[[ecg.leads.index(lead) for lead in needed]])
    if gains.max() < UNEQUAL_GAINS * gains.min():
        return False
    errors = identity_errors(ecg)
    at_odds = [lead for lead, rows in errors.items() if broken_identities({lead: rows})]
    return bool(at_odds) and all(_agrees_in_counts(ecg, lead) for lead in {"III", *at_odds})


def _agrees_in_counts(ecg: ECG, lead: str) -> bool:
    """Whether the integers of a lead, minus its baseline, are those of I and II combined, but for rounding."""
    assert ecg.counts is not None
    counts = ecg.counts.take([ecg.leads.index(name) for name in (lead, "I", "II")])
    values = np.asarray(counts.values[:, :])
    marks = zip(values, counts.invalid, strict=True)
    recorded = ~np.any([row == mark for row, mark in marks if mark is not None] or [[False]], axis=0)
    stored, one, two = values - counts.baseline[:, None]
    away = np.abs(stored - derive(lead, one, two))[np.broadcast_to(recorded, stored.shape)]
    return bool(away.max(initial=0.0) <= ROUNDING_COUNTS)


def _sd(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """(row, window) SD of (row, window, time) without NaN; 0 where there is nothing else."""
    there = np.isfinite(rows)
    count = np.maximum(there.sum(axis=2), 1)
    known = np.where(there, rows, 0.0)
    away = known - (known.sum(axis=2) / count)[..., None]
    away *= there
    return np.sqrt(np.einsum("lwt,lwt->lw", away, away) / count)


def signal_notices(states: Mapping[str, LeadState], broken: tuple[str, ...], *, physical: bool) -> list[Notice]:
    """Warnings about unit, identities and leads.

    Args:
        states: lead → its state over the whole recording.
        broken: the leads that contradict I and II.
        physical: False where each lead is scaled on its own, which explains the contradiction.
    """
    notices = []
    amplitudes = [state.amplitude_mv for state in states.values() if state.amplitude_mv > 0]
    if amplitudes and float(np.median(amplitudes)) > IMPLAUSIBLE_MV:
        text = (
            f"The amplitude is implausible: {np.median(amplitudes):.0f} mV peak to peak (median over leads); "
            "the samples may be microvolts declared as millivolts. Nothing was rescaled."
        )
        notices.append(Notice("implausible_unit", text))
    elif amplitudes and (tallest := max(state.tallest_mv for state in states.values())) < TINY_MV:
        text = (
            f"The amplitude is implausibly small: at most {1000 * tallest:.1f} µV peak to peak; "
            "the samples may be volts declared as millivolts. Nothing was rescaled."
        )
        notices.append(Notice("implausible_unit", text))
    if not physical:
        text = (
            "The limb leads agree in the recorder's counts but not in millivolts: each lead seems to be scaled on its "
            "own, so amplitudes are not physical."
        )
        notices.append(Notice("amplitudes_not_physical", text))
    elif broken:
        text = f"Limb leads contradict each other (III = II − I, aVR = −(I + II)/2 …): look at {', '.join(broken)}."
        notices.append(Notice("einthoven", text))
    return notices


def lead_notices(problems: Mapping[str, Mapping[str, float]], missing: Mapping[str, float]) -> list[Notice]:
    """One warning of what is wrong with which leads, equal problems told once.

    Args:
        problems: lead → problem → share of the recorded time.
        missing: lead → share of the recording that was not recorded.
    """
    told = []
    for problem in dict.fromkeys(name for found in problems.values() for name in found):
        shares = {lead: found[problem] for lead, found in problems.items() if problem in found}
        often = "" if min(shares.values()) == 1 else f" ({_percent(shares.values())} of the time)"
        told.append(f"{_named(shares, problems)}: {problem}{often}")
    if gaps := {lead: max(share, 0.01) for lead, share in missing.items() if 0 < share < 1}:
        told.append(f"{_named(gaps, missing)}: gaps ({_percent(gaps.values())} not recorded)")
    return [Notice("lead_quality", f"Signal problems: {'; '.join(told)}.")] if told else []


def _named(leads: Collection[str], all_leads: Collection[str]) -> str:
    return "all leads" if 1 < len(leads) == len(all_leads) else ", ".join(leads)


def _percent(shares: Collection[float]) -> str:
    low, high = round(100 * min(shares)), round(100 * max(shares))
    return f"{low}%" if low == high else f"{low} to {high}%"


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
