"""The page of an evaluation: every number and every reason is on it, it needs nothing from outside, it is escaped."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from cardioloom.evaluation.assess import assess
from cardioloom.evaluation.assess_survival import assess_survival
from cardioloom.evaluation.baselines import Sides, baseline
from cardioloom.evaluation.judged import Bootstrap, Judged
from cardioloom.models.task import Output
from cardioloom.report.evaluation_page import MAX_DRAWN, render
from cardioloom.report.evaluation_plots import ACROSS, DOWN
from cardioloom.report.evaluation_tripod import ITEMS
from cardioloom.report.words import number
from pages import Page

EVIL = '<script>alert("x")</script>&\u202e\x07'
N = 240
DRAWS = Bootstrap(draws=100)
CODES = ("AF", "low_ef", "none_there", "sure")


def facts(**other: Any) -> dict[str, Any]:
    """What stands around the metrics of a simulated cohort."""
    table = [
        {"variable": "studies", "all": "240", "test": "240"},
        {"variable": "age", "all": "61 (4)", "test": "61 (4)"},
    ]
    return {
        "schema": "cardioloom.evaluation/1",
        "created": "2026-01-01T00:00:00+00:00",
        "cardioloom": "0.1.0",
        "model": {
            "name": "net-7",
            "sha256": "ab" * 32,
            "trained_on": "300 simulated patients (phantom/1, population general)",
            "licence": "as the cohort",
            "source": "recipe",
            "title": "Net 7",
        },
        "cohort": {
            "source": "simulated patients",
            "licence": "none",
            "fingerprint": "cd" * 32,
            "split": "test",
            "studies": N,
            "patients": N,
            "table_1": table,
            "simulated": True,
            "statement": "simulated patients: no person's data",
        },
        "contamination": {"verdict": "none known", "why": "the card names neither"},
        "excluded": [{"study_id": f"s{k}", "reason": "no signal in V1"} for k in range(30)],
        "warnings": [{"text": "resampled from 500 Hz", "n": 12}],
        **other,
    }


def labels() -> dict[str, Any]:
    """Four labels: two usual ones, one without a positive, one that its scores separate; survival; baselines."""
    random = np.random.default_rng(4)
    logits = random.normal(-0.5, 1.5, (N, 4))
    score = expit(logits)
    truth = (random.random((N, 4)) < score).astype(float)
    truth[:, 2] = 0
    truth[:, 3] = score[:, 3] > 0.8
    truth[:40, 1] = np.nan
    outputs = tuple(Output(code, code, "rhythm", threshold=0.4, calibrated=code == "AF") for code in CODES)
    groups = {
        "sex": np.array(["F", "M"] * (N // 2)),
        "site": np.array(["A", "B", "rare"])[np.minimum(np.arange(N) // 118, 2)],
    }
    judged = Judged.of("multi_label", outputs, truth, score, [f"p{k}" for k in range(N)], groups)
    found = facts() | assess(judged, judged.take(np.arange(N) < 100), bootstrap=DRAWS, centre="site")
    features = np.stack([logits[:, 0] + random.normal(0, 2, N), random.normal(0, 1, N)], axis=1)
    sides = Sides(features, features, np.where(np.arange(N)[:, None] < 200, truth, np.nan), 200, "age and sex")
    found["baselines"] = {
        "age_sex": baseline("age_sex", judged, sides, DRAWS),
        "measure": {"not_made": "the cohort has no train split"},
    }
    years = random.exponential(8, N).clip(0.01, 9.5)
    events = (years < 9).astype(float) * (random.random(N) < 0.7)
    survival = assess_survival(years, events, score[:, 0], judged.patients, DRAWS, is_probability=True)
    found["survival"] = {
        "time": "af_years",
        "event": "af_event",
        "output": "AF",
        "left_out": {"event before": 3},
    } | survival
    return plain(found)


def numbers() -> dict[str, Any]:
    """Two numbers, one of them never measured."""
    random = np.random.default_rng(2)
    truth = random.normal(60, 8, (N, 2))
    score = truth + random.normal(0.5, 5, (N, 2))
    truth[:, 1] = np.nan
    outputs = (
        Output("lvef", "ejection fraction", "function", unit="%", half_width=9.0, calibrated=True),
        Output("mass", "mass", "function", unit="g"),
    )
    groups = {"sex": np.array(["F", "M"] * (N // 2))}
    judged = Judged.of("regression", outputs, truth, score, [f"p{k}" for k in range(N)], groups)
    found = facts() | assess(judged, bootstrap=DRAWS)
    features = random.normal(0, 1, (N, 2)) + truth[:, :1]
    found["baselines"] = {"age_sex": baseline("age_sex", judged, Sides(features, features, truth, N, "age"), DRAWS)}
    return plain(found)


def plain(found: Mapping[str, Any]) -> dict[str, Any]:
    """As it comes back from metrics.json."""
    return json.loads(json.dumps(found))


@pytest.fixture(scope="module")
def of_labels() -> dict[str, Any]:
    return labels()


@pytest.fixture(scope="module")
def of_numbers() -> dict[str, Any]:
    return numbers()


def metrics_in(value: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every metric with its place."""
    if isinstance(value, dict):
        if "value" in value or "not_estimable" in value or "not_made" in value:
            yield path, value
        for name, own in value.items():
            yield from metrics_in(own, f"{path}/{name}")
    elif isinstance(value, list):
        for k, own in enumerate(value):
            yield from metrics_in(own, f"{path}/{k}")


def shown(value: float) -> str:
    return f"{value:.3f}".replace("-", "−").replace("−0.000", "0.000")


def test_every_metric_of_labels_is_on_the_page_with_its_interval(of_labels: dict[str, Any]):
    text = Page(render(of_labels)).text
    seen = 0
    for path, found in metrics_in(of_labels):
        if "value" not in found:
            continue
        words = shown(found["value"])
        if "interval" in found:
            low, high = found["interval"]
            words += f" {shown(low)}{' to ' if low < 0 else '–'}{shown(high)}"
        elif "no_interval" in found:
            words += " no interval"
        assert words in text, (path, words)
        seen += 1
    assert seen > 100
    for own in of_labels["labels"].values():
        assert f"{own['n']:,}" in text
        assert shown(own["threshold"]) in text


def test_every_metric_of_numbers_is_on_the_page(of_numbers: dict[str, Any]):
    text = Page(render(of_numbers)).text
    seen = 0
    for path, found in metrics_in(of_numbers):
        if "value" in found:
            digits = 3 if "coverage" in path else None
            words = number(found["value"], digits)
            if "interval" in found:
                low, high = found["interval"]
                words += f" {number(low, digits)}{' to ' if low < 0 else '–'}{number(high, digits)}"
            assert words in text, (path, words)
            seen += 1
    assert seen > 12
    assert "240 of 240 studies" in text


def test_every_reason_is_on_the_page(of_labels: dict[str, Any], of_numbers: dict[str, Any]):
    for metrics in (of_labels, of_numbers):
        text = Page(render(metrics)).text
        reasons = [
            found[key]
            for _, found in metrics_in(metrics)
            for key in ("not_estimable", "no_interval", "not_made")
            if found.get(key)
        ]
        assert len(reasons) > 5
        for reason in reasons:
            assert re.sub(r"\s+", " ", reason) in text
    assert "not estimable" in text


def test_what_is_to_be_read_first_is_on_top(of_labels: dict[str, Any]):
    page = render(of_labels)
    head = page[: page.index("<main>")]
    assert "Judged on simulated patients: no person&#39;s data." in head
    assert "The model was trained on 300 simulated patients" in head
    assert "<strong>Contamination: none known.</strong> The card names neither." in head
    assert 'class="disclaimer verdict"' in head
    real = of_labels | {
        "cohort": of_labels["cohort"] | {"simulated": False, "source": "a hospital"},
        "model": of_labels["model"] | {"trained_on": "20,000 patients"},
        "contamination": {"verdict": "trained on this split", "why": "run.json names it."},
    }
    head = render(real).partition("<main>")[0]
    assert "simulated" not in head.partition("</style>")[2]
    assert 'class="disclaimer verdict trained"' in head
    assert "Contamination: trained on this split.</strong> Run.json names it.</p>" in head


def paths(page: str, title: str, name: str) -> list[np.ndarray]:
    """The points of the lines of one class in one drawing, each stretch apart."""
    drawing = page.partition(f'<figcaption class="over">{title}</figcaption>')[2].partition("</figure>")[0]
    found = []
    for path in re.findall(rf'<path class="{name}" d="([^"]+)"/>', drawing.partition("<ul")[0]):
        for stretch in path.split("M")[1:]:
            found.append(np.array([list(map(float, point.split())) for point in stretch.split("L")]))
    return found


def test_the_drawn_roc_has_the_area_that_stands_beside_it(of_labels: dict[str, Any]):
    page = render(of_labels)
    for code in ("AF", "low_ef", "sure"):
        (curve,) = paths(page, f"ROC curve of {code}", "line-1")
        x, y = curve[:, 0] / ACROSS, 1 - curve[:, 1] / DOWN
        assert tuple(curve[0]) == (0, DOWN)
        assert tuple(curve[-1]) == (ACROSS, 0)
        area = of_labels["labels"][code]["auroc"]
        assert np.trapezoid(y, x) == pytest.approx(area["value"], abs=2e-3)
        assert f"AUROC {shown(area['value'])}" in Page(page).text
    assert "ROC curve of none_there" not in page
    assert "No curves: AUROC of none_there needs both classes" in page


def test_reliability_has_points_counts_and_intervals(of_labels: dict[str, Any]):
    page = render(of_labels)
    rows = of_labels["labels"]["AF"]["reliability"]
    title = "Reliability of AF"
    drawing = page.partition(f'<figcaption class="over">{title}</figcaption>')[2].partition("</figure>")[0]
    dots = re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', drawing)
    bars = paths(page, title, "bar-1")
    assert len(dots) == len(bars) == len(rows)

    def height(value: float) -> float:
        return (1 - value) / 1.14 * DOWN

    for row, (x, y), bar in zip(rows, dots, bars, strict=True):
        assert float(x) == pytest.approx(row["predicted"] * ACROSS, abs=0.01)
        assert float(y) == pytest.approx(height(row["observed"]["value"]), abs=0.01)
        np.testing.assert_allclose(bar[:, 1], [height(end) for end in row["observed"]["interval"]], atol=0.01)
    assert re.findall(r'class="mid count"[^>]*>([\d,]+)<', drawing) == [f"{row['n']}" for row in rows]


def test_decisions_and_abstention_are_drawn(of_labels: dict[str, Any]):
    page = render(of_labels)
    model, everybody = (paths(page, "Decision curve of AF", name)[0] for name in ("line-1", "line-3"))
    rows = of_labels["labels"]["AF"]["decision_curve"]
    assert len(model) == len(everybody) == len(rows)
    # Both are on one scale: where they are equal they are drawn at one place.
    top = max(max(row["model"], row["treat_all"]) for row in rows)
    scale = DOWN / (1.38 * top)
    differences = [row["treat_all"] - row["model"] for row in rows]
    np.testing.assert_allclose(model[:, 1] - everybody[:, 1], np.array(differences) * scale, atol=0.03)
    (curve,) = paths(page, "Risk over coverage of AF", "line-1")
    risk = np.array(of_labels["labels"]["AF"]["risk_coverage"])[:, 1]
    assert curve[:, 1].argmin() == risk.argmax()


def test_survival_is_a_staircase_that_falls(of_labels: dict[str, Any]):
    page = render(of_labels)
    curves = of_labels["survival"]["kaplan_meier"]
    assert list(curves) == ["low", "middle", "high"]
    for n, (name, curve) in enumerate(curves.items(), 1):
        (line,) = paths(page, "Kaplan–Meier curves by risk", f"line-{n}")
        assert (np.diff(line[:, 1]) >= 0).all()
        assert ((np.diff(line[:, 0]) == 0) | (np.diff(line[:, 1]) == 0)).all()
        assert f"{name} risk: {sum(curve['events'])} events in {curve['at_risk'][0]}" in page
    assert "3 studies left out: event before" in page
    p = of_labels["survival"]["log_rank"]["p"]
    assert f"Log-rank test: p {'< 0.001' if p < 0.001 else shown(p)}." in Page(page).text


def test_scatter_and_agreement_hold_every_pair(of_numbers: dict[str, Any]):
    page = render(of_numbers)
    assert page.count('<circle class="dot-2"') == 2 * N
    (equal,) = paths(page, "lvef: predicted over measured", "guide")
    np.testing.assert_allclose(equal, [[0, DOWN], [ACROSS, 0]])
    (bias,) = paths(page, "lvef: difference over mean", "line-1")
    lower, upper = paths(page, "lvef: difference over mean", "line-3")
    own = of_numbers["numbers"]["lvef"]
    share = (own["bias"]["value"] - own["lower_limit"]["value"]) / (
        own["upper_limit"]["value"] - own["lower_limit"]["value"]
    )
    assert (lower[0, 1] - bias[0, 1]) / (lower[0, 1] - upper[0, 1]) == pytest.approx(share, abs=1e-3)


def test_forests_put_groups_on_one_scale(of_labels: dict[str, Any]):
    page = render(of_labels)
    for code in CODES:
        forest = page.partition(f"<summary><b>{code}</b>")[2].partition("</table>")[0]
        lines = re.findall(r'<rect class="dot-1" x="([\d.]+)"', forest)
        groups = [own for rows in of_labels["subgroups"].values() for row in rows.values() for own in (row[code],)]
        values = [own["value"] for own in (of_labels["labels"][code]["auroc"], *groups) if "value" in own]
        assert len(lines) == len(values)
        if len(set(values)) > 1:
            x = np.array(lines, float)
            slope, start = np.polyfit(values, x, 1)
            np.testing.assert_allclose(x, slope * np.array(values) + start, atol=0.02)
            assert slope > 0


def test_left_out_studies_are_counted_and_named(of_labels: dict[str, Any]):
    text = Page(render(of_labels)).text
    assert "30: no signal in V1 s0, s1, s2" in text
    assert "s19 and 10 more" in text
    assert "12 studies: resampled from 500 Hz" in text


def test_the_checklist_has_all_items_and_says_what_is_missing(of_labels: dict[str, Any]):
    page = render(of_labels)
    numbers = [row[0] for rows in ITEMS.values() for row in rows]
    assert {int(re.sub(r"\D", "", name)) for name in numbers} == set(range(1, 28))
    assert len(numbers) == len(set(numbers)) == 52
    table = page.partition('<table class="checklist">')[2]
    assert re.findall(r'<th scope="row">([\da-g]+)</th>', table) == numbers
    rows = dict(re.findall(r'<tr class="([a-z-]+)"><th scope="row">([\da-g]+)</th>', table))
    assert set(rows) == {"stated", "partly-stated", "not-stated"}
    said, partly, missing = map(int, re.findall(r"(\d+) stated by this page, (\d+) in part, (\d+) not", page)[0])
    assert said + partly + missing == 52
    assert table.count("not stated: ") == partly + missing
    assert "not stated: funding" in table
    assert "by sex, site" in table
    # Less is known: less is stated.
    bare = render({"schema": "cardioloom.evaluation/1", "model": {"name": "x"}, "kind": "multi_label"})
    fewer = int(re.findall(r"(\d+) stated by this page", bare)[0])
    assert fewer < said


def test_everything_from_a_file_is_escaped():
    metrics = labels()
    raw = json.dumps(metrics).replace('"AF', json.dumps(EVIL)[:-1]).replace('"site"', json.dumps(EVIL + "site"))
    evil = json.loads(raw)
    assert EVIL in evil["labels"]
    for name in ("name", "title", "trained_on", "licence", "source"):
        evil["model"][name] = EVIL
    for name in ("source", "licence", "statement", "fingerprint"):
        evil["cohort"][name] = EVIL
    evil["contamination"] = {"verdict": EVIL, "why": EVIL}
    evil["excluded"] = [{"study_id": EVIL, "reason": EVIL}]
    evil["warnings"] = [{"text": EVIL, "n": 1}]
    evil["outputs_without_truth"] = [EVIL]
    evil["baselines"][EVIL] = {"not_made": EVIL}
    page = render(evil)
    tree = Page(page)
    assert tree.named("script") == []
    assert "\x07" not in page
    assert "\u202e" not in page
    assert page.count("&lt;script&gt;") > 40


def test_the_page_needs_nothing_from_outside_and_can_be_read_by_ear(
    of_labels: dict[str, Any], of_numbers: dict[str, Any]
):
    for metrics in (of_labels, of_numbers):
        page = render(metrics)
        tree = Page(page)
        assert page.startswith("<!DOCTYPE html>")
        assert "default-src 'none'" in page
        for tag in ("script", "link", "iframe", "object", "img"):
            assert tree.named(tag) == []
        for _, attributes in tree.tags:
            for name in ("src", "href", "data", "action"):
                assert (attributes.get(name) or "#").startswith("#")
        ids = [attributes["id"] for _, attributes in tree.tags if "id" in attributes]
        assert len(ids) == len(set(ids))
        for _, attributes in tree.tags:
            for target in (attributes.get("aria-labelledby"), (attributes.get("href") or "")[1:]):
                assert not target or target in ids
        assert all("aria-label" in svg or svg.get("aria-hidden") or "x" in svg for svg in tree.named("svg"))
        assert "NaN" not in page
        assert "None" not in tree.text
        assert render(metrics) == page


def test_of_very_many_outputs_the_tables_hold_all(of_labels: dict[str, Any]):
    own = of_labels["labels"]["AF"]
    many = of_labels | {
        "labels": {f"L{k}": own for k in range(150)},
        "subgroups": {},
        "baselines": {},
        "survival": None,
    }
    page = render(many)
    assert page.count("ROC curve of L") == 2 * MAX_DRAWN
    assert f"Drawn are the first {MAX_DRAWN} of 150 outputs; the tables hold all." in page
    assert page.count('<th scope="row">L149</th>') == 4
    assert len(page) < 2_000_000
