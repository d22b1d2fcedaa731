"""The metadata of a run, typed: the content of ``metadata.json``, read and checked in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from trading_runtime.records.events import STRICT, ExecutorKind, Mode, Record
from trading_runtime.records.forms import parse_record, read_record, to_document
from trading_runtime.records.run_files import RUN_AGAIN
from trading_runtime.records.status import Status

if TYPE_CHECKING:
    from trading_runtime.records.run_files import RunFiles


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
class RunMetadata(Record):
    """What a run is and how it is doing: who ran what, where, when, with which inputs."""

    __pydantic_config__: ClassVar = STRICT
    mode: Mode
    executor: ExecutorKind
    image: str | None
    """The image of the pods, by digest; null outside of images."""
    run_id: str
    experiment_name: str
    labels: Mapping[str, str]
    experiment_file: str
    """Path of the experiment file."""
    dataset: str
    """Path or address of the dataset."""
    plan_digest: str
    """The sha256 over all task ids."""
    dataset_digest: str
    """The sha256 of the dataset's manifest."""
    config_digest: str
    """The sha256 of the canonical JSON of ``experiment.json``."""
    code: Code
    engine: Mapping[str, str]
    """The engine and its version."""
    python: str
    """Its minor version."""
    versions: Mapping[str, str]
    """Runtime, operating system, processor, and every pinned package, with versions."""
    code_archive: str | None = None
    """The digest of the strategy's code, where pods fetched it."""
    batch_seconds: float | None = None
    """Intended running time of a pod's batch."""
    most_batches: int | None = None
    workflow: str | None = None
    """Namespace and name of the workflow whose pods run it."""
    host: str
    user: str | None
    """The user who ran it; null where the user has no name, as in some containers."""
    started: str
    """When it first began, UTC."""
    ended: str | None
    """When it got its last status; null while it runs."""
    history: Sequence[StatusChange]
    """Every status that the run has had, oldest first."""
    journal: Mapping[str, ChainEnd]
    """How each writer's chain ended; unknown for those that are still writing."""
    status: Status
    error: str | None = None
    """What ended a failed run."""
    files: Mapping[str, str] | None = None
    """The sha256 of every other file of an ended run, by name."""
    seal: str | None = None
    """The sha256 of this file without its seal."""

    @property
    def of_pods(self) -> bool:
        """Whether pods run it."""
        return self.executor is ExecutorKind.ARGO

    def to_document(self) -> dict[str, Any]:
        """Return the content of ``metadata.json``."""
        return to_document(self)


def read_metadata(files: RunFiles) -> RunMetadata | None:
    """Return the metadata of a run, ``None`` when it has not come to them.

    Raises ``DataError`` when they are damaged.
    """
    return read_record(files.metadata, RunMetadata, RUN_AGAIN)


def parse_metadata(content: bytes) -> RunMetadata | None:
    """Return the metadata in the bytes of a file, ``None`` when they are damaged."""
    return parse_record(content, RunMetadata)
