"""The file of a program in any language that is kept running as a deployment is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from trading_runtime.config.fields import Duration, LabelText, Model, Name
from trading_runtime.config.loading import failure, read_mapping, read_text, validated
from trading_runtime.config.messages import problem_at
from trading_runtime.config.places import PathError, resolve_place
from trading_runtime.config.project_file import default_results
from trading_runtime.config.sizes import Memory
from trading_runtime.config.supervision import (
    NotifySettings,
    Processors,
    RestartSettings,
    SessionHours,
    Variable,
)


class ProgramSettings(Model):
    """A program in any language that runs in place of a strategy."""

    command: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]
    """The program and its arguments; no shell reads them. Its folder is that of this file."""
    environment: dict[Variable, str] = Field(default_factory=dict)
    """Variables that it gets."""
    secrets: list[Variable] = Field(default_factory=list)
    """Variables that it gets with the values that they have where it is started."""
    config: dict[str, Any] = Field(default_factory=dict)
    """Its settings, passed in ``TRADING_RUNTIME_CONFIG`` and in a file."""
    image: str | None = None
    """The image that holds it, by digest; needed on a cluster."""


class ProgramLimits(Model):
    """Limits of a program; exceeding that of memory ends it."""

    memory: Memory | None = None
    """Memory of the program and what it starts, such as ``200 MiB``; no limit when absent."""
    cpu: Processors | None = None
    """Processors that it may use, such as 0.5; no limit when absent."""
    heartbeat: Duration = "10s"
    """How often it touches the file that ``TRADING_RUNTIME_HEARTBEAT`` names, if it ever does."""


class ProgramDeployment(Model):
    """A program that is to run until it is stopped."""

    schema_: Annotated[str | None, Field(alias="$schema")] = None
    """For editors: where the JSON Schema of this file is."""
    name: Name
    """Short name; the ids of its runs begin with it."""
    notes: str | None = None
    """Anything worth keeping; changes nothing."""
    labels: dict[LabelText, LabelText] = Field(default_factory=dict)
    """Anything to find it by; changes nothing."""
    program: ProgramSettings
    """What runs."""
    limits: ProgramLimits = ProgramLimits.model_construct()
    """Bounds on it."""
    restart: RestartSettings = RestartSettings.model_construct()
    """When it is started again."""
    schedule: SessionHours | None = None
    """When it runs; always when absent."""
    notify: list[NotifySettings] = Field(default_factory=list)
    """Whom to notify when it fails."""
    results: str = "results"
    """Folder of the results, in which its logs are kept, relative to this file."""


@dataclass(frozen=True)
class LoadedProgram:
    """A program's deployment with the file that it comes from."""

    deployment: ProgramDeployment
    path: Path
    """Absolute."""

    @property
    def results_place(self) -> str:
        """The results' folder: an absolute path, or an address in S3."""
        folder = self.path.parent
        if "results" not in self.deployment.model_fields_set:
            place = default_results(folder)
            if place is not None:
                return place
        return resolve_place(self.deployment.results, str(folder))


def load_program(path: str | Path) -> LoadedProgram:
    """Read and check the file of a program.

    Raises ``UsageError`` with one line for everything wrong, each with its line and column.
    """
    path = Path(path)
    what = "a deployment"
    document = read_mapping(read_text(path, what), path.suffix, str(path), what)
    deployment = validated(ProgramDeployment, document, str(path))
    loaded = LoadedProgram(deployment, path.absolute())
    try:
        _ = loaded.results_place
    except PathError as error:
        problem = problem_at(document, ("results",), str(error), of_key=False)
        raise failure(str(path), [problem]) from error
    return loaded
