"""What a PTACL training is judged by: phenotypes, retrieval of similar hearts, phases that find each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from cardioloom.errors import NotEstimableError
from cardioloom.evaluation.phases import PhaseMatch, best_roll
from cardioloom.evaluation.regression import mean_absolute_error, pearson_r, r_squared
from cardioloom.evaluation.retrieval import KS, retrieve
from cardioloom.models.task import Task
from cardioloom.recipes.pairs import PairFeed
from cardioloom.recipes.ptacl_head import read
from cardioloom.recipes.ptacl_stages import Phased, cine_phases, phases, phases_of
from cardioloom.recipes.ptacl_views import SAMPLES, frames, rolled

Floats = NDArray[np.float64]
ROLLED = 4  # time tokens, of the cines that show whether it is the pictures that speak


def phenotypes(net: nn.Module, feed: PairFeed, modality: str, task: Task) -> dict[str, Any]:
    """R², Pearson's r and mean absolute error of each output in its unit, and the mean R² over outputs.

    Under "by_study", for `ptacl_keep.write_judged`: truth and estimate of each study in the manifest's order.
    """
    outputs, _, targets = read(net.eval(), feed, modality)
    rows, by_study = [], {}
    for n, output in enumerate(task.outputs):
        known = ~np.isnan(targets[:, n])
        truths, estimates = (side[:, n] * output.std + output.mean for side in (targets, outputs))
        by_study |= {f"{output.code}_truth": truths, f"{output.code}_estimate": estimates}
        truth, said = truths[known], estimates[known]
        row: dict[str, Any] = {"code": output.code, "name": output.name, "unit": output.unit, "n": int(known.sum())}
        # One by one: estimates that are all the same have an R² though they have no correlation.
        for name, metric in (("r2", r_squared), ("r", pearson_r), ("mae", mean_absolute_error)):
            try:
                row[name] = metric(truth, said)
            except NotEstimableError as error:
                row |= {name: None, "why": str(error)}
        rows.append(row)
    found = [row["r2"] for row in rows if row["r2"] is not None]
    return {"outputs": rows, "mean_r2": float(np.mean(found)) if found else None, "by_study": by_study}


def paired(net: Phased, feed: PairFeed, truth: Floats, patients: Sequence[str], codes: Sequence[str]) -> dict[str, Any]:
    """Retrieval of the test's cines by its ECGs, and how far the phases of the two lie apart.

    Args:
        net: both towers.
        feed: pairs of the test split; what it gives is in the manifest's order.
        truth: (study, phenotype) in that order, NaN = not known.
        patients: whose study it is.
        codes: of the phenotypes.

    Returns:
        "retrieval", "not_retrieved", "phases", and under "by_study" whether the first cine of each ECG is a hit.
    """
    with torch.inference_mode():
        parts = [_embedded(net.eval(), batch.ecg, batch.peaks, frames(batch.cine)) for batch in feed.in_order()]
    ecg, cine, ecg_phases, cine_phases, usable, *others = (np.concatenate(each) for each in zip(*parts, strict=True))
    found: dict[str, Any] = {
        "retrieval": None,
        "not_retrieved": _not_searchable(truth, patients, codes),
        "phases": None,
        "by_study": {},
    }
    if kept := [n for n, code in enumerate(codes) if code not in found["not_retrieved"]]:
        who, names = list(patients), [codes[n] for n in kept]
        retrieval = retrieve(ecg, cine, truth[:, kept], patients_of_queries=who, patients_of_database=who, names=names)
        found["retrieval"] = retrieval.to_json()
        first = retrieval.precision[:, :, retrieval.ks.index(1)]
        found["by_study"] = {f"{name}_hit": first[:, n] for n, name in enumerate(names)}
    if usable.sum() >= 2:
        match = PhaseMatch.of(ecg_phases, cine_phases, usable)
        found["phases"] = {
            "distance": match.estimate(patients=list(patients)),
            "roll": best_roll(match.similarity),
            "similarity": match.similarity.round(5).tolist(),
            "controls": _controls(ecg_phases, usable, (*others, cine_phases[_strangers(patients)])),
        }
    return found


def _strangers(patients: Sequence[str]) -> NDArray[np.int64]:
    """For each study one of another patient, the same distance down the list where that can be."""
    whose = np.array(list(patients))
    rows = np.arange(len(whose))
    away = next((n for n in range(1, len(whose)) if (np.roll(whose, n) != whose).all()), 1)
    return np.roll(rows, away)


def _not_searchable(truth: Floats, patients: Sequence[str], codes: Sequence[str]) -> dict[str, str]:
    """Phenotypes by which no similar heart can be looked for in this split, and why."""
    found, (_, whose) = {}, np.unique(list(patients), return_inverse=True)
    for code, column in zip(codes, truth.T, strict=True):
        known = ~np.isnan(column)
        others = int(known.sum() - np.bincount(whose[known], minlength=1).max())
        if others < max(KS):
            found[code] = f"{others} cines of other patients whose {code} is known, P@{max(KS)} needs {max(KS)}"
        elif column[known].min() == column[known].max():
            found[code] = f"{code} is {column[known][0]:g} of everybody"
    return found


def _embedded(net: Phased, ecg: torch.Tensor, peaks: torch.Tensor, cine: torch.Tensor) -> tuple[NDArray[Any], ...]:
    """Unit vectors of whole ECGs (mean of both halves) and of cines; phases of the first half, and if it has any."""
    towers = net.paired
    halves, right = [towers.ecg(half) for half in ecg.split(SAMPLES, dim=-1)], towers.cine(cine)
    pooled = torch.stack([half.pooled for half in halves]).mean(0)
    left = F.normalize(towers.ecg.projection(pooled), dim=-1)
    operator, usable = phases_of(towers.ecg.encoder.config, peaks)
    both = phases(towers, halves[0], right, operator)
    shift = torch.full((len(cine),), ROLLED * towers.cine.encoder.config.patch[0], device=cine.device)
    still = cine.mean(1, keepdim=True).expand_as(cine)
    others = [cine_phases(towers, towers.cine(changed)) for changed in (rolled(cine, shift), still)]
    return tuple(one.cpu().numpy() for one in (left, right.projected, *both, usable, *others))


def _controls(ecg: Floats, usable: NDArray[np.bool_], cines: Sequence[Floats]) -> dict[str, Any]:
    """What speaks where phases find each other: the pictures, or the place of their tokens.

    Cines that begin ``ROLLED`` time tokens later move the diagonal by as many if the pictures speak, and leave it where
    it was if their places do. A still cine and another patient's have no phase, or not this heart's.
    """
    found: dict[str, Any] = {"rolled_by": ROLLED}
    for name, cine in zip(("rolled", "still", "another_patient"), cines, strict=True):
        match = PhaseMatch.of(ecg, cine, usable)
        found[name] = {"roll": best_roll(match.similarity), "distance": float(match.distance.mean())}
    return found


def beats(feed: PairFeed) -> Mapping[str, int]:
    """How many of the ECGs have phases: with too few whole beats in five seconds, or too irregular, they have none.

    The first crop is counted; of random crops a few more or fewer have two beats.
    """
    assert feed.ecgs is not None
    rows = np.sort(feed.loader.rows)
    _, peaks = feed.ecgs.take(rows)
    whole = ((peaks >= 0) & (peaks < SAMPLES)).sum(1) - 1
    loose = feed.loose[rows]
    few = (whole < 2) & ~loose
    return {"studies": len(rows), "irregular": int(loose.sum()), "too_few_beats": int(few.sum())}
