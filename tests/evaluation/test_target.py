"""Targets: read from text and written back, values from columns of numbers and of words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardioloom.errors import RecordError, UsageError
from cardioloom.evaluation.target import Target, default, kind_of, parse, truth
from cardioloom.records.cohort import Cohort

NAN = float("nan")
WORDS = st.text(st.sampled_from("abcXYZ019_. -é"), min_size=1, max_size=8).map(str.strip).filter(bool)
SIGNS = ("<=", ">=", "!=", "<", ">", "=")
TARGETS = st.one_of(
    st.builds(Target, WORDS, WORDS),
    st.builds(Target, WORDS, WORDS, st.sampled_from(SIGNS), WORDS),
)


def cohort(binary: tuple[str, ...] | None = None, **columns: Any) -> Cohort:
    n = len(next(iter(columns.values())))
    own = {name: np.array(values, object if any(isinstance(v, str) for v in values) else float)
           for name, values in columns.items()}  # fmt: skip
    ids = {"study_id": np.array([f"s{k}" for k in range(n)], object)}
    ids |= {"patient_id": np.array([f"p{k}" for k in range(n)], object)}
    ids |= {"age": np.full(n, 50.0), "sex": np.array(["F"] * n, object), "date": np.array([None] * n, object)}
    return Cohort(ids | own, lambda row: row, tuple(own), binary)


ONE = cohort(
    rhythm=["AF", "sinus", None, "AF"],
    lv_ef=[0.4, 0.41, NAN, 0.2],
    y_AF=[1.0, 0.0, NAN, 1.0],
    all_one=[1.0, 1.0, 1.0, NAN],
    grade=[0.0, 1.0, 2.0, 3.0],
)


@given(target=TARGETS)
def test_a_target_equals_its_text(target: Target):
    assert Target.of(str(target)) == target


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("age", Target("age", "age")),
        ("AF:y_AF", Target("AF", "y_AF")),
        ("AF:rhythm=AF", Target("AF", "rhythm", "=", "AF")),
        ("low:lv_ef<=0.4", Target("low", "lv_ef", "<=", "0.4")),
        (" low : lv_ef <= 0.4 ", Target("low", "lv_ef", "<=", "0.4")),
        ("age>=65", Target("age>=65", "age", ">=", "65")),
        ("site!=A:B", Target("site!=A", "B")),  # what stands before a colon is a name
    ],
)
def test_texts_that_can_be_read(text: str, target: Target):
    assert Target.of(text) == target


@pytest.mark.parametrize("text", ["", ":", "a:", "a:b<", "<3", "a::b", "a:b:c", "=AF"])
def test_texts_that_cannot(text: str):
    with pytest.raises(UsageError, match="a target is written NAME:COLUMN"):
        Target.of(text)


def test_several_have_commas_between_them():
    assert parse("AF:y_AF, low:lv_ef<=0.4,") == (Target("AF", "y_AF"), Target("low", "lv_ef", "<=", "0.4"))


@pytest.mark.parametrize("text", ["", " , ", "a:x,a:y"])
def test_names_must_differ(text: str):
    with pytest.raises(UsageError, match="targets need names that differ, got "):
        parse(text)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("lv_ef", [0.4, 0.41, NAN, 0.2]),
        ("x:lv_ef<=0.4", [1, 0, NAN, 1]),
        ("x:lv_ef<0.4", [0, 0, NAN, 1]),
        ("x:lv_ef>0.4", [0, 1, NAN, 0]),
        ("x:lv_ef>=0.4", [1, 1, NAN, 0]),
        ("x:lv_ef=0.2", [0, 0, NAN, 1]),
        ("x:lv_ef!=0.2", [1, 1, NAN, 0]),  # not known is not different
        ("x:rhythm=AF", [1, 0, NAN, 1]),
        ("x:rhythm!=AF", [0, 1, NAN, 0]),
    ],
)
def test_values(text: str, values: list[float]):
    np.testing.assert_array_equal(Target.of(text).values(ONE), values)


@pytest.mark.parametrize("text", ["rhythm", "x:rhythm<AF", "x:rhythm=af", "x:rhythm=flutter", "x:rhythm>=0.5"])
def test_words_are_compared_with_a_word_that_is_there(text: str):
    with pytest.raises(UsageError, match=r"rhythm is one of AF, sinus: write .*:rhythm=WORD"):
        Target.of(text).values(ONE)


@pytest.mark.parametrize("value", ["low", "nan", "inf", "0,4"])
def test_numbers_are_compared_with_a_number(value: str):
    with pytest.raises(UsageError, match=f"lv_ef is a column of numbers: compare it with a number, got '{value}'"):
        Target.of(f"x:lv_ef<={value}").values(ONE)


def test_an_unknown_column_lists_the_known_ones():
    with pytest.raises(RecordError, match=r"has the columns study_id, .*rhythm, lv_ef.*, not ejection"):
        Target.of("ejection").values(ONE)


def test_many_words_are_cut_short():
    many = cohort(word=[f"w{k:02d}" for k in range(30)])
    with pytest.raises(UsageError, match=r"w00, .*, w11 …: write"):
        Target.of("word").values(many)


def test_the_truth_is_a_column_a_target():
    np.testing.assert_array_equal(truth(ONE, parse("a:y_AF,b:grade")), [[1, 0], [0, 1], [NAN, 2], [1, 3]])


@pytest.mark.parametrize(
    ("text", "kind"),
    [("y_AF", "binary"), ("y_AF,a:grade>=2", "binary"), ("lv_ef", "number"), ("lv_ef,grade", "number")],
)
def test_kinds(text: str, kind: str):
    targets = parse(text)
    assert kind_of(targets, truth(ONE, targets)) == kind


def test_kinds_are_not_mixed():
    targets = parse("AF:y_AF,lv_ef")
    with pytest.raises(UsageError, match=r"AF is binary, lv_ef is number\): train two models, or compare"):
        kind_of(targets, truth(ONE, targets))


def test_the_default_is_what_has_zeros_and_ones():
    assert default(ONE) == (Target("AF", "y_AF"),)


def test_the_default_follows_what_the_cohort_says_of_its_labels():
    """A grade that happens to be 0 or 1 in these patients is still a grade."""
    said = cohort(("died", "smoker"), died=[0.0, 1.0, 1.0], smoker=[1.0, 1.0, 1.0], av_block=[0.0, 1.0, 0.0])
    assert default(said) == (Target("died", "died"),)


def test_without_a_label_the_default_is_refused():
    with pytest.raises(UsageError, match="no label of 0 and 1 with both: name targets"):
        default(cohort(grade=[0.0, 1.0, 2.0], same=[1.0, 1.0, 1.0]))
