"""What all pods of a workflow share: their user, what they may do, and where they write."""

from __future__ import annotations

import json
from typing import Any

from hera.workflows import models

USER = 10001


def pod_security(user: int) -> models.PodSecurityContext:
    """Return the user that the containers of a pod run as."""
    return models.PodSecurityContext(
        run_as_non_root=True,
        run_as_user=user,
        run_as_group=user,
        fs_group=user,
        seccomp_profile=models.SeccompProfile(type="RuntimeDefault"),
    )


POD_SECURITY = pod_security(USER)

RESTRICTED: dict[str, Any] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}

CONTAINER_SECURITY = models.SecurityContext(
    allow_privilege_escalation=False,
    capabilities=models.Capabilities(drop=["ALL"]),
    read_only_root_filesystem=True,
)

PROGRESS_SECONDS = "10s"


def patch(value: dict[str, Any], filled: dict[str, str]) -> str:
    """Return a pod patch as JSON, in which Argo fills in each placeholder.

    ``filled`` maps each mark, a text in ``value``, to its replacement, without quotes.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    for mark, inserted in filled.items():
        if text.count(f'"{mark}"') != 1:
            raise ValueError(mark)
        text = text.replace(f'"{mark}"', inserted)
    return text


def executor_patch(security: dict[str, Any]) -> dict[str, Any]:
    """Return what Argo's own containers lack, regardless of the controller's settings."""
    return {
        "initContainers": [{"name": "init", "securityContext": security}],
        "containers": [
            {
                "name": "wait",
                "securityContext": security,
                "env": [{"name": "ARGO_PROGRESS_PATCH_TICK_DURATION", "value": PROGRESS_SECONDS}],
            }
        ],
    }
