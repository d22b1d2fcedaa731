"""Disks that are too small, and folders that not even the system's administrator can write to."""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

Before = Callable[[], None]
"""Called in a new process before it becomes the command."""
_PR_CAPBSET_DROP = 24
_CAP_DAC_OVERRIDE = 1
_OVER_PROCESSES = (5, 19, 21, 38)
"""CAP_KILL, CAP_SYS_PTRACE, CAP_SYS_ADMIN and CAP_PERFMON."""
_LIBRARY = ctypes.CDLL(None)


def mount_small_disk(folder: Path, kibibytes: int) -> bool:
    """Mount a disk of this size on ``folder``; return whether this user may."""
    if shutil.which("mount") is None:
        return False
    options = f"size={kibibytes}k"
    ended = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder],  # noqa: S607 - the system's
        capture_output=True,
        check=False,
    )
    return ended.returncode == 0


def unmount(folder: Path) -> None:
    """Undo ``mount_small_disk``."""
    subprocess.run(["umount", "--lazy", folder], check=True)  # noqa: S607 - the system's


def fill(folder: Path, leave: int) -> Path:
    """Write a file that leaves so many bytes free; return it."""
    filler = folder / "filler"
    free = os.statvfs(folder)
    filler.write_bytes(b"x" * (free.f_bavail * free.f_frsize - leave))
    return filler


def files_of_at_most(size: int) -> Before:
    """Let the process, and those it starts, write no file beyond this size."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def bound_by_permissions() -> None:
    """Take from the process, if it is the administrator's, the right to write where it must not."""
    _LIBRARY.prctl(_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, 0, 0, 0)


def bound_to_own_processes() -> None:
    """Take from the process, if it is the administrator's, its rights over those of others."""
    for right in _OVER_PROCESSES:
        _LIBRARY.prctl(_PR_CAPBSET_DROP, right, 0, 0, 0)
