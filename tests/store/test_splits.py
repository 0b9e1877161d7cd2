"""Splits: by patient, balanced, and never moved by patients that come later."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardioloom.errors import UsageError
from cardioloom.store.splits import SHARES, check_shares, hashed, strata_of, stratified


def people(n: int, seed: int = 0, n_labels: int = 8) -> tuple[list[str], list[list[str]]]:
    random = np.random.default_rng(seed)
    strata = [
        [f"sex={random.choice(['F', 'M'])}", f"age={random.integers(3, 9)}"]
        + [f"label{k}={int(random.random() < 0.02 * (k + 1))}" for k in range(n_labels)]
        for _ in range(n)
    ]
    return [f"p{k}" for k in range(n)], strata


@given(st.integers(0, 5), st.integers(1, 60), st.integers(0, 60))
def test_patients_that_are_added_move_nobody(seed: int, n: int, more: int):
    patients, strata = people(n + more)
    first = stratified(patients[:n], strata[:n], seed=seed)
    assert stratified(patients, strata, seed=seed)[:n] == first
    assert hashed(patients, seed=seed)[:n] == hashed(patients[:n], seed=seed)


def test_every_margin_is_balanced_better_than_by_chance():
    patients, strata = people(2000)

    def apart(splits: list[str]) -> float:
        """Root mean square of (found − wanted) patients over splits and strata."""
        found = Counter((split, key) for split, keys in zip(splits, strata, strict=True) for key in keys)
        whole = Counter(key for keys in strata for key in keys)
        return float(
            np.sqrt(np.mean([(found[s, k] - share * whole[k]) ** 2 for s, share in SHARES.items() for k in whole]))
        )

    drawn, by_chance = apart(stratified(patients, strata)), apart(hashed(patients))
    assert drawn < 0.35 * by_chance
    assert drawn < 4.0


def test_kept_patients_keep_their_split_and_count_for_the_balance():
    patients, strata = people(300)
    kept = dict.fromkeys(patients[200:260], "test")
    splits = stratified(patients, strata, kept=kept)
    assert all(splits[patients.index(patient)] == "test" for patient in kept)
    assert 55 <= splits.count("test") <= 66


def test_another_seed_is_another_split():
    patients, strata = people(200)
    assert stratified(patients, strata, seed=1) != stratified(patients, strata, seed=2)


@pytest.mark.parametrize("shares", [{}, {"train": 0.0}, {"train": -1.0, "test": 2.0}, {"train": float("nan")}])
def test_shares_that_cannot_be_are_refused(shares: dict[str, float]):
    with pytest.raises(UsageError, match="share above 0"):
        check_shares(shares)


def test_a_kept_split_without_a_share_is_refused():
    with pytest.raises(UsageError, match="'fold3' is not among train"):
        stratified(["a"], [[]], kept={"a": "fold3"})


def test_strata_are_of_patients_not_of_studies():
    columns = {
        "patient_id": np.array(["a", "b", "a"], object),
        "age": np.array([49.0, np.nan, 61.0]),
        "sex": np.array(["F", None, "F"], object),
        "AF": np.array([0.0, np.nan, 1.0]),
    }
    patients, strata = strata_of(columns, ["AF"])
    assert patients == ["a", "b"]
    assert strata == [["age=4", "sex=F", "AF=0.0", "AF=1.0"], []]
