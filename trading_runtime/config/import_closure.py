"""Which files a module imports, found by reading them: no code is run.

Every import statement counts, wherever it is written and whether or not it runs, except under ``if
TYPE_CHECKING:``. Imports by a computed name (``importlib.import_module``) are not seen; a task that
makes one is refused when it ends.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trading_runtime.errors import UsageError
from trading_runtime.storage.files import read_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

_TYPING = {"typing", "typing_extensions"}
_CHECKING = "TYPE_CHECKING"

_MOST_SOURCE = 20_000_000
"""Bytes of a source file that is read."""


@dataclass(frozen=True)
class Area:
    """A folder whose modules count as the strategy's, if they are ``inside`` it."""

    root: Path
    """Absolute names start here."""
    inside: Path
    """The root, or a package below it."""

    def holds(self, path: Path) -> bool:
        """Return whether a file is one of the area's."""
        return path.is_relative_to(self.inside)


@dataclass
class Closure:
    """The files that were reached, and the names that lead elsewhere."""

    files: dict[Path, Area] = field(default_factory=dict)
    """Each with the area that it was found in."""
    elsewhere: set[str] = field(default_factory=set)
    """Dotted names that no area has, or has only as a folder."""


@dataclass(frozen=True)
class _Import:
    name: str
    """Dotted and absolute, in the area of the file or in any other."""
    is_relative: bool = False
    has_star: bool = False


def import_closure(
    beginning: Iterable[tuple[Path, Area]], areas: Sequence[Area], named: Iterable[str] = ()
) -> Closure:
    """Return everything reachable from the files of ``beginning`` within ``areas``.

    ``areas`` are searched in order for absolute names; ``named`` are names that are imported in
    addition. Raises ``UsageError`` for a file that cannot be read.
    """
    closure = Closure()
    pending = list(beginning)
    for name in named:
        pending += _found(_Import(name), areas, closure)
    while pending:
        path, area = pending.pop()
        if path in closure.files:
            continue
        closure.files[path] = area
        for item in _imports(path, area):
            pending += _found(item, [area] if item.is_relative else areas, closure)
    return closure


def relative_imports(path: Path) -> Iterator[tuple[int, int, str]]:
    """Yield (levels up, line, text) of each relative import of a file."""
    tree = _parsed(path)
    for node in () if tree is None else _nodes(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield node.level, node.lineno, ast.unparse(node)


def _found(item: _Import, areas: Sequence[Area], closure: Closure) -> list[tuple[Path, Area]]:
    if not item.is_relative and not any(_is_module(item.name, area) for area in areas):
        closure.elsewhere.add(item.name)
    return [(file, area) for area in areas for file in _files(item, area)]


def _is_module(name: str, area: Area) -> bool:
    top = area.root / name.partition(".")[0]
    files = (top.with_name(f"{top.name}.py"), top / "__init__.py")
    return any(file.is_file() and area.holds(file) for file in files)


def _files(item: _Import, area: Area) -> Iterator[Path]:
    """Yield the files that importing a name runs: the packages on the way, and the module."""
    place = area.root
    parts = item.name.split(".") if item.name else []
    for part in parts:
        place = place / part
        # A package hides a module of the same name.
        package, module = place / "__init__.py", place.with_name(f"{part}.py")
        if package.is_file():
            if area.holds(package):
                yield package
        elif module.is_file():
            if area.holds(module):
                yield module
            return
        elif not place.is_dir():
            return
    if item.has_star:
        yield from _offered(place, area)


def _offered(package: Path, area: Area) -> Iterator[Path]:
    """Yield the modules of a package that ``__all__`` may name, which a star imports."""
    init = package / "__init__.py"
    tree = _parsed(init) if init.is_file() and area.holds(init) else None
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            name = node.value
            if name.isidentifier():
                prefix = package.relative_to(area.root).parts
                yield from _files(_Import(".".join((*prefix, name))), area)


def _imports(path: Path, area: Area) -> Iterator[_Import]:
    tree = _parsed(path)
    if tree is None:
        # The import itself fails, and says where.
        return
    package = list(path.relative_to(area.root).parts[:-1])
    for node in _nodes(tree):
        if isinstance(node, ast.Import):
            yield from (_Import(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from _from(node, package)


def _from(node: ast.ImportFrom, package: list[str]) -> Iterator[_Import]:
    base = node.module or ""
    if node.level:
        if node.level > len(package):
            # Above the top-level package: Python refuses it.
            return
        above = package[: len(package) - node.level + 1]
        base = ".".join([*above, *([base] if base else [])])
    is_relative = node.level > 0
    for alias in node.names:
        if alias.name == "*":
            yield _Import(base, is_relative, has_star=True)
        else:
            # A module, or a name in one: a file of that name counts.
            yield _Import(f"{base}.{alias.name}", is_relative)


def _parsed(path: Path) -> ast.Module | None:
    try:
        return ast.parse(read_bytes(path, _MOST_SOURCE))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _nodes(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield all nodes except those that only a type checker sees."""
    checking = _names_of_type_checking(tree)
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        yield node
        if isinstance(node, ast.If) and _text(node.test) in checking:
            pending.extend(node.orelse)
        else:
            pending.extend(ast.iter_child_nodes(node))


def _names_of_type_checking(tree: ast.Module) -> set[str]:
    """Return the names of ``typing.TYPE_CHECKING`` in a file, except those assigned there."""
    names: set[str] = set()
    bound: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in _TYPING and not node.level:
            names |= {item.asname or item.name for item in node.names if item.name == _CHECKING}
        elif isinstance(node, ast.Import):
            for item in node.names:
                if item.name in _TYPING:
                    names.add(f"{item.asname or item.name}.{_CHECKING}")
        elif isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Store):
            bound.add(_text(node))
    return {name for name in names if name not in bound and name.partition(".")[0] not in bound}


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return ""
