from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation.discrimination import auroc, average_precision, macro, micro

SCORES = st.lists(st.integers(0, 6), min_size=4, max_size=40)


def pairs(positive: np.ndarray, score: np.ndarray) -> float:
    """AUROC by its definition: every positive beside every negative."""
    difference = score[positive][:, None] - score[~positive][None]
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


@settings(max_examples=40)
@given(SCORES, st.integers(0, 2**31))
def test_auroc_counts_pairs_and_knows_only_the_order(levels, seed):
    score = np.array(levels) / 6
    rng = np.random.default_rng(seed)
    positive = rng.random(len(score)) < 0.5
    positive[:2] = True, False
    expected = pairs(positive, score)
    assert auroc(positive, score) == pytest.approx(expected, abs=1e-14)
    assert auroc(positive, score**3 / 2) == pytest.approx(expected, abs=1e-14)  # monotone
    assert auroc(~positive, 1 - score) == pytest.approx(expected, abs=1e-12)
    order = rng.permutation(len(score))
    assert auroc(positive[order], score[order]) == pytest.approx(expected, abs=1e-14)
    assert average_precision(positive[order], score[order]) == pytest.approx(average_precision(positive, score))


def test_unlabelled_records_are_left_out():
    assert auroc([0, 1, np.nan, 1], [0.1, 0.9, 0.0, 0.2]) == 1.0
    assert auroc([0, 1, 1], [0.1, 0.1, 0.1]) == 0.5


def test_agrees_with_the_published_evaluation_of_ecgfounder(shared):
    golden = json.loads((shared / "golden/ecgfounder/eval_metrics_open.json").read_text())
    truth, score = np.array(golden["gt"]), np.array(golden["pred"])
    for name in ("eval_with_dynamic_thresh", "my_eval_with_dynamic_thresh"):
        expected = golden[name]
        assert [auroc(t, s) for t, s in zip(truth.T, score.T, strict=True)] == pytest.approx(
            expected["auroc"], abs=1e-12
        )
        assert macro("auroc", truth, score).value == pytest.approx(expected["mean_auroc"], abs=1e-12)
        if "auprc" in expected:
            found = [average_precision(t, s) for t, s in zip(truth.T, score.T, strict=True)]
            assert found == pytest.approx(expected["auprc"], abs=1e-12)


def test_averages_agree_with_scikit_learn_on_a_real_models_output(shared):
    stored = np.load(shared / "data/ecg/ptbxl_predictions/ptbxl_fold9_xresnet1d101.npz")
    truth, score, labels = stored["y_true"], stored["y_pred"], [str(name) for name in stored["labels"]]
    both = (truth.sum(0) > 0) & (truth.sum(0) < len(truth))
    for metric, peer in (("auroc", roc_auc_score), ("auprc", average_precision_score)):
        average = macro(metric, truth, score, labels=labels)
        assert list(average.labels) == [name for name, known in zip(labels, both, strict=True) if known]
        assert set(average.left_out) == set(labels) - set(average.labels)
        assert average.value == pytest.approx(peer(truth[:, both], score[:, both], average="macro"), abs=1e-12)
        weighted = macro(metric, truth, score, labels=labels, weighted=True).value
        assert weighted == pytest.approx(peer(truth[:, both], score[:, both], average="weighted"), abs=1e-12)
        assert micro(metric, truth, score) == pytest.approx(peer(truth, score, average="micro"), abs=1e-12)


def test_macro_says_what_it_leaves_out_and_never_counts_it_as_zero():
    truth = np.array([[0, 0, np.nan], [1, 0, 1], [1, 0, 0], [0, 0, np.nan]])
    score = np.array([[0.1, 0.5, 0.3], [0.9, 0.5, 0.8], [0.8, 0.2, 0.2], [0.2, 0.1, 0.9]])
    average = macro("auroc", truth, score, labels=["AF", "WPW", "RBBB"])
    assert average.value == 1.0
    assert average.labels == ("AF", "RBBB")
    assert "AUROC of WPW needs both classes, got 4 negatives" in average.left_out["WPW"]
    assert average.to_json() == {"value": 1.0, "n_labels": 2, "left_out": average.left_out}
    with pytest.raises(NotEstimableError, match="got none among 1"):
        macro("auprc", truth[:, 1], score[:, 1])


@pytest.mark.parametrize("call", [macro, micro])
def test_unknown_metrics_are_listed(call):
    with pytest.raises(UsageError, match="auroc, auprc, got 'f1'"):
        call("f1", [0, 1], [0.1, 0.2])
