"""The commands ``metrics export``, ``serve`` and ``push``: metrics of runs for Prometheus."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trading_runtime.cli.options import results_option
from trading_runtime.cli.terminal import say
from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

    from trading_runtime.results.store import Store

_RESULTS = results_option("place")
_MOST_RUNS = click.option(
    "--most-runs",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="Show so many runs one by one: running ones first, then the latest.",
)
_SECONDS_IN_S3 = 15


@click.group()
def metrics() -> None:
    """Metrics of runs, for Prometheus."""


@metrics.command("export")
@click.argument("run")
@_RESULTS
@click.option(
    "--to", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file instead."
)
def export(run: str, place: str, to: Path | None) -> None:
    """Print the current metrics of RUN, even while it is running."""
    from trading_runtime.metrics.collector import RunCollector
    from trading_runtime.metrics.exposition import text_of
    from trading_runtime.results.store import open_store
    from trading_runtime.storage.files import write_file

    store = open_store(place)
    content = text_of(RunCollector(store, _known_run(run, store, place)))
    if to is None:
        say(content.decode(), nl=False)
    else:
        write_file(to, content)


@metrics.command("serve")
@_RESULTS
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=9477, show_default=True,
              help="The port; 0 for any that is free.")  # fmt: skip
@click.option(
    "--every",
    type=click.FloatRange(min=0),
    help="Collect every so many seconds instead of at each request; 15 if the results are in S3.",
)
@_MOST_RUNS
def serve(place: str, host: str, port: int, every: float | None, most_runs: int) -> None:
    """Serve the metrics of a results folder at /metrics, and answer at /healthz."""
    from trading_runtime.metrics.collector import FolderCollector
    from trading_runtime.metrics.server import serving
    from trading_runtime.results.store import open_store
    from trading_runtime.storage.s3 import is_s3

    if every is None:
        every = _SECONDS_IN_S3 if is_s3(place) else 0.0
    collector = FolderCollector(open_store(place), most_runs)
    with serving(collector, host, port, every, lambda: collector.unread) as server:
        for number in (signal.SIGINT, signal.SIGTERM):
            # In a separate thread: it waits for the loop that the signal interrupts.
            signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
        say(f"http://{host}:{server.server_port}/metrics", err=True)
        server.serve_forever(poll_interval=0.1)


@metrics.command("push")
@click.argument("url")
@_RESULTS
@click.option("--run", help="Push the metrics of this run only.")
@_MOST_RUNS
def push_metrics(url: str, place: str, run: str | None, most_runs: int) -> None:
    """Push the metrics of a results folder, or of one run, to the Pushgateway at URL."""
    from trading_runtime.metrics.collector import FolderCollector, RunCollector
    from trading_runtime.metrics.exposition import push
    from trading_runtime.results.store import open_store

    store = open_store(place)
    if run is None:
        collector: Collector = FolderCollector(store, most_runs)
    else:
        run = _known_run(run, store, place)
        collector = RunCollector(store, run)
    push(collector, url, run)


def _known_run(run: str, store: Store, place: str) -> str:
    from trading_runtime.runs.opening import check_run_id

    known = store.run_ids()
    if check_run_id(run) not in known:
        raise UsageError(
            f"no run {run!r} in {place}; the last by name are: {', '.join(known[-3:]) or 'none'}"
        )
    return run
