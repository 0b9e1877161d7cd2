"""Which patient is in which split: drawn once, balanced over strata, and not moved when patients are added.

Patients are drawn in their order by biased-coin minimisation (Pocock and Simon 1975, doi:10.2307/2529712; Efron 1971,
doi:10.1093/biomet/58.3.403): the chance of a split is in proportion to what it lacks of patients like this one, over
sex, age group and each label alone. So the margins stay balanced even where many labels leave few patients in each
combination, and a patient's split depends on those before it and not on those behind. The random number is a hash of
seed and patient.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import UsageError

SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}
RULES = ("stratified", "hash")
AGE_GROUP_YEARS = 10


def check_shares(shares: Mapping[str, float]) -> dict[str, float]:
    """The shares, their sum made 1.

    Raises:
        UsageError: if there is none, or one is not above 0.
    """
    if not shares or not all(isfinite(share) and share > 0 for share in shares.values()):
        raise UsageError(f"each split needs a share above 0, got {dict(shares)}: write them like train=0.8,test=0.2")
    total = sum(shares.values())
    return {name: share / total for name, share in shares.items()}


def refuse_unknown(kept: Iterable[str], names: Iterable[str]) -> None:
    """Raise UsageError if a split that is decided already is not among those that have a share."""
    if unknown := sorted(set(kept) - set(names)):
        raise UsageError(f"the split {unknown[0]!r} is not among {', '.join(names)}: give it a share")


def chance(seed: int, patient: str) -> float:
    """A number from 0 to 1 that belongs to a patient."""
    digest = hashlib.sha256(f"split/{seed}/{patient}".encode()).digest()
    return int.from_bytes(digest[:8], "little") / 2**64


def hashed(patients: Sequence[str], *, shares: Mapping[str, float] = SHARES, seed: int = 0) -> list[str]:
    """The split of each patient by the hash alone: independent of all other patients, balanced by chance only.

    Raises:
        UsageError: if the shares cannot be.
    """
    shares = check_shares(shares)
    names, ends = list(shares), np.cumsum(list(shares.values()))
    at = np.searchsorted(ends, [chance(seed, patient) for patient in patients], side="right")
    return [names[min(int(index), len(names) - 1)] for index in at]


def stratified(
    patients: Sequence[str],
    strata: Sequence[Sequence[str]],
    *,
    shares: Mapping[str, float] = SHARES,
    seed: int = 0,
    kept: Mapping[str, str] | None = None,
) -> list[str]:
    """The split of each patient, balanced over the strata one by one.

    Args:
        patients: each once, in their order; those that are added later come last.
        strata: of each patient, the values that are to be balanced ("sex=F", "age=60", "AF=1" …).
        shares: of the splits.
        seed: for the draws.
        kept: patient → split, of those that are decided already; they count for the balance.

    Raises:
        UsageError: if the shares cannot be, or a kept split is not among them.
    """
    shares, kept = check_shares(shares), dict(kept or {})
    names = list(shares)
    refuse_unknown(kept.values(), names)
    wanted = np.array(list(shares.values()))
    lacks: defaultdict[str, NDArray[np.float64]] = defaultdict(lambda: np.zeros(len(names)))
    chosen = {}
    # Decided patients count first: whom they leave room for does not depend on their place in the list.
    for patient, own in sorted(zip(patients, strata, strict=True), key=lambda pair: pair[0] not in kept):
        keys = ["all", *own]
        split = kept.get(patient)
        if split is None:
            lack = np.maximum(sum((lacks[key] for key in keys), np.zeros(len(names))) + len(keys) * wanted, 0.0)
            split = names[_drawn(lack, chance(seed, patient))]
        chosen[patient] = split
        for key in keys:
            lacks[key] = lacks[key] + wanted
            lacks[key][names.index(split)] -= 1
    return [chosen[patient] for patient in patients]


def _drawn(weights: NDArray[np.float64], at: float) -> int:
    ends = np.cumsum(weights)
    return min(int(np.searchsorted(ends, at * ends[-1], side="right")), len(weights) - 1)


def strata_of(columns: Mapping[str, NDArray], labels: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """The patients in the order in which they are met, and what of each is balanced: sex, age group, labels.

    Args:
        columns: name → (study,) as `Cohort` has them.
        labels: those that are balanced; each value of a patient's studies counts.
    """
    found: dict[str, list[str]] = {}
    words: dict[tuple[str, object], str] = {}  # one text each, however many patients share it
    ages = columns.get("age")
    texts = [name for name in ("sex", *labels) if name in columns]
    for at, patient in enumerate(columns["patient_id"]):
        own = found.setdefault(str(patient), [])
        values = [(name, columns[name][at]) for name in texts]
        if ages is not None and not np.isnan(ages[at]) and not any(word.startswith("age=") for word in own):
            values.insert(0, ("age", int(ages[at] // AGE_GROUP_YEARS)))
        for name, value in values:
            if value is not None and value == value:
                word = words.setdefault((name, value), f"{name}={value}")
                if word not in own:
                    own.append(word)
    return list(found), list(found.values())
