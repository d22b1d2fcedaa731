"""What makes two tasks the same: the inputs document and the id made from it.

A task's inputs have three parts, each with its own digest: ``common`` (engine, environment,
code, instruments, venue, settings: the same for all tasks of an experiment), ``config`` (the
strategy's config with the point's parameters) and ``partition`` (window and content of the data).
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from trading_runtime.canonical import (
    canonical_json,
    canonical_json_of_parsed,
    decimal_text,
    digest,
)
from trading_runtime.planning.environment import environment, runtime_digest
from trading_runtime.records.inputs import (
    CommonInputs,
    PartitionInputs,
    SeriesInputs,
    TaskInputs,
)
from trading_runtime.records.planned_data import ROWS_AT_ONCE, TabledData, canonical_jsons
from trading_runtime.sequences import in_batches
from trading_runtime.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from trading_runtime.config.experiment import Experiment
    from trading_runtime.config.strategy_code import StrategyCode
    from trading_runtime.config.venue import VenueSettings
    from trading_runtime.records.instruments import InstrumentDefinition
    from trading_runtime.records.plan import Plan, PlannedPartition

_DECIMAL = "$decimal"


def common_inputs(
    experiment: Experiment,
    code: StrategyCode,
    venue_name: str,
    currency: str,
    session: Mapping[str, str] | None,
) -> CommonInputs:
    """Return the inputs that all tasks of an experiment share; ``session`` is whose plan it is.

    Locations of data and results, labels, notes, limits and worker counts are left out: they change
    no result. Raises ``UsageError`` when a package that the strategy requires is not installed.
    """
    settings = experiment.strategy
    risk, queue = experiment.risk, experiment.queue
    content = {
        **environment(settings.requirements, code.imported),
        "code": {"runtime": runtime_digest(), "strategy": code.digest},
        "strategy": {"path": code.path, "config_path": settings.config_path},
        "venue": _venue_inputs(experiment.venue),
        "venue_name": venue_name,
        **_further_venues(experiment),
        "currency": currency,
        "seed": experiment.seed,
        "equity_interval": parse_duration(experiment.equity.interval),
        "calendar": experiment.statistics.calendar,
        "periods_per_year": experiment.statistics.periods_per_year,
        "at_end": experiment.at_end,
        **({} if risk is None else {"risk": json.loads(canonical_json(risk.plain()))}),
        **({} if queue is None else {"queue": queue.plain()}),
        **({} if session is None else {"session": dict(session)}),
    }
    return CommonInputs.from_document(content)


_ABSENT_UNLESS_USED = (
    "fees_by_instrument",
    "margin_model",
    "settlement_prices",
    "liquidation",
    "swap",
    "dividends",
    "skip_empty_bars",
)
"""Newer settings: an experiment without them keeps its earlier inputs."""


def _further_venues(experiment: Experiment) -> dict[str, Any]:
    further = {name: _venue_inputs(venue) for name, venue in sorted(experiment.venues.items())}
    return {"venues": further} if further else {}


def _venue_inputs(venue: VenueSettings) -> dict[str, Any]:
    settings = venue.plain()
    for name in _ABSENT_UNLESS_USED:
        if not settings[name]:
            del settings[name]
    inputs: dict[str, Any] = json.loads(canonical_json(settings))
    return inputs


def partition_inputs(
    partition: PlannedPartition, instruments: Mapping[str, InstrumentDefinition]
) -> PartitionInputs:
    """Return the inputs of a planned partition: its window, and the data without its location.

    ``instruments`` are the dataset's definitions by id; those the partition sees are inputs.
    """
    return PartitionInputs(
        instruments=[instruments[name] for name in partition.instruments],
        start=partition.start,
        end=partition.end,
        warmup_start=partition.warmup_start,
        data=[
            SeriesInputs(
                series.type,
                series.identifier,
                series.instrument_id,
                series.schemas,
                tuple(group.sha256 for group in series.row_groups),
            )
            for series in partition.data
        ],
        data_end=partition.data_end,
    )


def task_inputs(plan: Plan, point: int, partition: PartitionInputs) -> TaskInputs:
    """Return what a task of ``plan`` is given: one point on one of its partitions."""
    return TaskInputs(plan.common, decode_values(plan.config(point)), partition)


def partition_digest(inputs: PartitionInputs) -> str:
    """Return the digest of a partition's inputs, from which task ids are made."""
    return digest(inputs.to_document())


def partition_digests(
    partitions: Iterable[PlannedPartition], instruments: Mapping[str, InstrumentDefinition]
) -> Iterator[str]:
    """Yield the digests of planned partitions' inputs, as ``partition_digest`` returns them."""

    @functools.cache
    def definition(name: str) -> bytes:
        return canonical_json_of_parsed(instruments[name].content)

    @functools.lru_cache(maxsize=1)
    def definitions(names: tuple[str, ...]) -> bytes:
        return b",".join(map(definition, names))

    for table, some in itertools.groupby(partitions, _table):
        if table is None:
            yield from (partition_digest(partition_inputs(item, instruments)) for item in some)
            continue
        pairs = ((item, item.data) for item in some if isinstance(item.data, TabledData))
        for batch in in_batches(pairs, lambda pair: len(pair[1].numbers), ROWS_AT_ONCE):
            texts = canonical_jsons([data for _, data in batch])
            for (item, _), text in zip(batch, texts, strict=True):
                # Thousands of series or windows: the canonical JSON of ``PartitionInputs``, written
                # out, with the definitions once for all windows. They are megabytes: not joined.
                known_end = b"" if item.data_end is None else b'"data_end":%d,' % item.data_end
                found = hashlib.sha256(b'{"data":')
                found.update(text)
                found.update(b',%b"end":%d,"instruments":[' % (known_end, item.end))
                found.update(definitions(item.instruments))
                found.update(b'],"start":%d,"warmup_start":%d}' % (item.start, item.warmup_start))
                yield found.hexdigest()


def _table(partition: PlannedPartition) -> int | None:
    return id(partition.data.table) if isinstance(partition.data, TabledData) else None


def task_id(common_digest: str, config: Mapping[str, Any], partition_digest: str) -> str:
    """Return the id of a task from its inputs: the config, and the digests of the other parts.

    ``config`` is in its encoded form (see ``encode_values``).
    """
    return task_id_of_digests(common_digest, digest(config), partition_digest)


def task_id_of_digests(common_digest: str, config_digest: str, partition_digest: str) -> str:
    """Return the id of a task from the digests of its inputs' parts."""
    # The canonical JSON of these three, written out: a plan has up to millions of tasks.
    digests = ("common", common_digest), ("config", config_digest), ("partition", partition_digest)
    text = ",".join(f'"{name}":"{value}"' for name, value in digests)
    return hashlib.sha256(f"{{{text}}}".encode()).hexdigest()


def encode_values(value: Any) -> Any:
    """Return config values as JSON that distinguishes a decimal from a text of the same digits."""
    if isinstance(value, Decimal):
        return {_DECIMAL: decimal_text(value)}
    if isinstance(value, dict):
        return {key: encode_values(item) for key, item in value.items()}
    if isinstance(value, list):
        return [encode_values(item) for item in value]
    return value


def decode_values(value: Any) -> Any:
    """Return what ``encode_values`` was given."""
    if isinstance(value, dict):
        if value.keys() == {_DECIMAL}:
            return Decimal(value[_DECIMAL])
        return {key: decode_values(item) for key, item in value.items()}
    if isinstance(value, list):
        return [decode_values(item) for item in value]
    return value


def shown_values(value: Any) -> Any:
    """Return parameters for people and tables: decimals as their digits."""
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, dict):
        return {key: shown_values(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shown_values(item) for item in value]
    return value
