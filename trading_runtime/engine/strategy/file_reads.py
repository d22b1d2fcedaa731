"""Files that a strategy reads from its own folder although they are no part of its code."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from trading_runtime.engine.strategy.loading import installed_folders, is_covered
from trading_runtime.errors import StrategyError

if TYPE_CHECKING:
    from trading_runtime.config.strategy_code import StrategyCode

_CODE = {".py", ".pyc", ".so"}
_active: list[FileReads] = []
_hooked: list[int] = []
"""The process that has the audit hook, which stays for the rest of its life."""


class FileReads:
    """A context in which Python code's reads of files in the strategy's folders are noted.

    What native libraries open by themselves is not seen.
    """

    def __init__(self, code: StrategyCode) -> None:
        self._folders = code.search_paths
        self._own = set(code.files)
        self._opened: set[str] = set()

    def __enter__(self) -> Self:
        """Begin to note."""
        if not _hooked:
            _hooked.append(os.getpid())
            sys.addaudithook(_note)
        _active.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        _active.remove(self)

    def opened(self, path: str) -> None:
        """Note that a file was opened to read it."""
        self._opened.add(path)

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
            # An environment may lie in the strategy's folder: its packages are known by version.
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


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open" or not _active:
        return
    path, _, flags = arguments
    if isinstance(path, str | bytes | os.PathLike) and flags & os.O_ACCMODE != os.O_WRONLY:
        for each in _active:
            each.opened(os.path.abspath(os.fsdecode(path)))  # noqa: PTH100 - any text is a path
