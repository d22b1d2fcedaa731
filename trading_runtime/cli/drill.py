"""The command ``drill``: make a fault on purpose, and see whether the safeguard holds."""

from __future__ import annotations

import json

import click

from trading_runtime.cli.options import JSON, results_option
from trading_runtime.runs.drill_names import DRILLS


@click.command()
@click.argument("name", type=click.Choice(DRILLS))
@click.option("--sabotage", is_flag=True, help="Switch the safeguard off: the drill must fail.")
@results_option(text="Where the verdict is left: the folder of the results, or its address in S3.")
@JSON
def drill(name: str, results: str, *, sabotage: bool, as_json: bool) -> int:
    """Make the fault NAME for real, on a small run in a scratch place that is removed afterwards.

    The exit code is 0 when every step holds, and 11 when one does not.
    """
    from trading_runtime.errors import Kind
    from trading_runtime.operations.drills.running import run_drill
    from trading_runtime.results.opening import open_store
    from trading_runtime.runs.operation_events import Verdict

    drilled = run_drill(name, open_store(results), sabotage=sabotage)
    if as_json:
        click.echo(json.dumps(drilled.content(), ensure_ascii=False))
    else:
        for step in drilled.steps.taken:
            click.echo(f"{'holds' if step.ok else 'BROKEN':<7} {step.name}: {step.message}")
        click.echo(f"{name}: {drilled.verdict}, {drilled.seconds:.1f} s")
    return (Kind.OK if drilled.verdict is Verdict.PASSED else Kind.DIFFERS).exit_code
