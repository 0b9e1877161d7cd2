"""Cohorts of a few simulated patients with an ECG and a cine each, for the tests of what learns from pairs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from cardioloom.api.simulating import entries
from cardioloom.simulator.cine import cine
from cardioloom.simulator.population import draw
from cardioloom.store import Entry, Folder, Layout, Modality, Plan, ecg_modality
from cardioloom.store.build import build

SEED, POPULATION = 7, "hospital"
SPLITS: Mapping[str, int] = {"train": 16, "validation": 10, "test": 18}  # 17 other cines to be found by each ECG
LABELS = (
    *("lv_edv_ml", "lv_esv_ml", "stroke_volume_ml", "lv_ef", "cardiac_output_l_min", "lv_mass_g"),
    *("rv_edv_ml", "rv_esv_ml", "rv_ef", "rhythm"),
)
FRAMES, PIXELS = 30, 84


@dataclass(frozen=True)
class Odd:
    """In what a cohort differs from one that can be trained on.

    Args:
        unpaired: patients without a cine.
        without_ecg: patients without an ECG.
        constant: patients whose cine has one value only.
        has_ecg, has_cine: whether the cohort holds any.
        frames, pixels: of the cines.
        dtype: of the cines; 16 bits hold 200 times the value.
        factor: by which the ejection fractions are multiplied.
        unknown: patients of whom no phenotype is known.
        seed: of the patients.
        is_backwards: the last patient comes first in the manifest.
    """

    unpaired: tuple[int, ...] = ()
    without_ecg: tuple[int, ...] = ()
    constant: tuple[int, ...] = ()
    has_ecg: bool = True
    has_cine: bool = True
    frames: int = FRAMES
    pixels: int = PIXELS
    dtype: str = "uint8"
    factor: float = 1.0
    unknown: tuple[int, ...] = ()
    seed: int = SEED
    is_backwards: bool = False


def make(patient: int, *, splits: Mapping[str, int], odd: Odd) -> Iterable[Entry]:
    """A patient's study."""
    names = [name for name, n in splits.items() for _ in range(n)]
    (entry,) = entries(patient, seed=odd.seed, population=POPULATION, parts=("ecg", "labels"), studies="first")
    records: dict[str, Any] = {} if patient in odd.without_ecg or not odd.has_ecg else dict(entry.records)
    if odd.has_cine and patient not in odd.unpaired:
        records["cine_sax"] = _cine(patient, odd)
    labels = {name: None if patient in odd.unknown else entry.labels[name] for name in LABELS}
    for name in ("lv_ef", "rv_ef"):
        if (value := labels[name]) is not None:
            labels[name] = float(value) * odd.factor
    yield replace(entry, records=records, split=names[patient] if names else None, labels=labels)


def _cine(patient: int, odd: Odd) -> Any:
    if patient in odd.constant:
        frames = np.full((odd.frames, 1, odd.pixels, odd.pixels), 7, odd.dtype)
    else:
        heart = draw(odd.seed, patient, POPULATION)
        frames = cine(heart, view="sax", n_frames=odd.frames, size=odd.pixels).frames
    if odd.dtype == "uint16":
        frames = frames.astype(np.uint16) * 200
    return SimpleNamespace(frames=frames)


def cohort_at(path: Path, splits: Mapping[str, int] = SPLITS, **odd: Any) -> Folder:
    """Such a cohort in a folder; ``odd``: the values of `Odd`."""
    told = Odd(**odd)
    modalities = {"ecg": ecg_modality(500.0, 10.0)} if told.has_ecg else {}
    if told.has_cine:
        modalities["cine_sax"] = Modality("cine_sax", (told.frames, told.pixels, told.pixels), told.dtype)
    facts = {
        "source": "simulated patients",
        "licence": "none",
        "generator": "phantom/1",
        "population": POPULATION,
        "seed": told.seed,
    }
    labels = {name: {"kind": "text" if name == "rhythm" else "number"} for name in LABELS}
    tasks = range(sum(splits.values()) or 6)[:: -1 if told.is_backwards else 1]
    layout = Layout(modalities, shard_rows=16)
    build(path, Plan(tasks, partial(make, splits=splits, odd=told), layout, {}, facts, labels), workers=1)
    return Folder.at(path)
