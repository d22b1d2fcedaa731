"""The syntax of constraints: what is read, and where a mistake is."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_runtime.config.constraint_syntax import (
    Binary,
    Comparison,
    Constant,
    ConstraintSyntaxError,
    Parameter,
    mentioned_parameters,
    parse_constraint,
)


def test_a_comparison_becomes_a_tree() -> None:
    assert parse_constraint("fast * 2 < slow") == Comparison(
        (Binary("*", Parameter("fast", 0), Constant(2)), Parameter("slow", 11)), ("<",)
    )


def test_numbers_are_exact() -> None:
    tree = parse_constraint("x == 0.10")

    assert isinstance(tree, Comparison)
    assert tree.operands[1] == Constant(Decimal("0.10"))


def test_every_mention_of_a_parameter_is_found() -> None:
    tree = parse_constraint("not (a < b and c + 1 >= -a) or d == 'text'")

    assert [item.name for item in mentioned_parameters(tree)] == ["a", "b", "c", "a", "d"]


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("", 0, "ends too early"),
        ("a <", 3, "ends too early"),
        ("a < (b", 6, "ends too early"),
        ("a < b)", 5, r"'\)' is not expected here"),
        ("a b", 2, "'b' is not expected here"),
        ("a = b", 2, "write '==' to compare"),
        ("a < b & c", 6, "write 'and'"),
        ("a ** 2 < 3", 2, r"'\*\*' is not accepted"),
        ("a // 2 < 3", 2, "'//' is not accepted"),
        ("a ^ 2 < 3", 2, "no powers"),
        ("f(a) < 3", 1, r"'\(' is not expected here"),
        ("a.b < 3", 1, "attributes are not accepted"),
        ("a[0] < 3", 1, "lists are not accepted"),
        ("a < 1e", 4, "'1' is not accepted"),
        ("a < 1e999", 4, "too many digits"),
        ("a", None, None),
        ("a + 1", 0, "a value, not a condition"),
        ("a + 1 and b", 6, "joins conditions"),
        ("'open < 1", 0, "is not accepted"),
        ("(" * 21 + "a < 1" + ")" * 21, 21, "more than 20 levels"),
        ("-" * 21 + "a < 1", 21, "more than 20 levels"),
        ("a < " + "1" * 500, 500, "longer than 500 characters"),
        ("lambda: 1", 6, "is not accepted"),
        ("a if b else c", 2, "'if' is not expected here"),
        ("a in b", 2, "'in' is not expected here"),
        ("a is b", 2, "'is' is not expected here"),
        ("(a := 5) < b", 3, "':' is not accepted"),
        ("f'{a}' == 'x'", 1, r"is not expected here"),
        ("'a' 'b' == c", 4, r"'b'.* is not expected here"),
        ("a < 1_000", 4, "'1' is not accepted"),
        ("a < 0x10", 4, "'0' is not accepted"),
        ("a < 1j", 4, "'1' is not accepted"),
        ("a < b # c", 6, "'#' is not accepted"),
        ("a < b; c", 5, "';' is not accepted"),
        ("a < 'x\\n'", 4, '"\'" is not accepted'),
        ("'äöü€😀' == a = b", 13, "write '==' to compare"),
        ("ä < b", 0, "'ä' is not accepted"),
        ("'äöü' == a and 1", 11, "'and' joins conditions"),
        ("a < not b", 4, "'not' is not expected here"),
        ("not 'text'", 0, "'not' takes a condition"),
        ("not " * 21 + "a", 84, "more than 20 levels"),
        ("(" * 499, 21, "more than 20 levels"),
        ("-" * 500, 21, "more than 20 levels"),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, place: int | None, words: str | None) -> None:
    if place is None:
        assert parse_constraint(text) == Parameter(text, 0)
        return
    with pytest.raises(ConstraintSyntaxError, match=words) as failure:
        parse_constraint(text)

    assert failure.value.place == place


def test_python_reads_only_the_order_of_the_operators() -> None:
    assert parse_constraint("007 == a") == Comparison((Constant(7), Parameter("a", 7)), ("==",))
    assert parse_constraint("'é\n#' == a") == Comparison(
        (Constant("é\n#"), Parameter("a", 9)), ("==",)
    )
    assert parse_constraint("  a\n < b\n") == Comparison(
        (Parameter("a", 2), Parameter("b", 7)), ("<",)
    )


def test_twenty_levels_are_read_and_levels_that_ended_do_not_count() -> None:
    deep = "(" * 20 + "a < 1" + ")" * 20

    assert parse_constraint(deep) == parse_constraint("     " * 4 + "a < 1")
    assert len(list(mentioned_parameters(parse_constraint(" and ".join(["not a"] * 45))))) == 45
    assert len(list(mentioned_parameters(parse_constraint("1<" + "-a+" * 165 + "1")))) == 165


@given(text=st.text(alphabet="ab01. ()+-*/%<>=!'andortfu_,[]", max_size=60))
def test_any_text_is_a_constraint_or_a_syntax_error(text: str) -> None:
    try:
        parse_constraint(text)
    except ConstraintSyntaxError as error:
        assert 0 <= error.place <= len(text)  # noqa: PT017
