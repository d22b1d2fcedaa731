"""The event loop of a session: what a row wakes runs at once.

The engine hands a row over by waking a task. asyncio runs what was woken in its next turn, after
it has asked the system for events once more and emptied the pipe that woke it. An order waits for
that.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections import deque

_MOST_READ = 4096


class PromptLoop(asyncio.SelectorEventLoop):
    """A loop that also runs, in each turn, what has become ready in it."""

    _ready: deque[asyncio.Handle]
    _stopping: bool
    _ssock: socket.socket

    def _run_once(self) -> None:
        super()._run_once()  # type: ignore[misc]
        if self._stopping:
            return
        ready = self._ready
        # Once only: what these make ready waits until the system was asked.
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:  # noqa: SLF001
                handle._run()  # noqa: SLF001

    def _read_from_self(self) -> None:
        # Whatever is left makes the next turn read again.
        with contextlib.suppress(BlockingIOError, InterruptedError):
            self._process_self_data(self._ssock.recv(_MOST_READ))  # type: ignore[attr-defined]
