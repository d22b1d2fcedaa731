"""Drill: a run and its worker are killed by ``kill -9`` in the middle, and started again."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

from trading_runtime.operations.drills.running import waited_for

if TYPE_CHECKING:
    from trading_runtime.operations.drills.running import Steps
    from trading_runtime.operations.drills.scratch import DrillFolder

SABOTAGE = """
import trading_runtime.execution.preparation as preparation
sound = preparation.make_plan

def make_plan(*given, **named):
    return sound(*given, **named | {"is_cached": lambda task_id: False})

preparation.make_plan = make_plan
"""
"""Stored results are planned again."""
_PATIENCE = 60.0
_FINISHED_FIRST = 2


def drill(scratch: DrillFolder, steps: Steps) -> None:
    """Kill everything at once, start the same run again, and compare with an undisturbed run."""
    scratch.make_dataset()
    parameters = {"every": [1, 2]}
    config = {"pause": 0.005}
    scratch.write_experiment(config=config, parameters=parameters)
    scratch.write_experiment(
        "undisturbed.json", config=config, parameters=parameters, results="undisturbed"
    )
    process = scratch.start("run", "drill.json", "--run-id", "drill")
    finished = waited_for(lambda: len(scratch.stored_tasks()) >= _FINISHED_FIRST, _PATIENCE)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    kept = {path: path.stat().st_ino for path in scratch.stored_tasks()}
    if not steps.expect("tasks were finished", finished, f"{len(kept)} before kill -9"):
        return
    whole = [path for path in kept if scratch.store.read_task(path.name)]
    steps.expect("each is whole", len(whole) == len(kept), f"{len(whole)} of {len(kept)}")
    again = scratch.command("run", "drill.json", "--run-id", "drill", "--json")
    steps.expect("it resumes", again.returncode == 0, f"exit code {again.returncode}")
    summary = json.loads(again.stdout) if again.returncode == 0 else {}
    planned = len(parameters["every"]) * 2
    computed = summary.get("computed")
    steps.expect(
        "only the rest is computed",
        computed == planned - len(kept),
        f"{computed} of {planned}, {len(kept)} were stored",
    )
    same = all(path.is_dir() and path.stat().st_ino == inode for path, inode in kept.items())
    steps.expect("what was stored is untouched", same, f"{len(kept)} results")
    alone = scratch.command("run", "undisturbed.json", "--run-id", "drill", "--json", must=0)
    digest = json.loads(alone.stdout)["run_digest"]
    steps.expect(
        "results are those of a run left alone",
        summary.get("run_digest") == digest,
        f"run digest {str(summary.get('run_digest'))[:12]}, alone {digest[:12]}",
    )
