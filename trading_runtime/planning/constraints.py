"""Conditions between parameters: which points of a parameter space are allowed.

Numbers are computed with exactly (decimals of 60 digits); ``%`` has the sign of its right side.
"""

from __future__ import annotations

import operator
from decimal import Context, Decimal, DecimalException
from typing import TYPE_CHECKING, Any

from trading_runtime.config.constraint_syntax import (
    Binary,
    Comparison,
    Constant,
    Expression,
    Parameter,
    Unary,
    parameters_of,
    parse_constraint,
)
from trading_runtime.config.constraint_tokens import ConstraintSyntaxError
from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Evaluator = Callable[[Mapping[str, Any]], Any]

_EXACT = Context(prec=60, Emax=999_999, Emin=-999_999)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Constraint:
    """One condition, read once and asked for every point."""

    def __init__(self, text: str) -> None:
        """Read ``text``; raises ``ConstraintSyntaxError`` when it is no constraint."""
        self.text = text
        tree = parse_constraint(text)
        self.parameters = tuple(dict.fromkeys(item.name for item in parameters_of(tree)))
        """Names of the parameters it speaks of, in the order of the text."""
        self._evaluate = _condition(tree)

    def allows(self, point: Mapping[str, Any]) -> bool:
        """Whether ``point`` fulfils the condition.

        Raises ``UsageError``, which names the point, when the condition cannot be computed for it:
        division by zero, a parameter it does not have, or values that do not go together.
        """
        try:
            return bool(self._evaluate(point))
        except KeyError as error:
            reason = f"there is no parameter {error.args[0]!r}"
        except (DecimalException, ZeroDivisionError):
            reason = "it divides by zero, or its result is too large"
        except TypeError as error:
            reason = str(error)
        values = ", ".join(f"{name}={point[name]!s}" for name in self.parameters if name in point)
        raise UsageError(
            f"constraints: {self.text!r} cannot be computed for the point {values}: {reason}"
        )


def read_constraints(texts: Sequence[str]) -> list[Constraint]:
    """Return the constraints that ``texts`` hold; raises ``UsageError`` for the first bad one."""
    constraints = []
    for text in texts:
        try:
            constraints.append(Constraint(text))
        except ConstraintSyntaxError as error:
            raise UsageError(f"constraints: {text!r}: {error}") from error
    return constraints


def _condition(tree: Expression) -> Evaluator:
    """Compile to closures: a point is checked in about a microsecond."""
    match tree:
        case Binary("and", left, right):
            first, second = _condition(left), _condition(right)
            return lambda point: first(point) and second(point)
        case Binary("or", left, right):
            first, second = _condition(left), _condition(right)
            return lambda point: first(point) or second(point)
        case Unary("not", operand):
            inner = _condition(operand)
            return lambda point: not inner(point)
        case Comparison(operands, operators):
            return _comparison([_value(item) for item in operands], operators)
        case _:
            value = _value(tree)
            return lambda point: _truth(value(point))


def _comparison(values: list[Evaluator], operators: tuple[str, ...]) -> Evaluator:
    pairs = [
        _pair(name, left, right)
        for name, left, right in zip(operators, values[:-1], values[1:], strict=True)
    ]
    if len(pairs) == 1:
        return pairs[0]
    return lambda point: all(pair(point) for pair in pairs)


def _pair(name: str, left: Evaluator, right: Evaluator) -> Evaluator:
    if name in {"==", "!="}:
        wanted = name == "=="
        return lambda point: _same(left(point), right(point)) is wanted
    compare = _COMPARE[name]

    def ordered(point: Mapping[str, Any]) -> bool:
        first, second = left(point), right(point)
        if isinstance(first, str) and isinstance(second, str):
            return compare(first, second)
        return compare(_number(first), _number(second))

    return ordered


def _value(tree: Expression) -> Evaluator:
    match tree:
        case Constant(value):
            return lambda _: value
        case Parameter(name, _):
            return lambda point: point[name]
        case Unary("-", operand):
            inner = _value(operand)
            return lambda point: _minus(_number(inner(point)))
        case Unary("+", operand):
            inner = _value(operand)
            return lambda point: _number(inner(point))
        case Binary(name, left, right) if name in _ARITHMETIC:
            compute = _ARITHMETIC[name]
            first, second = _value(left), _value(right)
            return lambda point: compute(_number(first(point)), _number(second(point)))
        case _:
            return _condition(tree)


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, bool) is not isinstance(right, bool):
        return False
    return bool(left == right)


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!s} is neither true nor false")
    return value


def _number(value: Any) -> int | Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise TypeError(f"{value!r} is not a number")
    return value


def _minus(value: int | Decimal) -> int | Decimal:
    return -value if isinstance(value, int) else value.copy_negate()


def _add(left: int | Decimal, right: int | Decimal) -> int | Decimal:
    if isinstance(left, int) and isinstance(right, int):
        return left + right
    return _EXACT.add(left, right)


def _subtract(left: int | Decimal, right: int | Decimal) -> int | Decimal:
    if isinstance(left, int) and isinstance(right, int):
        return left - right
    return _EXACT.subtract(left, right)


def _multiply(left: int | Decimal, right: int | Decimal) -> int | Decimal:
    if isinstance(left, int) and isinstance(right, int):
        return left * right
    return _EXACT.multiply(left, right)


def _divide(left: int | Decimal, right: int | Decimal) -> int | Decimal:
    return _EXACT.divide(left, right)


def _modulo(left: int | Decimal, right: int | Decimal) -> int | Decimal:
    if isinstance(left, int) and isinstance(right, int):
        return left % right
    rest = _EXACT.remainder(left, right)
    return _EXACT.add(rest, right) if rest and (rest < 0) is not (right < 0) else rest


_ARITHMETIC: dict[str, Callable[[int | Decimal, int | Decimal], int | Decimal]] = {
    "+": _add,
    "-": _subtract,
    "*": _multiply,
    "/": _divide,
    "%": _modulo,
}
