"""Seed what draws numbers at random: Python's ``random``, and NumPy's global generator.

NumPy may be imported late: by a callback, under a name that no one can read in the code, or by
another package. Its generator is seeded at that moment.
"""

from __future__ import annotations

import contextlib
import random
import sys
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from importlib.machinery import ModuleSpec

_NUMPY = "numpy.random"


def seed_randomness(seed: int) -> None:
    """Seed what is imported; ``numpy_seeded`` does the rest."""
    random.seed(seed)
    if _NUMPY in sys.modules:
        sys.modules[_NUMPY].seed(seed)


@contextlib.contextmanager
def numpy_seeded(seed: int) -> Iterator[None]:
    """Seed NumPy's global generator as soon as anything imports it."""
    finder = _SeedingFinder(seed)
    # Its type has finders of classes only.
    finders: list[Any] = sys.meta_path
    finders.insert(0, finder)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # a strategy may have emptied the list
            finders.remove(finder)


class _SeedingFinder:
    """Finds one module where it is, and lets it be seeded right after its code has run."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: Any = None
    ) -> ModuleSpec | None:
        if name != _NUMPY:
            return None
        spec = PathFinder.find_spec(name, path, target)
        loader: Any = None if spec is None else spec.loader
        if loader is not None:
            run = loader.exec_module

            def run_and_seed(module: Any) -> None:
                run(module)
                module.seed(self._seed)

            loader.exec_module = run_and_seed
        return spec
