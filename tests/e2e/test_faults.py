"""What a cluster does to pods changes nothing in what comes out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.e2e.workflows import run

if TYPE_CHECKING:
    from tests.e2e.servers import StorageProxy
    from tests.e2e.settings import Settings
    from tests.e2e.site import Site
    from tests.e2e.workflows import Workflow


def exit_codes(workflow: Workflow) -> set[str]:
    """Return the exit codes of the pods that computed in the first round, so far."""
    return {node.get("outputs", {}).get("exitCode", "") for node in workflow.pods("batch")}


# No schedule fires while the controller is away.
@pytest.mark.xdist_group("controller")
def test_a_lost_pod_and_a_restarted_controller(site: Site, settings: Settings, image: str) -> None:
    experiment = site.awkward("lost", parameters={"every": [20, 30], "pause_seconds": [12]})
    name = experiment.send("--image", image, "--batch-seconds", "1")["workflow"]
    victim = site.backtests.delete_running(name, "batch")
    if settings.restart_controller:
        run(*settings.restart_controller)
    found = site.backtests.succeeded(name)
    lost = [node for node in found.pods("batch") if node["phase"] != "Succeeded"]
    # A controller that starts anew may make the pod again, and then counts none as lost.
    assert {found.pod_of(node) for node in lost} <= {victim}
    assert found.outputs["run_digest"] == experiment.run_on_laptop()["run_digest"]


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
