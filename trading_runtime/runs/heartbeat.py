"""The heartbeat of a run in pods: one object that the working pods keep new.

No process holds such a run: its pods come and go, and ``argo terminate`` ends them without notice.
A run whose object is old has no running pod.
"""

from __future__ import annotations

import contextlib
import json
import threading
import uuid
from typing import TYPE_CHECKING, Self

from trading_runtime.errors import StorageError, TransientError
from trading_runtime.storage.object_store import version_of

if TYPE_CHECKING:
    from trading_runtime.storage.object_store import ObjectStore

_BEAT_SECONDS = 30.0
SILENT_SECONDS = 100.0
"""Without a beat for this long, no pod is running: a death is noticed within two minutes."""


class Heartbeat:
    """Keeps a run's object new for as long as its block lasts.

    A pod writes it only when no other has since it last looked, so a thousand pods write as often
    as one. The object is made once: a run that is removed at work is not made again.
    """

    def __init__(self, objects: ObjectStore, run_id: str) -> None:
        self._objects = objects
        self._name = _name(run_id)
        self._pod = uuid.uuid4().hex
        self._beats = 0
        self._ended = threading.Event()
        self._seen = self._first_beat()
        self._thread = threading.Thread(target=self._keep, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        """Begin to beat."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop; the last beat is left for the pods that follow."""
        self._ended.set()
        self._thread.join()

    def beat(self) -> None:
        """Write the object, unless another pod has since the last call."""
        if self._seen is not None:
            self._seen = self._replace(self._seen) or self._version()

    def remove(self) -> None:
        """Remove the object of a run that has ended; this one beats no more."""
        self.__exit__()
        self._objects.remove(self._name)

    def _first_beat(self) -> str | None:
        made = self._objects.create(self._name, self._content())
        if made is not None or (there := self._version()) is None:
            return made
        return self._replace(there) or self._version()

    def _replace(self, version: str) -> str | None:
        return self._objects.replace(self._name, self._content(), version)

    def _version(self) -> str | None:
        return version_of(self._objects, self._name)

    def _keep(self) -> None:
        while not self._ended.wait(_BEAT_SECONDS):
            # The pod carries on: storing results reports that the storage is unavailable.
            with contextlib.suppress(StorageError, TransientError):
                self.beat()

    def _content(self) -> bytes:
        self._beats += 1
        return json.dumps({"pod": self._pod, "beats": self._beats}).encode() + b"\n"


def has_pods(objects: ObjectStore, run_id: str) -> bool:
    """Return whether a pod of the run was running in the last minutes, by the storage's clock."""
    age = objects.age(_name(run_id))
    return age is not None and age < SILENT_SECONDS


def _name(run_id: str) -> str:
    return f"runs/{run_id}/alive"
