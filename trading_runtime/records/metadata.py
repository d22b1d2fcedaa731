"""The keys of ``metadata.json``, from which ``schemas/metadata.schema.json`` is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from trading_runtime.records.events import ExecutorKind, Mode, Record
from trading_runtime.records.status import Status

STRICT: dict[str, Any] = {"extra": "forbid", "use_attribute_docstrings": True}


@dataclass(frozen=True, kw_only=True)
class StatusChange(Record):
    """A change of status."""

    __pydantic_config__: ClassVar = STRICT
    status: Status
    time: str
    """UTC."""


@dataclass(frozen=True, kw_only=True)
class ChainEnd(Record):
    """How far one writer's chain of the journal reaches."""

    __pydantic_config__: ClassVar = STRICT
    lines: int
    last: str
    """The sha256 of its last line, without the line break."""


@dataclass(frozen=True, kw_only=True)
class Code(Record):
    """Digests of code."""

    __pydantic_config__: ClassVar = STRICT
    runtime: str
    """Digest of the runtime's modules that feed the engine and extract results."""
    strategy: str


@dataclass(frozen=True, kw_only=True)
class MetadataDocument(Record):
    """What a run is and how it is doing: who ran what, where, when, with which inputs."""

    __pydantic_config__: ClassVar = STRICT
    run_id: str
    status: Status
    history: list[StatusChange]
    """Every status that the run has had, oldest first."""
    started: str
    """When it first began, UTC."""
    ended: str | None
    """When it got its last status; null while it runs."""
    error: str | None = None
    """What ended a failed run."""
    mode: Mode
    executor: ExecutorKind
    user: str | None
    """The user who ran it; null where the user has no name, as in some containers."""
    host: str
    image: str | None
    """The image of the pods, by digest; null outside of images."""
    experiment_name: str
    labels: dict[str, str]
    experiment_file: str
    """Path of the experiment file."""
    dataset: str
    """Path or address of the dataset."""
    config_digest: str
    """The sha256 of the canonical JSON of ``experiment.json``."""
    dataset_digest: str
    """The sha256 of the dataset's manifest."""
    plan_digest: str
    """The sha256 over all task ids."""
    code: Code
    engine: dict[str, str]
    """The engine and its version."""
    python: str
    """Its minor version."""
    versions: dict[str, str]
    """Runtime, operating system, processor, and every pinned package, with versions."""
    journal: dict[str, ChainEnd]
    """How each writer's chain ended; unknown for those that are still writing."""
    files: dict[str, str] | None = None
    """The sha256 of every other file of an ended run, by name."""
    seal: str | None = None
    """The sha256 of this file without its seal."""
    code_archive: str | None = None
    """The digest of the strategy's code, where pods fetched it."""
    batch_seconds: float | None = None
    """Intended running time of a pod's batch."""
    most_batches: int | None = None
