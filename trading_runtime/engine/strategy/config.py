"""A strategy's config: its fields and types, and the object made from an experiment's values."""

from __future__ import annotations

import ast
import dataclasses
import datetime as dt
import difflib
import functools
import inspect
import types
import typing
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nautilus_trader.model
import nautilus_trader.trading
from nautilus_trader.trading import StrategyConfig

from trading_runtime.canonical import decimal_text
from trading_runtime.errors import UsageError
from trading_runtime.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class ConfigField:
    """One field that a strategy's config accepts."""

    name: str
    annotation: Any
    required: bool


def config_fields(config_class: type) -> dict[str, ConfigField]:
    """Return the fields that ``config_class`` accepts as keyword arguments, in its order.

    A class that takes ``**kwargs`` accepts the fields of the engine's ``StrategyConfig`` in
    addition to its own, and no others: a misspelt key must not go unnoticed.

    Raises ``UsageError`` when the class's annotations cannot be resolved, or have no effect because
    the class is not a dataclass.
    """
    if config_class.__module__.startswith("nautilus_trader."):
        return _engine_fields(config_class)
    initialiser = inspect.getattr_static(config_class, "__init__")
    declared = [name for name in vars(config_class).get("__annotations__", {}) if name[0] != "_"]
    if declared and not dataclasses.is_dataclass(config_class) and _has_no_own_init(config_class):
        raise UsageError(
            f"{config_class.__name__} declares {', '.join(declared)} but would ignore the values; "
            "write @dataclass above the class"
        )
    try:
        hints = typing.get_type_hints(
            config_class if dataclasses.is_dataclass(config_class) else initialiser
        )
    except (NameError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{config_class.__name__}: its type annotations cannot be resolved: {error}"
        ) from error
    fields = {}
    takes_any = False
    for parameter in list(inspect.signature(initialiser).parameters.values())[1:]:
        if parameter.kind is parameter.VAR_KEYWORD:
            takes_any = True
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            fields[parameter.name] = ConfigField(
                parameter.name,
                hints.get(parameter.name, Any),
                parameter.default is parameter.empty,
            )
    if takes_any:
        fields = _engine_fields(StrategyConfig) | fields
    return fields


def _has_no_own_init(config_class: type) -> bool:
    return "__init__" not in vars(config_class) and "__new__" not in vars(config_class)


def build_config(
    config_class: type, values: Mapping[str, Any], fields: Mapping[str, ConfigField] | None = None
) -> Any:
    """Return ``config_class(**values)``, each value converted to its field's type.

    ``fields`` are those of ``config_fields``, for callers that build many configs of one class.
    Raises ``UsageError`` with all unknown, missing and ill-typed fields, one per line.
    """
    fields = config_fields(config_class) if fields is None else fields
    converted, problems = {}, []
    for name, value in values.items():
        if name not in fields:
            near = difflib.get_close_matches(name, fields, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(fields) or 'none'}"
            problems.append(f"{config_class.__name__} has no field {name!r}; {hint}")
            continue
        try:
            converted[name] = convert(value, fields[name].annotation)
        except (ValueError, TypeError) as error:
            problems.append(f"{config_class.__name__}.{name}: {error}")
    problems += [
        f"{config_class.__name__} needs a value for {name!r}, in strategy.config or in parameters"
        for name, field in fields.items()
        if field.required and name not in values
    ]
    if problems:
        raise UsageError("\n".join(problems))
    try:
        config = config_class(**converted)
    except Exception as error:
        raise UsageError(
            f"{config_class.__name__} refuses its values: {type(error).__name__}: {error}"
        ) from error
    if getattr(config, "use_uuid_client_order_ids", False):
        raise UsageError(
            f"{config_class.__name__}.use_uuid_client_order_ids is on: random order ids can never "
            "be repeated; leave it off"
        )
    return config


def convert(value: Any, annotation: Any) -> Any:  # noqa: C901, PLR0911, PLR0912 - one case a type
    """Return ``value`` (of JSON: None, bool, int, Decimal, str, list, dict) as ``annotation``.

    Raises ``ValueError`` or ``TypeError`` when it does not fit, saying what was found and wanted.
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in (Any, inspect.Parameter.empty, object):
        return _natural(value)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(value, arguments)
    if annotation is None or annotation is type(None):
        if value is None:
            return None
        raise ValueError(f"{_shown(value)} is not null")
    if origin is typing.Literal:
        if value in arguments:
            return value
        raise ValueError(f"{_shown(value)} is not one of {', '.join(map(repr, arguments))}")
    if origin is not None and isinstance(origin, type) and origin is not dict:
        if not isinstance(value, list):
            raise ValueError(f"{_shown(value)} is not a list")
        items = [convert(item, arguments[0] if arguments else Any) for item in value]
        return items if origin not in (tuple, frozenset, set) else origin(items)
    if origin is dict or annotation is dict:
        if not isinstance(value, dict):
            raise ValueError(f"{_shown(value)} is not a mapping")
        key_type, value_type = arguments or (str, Any)
        return {convert(k, key_type): convert(v, value_type) for k, v in value.items()}
    if annotation in (bool, str, list):
        if isinstance(value, annotation):
            return value
        raise ValueError(f"{_shown(value)} is not a {annotation.__name__}")
    if annotation in (int, float, Decimal):
        return _convert_number(value, annotation)
    if annotation is dt.timedelta and isinstance(value, str):
        return dt.timedelta(microseconds=parse_duration(value) // 1_000)
    if annotation is dt.datetime and isinstance(value, str):
        moment = dt.datetime.fromisoformat(value)
        return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return _convert_by_class(value, annotation)


def _convert_union(value: Any, members: tuple[Any, ...]) -> Any:
    errors = []
    for member in members:
        try:
            return convert(value, member)
        except (ValueError, TypeError) as error:
            if member is not type(None):
                errors.append(str(error))
    raise ValueError("; ".join(errors))


def _convert_number(value: Any, annotation: type) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal, str)):
        raise TypeError(f"{_shown(value)} is not a number")
    if isinstance(value, str) and annotation is not Decimal:
        raise ValueError(f"{value!r} is a text, not a number; write it without quotes")
    try:
        exact = Decimal(value)
    except InvalidOperation:
        raise ValueError(f"{value!r} is not a number") from None
    if annotation is int and exact != exact.to_integral_value():
        raise ValueError(f"{exact} is not a whole number")
    return annotation(exact)


def _convert_by_class(value: Any, annotation: Any) -> Any:
    name = getattr(annotation, "__name__", str(annotation))
    text = decimal_text(value) if isinstance(value, Decimal) else str(value)
    if isinstance(value, (bool, list, dict)) or value is None:
        raise ValueError(f"{_shown(value)} is not a {name}")
    try:
        from_str = getattr(annotation, "from_str", None)
        return from_str(text) if from_str is not None else annotation(text)
    except Exception as error:  # any error of the engine's parser means the same
        raise ValueError(f"{_shown(value)} is not a {name}: {error}") from error


def _natural(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, list):
        return [_natural(item) for item in value]
    if isinstance(value, dict):
        return {key: _natural(item) for key, item in value.items()}
    return value


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    return decimal_text(value) if isinstance(value, Decimal) else repr(value)


@functools.cache
def _stub() -> dict[str, list[tuple[str, str, bool]]]:
    """Return name, annotation and whether it is required, per argument of the engine's configs.

    The engine's classes are native and have no annotations at run time; its stub file has them.
    """
    source = Path(nautilus_trader.trading.__file__).with_suffix(".pyi").read_text(encoding="utf-8")
    classes = {}
    for node in ast.parse(source).body:
        if not isinstance(node, ast.ClassDef) or not node.name.endswith("Config"):
            continue
        for item in node.body:
            if isinstance(item, ast.FunctionDef) and item.name in {"__init__", "__new__"}:
                arguments = item.args.args[1:]
                required = len(arguments) - len(item.args.defaults)
                classes[node.name] = [
                    (
                        argument.arg,
                        ast.unparse(argument.annotation or ast.Constant(None)),
                        at < required,
                    )
                    for at, argument in enumerate(arguments)
                    if not argument.arg.startswith("_")
                ]
    return classes


def _engine_fields(config_class: type) -> dict[str, ConfigField]:
    return {
        name: ConfigField(name, _engine_annotation(text), required)
        for name, text, required in _stub().get(config_class.__name__, [])
    }


def _engine_annotation(text: str) -> Any:
    optional = text.endswith(" | None")
    text = text.removesuffix(" | None")
    if text.startswith("typing.Sequence["):
        item = _engine_annotation(text.removeprefix("typing.Sequence[").removesuffix("]"))
        annotation: Any = types.GenericAlias(list, (item,))
    elif text.startswith("model."):
        annotation = getattr(nautilus_trader.model, text.removeprefix("model."), Any)
    else:
        annotation = {"int": int, "float": float, "bool": bool, "str": str}.get(text, Any)
    return annotation | None if optional and annotation is not Any else annotation
