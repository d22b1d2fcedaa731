"""Drill: the disk takes only a few kilobytes per file, like an exhausted quota."""

from __future__ import annotations

import json
import resource
from typing import TYPE_CHECKING

from trading_runtime.errors import Kind, TradingRuntimeError

if TYPE_CHECKING:
    from trading_runtime.operations.drills.running import Steps
    from trading_runtime.operations.drills.scratch import DrillFolder

SABOTAGE = """
import contextlib
import trading_runtime.storage.files as files

@contextlib.contextmanager
def deaf(place):
    with contextlib.suppress(OSError):
        yield

files.storage_errors = deaf
"""
"""Disk errors are ignored."""
_QUOTA = 9_000
"""Bytes per file: files before the first result have fewer, the run's tables have more."""


def drill(scratch: DrillFolder, steps: Steps) -> None:
    """Let writes fail in the middle of a file, then free space and continue."""
    scratch.make_dataset()
    scratch.write_experiment(config={}, parameters={"every": [1]})
    full = scratch.command("run", "drill.json", "--run-id", "drill", before=_limit)
    result = scratch.result("drill")
    failed = {} if result is None else result.failed_by_kind
    says = full.returncode == Kind.STORAGE.exit_code or set(failed) == {str(Kind.STORAGE)}
    steps.expect(
        "the run says that storage failed",
        full.returncode != 0 and says,
        f"exit code {full.returncode}, failed {failed or 'nothing'}",
    )
    halves = [
        path.name[:12] for path in scratch.stored_tasks() if not _is_whole(scratch, path.name)
    ]
    steps.expect("no half of a result is left", not halves, f"{len(halves)} halves")
    left = list((scratch.results / "tasks").glob(".new-*"))
    steps.expect("nothing unfinished is left", not left, f"{len(left)} folders")
    again = scratch.command("run", "drill.json", "--run-id", "drill", "--json")
    summary = json.loads(again.stdout) if again.stdout else {}
    steps.expect("with room it resumes", again.returncode == 0, f"exit code {again.returncode}")
    scratch.write_experiment(
        "undisturbed.json", config={}, parameters={"every": [1]}, results="undisturbed"
    )
    alone = scratch.command("run", "undisturbed.json", "--run-id", "drill", "--json", must=0)
    digest = json.loads(alone.stdout)["run_digest"]
    steps.expect(
        "results are those of a run left alone",
        summary.get("run_digest") == digest,
        f"run digest {str(summary.get('run_digest'))[:12]}, alone {digest[:12]}",
    )


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (_QUOTA, _QUOTA))


def _is_whole(scratch: DrillFolder, task_id: str) -> bool:
    try:
        scratch.store.read_task(task_id)
    except TradingRuntimeError:
        return False
    return True
