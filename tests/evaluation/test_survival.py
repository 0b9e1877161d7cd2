"""Harrell's and Uno's C against a double loop, lifelines, scikit-survival and the published implementation's counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation.pairs import ascending
from cardioloom.evaluation.survival import Concordance, concordance, harrell_c, uno_c
from cardioloom.prepare.median import compiled


def cohort(seed: int, n: int = 200, *, ties: bool = True):
    """Times, events and risks that know something of the times; with ``ties`` on coarse grids."""
    rng = np.random.default_rng(seed)
    risk = rng.normal(size=n)
    time = rng.exponential(np.exp(-risk)) + 0.01
    censoring = rng.exponential(2.0, n) + 0.01
    event = time <= censoring
    time = np.minimum(time, censoring)
    if ties:
        time, risk = np.ceil(time * 8) / 8, np.round(risk, 1)
    return time, event, risk


def counted_slowly(time, event, risk) -> Concordance:
    """The definition, pair by pair."""
    more = less = tied = same_time = 0
    for i in np.flatnonzero(event):
        for j in range(len(time)):
            if time[i] < time[j] or (time[i] == time[j] and not event[j]):
                more += risk[i] > risk[j]
                less += risk[i] < risk[j]
                tied += risk[i] == risk[j]
                same_time += time[i] == time[j]
    return Concordance(int(more), int(less), int(tied), int(same_time))


@given(
    st.lists(st.tuples(st.integers(1, 6), st.booleans(), st.integers(-3, 3)), min_size=1, max_size=20).filter(
        lambda rows: any(row[1] for row in rows)
    )
)
def test_counts_are_those_of_the_definition(rows):
    time, event, risk = (np.array(column) for column in zip(*rows, strict=True))
    assert concordance(time, event, risk) == counted_slowly(time, event, risk)


FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(FINITE | st.sampled_from([-1.0, 0.0, 1.0, 1e300, 5e-324, -5e-324]), max_size=60))
def test_the_sort_is_a_stable_sort(values):
    given_values = np.array(values, np.float64) + 0.0
    np.testing.assert_array_equal(compiled(ascending)(given_values), np.argsort(given_values, kind="stable"))


def test_both_zeros_are_one_risk():
    assert concordance([1.0, 2.0], np.array([True, True]), [0.0, -0.0]).tied_risk == 1


@pytest.mark.parametrize("ties", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_harrell_equals_lifelines(seed, ties):
    from lifelines.utils import concordance_index

    time, event, risk = cohort(seed, ties=ties)
    assert harrell_c(time, event, risk) == concordance_index(time, -risk, event)


@pytest.mark.parametrize("seed", range(3))
def test_harrell_and_its_counts_equal_scikit_survival(seed):
    metrics = pytest.importorskip("sksurv.metrics")
    time, event, risk = cohort(seed)
    index, concordant, discordant, tied, tied_time = metrics.concordance_index_censored(event, time, risk)
    ours = concordance(time, event, risk)
    assert ours == Concordance(concordant, discordant, tied, tied_time)
    assert ours.index == pytest.approx(index, abs=1e-15)


def test_counts_of_the_published_implementation(shared: Path):
    golden = np.load(shared / "golden/ecg_ai/concordance_open.npz")
    bins = golden["y_true"].shape[1] // 2
    risk = 1 - np.cumprod(golden["y_pred"][:, :bins], axis=1)[:, -1]
    time = golden["event_time"] + 1  # its first interval is number 0
    ours = concordance(time, golden["event_indicator"], risk)
    assert ours == Concordance(*(int(golden[k]) for k in ("concordant", "discordant", "tied_risk", "tied_time")))
    assert ours.index == pytest.approx(float(golden["c_index"]), abs=1e-12)


@pytest.mark.parametrize("horizon", [None, 0.8, 1.5])
@pytest.mark.parametrize("ties", [True, False])
def test_uno_equals_scikit_survival(horizon, ties):
    metrics, util = pytest.importorskip("sksurv.metrics"), pytest.importorskip("sksurv.util")
    time, event, risk = cohort(7, ties=ties)
    event[time == time.max()] = False
    reference = cohort(8, 400, ties=ties)[:2]
    if horizon is None:
        reference = (time, event)
    known, judged = util.Surv.from_arrays(*reversed(reference)), util.Surv.from_arrays(event, time)
    expected = metrics.concordance_index_ipcw(known, judged, risk, tau=horizon)[0]
    assert uno_c(time, event, risk, horizon=horizon, reference=reference) == pytest.approx(expected, abs=1e-12)


def test_uno_is_harrell_where_nobody_is_censored():
    time, _, risk = cohort(3)
    event = np.ones(len(time), bool)
    # Everybody has the event in the end, so nobody's weight differs from 1.
    assert uno_c(time, event, risk) == pytest.approx(harrell_c(time, event, risk), abs=1e-12)


def test_uno_does_not_move_with_censoring_and_harrell_does():
    rng = np.random.default_rng(0)
    n = 20_000
    # A risk that orders early events and says nothing of late ones: what follow-up covers decides Harrell's C.
    early = rng.random(n) < 0.5
    risk = np.where(early, rng.normal(size=n) + 3, rng.normal(size=n))
    time = np.where(early, rng.uniform(0.1, 1, n), rng.uniform(1, 4, n))
    truth = uno_c(time, np.ones(n, bool), risk, horizon=3.0)
    end = rng.uniform(0.1, 4, n)
    seen, event = np.minimum(time, end), time <= end
    assert abs(uno_c(seen, event, risk, horizon=3.0) - truth) < 0.02
    assert harrell_c(seen, event, risk) - truth > 0.03


@given(st.integers(0, 100), st.sampled_from([np.exp, lambda x: x**3, lambda x: 5 * x - 2]))
def test_only_the_order_of_risk_counts_and_records_may_be_shuffled(seed, transform):
    time, event, risk = cohort(seed, 40)
    order = np.random.default_rng(seed).permutation(len(time))
    before = concordance(time, event, risk)
    assert concordance(time[order], event[order], transform(risk)[order]) == before
    turned = concordance(time, event, -risk)
    assert (turned.concordant, turned.discordant) == (before.discordant, before.concordant)


@pytest.mark.parametrize("metric", [harrell_c, uno_c, concordance])
def test_all_censored_is_not_estimable(metric):
    with pytest.raises(NotEstimableError, match="all censored"):
        metric([1.0, 2.0], np.array([False, False]), [0.1, 0.2])


@pytest.mark.parametrize("metric", [harrell_c, uno_c])
def test_no_comparable_pair_is_not_estimable(metric):
    with pytest.raises(NotEstimableError, match="no comparable pair"):
        metric([1.0, 2.0], np.array([False, True]), [0.1, 0.2])


def test_no_event_before_the_horizon_is_not_estimable():
    with pytest.raises(NotEstimableError, match="before the horizon"):
        uno_c([1.0, 2.0, 3.0], np.array([True, True, False]), [0.3, 0.2, 0.1], horizon=1.0)


def test_events_beyond_the_reference_follow_up_are_not_estimable():
    time, event = np.array([1.0, 5.0, 6.0]), np.array([True, True, False])
    with pytest.raises(NotEstimableError, match="followed to 5 years"):
        uno_c(time, event, [0.3, 0.2, 0.1], reference=(np.array([1.0, 2.0]), np.array([True, False])))


@pytest.mark.parametrize(
    ("time", "event", "risk", "says"),
    [
        ([-1.0, 2.0], [True, False], [0.1, 0.2], "positive"),
        ([0.0, 2.0], [True, False], [0.1, 0.2], "positive"),
        ([np.nan, 2.0], [True, False], [0.1, 0.2], "finite"),
        ([1.0, 2.0], [1, 0], [0.1, 0.2], "boolean"),
        ([1.0, 2.0], ["yes", "no"], [0.1, 0.2], "boolean"),
        ([1.0, 2.0], [True], [0.1, 0.2], "same patients"),
        ([1.0, 2.0], [True, False], [0.1], "same patients"),
        ([1.0, 2.0], [True, False], [0.1, np.inf], "finite"),
        ([1.0, 2.0], [True, False], ["high", "low"], "numbers"),
        ([], np.array([], bool), [], "one number a record"),
    ],
)
def test_what_cannot_be_is_refused(time, event, risk, says):
    with pytest.raises(UsageError, match=says):
        harrell_c(time, event, risk)
    with pytest.raises(UsageError, match=says):
        uno_c(time, event, risk)


@pytest.mark.parametrize("horizon", [0.0, -1.0, np.inf, np.nan])
def test_a_horizon_is_a_positive_number_of_years(horizon):
    with pytest.raises(UsageError, match="horizon"):
        uno_c([1.0, 2.0], np.array([True, False]), [0.1, 0.2], horizon=horizon)
