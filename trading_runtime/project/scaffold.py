"""The first files of a user's project: an experiment, a strategy with tests, and example data."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trading_runtime import __version__
from trading_runtime.errors import StorageError, UsageError
from trading_runtime.project.example_data import write_perpetuals, write_stocks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PACKAGE = Path(__file__).resolve().parent.parent
_TEMPLATES = _PACKAGE / "project" / "templates"
EXPERIMENT = "experiment.yaml"


@dataclass(frozen=True)
class StrategyTemplate:
    """A strategy that a project can start with."""

    module: str
    """Name of its module in ``trading_runtime/strategies``, and of its experiment here."""
    summary: str
    write_data: Callable[[Path], Path] = write_perpetuals
    """Writes the raw data that it trades on, and returns their data file."""

    @property
    def source(self) -> str:
        """The text of its module."""
        return (_PACKAGE / "strategies" / f"{self.module}.py").read_text(encoding="utf-8")


STRATEGIES: Mapping[str, StrategyTemplate] = {
    "ema-cross": StrategyTemplate("ema_cross", "Turns when two averages cross."),
    "rsi": StrategyTemplate("rsi", "Buys oversold bars, with a stop-loss."),
    "pair": StrategyTemplate("pair", "Trades the spread of two instruments."),
    "bracket": StrategyTemplate("bracket", "Follows breakouts with bracket orders."),
    "market-maker": StrategyTemplate("market_maker", "Quotes both sides of the market."),
    "rotation": StrategyTemplate("rotation", "Holds the stocks that rose most.", write_stocks),
    "funding": StrategyTemplate("funding", "Holds a perpetual on the side that is paid."),
}
"""By the name that ``init --strategy`` takes."""


def create_project(folder: Path, strategy: str) -> Path:
    """Write the files of a new project into ``folder``, and return the data file of its raw data.

    Nothing is replaced: raises ``UsageError`` when one of the files already exists, and
    ``StorageError`` when one cannot be written.
    """
    template = STRATEGIES[strategy]
    files = _files(template, folder.absolute().name)
    for name in (*files, "data"):
        if (folder / name).exists():
            raise UsageError(
                f"{folder / name}: is there already; nothing is replaced, name another folder"
            )
    try:
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return template.write_data(folder / "data" / "raw")
    except OSError as error:
        raise StorageError(f"{error.filename or folder}: {error.strerror}") from error


def _files(template: StrategyTemplate, title: str) -> dict[str, str]:
    words = {
        "title": title,
        "summary": template.summary,
        "module": template.module,
        "experiment": EXPERIMENT,
        "version": __version__,
    }

    def filled(name: str) -> str:
        text = (_TEMPLATES / "common" / name).read_text(encoding="utf-8")
        for key, value in words.items():
            text = text.replace("{{ " + key + " }}", value)
        return text

    experiment = _TEMPLATES / "experiments" / f"{template.module}.yaml"
    return {
        EXPERIMENT: experiment.read_text(encoding="utf-8"),
        f"strategies/{template.module}.py": template.source,
        "tests/test_strategy.py": filled("test_strategy.txt"),
        "notebook.ipynb": _notebook(json.loads(filled("notebook.json"))),
        "trading-runtime.toml": filled("trading-runtime.toml"),
        "requirements.txt": filled("requirements.txt"),
        "packages.txt": filled("packages.txt"),
        "Dockerfile": filled("Dockerfile"),
        ".dockerignore": filled("dockerignore"),
        "README.md": filled("README.md"),
        ".gitignore": filled("gitignore"),
        ".github/workflows/test.yml": filled("test.yml"),
    }


def _notebook(cells: list[tuple[str, str]]) -> str:
    """Return a notebook, format 4.5, of cells with a kind and a source each."""
    content = {
        "cells": [_cell(number, *cell) for number, cell in enumerate(cells)],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, indent=1) + "\n"


def _cell(number: int, kind: str, source: str) -> dict[str, Any]:
    cell = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}}
    cell["source"] = source.splitlines(keepends=True)
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})
