"""The commands ``trading-runtime config``: check an experiment file, print its JSON Schema."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from trading_runtime.config.experiment import PartitionSettings, Values
    from trading_runtime.config.loading import LoadedExperiment


@click.group("config")
def config_group() -> None:
    """Check an experiment file, or print the schema of such files."""


@config_group.command("check")
@click.argument("file", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def check(file: str, *, as_json: bool) -> None:
    """Check the experiment FILE: all that is wrong with it, or a summary of what it asks for.

    The dataset is not opened and the strategy is not imported; 'trading-runtime plan' does that.
    """
    from trading_runtime.config.loading import load_experiment
    from trading_runtime.errors import UsageError
    from trading_runtime.planning.points import expand_points

    loaded = load_experiment(file)
    try:
        expanded = expand_points(loaded.experiment)
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from error
    for note in expanded.notes:
        click.echo(f"{file}: note: {note}", err=True)
    summary = _summary(loaded, len(expanded.points))
    if as_json:
        click.echo(json.dumps(summary, indent=1, ensure_ascii=False))
        return
    click.echo(f"{file}: nothing wrong")
    for key, value in summary.items():
        shown = ", ".join(value) if isinstance(value, list) else value
        click.echo(f"  {key:<11} {shown}")


@config_group.command("schema")
def schema() -> None:
    """Print the JSON Schema of experiment files, for editors."""
    from trading_runtime.config.schema import schema_text

    click.echo(schema_text(), nl=False)


def _summary(loaded: LoadedExperiment, points: int) -> dict[str, Any]:
    experiment = loaded.experiment
    return {
        "name": experiment.name,
        "dataset": loaded.dataset_place,
        "strategy": experiment.strategy.path,
        "parameters": [_parameter(*item) for item in experiment.parameters.items()] or ["none"],
        "points": points,
        "partitions": _partitions(experiment.partitions),
        "objective": f"{experiment.objective.direction} {experiment.objective.metric}",
        "results": loaded.results_place,
    }


def _parameter(name: str, values: Values) -> str:
    from trading_runtime.config.experiment import DrawnValues, RangeValues
    from trading_runtime.config.ranges import range_values

    if isinstance(values, DrawnValues):
        return f"{name} (drawn from {values.low} to {values.high})"
    if isinstance(values, RangeValues):
        values = range_values(values.start, values.stop, values.step, values.scale)
    return f"{name} ({len(values)} {'value' if len(values) == 1 else 'values'})"


def _partitions(settings: PartitionSettings) -> str:
    from trading_runtime.config.experiment import PartitionUnit

    if settings.by is PartitionUnit.WHOLE:
        text = "the whole dataset"
    elif settings.by is PartitionUnit.DURATION:
        text = f"windows of {settings.length}"
    elif settings.by in {PartitionUnit.ROWS, PartitionUnit.BYTES}:
        text = f"at least {settings.count:,} {settings.by} each"
    else:
        text = f"by {settings.by}" if settings.count == 1 else f"by {settings.count} {settings.by}s"
    if settings.start or settings.end:
        text += f", from {settings.start or 'the first row'} to {settings.end or 'the last row'}"
    if settings.warmup:
        text += f", {settings.warmup} of warm-up"
    return text + (", each instrument by itself" if settings.instruments == "each" else "")
