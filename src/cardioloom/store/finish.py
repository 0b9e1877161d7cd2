"""The last step of building: splits, and what cohort.json says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from cardioloom.errors import UsageError
from cardioloom.records.cohort import Cohort, counted
from cardioloom.store import splits
from cardioloom.store.layout import SCHEMA

if TYPE_CHECKING:
    from cardioloom.store.build import Plan


def splits_of(own: Mapping[str, NDArray[Any]], plan: Plan) -> dict[str, str]:
    """The split of every patient: the source's own, else that of an earlier cohort, else drawn.

    Args:
        own: `split_columns` of all studies.
        plan: of the cohort.

    Raises:
        UsageError: if the source itself puts a patient into two splits.
    """
    return _drawn(own, plan, stated_splits(own["patient_id"], own["split"]))


def stated_splits(patients: Iterable[str], stated: Iterable[str | None]) -> dict[str, str]:
    """Patient → split, as the source states it.

    Args:
        patients: one a study.
        stated: the study's split, None = not stated.

    Raises:
        UsageError: if a patient is in two.
    """
    known: dict[str, str] = {}
    leaks: dict[str, None] = {}
    for patient, split in zip(patients, stated, strict=True):
        if split is not None and known.setdefault(patient, split) != split:
            leaks[patient] = None
    if leaks:
        some = ", ".join(list(leaks)[:3]) + (" …" if len(leaks) > 3 else "")
        raise UsageError(
            f"the source puts {counted(len(leaks), 'patient', 'patients')} into more than one split ({some}): give "
            "each patient one split"
        )
    return known


def refuse_splits(own: Mapping[str, Any], shares: Mapping[str, float], rule: str, kept: Mapping[str, str]) -> None:
    """Refuse what `splits_of` would refuse at the end, before hours of reading.

    Args:
        own: "patient_id" and "split" (None = not stated) of all studies.
        shares: of the splits.
        rule: of the splits.
        kept: patient → split, of an earlier cohort.

    Raises:
        UsageError: if a patient is in two splits, or some are to be drawn beside a split that has no share.
    """
    stated = stated_splits(own["patient_id"], own["split"])
    patients = set(own["patient_id"])
    decided = {patient: split for patient, split in kept.items() if patient in patients} | stated
    if rule == "stratified" and len(decided) < len(patients):
        splits.refuse_unknown(decided.values(), shares)


def split_columns(plan: Plan) -> list[str]:
    """The columns that decide the splits."""
    return list(dict.fromkeys(["patient_id", "split", "age", "sex", *plan.balanced]))


def _drawn(own: Mapping[str, Any], plan: Plan, stated: Mapping[str, str]) -> dict[str, str]:
    patients, strata = splits.strata_of(own, plan.balanced)
    kept = {patient: plan.kept[patient] for patient in patients if patient in plan.kept} | dict(stated)
    if set(patients) <= set(kept):
        return {patient: kept[patient] for patient in patients}
    if plan.split_rule == "hash":
        return dict(zip(patients, splits.hashed(patients, shares=plan.shares, seed=plan.seed), strict=True)) | kept
    found = splits.stratified(patients, strata, shares=plan.shares, seed=plan.seed, kept=kept)
    return dict(zip(patients, found, strict=True))


def facts_of(columns: Mapping[str, NDArray[Any]], plan: Plan, n_failed: int) -> dict[str, Any]:
    """What cohort.json says."""
    cohort = Cohort(columns, dict, tuple(plan.labels))
    changes = Counter(change for text in columns["changes"] for change in text.split(", ") if change)
    counts = {
        "studies": len(cohort),
        "patients": cohort.n_patients,
        "failed": n_failed,
        "splits": {name: cohort.split(name).n_patients for name in cohort.splits},
        "changes": dict(sorted(changes.items())),
    }
    return {
        "schema": SCHEMA,
        **plan.facts,
        **plan.layout.to_json(),
        "counts": counts,
        "labels": {name: dict(known) for name, known in plan.labels.items()},
        "splits": {
            "rule": plan.split_rule,
            "shares": dict(plan.shares),
            "seed": plan.seed,
            "balanced": ["sex", "age", *plan.balanced],
        },
        "fingerprint": cohort.fingerprint(),
    }
