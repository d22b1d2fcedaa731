"""The events of operating: kill switch, refused orders, readiness, probes and drills."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from trading_runtime.errors import Kind
from trading_runtime.runs.events import Event


class Verdict(StrEnum):
    """What a drill has shown."""

    PASSED = "passed"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class OrderRefused(Event):
    """The risk profile refused orders of a task."""

    task_id: str
    rule: str
    count: int
    message: str | None = None


@dataclass(frozen=True, kw_only=True)
class KillActivated(Event):
    """The kill switch was put on."""

    reason: str
    user: str | None = None
    host: str | None = None
    run_id: str | None = None
    """The run that it is for; none for all."""


@dataclass(frozen=True, kw_only=True)
class KillCleared(Event):
    """The kill switch was taken off."""

    reason: str | None = None
    user: str | None = None
    host: str | None = None
    run_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class ReadinessChecked(Event):
    """It was asked whether an experiment may trade."""

    ready: bool
    checks: dict[str, str]
    """The state of each check by its name."""


@dataclass(frozen=True, kw_only=True)
class ProbeCompleted(Event):
    """An address was asked whether it answers."""

    address: str
    """Scheme, host, port and path; nothing else of the URL."""
    state: str
    seconds: float
    status: int | None = None
    """Of HTTP."""
    bytes: int | None = None
    message: str | None = None


@dataclass(frozen=True, kw_only=True)
class ReconciliationCompleted(Event):
    """Orders, fills, positions and balances of a run were compared with a venue's snapshot."""

    snapshot: str
    """The sha256 of the snapshot."""
    matched: int
    mismatched: int
    unknown: int
    outcome: Kind


@dataclass(frozen=True, kw_only=True)
class DrillStarted(Event):
    """A fault is about to be made on purpose."""

    drill: str
    sabotage: bool = False
    """Whether the safeguard is off, so that the drill must fail."""


@dataclass(frozen=True, kw_only=True)
class DrillCompleted(Event):
    """A drill came to its verdict."""

    drill: str
    verdict: Verdict
    sabotage: bool = False
    seconds: float | None = None
    message: str | None = None
