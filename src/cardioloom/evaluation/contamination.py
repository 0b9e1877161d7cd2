"""Has a model seen what it is judged on? As far as its run, its card and the cohort say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from cardioloom.models.cards import Card

SEEN, SAME, NAMED, NONE = (
    "trained on this split",
    "same cohort, other split",
    "named on the card",
    "none known",
)
ENOUGH = 12  # digits of a fingerprint that a card names
SHORTEST = 4  # letters of a dataset's name: "ludb"


def contamination(
    card: Card,
    cohort: Mapping[str, Any],
    *,
    split: str | None,
    run: Mapping[str, Any] | None = None,
    sources: Iterable[str] = (),
) -> dict[str, str]:
    """``verdict`` and ``why``.

    "trained on this split": the model's weights, its stopping or its thresholds come from it. "same cohort, other
    split": the honest case of one cohort, whose patients differ but whose hospitals do not. "named on the card": the
    cohort, or a source in it, is a dataset that the weights may have seen. "none known" is no proof.

    Args:
        card: of the model.
        cohort: cohort.json of the cohort.
        split: that is judged, None = all studies.
        run: run.json of the training, where it is at hand.
        sources: names of datasets in the cohort, besides its own source.
    """
    fingerprint = str(cohort.get("fingerprint", ""))
    has_splits = bool(cohort.get("counts", {}).get("splits"))
    for note in card.notes:
        if (
            fingerprint
            and fingerprint[:ENOUGH] in note
            and (split is None or re.search(rf"\b{re.escape(split)}\b", note))
        ):
            return {"verdict": SEEN, "why": f"the card says of this cohort: {note}"}
    if run is not None and run.get("cohort") == fingerprint:
        return _same_cohort(split, "run.json of the training names it", has_splits=has_splits)
    if fingerprint and fingerprint[:ENOUGH] in card.source:
        return _same_cohort(split, "the card names it as the source of the weights", has_splits=has_splits)
    if fingerprint and any(fingerprint[:ENOUGH] in note for note in card.notes):
        return {"verdict": SAME, "why": "the card was calibrated on another split of this cohort"}
    if named := [
        (dataset, source)
        for dataset in card.contamination
        for source in (dataset_name(cohort), *sources)
        if is_same_name(dataset, source)
    ]:
        said = "; ".join(f"the card names {dataset!r}, the cohort {source!r}" for dataset, source in named[:5])
        return {"verdict": NAMED, "why": f"{said}: no test on these records counts"}
    why = f"the card ({card.trained_on}) names neither this cohort nor a dataset in it"
    if "generator" in cohort and "simulated" in card.trained_on:
        why += "; both are simulated by this library: the test is one of patients like those of the training"
    return {"verdict": NONE, "why": f"{why}; this is no proof"}


def _same_cohort(split: str | None, how: str, *, has_splits: bool) -> dict[str, str]:
    if split in (None, "train") or not has_splits:
        what = "all studies are judged" if split is None else "it was trained on this very split"
        return {"verdict": SEEN, "why": f"the model was trained on this cohort ({how}), and {what}"}
    if split == "validation":
        why = f"stopping and thresholds were chosen on this split of the cohort of the training ({how})"
        return {"verdict": SEEN, "why": why}
    why = f"the model was trained on other patients of this cohort ({how}): nothing is said of other hospitals"
    return {"verdict": SAME, "why": why}


def dataset_name(cohort: Mapping[str, Any]) -> str:
    """By which a card names a cohort: its source; of simulated patients, what they were drawn from.

    The same seed gives the same patients, whatever their number and splits.
    """
    if "generator" in cohort:
        return f"seed {cohort.get('seed')} of {cohort['generator']}, population {cohort.get('population')}"
    return str(cohort.get("source", ""))


def is_same_name(one: str, other: str) -> bool:
    """Whether two names mean one dataset: "PTB-XL" and "ptbxl", "PTB-XL 1.0.3" and "ptb_xl"."""
    a, b = (re.sub(r"[^a-z0-9]", "", name.lower()) for name in (one, other))
    shorter, longer = sorted((a, b), key=len)
    return shorter == longer != "" or (len(shorter) >= SHORTEST and longer.startswith(shorter))
