"""`calibrate`: a model and a site's cohort → the model with slopes, thresholds and intervals of that site."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cardioloom.api.truth import place_of, run_of, targets_of, truth_of
from cardioloom.errors import MissingExtraError, ModelError, NotEstimableError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cardioloom.evaluation.site import Fitted
    from cardioloom.models import Model
    from cardioloom.records.cohort import Cohort
    from cardioloom.store import Folder

Progress = Callable[[int, int], None]
VALIDATION, TRAIN, ALL = "validation", "train", "all"
SUFFIX = "-calibrated"
FROM_COHORT = re.compile(r"\bcohort ([0-9a-f]{12})\b")  # as recipes write the source on a card


@dataclass(frozen=True)
class Calibrated:
    """What a calibration left behind.

    Args:
        model: the model folder.
        name: of the model.
        fitted: each output before and after.
        n, n_patients: records of the split that the model answered for, and their patients.
        abstained: records that it did not answer for, by reason.
        note: what the card says of it.
    """

    model: Path
    name: str
    fitted: tuple[Fitted, ...]
    n: int
    n_patients: int
    abstained: dict[str, int]
    note: str


def calibrate(
    model: str,
    cohort: Path,
    out: Path,
    /,
    *,
    split: str = VALIDATION,
    targets: str | None = None,
    method: str = "platt",
    rule: Literal["youden", "f1", "sensitivity", "specificity"] = "youden",
    target: float | None = None,
    coverage: float = 0.9,
    name: str | None = None,
    lead: str | None = None,
    batch: int = 32,
    device: str = "cpu",
) -> Calibrated:
    """Set a model to a site: probabilities that mean what they say there, thresholds, intervals; weights stay.

    Args:
        model: a run folder of `train`, a model folder, or the name of an installed model.
        cohort: a cohort folder of the site.
        out: the model folder to write.
        split: of the cohort; all for every study. What the model was trained on is refused.
        targets: columns that hold the truth of outputs, comma between them (AF:y_AF, low_ef:lv_ef<=0.4); those that it
            was trained on, or columns of the outputs' codes, if not given.
        method: platt: slope and intercept, where 20 positives and 20 negatives are there; other outputs stay.
        rule: by which thresholds are chosen: youden, f1, sensitivity or specificity (these two with --target).
        target: the sensitivity or specificity to keep, for example 0.9.
        coverage: of the intervals around numbers.
        name: of the calibrated model; the old name and -calibrated if not given.
        lead: for models of one lead, which lead of each ECG to give them.
        batch: windows that are given to the net at once.
        device: cpu, or cuda on a machine that has it.

    Returns:
        where it lies, and each output before and after.

    Raises:
        UsageError: if a value given here cannot be, OUT exists, or the split was trained on.
        RecordError: if the cohort has no such split or column.
        NotEstimableError: if no output can be fitted; nothing is written.
        ModelError: if the model is refused.
        DamagedFileError: if run.json beside the model cannot be read.
        MissingExtraError: if torch, scikit-learn or pyarrow is not installed.
    """
    given = {"split": split, "targets": targets, "method": method, "rule": rule, "target": target, "name": name}
    return run_calibration(model, cohort, out, coverage=coverage, lead=lead, batch=batch, device=device, **given)


def run_calibration(
    model: str,
    cohort: Path,
    out: Path,
    *,
    split: str = VALIDATION,
    targets: str | None = None,
    method: str = "platt",
    rule: str = "youden",
    target: float | None = None,
    coverage: float = 0.9,
    name: str | None = None,
    lead: str | None = None,
    batch: int = 32,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Calibrated:
    """`calibrate` with a progress callback (done, all)."""
    from cardioloom.evaluation.site import Wanted, fit_outputs, note
    from cardioloom.models import Model
    from cardioloom.store import Folder

    wanted = Wanted(method, rule, target, coverage)
    out = Path(out)
    if out.exists():
        raise UsageError(f"{out} exists: name a folder that does not")
    loaded = Model.from_pretrained(place_of(model), device=device)
    folder = Folder.of_ecgs(cohort)
    _refuse_training(loaded, folder, split)
    part = _part(folder, split)
    asked = targets_of(loaded, part, targets)
    task, named = loaded.contract.task, _named(loaded, out, name)
    truth = truth_of(loaded, part, folder.cohort(), asked)
    raw, answered, abstained = _outputs(loaded, folder, part, lead, batch, progress)
    fitted = fit_outputs(task, raw, truth[answered], wanted, asked=[one.code for one in asked])
    _refuse_nothing(fitted)
    facts = folder.facts
    whom = f"{facts['source']} (cohort {facts['fingerprint'][:12]})"
    is_whole = split == ALL or not part.splits
    where = " ".join(["all studies", *part.splits]) if is_whole else f"split {split}"
    n_patients = len(set(part.column("patient_id")[answered].tolist()))
    said = note(fitted, wanted, cohort=whom, split=where, n=len(raw), n_patients=n_patients)
    _write(loaded, named, fitted, said, out, is_simulated="generator" in facts)
    return Calibrated(out, named, fitted, len(raw), n_patients, abstained, said)


def _refuse_training(model: Model, folder: Folder, split: str) -> None:
    """Refuse the studies that the model was trained on, as its run folder or its card names them."""
    fingerprint = str(folder.facts["fingerprint"])
    seen = {str(run_of(model.folder).get("cohort", ""))[:12], *FROM_COHORT.findall(model.contract.card.source)} - {""}
    if fingerprint[:12] not in seen:
        return
    unseen = "a calibration needs patients that the model has not seen"
    if not folder.cohort().splits:
        raise UsageError(f"{model.name} was trained on this cohort, which has no splits: {unseen}, use another cohort")
    if split in (TRAIN, ALL):
        raise UsageError(f"{model.name} was trained on split {TRAIN} of this cohort, got --split {split}: {unseen}")


def _part(folder: Folder, split: str) -> Cohort:
    """The studies with an ECG of the split; of all where there are no splits and none was asked for by name."""
    cohort = folder.cohort(folder.ecg)
    if split != ALL and (cohort.splits or split != VALIDATION):
        cohort = cohort.split(split)
    has_ecg = folder.has("ecg")[cohort.rows]
    if not has_ecg.any():
        raise UsageError(f"{folder.path} has no ECG in split {split}: choose another split or cohort")
    return cohort.take(has_ecg)


def _outputs(
    model: Model, folder: Folder, cohort: Cohort, lead: str | None, batch: int, progress: Progress | None
) -> tuple[list[NDArray[np.float64]], NDArray[np.int64], dict[str, int]]:
    """(window, output) of the net for each study, numbers of these studies, and reasons of the others."""
    import numpy as np

    from cardioloom.models.task import Task

    # Standardised numbers with mean 0 and spread 1 are what the net gives: no sigmoid, no earlier calibration.
    neutral = tuple(replace(output, mean=0.0, std=1.0, half_width=None) for output in model.contract.task.outputs)
    bare = replace(model, contract=replace(model.contract, task=Task("regression", neutral)))
    raw, answered, abstained = [], [], {}
    for n, said in enumerate(bare.stream(iter(cohort), lead=lead, batch=batch)):
        if said.abstained is None:
            raw.append(said.probabilities)
            answered.append(n)
        else:
            abstained[said.abstained.why] = abstained.get(said.abstained.why, 0) + 1
        if progress:
            progress(n + 1, len(cohort))
    if not raw:
        why = next(iter(abstained))
        raise UsageError(
            f"{model.name} abstains from every ECG of {folder.path} ({why}): use a cohort that it can read"
        )
    return raw, np.array(answered, np.int64), abstained


def _refuse_nothing(fitted: Sequence[Fitted]) -> None:
    if all(one.stays is not None for one in fitted):
        lines = "".join(f"\n  {one.before.code}: {one.stays}" for one in fitted)
        raise NotEstimableError(f"no output could be calibrated, nothing was written:{lines}")


def _named(model: Model, out: Path, name: str | None) -> str:
    """Name of the calibrated model; one that is put among the installed ones is called as its folder."""
    from cardioloom.models import installed

    found = name if name is not None else model.name.removesuffix(SUFFIX) + SUFFIX
    if not found.strip():
        raise UsageError("--name must be a name, got an empty one: leave it out")
    try:
        is_installed = out.resolve().parent == installed.models().resolve()
    except MissingExtraError:  # no cache is to be had: then no model is installed
        is_installed = False
    if is_installed and found != out.name:
        raise UsageError(f"an installed model is called as its folder, got {found} in {out}: give --name {out.name}")
    return found


def _write(model: Model, name: str, fitted: Sequence[Fitted], said: str, out: Path, *, is_simulated: bool) -> None:
    """The model folder: the same weights, the new task, the card with its note, a golden pair of both."""
    from cardioloom.models import adding, installed
    from cardioloom.models.cards import UNCALIBRATED
    from cardioloom.models.contract import WEIGHTS

    contract, card = model.contract, model.contract.card
    task = replace(contract.task, outputs=tuple(one.after for one in fitted))
    trained_on = card.trained_on
    if is_simulated and "simulated" not in trained_on:
        trained_on += "; calibrated on simulated patients"  # a report shows these words beside every finding
    limits = tuple(limit for limit in card.limits if not limit.endswith(UNCALIBRATED))
    if limits != card.limits and (rest := sum(not one.calibrated for one in task.outputs)):
        limits = (f"{rest} of the {len(task.outputs)} {UNCALIBRATED}", *limits)
    made = replace(contract, name=name, task=task)
    made = made.with_card(notes=(*card.notes, said), trained_on=trained_on, limits=limits)
    try:
        with installed.arriving(out) as part:
            adding.build(made, model.folder / WEIGHTS, part)
    except OSError as error:
        raise ModelError(f"{out} could not be written ({error.strerror}): make room there") from error
