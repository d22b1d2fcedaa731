"""The command ``readiness check``: may this experiment run, here and now?"""

from __future__ import annotations

import json
from pathlib import Path

import click

from trading_runtime.cli.options import JSON

_FILE = click.Path(path_type=Path)


@click.group()
def readiness() -> None:
    """Tell whether an experiment may run here and now."""


@readiness.command()
@click.argument("file", type=_FILE)
@click.option("--to", "target", type=_FILE, help="Also write the findings to this file.")
@JSON
def check(file: Path, target: Path | None, *, as_json: bool) -> int:
    """Check all that the experiment in FILE needs; the exit code is 0 only if it is ready.

    Variables (never their values), data, engine, plan, disk, memory, storage, clock, kill switch.
    """
    from trading_runtime.config.loading import load_experiment
    from trading_runtime.errors import TradingRuntimeError
    from trading_runtime.operations import records
    from trading_runtime.operations.readiness import STATE_FILE, check_readiness
    from trading_runtime.results.files import write_file
    from trading_runtime.results.opening import open_store
    from trading_runtime.runs.operation_events import ReadinessChecked

    loaded = load_experiment(file)
    found = check_readiness(loaded)
    content = found.content()
    if target is not None:
        write_file(target, records.content_of(content))
    try:
        store = open_store(loaded.results_place)
        records.leave_state(store, STATE_FILE, content)
        states = {item.name: str(item.state) for item in found.checks}
        event = ReadinessChecked(ready=found.is_ready, checks=states)
        records.journal(store, "readiness", event)
    except TradingRuntimeError as error:
        if found.is_ready:
            raise
        click.echo(f"the findings could not be left with the results: {error}", err=True)
    if as_json:
        click.echo(json.dumps(content, ensure_ascii=False))
    else:
        for item in found.checks:
            click.echo(f"{item.state:<8} {item.name:<13} {item.message}")
        click.echo("ready" if found.is_ready else f"NOT READY ({found.kind})")
    return found.kind.exit_code
