"""Simulated recordings beside real ones, to be looked at: docs/pictures/simulated_{cine,traces,echo}.png.

The real cines are Sunnybrook Cardiac Data (CC0; Radau et al. 2009, http://hdl.handle.net/10380/3070), the real ECGs are
of PTB-XL (CC BY 4.0; Wagner et al. 2020, doi:10.1038/s41597-020-0495-6), the real echo is a test file of pydicom (MIT).
Without the shared data the pictures show the simulated alone. Numbers are those of simulator_ecg and simulator_cine.

Run: python benchmarks/simulator_pictures.py [FOLDER]
"""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pydicom

import cardioloom
from cardioloom.records import ECG, STANDARD_LEADS
from cardioloom.simulator import Heart, cine, draw, ecg, echo

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("CARDIOLOOM_SHARED", ROOT.parent / "shared"))
SHOWN = ("normal", "hypertrophic_cardiomyopathy", "dilated_cardiomyopathy", "ischaemic_scar")
SEED = 31


def real() -> list[tuple[str, np.ndarray]]:
    """(title, frames (time, row, col)) of a middle slice each, from end-diastole."""
    from nibabel.nifti1 import Nifti1Image

    found = []
    for folder in sorted((SHARED / "data/cmr/sunnybrook_4d_nifti").glob("SCD*")):
        pixels = np.asarray(Nifti1Image.from_filename(next(folder.glob("*sax_4d.nii.gz"))).dataobj, np.float32)
        mask = np.asarray(Nifti1Image.from_filename(next(folder.glob("*ed_gt.nii.gz"))).dataobj)
        middle = pixels.shape[2] // 2
        frames, ventricle = pixels[:, :, middle].transpose(2, 1, 0), mask[:, :, middle].T
        diastole = int(np.argmax([frame[ventricle == 3].mean() for frame in frames]))
        found.append((f"real {folder.name}", np.roll(frames, -diastole, axis=0)))
    return found


def named(heart: Heart) -> str:
    """The diagnosis in words."""
    return heart.diagnosis.replace("_", " ")


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


def cines(out: Path) -> None:
    """End-diastole, systole and diastasis of each cine."""
    import matplotlib.pyplot as plt

    hearts = simulated()
    panels = real() if SHARED.is_dir() else []
    panels += [(f"simulated, {named(h)}", cine(h).frames[:, 0]) for h in hearts]
    panels += [(f"simulated, {named(h)}", cine(h, view="lax_4ch").frames[:, 0]) for h in hearts[3:9]]
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
    figure.savefig(out, dpi=80)


def real_ecgs() -> list[tuple[str, ECG]]:
    """The first recordings of PTB-XL that are labelled normal and nothing else."""
    with (SHARED / "data/ecg/records.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["source"] == "ptbxl"]
    normal = [row for row in rows if [name for name in row if name.startswith("y_") and row[name] == "1"] == ["y_NSR"]]
    loaded = [cardioloom.load(SHARED / "data/ecg" / row["path"]) for row in normal[:2]]
    names = [f"real, PTB-XL {row['record_id']}" for row in normal]
    return [(name, one) for name, one in zip(names, loaded, strict=False) if isinstance(one, ECG)]


def traces(out: Path) -> None:
    """2.5 s of each lead, rows of three leads; 10 mm/mV in every panel."""
    import matplotlib.pyplot as plt

    hearts = simulated()
    panels = real_ecgs() if SHARED.is_dir() else []
    panels += [(f"simulated, {named(h)}", ecg(h)) for h in (hearts[0], hearts[1], hearts[4], hearts[8])]
    figure, axes = plt.subplots(-(-len(panels) // 2), 2, figsize=(15, 4.6 * -(-len(panels) // 2)))
    for axis, (title, shown) in zip(axes.flat, panels, strict=False):
        n = round(2.5 * shown.fs)
        for place, lead in enumerate(STANDARD_LEADS):
            row, col = place % 3, place // 3
            wave = np.asarray(shown.signal)[list(shown.leads).index(lead), col * n : (col + 1) * n]
            axis.plot(np.arange(n) / shown.fs + 2.5 * col, wave - np.median(wave) - 2.8 * row, "k", lw=0.7)
            axis.text(2.5 * col + 0.03, 0.75 - 2.8 * row, lead, fontsize=8)
        axis.set(
            title=title, xlim=(0, 10), ylim=(-7.4, 1.8), xticks=np.arange(0, 10.2, 0.2), yticks=np.arange(-7, 2, 0.5)
        )
        axis.tick_params(labelbottom=False, labelleft=False, length=0)
        axis.grid(color="#e8b7b0", lw=0.5)
    figure.tight_layout()
    figure.savefig(out, dpi=70)


def echoes(out: Path) -> None:
    """Two moments of each video."""
    import matplotlib.pyplot as plt

    panels = []
    if SHARED.is_dir():
        path = SHARED / "data/echo/dicom_us_multiframe_pydicom/examples_ybr_color.dcm"
        pixels = pydicom.dcmread(path).pixel_array[..., 0]
        panels.append(("real, a test file of pydicom", pixels[[0, 12], 10:200]))
    panels += [(f"simulated, {named(h)}", echo(h, size=224, n_frames=32).frames[[3, 12]]) for h in simulated()[3:8]]
    figure, axes = plt.subplots(len(panels) // 2, 4, figsize=(14, 3.5 * (len(panels) // 2)))
    for axis in axes.flat:
        axis.axis("off")
    for place, (title, frames) in enumerate(panels):
        for step, frame in enumerate(frames):
            axis = axes[place // 2, 2 * (place % 2) + step]
            axis.imshow(frame, cmap="gray")
            axis.set_title(title if step == 0 else "", fontsize=9)
    figure.tight_layout()
    figure.savefig(out, dpi=70)


def main() -> None:
    """Draw all."""
    mpl.use("Agg")
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs/pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for name, drawn in {"cine": cines, "traces": traces, "echo": echoes}.items():
        drawn(folder / f"simulated_{name}.png")
        print(f"simulated_{name}.png")


if __name__ == "__main__":
    main()
