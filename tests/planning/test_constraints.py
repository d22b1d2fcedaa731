"""Constraints: which points they allow, exactly computed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from trading_runtime.errors import UsageError
from trading_runtime.planning.points import Constraint, read_constraints

POINT: dict[str, Any] = {
    "fast": 5,
    "slow": 20,
    "ratio": Decimal("0.1"),
    "mode": "trend",
    "long": True,
    "none": None,
}


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("fast < slow", True),
        ("slow < fast", False),
        ("1 < fast <= 5 < slow", True),
        ("1 < fast < 5 < slow", False),
        ("fast * 4 == slow", True),
        ("slow / fast == 4", True),
        ("fast / 2 == 2.5", True),
        ("slow % 3 == 2", True),
        ("-slow % 3 == 1", True),
        ("ratio * 3 == 0.3", True),  # binary fractions would make this 0.30000000000000004
        ("ratio + 0.2 == 0.3", True),
        ("0.7 % 0.2 == ratio", True),
        ("-0.7 % 0.2 == ratio", True),
        ("2 + 3 * 4 == 14 and (2 + 3) * 4 == 20", True),
        ("10 - 3 - 2 == fast", True),
        ("fast > 9 or slow > 9", True),
        ("fast > 9 and slow / 0 > 1", False),  # the right side is not needed
        ("not fast > 9", True),
        ("not (fast < 9 or slow < 9)", False),
        ("mode == 'trend'", True),
        ('mode != "trend"', False),
        ("mode < 'turn'", True),
        ("mode == 5", False),
        ("long", True),
        ("not long or fast > 9", False),
        ("long == true and long != false", True),
        ("long == 1", False),
        ("1e2 == 100", True),
        ("none == fast", False),
    ],
)
def test_a_point_is_allowed_when_the_condition_holds(text: str, *, allowed: bool) -> None:
    assert Constraint(text).allows(POINT) is allowed


def test_it_knows_its_parameters_in_the_order_of_the_text() -> None:
    assert Constraint("slow > fast and slow > 3").parameters == ("slow", "fast")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("slow / (fast - 5) > 1", r"point slow=20, fast=5: it divides by zero"),
        ("slow % (ratio - 0.1) > 1", "it divides by zero"),
        ("mode < 5", r"point mode=trend: 'trend' is not a number"),
        ("mode + 1 < 5", "'trend' is not a number"),
        ("long + 1 < 5", "True is not a number"),
        ("none < 5", "None is not a number"),
        ("fast and long", "5 is neither true nor false"),
        ("slow < other", "there is no parameter 'other'"),
    ],
)
def test_a_condition_that_cannot_be_computed_names_the_point(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Constraint(text).allows(POINT)


def test_a_constraint_with_a_mistake_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"^constraints: 'fast <': the constraint ends too early"):
        read_constraints(["fast < slow", "fast <"])
