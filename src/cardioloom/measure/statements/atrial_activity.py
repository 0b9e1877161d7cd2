"""The atria between and under the QRS complexes: what is left of a lead without its usual beats."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cardioloom.measure.statements.case import Case

SMOOTH_HZ = 16.0
LEADS = ("II", "III", "aVF", "V1")
HZ = 100.0  # the atrial signal is looked at with this rate
QRS_S = (0.06, 0.10)  # cut out round R where no QRS duration was measured
MARGIN_S = 0.02
BAND_HZ = (2.5, 25.0)
LEAST_SECONDS = 4.0
P_LENGTH_S = 0.11
ON_TIME = (0.42, 0.58)  # of the time between its neighbours: where a P wave that is not conducted lies
DROPPED = 1.5  # of the median RR interval: an interval in which a beat may have been dropped
TWO_TO_ONE = 0.6  # of the intervals
P_ALIKE = 0.85  # correlation of a P wave with the usual one, over leads
P_HEIGHT = (0.6, 1.6)  # of the usual one
FREE_PER_MIN = (45.0, 150.0)
FREE_STRENGTH = 0.3


def atrial_rate(case: Case, per_min: tuple[float, float]) -> tuple[float, float, str] | None:
    """The rate at which atrial activity repeats itself, 1/min, how strongly (correlation), and in which lead.

    The QRS complexes are cut out and bridged, so that neither they nor a rhythm locked to them (2:1) disturb.
    """
    best = None
    for lead in LEADS:
        row = _rest(case, lead)
        if row is None:
            continue
        found = _repeats(row, 60.0 / per_min[1], 60.0 / per_min[0])
        if found is not None and (best is None or found[1] > best[1]):
            best = (60.0 / found[0], found[1], lead)
    return best


def _lead(case: Case, lead: str) -> NDArray[np.float64] | None:
    f = case.features
    if lead not in f.usable:
        return None
    row = f.signal[f.leads.index(lead)].astype(np.float64)
    return np.where(np.isfinite(row), row, 0.0) if np.isfinite(row).mean() > 0.8 else None


def _slow(case: Case, row: NDArray[np.float64], high_hz: float = BAND_HZ[1]) -> NDArray[np.float64]:
    """The row at `HZ`, between the band's edges."""
    n = max(1, round(len(row) / case.features.fs * HZ))
    spectrum = np.fft.rfft(row - np.linspace(row[0], row[-1], len(row)))
    hz = np.fft.rfftfreq(len(row), 1 / case.features.fs)
    spectrum[(hz < BAND_HZ[0]) | (hz > high_hz)] = 0.0
    smooth = np.fft.irfft(spectrum, len(row))
    return np.interp(np.arange(n) / HZ, np.arange(len(row)) / case.features.fs, smooth)


def slow_rows(case: Case) -> NDArray[np.float64]:
    """(lead, time) the usable leads below 16 Hz at `HZ`, each in units of its own amplitude; gaps as zeros."""
    f = case.features
    rows = np.nan_to_num(f.signal[[n for n, lead in enumerate(f.leads) if lead in f.usable]].astype(np.float64))
    if not len(rows):
        return rows
    low, high = np.percentile(rows, (1, 99), axis=1)
    hz = np.fft.rfftfreq(rows.shape[1], 1 / f.fs)
    gain = np.exp(-0.5 * np.log(2) * (hz / SMOOTH_HZ) ** 2) * (hz > 0)
    smooth = np.fft.irfft(np.fft.rfft(rows, axis=1) * gain, rows.shape[1], axis=1)
    smooth /= np.maximum(high - low, 1e-9)[:, None]
    at = np.arange(round(f.seconds * HZ)) / HZ * f.fs
    return np.stack([np.interp(at, np.arange(rows.shape[1]), row) for row in smooth])


def _rest(case: Case, lead: str) -> NDArray[np.float64] | None:
    """A lead without QRS complexes and without the mean T wave, at `HZ`."""
    row = _lead(case, lead)
    if row is None or case.features.seconds < LEAST_SECONDS:
        return None
    f = case.features
    marks = f.marks.over_leads
    time = np.arange(len(row))
    keep = np.ones(len(row), bool)
    for beat, peak in enumerate(f.r_peaks_s * f.fs):
        on, off = marks["qrs_on"][beat], marks["qrs_off"][beat]
        first = (on if np.isfinite(on) else peak - QRS_S[0] * f.fs) - MARGIN_S * f.fs
        last = (off if np.isfinite(off) else peak + QRS_S[1] * f.fs) + MARGIN_S * f.fs
        keep[max(0, int(first)) : int(last) + 1] = False
    if keep.mean() < 0.4:
        return None
    return _slow(case, np.interp(time, time[keep], row[keep]))


def _autocorrelation(row: NDArray[np.float64], n_lags: int) -> NDArray[np.float64] | None:
    """(lag,) correlation of a row with itself 0 to ``n_lags`` − 1 samples later; None where it is flat or too short."""
    row = row - row.mean()
    power = float(row @ row)
    if power <= 0 or len(row) <= n_lags:
        return None
    size = 1 << (2 * len(row)).bit_length()
    products = np.fft.irfft(np.abs(np.fft.rfft(row, size)) ** 2, size)[:n_lags]
    return products / power * (len(row) / (len(row) - np.arange(n_lags)))


def _repeats(row: NDArray[np.float64], shortest_s: float, longest_s: float) -> tuple[float, float] | None:
    """(cycle in s, correlation of the row with itself two cycles later, at the best cycle)."""
    first, last = round(shortest_s * HZ), round(longest_s * HZ)
    alike = _autocorrelation(row, 5 * last)
    if alike is None or len(row) < 6 * last:
        return None
    cycles = np.arange(first, last + 1)
    # A saw repeats itself after one, two and three cycles, and is at odds with itself half-way.
    score = np.minimum.reduce([alike[np.round(k * cycles).astype(int)] for k in (1, 2, 3)])
    score = np.minimum(score, (score - alike[np.round(0.5 * cycles).astype(int)]) / 2)
    best = int(score.argmax())
    return cycles[best] / HZ, float(score[best])


def _template(case: Case) -> tuple[list[NDArray[np.float64]], NDArray[np.float64]] | None:
    """Rows at `HZ` and the usual P wave (lead, time)."""
    f = case.features
    peaks = f.marks.over_leads["p_peak"][f.p_present & ~case.ectopy.any] / f.fs * HZ
    peaks = np.round(peaks[np.isfinite(peaks)]).astype(np.int64)
    rows = [_slow(case, row) for lead in LEADS if (row := _lead(case, lead)) is not None]
    half = round(P_LENGTH_S * HZ / 2)
    peaks = peaks[(peaks >= half) & (peaks < round(f.seconds * HZ) - half - 1)]
    if not rows or len(peaks) < 3:
        return None
    window = peaks[:, None] + np.arange(-half, half + 1)
    return rows, np.stack([np.median(level(row[window]), axis=0) for row in rows])


def level(parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Parts (..., time) without the line between their ends."""
    ramp = np.linspace(0, 1, parts.shape[-1])
    return parts - parts[..., :1] - ramp * (parts[..., -1:] - parts[..., :1])


def blocked_p_waves(case: Case) -> list[float] | None:
    """Times (s) of P waves like the usual one half-way between two others, with no QRS of their own.

    They count in RR intervals long enough for a dropped beat, or where most intervals have one (2:1).
    """
    found = _template(case)
    if found is None:
        return None
    rows, usual = found
    f, half = case.features, round(P_LENGTH_S * HZ / 2)
    p_peak, t_off = f.marks.over_leads["p_peak"] / f.fs, f.marks.over_leads["t_off"] / f.fs
    times, is_long = [], []
    for beat in range(case.n_beats - 1):
        first, last = p_peak[beat], p_peak[beat + 1]
        if not np.isfinite(f.rr_s[beat]) or case.ectopy.any[beat] or not np.isfinite(last - first):
            continue
        low, high = (first + share * (last - first) for share in ON_TIME)
        low = max(low, t_off[beat] + 0.02) if np.isfinite(t_off[beat]) else low
        centres = np.arange(round(low * HZ), round(high * HZ) + 1)
        centres = centres[(centres >= half) & (centres < len(rows[0]) - half)]
        if len(centres) and (time := _best_match(rows, usual, centres, half)) is not None:
            times.append(time)
            is_long.append(f.rr_s[beat] > DROPPED * np.nanmedian(f.rr_s))
    if len(times) >= TWO_TO_ONE * (case.n_beats - 1):
        return times
    return [time for time, long in zip(times, is_long, strict=True) if long]


def _best_match(
    rows: list[NDArray[np.float64]], usual: NDArray[np.float64], centres: NDArray[np.int64], half: int
) -> float | None:
    """The time (s) of the centre where the rows are most like the usual P wave, or None."""
    parts = np.stack([level(row[centres[:, None] + np.arange(-half, half + 1)]) for row in rows])
    power = (parts**2).sum(axis=(0, 2))
    alike = np.einsum("lct,lt->c", parts, usual) / np.maximum(np.sqrt(power * (usual**2).sum()), 1e-12)
    height = np.sqrt(power / (usual**2).sum())
    fits = (alike >= P_ALIKE) & (height > P_HEIGHT[0]) & (height < P_HEIGHT[1])
    return float(centres[np.where(fits, alike, -1.0).argmax()] / HZ) if fits.any() else None


def free_atrial_rate(case: Case) -> tuple[float, bool] | None:
    """Rate (1/min) of regular atrial activity that is not that of the ventricles, and whether it is clear."""
    rate = case.rate
    best: tuple[float, float] | None = None
    for lead in LEADS:
        row = _rest(case, lead)
        if row is None or rate is None:
            continue
        found = _repeats_once(_without_beats(case, row), 60.0 / FREE_PER_MIN[1], 60.0 / FREE_PER_MIN[0], rate)
        if found is not None and (best is None or found[1] > best[1]):
            best = found
    return None if best is None else (best[0], best[1] >= FREE_STRENGTH)


def _without_beats(case: Case, row: NDArray[np.float64]) -> NDArray[np.float64]:
    """The row minus the median of what follows each R peak."""
    peaks = np.round(case.features.r_peaks_s * HZ).astype(int)
    rr = np.diff(peaks)
    if not len(rr):
        return row
    length = int(np.median(rr))
    result = row.copy()
    begin = peaks - round(0.3 * length)
    whole = [row[b : b + length] for b in begin if b >= 0 and b + length <= len(row)]
    if len(whole) < 3:
        return row
    usual = np.median(whole, axis=0)
    for b in begin:
        first, last = max(0, b), min(len(row), b + length)
        result[first:last] -= usual[first - b : last - b]
    return result


def _repeats_once(row: NDArray[np.float64], low: float, high: float, rate: float) -> tuple[float, float] | None:
    first, last = round(low * HZ), round(high * HZ)
    alike = _autocorrelation(row, 2 * last + 1)
    if alike is None or len(row) < 3 * last:
        return None
    cycles = np.arange(first, last + 1)
    score = np.minimum(alike[cycles], alike[2 * cycles])
    score[np.abs(60.0 * HZ / cycles - rate) < 0.05 * rate] = -1.0
    best = int(score.argmax())
    return 60.0 * HZ / cycles[best], float(score[best])
