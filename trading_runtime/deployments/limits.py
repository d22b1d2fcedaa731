"""Limits of memory and processors: by control groups where they may be used, else from outside."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from trading_runtime.deployments.processes import GroupUsage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trading_runtime.deployments.processes import SupervisedProcess

_ROOT = Path("/sys/fs/cgroup")
_PERIOD = 100_000
"""Microseconds over which the kernel counts processor time."""
_CHECK_SECONDS = 1.0
_EMPTY_SECONDS = 1.0
"""How long processes may take to end after the kernel was asked to end them."""
_LOOK_SECONDS = 0.01


class Limit(Protocol):
    """What bounds one process and all that it starts."""

    how: str
    """How, for people."""
    groups: tuple[Path, ...]
    """Control groups that the process is to be started in."""

    def look(self, process: SupervisedProcess) -> str | None:
        """Enforce what no kernel does; return why the process has to end, if it has to."""

    def is_out_of_memory(self) -> bool:
        """Return whether the kernel ended it for lack of memory."""

    def close(self) -> None:
        """Remove what the limit needed."""


@dataclass
class NoLimit:
    """No limit is set."""

    how: str = "none"
    groups: tuple[Path, ...] = ()

    def look(self, process: SupervisedProcess) -> str | None:  # noqa: ARG002
        """Enforce nothing."""
        return None

    def is_out_of_memory(self) -> bool:
        """Return that it was not: there is no bound."""
        return False

    def close(self) -> None:
        """Remove nothing."""


@dataclass
class GroupLimit:
    """Control groups of the kernel."""

    how: str
    groups: tuple[Path, ...]
    _events: Path | None
    """The file that counts processes ended for lack of memory."""

    def look(self, process: SupervisedProcess) -> str | None:  # noqa: ARG002
        """Enforce nothing: the kernel does."""
        return None

    def is_out_of_memory(self) -> bool:
        """Return whether the kernel ended a process of the group for lack of memory."""
        if self._events is None:
            return False
        with contextlib.suppress(OSError, ValueError):
            for line in self._events.read_text(encoding="ascii").splitlines():
                name, _, count = line.partition(" ")
                if name == "oom_kill":
                    return int(count) > 0
        return False

    def close(self) -> None:
        """End what is left in the groups, where the kernel can, and remove them.

        A group that still holds a process stays.
        """
        for group in self.groups:
            with contextlib.suppress(OSError):
                if (group / "cgroup.kill").exists():
                    _write(group / "cgroup.kill", 1)
                    self._wait_until_empty(group)
                group.rmdir()

    @staticmethod
    def _wait_until_empty(group: Path) -> None:
        deadline = time.monotonic() + _EMPTY_SECONDS
        while time.monotonic() < deadline:
            if "populated 0" in (group / "cgroup.events").read_text(encoding="ascii"):
                return
            time.sleep(_LOOK_SECONDS)


@dataclass
class OutsideLimit:
    """A look every second: too much memory ends the process, too much time pauses it."""

    memory: int | None
    cpu: float | None
    usage: GroupUsage
    how: str = "from outside: control groups may not be used here"
    groups: tuple[Path, ...] = ()
    _checked: float = field(default_factory=time.monotonic)
    _seconds: float = 0.0
    _paused_until: float | None = None
    _was_too_large: bool = False

    def look(self, process: SupervisedProcess) -> str | None:
        """Pause a process that used more than its share; say so when it has too much memory."""
        now = time.monotonic()
        if self._paused_until is not None:
            if now >= self._paused_until:
                self._paused_until = None
                process.signal(signal.SIGCONT)
            return None
        if now - self._checked < _CHECK_SECONDS:
            return None
        memory, seconds = self.usage.of(process.pid)
        if self.memory is not None and memory > self.memory:
            self._was_too_large = True
            return f"out of memory: it has {memory:,} bytes, above limits.memory ({self.memory:,})"
        if self.cpu is not None:
            excess = (seconds - self._seconds) - self.cpu * (now - self._checked)
            if excess > 0:
                process.signal(signal.SIGSTOP)
                self._paused_until = now + excess / self.cpu
        self._checked, self._seconds = now, seconds
        return None

    def is_out_of_memory(self) -> bool:
        """Return whether it was ended for having too much."""
        return self._was_too_large

    def close(self) -> None:
        """Remove nothing."""


@dataclass(frozen=True)
class ControlGroups:
    """The control groups that this process may make others in, if there are any."""

    version: int
    """1, 2, or 0 where they may not be used."""
    memory: Path | None = None
    cpu: Path | None = None
    usage: GroupUsage = field(default_factory=GroupUsage)

    @classmethod
    def usable(cls) -> ControlGroups:
        """Find them; makes a group to see whether it may."""
        return cls.below(_ROOT, _own_groups())

    @classmethod
    def below(cls, root: Path, own: Mapping[str, str]) -> ControlGroups:
        """Find them below a folder; ``own`` has the path of this process's group by controller.

        ``""`` is the controller of version 2.
        """
        if "" in own and (found := _unified(root / own[""].lstrip("/"))) is not None:
            return cls(2, found, found)
        memory, cpu = (
            root / name / own[name].lstrip("/") if name in own else None
            for name in ("memory", "cpu")
        )
        memory, cpu = (place if _may_make(place) else None for place in (memory, cpu))
        return cls(1, memory, cpu) if memory or cpu else cls(0)

    def limit(self, name: str, memory: int | None, cpu: float | None) -> Limit:
        """Return what keeps a process within limits; ``name`` is unique on this machine."""
        if memory is None and cpu is None:
            return NoLimit()
        has_memory = memory is None or self.memory is not None
        has_cpu = cpu is None or self.cpu is not None
        if self.version and has_memory and has_cpu:
            with contextlib.suppress(OSError):
                return self._grouped(name, memory, cpu)
        return OutsideLimit(memory, cpu, self.usage)

    def _grouped(self, name: str, memory: int | None, cpu: float | None) -> Limit:
        groups: dict[Path, None] = {}
        events = None
        if memory is not None and self.memory is not None:
            group = self.memory / name
            group.mkdir(exist_ok=True)
            groups[group] = None
            if self.version == 1:
                _write(group / "memory.limit_in_bytes", memory)
                with contextlib.suppress(OSError):  # where swap is not counted
                    _write(group / "memory.memsw.limit_in_bytes", memory)
                events = group / "memory.oom_control"
            else:
                _write(group / "memory.max", memory)
                with contextlib.suppress(OSError):
                    _write(group / "memory.swap.max", 0)
                events = group / "memory.events"
        if cpu is not None and self.cpu is not None:
            group = self.cpu / name
            group.mkdir(exist_ok=True)
            groups[group] = None
            quota = max(1_000, round(cpu * _PERIOD))
            if self.version == 1:
                _write(group / "cpu.cfs_period_us", _PERIOD)
                _write(group / "cpu.cfs_quota_us", quota)
            else:
                _write(group / "cpu.max", f"{quota} {_PERIOD}")
        return GroupLimit(f"control groups, version {self.version}", tuple(groups), events)


def _own_groups() -> dict[str, str]:
    """Return the path of this process's group by controller; ``""`` is that of version 2."""
    found: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            found |= dict.fromkeys(controllers.split(","), path)
    return found


def _unified(here: Path) -> Path | None:
    """Return the group if groups with both controllers can be made below it."""
    try:
        available = (here / "cgroup.controllers").read_text(encoding="ascii").split()
        if not {"memory", "cpu"} <= set(available):
            return None
        # A group with processes of its own may not share out its controllers.
        leaf = here / "supervisor"
        leaf.mkdir(exist_ok=True)
        _write(leaf / "cgroup.procs", os.getpid())
        _write(here / "cgroup.subtree_control", "+memory +cpu")
    except OSError:
        return None
    return here


def _may_make(place: Path | None) -> bool:
    if place is None:
        return False
    tried = place / f"trading-runtime-{os.getpid()}"
    try:
        tried.mkdir()
        tried.rmdir()
    except OSError:
        return False
    return True


def _write(path: Path, value: object) -> None:
    path.write_text(f"{value}\n", encoding="ascii")
