"""What a workflow of many small pods costs beside one that does nothing in as many pods."""

from __future__ import annotations

import copy
import datetime as dt
import json
import sys
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from tests.e2e.site import CPU, MEMORY_MIB, ROOT

if TYPE_CHECKING:
    import pytest

    from tests.e2e.site import Site
    from tests.e2e.workflows import Workflow

PODS = 200
RATIO = 1.1
MOST_BYTES = 256 * 1024
SECONDS = 1_200


def bare(image: str) -> dict[str, Any]:
    """Return a workflow that imports the engine in so many pods, with the same settings."""
    template = YAML(typ="safe").load(ROOT / "argo" / "workflowtemplate-backtest.yaml")
    spec: dict[str, Any] = template["spec"]
    [batch] = [item for item in spec["templates"] if item["name"] == "batch"]
    importing = copy.deepcopy(batch) | {"name": "import"}
    importing["container"]["command"] = ["python", "-c"]
    importing["container"]["args"] = ["import nautilus_trader.backtest"]
    # What the expressions of the template say with the parameters of these tests.
    memory = f"{MEMORY_MIB}Mi"
    resources = {"requests": {"cpu": CPU, "memory": memory}, "limits": {"memory": memory}}
    patched = {"containers": [{"name": "main", "resources": resources}]}
    importing["podSpecPatch"] = json.dumps(patched)
    importing["container"]["image"] = image
    importing["activeDeadlineSeconds"] = 600
    step = {"name": "import", "template": "import", "withSequence": {"count": str(PODS)}}
    step["arguments"] = {"parameters": [{"name": "index", "value": "{{item}}"}]}
    workflow_patch = json.loads(spec["podSpecPatch"].split(',"nodeSelector"')[0] + "}")
    kept = {
        key: spec[key]
        for key in (
            *("automountServiceAccountToken", "executor", "imagePullSecrets", "parallelism"),
            *("podGC", "podMetadata", "securityContext", "serviceAccountName", "volumes"),
        )
    }
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "bare-"},
        "spec": {
            **kept,
            "podSpecPatch": json.dumps(workflow_patch),
            "entrypoint": "run",
            "templates": [{"name": "run", "steps": [[step]]}, importing],
        },
    }


def seconds(workflow: Workflow) -> float:
    """Return how long a workflow took, as Argo has it."""
    status = workflow.content["status"]
    started, finished = (
        dt.datetime.fromisoformat(status[key]) for key in ("startedAt", "finishedAt")
    )
    return (finished - started).total_seconds()


def test_two_hundred_batches_take_little_longer_than_two_hundred_pods(
    site: Site, image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fast = {"start": 2, "stop": 68, "step": 1}
    many = site.experiment("many", parameters={"fast": fast, "slow": [70]})
    created = site.backtests.kubectl(
        "create", "--filename", "-", "--output", "name", given=json.dumps(bare(image))
    )
    alone = site.backtests.succeeded(created.strip().rpartition("/")[2], SECONDS)
    ours = site.backtests.succeeded(
        many.submit(batch_seconds="0.1", most_batches=str(PODS)), SECONDS
    )
    assert len(alone.pods("import")) == len(ours.pods("batch")) == PODS
    assert json.loads(ours.outputs["counts"])["ok"] == 201
    size = len(
        site.backtests.kubectl(
            "get",
            "--raw",
            f"/apis/argoproj.io/v1alpha1/namespaces/{site.backtests.name}/workflows/"
            + ours.content["metadata"]["name"],
        )
    )
    ratio = seconds(ours) / seconds(alone)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{seconds(ours):.0f} s, bare {seconds(alone):.0f} s: {ratio:.2f}; {size:,} bytes\n"
        )
    assert size < MOST_BYTES
    assert ratio <= RATIO
