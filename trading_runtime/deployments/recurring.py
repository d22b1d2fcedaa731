"""An experiment that is run at set times: one run at a time; missed ones are not made up for."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from trading_runtime.deployments.kept import Kept
from trading_runtime.deployments.notices import Occasion
from trading_runtime.deployments.state import Phase
from trading_runtime.deployments.times import time_after
from trading_runtime.errors import Kind

if TYPE_CHECKING:
    from trading_runtime.deployments.processes import SupervisedProcess
    from trading_runtime.deployments.state import Request

_LATE_SECONDS = 60.0


class Recurring(Kept):
    """Research on a schedule, on this machine."""

    def look_at_process(self, process: SupervisedProcess, request: Request, now: float) -> None:
        """Wait for the end of a run; a changed file counts from the next one on."""
        if not process.lives:
            code = process.code
            process.sweep()
            self.judge(code)
        elif self.deadline is not None:
            super().look_at_process(process, request, now)
        elif self.is_gone or not request.wanted:
            self.end_process(
                process, "its file is gone" if self.is_gone else "an operator stopped it"
            )
        elif self.state.due is not None and now >= self.state.due:
            self._miss("the run before it was still going")
            self._set_due(now)

    def start_when_due(self, request: Request, now: float) -> None:
        """Run the experiment when it is time."""
        state = self.state
        if not request.wanted:
            if state.phase is not Phase.STOPPED:
                self.enter(Phase.STOPPED, "an operator stopped it")
            return
        is_asked_for = state.turn != request.turn
        if state.meaning != self.desired.meaning or state.phase is Phase.STOPPED:
            # It is new, changed, or was stopped: earlier start times do not apply.
            state.meaning = self.desired.meaning
            self._set_due(now)
            self.enter(Phase.WAITING, f"the first run is at {self._due_shown}")
        if is_asked_for:
            self._run(request, now)
        elif state.due is not None and now >= state.due:
            if now - state.due > _LATE_SECONDS:
                self._miss("no supervisor looked")
                self._set_due(now)
            else:
                self._run(request, now)

    def _run(self, request: Request, now: float) -> None:
        self._set_due(now)  # stored with the process
        self.start(request)
        self._set_due(now)  # also after a start that failed

    def judge(self, code: int | None) -> None:
        """Say how a run ended; the next one comes at its time."""
        because = self.ends_because
        words = self.let_go(code)
        if because is not None:
            self.enter(Phase.STOPPED, because)
        elif code == Kind.OK.exit_code:
            self.enter(Phase.WAITING, f"the last run is complete; the next is at {self._due_shown}")
        else:
            why = self.shown_end(code, words)
            self.enter(Phase.WAITING, f"{why}; the next run is at {self._due_shown}")
            self.around.notify(self.desired, Occasion.FAILURE, why, self.state.run_id)

    def _set_due(self, now: float) -> None:
        times = self.desired.times
        if times is None:
            raise AssertionError(self.desired.name)
        found = time_after(times.cron, times.time_zone, dt.datetime.fromtimestamp(now, dt.UTC))
        self.state.due = None if found is None else found.timestamp()

    def _miss(self, why: str) -> None:
        self.state.missed += 1
        text = f"the run at {self._due_shown} was missed: {why}"
        self.state.remember(self.state.due or 0.0, text)
        self.around.tell(self.state.name, text)
        self.around.notify(self.desired, Occasion.MISSED, text, None)

    @property
    def _due_shown(self) -> str:
        due = self.state.due
        if due is None:
            return "no time that ever comes"
        return f"{dt.datetime.fromtimestamp(due, dt.UTC):%Y-%m-%d %H:%M} UTC"
