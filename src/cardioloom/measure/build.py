"""From one ECG and its R peaks to every quantity the statements are judged on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardioloom.measure import amplitudes, axes, intervals
from cardioloom.measure.beat_classes import beat_classes
from cardioloom.measure.delineation import AGREEING_LEADS, Marks, delineate
from cardioloom.measure.features import Features, LeadWaves
from cardioloom.measure.median_beat import median_beat, without_baseline
from cardioloom.measure.rate import every_rr_s, measure_rate
from cardioloom.measure.windows import runs
from cardioloom.prepare.beats_envelope import filled
from cardioloom.records import ECG, Abstention, Measurement

USUAL_RR_S = 1.0  # where a single beat leaves the interval unknown
LEAST_AREA_MV_S = {"p": 0.0003, "qrs": 0.0015, "t": 0.0015}  # shorter vectors have no direction
NOT_FOUND = {"p": intervals.NO_P, "qrs": intervals.NO_QRS, "t": intervals.NO_T}
NOT_PHYSICAL = "amplitudes are not in millivolts"


@dataclass(frozen=True, eq=False)
class _Median:
    """The median beat (lead, time), the sample of R in it, and its global marks in samples."""

    beat: NDArray[np.float64]
    r: int
    marks: Mapping[str, float]


def features(
    record: ECG,
    r_peaks: NDArray[np.int64],
    *,
    marks: Marks | None = None,
    is_physical: bool = True,
    age: float | None = None,
    sex: str | None = None,
    rr_s: NDArray[np.float64] | None = None,
    interrupted_s: NDArray[np.float64] | None = None,
) -> tuple[Features, list[Abstention]]:
    """Measure one ECG that fits in memory.

    Args:
        record: the electrocardiogram, a minute or less.
        r_peaks: (beat,) ascending samples.
        marks: wave marks from elsewhere; else the beats are delineated here.
        is_physical: False where the leads' amplitudes are known not to be in millivolts; axes then rest on the
            recorder's counts, where the record has them.
        age, sex: where known.
        rr_s: (beat - 1,) s, NaN where recording was interrupted; else taken from the R peaks and the interruptions.
        interrupted_s: (interruption, 2) s in which no beat can be seen; else the times in which no lead is recorded.

    Returns:
        the features, and what could not be measured with the reason.
    """
    r_peaks = np.asarray(r_peaks, np.int64)
    marks = delineate(record.signal, r_peaks, record.fs) if marks is None else marks
    if interrupted_s is None:
        interrupted_s = runs(np.asarray(np.isnan(record.signal).all(axis=0))) / record.fs
    rr_s = every_rr_s(r_peaks / record.fs, interrupted_s) if rr_s is None else np.asarray(rr_s, np.float64)
    enough = min(AGREEING_LEADS, max(1, int(marks.usable.sum())))
    limits = intervals.bounds(marks.by_lead, enough)
    by_beat = intervals.beat_intervals_ms(limits, record.fs)
    classes, shifts = beat_classes(_rows(record, marks), r_peaks, by_beat["qrs_duration"], record.fs)
    median = _median(record, marks, r_peaks + shifts, classes == 0, rr_s)
    waves = _waves(record, marks, median, is_physical)
    measured, abstained = _measured(r_peaks / record.fs, rr_s, by_beat, classes)
    for part in (_axes(record, waves, is_physical), _voltages(waves, is_physical)):
        measured |= part[0]
        abstained += part[1]
    result = Features(
        fs=record.fs,
        seconds=record.seconds,
        leads=record.leads,
        usable=tuple(lead for lead, usable in zip(record.leads, marks.usable, strict=True) if usable),
        r_peaks_s=r_peaks / record.fs,
        rr_s=rr_s,
        marks=marks,
        measurements=measured,
        waves=waves,
        median_beat=dict(zip(record.leads, median.beat, strict=True)),
        median_beat_r=median.r,
        beat_class=classes,
        qrs_ms=by_beat["qrs_duration"],
        p_present=np.isfinite(marks.over_leads["p_peak"]),
        signal=record.signal,
        is_physical=is_physical,
        age=age,
        sex=sex,
        median_marks=median.marks,
        interrupted_s=interrupted_s,
    )
    return result, abstained


def _rows(record: ECG, marks: Marks) -> NDArray[np.float64]:
    """(lead, time) usable leads, gaps bridged, each in units of its own amplitude."""
    signal = record.signal[marks.usable]
    rows = filled(signal, np.isfinite(signal)).astype(np.float64) if len(signal) else signal.astype(np.float64)
    if len(rows):
        low, high = np.percentile(rows, (1, 99), axis=1)
        rows = rows / np.maximum(high - low, 1e-9)[:, None]
    return rows


def _median(
    record: ECG, marks: Marks, centres: NDArray[np.int64], dominant: NDArray[np.bool_], rr_s: NDArray[np.float64]
) -> _Median:
    known = rr_s[np.isfinite(rr_s)]
    usual = float(np.median(known)) if len(known) else USUAL_RR_S
    flat = without_baseline(record.signal, marks, record.fs)
    if not dominant.any():
        return _Median(np.full((len(flat), 0), np.nan), 0, {})
    beat, r = median_beat(flat, centres[dominant], record.fs, rr_s=usual)
    enough = min(AGREEING_LEADS, max(1, int(marks.usable.sum())))
    relative = {
        mark: np.where(dominant[:, None], values - centres[:, None], np.nan) for mark, values in marks.by_lead.items()
    }
    found = {}
    for mark, values in intervals.bounds(relative, enough).items():
        shown = values[np.isfinite(values)]
        is_usual = len(shown) >= intervals.LEAST_SHARE * dominant.sum()
        found[mark] = r + float(np.median(shown)) if len(shown) and is_usual else np.nan
    return _Median(beat, r, found)


def _waves(record: ECG, marks: Marks, median: _Median, is_physical: bool) -> dict[str, LeadWaves]:
    least = amplitudes.LEAST_MV if is_physical else 0.0
    waves = {
        lead: amplitudes.lead_waves(beat, median.marks, record.fs, least_mv=least)
        for lead, beat, usable in zip(record.leads, median.beat, marks.usable, strict=True)
        if usable
    }
    return {lead: wave for lead, wave in waves.items() if wave is not None}


def _measured(
    r_peaks_s: NDArray[np.float64],
    rr_s: NDArray[np.float64],
    by_beat: Mapping[str, NDArray[np.float64]],
    classes: NDArray[np.int64],
) -> tuple[dict[str, Measurement], list[Abstention]]:
    interrupted = ((r_peaks_s[1:] + r_peaks_s[:-1]) / 2)[np.isnan(rr_s)]
    measured, abstained = measure_rate(r_peaks_s, np.stack([interrupted, interrupted], axis=1))
    found, missing = intervals.measure_intervals(by_beat, classes == 0)
    measured |= found
    abstained += missing
    rr = intervals.rr_before_qt(rr_s, classes == 0)
    if "qt_interval" in measured and isinstance(rr, float):
        found, missing = intervals.corrected_qt(measured["qt_interval"], rr)
        measured |= found
        abstained += missing
    else:
        why = rr if isinstance(rr, str) and "qt_interval" in measured else "the QT interval was not measured"
        abstained += [Abstention(name, why) for name in intervals.CORRECTIONS]
    found, missing = intervals.variability(rr_s, classes)
    return measured | found, abstained + missing


def _axes(
    record: ECG, waves: Mapping[str, LeadWaves], is_physical: bool
) -> tuple[dict[str, Measurement], list[Abstention]]:
    scale = dict.fromkeys(record.leads, 1.0)
    limb = [lead for lead in waves if lead in axes.DIRECTIONS]
    measured, abstained = {}, []
    why = None
    if not is_physical and record.counts is None:
        why = NOT_PHYSICAL
    elif not is_physical and record.counts is not None:
        scale = dict(zip(record.leads, record.counts.gain.tolist(), strict=True))
    if len(set(record.leads) & set(axes.DIRECTIONS)) < 2:
        why = "an axis needs two limb leads"
    for wave, areas in _areas(waves).items():
        name = f"{wave}_axis"
        known = {lead: scale[lead] * area for lead, area in areas.items() if area is not None and lead in limb}
        if why or len(known) < 2:
            abstained.append(Abstention(name, why or NOT_FOUND[wave]))
            continue
        least = LEAST_AREA_MV_S[wave] if is_physical else 0.0
        angle = axes.axis_deg(known, least)
        if angle is None:
            abstained.append(Abstention(name, "the frontal vector is too small to have a direction"))
        else:
            measured[name] = Measurement(angle, "deg")
    return measured, abstained


def _areas(waves: Mapping[str, LeadWaves]) -> dict[str, dict[str, float | None]]:
    return {
        "p": {lead: wave.p_area for lead, wave in waves.items()},
        "qrs": {lead: wave.qrs_area for lead, wave in waves.items()},
        "t": {lead: wave.t_area for lead, wave in waves.items()},
    }


def _voltages(waves: Mapping[str, LeadWaves], is_physical: bool) -> tuple[dict[str, Measurement], list[Abstention]]:
    """Sokolow & Lyon 1949: S in V1 + R in V5 or V6; Cornell (Casale 1985): R in aVL + S in V3; mV."""
    needs = {"sokolow_lyon": ("V1", "V5", "V6"), "cornell_voltage": ("aVL", "V3")}
    measured, abstained = {}, []
    for name, leads in needs.items():
        if not is_physical:
            abstained.append(Abstention(name, NOT_PHYSICAL))
        elif missing := [lead for lead in leads if lead not in waves]:
            abstained.append(Abstention(name, f"{', '.join(missing)} not measured"))
        elif name == "sokolow_lyon":
            value = _depth(waves["V1"]) + max(_height(waves["V5"]), _height(waves["V6"]))
            measured[name] = Measurement(value, "mV")
        else:
            measured[name] = Measurement(_height(waves["aVL"]) + _depth(waves["V3"]), "mV")
    for name in [name for name, voltage in measured.items() if voltage.value <= 0]:
        del measured[name]
        abstained.append(Abstention(name, "neither the R nor the S wave that it adds up was found"))
    return measured, abstained


def _height(wave: LeadWaves) -> float:
    return max(wave.r, wave.r_prime)


def _depth(wave: LeadWaves) -> float:
    """Of the S wave, or of the QS complex where there is no R."""
    deepest = min(wave.s, wave.s_prime)
    return -(deepest if wave.r > 0 else min(deepest, wave.q))
