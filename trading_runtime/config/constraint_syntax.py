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

This is a part of Python's grammar, so ``ast`` builds the tree. It sees only a skeleton, in which
every number, text and name is ``_``: what Python reads differently (``007``, ``0.1``, ``1_0``,
``f'{a}'``) never reaches it.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING

from trading_runtime.config.fields import check_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_LENGTH = 500
"""Characters of one constraint."""
MAX_DEPTH = 20
"""Depth of nested parentheses, signs and negations."""

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?(?![A-Za-z0-9_.]))
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<text>'[^'\\]*'|"[^"\\]*")
    |(?P<symbol><=|>=|==|!=|[-+*/%()<>])
    |(?P<end>$)
    )""",
    re.VERBOSE,
)
_MISTAKES = {
    "=": "write '==' to compare",
    "&": "write 'and'",
    "|": "write 'or'",
    "!": "write 'not', or '!=' to compare",
    "^": "there are no powers; multiply instead",
    "[": "lists are not accepted",
    "{": "mappings are not accepted",
    ".": "attributes are not accepted",
    ",": "commas are not accepted; join conditions with 'and', or write two constraints",
}
_TRUTHS = {"true": True, "True": True, "false": False, "False": False}
_SIGNS = {"-", "+"}
_BINARY = {"-", "+", "*", "/", "%", "<", "<=", ">", ">=", "==", "!=", "and", "or"}
_BEFORE_NOT = {None, "(", "and", "or", "not"}
_OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.Mod: "%",
    ast.UAdd: "+",
    ast.USub: "-",
    ast.Not: "not",
    ast.And: "and",
    ast.Or: "or",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}


class ConstraintSyntaxError(ValueError):
    """The text is not a constraint; ``place`` is the offset of the character at fault."""

    def __init__(self, message: str, place: int) -> None:
        """Keep the place with the message."""
        super().__init__(f"{message} (at character {place + 1})")
        self.place = place


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
    """``x + y`` and the like, or ``x and y``, ``x or y``."""

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

    Raises ``ConstraintSyntaxError`` when the text is not a constraint: not closed, not a condition,
    longer or deeper than the bounds, or with anything outside the grammar of this module.
    """
    tokens = list(_tokens(text))
    _check_order(tokens)
    expression = _Builder(tokens).expression()
    if not is_condition(expression):
        raise ConstraintSyntaxError(
            "this is a value, not a condition; compare it, as in 'fast < slow'", 0
        )
    return expression


def mentioned_parameters(expression: Expression) -> Iterator[Parameter]:
    """Yield every mention of a parameter, in the order of the text."""
    match expression:
        case Parameter():
            yield expression
        case Unary(_, operand):
            yield from mentioned_parameters(operand)
        case Binary(_, left, right):
            yield from mentioned_parameters(left)
            yield from mentioned_parameters(right)
        case Comparison(operands, _):
            for operand in operands:
                yield from mentioned_parameters(operand)
        case Constant():
            pass


def is_condition(expression: Expression) -> bool:
    """Whether the expression can be true or false: a parameter can, a sum cannot."""
    match expression:
        case Comparison() | Parameter():
            return True
        case Constant(value):
            return isinstance(value, bool)
        case Unary(operator, _):
            return operator == "not"
        case Binary(operator, _, _):
            return operator in {"and", "or"}


@dataclass(frozen=True, slots=True)
class _Token:
    """A number, name, text, symbol or the end, and where it starts."""

    kind: str
    text: str
    place: int

    @property
    def is_atom(self) -> bool:
        """Whether it is a value on its own."""
        return self.kind in {"number", "text", "name"} and self.text not in {"and", "or", "not"}


def _tokens(text: str) -> Iterator[_Token]:
    """Yield the tokens of a constraint, the last of kind ``end``."""
    if len(text) > MAX_LENGTH:
        raise ConstraintSyntaxError(
            f"the constraint is longer than {MAX_LENGTH} characters; write several", MAX_LENGTH
        )
    place = 0
    while True:
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            rest = text[place:].lstrip()
            hint = _MISTAKES.get(
                rest[0],
                "accepted are names, numbers, texts, < <= > >= == != + - * / % ( ) and or not",
            )
            raise ConstraintSyntaxError(
                f"{rest[0]!r} is not accepted; {hint}", len(text) - len(rest)
            )
        start = match.start(match.lastgroup)
        if text[start : start + 2] in {"**", "//"}:
            raise ConstraintSyntaxError(
                f"{text[start : start + 2]!r} is not accepted; accepted are + - * / %", start
            )
        yield _Token(match.lastgroup, match[match.lastgroup], start)
        if match.lastgroup == "end":
            return
        place = match.end()


def _check_order(tokens: Sequence[_Token]) -> None:
    """Refuse a token where none of its kind may be, and nesting that is too deep.

    Values and operators alternate; what passes is a sentence of the grammar.
    """
    open_: list[str] = []
    before: str | None = None
    after_value = False
    for token in tokens:
        if len(open_) > MAX_DEPTH:
            raise ConstraintSyntaxError(
                f"more than {MAX_DEPTH} levels within each other", token.place
            )
        if token.kind == "end" and after_value and "(" not in open_:
            return
        if not after_value and token.is_atom:
            after_value = True
            _close(open_, _SIGNS)
        elif not after_value and (
            token.text in _SIGNS | {"("} or (token.text == "not" and before in _BEFORE_NOT)
        ):
            open_.append(token.text)
        elif after_value and token.text in _BINARY:
            after_value = False
            if token.text in {"and", "or"}:
                _close(open_, {"not"})
        elif after_value and token.text == ")" and "(" in open_:
            _close(open_, {"not"})
            open_.pop()
            _close(open_, _SIGNS)
        elif token.kind == "end":
            raise ConstraintSyntaxError("the constraint ends too early", token.place)
        else:
            raise ConstraintSyntaxError(f"{token.text!r} is not expected here", token.place)
        before = token.text


def _close(open_: list[str], operators: set[str]) -> None:
    while open_ and open_[-1] in operators:
        open_.pop()


class _Builder:
    """Makes the tree of a constraint from Python's tree of its skeleton."""

    def __init__(self, tokens: Sequence[_Token]) -> None:
        self._skeleton = ""
        self._tokens: dict[int, _Token] = {}
        """By column of the skeleton."""
        for token in tokens:
            self._tokens[len(self._skeleton)] = token
            self._skeleton += ("_" if token.is_atom else token.text) + " "

    def expression(self) -> Expression:
        return self._expression(ast.parse(self._skeleton, mode="eval").body)

    def _expression(self, node: ast.expr) -> Expression:
        match node:
            case ast.Name():
                return _atom(self._tokens[node.col_offset])
            case ast.UnaryOp(operator, operand):
                inside = self._expression(operand)
                if isinstance(operator, ast.Not) and not is_condition(inside):
                    place = self._tokens[node.col_offset].place
                    raise ConstraintSyntaxError("'not' takes a condition", place)
                return Unary(_OPERATORS[type(operator)], inside)
            case ast.BinOp(left, operator, right):
                return Binary(
                    _OPERATORS[type(operator)], self._expression(left), self._expression(right)
                )
            case ast.BoolOp(operator, parts):
                return self._logic(_OPERATORS[type(operator)], parts)
            case ast.Compare(first, operators, others):
                return Comparison(
                    tuple(self._expression(item) for item in (first, *others)),
                    tuple(_OPERATORS[type(operator)] for operator in operators),
                )
        raise AssertionError(f"not in the grammar: {ast.dump(node)}")

    def _logic(self, operator: str, parts: Sequence[ast.expr]) -> Expression:
        joined = self._expression(parts[0])
        for before, part in pairwise(parts):
            right = self._expression(part)
            if not (is_condition(joined) and is_condition(right)):
                column = self._skeleton.index(operator, before.end_col_offset)
                raise ConstraintSyntaxError(
                    f"{operator!r} joins conditions, as in 'a < b {operator} b < c'",
                    self._tokens[column].place,
                )
            joined = Binary(operator, joined, right)
        return joined


def _atom(token: _Token) -> Expression:
    if token.kind == "text":
        return Constant(token.text[1:-1])
    if token.kind == "name":
        truth = _TRUTHS.get(token.text)
        return Parameter(token.text, token.place) if truth is None else Constant(truth)
    try:
        value = check_number(Decimal(token.text))
    except ValueError as error:
        raise ConstraintSyntaxError(str(error), token.place) from error
    return Constant(int(token.text) if token.text.isdigit() else value)
