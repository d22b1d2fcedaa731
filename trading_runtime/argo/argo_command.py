"""The ``argo`` command: submits a workflow, and reports its progress."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trading_runtime.errors import Kind, TransientError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

TEMPLATE = "workflowtemplate/backtest"
_WATCH_SECONDS = 3.0
_MOST_FAILED_LOOKS = 20
_COMMAND_SECONDS = 60
_ENDED = {"Succeeded", "Failed", "Error"}
_HINTS = {
    "workflowtemplates.argoproj.io": "apply argo/workflowtemplate-backtest.yaml to the namespace",
    "connection refused": "is the cluster up, and does KUBECONFIG name it?",
    "no such host": "is the cluster up, and does KUBECONFIG name it?",
    "invalid configuration": "set KUBECONFIG to a cluster's configuration",
    "couldn't get current server": "set KUBECONFIG to a cluster's configuration",
    "i/o timeout": "is the cluster up, and does KUBECONFIG name it?",
    "forbidden": "your account may not do this there; ask for 'create' on workflows",
    "Unauthorized": "your credentials for the cluster are not accepted",
}


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
        return self.phase in _ENDED


class ArgoCommand:
    """Runs ``argo``, found on the PATH or named by the setting ``ARGO``, for one namespace."""

    def __init__(self, namespace: str | None) -> None:
        """Find the command; raises ``UsageError`` when there is none."""
        named = os.environ.get("ARGO") or "argo"
        found = shutil.which(named)
        if found is None:
            raise UsageError(
                f"{named!r}: there is no such command; install the argo command of Argo Workflows, "
                "or set ARGO to its path"
            )
        self._command = found
        self._namespace = ["--namespace", namespace] if namespace else []

    def submit(self, parameters: Mapping[str, str]) -> str:
        """Submit the template ``backtest`` and return the workflow's name.

        Raises ``UsageError`` with the output of ``argo`` when it fails.
        """
        given = [part for item in parameters.items() for part in ("-p", "=".join(item))]
        output = self._run("submit", "--from", TEMPLATE, *given, "--output", "name")
        return output.strip().rpartition("/")[2]

    def look(self, workflow: str) -> Sight:
        """Return the current state of a workflow; raises ``UsageError`` when it cannot be read."""
        return sight_of(json.loads(self._run("get", workflow, "--output", "json")))

    def cron(self, *words: str) -> str:
        """Run a command on CronWorkflows; return what ``argo`` says."""
        return self._run("cron", *words)

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

    def _run(self, *arguments: str) -> str:
        try:
            ended = subprocess.run(
                [self._command, *arguments, *self._namespace],
                capture_output=True,
                text=True,
                check=False,
                timeout=_COMMAND_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise UsageError(
                f"argo {arguments[0]}: no answer in {_COMMAND_SECONDS} s; is the cluster up, and "
                "does KUBECONFIG name it?"
            ) from error
        except OSError as error:
            raise UsageError(f"{self._command}: cannot be run: {error.strerror}") from error
        if ended.returncode:
            raise UsageError(f"argo {arguments[0]}: {said_by(ended.stderr or ended.stdout)}")
        return ended.stdout


def sight_of(workflow: Mapping[str, Any]) -> Sight:
    """Return the state of the workflow that a Kubernetes document describes."""
    status = workflow.get("status") or {}
    phase = status.get("phase") or "Pending"
    progress, message = status.get("progress") or "", status.get("message") or ""
    if phase not in _ENDED:
        return Sight(phase, progress, message, None)
    if phase == "Succeeded":
        return Sight(phase, progress, message, Kind.OK.exit_code)
    pods = [node for node in (status.get("nodes") or {}).values() if node.get("type") == "Pod"]
    code, said = _decisive(pods)
    return Sight(phase, progress, said or message, code)


def _decisive(pods: Sequence[Mapping[str, Any]]) -> tuple[int, str]:
    """Return exit code and message of the pod that decided how a workflow failed.

    That is the plan's last pod: where it failed, the summary has nothing to judge. Otherwise it is
    the summary's. The workflow's own message only says that a child failed.
    """
    for name in ("plan", "summary"):
        ended = [node for node in pods if node.get("templateName") == name]
        last = max(ended, key=lambda node: str(node.get("finishedAt")), default=None)
        if last is not None:
            code = int((last.get("outputs") or {}).get("exitCode") or 0)
            if code or last.get("phase") in {"Failed", "Error"}:
                return code or Kind.INCOMPLETE.exit_code, str(last.get("message") or "")
    return Kind.INCOMPLETE.exit_code, ""


def said_by(output: str) -> str:
    """Return the last line of what a command said, with a hint where there is one."""
    lines = [line for line in output.strip().splitlines() if line.strip()]
    text = lines[-1].strip() if lines else "it failed and said nothing"
    hints = [hint for words, hint in _HINTS.items() if words in text]
    return f"{text}; {hints[0]}" if hints else text
