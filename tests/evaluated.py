"""A small cohort and a small model, to be evaluated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import small_net
from cardioloom.models.task import Output, Task
from cardioloom.records import STANDARD_LEADS
from cardioloom.store import Entry, Folder, Layout, Plan, ecg_modality
from cardioloom.store.build import build
from synthetic import ecg

FS, SECONDS = 100.0, 2.0
PATIENTS = 72
LABELS = {
    "y_one": {"kind": "binary"},
    "y_two": {"kind": "binary"},  # 0 of everybody
    "three": {"kind": "binary"},  # known of nobody
    "word": {"kind": "text"},
    "ef": {"kind": "number"},
    "one_years": {"kind": "number"},
    "one_event": {"kind": "binary"},
    "one_prevalent": {"kind": "binary"},
    "none_event": {"kind": "binary"},
    "negative_years": {"kind": "number"},
    "site": {"kind": "text"},
}


def split_of(patient: int) -> str:
    """36 patients to train on, 12 for validation, 24 to be judged."""
    return ("train", "train", "train", "validation", "test", "test")[patient % 6]


def entries(patient: int) -> list[Entry]:
    """One or, of every fifth patient, two studies; those with the label have a slower heart and larger waves."""
    random = np.random.default_rng(patient)
    ill = float(random.random() < 0.45)
    made = []
    for study in range(2 if patient % 5 == 0 else 1):
        record = ecg(seconds=SECONDS, fs=FS, bpm=80 - 15 * ill + 8 * random.normal(), seed=10 * patient + study)
        size = np.float32(1 + 0.3 * ill + 0.2 * random.normal())
        labels = {
            "y_one": ill if random.random() < 0.95 else None,
            "y_two": 0.0,
            "three": None,
            "word": "yes" if ill else "no",
            "ef": 60 - 15 * ill + 4 * random.normal(),
            "one_years": 5 * random.random() + 0.1,
            "one_event": float(random.random() < 0.3 + 0.4 * ill),
            "one_prevalent": float(patient % 12 == 4),
            "none_event": 0.0,
            "negative_years": random.normal(),
            "site": "ABC"[patient % 3],
        }
        made.append(
            Entry(
                f"s{patient:03d}-{study}",
                f"p{patient:03d}",
                {"ecg": replace(record, samples=record.signal * size)},
                age=45.0 + 20 * ill + 12 * random.normal(),
                sex="FM"[patient % 2],
                split=split_of(patient),
                labels=labels,
            )
        )
    return made


def cohort_at(path: Path, leads: tuple[str, ...] = STANDARD_LEADS, **facts: Any) -> Folder:
    """The cohort; ``facts`` for cohort.json."""
    layout = Layout({"ecg": ecg_modality(FS, SECONDS, leads)}, FS, leads, shard_rows=64)
    said = {"source": "made for tests", "licence": "none", **facts}
    build(path, Plan(range(PATIENTS), entries, layout, {}, said, LABELS), workers=1)
    return Folder.at(path)


def number_model(folder: Path) -> Path:
    """A model of one number, the ejection fraction, with an interval."""
    made = small_net.contract("small-number")
    output = Output("ef", "ejection fraction", "function", unit="%", mean=55.0, std=8.0, half_width=20.0, coverage=0.9)
    made = replace(made, config={**made.config, "n_classes": 1}, task=Task("regression", (output,)))
    return small_net.model_folder(folder, made)


def run_folder(folder: Path, **facts: Any) -> Path:
    """What a training leaves: the model, and run.json with what it was trained on."""
    small_net.model_folder(folder / "model")
    said: Mapping[str, Any] = {"schema": "cardioloom.run/1", "arguments": {}, "stages": {}, **facts}
    (folder / "run.json").write_text(json.dumps(said))
    return folder
