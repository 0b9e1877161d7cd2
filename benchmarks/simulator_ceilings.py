"""The best that can be told of a simulated heart from its ECG and from its mid-ventricular slice: R² beside its aim.

Gradient boosting (scikit-learn, HistGradientBoostingRegressor with stopping on a part of its training set) is trained
on 70 % of the hearts that `draw` gives and judged on the others. What it is told:

- from the ECG: sex, age, the standardised causes that drive the ECG, and the intervals, axis, voltage and conduction
  without error. A real ECG tells no more;
- from the cine: sex, age, and the slice's areas without the pixels' error: left cavity, left muscle and right cavity
  at end-diastole and at the left ventricle's end-systole, the left cavity at six phases, and its fractional change.

The aims hold for the general population; for the hospital's there are none.

Run: python benchmarks/simulator_ceilings.py [--hearts 30000] [--population NAME] [--json OUT]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from cardioloom.simulator import POPULATIONS, Heart, draw
from cardioloom.simulator.anatomy import beat

SEED = 20240
PHASES = np.arange(50) / 50
AIMS = {  # name → (from the ECG, from the cine); for the general population
    "LV mass": (0.66, 0.83),
    "LVEDV": (0.56, 0.82),
    "LVESV": (0.55, None),
    "RVEDV": (0.58, 0.81),
    "LVEF": (0.30, 0.50),
}
TOLERANCE = 0.03


def from_ecg(heart: Heart) -> list[float]:
    """Sex, age, causes and electrics of a heart."""
    electrics = heart.electrics
    numbers = [
        electrics.heart_rate_bpm,
        electrics.p_duration_ms,
        electrics.pr_ms,
        electrics.qrs_ms,
        electrics.qtc_ms,
        electrics.qrs_axis_deg,
        electrics.voltage,
    ]
    kinds = [electrics.conduction == "lbbb", electrics.conduction == "rbbb", electrics.rhythm != "sinus"]
    causes = heart.causes
    return [
        heart.sex == "M",
        heart.age_years,
        causes.mass,
        causes.volume,
        causes.function,
        causes.right,
        *numbers,
        *kinds,
    ]


def from_cine(heart: Heart) -> list[float]:
    """Sex, age and areas of the slice, mm²."""
    slice_ = beat(heart, PHASES)
    systole = int(np.argmax(slice_.contracted))
    areas = [curve[at] for curve in (slice_.lv_mm2, slice_.muscle_mm2, slice_.rv_mm2) for at in (0, systole)]
    change = float(np.log(slice_.lv_mm2[systole] / slice_.lv_mm2[0]))
    return [heart.sex == "M", heart.age_years, *areas, *slice_.lv_mm2[4::8], float(slice_.rv_mm2.min()), change]


def truth(heart: Heart) -> list[float]:
    """In the order of `AIMS`."""
    return [heart.lv_mass_g, heart.lv_edv_ml, heart.lv_esv_ml, heart.rv_edv_ml, heart.lv_ef]


def r_squared(told: np.ndarray, target: np.ndarray) -> float:
    """Share of the variance explained in the hearts that were not trained on."""
    n = int(0.7 * len(told))
    model = HistGradientBoostingRegressor(
        max_iter=600, learning_rate=0.04, max_leaf_nodes=12, min_samples_leaf=40, l2_regularization=1.0,
        early_stopping=True, validation_fraction=0.15, random_state=0,
    )  # fmt: skip
    model.fit(told[:n], target[:n])
    left = target[n:] - model.predict(told[n:])
    return float(1 - (left**2).mean() / target[n:].var())


def measured(population: str, n_hearts: int) -> list[dict[str, object]]:
    """Print and return one row a quantity."""
    hearts = [draw(SEED, patient, population) for patient in range(n_hearts)]
    targets = np.array([truth(heart) for heart in hearts])
    told = {
        "ecg": np.array([from_ecg(heart) for heart in hearts], float),
        "cine": np.array([from_cine(heart) for heart in hearts], float),
    }
    print(f"{n_hearts} hearts of the population {population}; R², aim in brackets (± {TOLERANCE})")
    print(f"{'':8} {'sex and age':>12} {'from the ECG':>16} {'from the cine':>16}")
    rows: list[dict[str, object]] = []
    for column, (name, aims) in enumerate(AIMS.items()):
        by_sex_age = r_squared(told["ecg"][:, :2], targets[:, column])
        row: dict[str, object] = {
            "bench": "simulator_ceilings",
            "population": population,
            "hearts": n_hearts,
            "quantity": name,
        }
        row |= {"quantity": name, "R2_from_sex_and_age": by_sex_age}
        line = f"{name:8} {by_sex_age:12.3f}"
        for source, words, aim in zip(told, ("ECG", "cine"), aims, strict=True):
            aim = aim if population == "general" else None
            value = r_squared(told[source], targets[:, column])
            row |= {f"R2_from_the_{words}": value, f"aim_{words}": aim}
            line += f" {value:8.3f} " + ("" if aim is None else f"({aim:.2f}{_mark(value, aim)})").ljust(7)
        print(line)
        rows.append(row)
    return rows


def main() -> None:
    """Measure both populations, or the one named, and print or write the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--hearts", type=int, default=30000)
    parser.add_argument("--population", choices=tuple(POPULATIONS), help="both if not given")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    chosen = [given.population] if given.population else list(POPULATIONS)
    rows = [row for population in chosen for row in measured(population, given.hearts)]
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1))


def _mark(value: float, aim: float) -> str:
    return "" if abs(value - aim) <= TOLERANCE else " !"


if __name__ == "__main__":
    main()
