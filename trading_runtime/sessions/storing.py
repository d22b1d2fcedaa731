"""What a session asks its storage and stores there, kept apart from its event loop.

A disk is asked in the loop. A request to S3 may take long, and a server that accepts a connection
may never answer. Threads make these requests. The loop takes the newest answers, and judges by how
long there was none. What has to be on a disk, and not only written, is stored in a thread as well:
until it is there, milliseconds pass in which a row may come.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from typing import TYPE_CHECKING

from trading_runtime.control.kill_switch import KillSwitchPoller
from trading_runtime.errors import LeaseLostError, TransientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trading_runtime.control.kill_switch import Switching
    from trading_runtime.results.store import Store
    from trading_runtime.runs.opening import OpenRun
    from trading_runtime.sessions.account import SessionAccount

_SILENT_SECONDS = 8.0
"""How long a question may be without an answer. A lease that was not renewed because of that lasts
two seconds more: in these, orders are cancelled by the one who may."""
_MOST_COUNTED = 1.0
"""What counts at most between two looks: a suspended process has not waited."""
_PAUSE_SECONDS = 0.1
_AGAIN_SECONDS = 1.0
_AT_END_SECONDS = 60.0


class Question[T]:
    """A question that is asked several times a second."""

    def __init__(self, ask: Callable[[], T], place: str, *, is_remote: bool) -> None:
        """``ask`` limits how often the storage is asked, and does not wait long for it."""
        self._ask, self._place, self._is_remote = ask, place, is_remote
        self._answer: T | None = None
        self._error: Exception | None = None
        self._answers = self._seen = 0
        self._looked: float | None = None
        self._silent = 0.0

    @property
    def is_answered(self) -> bool:
        """Whether there was an answer; a disk gives it when it is asked."""
        return not self._is_remote or bool(self._answers) or self._error is not None

    def __call__(self) -> T | None:
        """Return the newest answer, ``None`` before the first; raise what came instead of it.

        Raises ``TransientError`` when there was none for too long.
        """
        if not self._is_remote:
            return self._ask()
        if (error := self._error) is not None:
            raise error
        if self.is_silent():
            raise TransientError(
                f"{self._place}: the storage has not answered for {_SILENT_SECONDS:.0f} s"
            )
        return self._answer

    def is_silent(self) -> bool:
        """Return whether there was no answer for too long, as of this look."""
        now = time.monotonic()
        if self._answers != self._seen or self._looked is None:
            self._seen, self._silent = self._answers, 0.0
        else:
            self._silent += min(now - self._looked, _MOST_COUNTED)
        self._looked = now
        return self._is_remote and self._silent > _SILENT_SECONDS

    def repeat(self, ended: threading.Event) -> None:
        """Ask repeatedly; in a thread."""
        while not ended.wait(_PAUSE_SECONDS):
            try:
                answer = self._ask()
            except LeaseLostError as error:
                self._error = error
            except TransientError:
                continue  # asked again; the loop limits how long
            except Exception as error:  # noqa: BLE001 - raised to the caller that wants the answer
                self._error = error
            else:
                self._answer, self._error = answer, None
                self._answers += 1


class Outbox:
    """What is to be stored: in the order in which it was given, of each name only the newest."""

    def __init__(self, *, is_remote: bool) -> None:
        self._is_remote = is_remote
        self._changed = threading.Condition()
        self._waiting: dict[str, Callable[[], object]] = {}
        self._is_working = self._is_closed = False
        self._error: Exception | None = None

    def put(self, name: str, job: Callable[[], object], *, beside: bool = False) -> None:
        """Do the job soon, and let ``check`` raise what it raises; on a disk do it now.

        With ``beside`` it is done soon on a disk as well, as all jobs of this name have to be.
        """
        if not (self._is_remote or beside):
            with contextlib.suppress(TransientError):
                job()
            return
        with self._changed:
            self._waiting[name] = job
            self._changed.notify_all()

    def check(self) -> None:
        """Raise what a job has raised."""
        if self._error is not None:
            raise self._error

    @property
    def is_empty(self) -> bool:
        """Whether everything is stored."""
        with self._changed:
            return not self._waiting and not self._is_working

    def wait(self, seconds: float) -> None:
        """Wait until everything is stored, for so long at most."""
        with self._changed:
            self._changed.wait_for(lambda: self.is_empty, seconds)

    def close(self) -> None:
        """Begin no more jobs."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def work(self) -> None:
        """Do the jobs; in a thread."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_closed)
                if self._is_closed:
                    return
                name = next(iter(self._waiting))
                job = self._waiting.pop(name)
                self._is_working = True
            is_later = False
            try:
                job()
            except LeaseLostError as error:
                self._error = error
            except TransientError:
                is_later = True
            except Exception as error:  # noqa: BLE001 - raised in the loop
                self._error = error
            with self._changed:
                self._is_working = False
                self._changed.notify_all()
                if is_later:
                    self._waiting.setdefault(name, job)
                    self._changed.wait_for(lambda: self._is_closed, _AGAIN_SECONDS)


class SessionStorage:
    """The questions and the outbox of one session."""

    def __init__(self, store: Store, run_id: str, opened: OpenRun, account: SessionAccount) -> None:
        self.is_remote = not store.objects.has_file_locks
        self._switch = KillSwitchPoller(store, run_id, brief=True)
        self._reducing = KillSwitchPoller(store, run_id, reduce=True, brief=True)

        def question[T](ask: Callable[[], T]) -> Question[T]:
            return Question(ask, store.place, is_remote=self.is_remote)

        self.killed = question(self._switch)
        self.reducing = question(self._reducing.look)
        self.held = question(account.check)
        """Raises when the account is lost."""
        self.stop_requested = question(functools.partial(opened.stop_requested, brief=True))
        self._questions = (self.killed, self.reducing, self.held, self.stop_requested)
        self.outbox = Outbox(is_remote=self.is_remote)
        self.is_silent = False
        """Whether at the end something was left that could not be stored."""

    @property
    def killed_by(self) -> Switching | None:
        """What turned the kill switch on, once that was seen."""
        return self._switch.switched

    @property
    def is_answered(self) -> bool:
        """Whether each question was answered."""
        return all(question.is_answered for question in self._questions)

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Ask and store for as long as the block lasts, and at its end store what is left."""
        ended = threading.Event()
        if self.is_remote:
            for question in self._questions:
                repeat = functools.partial(question.repeat, ended)
                threading.Thread(target=repeat, daemon=True).start()
        threading.Thread(target=self.outbox.work, daemon=True).start()
        try:
            yield
        finally:
            self._store_the_rest()
            self.outbox.close()
            ended.set()

    def _store_the_rest(self) -> None:
        deadline = time.monotonic() + _AT_END_SECONDS
        while not self.outbox.is_empty:
            silent = [question.is_silent() for question in self._questions]
            if any(silent) or time.monotonic() > deadline:
                self.is_silent = True
                return
            self.outbox.wait(_PAUSE_SECONDS)
