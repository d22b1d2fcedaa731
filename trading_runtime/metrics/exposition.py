"""Numbers as text: the file of a run, and what a server or a Pushgateway is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.exposition import generate_latest
from prometheus_client.registry import CollectorRegistry

from trading_runtime.metrics.collector import RunCollector
from trading_runtime.metrics.results_folder import open_folder
from trading_runtime.results.files import write_file

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

    from trading_runtime.results.store import RunFiles


def registry_of(collector: Collector) -> CollectorRegistry:
    """Return a registry that holds this collector and none of the process's own metrics."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return registry


def text_of(collector: Collector) -> bytes:
    """Return the numbers in Prometheus's text format, every digit kept."""
    return generate_latest(registry_of(collector))


def write_run_metrics(files: RunFiles) -> None:
    """Write ``metrics.prom`` of a run whose folder has what it will have.

    Raises ``StorageError`` when it cannot be written.
    """
    root = files.folder.parent.parent
    content = text_of(RunCollector(open_folder(root), files.folder.name))
    write_file(files.metrics_text, content)
