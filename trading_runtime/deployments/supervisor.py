"""The supervisor: keeps what runs on this machine equal to what the files want."""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trading_runtime.deployments.desired import DeploymentKind, DesiredFiles
from trading_runtime.deployments.kept import GRACE_SECONDS, Kept, Surroundings
from trading_runtime.deployments.limits import ControlGroups
from trading_runtime.deployments.logs import LogUploads
from trading_runtime.deployments.notices import Notice, Notices
from trading_runtime.deployments.processes import SupervisedProcess
from trading_runtime.deployments.recurring import Recurring
from trading_runtime.deployments.state import DeploymentState, SupervisorFolder
from trading_runtime.deployments.times import ClockOfSchedules
from trading_runtime.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from trading_runtime.deployments.desired import Desired
    from trading_runtime.deployments.notices import Occasion
    from trading_runtime.deployments.state import Request

_LOOK_SECONDS = 0.5
_FILES_SECONDS = 1.0
_THOROUGH_SECONDS = 30.0


@dataclass
class Supervisor:
    """Keeps the deployments of files and folders up, in this process."""

    places: Sequence[Path]
    folder: SupervisorFolder
    say: Callable[[str], None]
    """Prints a line of its own log."""
    detach: bool = False
    """Whether processes are left alone when the supervisor ends."""
    live: frozenset[str] = frozenset()
    """The names of deployments whose orders may go to a venue."""
    _kept: dict[str, Kept] = field(default_factory=dict)
    _requests: dict[str, Request] = field(default_factory=dict)
    _requests_stamp: int = -1
    _problems: dict[Path, str] = field(default_factory=dict)
    _is_unstored: bool = False
    """Whether ``_problems`` could not be stored, and this was said."""
    _received: int | None = None
    _clock: ClockOfSchedules = field(init=False)
    _woken: int = -1
    """The reading end of a pipe that each signal writes into."""
    _files: DesiredFiles = field(init=False)
    _around: Surroundings = field(init=False)

    def run(self) -> int | None:
        """Keep them up until a signal comes; return the signal.

        Raises ``UsageError`` when another supervisor has the folder.
        """
        with self.folder.held(), self._signals():
            self._clock = ClockOfSchedules(self.say)
            self._files = DesiredFiles(self.places)
            notices, uploads = Notices(self.say), LogUploads(self.say)
            groups = ControlGroups.usable()
            place = hashlib.sha256(str(self.folder.folder.absolute()).encode()).hexdigest()[:8]
            how = f"control groups, version {groups.version}" if groups.version else "from outside"
            self.say(f"limits are kept by {how}")

            def notify(desired: Desired, occasion: Occasion, text: str, run_id: str | None) -> None:
                notices.send(desired.notify, Notice.now(occasion, desired.name, text, run_id))

            self._around = Surroundings(
                self.folder,
                groups,
                f"trading-runtime-{place}",
                lambda name, text: self.say(f"{name}: {text}"),
                notify,
                uploads,
                self.live,
                uploads.publish,
            )
            self.folder.write_problems({})
            self._read_files(thoroughly=False)
            there = {name for name, desired in self._files.wanted.items() if desired.is_live}
            for name in sorted(self.live - there):
                self.say(f"warning: --live {name}: no file has a live deployment of that name")
            self._find_again()
            self._loop()
            self._leave()
            notices.finish()
            uploads.finish()
        return self._received

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Note signals that end it, and wake up for those and for the end of a process."""

        def receive(number: int, _frame: object) -> None:
            self._received = number

        def wake(_number: int, _frame: object) -> None:
            """Do nothing: a handler is what makes the signal wake the loop up."""

        handlers = {signal.SIGTERM: receive, signal.SIGINT: receive, signal.SIGCHLD: wake}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        self._woken, waking = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(-1)
            for descriptor in (self._woken, waking):
                os.close(descriptor)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _wait(self) -> None:
        """Wait for a signal, or until it is time to look again."""
        if select.select([self._woken], [], [], _LOOK_SECONDS)[0]:
            with contextlib.suppress(BlockingIOError):
                os.read(self._woken, 4_096)

    def _loop(self) -> None:
        looked = read = time.monotonic()
        while self._received is None:
            now = time.monotonic()
            if now - looked >= _FILES_SECONDS:
                thoroughly = now - read >= _THOROUGH_SECONDS
                looked, read = now, now if thoroughly else read
                if thoroughly:
                    self._requests_stamp = -1
                self._read_files(thoroughly=thoroughly)
            self._look()
            self._wait()

    def _read_files(self, *, thoroughly: bool) -> None:
        self._files.look(thoroughly=thoroughly)
        problems = self._files.problems
        for path, problem in problems.items():
            if self._problems.get(path) != problem:
                self.say(f"error: {problem}")
        if problems != self._problems or self._is_unstored:
            self._store_problems({str(path): text for path, text in problems.items()})
        self._problems = problems
        wanted = self._files.wanted
        for name, desired in wanted.items():
            if name not in self._kept:
                state = DeploymentState(name, str(desired.path), desired.what)
                kind = Recurring if desired.what is DeploymentKind.RESEARCH else Kept
                self._kept[name] = kind(desired, state, self._around)
            kept = self._kept[name]
            if kept.desired.what is not desired.what:
                kept.is_gone = True  # and the next look begins with what it is now
                continue
            kept.desired, kept.is_gone = desired, False
            kept.state.problem = problems.get(desired.path)
        for name, kept in self._kept.items():
            if name not in wanted:
                kept.is_gone = True

    def _store_problems(self, problems: Mapping[str, str]) -> None:
        try:
            self.folder.write_problems(problems)
        except StorageError as error:
            if not self._is_unstored:
                self.say(f"error: {error}")
            self._is_unstored = True
        else:
            self._is_unstored = False

    def _find_again(self) -> None:
        """Take over what an earlier supervisor knew; end what no file wants any more."""
        for name, state in self.folder.read_states().items():
            kept = self._kept.get(name)
            if kept is None:
                if state.pid is not None:
                    self.say(f"{name}: its file is gone, and its process {state.pid} is ended")
                    _end_forgotten(state)
                self._forget(name)
                continue
            kept.state = state
            kept.adopt()

    def _forget(self, name: str) -> None:
        try:
            self.folder.forget(name)
        except StorageError as error:
            self.say(f"{name}: {error}")

    def _look(self) -> None:
        if (stamp := self.folder.requests_stamp) != self._requests_stamp:
            self._requests_stamp, self._requests = stamp, {}
        now = self._clock.now()
        for name, kept in list(self._kept.items()):
            if name not in self._requests:
                self._requests[name] = self.folder.request(name)
            try:
                kept.look(now, self._requests[name])
            except StorageError as error:
                self.say(f"{name}: {error}")
            if kept.is_gone and kept.is_over:
                kept.forget()
                del self._kept[name]
                self._forget(name)

    def _leave(self) -> None:
        if self.detach:
            for kept in self._kept.values():
                kept.leave()
            return
        for kept in self._kept.values():
            kept.is_closing = True
            kept.end("the supervisor ended")
        while any(not kept.is_over for kept in self._kept.values()):
            self._look()
            self._wait()


def _end_forgotten(state: DeploymentState) -> None:
    process = SupervisedProcess.found(state.pid or 0, state.mark)
    deadline = time.monotonic() + GRACE_SECONDS
    while process is not None and process.lives:
        is_late = time.monotonic() > deadline
        process.signal(signal.SIGKILL if is_late else signal.SIGTERM)
        time.sleep(_LOOK_SECONDS)
