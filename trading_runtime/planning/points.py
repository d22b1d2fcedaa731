"""The parameter space of an experiment expanded to points: grids, ranges and random draws.

Constraints are computed exactly (decimals of 60 digits); ``%`` has the sign of its right side.

Random draws are made from SHA-256 over (seed, parameter, attempt), so they are the same for every
version of Python and every machine, and a larger ``n`` only adds points at the end.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import operator
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal, DecimalException
from typing import TYPE_CHECKING, Any, Protocol

from trading_runtime.config.constraint_syntax import (
    Binary,
    Comparison,
    Constant,
    ConstraintSyntaxError,
    Expression,
    Parameter,
    Unary,
    mentioned_parameters,
    parse_constraint,
)
from trading_runtime.config.experiment import DrawnValues, RandomSampling, RangeValues
from trading_runtime.config.ranges import as_number, range_values
from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trading_runtime.config.experiment import Experiment


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Evaluator = Callable[[Mapping[str, Any]], Any]
    Arithmetic = Callable[[int | Decimal, int | Decimal], int | Decimal]

_CONDITION_CONTEXT = Context(prec=60, Emax=999_999, Emin=-999_999)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Constraint:
    """One condition, parsed once and evaluated for every point."""

    def __init__(self, text: str) -> None:
        """Parse ``text``; raises ``ConstraintSyntaxError`` when it is not a constraint."""
        self.text = text
        tree = parse_constraint(text)
        self.parameters = tuple(dict.fromkeys(item.name for item in mentioned_parameters(tree)))
        """Names of the parameters it refers to, in the order of the text."""
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
    """Return the constraints in ``texts``; raises ``UsageError`` for the first bad one."""
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


def _exactly(of_integers: Arithmetic, of_decimals: Arithmetic) -> Arithmetic:
    def compute(left: int | Decimal, right: int | Decimal) -> int | Decimal:
        whole = isinstance(left, int) and isinstance(right, int)
        return of_integers(left, right) if whole else of_decimals(left, right)

    return compute


def _modulo(left: int | Decimal, right: int | Decimal) -> int | Decimal:
    rest = _CONDITION_CONTEXT.remainder(left, right)
    return _CONDITION_CONTEXT.add(rest, right) if rest and (rest < 0) is not (right < 0) else rest


_ARITHMETIC: dict[str, Arithmetic] = {
    "+": _exactly(operator.add, _CONDITION_CONTEXT.add),
    "-": _exactly(operator.sub, _CONDITION_CONTEXT.subtract),
    "*": _exactly(operator.mul, _CONDITION_CONTEXT.multiply),
    "/": _CONDITION_CONTEXT.divide,
    "%": _exactly(operator.mod, _modulo),
}


MAX_POINTS = 1_000_000
"""Most combinations of a grid, and most points of an experiment, that are accepted."""

_MOST_WORK = 500_000_000
"""Characters of constraints times combinations: about a minute."""
_MISSES_BEFORE_LISTING = 200
_MISSES_BEFORE_GIVING_UP = 20_000
_LOGARITHMS = Context(prec=28, rounding=ROUND_HALF_EVEN)
_EXACT = Context(prec=100)

Point = dict[str, Any]
"""One assignment: parameter name to int, Decimal, str, bool, None or a list of these."""


@dataclass(frozen=True, slots=True)
class PointList:
    """The points of an experiment, and what the user should know about them."""

    points: list[Point]
    notes: tuple[str, ...] = ()
    """Plain sentences, for example that fewer points exist than were asked for."""


def points(experiment: Experiment) -> list[Point]:
    """Return the points of ``experiment``: see ``expand_points``."""
    return expand_points(experiment).points


def expand_points(experiment: Experiment) -> PointList:
    """Return the points of ``experiment``, in a stable order, with notes.

    A grid goes through the parameters as written, the first one slowest. Random sampling gives
    ``n`` different points in the order drawn, or all when there are fewer. For an adaptive search
    these are the points of its first generation. An experiment without parameters has one point,
    ``{}``.

    Raises ``UsageError`` when no point fulfils the constraints, a constraint cannot be computed,
    or there are more than ``MAX_POINTS`` combinations.
    """
    constraints = read_constraints(experiment.constraints)
    axes = {name: axis_of(values) for name, values in experiment.parameters.items()}
    sampling = experiment.sampling if experiment.search is None else experiment.search.sampling
    if isinstance(sampling, RandomSampling):
        return _draw(axes, constraints, sampling, drawn_by(experiment))
    size = _size(axes)
    if size > MAX_POINTS:
        raise UsageError(
            f"parameters: the grid has {size:,} combinations, at most {MAX_POINTS:,} are "
            "accepted; use fewer values, or 'sampling: {method: random, n: ..., seed: ...}'"
        )
    work = size * sum(len(text) for text in experiment.constraints)
    if work > _MOST_WORK:
        raise UsageError(
            f"constraints: {len(constraints):,} of them for each of {size:,} combinations would "
            "take long to compute; use fewer or shorter ones, or fewer values"
        )
    allowed = list(_allowed(_grid(axes), constraints))
    if not allowed:
        raise UsageError(_none_left(size, constraints))
    return PointList(allowed)


class Axis(Protocol):
    """The values of one parameter, by index."""

    @property
    def size(self) -> int:
        """How many values there are."""

    def value(self, index: int) -> Any:
        """Return the value at ``index``."""

    def draw(self, number: int) -> int:
        """Return the index that a random number from 0 to below 2^128 draws."""


@dataclass(frozen=True, slots=True)
class _Listed:
    values: Sequence[Any]

    @property
    def size(self) -> int:
        return len(self.values)

    def value(self, index: int) -> Any:
        return self.values[index]

    def draw(self, number: int) -> int:
        return number * len(self.values) >> _BITS


@dataclass(frozen=True, slots=True)
class _Drawn:
    """The grid low, low + step, ... high, without creating its values."""

    low: Decimal
    step: Decimal
    ratio: Decimal | None
    """On a log scale: the natural logarithm of high / low."""
    size: int

    def value(self, index: int) -> Any:
        return as_number(_EXACT.add(self.low, _EXACT.multiply(self.step, index)), whole=self._whole)

    def draw(self, number: int) -> int:
        if self.ratio is None:
            return number * self.size >> _BITS
        share = _LOGARITHMS.divide(number, 1 << _BITS)
        factor = _LOGARITHMS.exp(_LOGARITHMS.multiply(share, self.ratio))
        above = _LOGARITHMS.multiply(self.low, _LOGARITHMS.subtract(factor, 1))
        index = int(_LOGARITHMS.divide(above, self.step).to_integral_value(ROUND_HALF_EVEN))
        return min(index, self.size - 1)

    @property
    def _whole(self) -> bool:
        return (
            self.low == self.low.to_integral_value() and self.step == self.step.to_integral_value()
        )


_BITS = 128


def axis_of(values: list[Any] | RangeValues | DrawnValues) -> Axis:
    """Return the values of a parameter; raises ``UsageError`` for draws that make no sense."""
    if isinstance(values, DrawnValues):
        if values.step <= 0 or values.high < values.low:
            raise UsageError("parameters: draws need step > 0 and high >= low")
        ratio = None
        if values.scale == "log":
            if values.low <= 0:
                raise UsageError("parameters: draws on a log scale need low > 0")
            ratio = _LOGARITHMS.ln(_LOGARITHMS.divide(values.high, values.low))
        steps = _EXACT.divide(_EXACT.subtract(values.high, values.low), values.step)
        size = int(steps) + 1
        return _Drawn(values.low, values.step, ratio, size)
    if isinstance(values, RangeValues):
        return _Listed(range_values(values.start, values.stop, values.step, values.scale))
    return _Listed(values)


def _size(axes: Mapping[str, Axis]) -> int:
    return math.prod(axis.size for axis in axes.values())


def _grid(axes: Mapping[str, Axis]) -> Iterator[Point]:
    names = tuple(axes)
    columns = ([axis.value(index) for index in range(axis.size)] for axis in axes.values())
    for values in itertools.product(*columns):
        yield dict(zip(names, values, strict=True))


def drawn_by(experiment: Experiment) -> str:
    """Return the setting that says how many points are drawn."""
    search = experiment.search
    if search is None:
        return "sampling.n"
    sampling = search.sampling
    is_first = isinstance(sampling, RandomSampling) and sampling.n != search.points
    return "search.generation" if is_first else "search.points"


def _allowed(candidates: Iterator[Point], constraints: list[Constraint]) -> Iterator[Point]:
    for point in candidates:
        if all(constraint.allows(point) for constraint in constraints):
            yield point


def _none_left(size: int, constraints: list[Constraint]) -> str:
    if not constraints:
        return "parameters: a parameter without values leaves no point"
    texts = " and ".join(repr(constraint.text) for constraint in constraints)
    return (
        f"constraints: none of the {size:,} combinations of the parameters fulfils {texts}; "
        "widen the parameters or drop a constraint"
    )


def _draw(
    axes: dict[str, Axis], constraints: list[Constraint], sampling: RandomSampling, key: str
) -> PointList:
    """Return as many of the allowed combinations as are asked for, or all there are."""
    if sampling.n > MAX_POINTS:
        raise UsageError(f"{key}: {sampling.n:,} points; at most {MAX_POINTS:,} are accepted")
    size = _size(axes)
    draws = allowed_draws(
        axes, lambda point: all(each.allows(point) for each in constraints), sampling.seed
    )
    drawn = [_point(axes, indices) for indices in itertools.islice(draws, sampling.n)]
    may_list = size <= MAX_POINTS
    if not drawn:
        raise UsageError(
            _none_left(size, constraints)
            if may_list
            else f"constraints: none of {_MISSES_BEFORE_GIVING_UP:,} combinations drawn from "
            f"{size:,} fulfils them; narrow the parameters, so that more of their combinations are "
            "allowed"
        )
    return PointList(drawn, _shortfall(len(drawn), sampling.n, size, exhausted=may_list))


def _shortfall(found: int, asked: int, size: int, *, exhausted: bool) -> tuple[str, ...]:
    if found >= asked:
        return ()
    if exhausted:
        return (f"{asked:,} points are asked for; only {found:,} exist, all are used",)
    reason = f"among {size:,} combinations the allowed ones are too rare to find more"
    return (f"{asked:,} points are asked for; only {found:,} were found: {reason}",)


def allowed_draws(
    axes: Mapping[str, Axis], allows: Callable[[Point], bool], seed: int
) -> Iterator[tuple[int, ...]]:
    """Yield each allowed combination once, an index for each parameter, in the order drawn.

    When draws stop giving anything new, the rest is listed; of too many combinations to list, there
    are no more. When that is depends only on misses in a row, never on how many are taken: taking
    more keeps those of fewer.
    """
    size = _size(axes)
    may_list = size <= MAX_POINTS
    patience = _MISSES_BEFORE_LISTING if may_list else _MISSES_BEFORE_GIVING_UP
    seen: set[tuple[int, ...]] = set()
    misses = attempt = 0
    while misses < patience and len(seen) < size:
        indices = drawn_indices(axes, seed, attempt)
        attempt += 1
        misses += 1
        if indices in seen:
            continue
        seen.add(indices)
        if allows(_point(axes, indices)):
            misses = 0
            yield indices
    if may_list:
        listed = itertools.product(*(range(axis.size) for axis in axes.values()))
        for indices, point in zip(listed, _grid(axes), strict=True):
            if indices not in seen and allows(point):
                yield indices


def drawn_indices(axes: Mapping[str, Axis], seed: int, attempt: int) -> tuple[int, ...]:
    """Return the combination of values that a random draw gives: an index for each parameter."""
    return tuple(
        axis.draw(_uniform(f"{seed}/{name}/{attempt}".encode())) for name, axis in axes.items()
    )


def _uniform(key: bytes) -> int:
    return int.from_bytes(hashlib.sha256(key).digest()[: _BITS // 8])


def _point(axes: Mapping[str, Axis], indices: tuple[int, ...]) -> Point:
    return {
        name: axis.value(index) for (name, axis), index in zip(axes.items(), indices, strict=True)
    }
