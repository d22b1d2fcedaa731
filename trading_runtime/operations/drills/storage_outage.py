"""Drill: every connection to S3 is cut for some seconds in the middle of a run."""

from __future__ import annotations

import json
import os
import signal
import time
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from trading_runtime.errors import UsageError
from trading_runtime.operations.drills.cutting_proxy import CuttingProxy
from trading_runtime.operations.drills.running import waited_for
from trading_runtime.operations.drills.scratch import PATIENCE
from trading_runtime.storage.s3 import S3Folder, is_s3

if TYPE_CHECKING:
    from trading_runtime.operations.drills.running import Steps
    from trading_runtime.operations.drills.scratch import DrillFolder

SABOTAGE = """
from trading_runtime.storage import s3
s3._ATTEMPTS = 1
"""
"""No request is retried."""
_OUTAGE_SECONDS = 3.0


def drill(scratch: DrillFolder, steps: Steps) -> None:
    """Cut S3 off while tasks are computed; raises ``UsageError`` when there is no S3 to cut off."""
    endpoint = urlsplit(os.environ.get("AWS_ENDPOINT_URL", ""))
    if not is_s3(scratch.place) or endpoint.scheme != "http" or not endpoint.hostname:
        raise UsageError(
            "storage-outage: needs a place in S3 behind plain HTTP, whose connections it can cut: "
            "set AWS_ENDPOINT_URL to http://… and give --results s3://bucket/prefix"
        )
    place = f"{scratch.place}/drills/scratch-{uuid.uuid4().hex[:12]}"
    scratch.make_dataset()
    settings: dict[str, Any] = {"config": {"pause": 0.01}, "parameters": {"every": [1, 2]}}
    scratch.write_experiment(**settings, results=place)
    scratch.write_experiment("undisturbed.json", **settings)
    alone = scratch.command("run", "undisturbed.json", "--run-id", "drill", "--json", must=0)
    objects = S3Folder(place)
    try:
        with CuttingProxy(endpoint.hostname, endpoint.port or 80) as proxy:
            _run(scratch, steps, proxy, objects, json.loads(alone.stdout)["run_digest"])
    finally:
        for name in objects.sizes():
            objects.remove(name)


def _run(
    scratch: DrillFolder, steps: Steps, proxy: CuttingProxy, objects: S3Folder, digest: str
) -> None:
    variables = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}"}
    process = scratch.start("run", "drill.json", "--run-id", "drill", "--json", variables=variables)
    try:
        begun = waited_for(lambda: bool(objects.sizes("tasks/")), PATIENCE)
        proxy.cut()
        time.sleep(_OUTAGE_SECONDS)
        proxy.restore()
        steps.expect("tasks are stored before it", begun, f"{len(objects.sizes('tasks/'))} objects")
        waited_for(lambda: process.poll() is not None, PATIENCE)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        output, errors = process.communicate()
    steps.expect("requests were refused", proxy.refused > 0, f"{proxy.refused} were")
    last = (errors.strip().splitlines() or [""])[-1]
    steps.expect(
        "the run resumes on its own",
        process.returncode == 0,
        f"exit code {process.returncode}" + (f": {last}" if process.returncode else ""),
    )
    found = json.loads(output)["run_digest"] if output else None
    steps.expect(
        "results are those of a run left alone",
        found == digest,
        f"run digest {str(found)[:12]}, alone {digest[:12]}",
    )
