"""Every kind of failure has one exit code, and every error one kind."""

from __future__ import annotations

import pytest

from trading_runtime import errors
from trading_runtime.errors import Kind, TradingRuntimeError


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("ok", 0),
        ("internal", 1),
        ("usage", 2),
        ("data", 3),
        ("strategy", 4),
        ("incomplete", 5),
        ("nondeterministic", 6),
        ("crash", 7),
        ("storage", 8),
        ("timeout", 9),
        ("killed", 10),
        ("differs", 11),
        ("transient", 75),
        ("stopped", 130),
    ],
)
def test_a_kind_has_the_exit_code_that_callers_rely_on(kind: str, code: int) -> None:
    assert Kind(kind).exit_code == code


def test_no_two_kinds_share_an_exit_code() -> None:
    assert len({kind.exit_code for kind in Kind}) == len(Kind)


def test_every_error_derives_from_the_one_base_and_has_a_kind_of_its_own() -> None:
    classes = [
        item
        for item in vars(errors).values()
        if isinstance(item, type)
        and issubclass(item, Exception)
        and item is not TradingRuntimeError
    ]

    ours = [item for item in classes if issubclass(item, TradingRuntimeError)]
    assert ours == classes
    # What is more specific has the kind, and so the exit code, of what it specialises.
    own = [item.kind for item in ours if TradingRuntimeError in item.__bases__]
    assert len(set(own)) == len(own)
    assert {item.kind for item in ours} == set(own)
