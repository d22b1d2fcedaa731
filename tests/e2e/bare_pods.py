"""Pods that are set up as those of a batch are, and do nothing that a batch does."""

from __future__ import annotations

import copy
import json
from typing import Any

from ruamel.yaml import YAML

from tests.e2e.site import CPU, MEMORY_MIB, ROOT


def bare_pods(image: str, count: int, code: str) -> dict[str, Any]:
    """Return a workflow of so many pods that run a line of Python, with a batch's settings."""
    template = YAML(typ="safe").load(ROOT / "argo" / "workflowtemplate-backtest.yaml")
    spec: dict[str, Any] = template["spec"]
    [batch] = [item for item in spec["templates"] if item["name"] == "batch"]
    alone = copy.deepcopy(batch) | {"name": "bare"}
    # By it Argo counts a batch's tasks, as the plan has listed them.
    del alone["metadata"]
    alone["container"]["command"] = ["python", "-c"]
    alone["container"]["args"] = [code]
    # What the expressions of the template say with the parameters of these tests.
    memory = f"{MEMORY_MIB}Mi"
    resources = {"requests": {"cpu": CPU, "memory": memory}, "limits": {"memory": memory}}
    patched = {"containers": [{"name": "main", "resources": resources}]}
    alone["podSpecPatch"] = json.dumps(patched)
    alone["container"]["image"] = image
    alone["activeDeadlineSeconds"] = 600
    step = {"name": "bare", "template": "bare", "withSequence": {"count": str(count)}}
    kept = {
        key: spec[key]
        for key in (
            *("automountServiceAccountToken", "executor", "imagePullSecrets", "parallelism"),
            *("podGC", "podMetadata", "podSpecPatch", "securityContext", "serviceAccountName"),
            "volumes",
        )
    }
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "bare-"},
        "spec": {
            **kept,
            "entrypoint": "run",
            "templates": [{"name": "run", "steps": [[step]]}, alone],
        },
    }
