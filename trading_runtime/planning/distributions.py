"""Installed distributions: their versions, what they need, and which one a module comes from."""

from __future__ import annotations

import contextlib
import functools
import importlib.machinery
import os
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_DESCRIPTION = ".dist-info"
_HEAD_BYTES = 1 << 14
_SEPARATORS = re.compile(r"[-_.]+")
_VERSION = re.compile(r"^Version:(.*)$", re.MULTILINE | re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OPTIONAL = re.compile(r"\bextra\s*==")


def normal_name(name: str) -> str:
    """Return the normal form of a distribution's name: ``Ruamel.YAML`` is ``ruamel-yaml``."""
    return _SEPARATORS.sub("-", name).lower()


@functools.cache
def installed_version(name: str) -> str | None:
    """Return the version of an installed distribution, or ``None``."""
    # ``metadata`` searches all folders for each name, and parses a file's headers and long
    # description as an e-mail: together most of the start-up time.
    folder = _folders().get(normal_name(name))
    with contextlib.suppress(OSError):
        if folder is not None:
            with Path(folder, "METADATA").open("rb") as file:
                head = file.read(_HEAD_BYTES).partition(b"\n\n")[0]
            if (found := _VERSION.search(head.decode(errors="replace"))) is not None:
                return found[1].strip()
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def distributions_of_imports(names: Iterable[str]) -> set[str]:
    """Return the distributions that modules of these dotted names come from.

    A name that no installed distribution provides gives none: importing it fails, or finds a file
    outside all distributions.
    """
    found: set[str] = set()
    for name in names:
        found |= _providers(name)
    return found


def with_dependencies(names: Iterable[str]) -> set[str]:
    """Return distributions with those that they require, recursively, if installed.

    What they require only for an extra is left out.
    """
    found: set[str] = set()
    pending = [normal_name(name) for name in names]
    while pending:
        name = pending.pop()
        if name not in found and installed_version(name) is not None:
            found.add(name)
            pending += _requirements(name)
    return found


@functools.cache
def distributions_of_file(path: str) -> frozenset[str]:
    """Return the distributions that contain a file; none if no distribution does."""
    for place in _places():
        if path.startswith(place):
            parts = path.removeprefix(place).split("/")
            return _providers_of_path(parts[0], "/".join(parts))
    return frozenset()


def _providers(name: str) -> frozenset[str]:
    top = name.partition(".")[0]
    with contextlib.suppress(ValueError, ImportError):
        # ``json`` and ``_json`` are elsewhere, and a name that is not installed is nowhere.
        if importlib.machinery.PathFinder.find_spec(top) is None:
            return frozenset()
    return _providers_of_path(top, name.replace(".", "/"))


@functools.cache
def _providers_of_path(top: str, path: str) -> frozenset[str]:
    """Return what provides the first part of a path; of several, those that have most of it."""
    found = _providers_of_top(top)
    if len(found) > 1:
        # A namespace that several distributions share.
        parts = path.split("/")
        for length in range(len(parts), 1, -1):
            beginning = "/".join(parts[:length])
            closer = {
                name
                for name in found
                if any(_is_at(file, beginning) for file in _recorded_files(name))
            }
            if closer:
                return frozenset(closer)
    return found


def _is_at(file: str, beginning: str) -> bool:
    return file.startswith(beginning) and file[len(beginning) : len(beginning) + 1] in "/."


@functools.cache
def _providers_of_top(top: str) -> frozenset[str]:
    module = top.partition(".")[0]
    name = normal_name(module)
    # Usually the distribution has the name of its package, and is the only one that provides it.
    if {f"{module}/__init__.py", f"{module}.py"} & _recorded_files(name):
        return frozenset([name])
    return frozenset(normal_name(item) for item in _all_tops().get(module, ()))


@functools.cache
def _all_tops() -> dict[str, list[str]]:
    # Reads the file lists of everything that is installed.
    return dict(metadata.packages_distributions())


@functools.cache
def _recorded_files(name: str) -> frozenset[str]:
    """Return the files that an installed distribution lists; none when it has no list."""
    folder = _folders().get(name)
    with contextlib.suppress(OSError):
        if folder is not None:
            lines = Path(folder, "RECORD").read_text(encoding="utf-8").splitlines()
            return frozenset(line.partition(",")[0] for line in lines)
    return frozenset()


def _requirements(name: str) -> list[str]:
    with contextlib.suppress(metadata.PackageNotFoundError):
        found = metadata.distribution(name).requires or []
        needed = [item for item in found if not _OPTIONAL.search(item)]
        return [normal_name(match[0]) for item in needed if (match := _NAME.match(item))]
    return []


@functools.cache
def _folders() -> dict[str, str]:
    """Return the folder that describes each installed distribution, by its normal name."""
    found: dict[str, str] = {}
    for place in sys.path:
        with contextlib.suppress(OSError):
            for entry in os.listdir(place or "."):  # noqa: PTH208 - hundreds of names
                if entry.endswith(_DESCRIPTION):
                    # Imports use the first folder on the path.
                    found.setdefault(normal_name(entry.partition("-")[0]), f"{place}/{entry}")
    return found


@functools.cache
def _places() -> tuple[str, ...]:
    """Return the folders that distributions are installed in."""
    folders = {str(Path(path).parent) for path in _folders().values()}
    return tuple(
        f"{folder}/" for place in folders for folder in {place, str(Path(place).resolve())}
    )
