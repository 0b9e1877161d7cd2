"""Time-dependent AUROC, Brier and integrated Brier score against scikit-survival and against uncensored truth."""

from __future__ import annotations

import numpy as np
import pytest

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation.survival_horizons import brier_at, integrated_brier, time_dependent_auroc

HORIZONS = np.array([0.5, 1.0, 1.5, 2.5])


def cohort(seed: int, n: int = 300, *, ties: bool = False):
    rng = np.random.default_rng(seed)
    risk = rng.normal(size=n)
    if ties:
        risk = np.round(risk, 1)
    time, censoring = rng.exponential(2 * np.exp(-risk)), rng.exponential(4.0, n)
    event, time = time <= censoring, np.minimum(time, censoring) + 0.01
    if ties:
        time = np.ceil(time * 8) / 8
    probability = 1 - np.exp(-np.exp(risk)[:, None] * HORIZONS / 2)
    return time, event, risk, probability


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("own", [False, True])
def test_all_three_equal_scikit_survival(ties, own):
    metrics, util = pytest.importorskip("sksurv.metrics"), pytest.importorskip("sksurv.util")
    time, event, risk, probability = cohort(1, ties=ties)
    known = (time, event) if own else cohort(2, 500, ties=ties)[:2]
    train, test = util.Surv.from_arrays(known[1], known[0]), util.Surv.from_arrays(event, time)
    reference = None if own else known
    # scikit-survival asks G at all times of the test set, beyond the horizons too; ours only where it counts.
    if not own:
        keep = time < known[0].max()
        time, event, risk, probability, test = time[keep], event[keep], risk[keep], probability[keep], test[keep]
    expected = metrics.cumulative_dynamic_auc(train, test, risk, HORIZONS)[0]
    ours = [time_dependent_auroc(time, event, risk, at, reference=reference) for at in HORIZONS]
    np.testing.assert_allclose(ours, expected, atol=1e-12)
    expected = metrics.brier_score(train, test, 1 - probability, HORIZONS)[1]
    ours = [brier_at(time, event, probability[:, k], at, reference=reference) for k, at in enumerate(HORIZONS)]
    np.testing.assert_allclose(ours, expected, atol=1e-12)
    expected = metrics.integrated_brier_score(train, test, 1 - probability, HORIZONS)
    assert integrated_brier(time, event, probability, HORIZONS, reference=reference) == pytest.approx(
        expected, abs=1e-12
    )


def test_weights_give_what_uncensored_patients_would():
    rng = np.random.default_rng(0)
    rate = np.exp(rng.normal(size=40_000))
    time, end = rng.exponential(2 / rate), rng.uniform(0.2, 6, len(rate))
    seen, event = np.minimum(time, end), time <= end
    probability = 1 - np.exp(-rate)
    from sklearn.metrics import brier_score_loss, roc_auc_score

    happened = time <= 2.0
    assert time_dependent_auroc(seen, event, rate, 2.0) == pytest.approx(roc_auc_score(happened, rate), abs=0.01)
    assert brier_at(seen, event, probability, 2.0) == pytest.approx(brier_score_loss(happened, probability), abs=0.01)


def test_without_censoring_they_are_the_plain_metrics():
    from sklearn.metrics import brier_score_loss, roc_auc_score

    time, _, risk, probability = cohort(5, ties=True)
    event = np.ones(len(time), bool)
    assert time_dependent_auroc(time, event, risk, 1.0) == pytest.approx(roc_auc_score(time <= 1, risk), abs=1e-12)
    expected = brier_score_loss(time <= 1, probability[:, 1])
    assert brier_at(time, event, probability[:, 1], 1.0) == pytest.approx(expected, abs=1e-12)


def test_what_data_do_not_give_is_not_estimable():
    time, event = np.array([1.0, 2.0, 3.0]), np.array([False, True, False])
    risk = [0.1, 0.5, 0.4]
    with pytest.raises(NotEstimableError, match="needs an event by then"):
        time_dependent_auroc(time, event, risk, 1.5)
    for metric in (time_dependent_auroc, brier_at):
        with pytest.raises(NotEstimableError, match="followed beyond"):
            metric(time, event, risk, 3.0)
        with pytest.raises(NotEstimableError, match="all censored"):
            metric(time, np.zeros(3, bool), risk, 2.0)
    short = (np.array([1.0, 1.5]), np.array([True, False]))
    with pytest.raises(NotEstimableError, match="shorten the horizon"):
        brier_at(time, event, risk, 2.5, reference=short)
    with pytest.raises(NotEstimableError, match="shorten the horizon"):
        time_dependent_auroc(time, event, risk, 2.5, reference=short)
    with pytest.raises(NotEstimableError, match="followed beyond"):
        integrated_brier(time, event, np.full((3, 2), 0.5), [1.0, 4.0])


def test_what_cannot_be_is_refused():
    time, event = np.array([1.0, 2.0, 3.0]), np.array([True, True, False])
    with pytest.raises(UsageError, match="between 0 and 1"):
        brier_at(time, event, [0.1, 0.5, 1.4], 1.5)
    with pytest.raises(UsageError, match="ascending"):
        integrated_brier(time, event, np.full((3, 2), 0.5), [2.0, 1.0])
    with pytest.raises(UsageError, match="ascending"):
        integrated_brier(time, event, np.full((3, 1), 0.5), [2.0])
    with pytest.raises(UsageError, match="2 horizons"):
        integrated_brier(time, event, np.full((3, 3), 0.5), [1.0, 2.0])
    with pytest.raises(UsageError, match="horizon"):
        time_dependent_auroc(time, event, [0.1, 0.2, 0.3], -1.0)
    with pytest.raises(UsageError, match="positive"):
        brier_at([-1.0, 2.0, 3.0], event, [0.1, 0.2, 0.3], 1.0)
