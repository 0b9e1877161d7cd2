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
# A minus sign with spaces round it is a difference; one at an end would meet the spaces of the text.
NAMES = WORDS.filter(lambda name: " - " not in f" {name} ")
SIGNS = ("<=", ">=", "!=", "<", ">", "=")
FACTORS = st.floats(allow_nan=False, allow_infinity=False).filter(bool)
TARGETS = st.one_of(
    st.builds(Target, WORDS, NAMES),
    st.builds(Target, WORDS, NAMES, st.sampled_from(SIGNS), WORDS),
    st.builds(Target, WORDS, NAMES, factor=FACTORS),
    st.builds(Target, WORDS, NAMES, st.sampled_from(SIGNS), WORDS, FACTORS),
    st.builds(Target, WORDS, NAMES, minus=NAMES),
    st.builds(Target, WORDS, NAMES, st.sampled_from(SIGNS), WORDS, minus=NAMES),
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
        ("LVEF:lv_ef*100", Target("LVEF", "lv_ef", factor=100)),
        ("LVEF : lv_ef * 1e2", Target("LVEF", "lv_ef", factor=100)),
        ("lv_ef*-0.5", Target("lv_ef*-0.5", "lv_ef", factor=-0.5)),
        ("low:lv_ef*100<=40", Target("low", "lv_ef", "<=", "40", 100)),
        ("RVSV:rv_edv_ml - rv_esv_ml", Target("RVSV", "rv_edv_ml", minus="rv_esv_ml")),
        ("late:b  -  a>0", Target("late", "b", ">", "0", minus="a")),
        ("a - b", Target("a - b", "a", minus="b")),
        ("x:a-b", Target("x", "a-b")),  # without spaces it is part of the name
        ("x:-a", Target("x", "-a")),
        ("x:a - b - c", Target("x", "a - b - c")),
        ("x:a*b", Target("x", "a*b")),
        ("x:a*b*2", Target("x", "a*b", factor=2)),
        ("*2", Target("*2", "*2")),
    ],
)
def test_texts_that_can_be_read(text: str, target: Target):
    assert Target.of(text) == target


@pytest.mark.parametrize("text", ["", ":", "a:", "a:b<", "<3", "a::b", "a:b:c", "=AF"])
def test_texts_that_cannot(text: str):
    with pytest.raises(UsageError, match="a target is written NAME:COLUMN"):
        Target.of(text)


@pytest.mark.parametrize("text", ["x:lv_ef*0", "x:lv_ef*nan", "x:lv_ef*inf", "x:lv_ef*-0.0"])
def test_factors_that_cannot_be(text: str):
    with pytest.raises(UsageError, match="the factor of a target must be a number other than 0, got 'lv_ef"):
        Target.of(text)


def test_a_difference_with_a_factor_could_mean_two_things():
    with pytest.raises(UsageError, match=r"a difference or has a factor, got both in 'a - b\*2': bring the columns to"):
        Target.of("x:a - b*2")


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
        ("x:lv_ef*100", [0.4 * 100, 0.41 * 100, NAN, 0.2 * 100]),
        ("x:lv_ef*100<=40", [1, 0, NAN, 1]),
        ("x:grade - lv_ef", [-0.4, 1 - 0.41, NAN, 3 - 0.2]),
        ("x:lv_ef - grade", [0.4, 0.41 - 1, NAN, 0.2 - 3]),  # what one of both does not know is not known
        ("x:grade - lv_ef>0", [0, 1, NAN, 1]),
    ],
)
def test_values(text: str, values: list[float]):
    np.testing.assert_array_equal(Target.of(text).values(ONE), values)


@pytest.mark.parametrize("text", ["x:rhythm*2", "x:grade - rhythm", "x:rhythm - grade", "x:grade - rhythm=AF"])
def test_words_are_not_reckoned_with(text: str):
    with pytest.raises(UsageError, match=f"{text.replace('*', '.')} reckons with rhythm, which is a column of words"):
        Target.of(text).values(ONE)


def test_a_column_that_is_called_like_a_sum_is_that_column():
    odd = cohort(**{"echo - ef": [1.0, 2.0], "a*2": [5.0, 6.0], "was - is": ["AF", "sinus"]}, a=[7.0, 8.0])
    np.testing.assert_array_equal(Target.of("echo - ef").values(odd), [1, 2])
    np.testing.assert_array_equal(Target.of("x:a*2").values(odd), [5, 6])
    np.testing.assert_array_equal(Target.of("x:was - is=AF").values(odd), [1, 0])
    np.testing.assert_array_equal(Target.of("x:a*3").values(odd), [21, 24])
    with pytest.raises(UsageError, match="was - is is one of AF, sinus: write x:was - is=WORD, got x:was - is"):
        Target.of("x:was - is").values(odd)
    assert Target.of("echo - ef").columns(odd) == ("echo - ef",)
    assert Target.of("echo - ef").columns(ONE) == ("echo", "ef")


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.sampled_from([1.0, 100.0, 0.001]))
def test_the_number_is_reckoned_of_one_study_as_of_many(one: float, other: float, factor: float):
    difference = Target("x", "echo", minus="ef", factor=factor)
    alone = Target("x", "echo", factor=factor)
    assert (difference.names, alone.names) == (("echo", "ef"), ("echo",))
    for target in (difference, alone):
        table = cohort(echo=[one, other], ef=[other, one])
        assert target.reckoned({"echo": one, "ef": other}) == target.values(table)[0]
    assert alone.reckoned({"echo": one}) == one * factor


def test_a_difference_without_spaces_is_told_how_it_is_written():
    with pytest.raises(RecordError, match="no column grade-lv_ef: a difference has spaces, write grade - lv_ef"):
        Target.of("x:grade-lv_ef").values(ONE)


@pytest.mark.parametrize(
    ("text", "is_there"),
    [
        ("x:lv_ef*100", True),
        ("grade - lv_ef", True),
        ("grade - lv_edv", False),
        ("lv_edv - grade", False),
        ("y", False),
    ],
)
def test_whether_a_cohort_has_its_columns(text: str, *, is_there: bool):
    assert Target.of(text).is_in(ONE) is is_there
    if not is_there:
        with pytest.raises(RecordError, match="this cohort has the columns"):
            Target.of(text).values(ONE)


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
