from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, precision_score, recall_score

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation.bootstrap import bootstrap
from cardioloom.evaluation.thresholds import METRICS, Confusion, choose_threshold, confusion, decisions_table


@pytest.mark.parametrize("above", [False, True])
def test_metrics_agree_with_scikit_learn(above: bool):
    rng = np.random.default_rng(0)
    truth = rng.random(500) < 0.3
    score = np.clip(rng.normal(0.4 + 0.2 * truth, 0.2), 0, 1).round(1)
    found = confusion(truth, score, 0.5, above=above)
    called = score > 0.5 if above else score >= 0.5
    assert found.sensitivity() == pytest.approx(recall_score(truth, called))
    assert found.specificity() == pytest.approx(recall_score(~truth, ~called))
    assert found.ppv() == pytest.approx(precision_score(truth, called))
    assert found.npv() == pytest.approx(precision_score(~truth, ~called))
    assert found.f1() == pytest.approx(f1_score(truth, called))
    assert found.accuracy() == pytest.approx(accuracy_score(truth, called))
    assert found.balanced_accuracy() == pytest.approx(balanced_accuracy_score(truth, called))
    assert (found.n, found.positives) == (500, truth.sum())


def test_both_published_evaluations_of_ecgfounder_come_out(shared):
    golden = json.loads((shared / "golden/ecgfounder/eval_metrics_open.json").read_text())
    truth, score = np.array(golden["gt"]), np.array(golden["pred"])
    arguments = {
        "eval_with_dynamic_thresh": {"grid": np.arange(0.01, 1, 0.01), "above": True},
        "my_eval_with_dynamic_thresh": {},
    }
    for name, how in arguments.items():
        expected = golden[name]
        for label in range(truth.shape[1]):
            threshold = choose_threshold(truth[:, label], score[:, label], **how)
            assert threshold == expected["thresholds"][label]
            found = confusion(truth[:, label], score[:, label], threshold, above=True)
            assert found.sensitivity() == pytest.approx(expected["sens"][label], abs=1e-12)
            assert found.specificity() == pytest.approx(expected["spec"][label], abs=1e-12)
            assert found.f1() == pytest.approx(expected["f1"][label], abs=1e-12)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=30), st.booleans())
def test_no_other_threshold_is_better(records, above):
    truth, score = np.array([r[0] for r in records]), np.array([r[1] for r in records]) / 5
    truth[:2] = True, False

    def value(rule: str, threshold: float) -> float:
        found = confusion(truth, score, threshold, above=above)
        return found.f1() if rule == "f1" else found.sensitivity() + found.specificity()

    others = np.concatenate([np.unique(score), [-0.1, 1.1]])
    for rule in ("youden", "f1"):
        chosen = choose_threshold(truth, score, rule, above=above)
        assert value(rule, chosen) >= max(value(rule, other) for other in others) - 1e-12


@pytest.mark.parametrize("target", [0.5, 0.8, 0.9, 1.0])
@pytest.mark.parametrize("rule", ["sensitivity", "specificity"])
def test_a_fixed_target_is_kept_at_the_least_cost(rule: str, target: float):
    rng = np.random.default_rng(1)
    truth = rng.random(300) < 0.4
    score = np.clip(rng.normal(0.3 + 0.4 * truth, 0.2), 0, 1) * 0.98 + np.where(truth, 0.02, 0)
    free = "specificity" if rule == "sensitivity" else "sensitivity"
    chosen = confusion(truth, score, choose_threshold(truth, score, rule, target=target))
    assert getattr(chosen, rule)() >= target
    for other in np.unique(score):
        found = confusion(truth, score, other)
        assert getattr(found, rule)() < target or getattr(found, free)() <= getattr(chosen, free)()


def test_equally_good_thresholds_call_the_fewest():
    assert choose_threshold([0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4]) == 0.4  # 0.2 gives 1.5 as well
    assert choose_threshold([0, 1], [0.1, 0.9], grid=[0.2, 0.3, 0.4]) == 0.2


def test_a_target_out_of_reach_is_not_estimable():
    with pytest.raises(NotEstimableError, match=r"gives AF a specificity of 0\.9"):
        choose_threshold([1, 0], [0.2, 0.8], "specificity", target=0.9, name="AF")
    with pytest.raises(NotEstimableError, match="needs both classes"):
        choose_threshold([0, 0], [0.2, 0.8])


@pytest.mark.parametrize(
    ("rule", "target"),
    [("best", None), ("youden", 0.9), ("sensitivity", None), ("sensitivity", 0.0), ("specificity", 90)],
)
def test_wrong_rules_are_refused(rule, target):
    with pytest.raises(UsageError):
        choose_threshold([0, 1], [0.2, 0.8], rule, target=target)


def test_empty_denominators_are_not_estimable():
    nobody = Confusion(0, 0, 0, 7, "AF")
    for metric in ("sensitivity", "ppv", "f1", "balanced_accuracy"):
        with pytest.raises(NotEstimableError, match=r"of AF needs .*, got none among 7 records"):
            getattr(nobody, metric)()
    assert nobody.specificity() == nobody.npv() == nobody.accuracy() == 1
    for metric in METRICS:
        with pytest.raises(NotEstimableError):
            getattr(Confusion(0, 0, 0, 0), metric)()
    assert Confusion(0, 2, 3, 4).f1() == 0  # positives are there, none was found


def test_intervals_of_decisions_are_those_of_the_generic_bootstrap():
    rng = np.random.default_rng(2)
    truth = (rng.random(150) < 0.3).astype(float)
    truth[:10] = np.nan
    score, patients = rng.random(150), rng.integers(0, 100, 150)
    table = decisions_table(truth, score, 0.4, patients, draws=100, seed=7)
    assert list(table) == list(METRICS)
    for metric in METRICS:
        slow = bootstrap(
            lambda rows, metric=metric: getattr(confusion(truth[rows], score[rows], 0.4), metric)(),
            patients,
            draws=100,
            seed=7,
        )
        found = table[metric]
        assert (found.value, found.low, found.high) == pytest.approx((slow.value, slow.low, slow.high))
        assert (found.n, found.events) == (140, np.nansum(truth))
    table = decisions_table(np.zeros(50), np.linspace(0, 0.3, 50), 0.4, None, draws=100)
    assert table["sensitivity"].value is None
    assert table["specificity"].value == 1


def test_no_threshold_and_several_labels_are_refused():
    with pytest.raises(UsageError, match="got NaN"):
        confusion([0, 1], [0.1, 0.2], float("nan"))
    with pytest.raises(UsageError, match="one label, got 2"):
        confusion([[0, 1]], [[0.1, 0.2]], 0.5)
