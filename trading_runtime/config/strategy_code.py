"""A strategy's code: where its modules are, which files belong to it, and the digest over them.

The files of a strategy are those that it imports from its own package or folder, and what
``strategy.code`` names: a file, or a whole folder.
"""

from __future__ import annotations

import importlib.machinery
import itertools
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trading_runtime.canonical import digest
from trading_runtime.config.import_closure import Area, import_closure, relative_imports
from trading_runtime.errors import UsageError
from trading_runtime.storage.files import file_sha256, what_else

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

BUILTIN_PREFIX = "builtin:"
_MOST_ENTRIES = 20_000
_MOST_FILES = 2_000
_PASSED_OVER = {"__pycache__", "node_modules", "site-packages"}
_INSTALLED = {"site-packages", "dist-packages"}
RUNTIME = Path(__file__).resolve().parent.parent
_KNOWN = sys.stdlib_module_names | {RUNTIME.name, "nautilus_trader"}
"""Packages whose versions or digests are in the identity of every task."""
_EXAMPLES = RUNTIME / "strategies"
"""What a strategy may import from the runtime's package as its own code."""


@dataclass(frozen=True)
class StrategyCode:
    """Where a strategy is imported from, and the files whose content its results depend on."""

    path: str
    """The same wherever the files are: module and class, or file name and class."""
    class_name: str
    module: str
    """Name to import the module by; empty for a builtin Rust strategy."""
    file: Path | None
    """The module's own file; ``None`` for a builtin Rust strategy."""
    search_paths: tuple[Path, ...]
    """Folders to import from, before all others."""
    files: tuple[Path, ...]
    """All files of the digest, sorted."""
    sha256: Mapping[str, str]
    """The sha256 of each file by its name, which is the same wherever the files are."""
    digest: str
    """sha256 over names and content of ``files``."""
    imported: tuple[str, ...] = ()
    """Dotted names that the files import from elsewhere, without those of Python's own modules."""

    @property
    def is_builtin(self) -> bool:
        """Whether this is one of the engine's Rust strategies, which has no Python code."""
        return self.file is None


def find_strategy_code(
    path: str, folder: Path, code: Sequence[str] = (), config_path: str | None = None
) -> StrategyCode:
    """Find the code of the strategy named ``path`` for an experiment file in ``folder``.

    ``path`` is ``package.module:Class``, ``path/to/file.py:Class`` (relative to ``folder``) or
    ``builtin:Class``; ``code`` names further files and folders, ``config_path`` the module of the
    config's class if it is a different one. A file is imported from its own folder, or as a module
    of its package if it has relative imports. No code is run.

    Raises ``UsageError`` when a file or module cannot be found, or too many files belong to it.
    """
    where, _, class_name = path.rpartition(":")
    if path.startswith(BUILTIN_PREFIX):
        return StrategyCode(path, class_name, "", None, (), (), {}, digest([]))
    if _is_file(where):
        file = (folder / Path(where).expanduser()).resolve()
        module, own, beginning = _code_of_file(where, file)
        identity = _name(file, own.root)
    else:
        module, identity = where, where
        file, own, beginning = _code_of_module(where, folder)
    areas = [own]
    extras: dict[Path, str] = {}
    for extra in code:
        area, files = _code_of_extra(extra, folder)
        areas.append(area)
        beginning += files
        extras |= {item: f"{extra}::{_name(item, area.root)}" for item in files}
    search_paths = tuple(dict.fromkeys(area.root for area in areas))
    areas.append(Area(RUNTIME.parent, _EXAMPLES))
    config_module = (config_path or "").rpartition(":")[0]
    closure = import_closure(
        [(item, next(area for area in areas if area.holds(item))) for item in beginning],
        areas,
        [config_module] if config_module and not _is_file(config_module) else [],
    )
    sha256 = _sha256_by_name(
        (extras.get(item) or _name(item, area.root), item) for item, area in closure.files.items()
    )
    if len(sha256) > _MOST_FILES:
        raise UsageError(
            f"strategy.path: {own.root}: {len(sha256)} Python files belong to the strategy, more "
            f"than {_MOST_FILES}; name fewer folders in strategy.code"
        )
    return StrategyCode(
        path=f"{identity}:{class_name}",
        class_name=class_name,
        module=module,
        file=file,
        search_paths=search_paths,
        files=tuple(sorted(closure.files)),
        sha256=sha256,
        digest=digest(sorted(map(list, sha256.items()))),
        imported=tuple(
            name for name in sorted(closure.elsewhere) if name.partition(".")[0] not in _KNOWN
        ),
    )


def files_digest(named: Iterable[tuple[str, Path]]) -> str:
    """Return the sha256 over the names and contents of files, whatever their order.

    Raises ``UsageError`` when one cannot be read.
    """
    return digest(sorted(map(list, _sha256_by_name(named).items())))


def _sha256_by_name(named: Iterable[tuple[str, Path]]) -> dict[str, str]:
    found = {}
    for name, path in sorted(named):
        try:
            found[name] = file_sha256(path)
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    return found


def python_files(folder: Path, seen: Iterator[int] | None = None) -> Iterator[Path]:
    """Yield the ``*.py`` below ``folder``, skipping hidden folders and environments.

    Raises ``UsageError`` when a folder cannot be read, or there is far more in it than code.
    """
    seen = itertools.count() if seen is None else seen
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        raise UsageError(f"{folder}: cannot be read: {error.strerror}") from error
    for path in found:
        if next(seen) > _MOST_ENTRIES:
            raise UsageError(
                f"strategy.code: {folder}: more than {_MOST_ENTRIES:,} files and folders were "
                "looked at; name the folder of the strategy's code, and nothing above it"
            )
        try:
            is_code = path.suffix == ".py" and path.is_file()
            is_searched = (
                not path.name.startswith(".")
                and path.name not in _PASSED_OVER
                and path.is_dir()
                and not (path / "pyvenv.cfg").exists()
            )
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
        if is_code:
            yield path
        elif is_searched:
            yield from python_files(path, seen)


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _is_file(where: str) -> bool:
    return where.endswith(".py") or "/" in where


def _code_of_file(where: str, file: Path) -> tuple[str, Area, list[Path]]:
    if other := what_else(file):
        raise UsageError(f"strategy.path: {where}: is {other}; name a file of Python code")
    if not file.is_file():
        raise UsageError(
            f"strategy.path: no such file: {where} (looked for as {file}); "
            "the path is relative to the experiment file"
        )
    packages = _packages_above(where, file)
    root = packages[0].parent if packages else file.parent
    parts = [*(package.name for package in packages), file.stem]
    what = "file" if len(parts) == 1 else "folder"
    if not all(map(str.isidentifier, parts)) or parts[0] in sys.stdlib_module_names:
        raise UsageError(
            f"strategy.path: {where}: {'.'.join(parts)!r} cannot be imported (not a name, or a "
            f"module of Python's own); rename the {what}"
        )
    area = Area(root, packages[0] if packages else root)
    return ".".join(parts), area, [*(package / "__init__.py" for package in packages), file]


def _packages_above(where: str, file: Path) -> list[Path]:
    """Return the packages that a file with relative imports is in, the outermost first.

    Raises ``UsageError`` when there are fewer than its imports go up.
    """
    relative = max(relative_imports(file), default=None)
    if relative is None:
        return []
    levels, line, text = relative
    folders = itertools.takewhile(lambda folder: (folder / "__init__.py").is_file(), file.parents)
    packages = list(folders)[::-1]
    if len(packages) < levels:
        raise UsageError(
            f"strategy.path: {where}: line {line} has {text!r}, and {file.parents[len(packages)]} "
            "is no package; add an empty __init__.py there, or import the module by its name alone"
        )
    return packages


def _code_of_module(name: str, folder: Path) -> tuple[Path, Area, list[Path]]:
    search = [str(folder), *sys.path]
    packages: list[Path] = []
    root = folder
    parts = name.split(".")
    for depth, part in enumerate(parts):
        spec = importlib.machinery.PathFinder.find_spec(
            ".".join(parts[: depth + 1]) if depth else part, search
        )
        if spec is None:
            looked = f"{folder} and the installed packages" if depth == 0 else search[0]
            raise UsageError(
                f"strategy.path: no module named {'.'.join(parts[: depth + 1])!r} in {looked}; "
                "write package.module:Class or path/to/file.py:Class"
            )
        if depth == 0:
            locations = spec.submodule_search_locations or [spec.origin or ""]
            root = Path(next(iter(locations))).resolve().parent
        if depth < len(parts) - 1:
            if not spec.submodule_search_locations:
                raise UsageError(
                    f"strategy.path: {'.'.join(parts[: depth + 1])!r} is not a package"
                )
            search = list(spec.submodule_search_locations)
            packages.append(Path(search[0]).resolve())
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise UsageError(f"strategy.path: {name!r} is not a Python source module")
    file = Path(spec.origin).resolve()
    if file.is_relative_to(_EXAMPLES):
        # The package above it has its own digest, and cannot be imported again under itself.
        inside = _EXAMPLES
    elif packages or file.name == "__init__.py":
        inside = root / parts[0]
    else:
        inside = file if root.name in _INSTALLED else root
    area = Area(root, inside)
    initial = (package / "__init__.py" for package in packages)
    own = [path for path in initial if path.is_file() and area.holds(path)]
    return file, area, [*own, file]


def _code_of_extra(extra: str, folder: Path) -> tuple[Area, list[Path]]:
    path = (folder / Path(extra).expanduser()).resolve()
    if path.is_file():
        return Area(path.parent, path), [path]
    if path.is_dir():
        is_package = (path / "__init__.py").is_file()
        return Area(path.parent if is_package else path, path), list(python_files(path))
    if other := what_else(path):
        raise UsageError(f"strategy.code: {extra}: is {other}; name a file or a folder")
    raise UsageError(
        f"strategy.code: no such file or folder: {extra} (looked for as {path}); "
        "the path is relative to the experiment file"
    )
