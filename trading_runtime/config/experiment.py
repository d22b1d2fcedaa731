"""The experiment file: the strict models that say what a researcher may write."""

from __future__ import annotations

import re
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, WithJsonSchema

from trading_runtime.config.fields import (
    ClassPath,
    Currency,
    Duration,
    Instant,
    InstrumentName,
    LabelText,
    Model,
    MoneyText,
    Name,
    Number,
    TimeZone,
    VenueName,
)
from trading_runtime.config.risk import QueueSettings, RiskSettings
from trading_runtime.config.sizes import TaskMemory
from trading_runtime.config.supervision import Cron, NotifySettings
from trading_runtime.config.venue import (
    FillSettings,
    LatencySettings,
    OrderRateLimit,
    VenueSettings,
)

_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
_HOST = r"^([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$"


def _check_variable(text: str) -> str:
    if not re.fullmatch(_VARIABLE, text):
        # The text after an equals sign may be a secret, put here by mistake.
        raise ValueError(
            "is not the name of an environment variable; write the name alone, such as 'API_KEY'"
        )
    return text


def _check_host(text: str) -> str:
    if not re.fullmatch(_HOST, text):
        raise ValueError(
            f"{text!r} is not a host; write 'example.org' or 'example.org:8443', without scheme "
            "and path"
        )
    return text.lower()


VariableName = Annotated[
    str,
    AfterValidator(_check_variable),
    WithJsonSchema({"type": "string", "pattern": _VARIABLE}),
]
"""The name of an environment variable; never its value."""

Share = Annotated[Number, Field(ge=0, le=1)]
"""A share or probability, from 0 to 1."""

Host = Annotated[
    str, AfterValidator(_check_host), WithJsonSchema({"type": "string", "pattern": _HOST})
]
"""A host name or address, with a port when only that port is meant."""


class OperationSettings(Model):
    """What must be in place before the experiment may run, and which hosts may be contacted.

    Read by ``readiness check`` and ``probe``.
    """

    required_variables: list[VariableName] = Field(default_factory=list)
    """Environment variables that must be set."""
    optional_variables: list[VariableName] = Field(default_factory=list)
    """Environment variables whose absence is a warning."""
    min_free_disk_mb: Annotated[int, Field(ge=0)] = 500
    """Megabytes that must be free where results and scratch files go."""
    min_free_memory_mb: Annotated[int, Field(ge=0)] = 500
    """Megabytes of memory that must be available."""
    max_clock_skew_seconds: Annotated[int, Field(ge=1)] = 30
    """How far this machine's clock may differ from the clock where the results are stored."""
    probe_hosts: list[Host] = Field(default_factory=list)
    """Hosts that ``probe`` may contact in addition to this machine."""


__all__ = [
    "CostSettings",
    "DataTypeName",
    "DatasetSettings",
    "DrawnValues",
    "EquitySettings",
    "Experiment",
    "FillSettings",
    "GridSampling",
    "HoldOutSettings",
    "LatencySettings",
    "Limits",
    "Model",
    "Objective",
    "OperationSettings",
    "OrderRateLimit",
    "PartitionSettings",
    "PartitionUnit",
    "PromotionSettings",
    "RandomSampling",
    "RangeValues",
    "RiskSettings",
    "RobustnessSettings",
    "Sampling",
    "StatisticsSettings",
    "StrategySettings",
    "Values",
    "VenueSettings",
]

DataTypeName = Literal[
    "bars",
    "trades",
    "quotes",
    "order_book_deltas",
    "order_book_depths",
    "mark_prices",
    "index_prices",
    "funding_rates",
    "instrument_status",
    "instrument_closes",
    "custom",
]
"""A type of market data, by the name of its folder in the catalog."""


class DatasetSettings(Model):
    """Which data the strategy sees."""

    path: str
    """Folder of the dataset (with its manifest.json), relative to the experiment file."""
    instruments: list[InstrumentName] | None = None
    """Instrument ids to use, such as ``BTCUSDT-PERP.SIM``; all of the dataset when absent."""
    types: list[DataTypeName] | None = None
    """Types of data to feed; all of the dataset when absent."""


class PartitionUnit(StrEnum):
    """What partitions are cut by."""

    WHOLE = "whole"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    DURATION = "duration"
    ROWS = "rows"
    BYTES = "bytes"


class PartitionSettings(Model):
    """How the data is cut into partitions; every point is tested on each of them."""

    by: PartitionUnit = Field(default=PartitionUnit.WHOLE, strict=False)
    """``whole``, a UTC calendar unit, ``duration`` (see ``length``), ``rows`` or ``bytes``."""
    count: Annotated[int, Field(ge=1)] = 1
    """How many units one partition has: ``by: day, count: 3`` gives windows of three days."""
    length: Duration | None = None
    """With ``by: duration``: the length of a window, counted from the epoch, such as ``10s``."""
    start: Instant | None = None
    """Nothing before this instant is tested (it may still be used as warm-up)."""
    end: Instant | None = None
    """Nothing at or after this instant is tested."""
    last: Duration | None = None
    """Only the windows that reach into so much time before the end of the data, such as ``90d``;
    they are the windows that all of the data would have."""
    warmup: Duration | None = None
    """Data before each window that the strategy sees without being allowed to trade."""
    instruments: Literal["together", "each"] = "together"
    """``together``: one task sees all instruments. ``each``: one task per instrument."""


class StrategySettings(Model):
    """Which strategy is run, and which of its settings are the same for all points."""

    path: ClassPath
    """``package.module:Class``, ``path/to/file.py:Class``, or ``builtin:Class`` for one in Rust. A
    file with relative imports must be in a package."""
    config_path: ClassPath | None = None
    """The strategy's config class, when it is not the annotation of ``config`` in ``__init__``."""
    config: dict[str, Any] = Field(default_factory=dict)
    """Values of the strategy's config that no parameter varies."""
    code: list[str] = Field(default_factory=list)
    """Files and folders of further code, relative to this file: what the strategy imports from
    outside its own package or folder, or by a computed name. A folder counts
    with all its Python files, a file of any kind by itself."""
    requirements: list[str] = Field(default_factory=list)
    """Installed packages whose versions count, in addition to those that the strategy's files
    import."""


class RangeValues(Model):
    """Values from ``start`` to ``stop``, both included where a step falls on it."""

    start: Number
    """The first value."""
    stop: Number
    """The largest value allowed."""
    step: Number
    """Added each time on a linear scale, multiplied by on a log scale."""
    scale: Literal["linear", "log"] = "linear"
    """``log`` for values such as 1, 10, 100: ``step`` is the factor."""


class DrawnValues(Model):
    """Values drawn at random between ``low`` and ``high``; needs ``sampling: {method: random}``."""

    low: Number
    """The least value."""
    high: Number
    """The largest value allowed."""
    step: Number
    """The grid of the drawn values, counted from ``low``; ``1`` for whole numbers."""
    scale: Literal["linear", "log"] = "linear"
    """``log`` draws evenly over orders of magnitude."""


def _kind_of_values(value: object) -> str | None:
    if isinstance(value, (list, tuple)):
        return "list"
    if isinstance(value, DrawnValues) or (isinstance(value, dict) and {"low", "high"} & set(value)):
        return "draws"
    if isinstance(value, (RangeValues, dict)):
        return "range"
    return None


Values = Annotated[
    Annotated[list[Any], Tag("list")]
    | Annotated[RangeValues, Tag("range")]
    | Annotated[DrawnValues, Tag("draws")],
    Discriminator(_kind_of_values),
]
"""What one parameter may be: a list, a range, or random draws."""


class GridSampling(Model):
    """Every combination of the parameters' values."""

    method: Literal["grid"] = "grid"
    """Every combination."""


class RandomSampling(Model):
    """``n`` different combinations drawn at random."""

    method: Literal["random"]
    """Combinations drawn at random."""
    n: Annotated[int, Field(ge=1)]
    """How many; all of them when fewer exist. A larger number keeps the points already drawn."""
    seed: Annotated[int, Field(ge=0)]
    """Seed of the draws."""


Sampling = Annotated[GridSampling | RandomSampling, Field(discriminator="method")]


class SearchSettings(Model):
    """How points are asked for; replaces ``sampling``."""

    method: Literal["grid", "random", "tpe", "cma-es", "nsga-ii", "successive-halving"]
    """``grid``: every combination. ``random``: drawn. ``tpe``, ``cma-es``: each generation from the
    results of those before. ``nsga-ii``: the same for several objectives.
    ``successive-halving``: many points on few windows, the best of them on more."""
    points: Annotated[int, Field(ge=1)] | None = None
    """How many points are asked for in total; not for ``grid``, which takes all."""
    generation: Annotated[int, Field(ge=1)] = 32
    """Points that are asked for at once. The first generation is drawn at random."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the draws and of the sampler."""
    budget: Annotated[int, Field(ge=1)] | None = None
    """At most this many tasks; no limit when absent. A search with generations ends before one that
    would exceed it. Other methods are refused when they take more."""
    patience: Annotated[int, Field(ge=1)] | None = None
    """The search ends after this many generations in a row without improvement."""
    eta: Annotated[int, Field(ge=2)] = 3
    """Of ``successive-halving``: each rung keeps one point in so many, on so many times the windows
    of the rung before."""

    @property
    def is_adaptive(self) -> bool:
        """Whether what is asked for depends on results."""
        return self.method not in {"grid", "random"}

    @property
    def sampling(self) -> GridSampling | RandomSampling:
        """The points that are known before anything runs."""
        if self.method == "grid" or self.points is None:
            return GridSampling()
        first = self.points
        if self.is_adaptive and self.method != "successive-halving":
            first = min(self.generation, self.points)
        return RandomSampling(method="random", n=first, seed=self.seed)


class WalkForward(Model):
    """Windows to choose points on, each followed by windows to test them on.

    Sizes are in windows of ``partitions``; the names are those of skfolio.
    """

    method: Literal["walk-forward"]
    """Tests follow each other in time, each after its training windows."""
    train_size: Annotated[int, Field(ge=1)]
    """Windows to choose a point on."""
    test_size: Annotated[int, Field(ge=1)]
    """Windows to test it on, right after."""
    purged_size: Annotated[int, Field(ge=0)] = 0
    """Windows left out between the two."""
    expand_train: bool = False
    """Whether to train on all windows from the first, instead of the last ``train_size``."""
    reduce_test: bool = False
    """Whether to keep a last test that is shorter."""
    nested: bool = False
    """Whether an adaptive search is run anew in each split, on its training windows alone."""
    split: Annotated[int, Field(ge=0)] | None = None
    """Search the training windows of this split and no others. Splits are counted from 0."""


class CombinatorialPurged(Model):
    """Every choice of some folds to test on; all others are trained on."""

    method: Literal["combinatorial-purged"]
    """Tests are before, between and after the training windows."""
    n_folds: Annotated[int, Field(ge=2)] = 10
    """Number of equal parts that the windows are split into."""
    n_test_folds: Annotated[int, Field(ge=1)] = 2
    """How many folds are tested on."""
    purged_size: Annotated[int, Field(ge=0)] = 0
    """Windows on either side of a test that are excluded from training."""
    embargo_size: Annotated[int, Field(ge=0)] = 0
    """Further windows after those, also excluded: as many as a warm-up reaches back."""
    nested: bool = False
    """Whether an adaptive search is run anew in each split, on its training windows alone."""
    split: Annotated[int, Field(ge=0)] | None = None
    """Search the training windows of this split and no others. Splits are counted from 0."""


Validation = Annotated[WalkForward | CombinatorialPurged, Field(discriminator="method")]


class Objective(Model):
    """What "best" means."""

    metric: str
    """A statistic of a point, such as ``sharpe`` or ``net_profit``."""
    direction: Literal["maximize", "minimize"] = "maximize"
    """Whether more or less of it is better."""


class EquitySettings(Model):
    """How often the account is marked to market."""

    interval: Duration = "1h"
    """Samples fall on UTC multiples of it; it must divide a day."""


class StatisticsSettings(Model):
    """How statistics are stated."""

    currency: Currency | None = None
    """Currency of all statistics; the only currency of the balances when absent."""
    calendar: Literal["observed", "every_day"] = "observed"
    """``observed``: a day without any row of the instruments has no return. ``every_day``: its
    return is zero."""
    periods_per_year: Annotated[int, Field(ge=1)] | None = None
    """Daily returns in a year, used to annualise; when absent, 365 for ``every_day`` and, for
    ``observed``, 365 / 7 x the days of a week that have data, or as many as a year has of rows that
    are a week or more apart."""


class Limits(Model):
    """Bounds on one task."""

    task_seconds: Annotated[int, Field(ge=1)] = 3600
    """Wall-clock seconds after which a task is stopped as failed, kind ``timeout``."""
    task_memory: TaskMemory | None = None
    """Resident memory of a task's process, such as ``2 GiB`` (the engine takes about 0.2 of it);
    a task that takes more is stopped as failed, kind ``crash``; no limit when absent."""
    stop_after: Annotated[int, Field(ge=1)] | None = None
    """Failures of one kind and message after which a run on one machine starts no more tasks; its
    first task then runs alone. All tasks are tried when absent, and in pods."""


class CostSettings(Model):
    """What computing costs, so that ``plan`` can state a price."""

    worker_hour: MoneyText
    """Price of an hour of one worker process, such as ``0.04 USD``."""


class PromotionSettings(Model):
    """What a point must have reached before it may become a deployment; absent: no gate."""

    min_trades: Annotated[int, Field(ge=0)] | None = None
    """Closed trades, over all partitions."""
    min_days: Annotated[int, Field(ge=0)] | None = None
    """Days that its statistics cover."""
    max_drawdown: Number | None = None
    """Largest drawdown from a peak of equity that passes: ``0.2`` for 20 %."""
    objective: Number | None = None
    """Bound on the objective's metric: a minimum when it is maximised, else a maximum."""
    min_deflated_sharpe: Share | None = None
    """Least probability that the Sharpe ratio is above what luck alone yields, all trials on this
    data counted."""
    max_overfitting: Share | None = None
    """Largest probability of overfitting (PBO) of the run that passes."""
    min_out_of_sample_return: Number | None = None
    """Least return of the tests of ``validation``, a walk-forward, in succession."""
    max_fragile: Annotated[int, Field(ge=0)] | None = None
    """How many checks of ``results robustness`` the point may fail; one that finds nothing to
    compare, as of a loss, counts as failed."""


class ResearchSchedule(Model):
    """When an experiment is run again automatically."""

    cron: Cron
    """The times."""
    time_zone: TimeZone
    """Where they are read."""


class HoldOutSettings(Model):
    """Rows that no run may touch before ``holdout open``."""

    start: Instant
    """Everything from here on is held out, rows that are added later among it."""


class RobustnessSettings(Model):
    """What ``results robustness`` changes about a point to see whether its result holds."""

    fee_factor: Annotated[Number, Field(gt=1)] = Decimal(2)
    """All fees are multiplied by it; more than 1."""
    latency: Duration = "1s"
    """Added to all latencies."""
    seeds: Annotated[int, Field(ge=0, le=100)] = 2
    """Other seeds to try."""
    dropped: Annotated[Number, Field(gt=0, lt=1)] = Decimal("0.1")
    """Share of the trades that is left out at random."""


class Experiment(Model):
    """One experiment: what data, what strategy, which parameters, which windows."""

    schema_: Annotated[str | None, Field(alias="$schema")] = None
    """For editors: where the JSON Schema of this file is."""
    name: Name
    """Short name; run ids begin with it."""
    notes: str | None = None
    """Anything worth keeping; changes no result."""
    labels: dict[LabelText, LabelText] = Field(default_factory=dict)
    """Anything to find runs by; changes no result."""
    dataset: DatasetSettings
    """Which data the strategy sees."""
    partitions: PartitionSettings = PartitionSettings.model_construct()
    """How the data is cut into windows."""
    venue: VenueSettings
    """The simulated venue and the account at it."""
    venues: dict[VenueName, VenueSettings] = Field(default_factory=dict)
    """Further venues by name, when instruments of several are traded, each with its own account;
    ``venue`` is then the one that is not named here."""
    risk: RiskSettings | None = None
    """Limits that each order is checked against before it is sent; absent: none."""
    queue: QueueSettings | None = None
    """A queue for what is above the venue's rate of requests; absent: the excess is denied."""
    strategy: StrategySettings
    """Which strategy is run."""
    parameters: dict[str, Values] = Field(default_factory=dict)
    """The parameter space: for each config field that varies, a list, a range, or draws."""
    constraints: list[str] = Field(default_factory=list)
    """Conditions between parameters that a point must fulfil, such as ``fast < slow``."""
    sampling: Sampling = GridSampling.model_construct()
    """Every combination of the parameters' values, or a number of random ones."""
    search: SearchSettings | None = None
    """How points are asked for, adaptively if needed; replaces ``sampling``."""
    validation: Validation | None = None
    """Points are chosen on some windows and tested on others, once the run is complete."""
    objective: Objective = Objective.model_construct(metric="sharpe")
    """What "best" means."""
    further_objectives: list[Objective] = Field(default_factory=list)
    """What is traded off against ``objective``: the result then names all points that no other
    beats in all of them, the front."""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)]
    """Seed of everything random; no default, since results cannot be repeated without one."""
    equity: EquitySettings = EquitySettings.model_construct()
    """How often the account is marked to market."""
    statistics: StatisticsSettings = StatisticsSettings.model_construct()
    """How statistics are stated."""
    at_end: Literal["mark", "close"] = "mark"
    """Open positions at a window's end: marked to market, or closed by market orders."""
    limits: Limits = Limits.model_construct()
    """Bounds on one task."""
    holdout: HoldOutSettings | None = None
    """The end of the data, kept for a last test; binds all experiments with the same results."""
    robustness: RobustnessSettings = RobustnessSettings.model_construct()
    """What ``results robustness`` tries; changes no result."""
    costs: CostSettings | None = None
    """What computing costs, for ``plan``; changes no result."""
    promotion: PromotionSettings | None = None
    """Gates before a point may be promoted to a deployment; changes no result."""
    schedule: ResearchSchedule | None = None
    """When it is run again automatically; changes no result."""
    notify: list[NotifySettings] = Field(default_factory=list)
    """Whom a supervisor tells when such a run fails or is missed; changes no result."""
    operations: OperationSettings = OperationSettings.model_construct()
    """What operating the experiment needs: variables, disk, memory, hosts; changes no result."""
    results: str = "results"
    """Folder of the results, relative to the experiment file."""
    workers: Annotated[int, Field(ge=1, le=1_024)] | None = None
    """Number of worker processes; one per processor when absent."""

    def venue_sections(self) -> list[tuple[tuple[str, ...], VenueSettings]]:
        """Return the settings of each venue, with the keys that lead to them."""
        others = [(("venues", name), settings) for name, settings in self.venues.items()]
        return [(("venue",), self.venue), *others]

    def section_of(self, instrument_id: str) -> tuple[str, ...]:
        """Return the keys that lead to the settings of an instrument's venue."""
        name = instrument_id.rpartition(".")[2]
        return ("venues", name) if name in self.venues else ("venue",)
