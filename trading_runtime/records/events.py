"""The events of runs and operations: each a type whose fields are the payload of its line.

An event's name is that of its class: ``task_completed`` for ``TaskCompleted``. A field that is
``None`` is omitted from the line. The JSON Schema of all lines is ``schemas/journal.schema.json``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, is_dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, dataclass_transform

from trading_runtime.errors import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping


class Mode(StrEnum):
    """What the orders of a run are for."""

    RESEARCH = "research"
    """Simulated orders on stored data."""
    PAPER = "paper"
    """Simulated orders on data as it comes."""
    LIVE = "live"
    """Orders at a venue."""


class ExecutorKind(StrEnum):
    """What starts the processes of a run."""

    LOCAL = "local"
    """Worker processes of one machine."""
    ARGO = "argo"
    """Pods of a workflow."""


class Record:
    """Base of recorded documents: annotations and docstrings of its fields become a JSON Schema."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"use_attribute_docstrings": True}


STRICT = {**Record.__pydantic_config__, "extra": "forbid"}
"""The configuration of records that have no fields but those declared."""


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Event(Record):
    """Base of all events, which are frozen dataclasses.

    Each becomes one when it is first used: a process uses a few of them, and a quarter of the
    start of a session would go into making them all.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    event: ClassVar[str]
    """The name used in the line."""

    def __init_subclass__(cls) -> None:
        """Name the event after its class."""
        cls.event = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()

    def __init__(self, **fields: Any) -> None:
        """Make the class a dataclass, whose ``__init__`` takes the place of this one."""
        as_dataclass(type(self)).__init__(self, **fields)

    @property
    def fields(self) -> Mapping[str, Any]:
        """All fields, in the order in which they are declared."""
        return vars(self)

    def payload(self) -> dict[str, Any]:
        """Return the fields that have a value, in the order in which they are declared."""
        # Only its fields are in there, in the order in which they are declared.
        return {name: value for name, value in vars(self).items() if value is not None}


class Line(NamedTuple):
    """An event as its line has it, for what waits for its line: it takes a fifth of the time."""

    event: str
    fields: Mapping[str, Any] | str
    """In the order in which the event declares them; ``None`` is left out. Or their JSON text,
    without secrets."""


def as_dataclass[E: Event](event: type[E]) -> type[E]:
    """Return the class of an event as the dataclass that it is."""
    if not is_dataclass(event):
        dataclass(frozen=True, kw_only=True)(event)
    return event


class RunInitialised(Event):
    """A run has its folder."""

    run_id: str
    mode: Mode = Mode.RESEARCH
    executor: ExecutorKind = ExecutorKind.LOCAL


class RunResumed(Event):
    """An existing run is resumed, under the same id and plan."""

    run_id: str
    earlier: str
    """The run's earlier status; ``running`` when its process died."""


class RunPlanned(Event):
    """The plan is written."""

    plan_digest: str
    points: int
    partitions: int
    tasks: int
    batches: int
    cached: int
    """Tasks whose results were stored already."""


class RunStarted(Event):
    """The first batch is about to be handed out."""

    tasks: int
    """All tasks of the plan."""
    pending: int
    """Tasks that have no result yet."""
    workers: int | None = None
    memory_limit_bytes: int | None = None
    """Memory of the machine or container."""


class RunStopped(Event):
    """A signal or ``runs stop`` ended the run; finished tasks are kept."""

    message: str | None = None


class RunKilled(Event):
    """The kill switch ended the run."""

    message: str | None = None


class RunFailed(Event):
    """An error ended the run as a whole."""

    kind: Kind
    message: str


class RunCompleted(Event):
    """The run reached its summary; tasks may have failed."""

    run_digest: str
    complete: bool
    """Whether every planned task is ok."""
    planned: int
    ok: int
    failed: int
    missing: int


class RunVerified(Event):
    """Stored tasks were recomputed, and their bytes compared."""

    tasks: int
    same: int
    different: int
    damaged: int
    failed: int
    outcome: Kind


class BatchStarted(Event):
    """A worker or a pod was given a batch."""

    batch: int
    """Its index in the plan."""
    tasks: int
    """Its tasks that have no result yet."""
    worker: int | None = None
    memory_limit_bytes: int | None = None
    """Memory of the pod."""


class BatchCompleted(Event):
    """Every task of a batch has ended, ok or failed."""

    batch: int
    worker: int | None = None
    seconds: float | None = None
    ok: int | None = None
    failed: int | None = None


class BatchFailed(Event):
    """A batch ended before its tasks did: its worker or pod died."""

    batch: int
    kind: Kind
    left: int
    """Its tasks that have not ended."""
    worker: int | None = None
    message: str | None = None


class BatchRetried(Event):
    """The rest of a batch is handed out again."""

    batch: int
    tasks: int
    attempt: int | None = None
    """2 for the second time that the batch is handed out."""


class TaskStarted(Event):
    """A worker began a task."""

    task_id: str
    worker: int | None = None


class TaskCompleted(Event):
    """A task produced its result."""

    task_id: str
    seconds: float
    rows: int
    worker: int | None = None
    retries: int | None = None
    memory_bytes: int | None = None
    """Peak memory of the worker so far."""
    fetched_bytes: int | None = None
    """Bytes fetched from storage since the worker's last task."""


class TaskFailed(Event):
    """A task produced a failure."""

    task_id: str
    seconds: float
    kind: Kind
    message: str | None = None
    """Its first line; the full message is in the failure's file."""
    worker: int | None = None
    retries: int | None = None
    memory_bytes: int | None = None
    fetched_bytes: int | None = None


class TaskRetried(Event):
    """A failed task is computed again."""

    task_id: str
    kind: Kind
    """Why it failed before."""
    attempt: int | None = None


class DrillVerdict(StrEnum):
    """What a drill showed."""

    PASSED = "passed"
    FAILED = "failed"


class OrderRefused(Event):
    """The risk profile refused orders of a task."""

    task_id: str
    rule: str
    count: int
    message: str | None = None


class KillActivated(Event):
    """The kill switch was turned on."""

    reason: str
    user: str | None = None
    host: str | None = None
    run_id: str | None = None
    """The run it applies to; none for all."""


class KillCleared(Event):
    """The kill switch was turned off."""

    reason: str | None = None
    user: str | None = None
    host: str | None = None
    run_id: str | None = None


class ReadinessChecked(Event):
    """An experiment was checked for readiness to trade."""

    ready: bool
    checks: dict[str, str]
    """The state of each check, by name."""


class ProbeCompleted(Event):
    """An address was probed."""

    address: str
    """Scheme, host, port and path; nothing else of the URL."""
    state: str
    seconds: float
    status: int | None = None
    """The HTTP status."""
    bytes: int | None = None
    message: str | None = None


class ReconciliationCompleted(Event):
    """Orders, fills, positions and balances of a run were compared with a venue's snapshot."""

    snapshot: str
    """The sha256 of the snapshot."""
    matched: int
    mismatched: int
    unknown: int
    outcome: Kind


class DrillStarted(Event):
    """A fault is about to be caused on purpose."""

    drill: str
    sabotage: bool = False
    """Whether the safeguard is off, so that the drill must fail."""


class DrillCompleted(Event):
    """A drill reached its verdict."""

    drill: str
    verdict: DrillVerdict
    sabotage: bool = False
    seconds: float | None = None
    message: str | None = None


DRILLS = (
    "stale-market-data",
    "restart-recovery",
    "reconciliation-mismatch",
    "kill-switch",
    "kill-live",
    "restart-with-open-position",
    "duplicate-fill",
    "stale-feed-live",
    "venue-loss",
    "storage-outage",
    "corrupt-result",
    "disk-full",
)
