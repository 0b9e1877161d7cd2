"""Simulated patients' ECGs beside real normal ones: intervals, axis and amplitudes as `measure` finds them in both.

python benchmarks/simulator_ecg.py [--json OUT] [--pictures FOLDER] [--hearts N]

Real: recordings labelled sinus rhythm or normal and nothing else, of all sources of the shared folder; LUDB only for
intervals and axis, because its millivolts are not physical. Simulated: healthy hearts of the general population. The
last rows compare right bundle branch block, whatever else is labelled, with hearts of the hospital population.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import cardioloom
from cardioloom import measure
from cardioloom.records import ECG, STANDARD_LEADS
from cardioloom.simulator import draw
from cardioloom.simulator.electrocardiogram import ecg as simulated
from rows import parser, show

SHARED = Path(os.environ.get("CARDIOLOOM_SHARED", Path(__file__).resolve().parents[1].parent / "shared"))
INTERVALS = {
    "heart_rate": "bpm",
    "p_duration": "ms",
    "pr_interval": "ms",
    "qrs_duration": "ms",
    "qtc_fridericia": "ms",
    "qrs_axis": "°",
    "t_axis": "°",
}
BLOCKS = 60  # simulated
OF_BLOCK = ("qrs_duration", "qrs_axis", "R V1", "S I", "S V6")
SEED = 11
QRS_S = 0.07  # the deflections of a median beat are looked for so far from R


def real_records(chosen: Callable[[list[str]], bool]) -> Iterator[tuple[str, ECG]]:
    """Source and record of all whose labels are chosen."""
    with (SHARED / "data" / "ecg" / "records.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            labels = [name for name, value in row.items() if name.startswith("y_") and value == "1"]
            if not chosen(labels):
                continue
            loaded = cardioloom.load(SHARED / "data" / "ecg" / row["path"])
            for ecg in loaded if isinstance(loaded, list) else [loaded]:
                yield row["source"], ecg


def simulated_records(hearts: int) -> Iterator[tuple[str, ECG]]:
    """The first healthy hearts of the general population."""
    patient = 0
    while hearts:
        heart = draw(SEED, patient, "general")
        patient += 1
        if heart.diagnosis == "normal" and heart.electrics.rhythm == "sinus" and heart.electrics.conduction == "normal":
            hearts -= 1
            yield "simulated", simulated(heart)


def simulated_blocks(hearts: int) -> Iterator[tuple[str, ECG]]:
    """The first hearts of the hospital with right bundle branch block."""
    patient = 0
    while hearts:
        heart = draw(SEED, patient, "hospital")
        patient += 1
        if heart.electrics.conduction == "rbbb":
            hearts -= 1
            yield "simulated", simulated(heart)


def values(source: str, ecg: ECG) -> dict[str, float]:
    """What is measured of one ECG: intervals, axes, and R and S of the median beat by lead (mV)."""
    measured = measure.ecg(ecg)
    found = {name: measured.measurements[name].value for name in INTERVALS if name in measured.measurements}
    beat = measured.attachments.get("median_beat")
    if source == "ludb" or not isinstance(beat, dict):
        return found
    r, fs = int(beat["r"]), float(beat["fs"])
    span = round(QRS_S * fs)
    for lead, wave in beat["leads"].items():
        if lead in STANDARD_LEADS:
            part = np.asarray(wave)[max(0, r - span) : r + span]
            level = float(np.median(np.asarray(wave)[max(0, r - span - round(0.02 * fs)) : r - span + 1]))
            found[f"R {lead}"], found[f"S {lead}"] = float(part.max() - level), float(level - part.min())
    return found


def gathered(records: Iterator[tuple[str, ECG]]) -> dict[str, np.ndarray]:
    """name → values over records."""
    found: dict[str, list[float]] = {}
    for source, ecg in records:
        for name, value in values(source, ecg).items():
            found.setdefault(name, []).append(value)
    return {name: np.array(numbers) for name, numbers in found.items()}


def rows_of(
    real: dict[str, np.ndarray], made: dict[str, np.ndarray], names: tuple[str, ...] = ()
) -> list[dict[str, object]]:
    """Median and quartiles of both, and whether the simulated median lies between the real quartiles."""
    rows: list[dict[str, object]] = []
    for name in names or real:
        low, middle, high = np.percentile(real[name], [25, 50, 75])
        ours = np.percentile(made[name], [25, 50, 75])
        rows.append(
            {
                "bench": "simulator_ecg",
                "quantity": name.replace("_", " "),
                "unit": INTERVALS.get(name, "mV"),
                "real_n": len(real[name]),
                "real_median": float(middle),
                "real_quartiles": f"{low:.3g} to {high:.3g}",
                "simulated_n": len(made[name]),
                "simulated_median": float(ours[1]),
                "simulated_quartiles": f"{ours[0]:.3g} to {ours[2]:.3g}",
                "median_within_real_quartiles": "yes" if low <= ours[1] <= high else "no",
            }
        )
    return rows


def picture(real: dict[str, np.ndarray], made: dict[str, np.ndarray], folder: Path) -> None:
    """Distributions of both side by side."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    names = list(INTERVALS) + [f"{wave} {lead}" for wave in "RS" for lead in ("I", "II", "V1", "V2", "V5", "V6")]
    figure, axes = plt.subplots(4, 5, figsize=(13, 9))
    for axis, name in zip(axes.flat, names, strict=False):
        parts = axis.violinplot([real[name], made[name]], showmedians=True, widths=0.8)
        for body, colour in zip(parts["bodies"], ("#5b7083", "#b5532d"), strict=True):
            body.set_facecolor(colour)
        axis.set_xticks([1, 2], ["real", "simulated"])
        axis.set_title(f"{name.replace('_', ' ')} ({INTERVALS.get(name, 'mV')})", fontsize=9)
    for axis in axes.flat[len(names) :]:
        axis.axis("off")
    figure.suptitle("Normal ECGs: real recordings and simulated patients")
    figure.tight_layout()
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "simulated_ecg.png", dpi=80)


def main() -> None:
    """Measure and print or write the rows."""
    options = parser(__doc__)
    options.add_argument("--pictures", type=Path)
    options.add_argument("--hearts", type=int, default=300)
    arguments = options.parse_args()
    real, made = gathered(real_records(["y_NSR"].__eq__)), gathered(simulated_records(arguments.hearts))
    rows = rows_of(real, made)
    blocked = gathered(real_records(lambda labels: "y_RBBB" in labels)), gathered(simulated_blocks(BLOCKS))
    rows += [row | {"bench": "simulator_ecg_rbbb"} for row in rows_of(*blocked, OF_BLOCK)]
    if arguments.pictures:
        picture(real, made, arguments.pictures)
    show(rows, arguments.json)


if __name__ == "__main__":
    main()
