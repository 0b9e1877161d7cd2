"""Onset, peak and end of P, QRS and T of every beat, in every lead and over leads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardioloom.measure import p_wave, qrs_bounds, t_wave
from cardioloom.measure.order import median
from cardioloom.measure.over_leads import quantile
from cardioloom.measure.repeats import FEW_BEATS, Repeats, repeats
from cardioloom.measure.slopes import Spectrum, finer
from cardioloom.prepare.beats import usable_leads
from cardioloom.prepare.beats_envelope import filled, without_spikes

MARKS = ("p_on", "p_peak", "p_off", "qrs_on", "r_peak", "qrs_off", "t_on", "t_peak", "t_off")
AGREEING_LEADS = 6  # a global mark needs this many leads, or all usable ones where there are fewer
LEAST_FS_HZ = 240.0  # a slower recording is interpolated to at least this: 10 ms are too coarse for a bound
SPILL_S = 0.03  # a beat takes part in what is common though its own room is shorter by so much


@dataclass(frozen=True, eq=False)
class Marks:
    """Marks of one recording.

    Args:
        r_peaks: (beat,) samples.
        by_lead: mark → (beat, lead) samples; NaN where a lead does not show it.
        over_leads: mark → (beat,) samples: the median over leads; NaN where too few leads show it.
        usable: (lead,) which leads were delineated.
    """

    r_peaks: NDArray[np.int64]
    by_lead: Mapping[str, NDArray[np.float64]]
    over_leads: Mapping[str, NDArray[np.float64]]
    usable: NDArray[np.bool_]


def delineate(signal: NDArray[np.floating], r_peaks: NDArray[np.int64], fs: float) -> Marks:
    """Delineate every beat.

    Args:
        signal: (lead, time) in any unit, NaN = not recorded.
        r_peaks: (beat,) ascending samples.
        fs: sampling rate, Hz.
    """
    signal = np.asarray(signal)
    usable = usable_leads(signal, fs)
    n_beats, n_leads = len(r_peaks), len(signal)
    by_lead = {mark: np.full((n_beats, n_leads), np.nan) for mark in MARKS}
    if n_beats and usable.any():
        recorded = np.isfinite(signal[usable])
        rows = filled(signal[usable], recorded).astype(np.float64)
        times = max(1, int(np.ceil(LEAST_FS_HZ / fs)))
        found = _delineate(finer(rows, times), r_peaks * times, fs * times)
        for mark in MARKS:
            by_lead[mark][:, usable] = found[mark] / times
        _drop_unrecorded(by_lead, np.isfinite(signal))
    enough = min(AGREEING_LEADS, max(1, int(usable.sum())))
    over_leads = {mark: quantile(by_lead[mark], 0.5, enough) for mark in MARKS}
    over_leads["r_peak"] = r_peaks.astype(np.float64)
    return Marks(r_peaks, by_lead, over_leads, usable)


def _delineate(rows: NDArray[np.float64], r_peaks: NDArray[np.int64], fs: float) -> dict[str, NDArray[np.float64]]:
    rows = _without_spikes(rows, fs)
    low, high = np.percentile(rows, (1, 99), axis=1)
    rows = rows / np.maximum(high - low, 1e-9)[:, None]
    shape = (len(r_peaks), len(rows))
    found = {mark: np.full(shape, np.nan) for mark in MARKS}
    spectrum = Spectrum.of(rows, fs)
    found["qrs_on"], found["qrs_off"] = qrs_bounds.qrs_bounds(spectrum.slope(qrs_bounds.CUTOFF_HZ), r_peaks, fs)
    onset, end = _centres(found["qrs_on"], r_peaks - 0.04 * fs), _centres(found["qrs_off"], r_peaks + 0.05 * fs)
    found["r_peak"] = _lead_peaks(rows, found["qrs_on"], found["qrs_off"])
    _find_t(found, spectrum.smoothed(t_wave.CUTOFF_HZ), r_peaks, onset, end, fs)
    fine, rough = spectrum.smoothed(p_wave.FINE_HZ), spectrum.smoothed(p_wave.ROUGH_HZ)
    _find_p(found, fine, rough, r_peaks, onset, fs)
    return found


def _without_spikes(rows: NDArray[np.float64], fs: float) -> NDArray[np.float64]:
    """Pacemaker spikes bridged in every lead wherever one lead shows one: small ones would move the QRS onset."""
    changed = np.flatnonzero((without_spikes(rows.astype(np.float32), fs) != rows.astype(np.float32)).any(axis=0))
    if not len(changed):
        return rows
    good = np.setdiff1d(np.arange(rows.shape[1]), changed)
    return np.array([np.interp(np.arange(rows.shape[1]), good, row[good]) for row in rows])


def _centres(marks: NDArray[np.float64], otherwise: NDArray[np.floating]) -> NDArray[np.float64]:
    """(beat,) median over the leads that show a mark, or the given stand-in."""
    centres = quantile(marks, 0.5)
    return np.where(np.isfinite(centres), centres, otherwise)


def _lead_peaks(rows: NDArray[np.float64], onset: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.float64]:
    """(beat, lead) where a lead deflects furthest from the line between its QRS onset and end."""
    peaks = np.full(onset.shape, np.nan)
    beats, leads = np.nonzero(np.isfinite(onset) & np.isfinite(end))
    if not len(beats):
        return peaks
    first, last = onset[beats, leads].astype(int), end[beats, leads].astype(int)
    at = first[:, None] + np.arange(int((last - first).max()) + 1)
    inside = at <= last[:, None]
    part = rows[leads[:, None], np.minimum(at, last[:, None])]
    share = (at - first[:, None]) / np.maximum(last - first, 1)[:, None]
    line = part[:, :1] + share * (rows[leads, last][:, None] - part[:, :1])
    peaks[beats, leads] = first + np.where(inside, np.abs(part - line), -1).argmax(axis=1)
    return peaks


def _find_t(
    found: dict[str, NDArray[np.float64]],
    smooth: NDArray[np.float64],
    r_peaks: NDArray[np.int64],
    onset: NDArray[np.float64],
    end: NDArray[np.float64],
    fs: float,
) -> None:
    rooms = [t_wave.t_room(beat, r_peaks, onset, end, smooth.shape[1], fs) for beat in range(len(r_peaks))]
    common = _common((smooth,), rooms, onset, t_wave.LAG_S, t_wave.LEAST_ALIKE, fs)
    rr = float(np.median(np.diff(r_peaks))) / fs if len(r_peaks) > 1 else 1.0
    late, spread = t_wave.LATE * fs * rr**0.5, t_wave.SPREAD * fs * rr**0.5
    usual = None
    if common is not None:
        usual = t_wave.t_of_leads(common.mean[0], _whole(common), late - common.first, spread) + common.first
        if np.isfinite(usual[2]).mean() < 0.5:
            usual = None  # most beats have little room: what they share ends before T does
    for beat, room in enumerate(rooms):
        if room is None:
            continue
        if common is not None and usual is not None and common.alike[beat] >= t_wave.LEAST_ALIKE:
            marks = usual + np.round(onset[beat]) + common.lags[beat]
        else:
            marks = t_wave.t_of_leads(smooth, room, onset[beat] + late, spread)
        found["t_on"][beat], found["t_peak"][beat], found["t_off"][beat] = marks


def _find_p(
    found: dict[str, NDArray[np.float64]],
    fine: NDArray[np.float64],
    rough: NDArray[np.float64],
    r_peaks: NDArray[np.int64],
    onset: NDArray[np.float64],
    fs: float,
) -> None:
    present = p_wave.has_p(fine, onset, fs)
    earliest = np.concatenate([[0.0], _centres(found["t_off"], r_peaks + 0.3 * fs)[:-1]])
    rooms = [p_wave.p_room(n, onset, earliest[n], fs) if present[n] else None for n in range(len(r_peaks))]
    common = _common((fine, rough), rooms, onset, p_wave.LAG_S, p_wave.LEAST_ALIKE, fs)
    usual = (
        None if common is None else p_wave.p_of_leads(common.mean[0], common.mean[1], _whole(common), fs) + common.first
    )
    for beat, room in enumerate(rooms):
        if room is None:
            continue
        if common is not None and usual is not None and common.alike[beat] >= p_wave.LEAST_ALIKE:
            marks = usual + np.round(onset[beat]) + common.lags[beat]
        else:
            marks = p_wave.p_of_leads(fine, rough, room, fs)
        found["p_on"][beat], found["p_peak"][beat], found["p_off"][beat] = marks


def _common(
    signals: tuple[NDArray[np.float64], ...],
    rooms: list[t_wave.Room | None],
    onset: NDArray[np.float64],
    lag_s: float,
    least_alike: float,
    fs: float,
) -> Repeats | None:
    """What the beats with room for a wave have in common there; None where they are too few."""
    own = np.full((len(rooms), 2), np.nan)
    for beat, room in enumerate(rooms):
        if room is not None:
            own[beat] = room.first - onset[beat], room.last - onset[beat]
    there = np.isfinite(own[:, 0])
    if there.sum() < FEW_BEATS:
        return None
    first, last = np.round(median(own[there], axis=0)).astype(int)
    beyond = np.maximum(own[:, 0] - first, last - own[:, 1])  # samples by which a beat's own room falls short
    fits = there & (beyond <= SPILL_S * fs)
    window, most_lag = (int(first), int(last)), round(lag_s * fs)
    return repeats(signals, onset, window, fits=fits, most_lag=most_lag, least_alike=least_alike, fs=fs)


def _whole(common: Repeats) -> t_wave.Room:
    return t_wave.Room(0, common.mean[0].shape[1] - 1)


def _drop_unrecorded(found: dict[str, NDArray[np.float64]], recorded: NDArray[np.bool_]) -> None:
    """No mark lies where its lead was not recorded."""
    if recorded.all():
        return
    for marks in found.values():
        beats, leads = np.nonzero(np.isfinite(marks))
        at = np.clip(np.round(marks[beats, leads]).astype(int), 0, recorded.shape[1] - 1)
        gone = ~recorded[leads, at]
        marks[beats[gone], leads[gone]] = np.nan
