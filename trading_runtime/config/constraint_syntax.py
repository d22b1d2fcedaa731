"""The syntax of constraints between parameters: a text becomes a small checked tree, never code.

Grammar, loosest first::

    condition   = and-part {"or" and-part}
    and-part    = not-part {"and" not-part}
    not-part    = "not" not-part | comparison
    comparison  = sum {("<" | "<=" | ">" | ">=" | "==" | "!=") sum}
    sum         = product {("+" | "-") product}
    product     = sign {("*" | "/" | "%") sign}
    sign        = ("-" | "+") sign | atom
    atom        = NUMBER | 'TEXT' | "TEXT" | "true" | "false" | NAME | "(" condition ")"
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from trading_runtime.config.constraint_tokens import ConstraintSyntaxError, Token, tokens
from trading_runtime.config.fields import check_number

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DEPTH = 20
"""Parentheses, signs and negations within each other."""

COMPARISONS = ("<=", ">=", "==", "!=", "<", ">")


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, a text or a truth value."""

    value: Decimal | int | str | bool


@dataclass(frozen=True, slots=True)
class Parameter:
    """The value that a point gives to a parameter."""

    name: str
    place: int


@dataclass(frozen=True, slots=True)
class Unary:
    """``-x``, ``+x`` or ``not x``."""

    operator: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Binary:
    """``x + y`` and its like, or ``x and y``, ``x or y``."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Comparison:
    """``a < b <= c``: each neighbouring pair is compared."""

    operands: tuple[Expression, ...]
    operators: tuple[str, ...]


Expression = Constant | Parameter | Unary | Binary | Comparison


def parse_constraint(text: str) -> Expression:
    """Return the tree of a constraint such as ``fast < slow and slow % 2 == 0``.

    Raises ``ConstraintSyntaxError`` when the text is no constraint: not closed, not a condition,
    longer or deeper than the bounds, or with anything but the grammar of this module.
    """
    expression = _Parser(text).whole()
    if not is_condition(expression):
        raise ConstraintSyntaxError(
            "this is a value, not a condition; compare it, as in 'fast < slow'", 0
        )
    return expression


def parameters_of(expression: Expression) -> Iterator[Parameter]:
    """Give every mention of a parameter, in the order of the text."""
    match expression:
        case Parameter():
            yield expression
        case Unary(_, operand):
            yield from parameters_of(operand)
        case Binary(_, left, right):
            yield from parameters_of(left)
            yield from parameters_of(right)
        case Comparison(operands, _):
            for operand in operands:
                yield from parameters_of(operand)
        case Constant():
            pass


def is_condition(expression: Expression) -> bool:
    """Whether the expression can be true or false: a parameter can, a sum can not."""
    match expression:
        case Comparison() | Parameter():
            return True
        case Constant(value):
            return isinstance(value, bool)
        case Unary(operator, _):
            return operator == "not"
        case Binary(operator, _, _):
            return operator in {"and", "or"}


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = list(tokens(text))
        self._next = 0
        self._depth = 0

    def whole(self) -> Expression:
        expression = self._either()
        if self._token.kind != "end":
            raise self._unexpected()
        return expression

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    @property
    def _taken(self) -> int:
        """Place of the token before."""
        return self._tokens[self._next - 1].place

    def _take(self, *texts: str) -> str | None:
        token = self._token
        if token.kind in {"symbol", "word"} and token.text in texts:
            self._next += 1
            return token.text
        return None

    def _unexpected(self) -> ConstraintSyntaxError:
        token = self._token
        what = "the constraint ends too early" if token.kind == "end" else f"{token.text!r} is"
        where = "" if token.kind == "end" else " not expected here"
        return ConstraintSyntaxError(what + where, token.place)

    def _either(self) -> Expression:
        left = self._both()
        while self._take("or"):
            left = self._logic("or", self._taken, left, self._both())
        return left

    def _both(self) -> Expression:
        left = self._negation()
        while self._take("and"):
            left = self._logic("and", self._taken, left, self._negation())
        return left

    @staticmethod
    def _logic(operator: str, place: int, left: Expression, right: Expression) -> Expression:
        for side in (left, right):
            if not is_condition(side):
                raise ConstraintSyntaxError(
                    f"{operator!r} joins conditions, as in 'a < b {operator} b < c'", place
                )
        return Binary(operator, left, right)

    def _negation(self) -> Expression:
        if not self._take("not"):
            return self._comparison()
        place = self._taken
        operand = self._deeper(self._negation)
        if not is_condition(operand):
            raise ConstraintSyntaxError("'not' takes a condition", place)
        return Unary("not", operand)

    def _comparison(self) -> Expression:
        operands = [self._sum()]
        operators = []
        while operator := self._take(*COMPARISONS):
            operators.append(operator)
            operands.append(self._sum())
        return Comparison(tuple(operands), tuple(operators)) if operators else operands[0]

    def _sum(self) -> Expression:
        left = self._product()
        while operator := self._take("+", "-"):
            left = Binary(operator, left, self._product())
        return left

    def _product(self) -> Expression:
        left = self._sign()
        while operator := self._take("*", "/", "%"):
            left = Binary(operator, left, self._sign())
        return left

    def _sign(self) -> Expression:
        operator = self._take("-", "+")
        return Unary(operator, self._deeper(self._sign)) if operator else self._atom()

    def _atom(self) -> Expression:
        token = self._token
        if self._take("("):
            inside = self._deeper(self._either)
            if not self._take(")"):
                raise self._unexpected()
            return inside
        if token.kind not in {"number", "text", "name"} and token.text.lower() not in {
            "true",
            "false",
        }:
            raise self._unexpected()
        self._next += 1
        match token.kind:
            case "number":
                return Constant(_number(token))
            case "text":
                return Constant(token.text[1:-1])
            case "name":
                return Parameter(token.text, token.place)
            case _:
                return Constant(token.text.lower() == "true")

    def _deeper(self, part: _Part) -> Expression:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ConstraintSyntaxError(
                f"more than {MAX_DEPTH} levels within each other", self._token.place
            )
        expression = part()
        self._depth -= 1
        return expression


if TYPE_CHECKING:
    from collections.abc import Callable

    _Part = Callable[[], Expression]


def _number(token: Token) -> int | Decimal:
    try:
        value = check_number(Decimal(token.text))
    except ValueError as error:
        raise ConstraintSyntaxError(str(error), token.place) from error
    return int(token.text) if token.text.isdigit() else value
