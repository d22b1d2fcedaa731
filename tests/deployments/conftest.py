"""A folder of deployments, a supervisor over it, and what both are seen to do."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.small_experiment import ROOT
from trading_runtime.deployments.kept import Surroundings
from trading_runtime.deployments.limits import ControlGroups
from trading_runtime.deployments.logs import LogUploads
from trading_runtime.deployments.processes import start_mark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from trading_runtime.deployments.desired import Desired
    from trading_runtime.deployments.notices import Occasion
    from trading_runtime.deployments.state import SupervisorFolder

PATIENCE_SECONDS = 240
"""How long a busy machine may take; no test measures this time."""


class Screen:
    """A command on a terminal, and what it has shown."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._terminal, side = os.openpty()
        surroundings = environment | {"TERM": "xterm"}
        self.process = subprocess.Popen(command, env=surroundings, stdout=side, stderr=side)
        os.close(side)
        self._shown = ""

    def wait_for(self, text: str) -> None:
        """Wait until this text is shown, after all that was waited for before."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while text not in self._shown:
            assert time.monotonic() < deadline, f"{text!r} is not in {self._shown!r}"
            if select.select([self._terminal], [], [], 1)[0]:
                self._shown += os.read(self._terminal, 65_536).decode()
        self._shown = self._shown.partition(text)[2]

    def end(self) -> None:
        """End the command, whatever it does."""
        self.process.kill()
        self.process.wait()
        os.close(self._terminal)


class Supervised:
    """Programs in a folder, kept up by a supervisor in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {"PYTHONPATH": str(ROOT)}
        self._started: list[subprocess.Popen[str]] = []
        self._screens: list[Screen] = []

    def write(self, name: str, command: list[str], **content: Any) -> Path:
        """Write the file of a program."""
        path = self.folder / f"{name}.json"
        whole = {"name": name, "program": {"command": command}, **content}
        whole.setdefault("restart", {"backoff": "100ms"})
        temporary = self.folder / f".{name}"
        temporary.write_text(json.dumps(whole, indent=1))
        temporary.replace(path)
        return path

    def script(self, name: str, text: str, **content: Any) -> Path:
        """Write a program in Python and its file."""
        (self.folder / f"{name}.py").write_text(text)
        return self.write(name, [sys.executable, f"{name}.py"], **content)

    def up(
        self, *options: str, thorough_seconds: float = 30, prepare: str = ""
    ) -> subprocess.Popen[str]:
        """Start a supervisor, which reads every file anew after so many seconds.

        ``prepare`` is code that it runs first.
        """
        set_up = f"supervisor._THOROUGH_SECONDS = {thorough_seconds}\n{prepare}\nmain()"
        with (self.folder / "supervisor.log").open("a") as log:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    f"{_IMPORTS}; {set_up}",
                    "deployments",
                    "up",
                    str(self.folder),
                    *options,
                ],
                env=self.environment,
                stdout=log,
                stderr=log,
                text=True,
            )
        self._started.append(process)
        return process

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command about the folder."""
        return subprocess.run(
            [*_COMMAND, "deployments", *words, "--folder", str(self.folder)],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )

    def on_terminal(self, *words: str) -> Screen:
        """Run a command about the folder on a terminal."""
        command = [*_COMMAND, "deployments", *words, "--folder", str(self.folder)]
        self._screens.append(Screen(command, self.environment))
        return self._screens[-1]

    @property
    def said(self) -> str:
        """What supervisors printed."""
        return (self.folder / "supervisor.log").read_text()

    def state(self, name: str) -> dict[str, Any]:
        """Return the state of a deployment as stored; empty before there is one."""
        path = self.folder / ".deployments" / "state" / f"{name}.json"
        content: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return content

    def phase(self, name: str) -> str | None:
        """Return the phase of a deployment."""
        return self.state(name).get("phase")

    def wait(self, is_so: Callable[[], object]) -> None:
        """Wait for something that the supervisor does."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_so():
            assert time.monotonic() < deadline, self.said
            time.sleep(0.02)

    def wait_for(self, name: str, phase: str) -> dict[str, Any]:
        """Wait until a deployment is in a phase; return its state."""
        self.wait(lambda: self.phase(name) == phase)
        return self.state(name)

    def close(self) -> None:
        """End supervisors, and what they left."""
        for screen in self._screens:
            screen.end()
        for process in self._started:
            process.terminate()
        for process in self._started:
            try:
                process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
        for path in (self.folder / ".deployments" / "state").glob("*.json"):
            state = json.loads(path.read_text())
            if state["pid"] and start_mark(state["pid"]) == state["mark"]:
                os.killpg(state["pid"], signal.SIGKILL)


def surroundings(
    folder: SupervisorFolder, said: list[str], notices: list[tuple[str, str]]
) -> Surroundings:
    """Return what a deployment without a supervisor needs; what it tells goes into the lists."""

    def notify(_: Desired, occasion: Occasion, text: str, __: str | None) -> None:
        notices.append((occasion, text))

    return Surroundings(
        folder,
        ControlGroups(0),
        "x",
        lambda _, text: said.append(text),
        notify,
        LogUploads(said.append),
        frozenset(),
        lambda *_: None,
    )


_COMMAND = [sys.executable, "-m", "trading_runtime.cli.main"]
_IMPORTS = (
    "from trading_runtime.cli.main import main; from trading_runtime.deployments import supervisor"
)


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[Supervised]:
    """A folder without deployments, and no supervisor yet."""
    found = Supervised(tmp_path)
    yield found
    found.close()
