"""The commands ``argo`` and ``kubectl``: found, run, and their errors explained."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, ClassVar

from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

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


class ClusterCommand:
    """Runs a command for one namespace of a cluster."""

    name: ClassVar[str]
    """What it is called in messages."""
    seconds: int
    """How long it may take to answer."""

    def __init__(self, words: Sequence[str], remedy: str, namespace: str | None) -> None:
        """Find the command; raises ``UsageError``, with the remedy, when there is none."""
        named, *given = words
        found = shutil.which(named)
        if found is None:
            raise UsageError(f"{named!r}: there is no such command; {remedy}")
        self.command = [found, *given]
        self.namespace = ["--namespace", namespace] if namespace else []

    def run(self, *arguments: str, given: str | None = None) -> str:
        """Return what the command prints; ``given`` is its input.

        Raises ``UsageError``, with what it said, when it fails.
        """
        try:
            ended = subprocess.run(
                [*self.command, *arguments, *self.namespace],
                input=given,
                capture_output=True,
                text=True,
                check=False,
                timeout=self.seconds,
            )
        except subprocess.TimeoutExpired as error:
            raise UsageError(
                f"{self.name} {arguments[0]}: no answer in {self.seconds} s; is the cluster up, "
                "and does KUBECONFIG name it?"
            ) from error
        except OSError as error:
            raise UsageError(f"{self.command[0]}: cannot be run: {error.strerror}") from error
        if ended.returncode:
            raise UsageError(f"{self.name} {arguments[0]}: {_said(ended.stderr or ended.stdout)}")
        return ended.stdout


def _said(output: str) -> str:
    """Return the last line of what a command said, with a hint where there is one."""
    lines = [line for line in output.strip().splitlines() if line.strip()]
    text = lines[-1].strip() if lines else "it failed and said nothing"
    hints = [hint for words, hint in _HINTS.items() if words in text]
    return f"{text}; {hints[0]}" if hints else text
