"""A strategy's code: where its modules lie, which files belong to it, and the digest over them."""

from __future__ import annotations

import hashlib
import importlib.machinery
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trading_runtime.canonical import digest
from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

BUILTIN_PREFIX = "builtin:"
_MOST_FILES = 2_000
_PASSED_OVER = {"__pycache__", "node_modules", "site-packages"}
_RUNTIME = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class StrategyCode:
    """Where a strategy is imported from, and the files whose content its results depend on."""

    path: str
    """The same wherever the files lie: module and class, or file name and class."""
    class_name: str
    module: str
    """Name to import the module by; empty for a builtin Rust strategy."""
    file: Path | None
    """The module's own file; ``None`` for a builtin Rust strategy."""
    search_paths: tuple[Path, ...]
    """Folders to import from, in front of all others."""
    files: tuple[Path, ...]
    """All files of the digest, sorted."""
    digest: str
    """sha256 over names and content of ``files``."""

    @property
    def is_builtin(self) -> bool:
        """Whether this is one of the engine's Rust strategies, which has no Python code."""
        return self.file is None


def find_strategy_code(path: str, folder: Path, code: Sequence[str] = ()) -> StrategyCode:
    """Find the code of the strategy named ``path`` for an experiment file that lies in ``folder``.

    ``path`` is ``package.module:Class``, ``path/to/file.py:Class`` (relative to ``folder``) or
    ``builtin:Class``; ``code`` names further files and folders. No code is run.

    Raises ``UsageError`` when a file or module cannot be found, or too many files belong to it.
    """
    where, _, class_name = path.rpartition(":")
    if path.startswith(BUILTIN_PREFIX):
        return StrategyCode(path, class_name, "", None, (), (), digest([]))
    if where.endswith(".py") or "/" in where:
        file = (folder / Path(where).expanduser()).resolve()
        module, identity, root, files = _code_of_file(where, file)
    else:
        module, identity = where, where
        root, file, files = _code_of_module(where, folder)
    search_paths = [root]
    named = {_name(item, root): item for item in files}
    for extra in code:
        extra_root, extra_files = _code_of_extra(extra, folder)
        search_paths.append(extra_root)
        named |= {f"{extra}::{_name(item, extra_root)}": item for item in extra_files}
    if len(named) > _MOST_FILES:
        raise UsageError(
            f"strategy.path: {root}: {len(named)} Python files would belong to the strategy, more "
            f"than {_MOST_FILES}; move the strategy into a folder of its own"
        )
    return StrategyCode(
        path=f"{identity}:{class_name}",
        class_name=class_name,
        module=module,
        file=file,
        search_paths=tuple(dict.fromkeys(search_paths)),
        files=tuple(sorted(set(named.values()))),
        digest=files_digest(named.items()),
    )


def files_digest(named: Iterable[tuple[str, Path]]) -> str:
    """Return the sha256 over the names and contents of files, whatever their order.

    Raises ``UsageError`` when one cannot be read.
    """
    entries = []
    for name, path in sorted(named):
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
        entries.append([name, hashlib.sha256(content).hexdigest()])
    return digest(entries)


def python_files(folder: Path) -> Iterator[Path]:
    """Yield the ``*.py`` below ``folder``, passing over hidden folders and environments."""
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix == ".py":
            yield path
        elif (
            path.is_dir()
            and not path.name.startswith(".")
            and path.name not in _PASSED_OVER
            and not (path / "pyvenv.cfg").exists()
        ):
            yield from python_files(path)


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _code_of_file(where: str, file: Path) -> tuple[str, str, Path, list[Path]]:
    if not file.is_file():
        raise UsageError(
            f"strategy.path: no such file: {where} (looked for as {file}); "
            "the path is relative to the experiment file"
        )
    module = file.stem
    if not module.isidentifier() or module in sys.stdlib_module_names:
        raise UsageError(
            f"strategy.path: {where}: {module!r} cannot be imported (not a name, or a module of "
            "Python's own); rename the file"
        )
    return module, file.name, file.parent, list(python_files(file.parent))


def _code_of_module(name: str, folder: Path) -> tuple[Path, Path, list[Path]]:
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
    # The runtime's own package has a digest of its own, and cannot be imported anew under itself.
    initial = [package / "__init__.py" for package in packages if package != _RUNTIME]
    own = python_files(file.parent) if packages or file.name == "__init__.py" else [file]
    return root, file, sorted({*own, *(path for path in initial if path.is_file())})


def _code_of_extra(extra: str, folder: Path) -> tuple[Path, list[Path]]:
    path = (folder / Path(extra).expanduser()).resolve()
    if path.is_file():
        return path.parent, [path]
    if path.is_dir():
        is_package = (path / "__init__.py").is_file()
        return (path.parent if is_package else path), list(python_files(path))
    raise UsageError(
        f"strategy.code: no such file or folder: {extra} (looked for as {path}); "
        "the path is relative to the experiment file"
    )
