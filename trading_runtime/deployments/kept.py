"""One deployment that is kept up: started, checked, ended, and restarted when it crashes."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import shutil
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from trading_runtime.deployments.desired import DeploymentKind
from trading_runtime.deployments.limits import NoLimit
from trading_runtime.deployments.logs import LOG, last_message, log_folder, rotate
from trading_runtime.deployments.notices import Occasion
from trading_runtime.deployments.processes import SupervisedProcess
from trading_runtime.deployments.state import DeploymentState, Phase
from trading_runtime.deployments.times import is_within_hours, time_before
from trading_runtime.errors import Kind, TradingRuntimeError, UsageError
from trading_runtime.redaction import declare, redact
from trading_runtime.runs.opening import new_run_id
from trading_runtime.storage.files import MOST_DOCUMENT, read_bytes, write_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trading_runtime.deployments.desired import Desired
    from trading_runtime.deployments.limits import ControlGroups, Limit
    from trading_runtime.deployments.logs import LogUploads
    from trading_runtime.deployments.state import Request, SupervisorFolder

GRACE_SECONDS = 90.0
"""How long a process may take to end when it is asked to."""
_SHORT_GRACE_SECONDS = 5.0
"""The same for one that does not answer, or grows."""
_LONGEST_BACKOFF = 300.0
_HOUR = 3_600.0
_LATE_HEARTBEATS = 3
_MOST_AHEAD_SECONDS = 600.0
_START_SECONDS = 120.0
"""How long a session may take to its first heartbeat."""
_ROTATE_SECONDS = 5.0
_LATE_START_SECONDS = 60.0
_RESERVE = 1.1
"""A session looks at its own memory, and ends in good order; the system's bound is above that."""
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER")
"""Variables that every program gets."""
_SETTLED = {Phase.COMPLETE, Phase.KILLED, Phase.GAVE_UP}
"""Phases that last until the file changes or an operator asks for a start."""


@dataclass
class Surroundings:
    """What all deployments of a supervisor share."""

    folder: SupervisorFolder
    groups: ControlGroups
    prefix: str
    """Begins the names of its control groups; unique on this machine."""
    tell: Callable[[str, str], None]
    """Says in the supervisor's own log what happened to a deployment."""
    notify: Callable[[Desired, Occasion, str, str | None], None]
    uploads: LogUploads
    live: frozenset[str]
    """The names of deployments whose orders may go to a venue."""
    publish: Callable[[str, str, str | None], None]
    """Puts a deployment's document into its results, or takes it away, for metrics."""


@dataclass
class Kept:
    """A deployment, its process, and its state."""

    desired: Desired
    state: DeploymentState
    around: Surroundings
    is_gone: bool = False
    """Whether its file is gone: it is ended and then forgotten."""
    is_closing: bool = False
    """Whether the supervisor is about to end: nothing is started any more."""
    process: SupervisedProcess | None = None
    limit: Limit = field(default_factory=NoLimit)
    _began: float = 0.0
    """Monotonic; the start of the process as far as its heartbeat is concerned."""
    _beat: float = 0.0
    """When the file of its heartbeat was touched, by the wall clock."""
    _beaten: float = 0.0
    """Monotonic; when that was seen, or the end of a silence that was announced."""
    _restarts: list[float] = field(default_factory=list)
    """Monotonic; the restarts of the latest hour."""
    _due: float = 0.0
    """Monotonic; when a process that ended unasked is started again."""
    deadline: float | None = None
    """Monotonic; when a process that was asked to end is killed."""
    ends_because: str | None = None
    is_to_restart: bool = False
    """Whether the end that was asked for counts as a crash."""
    _rotated: float = 0.0
    _written: str = ""
    _unstored: str = ""
    """What could not be stored, and was told."""
    _published: str = ""

    def adopt(self) -> None:
        """Find a process again that an earlier supervisor left."""
        state = self.state
        now = time.time()
        # Between two supervisors only the wall clock tells how much time has passed.
        self._restarts = [time.monotonic() - max(now - at, 0.0) for at in state.restarts]
        if state.due is not None:
            left = min(max(state.due - now, 0.0), self._longest_backoff)
            self._due = time.monotonic() + left
        if state.pid is None:
            return
        self._declare_secrets()
        self.process = SupervisedProcess.found(state.pid, state.mark)
        if self.process is None:
            self.judge(self._left_code())
            self._keep()
            return
        self._began = time.monotonic()
        self.limit = self._limits()
        self.enter(Phase.RUNNING, "found again")

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is left."""
        return self.process is None

    def look(self, now: float, request: Request) -> None:
        """Do what is due; ``now`` is in seconds since the epoch."""
        if self.process is not None:
            self.look_at_process(self.process, request, now)
        if self.process is None and not self.is_gone and not self.is_closing:
            self.start_when_due(request, now)
        self._keep()

    def end(self, why: str) -> None:
        """Ask the process to end."""
        if self.process is not None and self.deadline is None:
            self.end_process(self.process, why)
            self._keep()

    def leave(self) -> None:
        """Let go of a process that is left alone."""
        self.process = None
        self._keep()

    # --- a process that lives, or has just ended ---

    def look_at_process(self, process: SupervisedProcess, request: Request, now: float) -> None:
        """End what should not run, and judge what has ended."""
        if not process.lives:
            code = process.code
            process.sweep()
            self.judge(code)
            return
        if self.deadline is not None:
            if time.monotonic() > self.deadline:
                process.signal(signal.SIGKILL)
            return
        if (why := self._unwanted(request, now)) is not None:
            self.end_process(process, why)
        elif self.state.meaning != self.desired.meaning:
            self.end_process(process, "its file changed")
        elif self.state.turn != request.turn:
            self.end_process(process, "an operator asked for a restart")
        elif (late := self._late()) is not None or (late := self.limit.look(process)) is not None:
            self.is_to_restart = True
            self.end_process(process, late)
        elif self.state.log is not None and time.monotonic() - self._rotated > _ROTATE_SECONDS:
            self._rotated = time.monotonic()
            rotate(Path(self.state.log))

    def _unwanted(self, request: Request, now: float) -> str | None:
        if self.is_gone:
            return "its file is gone"
        if not request.wanted:
            return "an operator stopped it"
        if self._is_refused:
            return "it may send no orders to a venue"
        return None if self._is_open(now) else "its hours are over"

    def _is_open(self, now: float) -> bool:
        hours = self.desired.schedule
        return hours is None or is_within_hours(hours, dt.datetime.fromtimestamp(now, dt.UTC))

    @property
    def _is_refused(self) -> bool:
        return self.desired.is_live and self.desired.name not in self.around.live

    def _late(self) -> str | None:
        """Return that its heartbeat is missing, if it is."""
        now = time.monotonic()
        most = max(_LATE_HEARTBEATS * self.desired.heartbeat, 1.0)
        try:
            touched = self._heartbeat.stat().st_mtime
        except OSError:
            if self.desired.what is not DeploymentKind.STRATEGY:
                return None
            most = max(most, _START_SECONDS)
        else:
            if touched != self._beat:
                # The wall clock may be set; a time in the future announces a silence.
                ahead = min(max(touched - time.time(), 0.0), _MOST_AHEAD_SECONDS)
                self._beat, self._beaten = touched, now + ahead
        silent = now - max(self._beaten, self._began)
        return f"no heartbeat for {silent:.0f} s" if silent > most else None

    @property
    def _heartbeat(self) -> Path:
        return self.around.folder.heartbeats / self.desired.name

    def end_process(self, process: SupervisedProcess, why: str) -> None:
        """Ask a process to end, and kill it when it takes too long."""
        self.ends_because = why
        self.deadline = time.monotonic() + (
            _SHORT_GRACE_SECONDS if self.is_to_restart else GRACE_SECONDS
        )
        self.enter(Phase.ENDING, why)
        process.signal(signal.SIGTERM)
        process.signal(signal.SIGCONT)  # one that is paused could not end

    def judge(self, code: int | None) -> None:
        """Decide what an end means; ``code`` is unknown for a process that was found again."""
        state, because = self.state, self.ends_because
        out_of_memory = self.limit.is_out_of_memory()
        self.limit.close()
        words = self.let_go(code)
        counts_as_crash = self.is_to_restart or because is None
        self.is_to_restart = False
        if because is not None and not counts_as_crash:
            self.enter(Phase.STOPPED, because)
            return
        if because is not None:
            why = because
        elif out_of_memory:
            why = f"out of memory: above limits.memory ({self.desired.memory:,} bytes)"
        else:
            why = self.shown_end(code, words)
        if self.desired.what is DeploymentKind.STRATEGY:
            # Also after a request to end: it may have ended on its own at the same moment.
            if code == Kind.OK.exit_code:
                self.enter(Phase.COMPLETE, "the data came to its end")
                return
            if code == Kind.KILLED.exit_code:
                self.enter(Phase.KILLED, why)
                self.around.notify(self.desired, Occasion.FAILURE, why, state.run_id)
                return
        self._crashed(why)

    def let_go(self, code: int | None) -> str:
        """Note that the process has ended; return its last words."""
        state = self.state
        words = last_message(Path(state.log)) if state.log else ""
        if state.log is not None and state.run_id is not None:
            self.around.uploads.start(Path(state.log), state.results, state.run_id)
        self.process, self.deadline, self.ends_because = None, None, None
        state.pid, state.last_code = None, code
        return words

    def shown_end(self, code: int | None, words: str) -> str:
        """Return how a process ended, for people."""
        if code is None:
            return f"it ended while no supervisor ran{words}"
        if code < 0:
            return f"ended by signal {_signal_name(-code)}{words}"
        if code == 0:
            return "it ended with exit code 0, although it should run on"
        kinds = {kind.exit_code: kind for kind in Kind}
        is_ours = self.desired.what is not DeploymentKind.PROGRAM and code in kinds
        return f"exit code {code}{f' ({kinds[code]})' if is_ours else ''}{words}"

    def _crashed(self, why: str) -> None:
        state, now = self.state, time.time()
        self._restarts = [at for at in self._restarts if time.monotonic() - at < _HOUR]
        count, most = len(self._restarts), self.desired.most_in_an_hour
        state.restarts = state.restarts[len(state.restarts) - count :]
        if count >= most:
            why = f"{count} restarts within an hour; the last end: {why}"
            self.enter(Phase.GAVE_UP, why)
            self.around.notify(self.desired, Occasion.CRASH_LOOP, why, state.run_id)
            return
        wait = min(self.desired.backoff * 2**count, self._longest_backoff)
        state.due, self._due = now + wait, time.monotonic() + wait
        self.enter(Phase.BACKING_OFF, f"{why}; restarted in {wait:g} s")
        self.around.notify(self.desired, Occasion.FAILURE, why, state.run_id)

    @property
    def _longest_backoff(self) -> float:
        return max(_LONGEST_BACKOFF, self.desired.backoff)

    def _left_code(self) -> int | None:
        """Return the exit code that follows from how a session ended its run, if it did."""
        if self.desired.what is not DeploymentKind.STRATEGY or self.state.run_id is None:
            return None
        path = Path(self.state.results) / "runs" / self.state.run_id / "metadata.json"
        with contextlib.suppress(OSError, ValueError, AttributeError):
            status = json.loads(read_bytes(path, MOST_DOCUMENT)).get("status")
            return {"complete": Kind.OK.exit_code, "killed": Kind.KILLED.exit_code}.get(status)
        return None

    # --- nothing runs ---

    def start_when_due(self, request: Request, now: float) -> None:
        """Start what should run, when it is time."""
        state = self.state
        self._look_for_missed(now)
        if (rest := self._rest(request, now)) is not None:
            if state.phase is not rest[0]:
                self.enter(*rest)
            return
        is_as_before = state.meaning == self.desired.meaning and state.turn == request.turn
        if is_as_before and state.phase in _SETTLED:
            return
        if is_as_before and state.phase is Phase.BACKING_OFF:
            if time.monotonic() < self._due:
                return
            self._restarts.append(time.monotonic())
            state.restarts.append(time.time())
            state.restart_count += 1
        elif not is_as_before:
            state.restarts, self._restarts = [], []
        state.due = None
        self.start(request)

    def _rest(self, request: Request, now: float) -> tuple[Phase, str] | None:
        """Return why it should not run now, if it should not."""
        if not request.wanted:
            return Phase.STOPPED, "an operator stopped it"
        if self._is_refused:
            allowed = f"start the supervisor with --live {self.state.name} when you mean it"
            return Phase.REFUSED, f"mode: live sends orders to a venue; {allowed}"
        return None if self._is_open(now) else (Phase.CLOSED, "it is outside its hours")

    def _look_for_missed(self, now: float) -> None:
        """Report a start that passed while the supervisor was not running."""
        state, hours = self.state, self.desired.schedule
        seen, state.seen = state.seen, now if hours is not None else 0.0
        if hours is None or not seen or now - seen < _LATE_START_SECONDS:
            return
        last = time_before(hours.start, hours.time_zone, dt.datetime.fromtimestamp(now, dt.UTC))
        if last is not None and seen < last.timestamp() < now - _LATE_START_SECONDS:
            state.missed += 1
            why = f"the start at {last:%Y-%m-%d %H:%M} UTC passed while no supervisor looked"
            state.remember(now, why)
            self.around.tell(state.name, why)
            self.around.notify(self.desired, Occasion.MISSED, why, None)

    def start(self, request: Request) -> None:
        """Start a process under a new run id."""
        state, desired = self.state, self.desired
        self._declare_secrets()
        state.meaning, state.turn = desired.meaning, request.turn
        state.file, state.results, state.what = str(desired.path), desired.results, desired.what
        run_id = new_run_id(desired.name, dt.datetime.now(dt.UTC), self._taken())
        folder = log_folder(desired.results, run_id, self.around.folder.logs)
        state.run_id, state.log = run_id, str(folder / LOG)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._heartbeat.unlink(missing_ok=True)
            self.limit = self._limits()
            state.limits = self.limit.how
            self.process = SupervisedProcess.start(
                self.command(run_id),
                desired.path.parent,
                self._environment(run_id, folder),
                folder / LOG,
                self.limit.groups,
            )
        except (OSError, TradingRuntimeError) as error:
            self.limit.close()
            self._crashed(f"it cannot be started: {error}")
            return
        self._began, self._beat, self._beaten = time.monotonic(), 0.0, 0.0
        state.pid, state.mark = self.process.pid, self.process.mark
        self.enter(Phase.RUNNING, f"run {run_id}")
        # Killed before this is stored, a supervisor leaves no process that nobody knows.
        self._keep()
        self.process.release()

    def _taken(self) -> set[str]:
        name = self.desired.name
        known = {self.state.run_id or ""}
        for folder in (Path(self.desired.results) / "runs", self.around.folder.logs):
            known |= {path.name for path in folder.glob(f"{name}-*")}
        return known

    def _limits(self) -> Limit:
        memory = self.desired.memory
        if memory is not None and self.desired.what is DeploymentKind.STRATEGY:
            memory = round(memory * _RESERVE)
        name = f"{self.around.prefix}-{self.desired.name}"
        return self.around.groups.limit(name, memory, self.desired.cpu)

    def command(self, run_id: str) -> list[str]:
        """Return what is run under an id; raises ``UsageError`` when it cannot be."""
        program = self.desired.program
        if program is None:
            does = "run" if self.desired.what is DeploymentKind.RESEARCH else "trade"
            module = [sys.executable, "-P", "-m", "trading_runtime.cli.main"]
            live = ["--live"] if self.desired.is_live else []
            return [*module, does, str(self.desired.path), "--run-id", run_id, *live]
        first = program.command[0]
        here = self.desired.path.parent / first
        is_path = "/" in first
        if not (here.is_file() if is_path else shutil.which(first)):
            raise UsageError(
                f"program.command: there is no {first!r}; give a program on the PATH, or a path "
                "relative to the file"
            )
        return [str(here) if is_path else first, *program.command[1:]]

    def _environment(self, run_id: str, folder: Path) -> Mapping[str, str]:
        program = self.desired.program
        ours = {"TRADING_RUNTIME_HEARTBEAT": str(self._heartbeat), "PYTHONUNBUFFERED": "1"}
        if program is None:
            return os.environ | ours
        missing = [name for name in program.secrets if name not in os.environ]
        if missing:
            raise UsageError(
                f"program.secrets: the supervisor has no variable {', '.join(missing)}; set it "
                "where the supervisor is started"
            )
        content = {"deployment": self.desired.name, "run_id": run_id, "config": program.config}
        file = folder / "program.json"
        write_file(file, json.dumps(content, indent=1, default=float) + "\n")
        return {
            **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            **ours,
            "TRADING_RUNTIME_DEPLOYMENT": self.desired.name,
            "TRADING_RUNTIME_RUN_ID": run_id,
            "TRADING_RUNTIME_CONFIG": json.dumps(program.config, default=float),
            "TRADING_RUNTIME_CONFIG_FILE": str(file),
            **{name: os.environ[name] for name in program.secrets},
            **program.environment,
        }

    def _declare_secrets(self) -> None:
        """Treat what its file names as secrets: a process may print them, also one found again."""
        declare(target.url_from for target in self.desired.notify)
        if self.desired.program is not None:
            declare(self.desired.program.secrets)

    # --- its state ---

    def enter(self, phase: Phase, why: str) -> None:
        """Begin a phase, and say so; ``why`` may have the words of the process."""
        state, now, why = self.state, time.time(), redact(why)
        state.phase, state.why, state.since = phase, why, now
        state.remember(now, f"{phase}: {why}")
        self.around.tell(state.name, f"{phase}: {why}")

    def _publish(self) -> None:
        """Tell what metrics are made of, when it changes and once a minute."""
        state = self.state
        if not state.results:
            return
        document = {
            "wanted": state.phase not in _NOT_WANTED,
            "running": state.phase in _AT_WORK,
            "gave_up": state.phase is Phase.GAVE_UP,
            "restarts": state.restart_count,
            "missed": state.missed,
        }
        shown = repr((document, time.time() // _LATE_START_SECONDS))
        if shown != self._published:
            self._published = shown
            content = json.dumps({**document, "time": time.time()}) + "\n"
            self.around.publish(state.results, state.name, content)

    def forget(self) -> None:
        """Remove what was published about it."""
        if self.state.results:
            self.around.publish(self.state.results, self.state.name, None)

    def _keep(self) -> None:
        """Store the state when it has changed, apart from when it was looked at.

        Without it another supervisor would not find the process, and would start a second one.
        """
        state = self.state
        shown = repr((state.phase, state.since, state.run_id, state.pid, state.problem))
        shown += repr((state.due, state.missed, state.seen // _LATE_START_SECONDS))
        self._publish()
        if shown != self._written:
            try:
                self.around.folder.write_state(state)
            except TradingRuntimeError as error:
                if self._unstored != shown:
                    self.around.tell(
                        state.name, f"its state could not be stored; tried again: {error}"
                    )
                self._unstored = shown
            else:
                self._written = shown


_AT_WORK = {Phase.RUNNING, Phase.ENDING}
_NOT_WANTED = {Phase.STOPPED, Phase.CLOSED, Phase.COMPLETE, Phase.KILLED, Phase.WAITING}


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
