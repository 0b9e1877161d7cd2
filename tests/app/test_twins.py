"""A verb and the call that it hands its work to say their arguments twice: they must say the same."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest

import cardioloom
from cardioloom.api import embed_each, read_each, similar_each
from cardioloom.api.calibrating import run_calibration
from cardioloom.api.evaluating_ask import ask


@pytest.mark.parametrize(
    ("verb", "twin"),
    [
        (cardioloom.read, read_each),
        (cardioloom.embed, embed_each),
        (cardioloom.similar, similar_each),
        (cardioloom.evaluate, ask),
        (cardioloom.calibrate, run_calibration),
    ],
)
def test_a_verb_and_its_twin_take_the_same_with_the_same_defaults(verb: Callable, twin: Callable):
    own, other = (inspect.signature(call).parameters for call in (verb, twin))
    assert set(own) <= set(other)
    assert set(other) - set(own) <= {"progress"}
    for name in own:
        assert own[name].default == other[name].default, name
