"""`evaluate`: a model and a cohort → predictions, every metric with its interval, and a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cardioloom import __version__
from cardioloom.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from cardioloom.api.evaluating_ask import Asked

SCHEMA = "cardioloom.evaluation/1"
SIMULATED = "simulated patients"
MAX_BATCH = 4096
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation found.

    Args:
        out: the folder with metrics.json, predictions.parquet and report.html.
        metrics: what metrics.json holds.
    """

    out: Path
    metrics: Mapping[str, Any]


def evaluate(
    model: str,
    cohort: Path,
    out: Path,
    /,
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
) -> Evaluated:
    """Judge a model on a cohort: every metric with its interval, subgroups, centres, baselines, and a page.

    Args:
        model: a run folder of `train`, a model folder, or the name of an installed model.
        cohort: a cohort folder, of `simulate` or `cohort build`.
        out: the folder to write; an evaluation of the same model and cohort in it is replaced.
        split: which patients; test if there is such a split, else all; all for all.
        targets: the truth of outputs, comma between them: columns (AF:y_AF) or comparisons (low_ef:lv_ef<=0.4); what
            the model was trained on if not given, else the columns that are called like its outputs (AF, y_AF).
        by: more columns for subgroups, comma between them; sex, age, and site, source, device if there, always.
        centre: the column that names the centre; site or source if there.
        survival: years, event and, where the model has many outputs, the output that is the risk, for example
            af_years,af_event,AF.
        baselines: age_sex, measure, random_encoder, comma between them, or none; fitted on the train split.
        draws: of the bootstrap of patients.
        seed: of the bootstrap and the baselines.
        batch: windows that are given to the net at once.
        device: cpu, or cuda on a machine that has it.
        lead: for models of one lead, which lead of each ECG to give them.
        workers: processes that measure ECGs; as many as there are cores if not given.

    Returns:
        the folder and what metrics.json holds.

    Raises:
        UsageError: if a value given here cannot be, no output has a truth, the model abstains from every study, or OUT
            holds something else.
        RecordError: if the table is no cohort's, for example with a patient in two splits.
        ModelError: if the model is refused.
        WriteError: if the disk is full or refuses.
        MissingExtraError: if torch, scikit-learn, lifelines or pyarrow is not installed.
    """
    return evaluate_with(
        model,
        cohort,
        out,
        split=split,
        targets=targets,
        by=by,
        centre=centre,
        survival=survival,
        baselines=baselines,
        draws=draws,
        seed=seed,
        batch=batch,
        device=device,
        lead=lead,
        workers=workers,
    )


def evaluate_with(
    model: str | Path, cohort: Path, out: Path, *, progress: Progress | None = None, **options: Any
) -> Evaluated:
    """`evaluate` with a callback that is told what is being done, how much of it is done, and of how much."""
    need_evaluation()
    from cardioloom.api.evaluating_ask import ask
    from cardioloom.api.evaluating_write import make_place, write

    if not 1 <= options.get("batch", 32) <= MAX_BATCH:
        raise UsageError(f"--batch must be a number of windows from 1 to {MAX_BATCH}, got {options['batch']}")
    asked = ask(model, Path(cohort), Path(out), **options)
    make_place(asked.out)
    metrics, predictions = judge(asked, progress or (lambda *_: None))
    write(asked, metrics, predictions)
    return Evaluated(asked.out, metrics)


def judge(asked: Asked, progress: Progress) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Metrics as they are written, and the columns of the predictions."""
    from cardioloom.api.evaluating_answers import predict, predictions_of, with_random_encoder
    from cardioloom.evaluation.assess import assess
    from cardioloom.evaluation.contamination import contamination
    from cardioloom.evaluation.degenerate import without_degenerate

    needs_encoder = "random_encoder" in asked.baselines and asked.train is not None
    model = with_random_encoder(asked)[0] if needs_encoder else asked.model
    answers = predict(asked, model, asked.rows, "predicting", progress)
    validation = None
    if asked.validation is not None and asked.kind == "multi_label":
        told = predict(asked, asked.model, asked.validation, "predicting the validation split", progress)
        validation = asked.judged(asked.validation, told) if told.kept.any() else None
    answers.refuse_if_none(asked.model.name)
    judged = asked.judged(asked.rows, answers)
    facts = {
        "schema": SCHEMA,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "cardioloom": __version__,
        "model": _model(asked),
        "cohort": _cohort(asked),
        "contamination": contamination(
            asked.model.contract.card,
            asked.folder.facts,
            split=None if asked.split == "all" else asked.split,
            run=asked.run,
            sources=asked.sources(),
        ),
        "excluded": answers.excluded(asked.studies(asked.rows)),
        "warnings": [{"text": text, "n": n} for text, n in sorted(answers.warnings.items())],
        "outputs_without_truth": list(asked.without_truth),
        "targets": [str(target) for target in asked.targets],
    }
    found = facts | assess(judged, validation, bootstrap=asked.bootstrap, centre=asked.centre, tick=progress)
    found["baselines"] = _baselines(asked, judged, answers, progress)
    if asked.outcome is not None:
        found["survival"] = _survival(asked, answers)
    return without_degenerate(found), predictions_of(asked, answers)


def _model(asked: Asked) -> dict[str, Any]:
    card = asked.model.contract.card
    said = {name: getattr(card, name) for name in ("title", "trained_on", "licence", "source", "intended_use")}
    return {"name": asked.model.name, "sha256": asked.model.sha256, **said, "limits": list(card.limits)}


def _cohort(asked: Asked) -> dict[str, Any]:
    facts = asked.folder.facts
    part = asked.cohort.take(asked.rows)
    is_simulated = "generator" in facts
    return {
        "source": str(facts.get("source", "")),
        "licence": str(facts.get("licence", "")),
        "fingerprint": str(facts.get("fingerprint", "")),
        "split": asked.split,
        "studies": len(part),
        "patients": part.n_patients,
        "table_1": asked.cohort.table_1(),
        "simulated": is_simulated,
        "statement": str(facts.get("statement") or (SIMULATED if is_simulated else "")),
    }


def _baselines(asked: Asked, judged: Any, answers: Any, progress: Progress) -> dict[str, Any]:
    from cardioloom.api.evaluating_answers import sides
    from cardioloom.evaluation.baselines import baseline

    found: dict[str, Any] = {}
    for done, name in enumerate(asked.baselines):
        own = sides(asked, name, answers, progress)
        progress("fitting baselines", done, len(asked.baselines))
        found[name] = {"not_made": own} if isinstance(own, str) else baseline(name, judged, own, asked.bootstrap)
    return found


def _survival(asked: Asked, answers: Any) -> dict[str, Any]:
    import numpy as np

    from cardioloom.evaluation.assess_survival import assess_survival

    assert asked.outcome is not None
    outcome, (years, events, left_out) = asked.outcome
    at = [output.code for output in asked.model.contract.task.outputs].index(outcome.output)
    kept = answers.kept
    found = assess_survival(
        years[kept],
        events[kept],
        answers.scores[kept, at],
        np.asarray(asked.patients(asked.rows))[kept],
        asked.bootstrap,
        is_probability=asked.kind == "multi_label",
    )
    return {"time": outcome.time, "event": outcome.event, "output": outcome.output, "left_out": left_out, **found}


def need_evaluation() -> None:
    """Raise MissingExtraError where the packages that an evaluation needs are not installed."""
    try:
        import lifelines
        import pyarrow as pa
        import safetensors
        import sklearn
        import torch
    except ImportError as error:
        raise MissingExtraError(
            f"evaluation needs the package {error.name}, which is not installed: pip install 'cardioloom[train,models]'"
        ) from error
    del lifelines, pa, safetensors, sklearn, torch
