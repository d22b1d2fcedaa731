"""Results folders written by hand: what a run leaves, with whatever numbers a test wants."""

from __future__ import annotations

import hashlib
import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from prometheus_client.parser import text_string_to_metric_families

from tests.run_metadata import made_up_metadata
from trading_runtime.metrics.collector import FolderCollector
from trading_runtime.metrics.exposition import text_of
from trading_runtime.records.plan import PlannedObjective
from trading_runtime.records.result import RunResult, TaskCounts
from trading_runtime.results.store import open_store

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NEW_YEAR = 1_704_067_200
"""2024-01-01T00:00:00Z."""

NONE: Mapping[str, int] = MappingProxyType({})

type Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


class SampleRun:
    """One run: metadata, experiment, and a journal of one chain."""

    def __init__(self, results: Path, run_id: str, status: str = "running", **facts: Any) -> None:
        self.folder = results / "runs" / run_id
        self.chain = self.folder / "journal" / "local-1" / "000001.jsonl"
        self.chain.parent.mkdir(parents=True)
        self.metadata = made_up_metadata(
            run_id=run_id,
            ended=None if status == "running" else "2024-01-01T01:00:00.250000Z",
            status=status,
        ).to_document()
        self.metadata |= facts
        self.write("metadata.json", self.metadata)
        self.write("experiment.json", {"limits": {"task_seconds": 600}})
        self._lines = 0
        self._previous = hashlib.sha256(b"").hexdigest()

    def write(self, name: str, content: object) -> None:
        """Write a JSON file of the run."""
        (self.folder / name).write_text(json.dumps(content))

    def summarise(self, ok: int, missing: int = 0, failed: Mapping[str, int] = NONE) -> None:
        """Write the result of as many tasks; ``failed`` by kind."""
        counts = TaskCounts(
            planned=ok + missing + sum(failed.values()),
            ok=ok,
            failed=sum(failed.values()),
            missing=missing,
        )
        result = RunResult(
            run_digest="0" * 64,
            complete=counts.ok == counts.planned,
            counts=counts,
            failed_by_kind=failed,
            objective=PlannedObjective("sharpe", "maximize"),
            best=None,
            incidents={},
            warnings=(),
        )
        (self.folder / "result.json").write_text(result.to_json())

    def say(self, second: float, event: str, **payload: Any) -> None:
        """Append a line, so many seconds after the new year."""
        whole, millionths = divmod(round(second * 1_000_000), 1_000_000)
        moment = f"2024-01-01T{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"
        entry = {
            "sequence": self._lines,
            # No two lines of a chain have one time.
            "time": f"{moment}.{millionths:06d}{self._lines:03d}Z",
            "writer": "local-1",
            "event": event,
            "payload": payload,
            "previous": self._previous,
        }
        line = json.dumps(entry).encode()
        with self.chain.open("ab") as file:
            file.write(line + b"\n")
        self._previous = hashlib.sha256(line).hexdigest()
        self._lines += 1
        end = {"lines": self._lines, "last": self._previous}
        self.write("metadata.json", self.metadata | {"journal": {"local-1": end}})


def collected(results: Path, now: float = NEW_YEAR + 100, most_runs: int = 50) -> Values:
    """Return every number of a folder, as a reader of the text gets it."""
    collector = FolderCollector(open_store(results), most_runs, lambda: now)
    return values_of(text_of(collector).decode())


def values_of(text: str) -> Values:
    """Return the numbers of a text by name, without prefix, and labels."""
    return {
        (sample.name.removeprefix("trading_runtime_"), frozenset(sample.labels.items())): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(values: Values, name: str, **labels: str) -> float | None:
    """Return one number, ``None`` when it is not there."""
    return values.get((name, frozenset(labels.items())))
