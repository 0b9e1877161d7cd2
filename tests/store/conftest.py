"""A cohort of arrays that tell which study they are of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from cardioloom.records import ECG, STANDARD_LEADS, Counts
from cardioloom.store import Entry, Folder, Layout, Modality, Plan, ecg_modality
from cardioloom.store.build import build

FS, SAMPLES = 100.0, 200


@dataclass(frozen=True)
class Frames:
    frames: np.ndarray


def entry(k: int) -> Entry:
    """Study k of patient k // 3; limb leads obey Einthoven; every fifth study has no echo."""
    random = np.random.default_rng(k)
    eight = random.integers(-400, 400, (8, SAMPLES)).cumsum(axis=1) % 900 - 450
    one, two = eight[0] * 2, eight[1] * 2
    rows = [one, two, two - one, -(one + two) // 2, one - two // 2, two - one // 2, *eight[2:]]
    counts = Counts(np.stack(rows).astype(np.int16), np.full(12, 500.0), np.zeros(12), (-32768,) * 12)
    records = {"ecg": ECG(counts, STANDARD_LEADS, FS)}
    if k % 5:
        records |= {"echo": Frames(np.full((2, 4, 4), k, np.uint8))}
    label = {"AF": float(k % 2), "lvef": 40.0 + k, "rhythm": "sinus" if k % 4 else None}
    return Entry(f"s{k:03d}", f"p{k // 3:03d}", records, age=50.0 + k // 3, sex="FM"[k // 3 % 2], labels=label)


def make(task: int) -> list[Entry]:
    return [entry(task)]


def cohort_at(path: Path, n: int = 60) -> Folder:
    modalities = {"ecg": ecg_modality(FS, SAMPLES / FS), "echo": Modality("echo", (2, 4, 4), "uint8")}
    labels = {"AF": {"kind": "binary", "low": 0.0, "high": 1.0}, "lvef": {"kind": "number"}, "rhythm": {"kind": "text"}}
    layout = Layout(modalities, FS, shard_rows=16)
    build(path, Plan(range(n), make, layout, {}, {"source": "made", "licence": "none"}, labels, ("AF",)), workers=1)
    return Folder.at(path)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A cohort that may be damaged."""
    return cohort_at(tmp_path / "cohort")


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A cohort that is only read."""
    return cohort_at(tmp_path_factory.mktemp("sound") / "cohort")
