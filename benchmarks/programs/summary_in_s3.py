"""Summarise in S3: results and packs as pods leave them, behind a server in this process.

    python -m benchmarks.programs.summary_in_s3 EXPERIMENT

The experiment's results are stored on disk already (``stored_results``). Prints the seconds of the
step ``summary``, which is a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from moto.server import ThreadedMotoServer
from trading_runtime.argo.plan_step import PodSettings, run_plan_step
from trading_runtime.records.plan import read_plan
from trading_runtime.results.store import open_store
from trading_runtime.storage.s3 import S3Folder

from benchmarks.bench import ROOT

_RUN = "bench"
_CONNECTIONS = 16


def main() -> None:
    """Store the results in S3, then summarise and measure."""
    experiment = Path(sys.argv[1])
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    endpoint = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    os.environ |= dict.fromkeys(names, "bench") | {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    request = urllib.request.Request(f"{endpoint}/bench", method="PUT")  # noqa: S310 - this machine
    urllib.request.urlopen(request).close()  # noqa: S310
    results = _stored(experiment, "s3://bench/results")
    started = time.perf_counter()
    subprocess.run(
        [
            *(sys.executable, ROOT / "trading_runtime" / "local" / "backtest.py"),
            *("--step", "summary", "--results", results, "--run-id", _RUN),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    sys.stdout.write(json.dumps({"seconds": time.perf_counter() - started}) + "\n")
    server.stop()


def _stored(experiment: Path, results: str) -> str:
    """Plan the run in S3, and store there what its pods would."""
    remote = experiment.with_name("remote.json")
    remote.write_text(json.dumps(json.loads(experiment.read_text()) | {"results": results}))
    run_plan_step(str(remote), _RUN, PodSettings(batch_seconds=1))
    folder, tasks = S3Folder(results), experiment.parent / "results"

    def upload(path: Path) -> None:
        folder.write(path.relative_to(tasks).as_posix(), path.read_bytes())

    with ThreadPoolExecutor(_CONNECTIONS) as threads:
        for _ in threads.map(upload, tasks.glob("tasks/*/*/*")):
            pass
    store = open_store(results)
    plan = read_plan(store.run(_RUN).plan)
    for first, last in plan.batches:
        store.pack(plan.digest, plan.task_ids[first:last])
    return results


if __name__ == "__main__":
    main()
