"""The commands ``holdout open`` and ``list``: rows that no run may touch before."""

from __future__ import annotations

import json
from pathlib import Path

import click

from trading_runtime.cli.options import JSON, open_results, results_option
from trading_runtime.cli.terminal import say
from trading_runtime.errors import UsageError


@click.group()
def holdout() -> None:
    """Rows that are held out: no run may touch them until they are opened."""


@holdout.command("open")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--reason", required=True, help="Why; kept forever.")
def open_(file: Path, reason: str) -> None:
    """Open the hold-out of the experiment in FILE: its windows may be run from now on.

    It cannot be closed again.
    """
    from trading_runtime.config.loading import load_experiment
    from trading_runtime.datasets.manifest import load_manifest
    from trading_runtime.execution.preparation import held_out
    from trading_runtime.results.holdout import open_holdout
    from trading_runtime.results.store import open_store
    from trading_runtime.runs.metadata import now_text

    loaded = load_experiment(file)
    held = held_out(loaded.experiment, load_manifest(loaded.dataset_place))
    if held is None:
        raise UsageError(f"{file}: has no 'holdout'; name the experiment that declares it")
    is_new = open_holdout(open_store(loaded.results_place), held, reason, now_text())
    say(f"{held} is open" + ("" if is_new else " already, with an earlier reason"))


@holdout.command("list")
@results_option("folder")
@JSON
def list_(folder: str, *, as_json: bool) -> None:
    """List the hold-outs of a results folder, and who opened them, when and why."""
    from trading_runtime.results.holdout import recorded_holdouts
    from trading_runtime.units import format_instant

    found = recorded_holdouts(open_results(folder))
    if as_json:
        document = [
            {
                "instruments": list(held.instruments),
                "start": format_instant(held.start),
                "opened": None if opened is None else opened._asdict(),
            }
            for held, opened in found
        ]
        say(json.dumps(document, ensure_ascii=False))
        return
    for held, opened in found:
        state = "closed"
        if opened is not None:
            state = f"opened {opened.time} by {opened.user or 'unknown'}: {opened.reason}"
        say(f"{held}: {state}")
    if not found:
        say(f"{folder}: no hold-outs")
