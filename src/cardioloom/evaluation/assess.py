"""Predictions and truth → everything that an evaluation says of a model, as plain values for metrics.json."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cardioloom.errors import NotEstimableError
from cardioloom.evaluation.assess_labels import label, one_label_sets
from cardioloom.evaluation.assess_numbers import number
from cardioloom.evaluation.assess_outputs import over_outputs
from cardioloom.evaluation.bootstrap import Resampled, bootstrap
from cardioloom.evaluation.bootstrap_labels import bootstrap_labels, label_table
from cardioloom.evaluation.challenge import SINUS_RHYTHM, challenge_score, load_weights
from cardioloom.evaluation.checks import Codes
from cardioloom.evaluation.discrimination import micro
from cardioloom.evaluation.estimate import Estimate
from cardioloom.evaluation.judged import Bootstrap, Judged
from cardioloom.evaluation.subgroups import by_group, centres
from cardioloom.measure.statements.snomed import codes as snomed_codes

MACRO_METRICS = ("auroc", "auprc")
Tick = Callable[[str, int, int], None]


def assess(
    judged: Judged,
    validation: Judged | None = None,
    *,
    bootstrap: Bootstrap = Bootstrap(),  # noqa: B008 (frozen)
    centre: str | None = None,
    tick: Tick | None = None,
) -> dict[str, Any]:
    """Every metric that these predictions give, each with its interval or the reason why there is none.

    Args:
        judged: predictions, truth and groups.
        validation: of patients that are not judged, for prediction sets; None = no sets.
        bootstrap: how intervals are drawn.
        centre: the column of ``judged.groups`` that names the centre, None = there is none.
        tick: is told what is done, and how many outputs of how many.

    Returns:
        ``kind``, ``draws``, ``seed``, then ``labels``, ``macro``, ``micro``, ``challenge_2021`` of a multi-label
        model or ``numbers`` of a regression, ``subgroups`` and ``centres``.
    """
    found: dict[str, Any] = {"kind": judged.kind, "draws": bootstrap.draws, "seed": bootstrap.seed}
    told = tick or (lambda *_: None)
    n_outputs = len(judged.outputs)
    if judged.kind == "multi_label":
        rows = label_table(
            judged.truth, judged.score, judged.patients, labels=judged.codes, draws=bootstrap.draws, seed=bootstrap.seed
        )
        found["labels"] = {}
        for at, row in enumerate(rows[:-1]):
            told("judging", at, n_outputs)
            found["labels"][row["label"]] = label(judged, at, row, bootstrap) | {
                "sets": one_label_sets(judged, validation, at, bootstrap)
            }
        found["macro"] = {name: value for name, value in rows[-1].items() if name != "label"}
        found["micro"] = _micro(judged, bootstrap)
        found["challenge_2021"] = _challenge(judged, bootstrap)
    else:
        found["numbers"] = {}
        for at, code in enumerate(judged.codes):
            told("judging", at, n_outputs)
            found["numbers"][code] = number(judged, at, bootstrap)
        found["mean"] = over_outputs(judged, bootstrap)
    told("judging", n_outputs, n_outputs)
    found["subgroups"] = by_group(judged, bootstrap, tick=tick)
    found["centres"] = centres(judged, centre, bootstrap)
    return found


def _micro(judged: Judged, drawn: Bootstrap) -> dict[str, Any]:
    """All labelled pairs together, their patients drawn."""
    n_labels = len(judged.outputs)
    patients = np.repeat(judged.patients, n_labels)
    truth, score = judged.truth.reshape(-1, 1), judged.score.reshape(-1, 1)
    n, events = int((~np.isnan(truth)).sum()), int((truth == 1).sum())
    found = {}
    for metric in MACRO_METRICS:
        try:
            value = micro(metric, judged.truth, judged.score)
        except NotEstimableError as error:
            found[metric] = Estimate(None, n=n, events=events, reason=str(error)).to_json()
            continue
        values = bootstrap_labels(metric, truth, score, patients, draws=drawn.draws, seed=drawn.seed)[:, 0]
        found[metric] = Resampled(values).estimate(value, n=n, events=events).to_json()
    return found


def _challenge(judged: Judged, drawn: Bootstrap) -> dict[str, Any]:
    """The score of the PhysioNet/CinC Challenge 2021 on the labels of its table, at the model's thresholds."""
    weights = load_weights()
    scored = {code for names in weights.classes for code in names}
    own = [output.snomed or snomed_codes().get(output.code, "") for output in judged.outputs]
    at = [k for k, code in enumerate(own) if code in scored]
    if not at:
        reason = (
            "the Challenge 2021 score needs labels of its table of weights, got none: it is of rhythms and findings"
        )
        return Estimate(None, n=len(judged), reason=reason).to_json()
    if SINUS_RHYTHM not in own:  # a study without any class of the table costs nothing, however it is answered
        there = ", ".join(judged.outputs[k].code for k in at[:12])
        reason = f"the Challenge 2021 score needs sinus rhythm (NSR) among the labels, got {there}: false alarms in "
        return Estimate(None, n=len(judged), reason=f"{reason}studies without a finding would cost nothing").to_json()
    truth = judged.truth[:, at]
    complete = ~np.isnan(truth).any(axis=1)
    if not complete.any():
        reason = (
            f"the Challenge 2021 score needs studies of which all {len(at)} of its labels are known, got none among "
            f"{len(judged)}: evaluate sources that label the same"
        )
        return Estimate(None, n=0, reason=reason).to_json()
    thresholds = np.array([judged.outputs[k].threshold for k in at])
    true, decided = truth[complete], (judged.score[complete][:, at] >= thresholds).astype(float)
    codes = [own[k] for k in at]

    def score(rows: Codes) -> float:
        return challenge_score(true[rows], decided[rows], codes, weights=weights)

    found = bootstrap(score, judged.patients[complete].tolist(), draws=drawn.draws, seed=drawn.seed)
    return found.to_json() | {"classes": [judged.outputs[k].code for k in at]}
