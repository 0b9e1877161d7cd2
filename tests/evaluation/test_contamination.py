"""Has the model seen what it is judged on?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cardioloom.evaluation.contamination import NAMED, NONE, SAME, SEEN, contamination, dataset_name, is_same_name
from cardioloom.models.cards import Card

FINGERPRINT = "0f70ad8a5e72f954bc0bbee435313851d2916389e66b90ee9247ddb4324a2365"
CARD = Card("m", "made", "none", "none", "300 patients of a hospital", "tests")
SPLITS = {"splits": {"train": 7, "test": 2}}
COHORT = {"fingerprint": FINGERPRINT, "source": "PTB-XL 1.0.3", "counts": SPLITS}


def verdict(card: Card = CARD, split: str | None = "test", **options: Any) -> tuple[str, str]:
    found = contamination(card, options.pop("cohort", COHORT), split=split, **options)
    assert set(found) == {"verdict", "why"}
    return found["verdict"], found["why"]


@pytest.mark.parametrize(
    ("split", "expected"), [("test", SAME), ("train", SEEN), ("validation", SEEN), (None, SEEN), ("fold 9", SAME)]
)
def test_the_cohort_of_the_training_is_known_from_run_and_card(split: str | None, expected: str):
    for options in (
        {"run": {"cohort": FINGERPRINT}},
        {"card": replace(CARD, source=f"cardioloom recipe ecgfounder, cohort {FINGERPRINT[:12]}")},
    ):
        assert verdict(split=split, **options)[0] == expected


def test_a_training_without_splits_saw_everything():
    cohort = {**COHORT, "counts": {"splits": {}}}
    assert verdict(run={"cohort": FINGERPRINT}, cohort=cohort)[0] == SEEN


def test_a_calibration_on_the_split_counts():
    card = replace(CARD, notes=(f"calibrated on cohort {FINGERPRINT[:12]}, split validation",))
    assert verdict(card, "validation")[0] == SEEN
    assert verdict(card, "test")[0] == SAME
    assert verdict(card, "validation", run={"cohort": FINGERPRINT})[0] == SEEN
    on_test = replace(card, notes=(f"calibrated on cohort {FINGERPRINT[:12]}, split test",))
    assert verdict(on_test, "test", run={"cohort": FINGERPRINT})[0] == SEEN
    assert verdict(card, None)[0] == SEEN


def test_datasets_that_the_card_names():
    card = replace(CARD, contamination=("PTB-XL", "CODE-15%"))
    kind, why = verdict(card)
    assert kind == NAMED
    assert "'PTB-XL'" in why
    assert verdict(card, cohort={**COHORT, "source": "ten sources"}, sources=("ludb", "code15"))[0] == NAMED
    assert verdict(card, cohort={**COHORT, "source": "ten sources"}, sources=("ludb", "sph"))[0] == NONE


def test_simulated_patients_are_known_by_seed_and_population():
    """The same seed gives the same patients, in another number and in other splits too."""
    one = {"fingerprint": "1" * 64, "source": "simulated patients", "generator": "phantom/1", "population": "hospital"}
    card = replace(CARD, contamination=(dataset_name({**one, "seed": 1}),))
    assert verdict(card, cohort={**one, "seed": 1, "fingerprint": "2" * 64})[0] == NAMED
    assert verdict(card, cohort={**one, "seed": 11})[0] == NONE
    assert verdict(card, cohort={**one, "seed": 1, "population": "general"})[0] == NONE


def test_nothing_known_is_no_proof():
    kind, why = verdict(run={"cohort": "another"})
    assert kind == NONE
    assert "no proof" in why
    simulated = replace(CARD, trained_on="300 simulated patients (phantom/1)")
    assert "both are simulated" in verdict(simulated, cohort={**COHORT, "generator": "phantom/1"})[1]


def test_names_of_datasets():
    assert is_same_name("PTB-XL", "ptbxl")
    assert is_same_name("PTB-XL 1.0.3", "ptb_xl")
    assert not is_same_name("PTB", "PTB-XL")
    assert not is_same_name("", "")
    assert not is_same_name("MIMIC-IV-ECG", "ludb")
