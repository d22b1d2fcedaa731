"""A run of strategies that are sound or not, and folders to tamper with copies of it."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

from tests.small_experiment import SmallExperiment
from trading_runtime.results.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from trading_runtime.records.run_files import RunFiles

WAYS = ("sound", "chance", "surroundings", "raise", "os exit")
"""One point each; the first three leave a result."""


def wayward(folder: Path, dataset: Path, *ways: str) -> SmallExperiment:
    """An experiment with one point for each of ``ways``, over one day."""
    experiment = SmallExperiment(folder, dataset)
    experiment.use("wayward.py:Wayward", way=list(ways))
    return experiment


class Copy:
    """The experiment and results of a run, copied so that they may be tampered with."""

    def __init__(self, original: SmallExperiment, folder: Path, run_id: str) -> None:
        shutil.copytree(original.folder, folder)
        self.experiment = folder / original.path.name
        self.strategy = folder / "wayward.py"
        self.store = Store(folder / "results")
        self.run_id = run_id

    @property
    def files(self) -> RunFiles:
        """The run's files."""
        return self.store.run(self.run_id)

    @property
    def plan(self) -> dict[str, Any]:
        """The content of the run's plan."""
        content: dict[str, Any] = json.loads(self.files.plan.read_bytes())
        return content

    def write_plan(self, content: dict[str, Any]) -> None:
        """Replace the run's plan."""
        self.files.plan.write_text(json.dumps(content))

    def task_id(self, way: str) -> str:
        """Return the id of the task of one way."""
        plan = self.plan
        points = {point["index"]: point["parameters"]["way"] for point in plan["points"]}
        [found] = [task["task_id"] for task in plan["tasks"] if points[task["point"]] == way]
        return str(found)

    def stored(self, way: str, name: str) -> Path:
        """Return the path of a file of a stored result."""
        return self.store.task(self.task_id(way)) / name


def flip_byte(path: Path, place: int) -> None:
    """Change one byte of a file."""
    content = bytearray(path.read_bytes())
    content[place] ^= 0xFF
    path.write_bytes(content)
