"""Patches of pods: values that Argo fills in, and what its own containers lack."""

from __future__ import annotations

import json
from typing import Any

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
