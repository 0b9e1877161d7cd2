"""Which columns of a cohort hold the truth of a model's outputs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cardioloom.errors import DamagedFileError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cardioloom.evaluation.target import Target
    from cardioloom.models import Model
    from cardioloom.records.cohort import Cohort

RUN, MODEL = "run.json", "model"  # in a run folder
SOME = 12  # outputs that a message names


def place_of(model: str | Path) -> str | Path:
    """The model folder where a run folder is named; else the name or the folder that was given.

    Raises:
        UsageError: if the run has no model yet.
    """
    folder = Path(model)
    if not (folder / RUN).is_file():
        return model
    if not (folder / MODEL).is_dir() and "judge" in run_of(folder / MODEL).get("stages", {}):
        raise UsageError(f"{folder} holds a run that leaves no model of ECGs: what it found is in its judged.json")
    if not (folder / MODEL).is_dir():
        raise UsageError(f"{folder} holds a run that has no model yet: go on with it with train --resume")
    return folder / MODEL


def run_of(folder: Path) -> dict[str, Any]:
    """What run.json says of the training, where a model folder lies in a run folder; else nothing.

    Raises:
        DamagedFileError: if it is there and cannot be read: it says what the model was trained on.
    """
    path = folder.resolve().parent / RUN
    if not path.is_file():
        return {}
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if not (isinstance(facts, dict) and isinstance(facts.get("stages", {}), dict)):
            raise ValueError("no run")
    except (OSError, ValueError) as error:
        raise DamagedFileError(f"{path} cannot be read as JSON: name the model folder in a place of its own") from error
    return facts


def targets_of(model: Model, cohort: Cohort, text: str | None) -> tuple[Target, ...]:
    """Which columns hold the truth of which outputs: as asked for, as trained, or by name."""
    from cardioloom.evaluation.target import Target, parse

    codes = [output.code for output in model.contract.task.outputs]
    if not codes:
        raise UsageError(f"{model.name} gives features alone, there is no output to judge: use embed")
    if text is not None:
        found = parse(text)
        if unknown := [one.code for one in found if one.code not in codes]:
            some = ", ".join(codes[:SOME]) + (" …" if len(codes) > SOME else "")
            raise UsageError(f"{model.name} has the outputs {some}, got {', '.join(unknown)}: write OUTPUT:COLUMN")
        return found
    stages = run_of(model.folder).get("stages", {})
    trained = [one for stage in stages.values() for one in stage.get("targets", ())]
    named = {one.code: one for one in map(Target.of, trained) if one.code in codes and one.is_in(cohort)}
    for code in codes:
        column = next((name for name in (code, f"y_{code}") if name in cohort.columns), None)
        if column is not None:
            named.setdefault(code, Target(code, column))
    if not named:
        raise UsageError(
            f"the cohort has no column called {codes[0]} or y_{codes[0]}, nor of another output of {model.name}: say "
            "with --targets OUTPUT:COLUMN where the truth is"
        )
    return tuple(named[code] for code in codes if code in named)


def truth_of(model: Model, cohort: Cohort, whole: Cohort, asked: Sequence[Target]) -> NDArray[np.float64]:
    """(study, output) the truth, NaN = not known.

    Args:
        model: whose outputs they are.
        cohort: the studies.
        whole: the cohort that they are a part of: a word that no study of the part has is still a word of its column.
        asked: where the truth is.

    Raises:
        RecordError: if the cohort lacks a column.
        UsageError: if a column cannot be read as asked, a label is not 0 or 1, or a phenotype is in another unit than
            the output.
    """
    import numpy as np

    from cardioloom.evaluation.phenotypes import refuse_other_unit

    task = model.contract.task
    place = {output.code: n for n, output in enumerate(task.outputs)}
    truth = np.full((len(cohort), len(task.outputs)), np.nan)
    for one in asked:
        values = one.values(whole)
        truth[:, place[one.code]] = own = values[cohort.rows]
        if task.kind == "regression":
            refuse_other_unit(one, task.outputs[place[one.code]].unit, values)
        if task.kind == "multi_label" and not np.isin(own[~np.isnan(own)], (0.0, 1.0)).all():
            raise UsageError(f"{one.code} is a label of 0 and 1, {one.left} holds other numbers: compare them (>=65)")
    return truth
