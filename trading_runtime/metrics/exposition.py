"""Metrics as text: the file of a run, and what a server or a Pushgateway receives."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import urlsplit

from prometheus_client.exposition import generate_latest, push_to_gateway
from prometheus_client.registry import CollectorRegistry

from trading_runtime.errors import TransientError, UsageError
from trading_runtime.metrics.collector import RunCollector
from trading_runtime.results.store import open_store
from trading_runtime.storage.files import write_file

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

    from trading_runtime.records.metadata import RunMetadata
    from trading_runtime.records.run_files import RunFiles


def registry_of(collector: Collector) -> CollectorRegistry:
    """Return a registry with only this collector and none of the process's own metrics."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return registry


def text_of(collector: Collector) -> bytes:
    """Return the metrics in Prometheus's text format, with every digit."""
    return generate_latest(registry_of(collector))


def write_run_metrics(files: RunFiles, metadata: RunMetadata) -> None:
    """Write ``metrics.prom`` of a run whose folder is complete except for its metadata.

    ``metadata`` are the final ones. Raises ``StorageError`` when the file cannot be written.
    """
    root = files.folder.parent.parent
    content = text_of(RunCollector(open_store(root), files.folder.name, metadata=metadata))
    write_file(files.metrics_text, content)


JOB = "trading-runtime"
_ATTEMPTS = 3
_WAIT_SECONDS = 0.5
_TIMEOUT_SECONDS = 10
_SERVER_FAULT = 500


def push(collector: Collector, url: str, run_id: str | None) -> None:
    """Push the metrics, replacing those pushed before for the same run, or for the folder.

    Raises ``UsageError`` for an invalid address or one that refuses them, ``TransientError`` when
    none of three attempts gets an answer.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        raise UsageError(
            "the address of the Pushgateway: accepted is http:// or https:// with a host, and "
            "neither user name nor password in it"
        )
    shown = f"{parts.scheme}://{parts.netloc}"
    group = {} if run_id is None else {"run_id": run_id}
    registry = registry_of(collector)
    for attempt in range(_ATTEMPTS):
        try:
            push_to_gateway(url, JOB, registry, group, timeout=_TIMEOUT_SECONDS)
        except HTTPError as error:
            error.close()
            if error.code < _SERVER_FAULT:
                raise UsageError(
                    f"{shown}: refused the numbers with status {error.code}; is it a Pushgateway?"
                ) from error
        except OSError:
            pass
        else:
            return
        if attempt < _ATTEMPTS - 1:
            time.sleep(_WAIT_SECONDS)
    raise TransientError(f"{shown}: no answer in {_ATTEMPTS} tries; is a Pushgateway there?")
