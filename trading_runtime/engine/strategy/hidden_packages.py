"""Packages that the engine imports if it finds them, and is not to find."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_IN_LOG = frozenset({"msgspec", "numpy", "pandas", "pyarrow", "pytz", "uvloop"})


@dataclass(frozen=True)
class _Hiding:
    """Finds none of some packages, before those that would are asked."""

    names: frozenset[str]
    why: str

    def find_spec(self, name: str, *_: object) -> None:
        if name in self.names:
            raise ModuleNotFoundError(f"{name} {self.why}", name=name)


@contextlib.contextmanager
def _hidden(hiding: _Hiding) -> Iterator[None]:
    sys.meta_path.insert(0, hiding)
    try:
        yield
    finally:
        sys.meta_path.remove(hiding)


def without_pandas(packages: Collection[str]) -> contextlib.AbstractContextManager[None]:
    """Hide pandas, where it is installed, from a task whose identity does not hold it.

    The engine and Arrow import it if they find it, and the engine's times are then other objects:
    a result would depend on a package that happens to be there.
    """
    if "pandas" in packages:
        return contextlib.nullcontext()
    why = "is no part of this task's identity; add 'pandas' to strategy.requirements"
    return _hidden(_Hiding(frozenset({"pandas"}), why))


def without_versions_in_log() -> contextlib.AbstractContextManager[None]:
    """Hide what a live node imports, while it is built, for a line of its log with their versions.

    That would take half of its start, and a session shows no such log.
    """
    return _hidden(_Hiding(_IN_LOG, "is hidden while a node is built"))
