"""Means over outputs, sums over patients and what is said of intervals, against slow loops."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardioloom.errors import NotEstimableError
from cardioloom.evaluation import regression
from cardioloom.evaluation.assess_numbers import coverage
from cardioloom.evaluation.assess_outputs import over_outputs
from cardioloom.evaluation.bootstrap import bootstrap, drawn
from cardioloom.evaluation.groups import AGES, ages, ordered
from cardioloom.evaluation.judged import Bootstrap, Judged
from cardioloom.evaluation.sums import BLOCK, drawn_sums, patient_sums
from cardioloom.models.task import Output

DRAWN = Bootstrap(draws=130, seed=4)  # more than one block of draws


def judged(units: tuple[str, ...] = ("ml", "ml", "ml"), n: int = 90, patients: int = 40) -> Judged:
    """Numbers of other sizes and offsets; some not measured; patients with several studies."""
    random = np.random.default_rng(len(units))
    truth = random.normal(1e4, 10, (n, len(units))) * 10.0 ** np.arange(len(units))
    score = truth + random.normal(2, 6, truth.shape) * 10.0 ** np.arange(len(units))
    truth[random.random(truth.shape) < 0.2] = np.nan
    outputs = tuple(Output(f"o{k}", f"o{k}", "x", unit=unit, half_width=8.0) for k, unit in enumerate(units))
    groups = {
        "age": ages(random.uniform(30, 95, n)),
        "sex": np.array(["M", "F", None], object)[random.integers(0, 3, n)],
        "site": np.array(["b", "a"], object)[random.integers(0, 2, n)],
    }
    return Judged.of("regression", outputs, truth, score, random.integers(0, patients, n).tolist(), groups)


def slow(own: Judged, name: str):
    """The mean of a metric over outputs, each draw by itself."""

    def metric(rows):
        found = []
        for k in range(len(own.outputs)):
            y, p = own.truth[rows, k], own.score[rows, k]
            if name == "mae_in_sd":
                found.append(regression.mean_absolute_error(y, p) / np.nanstd(y))
            else:
                plain = {"r2": regression.r_squared, "r": regression.pearson_r, "mae": regression.mean_absolute_error}
                found.append(plain[name](y, p))
        return float(np.mean(found))

    return bootstrap(metric, own.patients.tolist(), draws=DRAWN.draws, seed=DRAWN.seed).to_json()


@pytest.mark.parametrize("name", ["r2", "r", "mae", "mae_in_sd"])
def test_means_over_outputs_are_those_of_a_slow_bootstrap(name: str):
    own = judged()
    found, expected = over_outputs(own, DRAWN), slow(own, name)
    assert found[name]["value"] == pytest.approx(expected["value"], rel=1e-9)
    assert found[name]["interval"] == pytest.approx(expected["interval"], rel=1e-9)
    assert found[name]["n"] == (~np.isnan(own.truth)).any(axis=1).sum()
    assert found["outputs"] == ["o0", "o1", "o2"]
    json.dumps(found, allow_nan=False)


def test_one_output_has_no_mean():
    assert over_outputs(judged(("ml",)), DRAWN) == {}


@pytest.mark.parametrize("units", [("ml", "g", "ml"), ("", "", "")])
def test_errors_of_several_units_have_no_mean(units: tuple[str, ...]):
    found = over_outputs(judged(units), DRAWN)
    assert "one unit, got " in found["mae"]["not_estimable"]
    assert "value" in found["mae_in_sd"]


def test_an_output_that_is_not_measured_is_left_out_and_named():
    own = judged()
    own.truth[:, 1] = np.nan
    found = over_outputs(own, DRAWN)
    assert found["outputs"] == ["o0", "o2"]
    assert "o1" in found["left_out"]
    both = [regression.r_squared(own.truth[:, k], own.score[:, k]) for k in (0, 2)]
    assert found["r2"]["value"] == pytest.approx(np.mean(both))
    own.truth[:, 2] = 7.0  # the same of everybody
    found = over_outputs(own, DRAWN)
    assert all(
        "needs two with measured numbers that vary, got 1" in found[name]["not_estimable"] for name in ("r2", "r")
    )


def test_equal_predictions_have_an_error_but_no_correlation():
    own = judged()
    own.score[:, 0] = 3.0
    found = over_outputs(own, DRAWN)
    assert "predictions that vary, got" in found["r"]["not_estimable"]
    assert found["r2"]["value"] == pytest.approx(slow(own, "r2")["value"])


def test_draws_of_one_value_are_not_counted_as_zero():
    """Two studies differ; a draw without one of them has no R²."""
    truth = np.full((30, 2), 5.0)
    truth[0] = 6.0
    score = truth + np.linspace(-1, 1, 30)[:, None]
    own = Judged.of("regression", (Output("a", "a", "x"), Output("b", "b", "x")), truth, score, range(30))
    found = over_outputs(own, DRAWN)
    assert "value" in found["r2"]
    assert "95% of the draws" in found["r2"]["no_interval"]
    with pytest.raises(NotEstimableError):
        regression.r_squared(truth[1:, 0], score[1:, 0])


@given(st.lists(st.integers(0, 6), min_size=1, max_size=30), st.integers(0, 2**32))
def test_sums_of_draws_are_those_of_a_loop(patients: list[int], seed: int):
    codes = np.unique(patients, return_inverse=True)[1]
    values = np.random.default_rng(seed).normal(size=(len(codes), 2))
    sums = patient_sums(values, codes)
    found = drawn_sums(sums, draws=BLOCK + 40, seed=seed)
    assert found.shape == (BLOCK + 40, 2)
    for draw in (0, BLOCK - 1, BLOCK, BLOCK + 39):
        expected = sum(values[codes == patient].sum(axis=0) for patient in drawn(codes.max() + 1, draw, seed))
        np.testing.assert_allclose(found[draw], expected, atol=1e-12)


def test_an_interval_is_told_with_its_width_and_where_it_falls_short():
    own = judged()
    own.groups["site"][:30] = "far"
    own.score[:30, 0] = own.truth[:30, 0] + 9.0  # beyond the half width in one site
    found = coverage(own, 0, DRAWN)
    known = ~np.isnan(own.truth[:, 0])
    far_patients = len(set(own.patients[known & (own.groups["site"] == "far")].tolist()))
    inside = np.abs(own.truth[:, 0] - own.score[:, 0]) <= 8
    assert found["mean_width"] == 16
    assert found["width_in_sd"] == pytest.approx(16 / own.truth[known, 0].std())
    assert found["found"]["value"] == pytest.approx(inside[known].mean())
    order = [f"age {name}" for _, name in AGES] + ["sex F", "sex M", "site a", "site b", "site far"]
    assert list(found["by"]) == order
    for column, words in own.groups.items():
        for name in ordered(column, words):
            part = known & (words == name)
            assert found["by"][f"{column} {name}"]["value"] == pytest.approx(inside[part].mean())
            assert found["by"][f"{column} {name}"]["n"] == part.sum()
    assert found["by"]["site far"]["value"] == 0
    for name, one in found["by"].items():
        low, high = one["interval"]
        assert (name in found["short_in"]) == (low < high < 0.9)
    # None is covered in any draw: the bootstrap has no interval, as many patients have.
    assert found["by"]["site far"]["interval"] == [0.0, pytest.approx(1 - 0.025 ** (1 / far_patients), rel=1e-9)]
    assert "site far" in found["short_in"]


def test_a_group_far_below_the_promise_is_named():
    own = judged(n=300, patients=300)
    own.groups["sex"][:] = "M"
    own.groups["sex"][::2] = "F"
    own.score[::4, 0] = own.truth[::4, 0] + 9.0
    assert "sex F" in coverage(own, 0, DRAWN)["short_in"]


def test_a_patient_says_too_little_for_a_group_to_be_named():
    """One of whom nothing is covered may be among the ten of a hundred; two such are hardly."""
    for n, is_named in ((1, False), (2, True)):
        own = judged(n=40, patients=40)
        own.truth[:, 0], own.patients[:] = own.score[:, 0], np.arange(40)
        own.groups["site"][:n] = "far"
        own.score[:n, 0] += 9.0
        assert ("site far" in coverage(own, 0, DRAWN)["short_in"]) == is_named
        own.patients[:n] = 0  # several studies of one patient
        assert "site far" not in coverage(own, 0, DRAWN)["short_in"]


def test_a_truth_of_one_value_has_no_spread_to_compare_with():
    own = judged()
    own.truth[:, 0] = 4.0
    assert coverage(own, 0, DRAWN)["width_in_sd"] is None
    own.truth[:, 0] = np.nan
    found = coverage(own, 0, DRAWN)
    assert found["width_in_sd"] is None
    assert "got none" in found["found"]["not_estimable"]


def test_groups_that_are_unknown_come_last_and_by_name():
    assert ordered("age", np.array(["≥ 80", None, "< 50", "child", "50–64"], object)) == [
        "< 50",
        "50–64",
        "≥ 80",
        "child",
    ]
