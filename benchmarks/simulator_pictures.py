"""Simulated cines beside real ones, and the intensities of both: docs/pictures/simulated_cine.png.

The real cines are Sunnybrook Cardiac Data (CC0; Radau et al. 2009, http://hdl.handle.net/10380/3070), cut as they lie
in the shared data; without these the picture shows the simulated alone. The table compares the mean signal of the left
cavity and of its muscle, and the noise in the lungs' place, all as shares of the cavity's.

Run: python benchmarks/simulator_pictures.py [OUT.png]
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np

from cardioloom.simulator import Heart, draw
from cardioloom.simulator.cine import cine, cine_truth

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("CARDIOLOOM_SHARED", ROOT.parent / "shared"))
SHOWN = ("normal", "hypertrophic_cardiomyopathy", "dilated_cardiomyopathy", "ischaemic_scar")
SEED = 31


def real() -> list[tuple[str, np.ndarray, np.ndarray]]:
    """(title, frames (time, row, col), mask (row, col) at end-diastole) of a middle slice each."""
    import nibabel

    found = []
    for folder in sorted((SHARED / "data/cmr/sunnybrook_4d_nifti").glob("SCD*")):
        pixels = np.asarray(nibabel.load(next(folder.glob("*sax_4d.nii.gz"))).dataobj, np.float32)
        mask = np.asarray(nibabel.load(next(folder.glob("*ed_gt.nii.gz"))).dataobj)
        middle = pixels.shape[2] // 2
        frames, ventricle = pixels[:, :, middle].transpose(2, 1, 0), mask[:, :, middle].T
        diastole = int(np.argmax([frame[ventricle == 3].mean() for frame in frames]))
        found.append((f"real {folder.name}", np.roll(frames, -diastole, axis=0), ventricle))
    return found


def simulated() -> list[Heart]:
    """One heart of each diagnosis shown, and more of the healthy."""
    hearts = [draw(SEED, patient, "hospital") for patient in range(600)]
    shown = []
    for diagnosis in SHOWN:
        strong = [h for h in hearts if h.diagnosis == diagnosis and (h.scar is None or h.scar.extent > 0.2)]
        shown += strong[: 4 if diagnosis == "normal" else 2]
    return shown


def grey(frames: np.ndarray) -> np.ndarray:
    """0–1, the 99.3rd percentile white."""
    return np.clip(frames / np.percentile(frames, 99.3), 0, 1)


def table(rows: list[tuple[str, np.ndarray, np.ndarray]]) -> None:
    """Print signal of muscle, darkest tenth, and coefficient of variation within the cavity, as shares of its mean."""
    print(f"{'':12} {'n':>3} {'muscle/blood':>14} {'lung/blood':>12} {'SD/mean in blood':>18}")
    for kind in ("real", "simulated"):
        values = []
        for title, frames, mask in rows:
            if title.startswith(kind):
                first = np.asarray(frames[0], float)
                blood = first[mask == (3 if kind == "real" else 1)]
                muscle = first[mask == 2]
                values.append([np.median(muscle), np.percentile(first, 10), blood.std()] / np.median(blood))
        if values:
            low, high = np.min(values, axis=0), np.max(values, axis=0)
            spans = [f"{a:.2f}–{b:.2f}" for a, b in zip(low, high, strict=True)]
            print(f"{kind:12} {len(values):>3} {spans[0]:>14} {spans[1]:>12} {spans[2]:>18}")


def main() -> None:
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs/pictures/simulated_cine.png"
    hearts = simulated()
    rows = real() if SHARED.is_dir() else []
    rows += [
        (f"simulated, {h.diagnosis.replace('_', ' ')}", cine(h).frames[:, 0], cine_truth(h).masks[0, 0]) for h in hearts
    ]
    long_axes = [
        (f"simulated, {h.diagnosis.replace('_', ' ')}", cine(h, view="lax_4ch").frames[:, 0]) for h in hearts[3:9]
    ]
    table(rows)
    panels = [(title, frames) for title, frames, _ in rows] + long_axes
    n_rows = -(-len(panels) // 3)
    figure, axes = plt.subplots(n_rows, 9, figsize=(15, 1.85 * n_rows))
    for axis in axes.flat:
        axis.axis("off")
    for place, (title, frames) in enumerate(panels):
        scaled = grey(np.asarray(frames, np.float32))
        for step, share in enumerate((0.0, 0.38, 0.75)):
            axis = axes[place // 3, 3 * (place % 3) + step]
            axis.imshow(scaled[int(share * len(scaled))], cmap="gray", vmin=0, vmax=1, interpolation="bicubic")
            axis.set_title(title if step == 1 else "", fontsize=8)
    figure.subplots_adjust(left=0.005, right=0.995, top=0.97, bottom=0.005, wspace=0.02, hspace=0.16)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=80)
    print(out.name)


if __name__ == "__main__":
    main()
