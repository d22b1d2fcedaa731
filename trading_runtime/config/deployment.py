"""The deployment file: the desired state of one strategy that trades until it is stopped."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, WithJsonSchema

from trading_runtime.config.adapters import AdapterData, AdapterExecution
from trading_runtime.config.checks import find_conflicts
from trading_runtime.config.experiment import (
    DatasetSettings,
    DataTypeName,
    EquitySettings,
    Experiment,
    PartitionSettings,
    StatisticsSettings,
    StrategySettings,
)
from trading_runtime.config.fees import NoFees
from trading_runtime.config.fields import (
    Duration,
    Instant,
    InstrumentName,
    LabelText,
    Model,
    Name,
)
from trading_runtime.config.loading import (
    LoadedExperiment,
    failure,
    read_mapping,
    read_text,
    validated,
)
from trading_runtime.config.messages import problem_at
from trading_runtime.config.risk import QueueSettings, RiskSettings
from trading_runtime.config.sizes import TaskMemory
from trading_runtime.config.supervision import (
    NotifySettings,
    Processors,
    RestartSettings,
    SessionHours,
)
from trading_runtime.config.venue import VenueSettings
from trading_runtime.errors import UsageError, refuse_other_than_utf8

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trading_runtime.config.messages import Key

_PACE = r"^(burst|real|x[0-9]+(\.[0-9]+)?)$"


def _check_pace(text: str) -> str:
    if not re.fullmatch(_PACE, text) or (text[0] == "x" and float(text[1:]) <= 0):
        raise ValueError(
            f"{text!r} is not a pace; write 'real', 'burst' (as fast as it goes), or 'x60' for "
            "sixty times as fast as it happened"
        )
    return text


Pace = Annotated[
    str, AfterValidator(_check_pace), WithJsonSchema({"type": "string", "pattern": _PACE})
]
"""``real``, ``burst``, or ``x<factor>``."""


class ReplayData(Model):
    """Market data of a dataset, replayed as if it came now."""

    source: Literal["replay"]
    """Rows of a dataset, one after another."""
    dataset: str
    """Folder of the dataset (with its manifest.json), relative to the deployment file."""
    instruments: list[InstrumentName] | None = None
    """Instrument ids to play; all in the dataset when absent."""
    types: list[DataTypeName] | None = None
    """Types of data to play; all in the dataset when absent."""
    start: Instant | None = None
    """Nothing before this instant is played."""
    end: Instant | None = None
    """Nothing at or after this instant is played."""
    pace: Pace = "real"
    """``real``: with the original pauses. ``x60``: sixty times as fast. ``burst``: no pauses."""


class SimulatedExecution(VenueSettings):
    """A venue inside the session: the same settings as an experiment's ``venue``."""

    venue: Literal["simulated"]
    """Orders go to a simulated venue; no request leaves the process."""


DataSource = Annotated[ReplayData | AdapterData, Field(discriminator="source")]
"""Where market data comes from."""

Execution = Annotated[SimulatedExecution | AdapterExecution, Field(discriminator="venue")]
"""Where orders go."""


class SessionLimits(Model):
    """Limits of a session; exceeding one ends it as ``on_failure`` says."""

    memory: TaskMemory | None = None
    """Resident memory of the session's process, such as ``1 GiB``; no limit when absent."""
    cpu: Processors | None = None
    """Processors that it may use where a supervisor runs it, such as 0.5; no limit when absent."""
    heartbeat: Duration = "10s"
    """How often the session writes that it is alive."""
    blocked: Duration = "60s"
    """A callback of the strategy that takes longer than this ends the session, kind ``timeout``."""
    venue_lost: Duration = "60s"
    """A connection to the venue that is lost for longer than this ends the session."""
    clock_skew: Duration = "2s"
    """How far the venue's clock may be from this machine's; beyond it no order goes out."""


class HealthSettings(Model):
    """The HTTP server that reports how the session is."""

    host: str = "127.0.0.1"
    """Address to listen on; only this machine by default."""
    port: Annotated[int, Field(ge=0, le=65_535)] | None = None
    """Port; 0 for any free one. Absent: no server."""


class Tested(Model):
    """What the tasks of a run tested."""

    engine: str
    """The version of NautilusTrader."""
    strategy: str
    """The digest of the strategy's code."""
    config: str
    """The digest of ``strategy.config`` as it was promoted."""


class Origin(Model):
    """The research that a deployment comes from."""

    run: str
    """The run's id."""
    point: Annotated[int, Field(ge=0)]
    """The point whose parameters are traded."""
    run_digest: str | None = None
    """The run's digest at the time of promotion."""
    evidence: str | None = None
    """The sha256 of the bundle that proves the run."""
    tasks: list[str] = Field(default_factory=list)
    """The tasks that tested the point."""
    tested: Tested | None = None
    """What they tested; a session of something else is refused."""
    despite: str | None = None
    """Why a session may start although it is something else; kept in its journal."""


class Deployment(Model):
    """One strategy that trades: on what data, at which venue, under which limits, until when."""

    schema_: Annotated[str | None, Field(alias="$schema")] = None
    """For editors: where the JSON Schema of this file is."""
    name: Name
    """Short name; the run ids of its sessions begin with it."""
    notes: str | None = None
    """Anything worth keeping; changes nothing."""
    labels: dict[LabelText, LabelText] = Field(default_factory=dict)
    """Anything to find sessions by; changes nothing."""
    mode: Literal["paper", "live"]
    """``paper``: simulated orders. ``live``: orders at a venue; needs ``--live`` as well."""
    data: DataSource
    """Where market data comes from: a dataset that is replayed, or an adapter."""
    execution: Execution
    """Where orders go: a simulated venue, or an adapter's."""
    strategy: StrategySettings
    """Which strategy trades, with all of its config."""
    risk: RiskSettings | None = None
    """Limits that each order is checked against before it is sent; absent: none."""
    queue: QueueSettings | None = None
    """A queue for what is above the venue's rate of requests; absent: the excess is denied."""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)]
    """Seed of everything random, as in an experiment."""
    equity: EquitySettings = EquitySettings.model_construct()
    """How often the account is marked to market."""
    statistics: StatisticsSettings = StatisticsSettings.model_construct()
    """How statistics are stated."""
    limits: SessionLimits = SessionLimits.model_construct()
    """Bounds on a session."""
    stale_after: Duration | None = None
    """An instrument without data for this long gets no more orders until new data comes."""
    on_stop: Literal["hold", "cancel", "flatten"] = "cancel"
    """On a stop: leave orders and positions, cancel resting orders, or also close positions."""
    on_failure: Literal["hold", "flatten"] = "hold"
    """After a failure, once resting orders are cancelled: keep positions, or close them."""
    record: str | None = None
    """Folder of the dataset that what comes is added to, relative to the deployment file; absent:
    nothing is recorded."""
    health: HealthSettings = HealthSettings.model_construct()
    """The HTTP server that reports how the session is."""
    restart: RestartSettings = RestartSettings.model_construct()
    """When a supervisor starts it again."""
    schedule: SessionHours | None = None
    """When a supervisor runs it; always when absent."""
    notify: list[NotifySettings] = Field(default_factory=list)
    """Whom a supervisor tells when it fails."""
    origin: Annotated[Origin | None, Field(alias="from")] = None
    """The research that it comes from."""
    results: str = "results"
    """Folder of the results, relative to the deployment file."""

    @property
    def pace(self) -> str:
        """How fast the data comes: that of a replay, else ``real``."""
        return self.data.pace if isinstance(self.data, ReplayData) else "real"


_PLACES: dict[str, str] = {"dataset": "data", "partitions": "data", "venue": "execution"}
"""Where a section of an experiment is in a deployment."""


_NOWHERE = "no-dataset"
"""The dataset of a session that neither replays nor records one."""


def as_experiment(deployment: Deployment) -> Experiment:
    """Return the experiment that asks for the same trading: one window, one point.

    Its parts were checked in the deployment: checking them again would build their validators.
    """
    data, execution, statistics = deployment.data, deployment.execution, deployment.statistics
    if isinstance(data, ReplayData):
        dataset = DatasetSettings.model_construct(
            path=data.dataset, instruments=data.instruments, types=data.types
        )
        partitions = PartitionSettings.model_construct(start=data.start, end=data.end)
    else:
        dataset = DatasetSettings.model_construct(
            path=deployment.record or _NOWHERE, instruments=data.instruments
        )
        partitions = PartitionSettings.model_construct()
    if isinstance(execution, SimulatedExecution):
        venue = VenueSettings.model_construct(
            **{name: getattr(execution, name) for name in VenueSettings.model_fields}
        )
    else:
        # What the account holds is known once the venue has said it, in whatever currencies.
        named = statistics.currency or execution.currency
        statistics = statistics.model_copy(update={"currency": named})
        venue = VenueSettings.model_construct(
            account_type=execution.account_type,
            balances=[f"1 {execution.currency}"],
            fees=NoFees.model_construct(model="none"),
            order_rate_limit=execution.order_rate_limit,
            skip_empty_bars=execution.skip_empty_bars,
        )
    return Experiment.model_construct(
        name=deployment.name,
        labels=deployment.labels,
        dataset=dataset,
        partitions=partitions,
        venue=venue,
        risk=deployment.risk,
        queue=deployment.queue,
        strategy=deployment.strategy,
        seed=deployment.seed,
        equity=deployment.equity,
        statistics=statistics,
        results=deployment.results,
        workers=1,
    )


@dataclass(frozen=True)
class LoadedDeployment:
    """A deployment with the file that it comes from, and the equivalent experiment."""

    deployment: Deployment
    loaded: LoadedExperiment


def is_deployment(path: str | Path) -> bool:
    """Tell whether a file is a deployment, which has a ``mode``, or else an experiment.

    Raises ``UsageError`` when it is no mapping of keys to values.
    """
    path = Path(path)
    document = read_mapping(read_text(path), path.suffix, str(path)).value
    return isinstance(document, dict) and "mode" in document


def load_deployment(path: str | Path, code_folder: Path | None = None) -> LoadedDeployment:
    """Read and check the deployment file at ``path``.

    Relative paths of the strategy's code start in ``code_folder``, else at the file.

    Raises ``UsageError`` with one line for everything wrong, each with its line and column.
    """
    path = Path(path)
    source = read_text(path, "a deployment")
    absolute = path.absolute()
    refuse_other_than_utf8(str(absolute))
    document = read_mapping(source, path.suffix, str(path), "a deployment")
    deployment = validated(Deployment, document, str(path))
    experiment = as_experiment(deployment)
    code_folder = code_folder or absolute.parent
    problems = [
        problem_at(document, _keys(finding.keys), finding.message, of_key=finding.of_key)
        for finding in find_conflicts(experiment, code_folder, frozenset())
    ]
    problems += [
        problem_at(document, keys, message, of_key=False)
        for keys, message in _conflicts(deployment)
    ]
    if problems:
        raise failure(str(path), problems)
    loaded = LoadedExperiment(experiment, absolute, source, str(absolute), code_folder)
    return LoadedDeployment(deployment, loaded)


def stored_deployment(content: object, file: Path) -> LoadedDeployment:
    """Return a deployment from the copy its session kept; ``file`` is where that was read.

    Raises ``UsageError`` when the copy was changed.
    """
    try:
        deployment = Deployment.model_validate(content)
    except ValidationError as error:
        raise UsageError(f"{file}: the session's deployment cannot be read again") from error
    loaded = LoadedExperiment(as_experiment(deployment), file, "", str(file), file.parent)
    return LoadedDeployment(deployment, loaded)


def _keys(keys: tuple[Key, ...]) -> tuple[Key, ...]:
    if not keys:
        return keys
    first = _PLACES.get(str(keys[0]), keys[0])
    rest = tuple("dataset" if key == "path" and keys[0] == "dataset" else key for key in keys[1:])
    return (first, *rest)


def _conflicts(deployment: Deployment) -> Iterator[tuple[tuple[Key, ...], str]]:
    """Yield what a session cannot do but a backtest can."""
    execution, data = deployment.execution, deployment.data
    if deployment.strategy.path.startswith("builtin:"):
        yield (
            ("strategy", "path"),
            "a strategy that runs inside the engine cannot be held or stopped; use one in Python",
        )
    if isinstance(data, ReplayData) and deployment.record is not None:
        yield ("record",), "a replay is a dataset already; leave it out"
    if isinstance(execution, AdapterExecution):
        yield from _live_conflicts(deployment)
        return
    if deployment.mode == "live":
        yield (
            ("execution", "venue"),
            "a live session needs 'venue: adapter'; for simulated orders write 'mode: paper'",
        )
    for name in (
        "leverages",
        "allow_cash_borrowing",
        "margin_model",
        "settlement_prices",
        "liquidation",
        "swap",
        "dividends",
    ):
        if getattr(execution, name):
            yield (
                ("execution", name),
                "the engine's simulated venue for sessions does not have it; leave it out",
            )
    latency: dict[str, Any] = execution.latency.plain()
    if any(latency.values()) and isinstance(data, ReplayData) and data.pace != "real":
        yield (
            ("execution", "latency"),
            "a session counts latency on the wall clock: it needs 'data.pace: real'",
        )


def _live_conflicts(deployment: Deployment) -> Iterator[tuple[tuple[Key, ...], str]]:
    """Yield what orders at a venue need."""
    if deployment.mode != "live":
        yield (
            ("mode",),
            "orders at a venue need 'mode: live'; a paper session has 'venue: simulated'",
        )
    if not isinstance(deployment.data, AdapterData):
        yield (
            ("data", "source"),
            "a live session needs 'source: adapter': orders follow data as it comes",
        )
    if deployment.risk is None:
        yield ("mode",), "a live session needs a section 'risk', with at least one limit"
    elif deployment.risk == RiskSettings():
        yield ("risk",), "a live session needs at least one limit, such as max_position_notional"
    if deployment.stale_after is None:
        yield (
            ("mode",),
            "a live session needs 'stale_after': how old an instrument's data may be for orders",
        )
