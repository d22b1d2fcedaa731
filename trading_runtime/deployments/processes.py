"""Processes that are started, found again by another supervisor, and ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_USAGE_SECONDS = 0.5
_STARTER = """
read -r _ || exit 125
for group in $1; do echo $$ > "$group/cgroup.procs"; done
shift
exec "$@" < /dev/null
"""
"""Run by a shell that waits for a line, enters control groups and becomes the program.

Nothing runs outside the groups. Without the line, whoever started it has ended, and nothing runs.
"""


@dataclass
class SupervisedProcess:
    """A process with all that it started, distinguished from a later one with the same number."""

    pid: int
    mark: str
    """When it was started, as the system has it."""
    _child: subprocess.Popen[bytes] | None = None
    """Absent for one that an earlier supervisor started: its exit code cannot be known."""

    @classmethod
    def start(
        cls,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        log: Path,
        groups: Sequence[Path] = (),
    ) -> SupervisedProcess:
        """Start a process in a session of its own, in control groups, writing to a log.

        It becomes the program with ``release``, and ends if this process ends before that. So what
        is needed to find it again can be stored first.

        Raises ``OSError`` when it cannot be started.
        """
        joined = " ".join(map(str, groups))
        with log.open("ab") as output:
            child = subprocess.Popen(
                ["/bin/sh", "-c", _STARTER, "sh", joined, *command],
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return cls(child.pid, start_mark(child.pid) or "", child)

    @classmethod
    def found(cls, pid: int, mark: str) -> SupervisedProcess | None:
        """Return a process that an earlier supervisor started, if it still lives."""
        return cls(pid, mark) if mark and start_mark(pid) == mark else None

    def release(self) -> None:
        """Let it become the program."""
        if self._child is not None and self._child.stdin is not None:
            with contextlib.suppress(BrokenPipeError), self._child.stdin as waiting:
                waiting.write(b"\n")

    @property
    def lives(self) -> bool:
        """Whether it has not ended yet."""
        if self._child is not None:
            return self._child.poll() is None
        return start_mark(self.pid) == self.mark

    @property
    def code(self) -> int | None:
        """Its exit code, negative for a signal; ``None`` when it is not known."""
        return None if self._child is None else self._child.poll()

    def signal(self, number: int) -> None:
        """Send a signal to it and to all that it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def sweep(self) -> None:
        """End what an ended process has left behind."""
        self.signal(signal.SIGKILL)


def start_mark(pid: int) -> str | None:
    """Return when a process was started; ``None`` when there is none, or it is a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None if Path("/proc/self/stat").exists() else _listed(pid)
    # The name of the program, which may hold anything, is in parentheses.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else f"{fields[19]}@{_boot()}"


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _listed(pid: int) -> str | None:
    """Without /proc, as on macOS."""
    listed = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)],  # noqa: S607 - wherever the system has it
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split(maxsplit=1)
    return None if len(listed) < 2 or listed[0].startswith("Z") else listed[1].strip()  # noqa: PLR2004


@dataclass
class GroupUsage:
    """What process groups use, from one pass over all processes for all who ask."""

    _read: float = float("-inf")
    _used: dict[int, tuple[int, float]] = field(default_factory=dict)

    def of(self, group: int) -> tuple[int, float]:
        """Return resident bytes, and seconds of processor time of what lives, a moment ago."""
        now = time.monotonic()
        if now - self._read >= _USAGE_SECONDS:
            self._read, self._used = now, {}
            for member, memory, seconds in _processes():
                before = self._used.get(member, (0, 0.0))
                self._used[member] = before[0] + memory, before[1] + seconds
        return self._used.get(group, (0, 0.0))


def _processes() -> Iterator[tuple[int, int, float]]:
    """Yield group, resident bytes and seconds of processor time of each process."""
    page, ticks = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")
    if not Path("/proc/self/stat").exists():
        yield from _listed_usage()
        return
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                text = Path(entry.path, "stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue  # it has just ended
            fields = text.rpartition(")")[2].split()
            seconds = (int(fields[11]) + int(fields[12])) / ticks
            yield int(fields[2]), int(fields[21]) * page, seconds


def _listed_usage() -> Iterator[tuple[int, int, float]]:
    """Without /proc, as on macOS."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pgid=,rss=,time="],  # noqa: S607 - wherever the system has it
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    for line in listed.splitlines():
        group, kilobytes, clock = line.split()
        seconds = 0.0
        for part in clock.replace("-", ":").split(":"):
            seconds = seconds * 60 + float(part)
        yield int(group), int(kilobytes) * 1024, seconds
