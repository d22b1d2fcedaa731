"""Where results are by default: an environment variable, the project file, else ``results``.

The project file is ``trading-runtime.toml``, or the table ``tool.trading-runtime`` of
``pyproject.toml``, in the current folder or the nearest one above it.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from trading_runtime.config.places import PathError, resolve_place
from trading_runtime.errors import UsageError
from trading_runtime.storage.files import text_of_file

RESULTS_VARIABLE = "TRADING_RUNTIME_RESULTS"
PROJECT_FILE = "trading-runtime.toml"
_PYPROJECT = "pyproject.toml"
_TABLE = "trading-runtime"
_KEYS = ("results",)
_DEFAULT = "results"
_MOST_BYTES = 1_000_000


def default_results(folder: Path | None = None) -> str | None:
    """Return the results folder that is set for a folder, the current one by default.

    That is ``TRADING_RUNTIME_RESULTS``, else ``results`` of the project file; ``None`` when neither
    is set. Raises ``UsageError`` for an invalid project file.
    """
    folder = Path.cwd() if folder is None else folder
    if text := os.environ.get(RESULTS_VARIABLE):
        return _place(text, Path.cwd(), RESULTS_VARIABLE)
    found = _project_file(folder)
    if found is None:
        return None
    path, settings = found
    for key in settings:
        if key not in _KEYS:
            raise UsageError(f"{path}: unknown key {key!r}; accepted are {', '.join(_KEYS)}")
    text = settings.get("results")
    if text is None:
        return None
    if not isinstance(text, str):
        raise UsageError(f"{path}: results: write a folder or an address in S3 as a text")
    return _place(text, path.parent, f"{path}: results")


def results_here() -> str:
    """Return the results folder for commands that name none: ``results`` when none is set."""
    return default_results() or _DEFAULT


def _project_file(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    for place in (folder.absolute(), *folder.absolute().parents):
        path = place / PROJECT_FILE
        if path.is_file():
            return path, _read(path)
        path = place / _PYPROJECT
        if path.is_file():
            table = _read(path).get("tool", {}).get(_TABLE)
            if isinstance(table, dict):
                return path, table
    return None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text_of_file(path, _MOST_BYTES))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: is not TOML: {error}") from error


def _place(text: str, folder: Path, where: str) -> str:
    try:
        return resolve_place(text, str(folder))
    except PathError as error:
        raise UsageError(f"{where}: {error}") from error
