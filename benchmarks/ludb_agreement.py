"""Experts' and methods' marks of LUDB → intervals and axes by one rule, and how far they agree; for delineation.py."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cardioloom.measure.delineation import AGREEING_LEADS
from cardioloom.measure.intervals import beat_intervals_ms, bounds
from r_peaks import SHARED  # pyright: ignore[reportMissingImports]

sys.path.insert(0, str(SHARED / "score"))
import score_marks  # pyright: ignore[reportMissingImports]

FS = 500.0
RESAMPLES = 1000
LEADS = ("i", "ii", "iii", "avr", "avl", "avf", "v1", "v2", "v3", "v4", "v5", "v6")  # order of the records
Leads = dict[str, dict[str, list[float]]]  # lead → mark → s


def reference_beats(leads: Leads) -> dict[str, np.ndarray]:
    """{mark: (beat, lead) samples} from each lead's flat lists: beats of different leads joined by their R peaks."""
    names = [lead for lead in LEADS if lead in leads]
    items = [
        (beat["r_peak"], column, beat) for column, lead in enumerate(names) for beat in score_marks.relink(leads[lead])
    ]
    beats = score_marks.cluster(items)
    marks = {mark: np.full((len(beats), len(names)), np.nan) for mark in score_marks.MARKS}
    for row, beat in enumerate(beats):
        for _, column, found in beat:
            for mark, value in found.items():
                marks[mark][row, column] = value * FS
    return marks


def intervals_of(marks: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Medians over beats, ms, by the rule of the library: robust earliest onset to robust latest end over leads."""
    by_beat = beat_intervals_ms(bounds(marks, AGREEING_LEADS), FS)
    return {name: float(np.median(v[np.isfinite(v)])) for name, v in by_beat.items() if np.isfinite(v).any()}


def axes_of(marks: Mapping[str, np.ndarray], counts: np.ndarray) -> dict[str, float]:
    """Axes from net areas of I and aVF in counts between each lead's own marks: atan2(2 aVF/√3, I)."""
    net = {wave: {lead: _area(marks, counts[lead], lead, wave) for lead in (0, 5)} for wave in ("p", "qrs", "t")}
    found = {f"{w}_axis": float(np.degrees(np.arctan2(2 * a[5] / 3**0.5, a[0]))) for w, a in net.items()}
    return {name: angle for name, angle in found.items() if np.isfinite(angle)}


def _area(marks: Mapping[str, np.ndarray], row: np.ndarray, lead: int, wave: str) -> float:
    """Median over beats; QRS and T against the level before the QRS, P against the line between its ends."""
    areas = []
    for first, last, qrs in zip(
        marks[f"{wave}_on"][:, lead], marks[f"{wave}_off"][:, lead], marks["qrs_on"][:, lead], strict=True
    ):
        if np.isfinite([first, last, qrs]).all() and qrs > 6 and last - first > 4:
            part = row[int(first) : int(last) + 1].astype(float)
            line = np.linspace(part[0], part[-1], len(part)) if wave == "p" else row[int(qrs) - 6 : int(qrs)].mean()
            areas.append(float((part - line).sum()))
    return float(np.median(areas)) if areas else np.nan


def resampled(n: int) -> np.ndarray:
    """(resample, patient) how often each patient is drawn; the first row is the sample itself."""
    drawn = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), RESAMPLES)
    return np.concatenate([np.ones((1, n), int), drawn])


def shown(values: np.ndarray, digits: int) -> str:
    """The sample's value with the 95 % interval over the resamples."""
    low, high = np.nanpercentile(values[1:], (2.5, 97.5))
    return f"{values[0]:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def agreement(half: str, method: str, pairs: dict[str, list[tuple[float, float]]]) -> list[dict]:
    """Bland & Altman: bias, SD, limits of agreement of (ours, experts') pairs, one pair a patient."""
    rows = []
    for what, values in pairs.items():
        difference = np.array([a - b for a, b in values])
        if what.endswith("axis"):
            difference = (difference + 180) % 360 - 180
        weights, n = resampled(len(difference)), len(difference)
        bias = weights @ difference / n
        sd = np.sqrt(np.maximum(weights @ difference**2 - n * bias**2, 0) / (n - 1))
        row = {
            "bench": "delineation_agreement",
            "data": f"LUDB, {half} half",
            "quantity": what,
            "method": method,
            "n": n,
        }
        row |= {"unit": "deg" if what.endswith("axis") else "ms", "bias": shown(bias, 1), "sd": shown(sd, 1)}
        row |= {"limits": f"{bias[0] - 1.96 * sd[0]:.1f} to {bias[0] + 1.96 * sd[0]:.1f}"}
        rows.append(row | {"median_absolute": round(float(np.median(np.abs(difference))), 1)})
    return rows


def draw(pairs: dict[str, list[tuple[float, float]]], folder: Path) -> None:
    """Bland–Altman plots of the reporting half as one small picture."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(2, 3, figsize=(10, 6))
    for panel, what in zip(
        panels.ravel(), ("pr_interval", "qrs_duration", "qt_interval", "p_axis", "qrs_axis", "t_axis"), strict=True
    ):
        values = np.array(pairs[what])
        difference, is_axis = values[:, 0] - values[:, 1], what.endswith("axis")
        difference = (difference + 180) % 360 - 180 if is_axis else difference
        panel.plot(values[:, 1] if is_axis else values.mean(axis=1), difference, "k.", markersize=4)
        bias, sd = difference.mean(), difference.std(ddof=1)
        for level, style in ((bias, "-"), (bias - 1.96 * sd, "--"), (bias + 1.96 * sd, "--")):
            panel.axhline(level, color="tab:red", linestyle=style, linewidth=1)
        unit = "°" if is_axis else "ms"
        panel.set_title(f"{what.replace('_', ' ')}: bias {bias:+.1f} {unit}, SD {sd:.1f}, n {len(values)}", fontsize=9)
        panel.set_xlabel(f"{'experts' if is_axis else 'mean of both'}, {unit}", fontsize=8)
        panel.set_ylabel(f"ours − experts, {unit}", fontsize=8)
    figure.tight_layout()
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "bland_altman_ludb.png", dpi=70)
