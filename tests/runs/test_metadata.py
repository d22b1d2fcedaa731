"""Metadata say what a run is and all that it went through."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.run_metadata import STARTED, made_up_metadata
from trading_runtime.records.run_files import RunFiles
from trading_runtime.runs.metadata import Metadata, Status

if TYPE_CHECKING:
    from pathlib import Path


def test_an_end_is_in_the_file_once_it_is_sealed_and_not_before(tmp_path: Path) -> None:
    files = RunFiles(tmp_path)
    metadata = Metadata.begin(files, made_up_metadata(labels={"by": "Ada"}))
    first = json.loads(files.metadata.read_text())
    metadata.set(Status.STOPPED)
    assert json.loads(files.metadata.read_text()) == first
    metadata.seal()
    stopped = json.loads(files.metadata.read_text())

    assert (first["status"], first["ended"]) == ("running", None)
    assert (first["run_id"], first["labels"], first["mode"]) == (
        "run",
        {"by": "Ada"},
        "research",
    )
    assert stopped["status"] == "stopped"
    assert stopped["ended"] == stopped["history"][-1]["time"]


def test_a_run_that_goes_on_keeps_when_it_first_began_and_its_history(tmp_path: Path) -> None:
    files = RunFiles(tmp_path)
    Metadata.begin(files, made_up_metadata(started=STARTED))
    for status, error in ((Status.FAILED, "OSError: full"), (Status.COMPLETE, None)):
        metadata = Metadata.begin(files, made_up_metadata(started="2025-01-01T00:00:00.000000Z"))
        metadata.set(status, error)
        metadata.seal()
    content = json.loads(files.metadata.read_text())

    assert content["started"] == STARTED
    assert "error" not in content
    assert [entry["status"] for entry in content["history"]] == [
        "running",
        "running",
        "failed",
        "running",
        "complete",
    ]
