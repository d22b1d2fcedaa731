"""Settings files, JSON or YAML: read into a tree with places, and checked against a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from trading_runtime.config.document import DocumentError, Node, Problem, parse_json
from trading_runtime.config.messages import faults_of
from trading_runtime.errors import UsageError
from trading_runtime.storage.files import MOST_DOCUMENT, text_of_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_SUFFIXES = frozenset({".json", ".yaml", ".yml"})
_MAX_BYTES = 50_000_000
_MAX_PROBLEMS = 30


def read_settings(path: Path) -> Node:
    """Return the tree of a ``.json``, ``.yaml`` or ``.yml`` file.

    Raises ``UsageError`` when the file is missing or cannot be read.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise UsageError(f"{path}: a settings file is named .json, .yaml or .yml")
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise UsageError(f"{path}: larger than {_MAX_BYTES:,} bytes; is this a settings file?")
        return _read(path)
    except FileNotFoundError as error:
        raise UsageError(f"{path}: there is no such file") from error
    except DocumentError as error:
        raise settings_error(path, error.problems) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as UTF-8 text: {error}") from error


def _read(path: Path) -> Node:
    text = text_of_file(path, MOST_DOCUMENT, "utf-8-sig")
    if path.suffix.lower() == ".json":
        return parse_json(text)
    from trading_runtime.config.yaml_document import read_yaml  # only YAML files need it

    return read_yaml(text)


def checked[Settings: BaseModel](model: type[Settings], document: Node, path: Path) -> Settings:
    """Return the settings in ``document``, which was read from ``path``.

    Raises ``UsageError`` with one line for every fault.
    """
    try:
        return model.model_validate(document.plain())
    except ValidationError as error:
        faults = faults_of(error, document, model)
        raise settings_error(
            path, [fault.problem for fault in faults if fault.problem is not None]
        ) from error


def settings_error(path: Path, problems: Iterable[Problem]) -> UsageError:
    """Return the error that lists ``problems`` in the order of the file."""
    ordered = sorted(problems, key=lambda problem: (problem.line, problem.column))
    lines = [
        f"{path}:{problem.line}:{problem.column}: {problem.message}"
        for problem in ordered[:_MAX_PROBLEMS]
    ]
    if len(ordered) > _MAX_PROBLEMS:
        lines.append(f"{path}: and {len(ordered) - _MAX_PROBLEMS} more problems")
    return UsageError("\n".join(lines))
