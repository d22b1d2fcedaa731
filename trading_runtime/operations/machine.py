"""What the machine has to offer now: free disk, available memory, a clock that is kept."""

from __future__ import annotations

import ctypes
import shutil
import sys
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_MEMORY = Path("/proc/meminfo")
_TIMEX_BYTES = 256
"""More than the kernel's ``struct timex`` has; all zero, it asks and sets nothing."""
_UNSYNCHRONISED = 5


def free_disk(place: Path) -> int:
    """Return the bytes that are free where ``place`` is, or would be made."""
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def available_memory() -> int | None:
    """Return the bytes that processes may still take, of the machine or of the container."""
    amounts = [amount for amount in (_of_machine(), _of_container()) if amount is not None]
    return min(amounts, default=None)


def clock_is_kept() -> bool | None:
    """Return whether the kernel's clock is synchronised; ``None`` where that cannot be asked."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else bool(state != _UNSYNCHRONISED)


def _of_machine() -> int | None:
    try:
        lines = _MEMORY.read_text().splitlines()
        [kilobytes] = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
        return int(kilobytes) * 1024
    except (OSError, ValueError, IndexError):
        return None


def _of_container() -> int | None:
    try:
        limit = (_CGROUP / "memory.max").read_text().strip()
        used = (_CGROUP / "memory.current").read_text()
        return None if limit == "max" else int(limit) - int(used)
    except (OSError, ValueError):
        return None
