"""Import a strategy anew, as if for the first time, and check that it can be run."""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import random
import site
import sys
import sysconfig
import traceback
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nautilus_trader.trading
from nautilus_trader.trading import Strategy, StrategyConfig

from trading_runtime.config.strategy_code import BUILTIN_PREFIX, StrategyCode
from trading_runtime.engine.legacy import refuse_legacy_strategy
from trading_runtime.engine.strategy_config import build_config, config_fields
from trading_runtime.errors import StrategyError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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


@dataclass(frozen=True)
class LoadedStrategy:
    """A strategy's class (``None`` for a builtin one) and its config's class."""

    code: StrategyCode
    strategy_class: type[Strategy] | None
    config_class: type


@contextlib.contextmanager
def imported_strategy(
    code: StrategyCode, config_path: str | None, seed: int
) -> Iterator[LoadedStrategy]:
    """Import the strategy's modules anew, with seeded randomness, and forget them afterwards.

    Raises ``UsageError`` for a class that is missing, no strategy, or written for 1.x, and
    ``StrategyError`` when the modules raise while they are imported.
    """
    if code.is_builtin:
        yield _builtin(code)
        return
    search = [str(path) for path in code.search_paths]
    sys.path[:0] = search
    try:
        _forget(code)
        seed_randomness(code, seed)
        module = _import(code)
        yield LoadedStrategy(
            code, _strategy_class(code, module), _config_class(code, module, config_path)
        )
    finally:
        for path in search:
            with contextlib.suppress(ValueError):
                sys.path.remove(path)
        _forget(code)


def check_configs(
    code: StrategyCode, config_path: str | None, configs: Sequence[dict[str, Any]]
) -> None:
    """Raise ``UsageError`` when the strategy cannot be made with one of these sets of values."""
    with imported_strategy(code, config_path, seed=0) as loaded:
        for values in configs:
            build_config(loaded.config_class, values)


def seed_randomness(code: StrategyCode, seed: int) -> None:
    """Seed ``random``, and numpy's global generator where the strategy can reach it."""
    random.seed(seed)
    if "numpy" not in sys.modules and any(b"numpy" in path.read_bytes() for path in code.files):
        with contextlib.suppress(ImportError):
            importlib.import_module("numpy")
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed)


def refuse_foreign_modules(code: StrategyCode, before: set[str]) -> None:
    """Raise ``StrategyError`` when the task imported code that its identity does not cover.

    Covered are the strategy's own files, this runtime, the standard library and installed
    distributions (whose versions are part of the identity, or named in strategy.requirements).
    """
    covered = {str(path) for path in code.files}
    for name in sorted(set(sys.modules) - before):
        file = getattr(sys.modules[name], "__file__", None)
        if file is None or file.endswith((".so", ".pyd")) or not file.endswith(".py"):
            continue
        path = str(Path(file).resolve())
        if path not in covered and not path.startswith(_covered_folders()):
            raise StrategyError(
                f"the strategy imported {name} from {path}, which is not among its code: results "
                "could change without notice; name the file or its folder in strategy.code"
            )


@functools.cache
def _covered_folders() -> tuple[str, ...]:
    named = sysconfig.get_paths()
    folders = {named[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders |= {*site.getsitepackages(), site.getusersitepackages()}
    folders.add(str(Path(__file__).resolve().parent.parent))
    return tuple(f"{Path(folder).resolve()}/" for folder in sorted(folders))


def _builtin(code: StrategyCode) -> LoadedStrategy:
    config_class = getattr(nautilus_trader.trading, f"{code.class_name}Config", None)
    if config_class is None or not code.class_name:
        names = sorted(
            name.removesuffix("Config")
            for name in nautilus_trader.trading.__all__
            if name.endswith(("CrossConfig", "MakerConfig", "VolConfig", "DirectionalConfig"))
        )
        raise UsageError(
            f"strategy.path: the engine has no builtin strategy {code.class_name!r}; it has "
            f"{', '.join(BUILTIN_PREFIX + name for name in names)}"
        )
    return LoadedStrategy(code, None, config_class)


def _import(code: StrategyCode) -> Any:
    if code.file is not None:
        refuse_legacy_strategy(code.file)
    try:
        return importlib.import_module(code.module)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if "importlib" not in frame.filename]
        place = f"{own[-1].filename}:{own[-1].lineno}" if own else str(code.file)
        raise StrategyError(
            f"{place}: importing the strategy failed: {type(error).__name__}: {error}"
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
    for name in MARKET_DATA_CALLBACKS:
        method = inspect.getattr_static(found, name, None)
        if inspect.isfunction(method):
            try:
                inspect.signature(method).bind(None, None)
            except TypeError as error:
                raise UsageError(
                    f"strategy.path: {code.class_name}.{name} in {code.file} must take one "
                    f"argument besides self ({error})"
                ) from error
    return found


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
        if isinstance(annotation, type) and issubclass(annotation, StrategyConfig):
            return annotation
    named = getattr(module, f"{code.class_name}Config", None)
    return named if isinstance(named, type) else StrategyConfig


def _forget(code: StrategyCode) -> None:
    """Drop the strategy's modules, so that state in a class or module never outlives a task."""
    files = {str(path) for path in code.files}
    for name, module in list(sys.modules.items()):
        if getattr(module, "__file__", None) in files:
            del sys.modules[name]
    importlib.invalidate_caches()


__all__ = [
    "LoadedStrategy",
    "build_config",
    "check_configs",
    "config_fields",
    "imported_strategy",
    "refuse_foreign_modules",
    "seed_randomness",
]
