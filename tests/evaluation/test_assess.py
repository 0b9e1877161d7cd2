"""The dictionary of an evaluation: against scikit-learn, against slow loops, and where nothing can be said."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from cardioloom.errors import UsageError
from cardioloom.evaluation import calibration
from cardioloom.evaluation.assess import assess
from cardioloom.evaluation.assess_labels import MAX_POINTS, calibrated, clustered_line, one_label_sets, roc_points
from cardioloom.evaluation.assess_numbers import agreement
from cardioloom.evaluation.assess_survival import Outcome, assess_survival
from cardioloom.evaluation.bootstrap import bootstrap
from cardioloom.evaluation.degenerate import without_degenerate
from cardioloom.evaluation.judged import Bootstrap, Judged
from cardioloom.evaluation.subgroups import ages, default_centre, groups_of
from cardioloom.models.task import Output
from cardioloom.records.cohort import Cohort

DRAWN = Bootstrap(draws=100, seed=3)


def labels(n: int = 300, seed: int = 0, patients: int | None = None) -> Judged:
    """Three labels: one that is seen, one that is partly labelled, one of a single class."""
    random = np.random.default_rng(seed)
    truth = (random.random((n, 3)) < (0.3, 0.2, 0.0)).astype(float)
    score = 1 / (1 + np.exp(-(2 * truth - 1 + random.normal(size=(n, 3)))))
    truth[random.random(n) < 0.3, 1] = np.nan
    outputs = (
        Output("AF", "atrial fibrillation", "rhythm", threshold=0.4, calibrated=True),
        Output("RBBB", "block", "conduction"),
        Output("LBBB", "block", "conduction"),
    )
    of_patient = np.arange(n) if patients is None else random.integers(0, patients, n)
    groups = {
        "sex": random.choice(["F", "M", None], n),
        "age": ages(random.uniform(30, 95, n)),
        "site": ["A", "B"] * (n // 2),
    }
    return Judged.of("multi_label", outputs, truth, score, of_patient.tolist(), groups)


def test_metrics_are_those_of_scikit_learn():
    judged = labels()
    found = assess(judged, bootstrap=DRAWN, centre="site")
    for at, code in ((0, "AF"), (1, "RBBB")):
        known = ~np.isnan(judged.truth[:, at])
        y, p = judged.truth[known, at], judged.score[known, at]
        own = found["labels"][code]
        assert own["auroc"]["value"] == pytest.approx(roc_auc_score(y, p))
        assert own["auprc"]["value"] == pytest.approx(average_precision_score(y, p))
        assert (own["n"], own["events"]) == (known.sum(), y.sum())
        called = p >= judged.outputs[at].threshold
        assert own["sensitivity"]["value"] == pytest.approx(called[y == 1].mean())
        assert own["ppv"]["value"] == pytest.approx(y[called].mean())
        low, high = own["auroc"]["interval"]
        assert low < own["auroc"]["value"] < high
        assert own["risk_coverage"][-1] == pytest.approx([1.0, ((p >= own["threshold"]) != y).mean()], abs=1e-6)
    known = ~np.isnan(judged.truth)
    assert found["micro"]["auroc"]["value"] == pytest.approx(roc_auc_score(judged.truth[known], judged.score[known]))
    both = [found["labels"][code]["auroc"]["value"] for code in ("AF", "RBBB")]
    assert found["macro"]["auroc"]["value"] == pytest.approx(np.mean(both))
    assert list(found["macro"]["left_out"]) == ["LBBB"]
    assert "validation split" in found["labels"]["AF"]["sets"]["not_made"]


def test_one_class_is_not_estimable_and_never_a_number():
    found = json.loads(json.dumps(assess(labels(), bootstrap=DRAWN), allow_nan=False))
    own = found["labels"]["LBBB"]
    for name in ("auroc", "auprc", "sensitivity"):
        assert set(own[name]) == {"n", "events", "not_estimable"}
    for name, estimate in own["calibration"].items():
        assert "not_estimable" in estimate, name
    assert own["roc"] == own["reliability"] == own["decision_curve"] == own["risk_coverage"] == []
    assert own["specificity"]["value"] <= 1  # of negatives alone it is estimable


def test_subgroups_and_centres_are_the_metric_of_their_part():
    judged = labels()
    found = assess(judged, bootstrap=DRAWN, centre="site")
    for column, words in judged.groups.items():
        there = {word for word in words.tolist() if word is not None}
        assert set(found["subgroups"][column]) == there
        for word in there:
            part = words == word
            value = roc_auc_score(judged.truth[part, 0], judged.score[part, 0])
            assert found["subgroups"][column][word]["AF"]["value"] == pytest.approx(value)
    row = found["centres"]["rows"]["A"]
    assert (row["studies"], row["patients"]) == (150, 150)
    assert row["AF"] == found["subgroups"]["site"]["A"]["AF"]
    assert row["macro_auroc"]["value"] == pytest.approx(np.mean([row[code]["value"] for code in ("AF", "RBBB")]))
    assert "--centre" in assess(judged, bootstrap=DRAWN)["centres"]["not_made"]


def test_roc_is_the_curve():
    judged = labels(1000)
    y, p = judged.truth[:, 0], np.round(judged.score[:, 0], 2)
    points = np.array(roc_points(y, p))
    assert len(points) <= MAX_POINTS
    assert points[[0, -1]].tolist() == [[0, 0], [1, 1]]
    false, true, _ = roc_curve(y, p, drop_intermediate=False)
    np.testing.assert_allclose(points, np.stack([false, true], axis=1), atol=1e-6)
    assert np.trapezoid(points[:, 1], points[:, 0]) == pytest.approx(roc_auc_score(y, p), abs=1e-5)


def test_calibration_errors_are_drawn_as_the_bootstrap_draws_them():
    judged = labels(120, patients=50)
    y, p = judged.truth[:, 0], judged.score[:, 0]
    found = calibrated(y, p, judged.patients, "AF", DRAWN)
    for name, metric in (("ece", calibration.calibration_error), ("brier", calibration.brier)):
        slow = bootstrap(lambda rows, m=metric: m(y[rows], p[rows]), judged.patients.tolist(), draws=100, seed=3)
        assert found[name]["value"] == pytest.approx(slow.value)
        assert found[name]["interval"] == pytest.approx([slow.low, slow.high])


def test_the_calibration_line_of_whole_patients():
    judged = labels(200)
    y, p = judged.truth[:, 0], judged.score[:, 0]
    alone = clustered_line(y, p, np.arange(200))
    plain = calibration.calibration_line(y, p)
    # Every record twice, both of one patient: nothing more is known.
    twice = clustered_line(np.repeat(y, 2), np.repeat(p, 2), np.repeat(np.arange(200), 2))
    for term, estimate in alone.items():
        assert estimate.value == pytest.approx(plain[term].value)
        assert estimate.high - estimate.low == pytest.approx(plain[term].high - plain[term].low, rel=0.3)
        assert (twice[term].low, twice[term].high) == pytest.approx((estimate.low, estimate.high))
    # A slow loop over patients.
    codes = np.arange(200) // 3
    (a, b), bread = calibration.logistic_line(y, p)
    x = np.log(p / (1 - p))
    residual = y - 1 / (1 + np.exp(-(a + b * x)))
    meat = np.zeros((2, 2))
    for code in np.unique(codes):
        s = np.array([residual[codes == code].sum(), (residual * x)[codes == code].sum()])
        meat += np.outer(s, s)
    half = 1.959964 * (bread @ meat @ bread)[1, 1] ** 0.5
    found = clustered_line(y, p, codes)["slope"]
    assert (found.low, found.high) == pytest.approx((b - half, b + half), rel=1e-6)


def test_where_scores_separate_the_line_has_no_slope_but_a_mean():
    y, p = np.array([0.0, 0, 0, 1, 1]), np.array([0.1, 0.2, 0.3, 0.6, 0.7])
    found = clustered_line(y, p, np.arange(5))
    assert found["slope"].value is None
    assert "separate" in str(found["slope"].reason)
    assert found["in_the_large"].value is not None


def test_sets_hold_what_they_promise():
    judged, validation = labels(400, seed=1), labels(400, seed=2)
    found = one_label_sets(judged, validation, 0, DRAWN)
    assert found["promised"] == 0.9
    assert found["positives"]["value"] > 0.83
    assert found["negatives"]["value"] > 0.83
    assert found["empty"] + found["one_answer"] + found["not_sure"] == pytest.approx(1)
    assert "one study a patient" not in found["fitted_on"]
    repeated = one_label_sets(judged, labels(400, seed=2, patients=100), 0, DRAWN)
    assert "the promise is for one study a patient" in repeated["fitted_on"]
    few = validation.take(np.arange(400) < 12)
    assert "9 validation studies of each class" in one_label_sets(judged, few, 0, DRAWN)["not_made"]


def test_the_challenge_score():
    random = np.random.default_rng(0)
    truth = (random.random((60, 3)) < 0.4).astype(float)
    truth[:, 2] = 1 - truth[:, :2].max(axis=1)
    outputs = (Output("AF", "a", "rhythm"), Output("RBBB", "b", "conduction"), Output("NSR", "s", "rhythm"))
    judged = Judged.of("multi_label", outputs, truth, np.where(truth == 1, 0.9, 0.1), list(range(60)))
    found = assess(judged, bootstrap=DRAWN)["challenge_2021"]
    assert found["value"] == pytest.approx(1)
    assert found["classes"] == ["AF", "RBBB", "NSR"]
    truth[:, 1] = np.nan
    reason = assess(replace(judged, truth=truth), bootstrap=DRAWN)["challenge_2021"]["not_estimable"]
    assert "all 3 of its labels" in reason
    other = replace(judged, outputs=(Output("x", "x", "x"), Output("y", "y", "y"), Output("z", "z", "z")))
    assert "table of weights" in assess(other, bootstrap=DRAWN)["challenge_2021"]["not_estimable"]


def test_the_challenge_score_is_none_where_false_alarms_would_cost_nothing():
    """Without sinus rhythm, a study of none of the labels has no true class: answering AF everywhere would score 1."""
    truth = np.array([[1.0], [0.0], [0.0], [0.0]])
    judged = Judged.of("multi_label", (Output("AF", "a", "rhythm"),), truth, np.full((4, 1), 0.9), list("abcd"))
    found = assess(judged, bootstrap=DRAWN)["challenge_2021"]
    assert "value" not in found
    assert "needs sinus rhythm (NSR) among the labels, got AF" in found["not_estimable"]


def numbers_judged(n: int = 120, patients: int | None = None, **options: float) -> Judged:
    random = np.random.default_rng(0)
    truth = random.normal(60, 10, (n, 1))
    score = truth + random.normal(1, 5, (n, 1))
    truth[:7] = np.nan
    output = Output("ef", "ejection fraction", "function", unit="%", **options)
    of = np.arange(n) if patients is None else np.arange(n) % patients
    return Judged.of("regression", (output,), truth, score, of.tolist(), {"sex": ["F", "M"] * (n // 2)})


def test_numbers():
    judged = numbers_judged(half_width=6.0, coverage=0.8)
    found = assess(judged, bootstrap=DRAWN)
    own = found["numbers"]["ef"]
    y, p = judged.truth[7:, 0], judged.score[7:, 0]
    assert own["n"] == 113
    assert own["unit"] == "%"
    assert own["mae"]["value"] == pytest.approx(np.abs(y - p).mean())
    assert own["r"]["value"] == pytest.approx(np.corrcoef(y, p)[0, 1])
    assert own["upper_limit"]["value"] == pytest.approx((p - y).mean() + 1.959964 * (p - y).std(ddof=1))
    assert own["coverage"]["target"] == 0.8
    assert own["coverage"]["found"]["value"] == pytest.approx((np.abs(y - p) <= 6).mean())
    women = np.abs(y - p)[np.arange(7, 120) % 2 == 0]
    assert own["coverage"]["by"]["sex F"]["value"] == pytest.approx((women <= 6).mean())
    assert found["subgroups"]["sex"]["F"]["ef"]["value"] == pytest.approx(women.mean())
    assert own["pairs"][0] == pytest.approx([y[0], p[0]], rel=1e-5)
    assert (
        "calibrate" in assess(numbers_judged(), bootstrap=DRAWN)["numbers"]["ef"]["coverage"]["found"]["not_estimable"]
    )


def test_limits_of_agreement_of_patients_with_several_studies():
    judged = numbers_judged(patients=40)
    y, p = judged.truth[7:, 0], judged.score[7:, 0]
    found = agreement(y, p, judged.patients[7:], DRAWN)
    alone = agreement(y, p, np.arange(113), DRAWN)
    for name, estimate in found.items():
        assert estimate["value"] == pytest.approx(alone[name]["value"])
        assert estimate["interval"] != alone[name]["interval"]


def test_intervals_without_width_are_none():
    found = {"a": [{"n": 3, "value": 1.0, "interval": [1.0, 1.0]}], "b": {"value": 0.5, "interval": [0.4, 0.6]}}
    assert without_degenerate(found)["b"] == found["b"]
    assert set(without_degenerate(found)["a"][0]) == {"n", "value", "no_interval"}


def test_what_cannot_be_judged_is_refused():
    output = (Output("AF", "a", "rhythm"),)
    with pytest.raises(UsageError, match="needs studies"):
        Judged.of("multi_label", output, np.empty((0, 1)), np.empty((0, 1)), [])
    with pytest.raises(UsageError, match="probabilities"):
        Judged.of("multi_label", output, [[1.0]], [[1.5]], ["p"])
    with pytest.raises(UsageError, match="finite"):
        Judged.of("regression", output, [[1.0]], [[np.nan]], ["p"])
    with pytest.raises(UsageError, match="kind"):
        Judged.of("ranking", output, [[1.0]], [[0.5]], ["p"])
    with pytest.raises(UsageError, match="at least 100 draws"):
        Bootstrap(draws=5)


def test_ages_are_grouped_at_their_limits():
    years = np.array([0, 49.9, 50, 64.9, 65, 79.9, 80, 105, np.nan])
    expected = ["< 50", "< 50", "50–64", "50–64", "65–79", "65–79", "≥ 80", "≥ 80", None]
    assert ages(years).tolist() == expected


def table(**columns: object) -> Cohort:
    n = len(next(iter(columns.values())))  # type: ignore[arg-type]
    ids = {"study_id": [f"s{k}" for k in range(n)], "patient_id": [f"p{k}" for k in range(n)]}
    return Cohort({**ids, **columns}, dict)  # type: ignore[arg-type]


def test_groups_of_a_cohort():
    cohort = table(
        sex=["F", "M", None],
        age=[40.0, 70.0, np.nan],
        site=["A", "B", "A"],
        smoker=[0.0, 1.0, np.nan],
        hr=[61.0, 72.0, 83.0],
    )
    found = groups_of(cohort, ("smoker",), None)
    assert {name: words.tolist() for name, words in found.items()} == {
        "sex": ["F", "M", None],
        "age": ["< 50", "65–79", None],
        "site": ["A", "B", "A"],
        "smoker": ["0", "1", None],
    }
    assert default_centre(cohort) == "site"
    assert default_centre(cohort.take([0, 2])) is None  # one centre
    with pytest.raises(UsageError, match="holds numbers"):
        groups_of(cohort, ("hr",), None)
    with pytest.raises(UsageError, match="no column 'centre'"):
        groups_of(cohort, (), "centre")
    many = table(site=[f"site {k}" for k in range(80)])
    assert groups_of(many, (), None) == {}
    with pytest.raises(UsageError, match="80 different values"):
        groups_of(many, ("site",), None)


def test_survival():
    random = np.random.default_rng(0)
    risk = random.random(400)
    years = np.minimum(random.exponential(8 * (1.2 - risk)), 5.0)
    event = (years < 5).astype(float)
    years[:9], event[:9] = np.nan, np.nan
    found = assess_survival(years, event, risk, np.arange(400), DRAWN, is_probability=True)
    assert (found["n"], found["events"]) == (391, np.nansum(event))
    assert found["harrell_c"]["value"] > 0.6
    assert [row["years"] for row in found["horizons"]] == [1, 2, 3, 5]
    assert all("value" in row["auroc"] and "value" in row["brier"] for row in found["horizons"][:3])
    assert "followed beyond" in found["horizons"][3]["auroc"]["not_estimable"]
    assert (found["integrated_brier"]["from_years"], found["integrated_brier"]["to_years"]) == (1, 3)
    assert list(found["kaplan_meier"]) == ["low", "middle", "high"]
    ends = [found["kaplan_meier"][name]["survival"][-1] for name in found["kaplan_meier"]]
    assert ends == sorted(ends, reverse=True)
    assert found["log_rank"]["p"] < 1e-3
    assert (
        "brier" not in assess_survival(years, event, risk, np.arange(400), DRAWN, is_probability=False)["horizons"][0]
    )
    json.dumps(found, allow_nan=False)


def test_several_studies_of_a_patient_are_not_independent():
    """Every study twice says nothing new: no p, and no interval that would be narrower for it."""
    random = np.random.default_rng(0)
    risk, years = random.random(100), random.uniform(0.1, 6, 100)
    event = (random.random(100) < risk).astype(float)
    years, event, risk, patients = (np.repeat(values, 2) for values in (years, event, risk, np.arange(100)))
    found = assess_survival(years, event, risk, patients, DRAWN, is_probability=True)
    assert "log-rank test takes studies as independent" in found["log_rank"]["not_estimable"]
    assert set(found["kaplan_meier"]["low"]["low"]) == {None}
    observed = found["horizons"][2]["calibration"][-1]["observed"]
    assert "interval" not in observed
    assert "one study a patient" in observed["no_interval"]
    assert found["harrell_c"]["interval"]
    row = assess(labels(200, patients=60), bootstrap=DRAWN)["labels"]["AF"]["reliability"][0]["observed"]
    assert "Wilson" in row["no_interval"]
    assert "interval" in assess(labels(200), bootstrap=DRAWN)["labels"]["AF"]["reliability"][0]["observed"]


def test_survival_without_events_is_not_estimable():
    years, event = np.linspace(1, 5, 30), np.zeros(30)
    found = assess_survival(years, event, np.linspace(0, 1, 30), np.arange(30), DRAWN, is_probability=True)
    assert "all censored" in found["harrell_c"]["not_estimable"]
    assert "not_estimable" in found["log_rank"]
    nobody = assess_survival(np.full(3, np.nan), event[:3], np.ones(3), np.arange(3), DRAWN, is_probability=True)
    assert "not_estimable" in nobody["harrell_c"]


def test_outcomes_are_read():
    cohort = table(
        af_years=[1.0, 2.0, np.nan, 3.0],
        af_event=[1.0, 0.0, 1.0, 0.0],
        af_prevalent=[0.0, 0.0, 0.0, 1.0],
        t=[-1.0, 1, 1, 1],
        w=list("abcd"),
    )
    outcome = Outcome.of("af_years, af_event", ("AF",))
    assert outcome == Outcome("af_years", "af_event", "AF")
    years, event, left_out = outcome.read(cohort)
    np.testing.assert_array_equal(years, [1, 2, np.nan, np.nan])
    np.testing.assert_array_equal(event, [1, 0, np.nan, np.nan])
    assert left_out == {"time or event not known": 1, "event before the ECG": 1}
    with pytest.raises(UsageError, match="positive, in years"):
        Outcome("t", "af_prevalent", "AF").read(cohort)
    with pytest.raises(UsageError, match="text column"):
        Outcome("w", "af_event", "AF").read(cohort)
    with pytest.raises(UsageError, match="give the event second"):
        Outcome("af_event", "af_years", "AF").read(cohort)
    with pytest.raises(UsageError, match="no column 'x'"):
        Outcome("x", "af_event", "AF").read(cohort)
    for text, codes in (("af_years", ("AF",)), ("a,b,c,d", ("AF",)), ("a,b", ("AF", "X")), ("a,b,Y", ("AF",))):
        with pytest.raises(UsageError, match=r"written TIME|has 2 outputs|output of the model"):
            Outcome.of(text, codes)
