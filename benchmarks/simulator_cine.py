"""Simulated cines beside Sunnybrook's: brightness of the tissues, and LVEF by group of patients.

Real: Sunnybrook Cardiac Data (CC0; Radau et al. 2009, http://hdl.handle.net/10380/3070) as they lie in the shared data.
Brightness: the three middle short-axis slices of four patients at end-diastole, within the masks; simulated: healthy,
hypertrophic, dilated and infarcted hearts of the hospital population. All as shares of the median signal of blood.
LVEF: sums of the masked areas of thirty patients in four groups; simulated: the truth of the hospital population.

Run: python benchmarks/simulator_cine.py [--hearts 4000] [--json OUT]
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cardioloom.simulator import Heart, cine, cine_truth, draw
from rows import parser, show

SHARED = Path(os.environ.get("CARDIOLOOM_SHARED", Path(__file__).resolve().parents[1].parent / "shared"))
SEED = 31
BRIGHT = ("healthy", "hypertrophic", "dilated", "infarcted")
EACH = 15  # simulated pictures of each kind
GROUPS = {  # Sunnybrook's name → words
    "N": "normal",
    "HYP": "hypertrophy",
    "HF-NI": "heart failure without infarction",
    "HF-I": "heart failure with infarction",
}


def group(heart: Heart) -> str | None:
    """The group of Sunnybrook that a simulated heart would be in; None for what was not enrolled there."""
    if heart.diagnosis in ("dilated_cardiomyopathy", "heart_failure"):
        return "HF-NI" if heart.scar is None else "HF-I"
    return {"normal": "N", "hypertrophic_cardiomyopathy": "HYP"}.get(heart.diagnosis)


def kind(heart: Heart) -> str | None:
    """Of `BRIGHT`."""
    kinds = {"normal": "healthy", "hypertrophic_cardiomyopathy": "hypertrophic", "dilated_cardiomyopathy": "dilated"}
    return "infarcted" if heart.scar is not None else kinds.get(heart.diagnosis)


def real_pictures() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(picture, cavity, muscle) of each real slice at the time for which there is a mask."""
    from nibabel.nifti1 import Nifti1Image

    for folder in sorted((SHARED / "data/cmr/sunnybrook_4d_nifti").glob("SCD*")):
        pixels = np.asarray(Nifti1Image.from_filename(next(folder.glob("*sax_4d.nii.gz"))).dataobj, np.float32)
        mask = np.asarray(Nifti1Image.from_filename(next(folder.glob("*ed_gt.nii.gz"))).dataobj)
        middle = pixels.shape[2] // 2
        diastole = int(np.argmax([pixels[..., time][mask == 3].mean() for time in range(pixels.shape[3])]))
        for level in (middle - 1, middle, middle + 1):
            yield pixels[:, :, level, diastole], mask[:, :, level] == 3, mask[:, :, level] == 2


def simulated_pictures(hearts: list[Heart]) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The same of simulated hearts, `EACH` of a kind."""
    for name in BRIGHT:
        for heart in [heart for heart in hearts if kind(heart) == name][:EACH]:
            mask = cine_truth(heart, n_frames=2).masks[0, 0]
            yield cine(heart, n_frames=2).frames[0, 0].astype(np.float32), mask == 1, mask == 2


def brightness(picture: np.ndarray, cavity: np.ndarray, muscle: np.ndarray) -> dict[str, float]:
    """Signals over the median of blood. The cavity's mask holds the papillary muscles, in both."""
    blood = float(np.median(picture[cavity]))
    found = {"muscle": float(np.median(picture[muscle])), "spread within the cavity (SD)": float(picture[cavity].std())}
    for share in (10, 50, 90, 99):
        found[f"{share} % of the picture lies below"] = float(np.percentile(picture, share))
    return {name: value / blood for name, value in found.items()}


def brightness_rows(hearts: list[Heart]) -> list[dict[str, object]]:
    """Median and range of the real beside median and 5th to 95th percentile of the simulated."""
    real = [brightness(*picture) for picture in real_pictures()]
    made = [brightness(*picture) for picture in simulated_pictures(hearts)]
    rows: list[dict[str, object]] = []
    for name in made[0]:
        ours, theirs = np.array([one[name] for one in made]), np.array([one[name] for one in real])
        rows.append(compared("simulator_cine", f"{name}, over blood", theirs, ours, 2))
    return rows


def function_rows(hearts: list[Heart]) -> list[dict[str, object]]:
    """LVEF in per cent by group."""
    with (SHARED / "data/cmr/sunnybrook_segnetcmr/subjects.csv").open(newline="") as file:
        real = [(row["group"], float(row["lvef_pct"])) for row in csv.DictReader(file)]
    rows = []
    for short, words in GROUPS.items():
        theirs = np.array([percent for name, percent in real if name == short])
        ours = np.array([100 * heart.lv_ef for heart in hearts if group(heart) == short])
        rows.append(compared("simulator_cine_lvef", f"LVEF %, {words}", theirs, ours, 0))
    return rows


def compared(bench: str, quantity: str, real: np.ndarray, made: np.ndarray, digits: int) -> dict[str, object]:
    """One row."""
    low, high = np.percentile(made, [5, 95])
    within = real.min() <= np.median(made) <= real.max()
    return {
        "bench": bench,
        "quantity": quantity,
        "real_n": len(real),
        "real_median": float(np.median(real)),
        "real_range": f"{real.min():.{digits}f} to {real.max():.{digits}f}",
        "simulated_n": len(made),
        "simulated_median": float(np.median(made)),
        "simulated_5_to_95_percent": f"{low:.{digits}f} to {high:.{digits}f}",
        "median_within_real_range": "yes" if within else "no",
    }


def main() -> None:
    """Measure and print or write the rows."""
    options = parser(__doc__)
    options.add_argument("--hearts", type=int, default=4000)
    given = options.parse_args()
    hearts = [draw(SEED, patient, "hospital") for patient in range(given.hearts)]
    rows = brightness_rows(hearts) + function_rows(hearts)
    show(rows, given.json)


if __name__ == "__main__":
    main()
