"""The ``kubectl`` command: applies deployments to a cluster, and shows and steers them there."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trading_runtime.argo.cluster_command import ClusterCommand
from trading_runtime.argo.cluster_names import COMPONENT, NAME

if TYPE_CHECKING:
    from collections.abc import Sequence

_RESTARTED = 3
"""Restarts after which a pod's crashes are called a loop."""


@dataclass(frozen=True)
class DeploymentSight:
    """A deployment on a cluster at one moment."""

    name: str
    phase: str
    why: str
    restarts: int
    pod: str | None
    image: str


class KubectlCommand(ClusterCommand):
    """Runs ``kubectl``, found on the PATH or named by ``KUBECTL``, for one namespace."""

    name = "kubectl"
    seconds = 120

    def __init__(self, namespace: str | None) -> None:
        """Find the command; raises ``UsageError`` when there is none."""
        super().__init__(
            (os.environ.get("KUBECTL") or "kubectl").split() or ["kubectl"],
            "install kubectl, or set KUBECTL to its path",
            namespace,
        )

    def apply(self, text: str, *, dry_run: bool) -> str:
        """Apply objects, or only ask the server whether it would take them; return what it says."""
        mode = ["--dry-run=server"] if dry_run else []
        return self.run("apply", "--filename", "-", *mode, given=text)

    def deployments(self) -> list[DeploymentSight]:
        """Return all deployments of the namespace, by name."""
        chosen = ("--selector", f"{COMPONENT}=deployment", "--output", "json")
        found = json.loads(self.run("get", "deployments,pods", *chosen))["items"]
        pods = [item for item in found if item["kind"] == "Pod"]
        return sorted(
            (sight_of_deployment(item, pods) for item in found if item["kind"] == "Deployment"),
            key=lambda sight: sight.name,
        )

    def crons(self, name: str) -> list[str]:
        """Return the names of the CronWorkflows that start and stop a deployment."""
        chosen = ("--selector", f"{NAME}={name}", "--output", "name")
        found = self.run("get", "cronworkflows.argoproj.io", *chosen, "--ignore-not-found")
        return [line.rpartition("/")[2] for line in found.split()]

    def schedules(self, component: str) -> list[dict[str, Any]]:
        """Return the CronWorkflows of a component, by name, as Kubernetes has them."""
        chosen = ("--selector", f"{COMPONENT}={component}", "--output", "json")
        items = json.loads(self.run("get", "cronworkflows.argoproj.io", *chosen))["items"]
        return sorted(items, key=lambda item: str(item["metadata"]["name"]))

    def scale(self, name: str, replicas: int) -> None:
        """Run a deployment, or not."""
        self.run("scale", f"deployment/{name}", f"--replicas={replicas}")

    def restart(self, name: str) -> None:
        """End a deployment's pod, and start another."""
        self.run("rollout", "restart", f"deployment/{name}")

    def logs(self, name: str, *, follow: bool) -> int:
        """Print a deployment's log; return the exit code of ``kubectl``."""
        given = ["--follow"] if follow else []
        command = [*self.command, "logs", f"deployment/{name}", "--tail=-1", *given]
        return subprocess.run([*command, *self.namespace], check=False).returncode


def sight_of_deployment(item: dict[str, Any], pods: Sequence[dict[str, Any]]) -> DeploymentSight:
    """Return how a deployment is, from its document and those of all pods."""
    name = item["metadata"]["name"]
    own = [pod for pod in pods if pod["metadata"]["labels"].get(NAME) == name]
    newest = max(own, key=lambda pod: pod["metadata"]["creationTimestamp"], default=None)
    image = item["spec"]["template"]["spec"]["containers"][0]["image"]
    if newest is None:
        phase = "stopped" if not item["spec"].get("replicas", 1) else "starting"
        return DeploymentSight(name, phase, "", 0, None, image)
    pod = newest["metadata"]["name"]
    statuses = newest.get("status", {}).get("containerStatuses") or [{}]
    restarts = int(statuses[0].get("restartCount", 0))
    last = (statuses[0].get("lastState") or {}).get("terminated") or {}
    now = statuses[0].get("state") or {}
    ended = now.get("terminated") or last
    why = ""
    if ended:
        reason = "out of memory" if ended.get("reason") == "OOMKilled" else ended.get("reason", "")
        message = " ".join(str(ended.get("message", "")).split())
        why = f"exit code {ended.get('exitCode')} ({reason})" + (f": {message}" if message else "")
    waiting = (now.get("waiting") or {}).get("reason", "")
    if newest["metadata"].get("deletionTimestamp"):
        phase = "ending"
    elif waiting == "CrashLoopBackOff":
        phase = "crash loop" if restarts >= _RESTARTED else "backing off"
    elif "running" in now:
        phase = "running" if statuses[0].get("ready") else "not ready"
    else:
        phase = "starting"
        conditions = newest.get("status", {}).get("conditions") or []
        unscheduled = [c.get("message", "") for c in conditions if c.get("status") == "False"]
        why = why or (now.get("waiting") or {}).get("message", "") or waiting
        why = why or next(iter(unscheduled), "")
    return DeploymentSight(name, phase, why, restarts, pod, image)
