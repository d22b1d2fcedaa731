"""The commands ``trading-runtime config``: check an experiment file, print its JSON Schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trading_runtime.cli.terminal import say

if TYPE_CHECKING:
    from trading_runtime.config.deployment import LoadedDeployment
    from trading_runtime.config.experiment import PartitionSettings, Values
    from trading_runtime.config.loading import LoadedExperiment
    from trading_runtime.planning.points import PointList
    from trading_runtime.records.run_warnings import RunWarning


@click.group("config")
def config_group() -> None:
    """Check an experiment file, or print the schema of such files."""


@config_group.command("check")
@click.argument("file", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def check(file: str, *, as_json: bool) -> None:
    """Check FILE, an experiment or a deployment: list what is wrong, or summarise what it asks for.

    For a dataset on this machine the manifest is checked too; no row is read. The strategy is not
    imported; 'trading-runtime plan' does that.
    """
    from trading_runtime.config.deployment import is_deployment, load_deployment
    from trading_runtime.config.loading import load_experiment
    from trading_runtime.config.messages import SettingsError
    from trading_runtime.errors import UsageError
    from trading_runtime.planning.points import expand_points

    deployed = load_deployment(file) if is_deployment(file) else None
    loaded = load_experiment(file) if deployed is None else deployed.loaded
    try:
        expanded = expand_points(loaded.experiment)
        warnings = _warnings(loaded, expanded)
    except SettingsError as error:
        raise loaded.placed(error, file) from error
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from error
    for warning in warnings:
        say(f"{file}: warning: {warning}", err=True)
    if deployed is None:
        summary = _summary(loaded, len(expanded.points))
    else:
        summary = _summary_of_session(deployed)
    summary["warnings"] = [item.document() for item in warnings]
    if as_json:
        say(json.dumps(summary, indent=1, ensure_ascii=False))
        return
    say(f"{file}: {'nothing wrong' if not warnings else 'valid, with warnings'}")
    for key, value in summary.items():
        if key == "warnings":
            continue
        shown = ", ".join(value) if isinstance(value, list) else value
        say(f"  {key:<11} {shown}")


@config_group.command("schema")
@click.option("--deployment", is_flag=True, help="That of deployment files instead.")
def schema(*, deployment: bool) -> None:
    """Print the JSON Schema of experiment files, for editors."""
    from trading_runtime.config.schema import schema_text

    say(schema_text(deployment=deployment), nl=False)


def _warnings(loaded: LoadedExperiment, points: PointList) -> list[RunWarning]:
    """Return the warnings that ``plan`` will give, where the dataset is available."""
    from trading_runtime.datasets.manifest import MANIFEST_NAME, load_manifest
    from trading_runtime.planning.partitions import choose_series
    from trading_runtime.planning.run_warnings import find_warnings, point_warnings
    from trading_runtime.planning.unsupported import refuse_unsupported
    from trading_runtime.storage.s3 import is_s3

    place = loaded.dataset_place
    if is_s3(place) or not (Path(place) / MANIFEST_NAME).is_file():
        return point_warnings(loaded.experiment, points)
    manifest = load_manifest(place)
    chosen = choose_series(manifest, loaded.experiment.dataset)
    refuse_unsupported(loaded.experiment, manifest, chosen)
    return find_warnings(loaded.experiment, manifest, chosen, points)


def _summary(loaded: LoadedExperiment, points: int) -> dict[str, Any]:
    experiment = loaded.experiment
    return {
        "name": experiment.name,
        "dataset": loaded.dataset_place,
        "strategy": experiment.strategy.path,
        "parameters": [_parameter(*item) for item in experiment.parameters.items()] or ["none"],
        "points": points,
        "partitions": _partitions(experiment.partitions),
        "objective": ", ".join(
            f"{each.direction} {each.metric}"
            for each in (experiment.objective, *experiment.further_objectives)
        ),
        "results": loaded.results_place,
    }


def _summary_of_session(deployed: LoadedDeployment) -> dict[str, Any]:
    deployment = deployed.deployment
    data, execution = deployment.data, deployment.execution
    adapter = getattr(data, "adapter", None)
    return {
        "name": deployment.name,
        "mode": deployment.mode,
        "data": adapter or f"{deployed.loaded.dataset_place}, {deployment.pace}",
        "orders to": getattr(execution, "adapter", "a simulated venue"),
        "strategy": deployment.strategy.path,
        "results": deployed.loaded.results_place,
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
