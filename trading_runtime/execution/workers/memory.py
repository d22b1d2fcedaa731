"""Memory of a run: its limit, what a worker uses, and whether the system ended a process.

A worker is watched from outside and ended by its parent. A limit inside the worker
(``RLIMIT_DATA``, ``RLIMIT_AS``) would reach the strategy as ``MemoryError``. The strategy could
handle that and produce another result, so the limit would be part of what makes a task. Such a
limit also counts memory that is reserved and never used: a gigabyte in an idle worker.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

_CONTROL_GROUPS = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)


def memory_limit(control_groups: tuple[str, ...] = _CONTROL_GROUPS) -> int:
    """Return the bytes of memory beyond which the system ends processes.

    A control group's limit applies where it is below the machine's memory.
    """
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [machine]
    for path in control_groups:
        try:
            limits.append(int(Path(path).read_text(encoding="ascii")))
        except (OSError, ValueError):
            continue  # another version of control groups, none, or "max": no limit
    return min(limits)


_EVENTS = Path("/proc/vmstat")
_STATM = "/proc/{}/statm"
_PAGE = os.sysconf("SC_PAGE_SIZE")
_SAID_BY_ALLOCATORS = re.compile(
    r"memory allocation of [0-9]+ bytes failed|std::bad_alloc|Cannot allocate memory|"
    r"^MemoryError\b",
    re.MULTILINE,
)
"""Last words of Rust, C++, the C library and Python when memory runs out."""


def resident_bytes(process: int) -> int:
    """Return the resident memory of a process, in bytes; 0 when it is gone."""
    try:
        with open(_STATM.format(process), "rb") as file:  # noqa: PTH123 - asked many times a second
            return int(file.read().split()[1]) * _PAGE
    except (FileNotFoundError, ProcessLookupError, IndexError):
        pass
    if Path("/proc/self/statm").exists():
        return 0
    # Without /proc, as on macOS; in KiB.
    listed = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(process)],  # noqa: S607 - wherever the system has it
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return int(listed) * 1024 if listed else 0


def reports_out_of_memory(output: str) -> bool:
    """Return whether a process's last words are those of an allocator that ran out of memory."""
    return _SAID_BY_ALLOCATORS.search(output) is not None


def system_kills() -> int | None:
    """Return how many processes the system has ended for lack of memory; ``None`` if unknown."""
    # The kernel raises the counter before it sends the signal, so a death is never seen first.
    try:
        found = re.search(r"^oom_kill ([0-9]+)$", _EVENTS.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) if found else None


def format_size(size: int) -> str:
    """Return bytes in whole MiB, for people."""
    return f"{size / 2**20:,.0f} MiB"
