"""A task's id follows from what can change its result, and from nothing else."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_runtime.canonical import digest
from trading_runtime.planning.identity import decode_values, encode_values, task_id

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.decimals(allow_nan=False, allow_infinity=False, places=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3)
    ),
)


@given(VALUES)
def test_config_values_survive_the_way_to_a_worker(value: object) -> None:
    assert decode_values(json.loads(json.dumps(encode_values(value)))) == value


@pytest.mark.parametrize("other", [Decimal("0.2"), "0.1", 0, None, [Decimal("0.1")], True])
def test_a_decimal_is_another_value_than_its_text(other: object) -> None:
    ids = [task_id("c", {"size": encode_values(value)}, "p") for value in (Decimal("0.1"), other)]

    assert ids[0] != ids[1]


def test_trailing_zeros_are_no_other_value() -> None:
    assert encode_values(Decimal("0.10")) == encode_values(Decimal("0.1"))


def test_an_id_is_the_digest_over_its_three_parts() -> None:
    config = {"slow": 50, "fast": 10}

    assert task_id("c", config, "p") == digest(
        {"partition": "p", "common": "c", "config": digest(config)}
    )
    assert task_id("c", config, "p") == task_id("c", dict(reversed(config.items())), "p")
