"""What figures are made with: sizes, data, targets, and this project's own programs, measured."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.market_data import INSTRUMENT
from benchmarks.measuring import Finished, run

if TYPE_CHECKING:
    from benchmarks.measuring import Measured

ROOT = Path(__file__).parent.parent
DATA = ROOT / "benchmarks" / ".data"
PROCESSES = 2
LISTENER = {
    "path": f"{ROOT / 'benchmarks' / 'strategies' / 'listener.py'}:Listener",
    "config": {"instrument_id": INSTRUMENT},
}


@dataclass
class Bench:
    """How large everything is, and where it is made."""

    scratch: Path
    quick: bool = False
    repeats: int = 3
    _made: int = field(default=0)

    def size(self, full: int, quick: int) -> int:
        """Return ``full``, or ``quick`` for a smoke run."""
        return quick if self.quick else full

    def dataset(self, kind: str, rows: int) -> Path:
        """Return a dataset, made in a separate process so that this one stays small."""
        name = f"{kind}-{rows}"
        program(DATA, name, module="benchmarks.market_data")
        return DATA / name

    def folder(self) -> Path:
        """Return a new folder, so that no run finds results of another."""
        self._made += 1
        return self.scratch / str(self._made)


@dataclass(frozen=True)
class Mark:
    """What a figure has to reach."""

    bound: float
    unit: str
    """``ratio``, ``times``, ``s`` or ``MB``."""
    at_least: bool = False

    def reached(self, value: float) -> bool:
        """Return whether ``value`` is on the right side of the bound."""
        return value >= self.bound if self.at_least else value <= self.bound


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    figure: str
    mark: Mark
    measured: Measured


def program(*arguments: str | Path, module: str) -> Finished:
    """Run a module of this project in a process and measure it."""
    return run([sys.executable, "-m", module, *arguments])


def trading_runtime(*arguments: str | Path) -> Finished:
    """Run the command line and measure it."""
    return program(*arguments, module="trading_runtime.cli.main")
