"""What a model says of the studies of a cohort, and what the baselines are fitted on."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cardioloom import __version__
from cardioloom.api.evaluating_ask import Asked, Rows
from cardioloom.errors import CardioloomError, ReadError, UsageError
from cardioloom.evaluation.baselines import Sides, demographics, table_of
from cardioloom.evaluation.checks import check_sides
from cardioloom.evaluation.measured import TOLD, measured
from cardioloom.models import Model, nets
from cardioloom.models.model import Prediction
from cardioloom.models.runtime import Outputs, Runner, TorchRunner
from cardioloom.records import ECG

NO_ECG = "the study has no ECG"
MEASUREMENTS = "measurements.parquet"
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Answers:
    """What a model says of studies.

    Args:
        scores: (study, output) probabilities or numbers, NaN where it abstained.
        features: (study, feature) of the random encoder; (study, 0) where none was asked.
        reasons: (study,) why it abstained, None where it did not.
        warnings: sentence → number of studies.
    """

    scores: NDArray[np.float64]
    features: NDArray[np.float32]
    reasons: tuple[str | None, ...]
    warnings: Mapping[str, int] = field(default_factory=dict)

    @property
    def kept(self) -> NDArray[np.bool_]:
        """(study,) whether there is an answer."""
        return np.array([reason is None for reason in self.reasons], bool)

    def excluded(self, studies: Sequence[str]) -> list[dict[str, str]]:
        """Studies without an answer, with the reason."""
        pairs = zip(studies, self.reasons, strict=True)
        return [{"study_id": study, "reason": reason} for study, reason in pairs if reason is not None]

    def refuse_if_none(self, name: str) -> None:
        """Raise UsageError where the model abstained from every study."""
        if not self.kept.any():
            raise UsageError(
                f"{name} abstains from all {len(self.reasons)} studies, the first because: {self.reasons[0]}; "
                "evaluate it on a cohort that has what it takes"
            )


def predict(asked: Asked, model: Model, rows: Rows, what: str, progress: Progress) -> Answers:
    """What a model says of the studies of these rows; a study that it cannot answer has a reason.

    Raises:
        ReadError: if a shard of the cohort is damaged.
        UsageError: if the lead that was asked for cannot be.
    """
    n_outputs = len(model.contract.task.outputs)
    scores = np.full((len(rows), n_outputs), np.nan)
    features: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(rows)
    reasons: list[str | None] = [NO_ECG] * len(rows)
    warnings: Counter[str] = Counter()
    there, cohort = np.flatnonzero(asked.folder.has("ecg")[rows]).tolist(), asked.folder.cohort(asked.folder.ecg)
    for start in range(0, len(there), asked.batch):
        progress(what, start, len(there))
        some = there[start : start + asked.batch]
        records = [cohort[int(rows[k])] for k in some]
        for k, answer in zip(some, _answers(model, records, asked.lead, asked.batch), strict=True):
            reasons[k] = str(answer) if isinstance(answer, CardioloomError) else _abstained(answer)
            if reasons[k] is None and not isinstance(answer, CardioloomError):
                scores[k], features[k] = answer.probabilities.mean(axis=0), answer.features
                warnings.update({notice.text for notice in answer.warnings})
    progress(what, len(there), len(there))
    width = max((len(own) for own in features), default=0)
    table = np.array([own if len(own) else np.full(width, np.nan) for own in features], np.float32)
    return Answers(scores, table.reshape(len(rows), width), tuple(reasons), dict(warnings))


def _abstained(answer: Prediction) -> str | None:
    return f"{answer.abstained.what} abstains: {answer.abstained.why}" if answer.abstained else None


def _answers(
    model: Model, records: Sequence[ECG], lead: str | None, batch: int
) -> Iterator[Prediction | CardioloomError]:
    """Each answer; where a batch fails, its records are asked one by one."""
    try:
        yield from list(model.stream(records, lead=lead, batch=batch))
        return
    except (UsageError, ReadError):
        raise
    except CardioloomError:
        pass  # one by one, it is found whose fault it was
    for record in records:
        try:
            yield model.predict(record, lead=lead)
        except CardioloomError as error:
            yield error


@dataclass(frozen=True, eq=False)
class _Beside:
    """The answers of one net with the features of another, on the same windows."""

    answering: Runner | None
    encoder: Runner
    n_outputs: int
    name: str = "torch"
    precision: str = "float32"

    def __call__(self, windows: NDArray[np.float32]) -> Outputs:
        features = self.encoder(windows)[1]
        if self.answering is None:
            return np.zeros((len(windows), self.n_outputs), np.float32), features
        return self.answering(windows)[0], features


def with_random_encoder(asked: Asked) -> tuple[Model, Model]:
    """The model, and one that answers nothing, both with the features of its net with random weights by the seed."""
    contract = asked.model.contract
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(asked.bootstrap.seed)
        net = nets.NETS[contract.net](contract.config)
    encoder = TorchRunner(net.eval().requires_grad_(False), device=asked.device)
    n_outputs = len(contract.task.outputs)
    both, alone = (_Beside(answering, encoder, n_outputs) for answering in (asked.model.run, None))
    return replace(asked.model, run=both), replace(asked.model, run=alone)


def sides(asked: Asked, name: str, answers: Answers, progress: Progress) -> Sides | str:
    """What a baseline is fitted on and judged on, or why it is not made.

    Args:
        asked: the call.
        name: of the baseline.
        answers: of the judged studies, with the features of the random encoder where that is asked for.
        progress: is told.
    """
    if asked.train is None:
        if asked.split == "all":
            return "all studies are judged, and none is left to fit a baseline on: judge one split"
        return f"a baseline is fitted on a train split that is not judged, and {asked.split} is judged: there is none"
    judged = asked.rows[answers.kept]
    train = asked.train[asked.folder.has("ecg")[asked.train]]
    if not len(train):
        return "no study of the train split has an ECG: add some"
    check_sides(asked.patients(train), asked.patients(judged))
    told = _told(asked)
    if name == "age_sex":
        fitted, own = (_who(asked, rows, told) for rows in (train, judged))
        if not told or np.isnan(fitted).all():
            return "age and sex of the patients of the train split are not known, or are what is to be predicted"
        said = f"{' and '.join(told)}; {'logistic' if asked.kind == 'multi_label' else 'ridge'} regression"
    elif name == "measure":
        fitted, own, said = _measured(asked, train, judged, told, progress)
    else:
        there = predict(asked, with_random_encoder(asked)[1], train, "random encoder on the train split", progress)
        if not there.kept.any():
            return f"{asked.model.name} abstains from every study of the train split, the first: {there.reasons[0]}"
        train, fitted, own = train[there.kept], there.features[there.kept], answers.features[answers.kept]
        said = f"{fitted.shape[1]} features of the same net with random weights (seed {asked.bootstrap.seed}); linear"
    n_patients = len(set(asked.patients(train)))
    return Sides(fitted.astype(np.float64), own.astype(np.float64), asked.truth[train], n_patients, said)


def _told(asked: Asked) -> tuple[str, ...]:
    """What a baseline may know of a patient: age and sex, but for what is to be predicted."""
    wanted = {name for target in asked.targets for name in target.columns(asked.cohort)}
    return tuple(name for name in TOLD if name not in wanted)


def _who(asked: Asked, rows: Rows, told: tuple[str, ...]) -> NDArray[np.float64]:
    """(study, what is told) age and sex in numbers."""
    return demographics(asked.ages(rows), asked.column("sex", rows))[:, [TOLD.index(name) for name in told]]


def _measured(
    asked: Asked, train: Rows, judged: Rows, told: tuple[str, ...], progress: Progress
) -> tuple[NDArray[np.float64], NDArray[np.float64], str]:
    """Measurements and statements of both sides, with what is told of the patients."""
    rows = np.concatenate([train, judged])
    found = measured(
        asked.folder,
        rows,
        asked.out / MEASUREMENTS,
        version=__version__,
        told=told,
        workers=asked.workers or os.cpu_count() or 1,
        tick=lambda done, total: progress("measuring", done, total),
    )
    names = sorted({name for row in found[: len(train)] for name in row})
    table = np.concatenate([table_of(found, names), _who(asked, rows, told)], axis=1)
    said = ", ".join([f"{len(names)} measurements and statements of the ECG", *told]) + "; gradient-boosted trees"
    if empty := sum(not row for row in found):
        said += f"; {empty} of {len(rows)} ECGs could not be measured"
    return table[: len(train)], table[len(train) :], said


def predictions_of(asked: Asked, answers: Answers) -> Mapping[str, Any]:
    """Columns of predictions.parquet: all judged studies, also those that the model abstained from."""
    rows = asked.rows
    columns: dict[str, Any] = {
        "study_id": asked.studies(rows),
        "patient_id": asked.patients(rows),
        "split": asked.column("split", rows).tolist(),
        "age": asked.ages(rows),
        "sex": asked.column("sex", rows).tolist(),
    }
    truth = {target.code: asked.truth[rows, k] for k, target in enumerate(asked.targets)}
    for k, output in enumerate(asked.model.contract.task.outputs):
        columns[f"score_{output.code}"] = answers.scores[:, k]
        if output.code in truth:
            columns[f"truth_{output.code}"] = truth[output.code]
    return columns | {"abstained": list(answers.reasons)}
