"""Workflows of a test: submitted as a user does, awaited, and looked at."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_LOOK_SECONDS = 1.5
ENDED = {"Succeeded", "Failed", "Error"}


def run(*command: str, given: str | None = None, timeout: float = 120) -> str:
    """Run a command and return its standard output; what it said is in the error when it fails."""
    ended = subprocess.run(
        command, input=given, capture_output=True, text=True, check=False, timeout=timeout
    )
    if ended.returncode:
        raise AssertionError(f"{' '.join(command)}: exit {ended.returncode}\n{ended.stderr}")
    return ended.stdout


@dataclass(frozen=True)
class Workflow:
    """A workflow at the moment when it was looked at."""

    content: dict[str, Any]

    @property
    def name(self) -> str:
        """Its name: also the id of its run, unless another was asked for."""
        return str(self.content["metadata"]["name"])

    @property
    def shown(self) -> str:
        """What ``argo get`` prints now."""
        namespace = self.content["metadata"]["namespace"]
        return run("argo", "get", "--namespace", namespace, "--no-color", self.name)

    @property
    def messages(self) -> str:
        """The messages of all nodes, one a line."""
        nodes = self.content.get("status", {}).get("nodes", {}).values()
        return "\n".join(node.get("message", "") for node in nodes)

    @property
    def phase(self) -> str:
        """``Succeeded``, ``Failed``, ``Error``, or how far it is."""
        return str(self.content.get("status", {}).get("phase", ""))

    @property
    def message(self) -> str:
        """The workflow's own message."""
        return str(self.content["status"].get("message", ""))

    @property
    def outputs(self) -> dict[str, str]:
        """The workflow's output parameters."""
        found = self.content["status"].get("outputs", {}).get("parameters", [])
        return {item["name"]: item.get("value", "") for item in found}

    def pods(self, template: str) -> list[dict[str, Any]]:
        """Return the nodes of the pods that ran a template, attempts included."""
        nodes = self.content.get("status", {}).get("nodes", {}).values()
        return [
            node for node in nodes if node["type"] == "Pod" and node["templateName"] == template
        ]

    def pod_of(self, node: dict[str, Any]) -> str:
        """Return the name of a node's pod."""
        return f"{self.name}-{node['templateName']}-{node['id'].rpartition('-')[2]}"

    def running(self, template: str) -> list[str]:
        """Return the names of the pods of a template that are at work at this moment."""
        return [self.pod_of(node) for node in self.pods(template) if node["phase"] == "Running"]


class Namespace:
    """A namespace in which templates were deployed."""

    def __init__(self, name: str) -> None:
        self.name = name

    def kubectl(self, *words: str, given: str | None = None) -> str:
        """Run kubectl there."""
        return run("kubectl", "--namespace", self.name, *words, given=given)

    def submit(self, template: str = "backtest", **parameters: str) -> str:
        """Submit a template, as the documentation says; return the workflow's name."""
        given = [
            word
            for name, value in parameters.items()
            for word in ("-p", f"{name.replace('_', '-')}={value}")
        ]
        told = run(
            *("argo", "submit", "--namespace", self.name),
            *("--from", f"workflowtemplate/{template}", *given, "--output", "name"),
        )
        return told.strip().rpartition("/")[2]

    def create(self, workflow: dict[str, Any]) -> str:
        """Submit a workflow that is no template's; return its name."""
        told = self.kubectl("create", "-f", "-", "--output", "name", given=json.dumps(workflow))
        return told.strip().rpartition("/")[2]

    def look(self, name: str) -> Workflow:
        """Return a workflow as it is now."""
        return Workflow(json.loads(self.kubectl("get", "workflow", name, "--output", "json")))

    def artifacts(self) -> set[str]:
        """Return where in S3 the artifacts of the workflows that were here lie."""
        found = set()
        for workflow in json.loads(self.kubectl("get", "workflows", "--output", "json"))["items"]:
            status = workflow.get("status", {})
            repository = status.get("artifactRepositoryRef", {}).get("artifactRepository", {})
            for node in status.get("nodes", {}).values():
                for artifact in node.get("outputs", {}).get("artifacts", []):
                    key = artifact.get("s3", {}).get("key")
                    if key and "bucket" in repository.get("s3", {}):
                        found.add(f"s3://{repository['s3']['bucket']}/{key}")
        return found

    def until(self, name: str, holds: Callable[[Workflow], bool], seconds: float = 600) -> Workflow:
        """Wait until something holds of a workflow; fail when it ends before, or takes too long."""
        end = time.monotonic() + seconds
        while True:
            found = self.look(name)
            if holds(found):
                return found
            assert found.phase not in ENDED, found.shown
            assert time.monotonic() < end, f"not within {seconds:.0f} s:\n{found.shown}"
            time.sleep(_LOOK_SECONDS)

    def delete_running(self, name: str, template: str) -> str:
        """Delete a pod of a template that Argo shows at work; return its name.

        It may have ended since: a test that needs the loss holds the storage meanwhile.
        """
        victim = self.until(name, lambda now: bool(now.running(template))).running(template)[0]
        self.kubectl("delete", "pod", victim, "--grace-period=1")
        return victim

    def ended(self, name: str, seconds: float = 600) -> Workflow:
        """Wait for a workflow's end."""
        return self.until(name, lambda found: found.phase in ENDED, seconds)

    def succeeded(self, name: str, seconds: float = 600) -> Workflow:
        """Wait for a workflow's end, which must be a good one."""
        found = self.ended(name, seconds)
        assert found.phase == "Succeeded", found.shown
        return found
