"""One run id, one process, where the results lie in S3: a lock that lapses unless it is renewed."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

from trading_runtime.errors import StorageError, TransientError, UsageError

if TYPE_CHECKING:
    from trading_runtime.object_storage import S3Folder

_LOCK_SECONDS = 120.0
"""How long a lock holds without being renewed: then its holder must have died."""
_RENEWALS = 6
"""How often it is renewed in this time."""


class S3Lock:
    """The lock of a run, held by this process and renewed by a thread until it is released.

    A thread, because a task, or the reading of all results, may take longer than the lock holds.
    """

    def __init__(self, objects: S3Folder, run_id: str) -> None:
        """Take the lock; raises ``UsageError`` when another process has it."""
        self._objects = objects
        self._name = lock_name(run_id)
        self._holder = uuid.uuid4().hex
        # It may be ours already, written by a request whose answer was lost: then it was repeated.
        if not objects.create(self._name, self._content()) and not self._is_ours():
            if seconds_left(objects, run_id) > 0:
                raise UsageError(
                    f"run {run_id!r} is running already; wait for it, stop it with "
                    f"'trading-runtime runs stop {run_id}', or choose another --run-id"
                )
            objects.write(self._name, self._content())
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="s3-lock", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Give the run free for others, unless another process has taken it meanwhile."""
        self._released.set()
        self._thread.join()
        if self._is_ours():
            self._objects.remove(self._name)

    def _renew(self) -> None:
        while not self._released.wait(_LOCK_SECONDS / _RENEWALS):
            # Storage may be away for a while; the next time comes before the lock lapses.
            with contextlib.suppress(StorageError, TransientError):
                if self._is_ours():
                    self._objects.write(self._name, self._content())

    def _is_ours(self) -> bool:
        return bool(_read(self._objects, self._name).get("holder") == self._holder)

    def _content(self) -> bytes:
        return json.dumps({"holder": self._holder, "until": time.time() + _LOCK_SECONDS}).encode()


def lock_name(run_id: str) -> str:
    """Return the name of the object that is the lock of a run."""
    return f"runs/{run_id}/lock"


def seconds_left(objects: S3Folder, run_id: str) -> float:
    """Return for how many seconds the run is locked; none or less when it is not."""
    try:
        return float(_read(objects, lock_name(run_id))["until"]) - time.time()
    except (KeyError, ValueError, TypeError):
        return 0.0


def _read(objects: S3Folder, name: str) -> dict[str, Any]:
    try:
        content = json.loads(objects.read(name))
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
