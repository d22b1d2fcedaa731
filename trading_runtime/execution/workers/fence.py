"""A fence around a worker: it sees into no other process, and ends none.

A strategy is given no credentials, but the shell that started its run has some, and so has the
first process of a pod. Any process of the same user may read their environment, memory and open
files. Landlock, which Linux has since 5.13, takes that from a process and from all that it starts,
though not from root. Where the kernel lacks it, or has its first version, nothing changes, which
``doctor`` tells.
"""

from __future__ import annotations

import ctypes
import os
import sys

_CREATE_RULES, _ADD_RULE, _ENTER = 444, 445, 446
"""System calls, by their numbers on every architecture."""
_ASK_VERSION, _BENEATH = 1, 1
_PR_SET_NO_NEW_PRIVS = 38
_MOVE_TO_OTHER_FOLDERS = 1 << 13
_SIGNALS = 1 << 1
WITH_MOVES, WITH_SIGNALS = 2, 6
"""Versions of Landlock. Before the first, a file could not be moved into another folder either;
since the second, no other process can be ended."""


class _Rules(ctypes.Structure):
    _fields_ = (
        ("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64),
    )  # fmt: skip


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def landlock_version() -> int:
    """Return the version of Landlock, 0 where there is none or it may not be used."""
    if sys.platform != "linux":
        return 0
    asked = None, ctypes.c_size_t(0), _ASK_VERSION
    version: int = ctypes.CDLL(None).syscall(_CREATE_RULES, *asked)
    return max(0, version)


def fence_in() -> bool:
    """Keep this thread, and all that it starts from now on, from other processes.

    Returns whether the system can. Threads that run already are not kept from anything.
    """
    version = landlock_version()
    if version < WITH_MOVES:
        return False
    library = ctypes.CDLL(None)
    rules = _Rules(files=_MOVE_TO_OTHER_FOLDERS, scoped=_SIGNALS if version >= WITH_SIGNALS else 0)
    size = ctypes.c_size_t(ctypes.sizeof(rules))  # an older version takes further zeros
    fence = library.syscall(_CREATE_RULES, ctypes.byref(rules), size, 0)
    if fence < 0:
        return False
    try:
        return _allow_moves(library, fence) and _enter(library, fence)
    finally:
        os.close(fence)


def _allow_moves(library: ctypes.CDLL, fence: int) -> bool:
    """Allow everywhere what a fence forbids unless it is allowed.

    One of signals alone forbids it, too, inside another fence, such as that of a sandbox.
    """
    folder = os.open("/", os.O_PATH | os.O_CLOEXEC)
    try:
        rule = _Beneath(_MOVE_TO_OTHER_FOLDERS, folder)
        added: int = library.syscall(_ADD_RULE, fence, _BENEATH, ctypes.byref(rule), 0)
        return added == 0
    finally:
        os.close(folder)


def _enter(library: ctypes.CDLL, fence: int) -> bool:
    # Without it, a program with rights of its own could take the fence down.
    bound: int = library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return bound == 0 and bool(library.syscall(_ENTER, fence, 0) == 0)
