"""Canonical JSON: equal content gives equal bytes, other content gives other bytes."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_runtime.canonical import canonical_json, decimal_text, digest

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"))
)
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner)
)


def test_keys_are_sorted_and_nothing_is_written_that_means_nothing() -> None:
    assert canonical_json({"b": [1, 2.5, None], "a": {"ü": True}}) == (
        '{"a":{"ü":true},"b":[1,2.5,null]}'.encode()
    )


def test_the_digest_is_the_sha256_of_those_bytes() -> None:
    # printf '{}' | sha256sum
    assert digest({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


@given(DOCUMENTS)
def test_reading_it_back_and_writing_it_again_gives_the_same_bytes(document: object) -> None:
    text = canonical_json(document)

    assert canonical_json(json.loads(text)) == text


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), st.integers()))
def test_the_order_in_which_keys_were_set_does_not_matter(content: dict[str, int]) -> None:
    assert canonical_json(content) == canonical_json(dict(reversed(content.items())))


@settings(max_examples=50)
@given(st.recursive(SCALARS, lambda inner: st.dictionaries(st.text(max_size=3), inner)))
def test_the_order_of_keys_does_not_matter_at_any_depth(document: object) -> None:
    assert canonical_json(backwards(document)) == canonical_json(document)


def backwards(document: object) -> object:
    if isinstance(document, dict):
        return {key: backwards(value) for key, value in reversed(document.items())}
    return document


@given(st.decimals(allow_nan=False, allow_infinity=False), st.integers(0, 12))
def test_equal_decimals_have_one_text_and_the_text_has_their_value(
    value: Decimal, zeros: int
) -> None:
    text = decimal_text(value)

    assert Decimal(text) == value
    assert "E" not in text.upper()
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    padded = Decimal((sign, (*digits, *[0] * zeros), exponent - zeros))
    assert decimal_text(padded) == text


@given(
    st.decimals(-(10**6), 10**6, places=6),
    st.decimals(-(10**6), 10**6, places=6),
)
def test_other_decimals_have_other_digests(one: Decimal, other: Decimal) -> None:
    assert (digest([one]) == digest([other])) == (one == other)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1.50", "1.5"),
        ("1E+2", "100"),
        ("100", "100"),
        ("-0.0", "0"),
        ("0E-9", "0"),
        ("1E-20", "0.00000000000000000001"),
        ("-12.30", "-12.3"),
    ],
)
def test_a_decimal_is_written_in_plain_notation_without_trailing_zeros(
    value: str, text: str
) -> None:
    assert decimal_text(Decimal(value)) == text
    assert canonical_json(Decimal(value)) == f'"{text}"'.encode()


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), Decimal("NaN"), Decimal("-Infinity")], ids=str
)
def test_what_is_no_number_has_no_canonical_form(value: object) -> None:
    with pytest.raises(ValueError, match="canonical"):
        canonical_json({"x": [value]})


def test_two_keys_that_would_become_one_are_refused() -> None:
    with pytest.raises(ValueError, match="1"):
        canonical_json({1: "a", "1": "b"})
