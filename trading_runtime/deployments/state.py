"""What a supervisor keeps in its folder: the lock, the state of each deployment, and requests.

.deployments/lock                   held while a supervisor runs
.deployments/state/<name>.json      how a deployment is
.deployments/requests/<name>.json   what an operator asked for: it stays until asked otherwise
.deployments/logs/<run>/            logs of sessions whose results are in S3, until they end
.deployments/heartbeats/<name>      touched by the process
.deployments/problems.json          what is wrong with files, by their paths
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from trading_runtime.errors import DataError, UsageError
from trading_runtime.records.forms import read_as
from trading_runtime.storage.files import (
    open_lock,
    open_regular,
    read_bytes,
    storage_errors,
    write_file,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

FOLDER = ".deployments"
_REMEDY = "remove it, and the supervisor writes a new one"
_MOST_HISTORY = 50
_MOST_BYTES = 10_000_000
"""Of a document in the folder: far more than the state of a deployment has."""
_LAST_SECOND = 253_402_300_799
"""The end of the year 9999."""


class Phase(StrEnum):
    """What a deployment is doing."""

    WAITING = "waiting"
    """Research whose time has not come."""
    RUNNING = "running"
    ENDING = "ending"
    BACKING_OFF = "backing off"
    """It ended although it should run, and is started again soon."""
    GAVE_UP = "gave up"
    """It ended too often within an hour."""
    STOPPED = "stopped"
    """An operator stopped it."""
    CLOSED = "closed"
    """It is outside its hours."""
    COMPLETE = "complete"
    """Its data came to an end."""
    REFUSED = "refused"
    """Its orders would go to a venue, which its supervisor has not been allowed."""
    KILLED = "killed"
    """The kill switch ended it; only an operator starts it again."""


@dataclass
class DeploymentState:
    """How one deployment is."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}
    name: str
    file: str
    what: str
    phase: Phase = Phase.STOPPED
    why: str = ""
    """Why it is in this phase."""
    since: float = 0.0
    """When the phase began, seconds since the epoch."""
    results: str = ""
    meaning: str = ""
    """Of the file that the process was started with."""
    turn: int = 0
    """The operator's request that the process was started after."""
    run_id: str | None = None
    pid: int | None = None
    mark: str = ""
    """When the process was started, as the system has it."""
    log: str | None = None
    limits: str = "none"
    restarts: list[float] = field(default_factory=list)
    """When it was restarted after an unrequested end, within the last hour."""
    restart_count: int = 0
    """How often that was, ever."""
    due: float | None = None
    """When it is started next."""
    last_code: int | None = None
    seen: float = 0.0
    """When the supervisor last looked at its hours."""
    missed: int = 0
    """Starts that were missed, ever."""
    problem: str | None = None
    """What is wrong with its file now; it runs on as the file was before."""
    history: list[tuple[float, str]] = field(default_factory=list)

    @property
    def times(self) -> Iterator[float]:
        """Every time in it."""
        yield from (self.since, self.seen, self.due or 0.0, *self.restarts)
        yield from (time for time, _ in self.history)

    def remember(self, now: float, text: str) -> None:
        """Keep what happened, the latest of it."""
        self.history = [*self.history[-_MOST_HISTORY + 1 :], (now, text)]


@dataclass(frozen=True)
class Request:
    """What an operator wants of a deployment."""

    wanted: bool = True
    """Whether it is to run at all."""
    turn: int = 0
    """Grows with each restart that was asked for."""


class SupervisorFolder:
    """The folder of one supervisor."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.states = folder / "state"
        self.requests = folder / "requests"
        self.logs = folder / "logs"
        self.heartbeats = folder / "heartbeats"
        self._problems = folder / "problems.json"

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder; raises ``UsageError`` when another supervisor does."""
        with storage_errors(self.folder, "give --state a folder that can be written"):
            for each in (self.states, self.requests, self.logs, self.heartbeats):
                each.mkdir(parents=True, exist_ok=True)
            handle = open_lock(self.folder / "lock")
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UsageError(
                    f"{self.folder}: another supervisor keeps these deployments up already; end "
                    "it first, or use it: 'trading-runtime deployments list'"
                ) from error
            yield

    @property
    def is_held(self) -> bool:
        """Whether a supervisor runs over this folder now."""
        try:
            with os.fdopen(open_regular(self.folder / "lock"), "rb") as handle:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    def read_states(self) -> dict[str, DeploymentState]:
        """Return the state of every deployment by name; raises ``DataError`` for a damaged one."""
        from pydantic import TypeAdapter, ValidationError

        form = TypeAdapter(DeploymentState)
        found = {}
        for path in sorted(self.states.glob("*.json")):
            try:
                state = form.validate_json(read_bytes(path, _MOST_BYTES))
            except FileNotFoundError:
                continue  # it was forgotten just now
            except OSError as error:
                raise DataError(f"{path}: cannot be read: {error.strerror}; {_REMEDY}") from error
            except ValidationError as error:
                raise DataError(f"{path}: damaged; {_REMEDY}") from error
            if not all(0 <= time <= _LAST_SECOND for time in state.times):
                raise DataError(f"{path}: damaged: a time is none; {_REMEDY}")
            found[state.name] = state
        return found

    def write_state(self, state: DeploymentState) -> None:
        """Store a state."""
        content = json.dumps(asdict(state), indent=1, ensure_ascii=False) + "\n"
        write_file(self.states / f"{state.name}.json", content)

    def write_problems(self, problems: Mapping[str, str]) -> None:
        """Store what is wrong with files, as messages by path."""
        write_file(self._problems, json.dumps(problems, indent=1, ensure_ascii=False) + "\n")

    def read_problems(self) -> dict[str, str]:
        """Return what the supervisor found wrong with files when it last looked."""
        try:
            content = json.loads(read_bytes(self._problems, _MOST_BYTES))
            return read_as(dict[str, str], content)
        except (OSError, ValueError, RecursionError):
            return {}

    def forget(self, name: str) -> None:
        """Remove the state of a deployment that is gone, and what was asked of it.

        Raises ``StorageError`` when that cannot be done.
        """
        for folder in (self.states, self.requests):
            path = folder / f"{name}.json"
            with storage_errors(path):
                path.unlink(missing_ok=True)

    def request(self, name: str) -> Request:
        """Return what an operator wants of a deployment."""
        try:
            content = json.loads(read_bytes(self.requests / f"{name}.json", _MOST_BYTES))
            return read_as(Request, content)
        except (OSError, ValueError, RecursionError):
            return Request()

    def write_request(self, name: str, request: Request) -> None:
        """Store what an operator wants."""
        write_file(self.requests / f"{name}.json", json.dumps(asdict(request)) + "\n")

    @property
    def requests_stamp(self) -> int:
        """Changes whenever a request is written."""
        try:
            return self.requests.stat().st_mtime_ns
        except OSError:
            return 0
