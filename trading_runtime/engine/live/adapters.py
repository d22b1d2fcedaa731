"""The engine's adapters: their config classes, filled from a deployment, and their clients.

Keys are never passed on: each adapter reads them from the environment.
"""

from __future__ import annotations

import ast
import importlib
import re
import typing
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nautilus_trader import common, model

from trading_runtime.config.adapters import AdapterData
from trading_runtime.engine.strategy.config import convert
from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from trading_runtime.config.adapters import AdapterExecution

TESTED = {"data": frozenset({"bybit", "binance"}), "execution": frozenset({"bybit"})}
"""The adapters that tests run against a stand-in venue."""
_SECRETS = frozenset({"api_key", "api_secret"})
_PACKAGE = "nautilus_trader.adapters"
_KINDS = {"data": "DataClient", "execution": "ExecutionClient"}


def adapter_client(
    settings: AdapterData | AdapterExecution,
) -> tuple[Any, Any]:
    """Return factory and config of an adapter's client, as a section of a deployment has it.

    Raises ``UsageError`` when the adapter has no such client, or its config class refuses a value.
    """
    section = "data" if isinstance(settings, AdapterData) else "execution"
    adapter, environment = settings.adapter, settings.environment
    module = importlib.import_module(f"{_PACKAGE}.{adapter}")
    ending = _KINDS[section]
    factories = [name for name in vars(module) if name.endswith(f"{ending}Factory")]
    if not factories:
        raise UsageError(
            f"{section}.adapter: {adapter} has no client for {section}; choose another"
        )
    prefix = factories[0].removesuffix(f"{ending}Factory")
    config_class = getattr(module, f"{prefix}{ending}Config")
    accepted = _fields(adapter)[config_class.__name__]
    given = dict(settings.config)
    if environment is not None:
        if "environment" not in accepted:
            raise UsageError(f"{section}.environment: {adapter} has none; leave it out")
        given["environment"] = environment
    converted = {}
    for name, value in given.items():
        where = f"{section}.environment" if name == "environment" else f"{section}.config.{name}"
        if name not in accepted:
            known = ", ".join(sorted(accepted.keys() - _SECRETS))
            raise UsageError(f"{where}: {config_class.__name__} has no such field; it has {known}")
        try:
            converted[name] = _converted(value, accepted[name], module)
        except (ValueError, TypeError) as error:
            raise UsageError(f"{where}: {error}") from error
    try:
        return getattr(module, factories[0])(), config_class(**converted)
    except Exception as error:
        raise UsageError(f"{section}.config: {config_class.__name__} refuses: {error}") from error


@cache
def _fields(adapter: str) -> dict[str, dict[str, str]]:
    """Return the annotations of each config class's arguments, from the adapter's stub file."""
    module = importlib.import_module(f"{_PACKAGE}.{adapter}")
    source = Path(str(module.__file__)).with_suffix(".pyi").read_text(encoding="utf-8")
    found: dict[str, dict[str, str]] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and node.name.endswith("Config"):
            for item in node.body:
                if isinstance(item, ast.FunctionDef) and item.name in {"__init__", "__new__"}:
                    arguments = [*item.args.args[1:], *item.args.kwonlyargs]
                    found[node.name] = {
                        argument.arg: ast.unparse(argument.annotation or ast.Constant(None))
                        for argument in arguments
                    }
    return found


def _converted(value: Any, annotation: str, module: Any) -> Any:
    text = annotation.removesuffix(" | None")
    if value is None:
        return None
    for prefix in ("typing.Sequence[", "list["):
        if text.startswith(prefix):
            if not isinstance(value, list):
                raise TypeError(f"{value!r} is not a list")
            item = text.removeprefix(prefix).removesuffix("]")
            return [_converted(one, item, module) for one in value]
    if text in {"int", "float", "bool", "str"}:
        return convert(value, {"int": int, "float": float, "bool": bool, "str": str}[text])
    wanted = _named(text, module)
    if isinstance(wanted, type) and isinstance(value, str):
        return _member(value, wanted)
    return convert(value, Any)


def _named(text: str, module: Any) -> Any:
    if text.startswith("model."):
        return getattr(model, text.removeprefix("model."), None)
    if text.startswith("common."):
        return getattr(common, text.removeprefix("common."), None)
    return getattr(module, text, None) if re.fullmatch(r"\w+", text) else None


def _member(text: str, wanted: type) -> Any:
    """Return the member of an enumeration, or what else ``text`` is as ``wanted``."""
    members = {
        name: item
        for name, item in vars(wanted).items()
        if not name.startswith("_") and name.isupper()
    }
    if members:
        if text.upper() not in members:
            known = ", ".join(sorted(name.lower() for name in members))
            raise ValueError(f"{text!r} is not accepted; accepted are {known}")
        return getattr(wanted, text.upper())
    from_str = typing.cast("Any", getattr(wanted, "from_str", wanted))
    return from_str(text)
