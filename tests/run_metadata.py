"""Metadata of a run that never was, for tests that look at only some of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from trading_runtime.records.events import ExecutorKind, Mode
from trading_runtime.records.metadata import Code, RunMetadata
from trading_runtime.records.status import Status

STARTED = "2024-01-01T00:00:00.000000Z"


def made_up_metadata(**facts: Any) -> RunMetadata:
    """Return the metadata of a run that has just begun, with other ``facts``."""
    made = RunMetadata(
        mode=Mode.RESEARCH,
        executor=ExecutorKind.LOCAL,
        image=None,
        run_id="run",
        experiment_name="sample",
        labels={},
        experiment_file="sample.json",
        dataset="data",
        plan_digest="1" * 64,
        dataset_digest="2" * 64,
        config_digest="3" * 64,
        code=Code(runtime="4" * 64, strategy="5" * 64),
        engine={"nautilus_trader": "2.0.0"},
        python="3.13",
        versions={},
        host="host",
        user="ada",
        started=STARTED,
        ended=None,
        history=(),
        journal={},
        status=Status.RUNNING,
    )
    return replace(made, **facts)
