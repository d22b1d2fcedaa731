"""Reading the results of a large run on all processors: some of its points in each process."""

from __future__ import annotations

import gc
import itertools
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trading_runtime.results.files import read_json
from trading_runtime.results.scratch import Scratch
from trading_runtime.results.store import RunFiles, Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trading_runtime.results.task_reader import Part

_FEWEST_TASKS = 5_000
"""Below, processes take longer to start than to read."""
_POINTS_AT_ONCE = 20
_PACKAGE_PARENT = Path(__file__).resolve().parent.parent.parent


def read_in_processes(
    plan: Mapping[str, Any], store: Store, files: RunFiles
) -> Iterator[Part] | None:
    """Yield what reading all points gives, in their order; ``None`` when it is not worth while.

    What a process could not read, for whatever reason, is read here.
    """
    count = min(os.cpu_count() or 1, len(plan["points"]))
    if (
        count < 2  # noqa: PLR2004 - one process is no gain
        or len(plan["tasks"]) < _FEWEST_TASKS
        or type(store) is not Store
        or not files.plan.is_file()
    ):
        return None
    return _parts(plan, store, files, count)


def _parts(plan: Mapping[str, Any], store: Store, files: RunFiles, count: int) -> Iterator[Part]:
    from trading_runtime.results.reduction import read_points
    from trading_runtime.results.task_reader import TaskReader

    bounds = [len(plan["points"]) * number // count for number in range(count + 1)]
    search = os.pathsep.join([str(_PACKAGE_PARENT), os.environ.get("PYTHONPATH", "")])
    with Scratch() as scratch:
        started = []
        for first, last in itertools.pairwise(bounds):
            target = scratch.path / str(first)
            process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", __name__),
                    *(files.plan.absolute(), store.root.absolute(), files.folder.absolute()),
                    *(str(first), str(last), target),
                ],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # One thread in each: there are as many processes as processors.
                env=os.environ | {"PYTHONPATH": search, "POLARS_MAX_THREADS": "1"},
            )
            started.append((first, last, target, process))
        try:
            for first, last, target, process in started:
                if process.wait() == 0:
                    with target.open("rb") as file:
                        for _ in range(first, last, _POINTS_AT_ONCE):
                            yield pickle.load(file)  # noqa: S301 - written by our own process
                else:
                    yield read_points(plan, TaskReader(plan, store, files), first, last)
        finally:
            for *_, process in started:
                process.kill()
                process.wait()


def main() -> None:
    """Read the points that the command line names, and write the parts to the file it names."""
    from trading_runtime.results.reduction import read_points
    from trading_runtime.results.task_reader import TaskReader

    gc.disable()
    plan_file, results, run, first, last, target = sys.argv[1:]
    plan = read_json(Path(plan_file))
    reader = TaskReader(plan, Store(Path(results)), RunFiles(Path(run)))
    with Path(target).open("wb") as file:
        for start in range(int(first), int(last), _POINTS_AT_ONCE):
            end = min(start + _POINTS_AT_ONCE, int(last))
            pickle.dump(read_points(plan, reader, start, end), file)


if __name__ == "__main__":
    main()
