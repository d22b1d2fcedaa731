"""Instrument files: strict definitions as JSON or YAML, made into the engine's instruments."""

from __future__ import annotations

import inspect
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from trading_runtime.config.document import Node, Problem, parse_json
from trading_runtime.config.messages import nearest, show
from trading_runtime.datasets.instrument_facts import InstrumentFacts
from trading_runtime.datasets.settings_files import read_settings, settings_error
from trading_runtime.engine.instruments.definitions import (
    MOST_PRECISION,
    build_instruments,
    check_bar_type,
    conversion,
    definition_of,
    instrument_types,
    number_text,
)
from trading_runtime.errors import UsageError
from trading_runtime.records.forms import to_document

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from trading_runtime.datasets.instrument_facts import StatedInstrument

__all__ = [
    "build_instruments",
    "check_bar_type",
    "define_instrument",
    "facts_of",
    "instrument_types",
    "read_instruments",
]

_FEES = frozenset({"maker_fee", "taker_fee"})
_ZERO_BY_DEFAULT = frozenset({"ts_event", "ts_init"})
_FALSE_BY_DEFAULT = frozenset({"is_inverse"})
_OFTEN_FIXED = frozenset({"size_precision", "size_increment", "multiplier", "min_quantity"})
"""Keys that the engine's ``to_dict`` also gives for classes that do not accept them."""


def read_instruments(paths: Iterable[Path]) -> dict[str, InstrumentFacts]:
    """Return the instruments that one or more instrument files define, by id.

    Raises ``UsageError`` with one line for every fault, with file, line and column.
    """
    found: dict[str, InstrumentFacts] = {}
    for path in paths:
        document = read_settings(path)
        problems: list[Problem] = []
        nodes: list[Node] = document.value if isinstance(document.value, list) else [document]
        if not nodes:
            problems.append(Problem(document.line, document.column, "the list is empty"))
        for node in nodes:
            instrument = _read_one(node, problems)
            if instrument is None:
                continue
            if instrument.id in found:
                what = f"id: {instrument.id!r} is defined twice; keep one definition"
                problems.append(Problem(*node.place(["id"]), what))
            found[instrument.id] = instrument
        if problems:
            raise settings_error(path, problems)
    return found


def define_instrument(stated: StatedInstrument) -> InstrumentFacts:
    """Return the instrument that an instrument file with this content defines.

    Raises ``UsageError`` with one line for every fault.
    """
    problems: list[Problem] = []
    instrument = _read_one(parse_json(json.dumps(to_document(stated))), problems)
    if instrument is None or problems:
        raise UsageError("\n".join(f"instrument {problem.message}" for problem in problems))
    return instrument


def facts_of(instrument: Any) -> InstrumentFacts:
    """Return definition and ticks of an engine's instrument."""
    return InstrumentFacts(
        id=str(instrument.id),
        definition=definition_of(instrument),
        price_precision=instrument.price_precision,
        price_increment=Decimal(str(instrument.price_increment)),
        size_precision=instrument.size_precision,
        size_increment=Decimal(str(instrument.size_increment)),
    )


def _read_one(node: Node, problems: list[Problem]) -> InstrumentFacts | None:
    if not isinstance(node.value, dict):
        what = "an instrument is a mapping of keys to values, a file has one or a list of them"
        problems.append(Problem(node.line, node.column, what))
        return None
    types = instrument_types()
    values = {key: value for key, value in node.plain().items() if key != "$schema"}
    if "type" not in values:
        what = f"type: is missing; accepted are {', '.join(sorted(types))}"
        problems.append(Problem(node.line, node.column, what))
        return None
    if values["type"] not in types:
        what = (
            f"type: {show(values['type'])} is not accepted{nearest(str(values['type']), types)}"
            f"; accepted are {', '.join(sorted(types))}"
        )
        problems.append(Problem(*node.place(["type"]), what))
        return None
    return _Definition(node, values, problems).instrument()


class _Definition:
    """One mapping of an instrument file on its way to the engine's class."""

    def __init__(self, node: Node, values: dict[str, Any], problems: list[Problem]) -> None:
        self._node = node
        self._values = values
        self._problems = problems
        self._before = len(problems)
        self._class = instrument_types()[values["type"]]
        self._parameters = inspect.signature(self._class).parameters

    def instrument(self) -> InstrumentFacts | None:
        """Return the instrument, or None after recording what is wrong."""
        values = self._with_defaults()
        arguments: dict[str, Any] = {}
        fixed: dict[str, Any] = {}
        for key, value in values.items():
            parameter = "instrument_id" if key == "id" else key
            if parameter in self._parameters and value is not None:
                self._convert(key, parameter, value, arguments)
            elif key in _OFTEN_FIXED and parameter not in self._parameters:
                fixed[key] = value
            elif key != "type" and parameter not in self._parameters:
                self._unknown(key)
        for key in self._missing(values):
            self._problem([], f"{key}: is missing; {values['type']} needs it")
        return None if self._has_problems else self._build(arguments, fixed)

    def _missing(self, values: dict[str, Any]) -> list[str]:
        """Return the missing required keys, except those that follow from another."""
        required = [
            "id" if parameter == "instrument_id" else parameter
            for parameter, details in self._parameters.items()
            if details.default is inspect.Parameter.empty
        ]
        missing = [key for key in required if values.get(key) is None]
        hints = {nearest(key, required) for key in values.keys() - set(required)}
        return [
            key
            for key in missing
            if not key.endswith("_precision") and nearest(key, required) not in hints
        ]

    @property
    def _has_problems(self) -> bool:
        return len(self._problems) > self._before

    def _build(self, arguments: dict[str, Any], fixed: dict[str, Any]) -> InstrumentFacts | None:
        try:
            instrument = self._class(**arguments)
            facts = facts_of(instrument)
        except (ValueError, TypeError, OverflowError) as error:
            self._problem([], f"{self._values['id']}: {' '.join(str(error).split())}")
            return None
        for key, given in fixed.items():
            actual = facts.definition.content.get(key, getattr(instrument, key, None))
            text = number_text(given)
            if text is None or actual is None or Decimal(text) != Decimal(str(actual)):
                kind = self._values["type"]
                self._problem([key], f"{key}: found {show(given)}; {kind} always has {actual}")
        return None if self._has_problems else facts

    def _with_defaults(self) -> dict[str, Any]:
        values = dict(self._values)
        for key in _ZERO_BY_DEFAULT:
            values.setdefault(key, 0)
        for key in _FALSE_BY_DEFAULT & self._parameters.keys():
            values.setdefault(key, False)
        if isinstance(values.get("id"), str) and "." in values["id"]:
            values.setdefault("raw_symbol", values["id"].rpartition(".")[0])
        self._set_precision(values, "price_increment", "price_precision")
        self._set_precision(values, "size_increment", "size_precision")
        if "lot_size" in self._parameters and values.get("lot_size") is None:
            # The engine assumes 1 for a perpetual without one, even if its size increment is 0.001.
            values["lot_size"] = values.get("size_increment", "1")
        return values

    def _set_precision(self, values: dict[str, Any], increment: str, precision: str) -> None:
        """Give an increment as many digits as the precision, which it defines when absent."""
        text = number_text(values.get(increment))
        if text is None or precision not in self._parameters:
            return
        digits = len(text.partition(".")[2])
        given = values.setdefault(precision, digits)
        if not isinstance(given, int) or given == digits or given > MOST_PRECISION:
            return
        needed = len(text.partition(".")[2].rstrip("0"))
        if given < needed:
            found = f"{precision}: {given}, but {increment} {text} needs {needed}"
            self._problem([precision], found)
        else:
            values[increment] = f"{Decimal(text):.{given}f}"

    def _convert(self, key: str, parameter: str, value: Any, arguments: dict[str, Any]) -> None:
        convert, accepted = conversion(parameter)
        try:
            arguments[parameter] = convert(value)
        except (ValueError, TypeError, ArithmeticError, AttributeError):
            self._problem([key], f"{key}: found {show(value)}; must be {accepted}")

    def _unknown(self, key: str) -> None:
        if key in _FEES:
            hint = "; fees belong to the experiment, under venue.fees"
        else:
            known = ["id" if name == "instrument_id" else name for name in self._parameters]
            hint = nearest(key, known) or f"; known are {', '.join(known)}"
        line, column = self._node.place([key], of_key=True)
        self._problems.append(Problem(line, column, f"{key}: unknown key{hint}"))

    def _problem(self, keys: list[str | int], message: str) -> None:
        self._problems.append(Problem(*self._node.place(keys), message))
