"""The ``argo`` command: submits a workflow, and reports its progress."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trading_runtime.argo.cluster_command import ClusterCommand
from trading_runtime.errors import Kind, TransientError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

TEMPLATE = "workflowtemplate/backtest"
_WATCH_SECONDS = 3.0
_MOST_FAILED_LOOKS = 20
ENDED = {"Succeeded", "Failed", "Error"}
"""Phases in which a workflow has ended."""


@dataclass(frozen=True)
class Sight:
    """The state of a workflow at one moment."""

    phase: str
    progress: str
    """Tasks done and to do, ``3/12``."""
    message: str
    exit_code: int | None
    """The exit code of the step that decided how the workflow ended."""

    @property
    def is_ended(self) -> bool:
        """Whether the workflow has ended."""
        return self.phase in ENDED


class ArgoCommand(ClusterCommand):
    """Runs ``argo``, found on the PATH or named by the setting ``ARGO``, for one namespace."""

    name = "argo"
    seconds = 60

    def __init__(self, namespace: str | None) -> None:
        """Find the command; raises ``UsageError`` when there is none."""
        super().__init__(
            [os.environ.get("ARGO") or "argo"],
            "install the argo command of Argo Workflows, or set ARGO to its path",
            namespace,
        )

    def submit(self, parameters: Mapping[str, str]) -> str:
        """Submit the template ``backtest`` and return the workflow's name.

        Raises ``UsageError`` with the output of ``argo`` when it fails.
        """
        given = [part for item in parameters.items() for part in ("-p", "=".join(item))]
        output = self.run("submit", "--from", TEMPLATE, *given, "--output", "name")
        return output.strip().rpartition("/")[2]

    def look(self, workflow: str) -> Sight:
        """Return the current state of a workflow; raises ``UsageError`` when it cannot be read."""
        return sight_of(json.loads(self.run("get", workflow, "--output", "json")))

    def cron(self, *words: str) -> str:
        """Run a command on CronWorkflows; return what ``argo`` says."""
        return self.run("cron", *words)

    def watch(self, workflow: str, show: Callable[[Sight], None]) -> Sight:
        """Follow a workflow to its end; ``show`` is called at every change.

        Raises ``TransientError`` when the cluster cannot be reached for a minute.
        """
        shown, failed = None, 0
        while True:
            try:
                sight = self.look(workflow)
                failed = 0
            except UsageError as error:
                failed += 1
                if failed == _MOST_FAILED_LOOKS:
                    raise TransientError(
                        f"workflow {workflow} continues, but cannot be seen: {error}"
                    ) from error
                time.sleep(_WATCH_SECONDS)
                continue
            if sight != shown:
                show(sight)
                shown = sight
            if sight.is_ended:
                return sight
            time.sleep(_WATCH_SECONDS)


def sight_of(workflow: Mapping[str, Any]) -> Sight:
    """Return the state of the workflow that a Kubernetes document describes."""
    status = workflow.get("status") or {}
    phase = status.get("phase") or "Pending"
    progress, message = status.get("progress") or "", status.get("message") or ""
    if phase not in ENDED:
        return Sight(phase, progress, message, None)
    if phase == "Succeeded":
        return Sight(phase, progress, message, Kind.OK.exit_code)
    pods = [node for node in (status.get("nodes") or {}).values() if node.get("type") == "Pod"]
    code, said = _decisive(pods)
    return Sight(phase, progress, said or message, code)


def _decisive(pods: Sequence[Mapping[str, Any]]) -> tuple[int, str]:
    """Return exit code and message of the pod that decided how a workflow failed.

    That is the last pod of the plan or of a search's asking: where it failed, the summary has
    nothing to judge. Otherwise it is the summary's. The workflow's own message only says that a
    child failed.
    """
    for name in ("plan", "ask", "summary"):
        ended = [node for node in pods if node.get("templateName") == name]
        last = max(ended, key=lambda node: str(node.get("finishedAt")), default=None)
        if last is not None:
            code = int((last.get("outputs") or {}).get("exitCode") or 0)
            if code or last.get("phase") in {"Failed", "Error"}:
                return code or Kind.INCOMPLETE.exit_code, str(last.get("message") or "")
    return Kind.INCOMPLETE.exit_code, ""
