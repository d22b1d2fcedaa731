"""Does to its own process, and from it, what it is told to do at its first bar."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from nautilus_trader.model import Bar, BarType
from nautilus_trader.trading import Strategy, StrategyConfig

from trading_runtime.execution.task import TaskRunner

DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.write(1, b"%d" % os.getpid())
        os.close(1)
        time.sleep(1000)
"""


@dataclass
class SabotagingConfig(StrategyConfig):
    """What it listens to, and how it goes wrong; it notes processes in ``notes``."""

    bar_type: BarType
    way: str
    notes: str


class Sabotaging(Strategy):
    """Goes wrong once, at the first bar, and is sound otherwise."""

    def __init__(self, config: SabotagingConfig) -> None:
        super().__init__(config)
        self.settings = config
        self.is_done = False

    def on_start(self) -> None:
        self.subscribe_bars(self.settings.bar_type)

    def on_bar(self, bar: Bar) -> None:  # noqa: ARG002
        if not self.is_done:
            self.is_done = True
            getattr(self, self.settings.way)()

    def sound(self) -> None:
        """Do nothing."""

    def garbage(self) -> None:
        """Write into everything that is open, as a library that has lost its mind would."""
        self._write(b"\xff{garbage\n")

    def lies(self) -> None:
        """Answer for another task."""
        ended = {"event": "task_ended", "task": 3, "status": "ok", "seconds": 1, "rows": 5}
        self._write(json.dumps(ended | {"memory_bytes": 1}).encode() + b"\n")

    def endless_line(self) -> None:
        """Answer without an end."""
        self._write(b"x" * 5_000_000)

    def deep(self) -> None:
        """Answer with what no parser can hold."""
        self._write(b"[" * 200_000 + b"\n")

    def patched(self) -> None:
        """Put something else in the place of what everybody uses."""
        json.dumps = lambda *_, **__: "nonsense"
        json.loads = lambda *_, **__: {}

    def gutted(self) -> None:
        """Forget everything that was imported, and where to find it."""
        sys.modules.clear()
        sys.path.clear()

    def undermined(self) -> None:
        """Let the next task in this process end it."""
        TaskRunner.run = lambda *_: os._exit(0)  # type: ignore[method-assign]

    def unharmed(self) -> None:
        """Do nothing, in the process of the task before."""

    def mask(self) -> None:
        """Let nobody read what this process writes."""
        os.umask(0o777)

    def closed(self) -> None:
        """Close every file of the process."""
        os.closerange(0, 256)

    def folder(self) -> None:
        """Remove the folder that the process works in."""
        shutil.rmtree(Path.cwd().parent, ignore_errors=True)

    def limits(self) -> None:
        """Let the process write nothing more."""
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    def forked(self) -> None:
        """Leave a child that holds every file open."""
        child = os.fork()
        if child == 0:
            time.sleep(1000)
            os._exit(0)
        self._note(child)

    def daemon(self) -> None:
        """Leave a process that has cut itself off."""
        # Its output ends when the daemon has closed it.
        told = subprocess.run([sys.executable, "-c", DAEMON], check=True, stdout=subprocess.PIPE)
        self._note(int(told.stdout))

    def thread(self) -> None:
        """Leave a thread."""
        self._note(os.getpid())
        threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()

    def killed_once(self) -> None:
        """Be killed as if by an operator, the first time."""
        before = Path(f"{self.settings.notes}.killed")
        if not before.exists():
            before.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def environment(self) -> None:
        """Tell what it was given."""
        raise RuntimeError(f"given: {sorted(os.environ.items())}")

    def spying(self) -> None:
        """Look into every other process, and tell which of them can be ended."""
        seen, reached = [], []
        for process in [path.name for path in Path("/proc").iterdir() if path.name.isdigit()]:
            if int(process) == os.getpid():
                continue
            for name in ("environ", "mem", "fd/0"):
                try:
                    os.close(os.open(f"/proc/{process}/{name}", os.O_RDONLY | os.O_NONBLOCK))
                    seen.append(f"{process}/{name}")
                except OSError:
                    pass
            try:
                os.kill(int(process), 0)
                reached.append(process)
            except OSError:
                pass
        raise RuntimeError(f"seen: {seen}, reached: {reached}, parent: {os.getppid()}")

    def _note(self, process: int) -> None:
        with Path(self.settings.notes).open("a") as file:
            file.write(f"{process}\n")

    def _write(self, content: bytes) -> None:
        for number in range(3, 64):
            try:
                if Path(f"/proc/self/fd/{number}").readlink().name.startswith("pipe:"):
                    os.write(number, content)
            except OSError:
                continue
