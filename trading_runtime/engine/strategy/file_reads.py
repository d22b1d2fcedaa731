"""Files that a strategy reads from its own folder although they are no part of its code."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from trading_runtime.engine.strategy.loading import installed_folders, is_covered
from trading_runtime.errors import StrategyError

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

    from trading_runtime.config.strategy_code import StrategyCode

_CODE = {".py", ".pyc", ".so"}
_OPENING = {"open", "sqlite3.connect"}
_NO_FILES = {"", ":memory:"}
_listeners: list[tuple[Container[str], Callable[[str, tuple[Any, ...]], None]]] = []


@contextlib.contextmanager
def listening(
    events: Container[str], listener: Callable[[str, tuple[Any, ...]], None]
) -> Iterator[None]:
    """Call ``listener`` with name and arguments of each such audit event in the context."""
    _add_hook()
    heard = (events, listener)
    _listeners.append(heard)
    try:
        yield
    finally:
        _listeners.remove(heard)


def listening_to_opens(
    listener: Callable[[str, int], None],
) -> contextlib.AbstractContextManager[None]:
    """Call ``listener`` with path and flags of each file that Python code opens in the context."""

    def pass_on(event: str, arguments: tuple[Any, ...]) -> None:
        path = arguments[0]
        flags = arguments[2] if event == "open" else os.O_RDWR
        if isinstance(path, str | bytes | os.PathLike) and path not in _NO_FILES:
            listener(os.fsdecode(path), flags)

    return listening(_OPENING, pass_on)


@functools.cache
def _add_hook() -> None:
    sys.addaudithook(_pass_on)  # for the rest of the process


def _pass_on(event: str, arguments: tuple[Any, ...]) -> None:
    for events, listener in _listeners:
        if event in events:
            listener(event, arguments)


class FileReads(contextlib.ExitStack):
    """A context in which Python code's reads of files in the strategy's folders are noted.

    What native libraries open by themselves is not seen.
    """

    def __init__(self, code: StrategyCode) -> None:
        super().__init__()
        self._folders = code.search_paths
        self._own = set(code.files)
        self._opened: set[str] = set()

    def __enter__(self) -> Self:
        """Begin to note."""
        self.enter_context(listening_to_opens(self._open))
        return super().__enter__()

    def _open(self, path: str, flags: int) -> None:
        if flags & os.O_ACCMODE != os.O_WRONLY:
            self._opened.add(os.path.abspath(path))  # noqa: PTH100 - any text is a path

    def foreign(self) -> list[str]:
        """Return the names of files that are no part of the strategy's code, the same anywhere.

        Raises ``StrategyError`` when one of them is code itself.
        """
        found = set()
        # A copy: to find what a distribution holds, its list of files is opened.
        for path in map(_source, list(self._opened)):
            folder = next((each for each in self._folders if path.is_relative_to(each)), None)
            if folder is None or path in self._own or not path.is_file():
                continue
            # An environment may be in the strategy's folder: its packages are known by version.
            if str(path).startswith(installed_folders()) or is_covered(str(path)):
                continue
            if path.suffix in _CODE:
                raise StrategyError(
                    f"the strategy read {path}, which is not among its code: results could change "
                    "without notice; name the file or its folder in strategy.code"
                )
            found.add(path.relative_to(folder).as_posix())
        return sorted(found)


def _source(opened: str) -> Path:
    path = Path(opened)
    if path.suffix == ".pyc" and path.parent.name == "__pycache__":
        path = Path(importlib.util.source_from_cache(opened))
    return path.resolve()
