"""A call of `evaluate`, checked before the work begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cardioloom.api.evaluating_write import refuse_place
from cardioloom.api.truth import place_of, run_of, targets_of, truth_of
from cardioloom.errors import UsageError
from cardioloom.evaluation.assess_survival import Outcome
from cardioloom.evaluation.baselines import asked_for
from cardioloom.evaluation.judged import Bootstrap, Judged
from cardioloom.evaluation.subgroups import WHERE_THERE, default_centre, groups_of
from cardioloom.evaluation.target import Target
from cardioloom.models import Model
from cardioloom.models.task import Output
from cardioloom.records.cohort import Cohort
from cardioloom.store import Folder

if TYPE_CHECKING:
    from cardioloom.api.evaluating_answers import Answers

TEST, TRAIN, VALIDATION, ALL = "test", "train", "validation", "all"
Rows = NDArray[np.int64]
Survival = tuple[Outcome, tuple[NDArray[np.float64], NDArray[np.float64], dict[str, int]]]


@dataclass(frozen=True, eq=False)
class Asked:
    """A call that was checked.

    Args:
        model: that is judged.
        run: run.json of its training, empty where that is not at hand.
        folder: the cohort.
        cohort: its table.
        out: the folder to write.
        split: that is judged; "all".
        rows, validation, train: (study,) the manifest's rows of the studies that are judged and of two splits that
            are not; None where there is no such split, or it is judged itself.
        targets: whose truth is known.
        truth: (study of the manifest, target) NaN = not known.
        without_truth: codes of the other outputs.
        groups: column → (judged study,).
        centre: one of those columns.
        outcome: what to read for survival, and it read.
        baselines, bootstrap, batch, device, lead, workers: as they are asked for.
    """

    model: Model
    run: Mapping[str, Any]
    folder: Folder
    cohort: Cohort
    out: Path
    split: str
    rows: Rows
    validation: Rows | None
    train: Rows | None
    targets: tuple[Target, ...]
    truth: NDArray[np.float64]
    without_truth: tuple[str, ...]
    groups: Mapping[str, NDArray[np.object_]]
    centre: str | None
    outcome: Survival | None
    baselines: tuple[str, ...]
    bootstrap: Bootstrap
    batch: int = 32
    device: str = "cpu"
    lead: str | None = None
    workers: int | None = None

    @property
    def kind(self) -> str:
        """ "multi_label" or "regression"."""
        return self.model.contract.task.kind

    @property
    def at(self) -> list[int]:
        """Numbers of the outputs that have a truth."""
        codes = [output.code for output in self.model.contract.task.outputs]
        return [codes.index(target.code) for target in self.targets]

    @property
    def outputs(self) -> tuple[Output, ...]:
        """The outputs that have a truth."""
        return tuple(self.model.contract.task.outputs[k] for k in self.at)

    def studies(self, rows: Rows) -> list[str]:
        """(study,) names."""
        return self.folder.columns["study_id"][rows].tolist()

    def patients(self, rows: Rows) -> list[str]:
        """(study,) names of the patients."""
        return self.folder.columns["patient_id"].astype(str)[rows].tolist()

    def column(self, name: str, rows: Rows) -> NDArray[Any]:
        """(study,) a column, or None throughout where there is none."""
        columns = self.folder.columns
        return columns[name][rows] if name in columns else np.full(len(rows), None, object)

    def ages(self, rows: Rows) -> NDArray[np.float64]:
        """(study,) years, NaN = not known."""
        return self.column("age", rows).astype(np.float64)

    def sources(self) -> tuple[str, ...]:
        """Names that the judged studies' own columns give to where they come from."""
        words = (self.groups[name] for name in WHERE_THERE[:2] if name in self.groups)
        return tuple(dict.fromkeys(str(word) for column in words for word in column if word is not None))

    def judged(self, rows: Rows, answers: Answers) -> Judged:
        """What can be judged of these studies: those that the model did not abstain from."""
        kept = answers.kept
        groups = {name: words[kept] for name, words in self.groups.items()} if rows is self.rows else {}
        patients = np.array(self.patients(rows), object)[kept].tolist()
        return Judged.of(
            self.kind, self.outputs, self.truth[rows[kept]], answers.scores[kept][:, self.at], patients, groups
        )


def ask(
    model: str | Path,
    cohort: Path,
    out: Path,
    *,
    split: str | None = None,
    targets: str | None = None,
    by: str | None = None,
    centre: str | None = None,
    survival: str | None = None,
    baselines: str = "age_sex,measure,random_encoder",
    draws: int = 1000,
    seed: int = 0,
    batch: int = 32,
    device: str = "cpu",
    lead: str | None = None,
    workers: int | None = None,
) -> Asked:
    """Check everything that can be before the work begins; arguments and errors of `evaluate`."""
    bootstrap, wanted = Bootstrap(draws, seed), asked_for(baselines)
    folder = Folder.of_ecgs(cohort)
    table = folder.cohort()
    loaded = Model.from_pretrained(place_of(model), device=device)
    run = run_of(loaded.folder)
    needed = loaded.contract.preparation.leads
    if lead is not None and len(needed) != 1:
        raise UsageError(f"{loaded.name} takes {len(needed)} leads, got --lead {lead}: leave it out")
    refuse_place(out, loaded.sha256, str(folder.facts.get("fingerprint", "")))
    name, rows = _judged_rows(table, split)
    found = targets_for(targets, loaded, table)
    part = table.take(rows)
    codes = [output.code for output in loaded.contract.task.outputs]
    centre = centre or default_centre(part)
    outcome = Outcome.of(survival, tuple(codes)) if survival else None
    others = {split: _other_rows(table, split, name) for split in (VALIDATION, TRAIN)}
    return Asked(
        model=loaded,
        run=run,
        folder=folder,
        cohort=table,
        out=out,
        split=name,
        rows=rows,
        validation=others[VALIDATION],
        train=others[TRAIN],
        targets=found,
        truth=truth_of(loaded, table, table, found)[:, [codes.index(target.code) for target in found]],
        without_truth=tuple(code for code in codes if code not in {target.code for target in found}),
        groups=groups_of(part, _words(by), centre),
        centre=centre,
        outcome=None if outcome is None else (outcome, outcome.read(part)),
        baselines=wanted,
        bootstrap=bootstrap,
        batch=batch,
        device=device,
        lead=lead,
        workers=workers,
    )


def _words(text: str | None) -> tuple[str, ...]:
    return tuple(word.strip() for word in (text or "").split(",") if word.strip())


def _judged_rows(cohort: Cohort, split: str | None) -> tuple[str, Rows]:
    """Name and rows of the split that is judged."""
    name = split or (TEST if TEST in cohort.splits else ALL)
    if name == ALL and ALL not in cohort.splits:
        return ALL, cohort.rows
    if name not in cohort.splits:
        raise UsageError(
            f"the cohort has the splits {', '.join((*cohort.splits, ALL))}, not {name!r}: name one of them"
        )
    return name, cohort.split(name).rows


def _other_rows(cohort: Cohort, split: str, judged: str) -> Rows | None:
    """A split that is not judged: patients of one split are in no other, as the cohort has checked."""
    if judged in (split, ALL) or split not in cohort.splits:
        return None
    return cohort.split(split).rows


def targets_for(text: str | None, model: Model, cohort: Cohort) -> tuple[Target, ...]:
    """What is true of the outputs, in their order: as it is said, as it was in training, or by names of columns.

    Raises:
        UsageError: if a target is no output or no column, or no output has a truth.
    """
    found = {target.code: target for target in targets_of(model, cohort, text)}
    if gone := [target.left for target in found.values() if not target.is_in(cohort)]:
        there = ", ".join(cohort.columns)
        raise UsageError(f"the cohort has no column {', '.join(gone)} for the truth: name some of {there}")
    return tuple(found[output.code] for output in model.contract.task.outputs if output.code in found)
