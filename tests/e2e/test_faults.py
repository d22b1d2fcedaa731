"""What a cluster does to pods changes nothing in what comes out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.e2e.servers import StorageProxy
    from tests.e2e.site import Site
    from tests.e2e.workflows import Workflow


def exit_codes(workflow: Workflow) -> set[str]:
    """Return the exit codes of the pods that computed in the first round, so far."""
    return {node.get("outputs", {}).get("exitCode", "") for node in workflow.pods("batch")}


def test_a_task_out_of_memory_once_and_storage_that_is_gone_for_a_while(
    site: Site, storage_proxy: StorageProxy, image: str
) -> None:
    # 600 MiB are too few for what the second point takes, 1,200 are enough. It takes it before it
    # pauses, so that the others are at work when storage goes.
    grid = {"every": [20], "megabytes": [0, 450], "pause_seconds": [20]}
    experiment = site.awkward("large", parameters=grid)
    name = experiment.send("--image", image, "--batch-seconds", "1")["workflow"]
    site.backtests.until(name, lambda now: "137" in exit_codes(now))
    storage_proxy.cut(20)
    found = site.backtests.succeeded(name)
    assert found.pods("again")
    assert json.loads(found.outputs["counts"])["failed"] == 0
    assert found.outputs["run_digest"] == experiment.run_on_laptop()["run_digest"]
