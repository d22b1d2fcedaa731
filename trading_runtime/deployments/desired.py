"""The desired state: the files of deployments, read again when they change."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trading_runtime.canonical import digest
from trading_runtime.config.deployment import Deployment, load_deployment
from trading_runtime.config.loading import (
    MAX_BYTES,
    SUFFIXES,
    explicit,
    load_experiment,
    read_mapping,
    read_text,
)
from trading_runtime.config.program import load_program
from trading_runtime.config.sizes import parse_size
from trading_runtime.deployments.times import time_after
from trading_runtime.errors import UsageError
from trading_runtime.storage.files import read_bytes
from trading_runtime.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trading_runtime.config.experiment import ResearchSchedule
    from trading_runtime.config.program import ProgramDeployment, ProgramSettings
    from trading_runtime.config.supervision import NotifySettings, SessionHours

_SECOND = 1_000_000_000
_WITHOUT_EFFECT = {"$schema", "notes", "labels", "restart", "schedule", "notify"}
"""Keys whose change needs no new process: they change nothing, or are the supervisor's own."""


class DeploymentKind(StrEnum):
    """What a deployment runs."""

    STRATEGY = "strategy"
    PROGRAM = "program"
    RESEARCH = "research"
    """An experiment that is run again at times."""


@dataclass(frozen=True)
class Desired:
    """One deployment as its file wants it."""

    name: str
    path: Path
    """Absolute."""
    what: DeploymentKind
    meaning: str
    """The digest of what its process depends on: comments, order and spelling are none of it."""
    results: str
    """The results' folder: an absolute path, or an address in S3."""
    backoff: float
    most_in_an_hour: int
    schedule: SessionHours | None
    notify: tuple[NotifySettings, ...]
    memory: int | None
    cpu: float | None
    heartbeat: float
    """Seconds between two."""
    program: ProgramSettings | None = None
    is_live: bool = False
    """Whether its orders go to a venue."""
    times: ResearchSchedule | None = None
    """Of research: when it is run."""


def read_desired(path: Path) -> Desired:
    """Read and check the file of a deployment; raises ``UsageError`` with all that is wrong."""
    what = "a deployment"
    document = read_mapping(read_text(path, what), path.suffix, str(path), what)
    if "dataset" in document.value:
        return _research(path)
    if "program" in document.value:
        program = load_program(path)
        return _desired(program.deployment, path, program.results_place, program.deployment.program)
    session = load_deployment(path)
    return _desired(session.deployment, path, session.loaded.results_place, None)


def _research(path: Path) -> Desired:
    loaded = load_experiment(path)
    experiment = loaded.experiment
    if experiment.schedule is None:
        raise UsageError(
            f"{path}: schedule: is missing; an experiment without one is run by "
            "'trading-runtime run' alone"
        )
    _check_times(path, "schedule.cron", experiment.schedule.cron, experiment.schedule.time_zone)
    return Desired(
        experiment.name,
        path.absolute(),
        DeploymentKind.RESEARCH,
        digest(explicit(experiment)),
        loaded.results_place,
        backoff=0.0,
        most_in_an_hour=0,
        schedule=None,
        notify=tuple(experiment.notify),
        memory=None,
        cpu=None,
        heartbeat=0.0,
        times=experiment.schedule,
    )


def _desired(
    deployment: Deployment | ProgramDeployment,
    path: Path,
    results: str,
    program: ProgramSettings | None,
) -> Desired:
    content: dict[str, Any] = deployment.model_dump(by_alias=True, exclude_defaults=True)
    kept = {key: value for key, value in content.items() if key not in _WITHOUT_EFFECT}
    limits, restart, hours = deployment.limits, deployment.restart, deployment.schedule
    if hours is not None:
        for key in ("start", "stop"):
            _check_times(path, f"schedule.{key}", getattr(hours, key), hours.time_zone)
    return Desired(
        deployment.name,
        path.absolute(),
        DeploymentKind.STRATEGY if program is None else DeploymentKind.PROGRAM,
        digest({**kept, "results": results}),
        results,
        _seconds(restart.backoff),
        restart.most_in_an_hour,
        hours,
        tuple(deployment.notify),
        None if limits.memory is None else parse_size(limits.memory),
        None if limits.cpu is None else float(limits.cpu),
        _seconds(limits.heartbeat),
        program,
        is_live=isinstance(deployment, Deployment) and deployment.mode == "live",
    )


def _check_times(path: Path, key: str, expression: str, time_zone: str) -> None:
    """Raise ``UsageError`` for a cron expression that has five fields but makes no sense."""
    try:
        time_after(expression, time_zone, dt.datetime.now(dt.UTC))
    except UsageError as error:
        raise UsageError(f"{path}: {key}: {error}") from error


def _seconds(duration: str) -> float:
    return parse_duration(duration) / _SECOND


@dataclass
class _File:
    stamp: tuple[int, int, int]
    content: str
    """The digest of its bytes."""
    desired: Desired | None
    problem: str | None
    is_missing: bool = False


@dataclass
class DesiredFiles:
    """Files, and folders of files, whose deployments are to run.

    A file that cannot be read any more keeps its earlier meaning: an edit that went wrong stops
    nothing. One that is gone has to be gone twice, since some editors remove before they write.
    """

    places: Sequence[Path]
    _files: dict[Path, _File] = field(default_factory=dict)

    def look(self, *, thoroughly: bool = False) -> None:
        """Read what has changed; ``thoroughly`` also where size and time are as before."""
        there = list(self._paths())
        for path in there:
            self._read(path, thoroughly=thoroughly)
        for path in self._files.keys() - set(there):
            if self._files[path].is_missing:
                del self._files[path]
            else:
                self._files[path].is_missing = True

    @property
    def wanted(self) -> dict[str, Desired]:
        """What is to run, by name; of two files with one name, the first by its path."""
        found: dict[str, Desired] = {}
        for path in sorted(self._files):
            desired = self._files[path].desired
            if desired is not None:
                found.setdefault(desired.name, desired)
        return found

    @property
    def problems(self) -> dict[Path, str]:
        """What is wrong with files, as messages."""
        wanted = self.wanted
        found = {path: item.problem for path, item in self._files.items() if item.problem}
        for path, item in self._files.items():
            desired = item.desired
            if desired is not None and wanted[desired.name].path != desired.path:
                found[path] = (
                    f"{path}: name: {desired.name!r} is that of {wanted[desired.name].path} "
                    "already; give one of them another name"
                )
        return found

    def _paths(self) -> Iterator[Path]:
        for place in self.places:
            if place.is_dir():
                yield from (
                    path
                    for path in sorted(place.iterdir())
                    if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
                )
            elif place.exists():
                yield place

    def _read(self, path: Path, *, thoroughly: bool) -> None:
        known = self._files.get(path)
        try:
            status = path.stat()
            stamp = status.st_mtime_ns, status.st_size, status.st_ino
            if known is not None:
                known.is_missing = False
                if known.stamp == stamp and not thoroughly:
                    return
            content = _content_of(path)
        except OSError:
            return  # it went away just now: the next look says so
        if known is not None and known.content == content:
            known.stamp = stamp
            return
        desired, problem = None if known is None else known.desired, None
        try:
            desired = read_desired(path)
        except UsageError as error:
            problem = str(error)
        self._files[path] = _File(stamp, content, desired, problem)


def _content_of(path: Path) -> str:
    """Return the sha256 of a file; what cannot be read has none, and reading it says why."""
    try:
        return hashlib.sha256(read_bytes(path, MAX_BYTES)).hexdigest()
    except FileNotFoundError:
        raise
    except OSError:
        return ""


def places_of(arguments: Sequence[str]) -> list[Path]:
    """Return the files and folders that a command line names; raises ``UsageError`` for others."""
    places = [Path(argument).absolute() for argument in arguments]
    for argument, place in zip(arguments, places, strict=True):
        if not place.exists():
            raise UsageError(
                f"{argument}: there is no such file or folder; give deployment files "
                f"({', '.join(SUFFIXES)}) or folders of them"
            )
    return places
