"""The command ``probe``: does an address answer?"""

from __future__ import annotations

import json
from pathlib import Path

import click

from trading_runtime.cli.options import JSON

_MOST_SECONDS = 60
_MOST_BYTES = 100_000_000


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--url", required=True, help="The address, such as http://localhost:8080/healthz.")
@click.option(
    "--seconds",
    type=click.FloatRange(0, _MOST_SECONDS, min_open=True),
    default=5.0,
    help="The longest that the whole answer may take; 5 if not given.",
)
@click.option(
    "--max-bytes",
    type=click.IntRange(1, _MOST_BYTES),
    default=1_000_000,
    help="The largest body; 1,000,000 if not given.",
)
@JSON
def probe(file: Path, url: str, seconds: float, max_bytes: int, *, as_json: bool) -> int:
    """Send one GET to an address of this machine, or of a host that the experiment in FILE allows.

    Other hosts are those of operations.probe_hosts. Redirects are not followed, proxy variables
    are not read, and nothing of the body is kept.
    """
    from trading_runtime.config.loading import load_experiment
    from trading_runtime.errors import Kind
    from trading_runtime.operations import records
    from trading_runtime.operations.probe import STATE_FILE, ProbeState
    from trading_runtime.operations.probe import probe as ask
    from trading_runtime.results.opening import open_store
    from trading_runtime.runs.operation_events import ProbeCompleted

    loaded = load_experiment(file)
    allowed = loaded.experiment.operations.probe_hosts
    found = ask(url, allowed, seconds=seconds, most_bytes=max_bytes)
    store = open_store(loaded.results_place)
    records.leave_state(store, STATE_FILE, found.content())
    event = ProbeCompleted(
        address=found.address,
        state=found.state,
        seconds=found.seconds,
        status=found.status,
        bytes=found.bytes,
        message=found.message,
    )
    records.journal(store, "probe", event)
    if as_json:
        click.echo(json.dumps(found.content(), ensure_ascii=False))
    else:
        click.echo(f"{found.state}: {found.address}, {found.message}, {found.seconds:.3f} s")
    return (Kind.OK if found.state is ProbeState.UP else Kind.TRANSIENT).exit_code
