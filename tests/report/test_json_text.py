"""The quick JSON writer gives the text of the standard library's."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cardioloom.report.json import indented

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=25)


@given(VALUES)
@example({"waves": [{}, {"p_on": 0.1}], "none": [], "text": 'a "quoted"\nline, é', "nested": [[1, 2.5], [[]]]})
def test_text_equals_that_of_the_standard_library(value: object) -> None:
    assert indented(value) == json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)


@pytest.mark.parametrize("value", [{"a": float("nan")}, [1.0, float("inf")], {"a": [{"b": float("nan")}, []]}])
def test_what_json_does_not_know_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        indented(value)
