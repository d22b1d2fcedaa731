"""The values of a range: from start to stop, in steps added or multiplied, exactly."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal

MAX_VALUES = 100_000
"""Most values that one range may have."""

SIGNIFICANT_DIGITS = 12
"""Digits that values of a log range with a fractional step are rounded to."""

_EXACT = Context(prec=100)
_ROUNDED = Context(prec=SIGNIFICANT_DIGITS, rounding=ROUND_HALF_EVEN)


def range_values(start: Decimal, stop: Decimal, step: Decimal, scale: str) -> list[int | Decimal]:
    """Return the values from ``start`` to ``stop``, both included where a step falls on it.

    Linear: ``start + k * step``. Log: ``start * step ** k``, whole numbers exactly, others rounded
    half-even to 12 significant digits. The values are ints when start, stop and step are whole
    numbers, else Decimals. ``range_problem`` must have found no problem.
    """
    whole = all(number == number.to_integral_value() for number in (start, stop, step))
    if scale == "log":
        return _powers(start, stop, step, whole=whole)
    count = int(_steps(start, stop, step, is_log=False)) + 1
    return [
        as_number(_EXACT.add(start, _EXACT.multiply(step, index)), whole=whole)
        for index in range(count)
    ]


def as_number(value: Decimal, *, whole: bool) -> int | Decimal:
    """Return ``value`` as an int when ``whole``, else as the Decimal it is."""
    return int(value) if whole else value


def range_problem(
    start: Decimal, stop: Decimal, step: Decimal, scale: str
) -> tuple[str, str] | None:
    """Return the bad key of a range and what is wrong with it, or None."""
    is_log = scale == "log"
    if stop < start:
        return "stop", f"{stop} is below start {start}; write the smaller one as start"
    if is_log and start <= 0:
        return "start", f"a log range starts above 0; found {start}"
    if is_log and step <= 1:
        return "step", f"a log range multiplies by step, which must be above 1; found {step}"
    if step <= 0:
        return "step", f"must be above 0; found {step}"
    if _steps(start, stop, step, is_log=is_log) >= MAX_VALUES:
        return "step", f"the range has more than {MAX_VALUES:,} values; make the step larger"
    return None


def _steps(start: Decimal, stop: Decimal, step: Decimal, *, is_log: bool) -> Decimal:
    if is_log:
        return _EXACT.divide(_EXACT.ln(_EXACT.divide(stop, start)), _EXACT.ln(step))
    return _EXACT.divide(_EXACT.subtract(stop, start), step)


def _powers(start: Decimal, stop: Decimal, step: Decimal, *, whole: bool) -> list[int | Decimal]:
    values: list[int | Decimal] = []
    value = start
    while value <= stop:
        rounded = as_number(value, whole=True) if whole else _ROUNDED.plus(value)
        if not values or rounded != values[-1]:
            values.append(rounded)
        value = _EXACT.multiply(value, step)
    return values
