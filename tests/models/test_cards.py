"""Cards: equal to their JSON, and nothing unknown or missing in them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardioloom.errors import ModelError
from cardioloom.models.cards import LISTS, Card

text = st.text(max_size=20)
optional = st.none() | text
number = st.dictionaries(text, text | st.floats(allow_nan=False) | st.lists(st.integers(), max_size=3), max_size=3)
many = st.lists(text, max_size=3).map(tuple)
CARDS = st.builds(
    Card,
    text,
    text,
    text,
    text,
    text,
    text,
    many,
    st.lists(number, max_size=2).map(tuple),
    many,
    optional,
    optional,
    many,
)
PLAIN = Card("title", "source", "MIT", "paper", "ECGs", "research", ("one",), ({"metric": "AUROC", "value": 0.9},))


@given(card=CARDS)
def test_a_card_equals_its_json(card: Card):
    assert Card.from_json(json.loads(json.dumps(card.to_json()))) == card


@pytest.mark.parametrize("key", list(PLAIN.to_json()))
def test_an_absent_key_is_named(key: str):
    values = PLAIN.to_json()
    del values[key]
    with pytest.raises(ModelError, match=rf"absent: {key}\)"):
        Card.from_json(values)


def test_an_unknown_key_is_named():
    with pytest.raises(ModelError, match=r"unknown: author\)"):
        Card.from_json(PLAIN.to_json() | {"author": "nobody"})


@pytest.mark.parametrize("values", [None, [], "card", 3])
def test_a_card_is_an_object(values: object):
    with pytest.raises(ModelError, match="the card must be an object"):
        Card.from_json(values)


@pytest.mark.parametrize("key", list(PLAIN.to_json()))
def test_a_value_of_another_kind_is_refused(key: str):
    wrong: Any = "one" if key in LISTS else ["one"]
    with pytest.raises(ModelError, match=f"{key} of a card must be a"):
        Card.from_json(PLAIN.to_json() | {key: wrong})


def test_only_revision_and_sum_may_be_unknown():
    for key in PLAIN.to_json():
        values = PLAIN.to_json() | {key: None}
        if key in ("revision", "sha256"):
            assert getattr(Card.from_json(values), key) is None
        else:
            with pytest.raises(ModelError, match=key):
                Card.from_json(values)
