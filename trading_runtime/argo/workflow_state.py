"""Whether the workflow of a run will continue while no pod is at work; Argo is asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from trading_runtime.argo.argo_command import ENDED, ArgoCommand
from trading_runtime.errors import UsageError
from trading_runtime.records.status import WorkflowState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SECONDS = 20
"""Longer than a cluster takes to answer."""
_MOST_FAILED_LOOKS = 20


class Workflows:
    """Asks for workflows with ``argo get``; where that has failed once, it asks for no others.

    A workflow that has been seen keeps its state while a few looks at it fail.
    """

    def __init__(self) -> None:
        self._can_be_asked = True
        self._seen: dict[str, WorkflowState] = {}
        self._failed_looks = 0

    def state(self, address: str) -> WorkflowState | None:
        """Return the state of the workflow ``namespace/name``; ``None`` when it cannot be asked."""
        if not self._can_be_asked:
            return None
        namespace, _, name = address.partition("/")
        try:
            content = json.loads(_asked(namespace, "get", name, "--output", "json"))
        except UsageError as error:
            if f'"{name}" not found' in str(error):
                return WorkflowState(has_ended=True, why=f"workflow {address} was deleted")
            self._failed_looks += 1
            self._can_be_asked = address in self._seen and self._failed_looks < _MOST_FAILED_LOOKS
            return self._seen[address] if self._can_be_asked else None
        except ValueError:
            return None
        self._failed_looks = 0
        self._seen[address] = found = state_of(content, address)
        return found


class ListedWorkflows:
    """Asks for all workflows of a namespace at once, with ``argo list``; for lists of runs.

    Where a question has failed, no other namespace is asked: each may take ``_SECONDS``.
    """

    def __init__(self) -> None:
        self._unfinished: dict[str, frozenset[str]] = {}
        self._can_be_asked = True

    def state(self, address: str) -> WorkflowState | None:
        """Return whether the workflow ``namespace/name`` goes on; ``None`` if it is not known."""
        namespace, _, name = address.partition("/")
        if namespace not in self._unfinished:
            if not self._can_be_asked:
                return None
            try:
                listed = _asked(namespace, "list", "--running", "--output", "name")
            except UsageError:
                self._can_be_asked = False
                return None
            self._unfinished[namespace] = frozenset(listed.split())
        if name in self._unfinished[namespace]:
            return WorkflowState(has_ended=False, why=f"workflow {address} goes on")
        return WorkflowState(has_ended=True, why=f"workflow {address} has ended, or was deleted")


def _asked(namespace: str, *words: str) -> str:
    """Return what argo answers; raises ``UsageError`` when it fails or takes too long."""
    command = ArgoCommand(namespace)
    command.seconds = _SECONDS
    return command.run(*words)


def state_of(workflow: Mapping[str, Any], address: str) -> WorkflowState:
    """Return the state of the workflow that a Kubernetes document describes."""
    status = workflow.get("status") or {}
    phase, message = str(status.get("phase") or "Pending"), str(status.get("message") or "")
    said = f": {message}" if message else ""
    if phase in ENDED:
        return WorkflowState(has_ended=True, why=f"workflow {address} ended as {phase}{said}")
    namespace, _, name = address.partition("/")
    if (workflow.get("spec") or {}).get("suspend"):
        why = f"is suspended; 'argo resume -n {namespace} {name}' continues it"
    else:
        why = f"is {phase}{said}{_pending((status.get('nodes') or {}).values())}"
    return WorkflowState(has_ended=False, why=f"workflow {address} {why}")


def _pending(nodes: Iterable[Mapping[str, Any]]) -> str:
    """Return how many pods wait for room, and what Kubernetes says of the first."""
    waiting = [
        node for node in nodes if (node.get("type"), node.get("phase")) == ("Pod", "Pending")
    ]
    if not waiting:
        return ""
    pods = "1 pod is" if len(waiting) == 1 else f"{len(waiting):,} pods are"
    message = next((str(node["message"]) for node in waiting if node.get("message")), "")
    return f"; {pods} pending" + (f": {message}" if message else "")
