"""Import a strategy afresh, as if for the first time, and check that it can be run."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import functools
import importlib
import importlib.util
import inspect
import site
import sys
import sysconfig
import traceback
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nautilus_trader.trading
from nautilus_trader import model
from nautilus_trader.trading import Strategy, StrategyConfig

from trading_runtime.config.strategy_code import BUILTIN_PREFIX, RUNTIME, StrategyCode
from trading_runtime.engine.strategy.config import build_config, config_fields
from trading_runtime.engine.strategy.seeding import numpy_seeded, seed_randomness
from trading_runtime.errors import StrategyError, UsageError, error_text
from trading_runtime.planning.distributions import distributions_of_file, normal_name
from trading_runtime.planning.environment import ENGINE
from trading_runtime.storage.files import read_bytes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from types import FunctionType


_MODULES = {
    "nautilus_trader.model.data": "nautilus_trader.model",
    "nautilus_trader.model.enums": "nautilus_trader.model",
    "nautilus_trader.model.events": "nautilus_trader.model",
    "nautilus_trader.model.identifiers": "nautilus_trader.model",
    "nautilus_trader.model.instruments": "nautilus_trader.model",
    "nautilus_trader.model.objects": "nautilus_trader.model",
    "nautilus_trader.model.orders": "nautilus_trader.model",
    "nautilus_trader.model.position": "nautilus_trader.model",
    "nautilus_trader.model.book": "nautilus_trader.model",
    "nautilus_trader.trading.strategy": "nautilus_trader.trading",
    "nautilus_trader.trading.config": "nautilus_trader.trading",
    "nautilus_trader.common.actor": "nautilus_trader.common",
    "nautilus_trader.common.component": "nautilus_trader.common",
    "nautilus_trader.common.enums": "nautilus_trader.common",
    "nautilus_trader.core.message": "nautilus_trader.core",
    "nautilus_trader.core.data": "nautilus_trader.core",
    "nautilus_trader.indicators.average": "nautilus_trader.indicators",
    "nautilus_trader.indicators.base": "nautilus_trader.indicators",
    "nautilus_trader.backtest.engine": "nautilus_trader.backtest",
}
_METHODS = {
    "on_quote_tick": "on_quote",
    "on_trade_tick": "on_trade",
    "on_order_book": "on_book",
    "on_order_book_deltas": "on_book_deltas",
    "on_order_book_depth": "on_book_depth",
    "on_event": "on_order_event and on_position_event",
    "subscribe_quote_ticks": "subscribe_quotes",
    "subscribe_trade_ticks": "subscribe_trades",
    "subscribe_order_book_deltas": "subscribe_book_deltas",
    "subscribe_order_book_depth": "subscribe_book_depth",
    "subscribe_order_book_at_interval": "subscribe_book_at_interval",
    "unsubscribe_quote_ticks": "unsubscribe_quotes",
    "unsubscribe_trade_ticks": "unsubscribe_trades",
    "unsubscribe_order_book_deltas": "unsubscribe_book_deltas",
    "request_quote_ticks": "request_quotes",
    "request_trade_ticks": "request_trades",
}
_MOST_SHOWN = 4


def refuse_legacy_strategy(file: Path) -> None:
    """Raise ``UsageError`` when ``file`` is written for 1.x, with what to write instead.

    A file that does not parse is left to the import, whose error is clearer.
    """
    try:
        found = _legacy_lines(read_bytes(file))
    except (SyntaxError, ValueError, OSError, RecursionError, MemoryError):
        return
    if not found:
        return
    shown = "; ".join(f"line {line}: {text}" for line, text in found[:_MOST_SHOWN])
    more = f"; and {len(found) - _MOST_SHOWN} more" if len(found) > _MOST_SHOWN else ""
    raise UsageError(
        f"{file}: written for NautilusTrader 1.x, and this runtime has 2.x. Change {shown}{more}"
    )


# Every task of a worker asks about the same file.
@functools.lru_cache(maxsize=4)
def _legacy_lines(source: bytes) -> list[tuple[int, str]]:
    return sorted({change for node in ast.walk(ast.parse(source)) for change in _changes(node)})


def _changes(node: ast.AST) -> list[tuple[int, str]]:
    if isinstance(node, ast.ImportFrom) and node.module is not None:
        for old, new in _MODULES.items():
            if node.module == old or node.module.startswith(old + "."):
                return [(node.lineno, f"import from {new} instead of {node.module}")]
        return _moved_module(node.lineno, node.module)
    if isinstance(node, ast.Import):
        return [
            change
            for alias in node.names
            for change in (
                [(node.lineno, f"import {_MODULES[alias.name]} instead of {alias.name}")]
                if alias.name in _MODULES
                else _moved_module(node.lineno, alias.name)
            )
        ]
    if isinstance(node, ast.ClassDef):
        return _class_changes(node)
    if (
        isinstance(node, ast.Attribute)
        and node.attr in _METHODS
        and node.attr.startswith(("subscribe", "unsubscribe", "request"))
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    ):
        return [(node.lineno, f"call {_METHODS[node.attr]} instead of {node.attr}")]
    return []


def _class_changes(node: ast.ClassDef) -> list[tuple[int, str]]:
    bases = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
    changes = [
        (item.lineno, f"rename {item.name} to {_METHODS[item.name]}")
        for item in node.body
        if isinstance(item, ast.FunctionDef) and "Strategy" in bases and item.name in _METHODS
    ]
    if "StrategyConfig" in bases and any(
        word.arg in {"frozen", "kw_only"} for word in node.keywords
    ):
        changes.append(
            (
                node.lineno,
                f"make {node.name} a @dataclass with StrategyConfig as base, not frozen=True",
            )
        )
    return changes


def _moved_module(line: int, module: str) -> list[tuple[int, str]]:
    """Return the change when 2.x has the package of ``module`` but not the module."""
    package = ".".join(module.split(".")[:2])
    if not module.startswith("nautilus_trader.") or module == package:
        return []
    try:
        known = importlib.util.find_spec(module) is not None
    except ImportError:
        known = False
    if known or importlib.util.find_spec(package) is None:
        return []
    return [(line, f"import from {package} instead of {module}")]


MARKET_DATA_CALLBACKS = (
    "on_bar",
    "on_quote",
    "on_trade",
    "on_book",
    "on_book_deltas",
    "on_book_depth",
    "on_mark_price",
    "on_index_price",
    "on_funding_rate",
    "on_instrument",
    "on_instrument_status",
    "on_instrument_close",
    "on_time_event",
)


_RUNTIME_NAME = __name__.partition(".")[0]
_OF_PYTHON = ("stdlib", "platstdlib")


class ForeignPackageError(StrategyError):
    """A task imported a package that is not in its identity.

    The package stays in the process: nothing else may be computed there.
    """


@dataclasses.dataclass(frozen=True)
class LoadedStrategy:
    """A strategy's class (``None`` for a builtin one) and its config's class."""

    code: StrategyCode
    strategy_class: type[Strategy] | None
    config_class: type
    imported_before: frozenset[str] = frozenset()
    """Names of the modules that were loaded before the strategy's."""


@contextlib.contextmanager
def imported_strategy(
    code: StrategyCode, config_path: str | None, seed: int
) -> Iterator[LoadedStrategy]:
    """Import the strategy's modules afresh, with seeded randomness, and drop them afterwards.

    Raises ``UsageError`` for a class that is missing, not a strategy, or written for 1.x, and
    ``StrategyError`` when the modules raise while they are imported.
    """
    if code.is_builtin:
        yield _builtin(code)
        return
    search = [str(path) for path in code.search_paths]
    before = frozenset(sys.modules)
    writes_bytecode = sys.dont_write_bytecode
    sys.path[:0] = search
    # A file changed twice within a second would be run from stale bytecode.
    sys.dont_write_bytecode = True
    try:
        _forget(code, sys.modules.keys())
        importlib.invalidate_caches()
        _refuse_taken_names(code)
        seed_randomness(seed)
        with numpy_seeded(seed):
            module = _import(code)
            strategy_class = _strategy_class(code, module)
            config_class = _config_class(code, module, config_path)
            yield LoadedStrategy(code, strategy_class, config_class, before)
    finally:
        sys.dont_write_bytecode = writes_bytecode
        for path in search:
            with contextlib.suppress(ValueError):
                sys.path.remove(path)
        _forget(code, sys.modules.keys() - before)
        # What it imported from elsewhere is dropped too: the next task's import of it must be seen.
        for name, _ in _foreign_modules(code, before):
            del sys.modules[name]


def own_callbacks(strategy_class: type[Strategy]) -> Iterator[tuple[str, FunctionType]]:
    """Yield name and function of each callback that a strategy has in Python, in order of name."""
    for name in dir(strategy_class):
        if name.startswith("on_"):
            method = inspect.getattr_static(strategy_class, name, None)
            if inspect.isfunction(method):
                yield name, method


def make_strategy(strategy_class: type[Strategy], config: Any) -> Strategy:
    """Return a strategy with its config, or without one if its ``__init__`` takes none."""
    initialiser = inspect.getattr_static(strategy_class, "__init__")
    if inspect.isfunction(initialiser):
        try:
            inspect.signature(initialiser).bind(None, config)
        except TypeError:
            if len(inspect.signature(initialiser).parameters) == 1:
                return strategy_class()
    return strategy_class(config)


def check_configs(
    code: StrategyCode,
    config_path: str | None,
    configs: Sequence[dict[str, Any]],
    packages: Collection[str],
) -> dict[str, list[str]]:
    """Return the texts of fields left at their default by a set of values, by field.

    Raises ``UsageError`` when the strategy cannot be made with one of these sets of values,
    ``StrategyError`` when it imports a package other than ``packages``.
    """
    found: dict[str, dict[str, None]] = {}
    with imported_strategy(code, config_path, seed=0) as loaded:
        fields = config_fields(loaded.config_class)
        for values in configs:
            config = build_config(loaded.config_class, values, fields)
            for name in fields.keys() - values.keys():
                found.setdefault(name, {}).update(
                    dict.fromkeys(_texts_in(getattr(config, name, None)))
                )
        refuse_foreign_packages(loaded, packages)
    return {name: list(texts) for name, texts in sorted(found.items()) if texts}


def _texts_in(value: Any) -> Iterator[str]:
    """Yield texts, and engine ids as texts, from a value that may be a collection."""
    if isinstance(value, (str, model.BarType, model.InstrumentId)):
        yield str(value)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from _texts_in(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts_in(key)
            yield from _texts_in(item)


def refuse_foreign_modules(loaded: LoadedStrategy, packages: Collection[str]) -> None:
    """Raise ``StrategyError`` when the task imported code that its identity does not cover.

    Covered are the strategy's own files, this runtime, the standard library, and the installed
    ``packages`` whose versions are part of the identity.
    """
    refuse_foreign_packages(loaded, packages)
    for name, path in _foreign_modules(loaded.code, loaded.imported_before):
        raise StrategyError(
            f"the strategy imported {name} from {path}, which is not among its code: results "
            "could change without notice; name the file or its folder in strategy.code"
        )


def refuse_foreign_packages(loaded: LoadedStrategy, packages: Collection[str]) -> None:
    """Raise ``ForeignPackageError`` when the strategy imported a package other than these."""
    allowed = {*packages, normal_name(ENGINE), normal_name(_RUNTIME_NAME)}
    own = {str(path) for path in loaded.code.files}
    for name in sorted(sys.modules.keys() - loaded.imported_before):
        file = getattr(sys.modules[name], "__file__", None)
        if file is None or file in own:
            continue
        if (owners := distributions_of_file(file)) and not owners & allowed:
            package = min(owners)
            raise ForeignPackageError(
                f"the strategy imported {name} of the package {package}, whose version is not "
                "part of its results' identity: results could change without notice; add "
                f"{package!r} to strategy.requirements"
            )


def _foreign_modules(code: StrategyCode, before: frozenset[str]) -> list[tuple[str, str]]:
    covered = {str(path) for path in code.files}
    found = []
    for name in sorted(sys.modules.keys() - before):
        if name.partition(".")[0] == nautilus_trader.__name__:
            continue  # a live node makes modules without a file
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None:
            path = str(Path(file).resolve())
            if not {file, path} & covered and not is_covered(path):
                found.append((name, path))
    return found


@functools.cache
def is_covered(path: str) -> bool:
    """Return whether a file is Python's own, the runtime's, or one of an installed distribution."""
    # A distribution may be in any folder on the import path, since a .pth file can add one.
    if path.startswith(f"{RUNTIME}/") or distributions_of_file(path):
        return True
    if path.startswith(installed_folders()):
        return False
    named = sysconfig.get_paths()
    return path.startswith(tuple(f"{Path(named[key]).resolve()}/" for key in _OF_PYTHON))


@functools.cache
def installed_folders() -> tuple[str, ...]:
    """Return the folders that distributions are installed in, each with a slash at its end."""
    named = sysconfig.get_paths()
    folders = {named["purelib"], named["platlib"], *site.getsitepackages()}
    folders.add(site.getusersitepackages())
    return tuple(sorted(f"{Path(folder).resolve()}/" for folder in folders))


def _builtin(code: StrategyCode) -> LoadedStrategy:
    config_class = getattr(nautilus_trader.trading, f"{code.class_name}Config", None)
    if config_class is None or not code.class_name:
        names = sorted(
            name.removesuffix("Config")
            for name in dir(nautilus_trader.trading)
            if name.endswith(("CrossConfig", "MakerConfig", "VolConfig", "DirectionalConfig"))
        )
        raise UsageError(
            f"strategy.path: the engine has no builtin strategy {code.class_name!r}; it has "
            f"{', '.join(BUILTIN_PREFIX + name for name in names)}"
        )
    return LoadedStrategy(code, None, config_class, frozenset(sys.modules))


def _import(code: StrategyCode) -> Any:
    if code.file is not None:
        refuse_legacy_strategy(code.file)
    try:
        return importlib.import_module(code.module)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        frames = traceback.extract_tb(error.__traceback__)
        passed = ("importlib", __file__)
        own = [frame for frame in frames if not any(each in frame.filename for each in passed)]
        place = f"{own[-1].filename}:{own[-1].lineno}" if own else str(code.file)
        if isinstance(error, SyntaxError) and error.filename is not None:
            # It is in a file that was being read, so it is in no frame.
            place = f"{error.filename}:{error.lineno}"
        raise StrategyError(
            f"{place}: importing the strategy failed: {type(error).__name__}: {error_text(error)}"
        ) from error


def _strategy_class(code: StrategyCode, module: Any) -> type[Strategy]:
    found = getattr(module, code.class_name, None)
    strategies = sorted(
        name
        for name, item in vars(module).items()
        if isinstance(item, type)
        and issubclass(item, Strategy)
        and item.__module__ == module.__name__
    )
    has = f"it has {', '.join(strategies)}" if strategies else "it has no strategy"
    if found is None:
        raise UsageError(f"strategy.path: {code.file} has no class {code.class_name!r}; {has}")
    if not (isinstance(found, type) and issubclass(found, Strategy)):
        raise UsageError(
            f"strategy.path: {code.class_name} in {code.file} is not a subclass of "
            f"nautilus_trader.trading.Strategy; {has}"
        )
    for name in dir(found):
        if name.startswith("on_"):
            method = inspect.getattr_static(found, name)
            # Most callbacks are the engine's own, which do nothing.
            if method is not _callbacks_of_the_engine().get(name):
                _check_callback(code, name, method)
    return found


@functools.cache
def _callbacks_of_the_engine() -> dict[str, Any]:
    names = (name for name in dir(Strategy) if name.startswith("on_"))
    return {name: inspect.getattr_static(Strategy, name) for name in names}


def _check_callback(code: StrategyCode, name: str, method: Any) -> None:
    where = f"strategy.path: {code.class_name}.{name} in {code.file}"
    if is_never_run(method):
        raise UsageError(f"{where} is async or a generator, which the engine would never run")
    if name in MARKET_DATA_CALLBACKS and inspect.isfunction(method):
        try:
            inspect.signature(method).bind(None, None)
        except TypeError as error:
            raise UsageError(f"{where} must take one argument besides self ({error})") from error


def is_never_run(callback: Any) -> bool:
    """Tell whether calling ``callback`` runs none of its code, since it is async or a generator."""
    function = _function_of(callback)
    return (
        inspect.iscoroutinefunction(function)
        or inspect.isgeneratorfunction(function)
        or inspect.isasyncgenfunction(function)
    )


def _function_of(callback: Any) -> Any:
    """Return the function that is finally called, whatever it is wrapped in."""
    while True:
        if isinstance(callback, functools.partial | functools.partialmethod):
            callback = callback.func
        elif isinstance(callback, staticmethod | classmethod) or inspect.ismethod(callback):
            callback = callback.__func__
        elif inspect.isfunction(callback) or not hasattr(type(callback), "__call__"):  # noqa: B004
            return callback
        else:
            return inspect.getattr_static(type(callback), "__call__")


def _config_class(code: StrategyCode, module: Any, config_path: str | None) -> type:
    if config_path is not None:
        where, _, name = config_path.rpartition(":")
        source = module if where.endswith(".py") else importlib.import_module(where)
        found = getattr(source, name, None)
        if not isinstance(found, type):
            raise UsageError(f"strategy.config_path: {where} has no class {name!r}")
        return found
    strategy_class = getattr(module, code.class_name)
    try:
        hints = typing.get_type_hints(strategy_class.__init__)
    except (NameError, TypeError, AttributeError):
        hints = {}
    for annotation in (hints.get("config"), *typing.get_args(hints.get("config"))):
        if isinstance(annotation, type) and (
            issubclass(annotation, StrategyConfig) or dataclasses.is_dataclass(annotation)
        ):
            return annotation
    named = getattr(module, f"{code.class_name}Config", None)
    return named if isinstance(named, type) else StrategyConfig


def _refuse_taken_names(code: StrategyCode) -> None:
    """Raise ``UsageError`` when importing the strategy's own modules would find different ones."""
    own = {str(path) for path in code.files}
    for root in code.search_paths:
        names = {path.relative_to(root).parts[0] for path in code.files if root in path.parents}
        for name in sorted(name.removesuffix(".py") for name in names):
            file = getattr(sys.modules.get(name), "__file__", None)
            is_taken = file is not None and not {file, str(Path(file).resolve())} & own
            if is_taken and name not in sys.stdlib_module_names and name != _RUNTIME_NAME:
                raise UsageError(
                    f"strategy.path: {root / name}: a module named {name!r} is already in use "
                    f"({file}); rename the strategy's"
                )


def _forget(code: StrategyCode, names: Iterable[str]) -> None:
    """Drop the strategy's modules, so that state in a class or module never outlives a task."""
    files = {str(path) for path in code.files}
    for name in list(names):
        if getattr(sys.modules[name], "__file__", None) in files:
            del sys.modules[name]
