from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation.challenge import SINUS_RHYTHM, ChallengeWeights, challenge_score, load_weights

AF, AFL, SINUS = "164889003", "164890007", SINUS_RHYTHM


def slow_score(truth, decided, weights: ChallengeWeights) -> float:
    """The two papers' sums, record by record, on (record, class) arrays."""

    def reward(answers) -> float:
        total = 0.0
        for x, y in zip(truth, answers, strict=True):
            size = sum(bool(a or b) for a, b in zip(x, y, strict=True)) or 1
            for i, true in enumerate(x):
                for j, answered in enumerate(y):
                    if true and answered:
                        total += weights.values[i, j] / size
        return total

    sinus = [int(any(code == SINUS for code in names)) for names in weights.classes]
    nothing = reward([sinus] * len(truth))
    return (reward(decided) - nothing) / (reward(truth) - nothing)


def test_the_table_that_ships_is_the_shared_one(shared):
    ours, theirs = load_weights(), load_weights(shared / "data/tables/weights.csv")
    assert ours.classes == theirs.classes
    np.testing.assert_array_equal(ours.values, theirs.values)
    assert len(ours.classes) == 26
    np.testing.assert_array_equal(ours.values, ours.values.T)
    assert (np.diag(ours.values) == 1).all()
    assert ("733534002", "164909002") in ours.classes


def test_score_equals_the_sums_written_out():
    weights = load_weights()
    codes = [names[0] for names in weights.classes]
    rng = np.random.default_rng(0)
    for share in (0.03, 0.2, 0.6):
        truth = rng.random((60, 26)) < share
        decided = np.where(rng.random((60, 26)) < 0.2, ~truth, truth)
        assert challenge_score(truth, decided, codes) == pytest.approx(slow_score(truth, decided, weights), abs=1e-12)


def test_worked_example():
    """Two records: AF answered flutter (half the reward), and sinus rhythm answered right."""
    weights = load_weights()
    rows = {names[0]: i for i, names in enumerate(weights.classes)}
    half, for_nothing = weights.values[rows[AF], rows[AFL]], weights.values[rows[AF], rows[SINUS]]
    score = challenge_score([[1, 0, 0], [0, 0, 1]], [[0, 1, 0], [0, 0, 1]], [AF, AFL, SINUS])
    # |{AF} ∪ {AFL}| = |{AF} ∪ {sinus}| = 2
    assert score == pytest.approx((half / 2 + 1 - (for_nothing / 2 + 1)) / (2 - (for_nothing / 2 + 1)))


def test_right_is_one_and_sinus_everywhere_is_zero():
    truth = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 1]])
    codes = [AF, AFL, SINUS]
    assert challenge_score(truth, truth, codes) == pytest.approx(1)
    assert challenge_score(truth, [[0, 0, 1]] * 3, codes) == pytest.approx(0)
    assert challenge_score(truth, [[0, 0, 0]] * 3, codes) < 0


def test_codes_of_one_class_count_once_and_others_not_at_all():
    truth, decided = [[1, 0, 0, 1], [0, 0, 1, 0]], [[0, 1, 0, 0], [0, 0, 1, 1]]
    codes = ["733534002", "164909002", SINUS, "999"]
    assert challenge_score(truth, decided, codes) == pytest.approx(1)


def test_classes_in_two_rows_become_one(tmp_path: Path):
    table = tmp_path / "weights.csv"
    table.write_text(f",713427006,{SINUS},59118001\n713427006,1,.5,1\n{SINUS},.5,1,.5\n59118001,1,.5,1\n")
    weights = load_weights(table)
    assert weights.classes == (("713427006", "59118001"), (SINUS,))
    np.testing.assert_array_equal(weights.values, [[1, 0.5], [0.5, 1]])
    assert challenge_score([[1, 0]], [[0, 1]], ["713427006", "59118001"], weights=weights) == pytest.approx(1)
    assert len(load_weights(table, same=()).classes) == 3


@pytest.mark.parametrize("text", ["", ",a,b\na,1,2\n", ",a\nb,1\n", ",a\na,x\n", ",a\na,nan\n", ",a,b\na,1\nb,1\n"])
def test_other_files_are_refused(tmp_path: Path, text: str):
    table = tmp_path / "weights.csv"
    table.write_text(text)
    with pytest.raises(UsageError, match=r"weights\.csv must"):
        load_weights(table)


@pytest.mark.parametrize(
    ("truth", "decided", "codes"),
    [
        ([[np.nan, 1]], [[1, 1]], [AF, SINUS]),
        ([[0, 1]], [[0.4, 0.6]], [AF, SINUS]),
        ([[0, 1]], [[0, 1]], [AF]),
        ([[0, 1]], [[0, 1]], ["AF", "sinus"]),
        ([[0, 1]], [[0, 1], [1, 0]], [AF, SINUS]),
        ([0, 1], [0, 1], [AF, SINUS]),
    ],
)
def test_wrong_calls_are_refused(truth, decided, codes):
    with pytest.raises(UsageError):
        challenge_score(truth, decided, codes)


def test_sinus_rhythm_only_has_no_scale():
    with pytest.raises(NotEstimableError, match="other than sinus rhythm"):
        challenge_score([[0, 1]] * 3, [[1, 0]] * 3, [AF, SINUS])
    with pytest.raises(UsageError, match="needs sinus rhythm"):
        challenge_score([[1]], [[1]], ["a"], weights=ChallengeWeights((("a",),), np.ones((1, 1))))
