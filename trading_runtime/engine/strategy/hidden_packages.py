"""Hide packages that the engine would import if it found them."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_OPTIONAL = frozenset({"pandas", "plotly"})
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


def without_optional_packages(
    packages: Collection[str],
) -> contextlib.AbstractContextManager[None]:
    """Hide pandas and plotly, where they are installed, from a task whose identity lacks them.

    The engine imports them if it finds them. With pandas its times are other objects, so a result
    would depend on a package that happens to be there. Plotly comes with the engine's module
    ``config``, and a strategy that imports that would be blamed for it.
    """
    hidden = _OPTIONAL.difference(packages)
    why = "is no part of this task's identity; add it to strategy.requirements"
    return _hidden(_Hiding(hidden, why))


def without_charts() -> contextlib.AbstractContextManager[None]:
    """Hide plotly while the engine's modules are imported, one of which would import it."""
    return _hidden(_Hiding(frozenset({"plotly"}), "is not imported with the engine"))


def without_versions_in_log() -> contextlib.AbstractContextManager[None]:
    """Hide the packages that a live node imports, while it is built, only to log their versions.

    Importing them would take half of its start, and a session does not show that log.
    """
    return _hidden(_Hiding(_IN_LOG, "is hidden while a node is built"))
