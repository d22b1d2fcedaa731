"""Hide packages that the engine would import if it found them."""

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
    """An import finder that refuses some packages, ahead of the finders that would find them."""

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
    """Hide the packages that a live node imports, while it is built, only to log their versions.

    Importing them would take half of its start, and a session does not show that log.
    """
    return _hidden(_Hiding(_IN_LOG, "is hidden while a node is built"))
