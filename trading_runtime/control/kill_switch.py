"""What ends a run early: the kill switch, a signal, runs stop."""

from __future__ import annotations

import json
import platform
import time
import uuid
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from trading_runtime.errors import KilledError, UsageError
from trading_runtime.records.events import KillActivated, KillCleared
from trading_runtime.records.reasons import checked_reason, user_name
from trading_runtime.runs.metadata import now_text
from trading_runtime.runs.opening import append_events

if TYPE_CHECKING:
    from collections.abc import Callable

    from trading_runtime.results.store import Store


_ON = "kill-switch/on/"
_REDUCING = "kill-switch/reduce/"
_HISTORY = "kill-switch/history/"
_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Switching:
    """One time that the switch was changed."""

    action: str
    """``activate``, ``reduce`` or ``clear``."""
    run_id: str | None
    """The run it applies to; none for all runs."""
    reason: str
    time: str
    """UTC, ISO 8601."""
    user: str | None
    host: str

    @property
    def shown(self) -> str:
        """Its wording in a message."""
        what = "all runs" if self.run_id is None else f"run {self.run_id!r}"
        how = "reducing only" if self.action == "reduce" else "on"
        return f"{how} for {what} since {self.time} ({self.reason})"


class KillSwitch:
    """The kill switch of one results folder: on or off for all its runs or for one.

    In the folder of the results, or below the same names in S3:

        kill-switch/on/all.json             present while it is on for every run
        kill-switch/on/run.<run_id>.json    present while it is on for one run
        kill-switch/reduce/…                the same for sessions that may only reduce positions
        kill-switch/history/<time>-….json   one file for each time it was switched, never removed
    """

    def __init__(self, store: Store, *, reduce: bool = False, brief: bool = False) -> None:
        """Choose the switch that halts or, with ``reduce``, that only lets sessions reduce.

        With ``brief``, a request that gets no answer soon is not repeated.
        """
        self._store = store
        self._on = _REDUCING if reduce else _ON
        self._action = "reduce" if reduce else "activate"
        self._place = store.place
        self._objects = store.objects.brief() if brief else store.objects
        self.seconds_between_checks = store.objects.pause(_LOOK_SECONDS)

    def activate(self, reason: str, run_id: str | None = None) -> Switching:
        """Turn it on, for one run or for all."""
        switched = _switching(self._action, run_id, reason)
        # Stop orders first, then record it.
        self._objects.write(self._name(run_id), _content(switched))
        self._remember(switched)
        return switched

    def clear(self, reason: str, run_id: str | None = None) -> Switching:
        """Turn it off again; raises ``UsageError`` when it is not on."""
        if self._switching(self._name(run_id)) is None:
            what = "for all runs" if run_id is None else f"for run {run_id!r}"
            raise UsageError(
                f"the kill switch of {self._place} is not on {what}; see "
                "'trading-runtime kill status'"
            )
        switched = _switching("clear", run_id, reason)
        self._remember(switched)
        self._objects.remove(self._name(run_id))
        return switched

    def on_for(self, run_id: str) -> Switching | None:
        """Return what turned it on for a run, whether for that run or for all."""
        return self._switching(self._name(None)) or self._switching(self._name(run_id))

    def active(self) -> list[Switching]:
        """Return all switches that are on now, those for all runs first."""
        return self._switchings(self._on)

    def history(self) -> list[Switching]:
        """Return every change of the switch, oldest first."""
        return self._switchings(_HISTORY)

    def refuse_start(self, run_id: str) -> None:
        """Raise ``KilledError`` when it is on for the run."""
        if (switched := self.on_for(run_id)) is not None:
            given = "" if switched.run_id is None else f" --run {run_id}"
            raise KilledError(
                f"run {run_id!r} is not started: the kill switch is {switched.shown}; when it is "
                f"safe to resume: trading-runtime kill clear --reason …{given} "
                f"--results {self._place}"
            )

    def append_event(self, switched: Switching) -> None:
        """Write it to the journal of the run it applies to, if that run exists."""
        if switched.run_id is not None and switched.run_id in self._store.run_ids():
            event = KillCleared if switched.action == "clear" else KillActivated
            append_events(
                self._store,
                switched.run_id,
                "kill",
                event(
                    reason=switched.reason,
                    user=switched.user,
                    host=switched.host,
                    run_id=switched.run_id,
                ),
            )

    def _switchings(self, folder: str) -> list[Switching]:
        names = sorted(name for name in self._objects.sizes(folder) if name.endswith(".json"))
        return [item for name in names if (item := self._switching(name)) is not None]

    def _switching(self, name: str) -> Switching | None:
        try:
            content = self._objects.read(name)
        except FileNotFoundError:
            return None
        try:
            return Switching(**json.loads(content))
        except (ValueError, TypeError):
            # Its existence is what matters: a damaged switch is one that is on.
            run = name.removeprefix(f"{self._on}run.").removesuffix(".json")
            return Switching(
                self._action, None if "/" in run else run, "unreadable", "unknown", None, ""
            )

    def _name(self, run_id: str | None) -> str:
        return f"{self._on}all.json" if run_id is None else f"{self._on}run.{run_id}.json"

    def _remember(self, switched: Switching) -> None:
        name = f"{_HISTORY}{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.json"
        self._objects.write(name, _content(switched))


class KillSwitchPoller:
    """Reads the switch for one active run, as often as is cheap."""

    def __init__(
        self, store: Store, run_id: str, *, reduce: bool = False, brief: bool = False
    ) -> None:
        """With ``brief`` a question that gets no answer soon fails, instead of being repeated."""
        self._switch = KillSwitch(store, reduce=reduce, brief=brief)
        self._run_id = run_id
        self._checked = float("-inf")
        self._latest: Switching | None = None
        self.switched: Switching | None = None
        """What turned it on, once that was seen; it stays."""

    def __call__(self) -> bool:
        """Return whether the run is to be killed.

        Raises ``TransientError`` or ``StorageError`` when the switch cannot be read: a run whose
        switch cannot be read is not continued.
        """
        if self.switched is None:
            self.switched = self.look()
        return self.switched is not None

    def look(self) -> Switching | None:
        """Return what has turned it on, checked as often as is cheap; raises as the call does."""
        if time.monotonic() - self._checked >= self._switch.seconds_between_checks:
            self._latest = self._switch.on_for(self._run_id)
            self._checked = time.monotonic()
        return self._latest


def _switching(action: str, run_id: str | None, reason: str) -> Switching:
    reason = checked_reason(reason, "history")
    return Switching(action, run_id, reason, now_text(), user_name(), platform.node())


def _content(switched: Switching) -> bytes:
    content: dict[str, Any] = asdict(switched)
    return json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n"


class StopControl:
    """Checks whether a run that is being computed has to end."""

    def __init__(self, store: Store, run_id: str, *requests: Callable[[], bool]) -> None:
        """``requests`` return whether the end was requested: by a signal, by ``runs stop``."""
        self._watch = KillSwitchPoller(store, run_id)
        self._requests = requests

    def should_end(self) -> bool:
        """Return whether the run has to end now.

        Raises ``TransientError`` or ``StorageError`` when the kill switch cannot be read.
        """
        return self._watch() or any(request() for request in self._requests)

    @property
    def killed(self) -> Switching | None:
        """What turned the kill switch on, once that was seen; it stays."""
        return self._watch.switched
