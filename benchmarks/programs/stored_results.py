"""Store a small result for every task of an experiment, without computing each of them.

    python -m benchmarks.programs.stored_results EXPERIMENT

Only the first point of each partition is run; the others get copies of its files under their own
ids, with their own config and a different net profit.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import TYPE_CHECKING

from trading_runtime.canonical import canonical_json, digest
from trading_runtime.execution.preparation import prepare_run
from trading_runtime.execution.task import TaskRunner

if TYPE_CHECKING:
    from trading_runtime.execution.preparation import PreparedRun


class Copier:
    """Makes the results of other points from that of the first one, by partition."""

    def __init__(self, prepared: PreparedRun) -> None:
        self._plan = prepared.plan
        self._store = prepared.store
        self._runner = TaskRunner(
            self._plan, prepared.loaded.dataset_place, prepared.store, prepared.code
        )
        self._model: tuple[str, dict[str, bytes], str] = ("", {}, "")

    def store(self, index: int) -> None:
        """Store the result of task ``index``; points of a partition come one after another."""
        task = self._plan.tasks[index]
        if task.point == 0:
            self._runner.run(index)
            folder = self._store.task(task.task_id)
            files = {path.name: path.read_bytes() for path in folder.iterdir()}
            self._model = (task.task_id, files, self._config(0))
            return
        model_id, files, model_config = self._model
        summary = json.loads(files["summary.json"]) | {
            "task_id": task.task_id,
            "net_profit": str(task.point),
        }
        content = (json.dumps(summary, indent=1) + "\n").encode()
        manifest = json.loads(
            files["manifest.json"]
            .decode()
            .replace(model_id, task.task_id)
            .replace(model_config, self._config(task.point))
        )
        manifest["files"]["summary.json"] |= {
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        if manifest.pop("digest", None) is not None:
            manifest["digest"] = digest(manifest)
        folder = self._store.task(task.task_id)
        folder.mkdir(parents=True)
        for name, copied in files.items():
            (folder / name).write_bytes(copied)
        (folder / "summary.json").write_bytes(content)
        (folder / "manifest.json").write_bytes(canonical_json(manifest) + b"\n")

    def close(self) -> None:
        """Remove what the runner made."""
        self._runner.close()

    def _config(self, point: int) -> str:
        values = self._plan.config(point)
        return canonical_json(values).decode()


def main() -> None:
    """Store all results of the experiment named on the command line."""
    prepared = prepare_run(sys.argv[1])
    copier = Copier(prepared)
    for index in range(len(prepared.plan.tasks)):
        copier.store(index)
    copier.close()


if __name__ == "__main__":
    main()
