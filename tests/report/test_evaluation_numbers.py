"""The tables of numbers: means over outputs, width of the intervals, coverage by group."""

from __future__ import annotations

from typing import Any

import pytest

from cardioloom.report.evaluation_page import render
from cardioloom.report.evaluation_tables import of_labels, of_numbers, summary
from pages import Page


def metric(value: float, n: int = 50) -> dict[str, Any]:
    return {"n": n, "value": value, "interval": [value - 0.05, value + 0.04]}


def numbers() -> dict[str, Any]:
    silent = {"n": 3, "value": 1.0, "no_interval": "every draw gives the same"}
    by = {"sex F": metric(0.81), "sex M": metric(0.93, 61), "age < 50": silent}
    coverage = {
        "target": 0.9,
        "half_width": 20.0,
        "mean_width": 40.0,
        "width_in_sd": 1.2345,
        "found": metric(0.88, 111),
        "by": by,
        "short_in": ["sex F"],
    }
    none = {"target": 0.9, "found": {"n": 0, "not_estimable": "LVM has no interval yet"}, "by": {}}
    return {
        "LVEDV": {"n": 111, "unit": "ml", "r2": metric(0.4), "coverage": coverage},
        "LVM": {"n": 111, "unit": "", "r2": metric(0.5), "coverage": none},
        "LVEF": {"n": 1, "unit": "%", "coverage": coverage | {"short_in": [], "width_in_sd": None}},
    }


def test_intervals_have_their_width_and_where_they_fall_short():
    table = of_numbers(numbers())[1]
    rows = {name: dict(zip(table.columns[1:], cells, strict=True)) for name, cells in table.rows}
    own = {name: cell.text for name, cell in rows["LVEDV"].items()}
    assert own == {
        "n": "111",
        "promised": "0.9",
        "found": "0.880",
        "mean width": "40.0",
        "unit": "ml",
        "width / SD": "1.23",
        "below the promise in": "sex F",
    }
    assert rows["LVEDV"]["found"].interval == "0.830–0.920"
    assert rows["LVEF"]["below the promise in"].text == "none"
    assert rows["LVEF"]["width / SD"].text == "–"
    # Without an interval there is neither width nor promise kept: the reason is noted, once.
    assert [rows["LVM"][name].text for name in ("mean width", "width / SD", "below the promise in")] == ["–"] * 3
    assert rows["LVM"]["found"].text == "not estimable"
    assert table.notes == (("coverage of LVM", "LVM has no interval yet"),)


def test_coverage_by_group_has_a_column_an_output_that_has_one():
    table = of_numbers(numbers())[2]
    assert table.columns == ("Group", "LVEDV", "LVEF")
    assert [name for name, _ in table.rows] == ["sex F", "sex M", "age < 50"]
    cells = {name: row[0] for name, row in table.rows}
    assert (cells["sex M"].text, cells["sex M"].interval) == ("0.930", "0.880–0.970, n 61")
    assert (cells["age < 50"].text, cells["age < 50"].interval) == ("1.000", "no interval, n 3")
    assert "coverage of LVEF, age < 50" in table.notes[0][0]


def test_without_any_interval_there_is_no_table_of_groups():
    assert len(of_numbers({"LVM": numbers()["LVM"]})) == 2


def test_the_mean_over_outputs_is_told_with_whom_it_leaves_out():
    mean = {
        "outputs": ["a", "b"],
        "left_out": {"c": "R² needs records"},
        "r2": metric(0.3),
        "r": metric(0.6),
        "mae": {"n": 50, "not_estimable": "no common unit"},
        "mae_in_sd": metric(0.7),
    }
    (table,) = summary({"kind": "regression", "mean": mean})
    assert table.columns == ("average", "R²", "r", "MAE", "MAE / SD")
    assert [cell.text for cell in table.rows[0][1]] == ["0.300", "0.600", "not estimable", "0.700"]
    assert ("c", "R² needs records") in table.notes
    assert ("MAE of mean", "no common unit") in table.notes
    assert summary({"kind": "regression", "mean": {}}) == []


def test_groups_without_a_value_are_not_counted_as_looked_at():
    own = numbers()
    own["LVEDV"]["coverage"]["by"]["age < 50"] = {"n": 0, "not_estimable": "nobody was measured"}
    some, none = ({code: own[code] for code in codes} for codes in (("LVEDV", "LVM"), ("LVM",)))
    texts = [Page(render({"kind": "regression", "model": {"name": "m"}, "numbers": one})).text for one in (some, none)]
    assert "2 groups × outputs were looked at" in texts[0]
    assert "looked at" not in texts[1]


@pytest.mark.parametrize("kind", ["regression", "multi_label"])
def test_the_page_says_how_its_intervals_are_to_be_read(kind: str):
    own = {"numbers": numbers()} if kind == "regression" else {"labels": {"AF": {"n": 3}}}
    text = Page(render({"kind": kind, "model": {"name": "m"}, **own})).text
    assert ("holds on average over patients" in text) == (kind == "regression")
    assert ("6 groups × outputs were looked at" in text) == (kind == "regression")
    assert ("have also chosen the best step of the training" in text) == (kind == "regression")
    assert ("PPV and NPV hold for the prevalence" in text) == (kind != "regression")
    assert bool(of_labels(own.get("labels", {}))) == (kind != "regression")
