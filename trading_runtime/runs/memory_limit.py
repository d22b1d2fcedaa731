"""How much memory the processes of a run can have: that of the container, else of the machine."""

from __future__ import annotations

import os
from pathlib import Path

_CONTROL_GROUPS = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)


def memory_limit(control_groups: tuple[str, ...] = _CONTROL_GROUPS) -> int:
    """Return the bytes of memory beyond which the system ends processes.

    A control group's limit counts where it is below the machine's memory.
    """
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [machine]
    for path in control_groups:
        try:
            limits.append(int(Path(path).read_text(encoding="ascii")))
        except (OSError, ValueError):
            continue  # another version of control groups, none, or "max": without a limit
    return min(limits)
