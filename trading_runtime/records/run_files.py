"""Every path of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

RUN_AGAIN = "remove the folder of the run and run the experiment again: stored results are kept"
"""What to do when a record of a run is damaged."""


class RunFiles:
    """The paths of one run's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.experiment = folder / "experiment.json"
        self.plan = folder / "plan.json"
        self.results = folder / "results.parquet"
        self.points = folder / "points.parquet"
        self.result = folder / "result.json"
        self.metadata = folder / "metadata.json"
        self.metrics = folder / "metrics.json"
        self.metrics_text = folder / "metrics.prom"
        self.journals = folder / "journal"
        self.journal = folder / "journal.jsonl"
        self.failures = folder / "failures"
        self.report = folder / "report.md"
        self.report_page = folder / "report" / "index.html"
        self.explore_page = folder / "report" / "explore.html"
        """All points, to sort and filter; of runs with more than the report shows."""
        self.lock = folder / "lock"
        self.stop = folder / "stop"
        self.alive = folder / "alive"
        """Kept new by the pods of a run."""
        self.passing = frozenset({self.lock, self.stop, self.alive})
        """What a run has only while it is computed."""
        self.missing = folder / "missing.json"
        self.trials = folder / "trials.json"
        self.deployment = folder / "deployment.json"
        self.session = folder / "session"
        """A session's progress so far: its tables and its state."""
        self.logs = folder / "logs"
        """What is kept of the output of the run's process or pods; no part of its end."""
        self.owner: object = None
        """Keeps a temporary copy of the folder alive."""

    def is_unsealed(self, path: Path) -> bool:
        """Return whether no seal covers a path: a log, or what a run has only while it works."""
        return path in self.passing or self.logs in path.parents

    def failure(self, task_id: str) -> Path:
        """Return the path of a task's typed failure."""
        return self.failures / f"{task_id}.json"


def generation_id(run_id: str, number: int) -> str:
    """Return the id of the run that computes a generation of the search of a run."""
    return f"{run_id}-g{number:02}"
