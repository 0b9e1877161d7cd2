"""PTACL, for training (Selivanov et al. 2025, MICCAI; arXiv:2506.20683): ECG and cine aligned by patient and by phase.

Cohort: studies with a 10 s ECG of twelve leads and a cine of the short axis, one slice round the heart.
1. Each encoder alone, as a masked autoencoder (`ptacl_stages.masked`).
2. Both on pairs, their first blocks held: InfoNCE between patients, and between the phases of the beat of one patient
   (`ptacl_stages.pairs`). An ECG with fewer than two whole beats, or with irregular ones, counts in the first alone.
3. Numbers from the ECG encoder: least squares on the mean of its tokens, or all weights with attention pooling
   (`ptacl_head`).
Each method that the paper compares itself with is the same with a part left out or another in its place
(`ptacl_settings.METHODS`).

Where this differs from the paper, or fills what it leaves open: docs/models/ptacl.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import UsageError
from cardioloom.evaluation import phenotypes
from cardioloom.evaluation import target as targets_of
from cardioloom.evaluation.target import Target
from cardioloom.models import ptacl
from cardioloom.models.contract import Contract
from cardioloom.nn.readout import config_of
from cardioloom.prepare.ecg import ptacl as preparation_of
from cardioloom.recipes import keep
from cardioloom.recipes.flat import flat_cines
from cardioloom.recipes.keep import TEST, TRAIN, VALIDATION
from cardioloom.recipes.pairs import CINE, refuse_cohort, refuse_empty, refuse_none, stored
from cardioloom.recipes.ptacl_course import Course, modalities_of
from cardioloom.recipes.ptacl_keep import Kept, chosen
from cardioloom.recipes.ptacl_settings import Settings
from cardioloom.recipes.ptacl_sizes import PRESETS
from cardioloom.recipes.ptacl_stages import encoder_config, encoders_of
from cardioloom.recipes.ptacl_told import told_of
from cardioloom.store import Folder

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from cardioloom.recipes.run import Run

__all__ = ["PRESETS", "Job", "Settings", "begun_with", "job", "train"]


@dataclass(frozen=True, eq=False)
class Job:
    """A training that was checked and can begin.

    Args:
        folder: the cohort, with splits "train" and, where there are some, "validation" and "test".
        settings: what is asked for.
        contract: of the model that will be written; its task holds names, units, means and spreads of the targets.
        targets: what the head learns.
        truth: (study, target) standardised, NaN = not known.
        begun: runs of which stages are taken that are the same here.
    """

    folder: Folder
    settings: Settings
    contract: Contract
    targets: tuple[Target, ...]
    truth: NDArray[np.float64]
    begun: tuple[Kept, ...] = ()


def begun_with(init: str | None) -> tuple[tuple[tuple[Kept, ...]] | tuple[()], str | None]:
    """The runs, with commas between them, whose stages a training begins with, and a sum over their weights.

    Raises:
        UsageError: if none is named, or one holds no encoders.
    """
    if init is None:
        return (), None
    runs = tuple(Kept(Path(one.strip())) for one in init.split(",") if one.strip())
    if not runs:
        raise UsageError(f"--init needs the run folders to begin with, got {init!r}: name one, or leave it out")
    return (runs,), hashlib.sha256("".join(run.sha256() for run in runs).encode()).hexdigest()


def job(folder: Folder, settings: Settings, name: str, begun: tuple[Kept, ...] = ()) -> Job:
    """Check what is asked for against the cohort.

    Raises:
        UsageError: if the cohort lacks ECGs, cines, pairs or a split, a target cannot be read or has one value only,
            a phenotype is in another unit, or a stage of a run to begin with is another.
        DamagedFileError: if such a stage, or a shard of the cohort's cines, cannot be read.
        RecordError: if the cohort lacks a column.
    """
    refuse_cohort(folder, modalities_of(settings))
    cohort = folder.cohort()
    if TRAIN not in cohort.splits:
        raise UsageError(f"the cohort needs a split called {TRAIN}, got {', '.join(cohort.splits) or 'none'}: split it")
    asked = settings.targets
    targets = targets_of.parse(asked) if asked is not None else phenotypes.targets_of(cohort)
    truth = targets_of.truth(cohort, targets)
    if targets_of.kind_of(targets, truth) != "number":
        raise UsageError("PTACL predicts numbers, got targets of 0 and 1: train ecgfounder on them, or name numbers")
    phenotypes.refuse_odd(targets, truth)
    if begun and not any(run.has(stage) for run in begun for stage in settings.stages):
        wanted = ", ".join(settings.stages) or "no stage before its head"
        raise UsageError(f"--init has no stage that {settings.method} takes (it has {wanted}): leave it out")
    for stage in settings.stages:
        chosen(begun, stage, told_of(settings, stage, folder.facts["fingerprint"], targets))
    scale = keep.scale_of(truth[cohort.column("split") == TRAIN], "number", [target.code for target in targets])
    config = config_of(encoder_config(settings, settings.method_of.modality), settings.pool_of, len(targets))
    _refuse_too_few(folder, settings)  # last: it may read every cine
    recipe = f"recipe ptacl, method {settings.method}"
    contract = keep.contract_of(name, ptacl.NET, config, preparation_of(), recipe, ptacl.CITATION)
    contract = keep.with_task(contract, targets, "number", scale)
    return Job(folder, settings, contract, targets, (truth - scale.mean) / scale.std, begun)


def _refuse_too_few(folder: Folder, settings: Settings) -> None:
    """Refuse a cohort or a split without the studies that the method is trained or judged on."""
    method, wanted = settings.method_of, modalities_of(settings)
    refuse_none(folder, wanted)
    refuse_empty(folder, TRAIN, wanted, apart=method.pairs is not None or method.first == "simclr")
    refuse_empty(folder, TEST, wanted)
    refuse_empty(folder, VALIDATION, (stored(method.modality),))


def train(
    asked: Job,
    run: Run,
    fabric: Fabric,
    *,
    resume: bool = False,
    watch: Callable[[Mapping[str, Any]], None] | None = None,
) -> Mapping[str, Any]:
    """Every stage of the method, the model folder, and what it is judged by.

    Args:
        asked: what was checked.
        run: the run folder.
        fabric: launched.
        resume: go on where the run was interrupted.
        watch: is told each line of the log.

    Returns:
        what the head says of itself, and of the whole: steps, seconds, share of time in which nets waited.
    """
    course = Course(asked, run, fabric, {"resume": resume, "watch": watch})
    encoders = course.alone()
    net = None
    if asked.settings.method_of.pairs:
        net = course.together(encoders)
        encoders |= encoders_of(net)
    readout = course.head(encoders[asked.settings.method_of.modality])
    said = course.judge(readout, net)
    stages = run.facts["stages"]
    seconds = {name: stage.get("seconds", 0.0) for name, stage in stages.items()}
    waited = sum(stages[name].get("waited", 0.0) * taken for name, taken in seconds.items())
    whole = {"steps": sum(stage.get("steps", 0) for stage in stages.values()), "seconds": sum(seconds.values())}
    pairs = stages.get("pairs", {})
    whole |= {"waited": waited / (whole["seconds"] or 1.0), "left_out": pairs.get("left_out", 0)}
    whole |= {"not_taken": pairs.get("not_taken", {}), "flat": flat_of(asked)}
    return {**stages["head"], **said, **whole}


def flat_of(asked: Job) -> list[str]:
    """Studies whose cine has no picture, where cines are wanted: they count as studies without one."""
    if CINE not in modalities_of(asked.settings):
        return []
    return asked.folder.columns["study_id"][flat_cines(asked.folder, CINE)].tolist()
