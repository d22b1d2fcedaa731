"""Metrics of runs whose results lie in S3 are those of a folder, and follow a run as it goes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.metrics.sample_folder import NEW_YEAR, SampleRun, value, values_of
from tests.s3.conftest import SECRET
from tests.s3.test_runs_in_s3 import upload
from trading_runtime import api
from trading_runtime.cli.main import invoke, root
from trading_runtime.metrics.collector import FolderCollector
from trading_runtime.metrics.exposition import text_of
from trading_runtime.results.store import open_store
from trading_runtime.storage.s3 import S3Folder

if TYPE_CHECKING:
    from pathlib import Path

    from tests.metrics.sample_folder import Values
    from tests.small_experiment import SmallExperiment

# Records written by hand: with no more in them than the collector reads, and some damaged.
pytestmark = pytest.mark.damages_journals


def test_a_run_in_s3_leaves_its_metrics_and_the_bytes_that_it_fetched(
    small: SmallExperiment, bucket: str, small_dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upload(small_dataset, f"{bucket}/data")
    results = f"{bucket}/results"
    path = small.write(dataset={"path": f"{bucket}/data"}, results=results)
    api.run(path, run_id="one", workers=1)
    stored = S3Folder(results).read("runs/one/metrics.prom").decode()
    capsys.readouterr()
    assert invoke(root, ["metrics", "export", "one", "--results", results]) == 0
    printed = capsys.readouterr().out

    assert printed == stored
    found = values_of(stored)
    assert value(found, "run_tasks_completed_total", run_id="one") == 12
    # The one file of bars, once: a worker keeps it from task to task.
    [bars] = (small_dataset / "data" / "bars").rglob("*.parquet")
    fetched = value(found, "run_fetched_bytes_total", run_id="one")
    assert fetched == bars.stat().st_size
    assert SECRET not in stored


def test_a_folder_in_s3_is_followed_as_it_grows(tmp_path: Path, bucket: str) -> None:
    run = SampleRun(tmp_path, "run", executor="argo")
    run.say(0, "run_started", tasks=2, pending=2)
    # A pod has just written it.
    (tmp_path / "runs" / "run" / "alive").touch()
    results = f"{bucket}/results"
    upload(tmp_path, results)
    collector = FolderCollector(open_store(results), 50, lambda: NEW_YEAR + 10.0)

    def collected() -> Values:
        return values_of(text_of(collector).decode())

    before = collected()
    # A later part of the same chain, as an object store has it.
    run.chain = run.chain.with_name("000002.jsonl")
    run.say(4, "task_completed", task_id="a", seconds=4.0, rows=9)
    counts = {"matched": 1, "mismatched": 0, "unknown": 0}
    run.write("reconciliation.json", {"time": "2024-01-01T00:00:09Z", "counts": counts})
    (tmp_path / "operations").mkdir()
    readiness = {"time": "2024-01-01T00:00:09Z", "ready": True}
    (tmp_path / "operations" / "readiness.json").write_text(json.dumps(readiness))
    (tmp_path / "kill-switch" / "on").mkdir(parents=True)
    (tmp_path / "kill-switch" / "on" / "all.json").write_text("{}")
    upload(tmp_path, results)
    after = collected()

    for found, completed, lines in ((before, 0, 1), (after, 1, 2)):
        assert value(found, "run_tasks_completed_total", run_id="run") == completed
        assert value(found, "run_journal_lines", run_id="run") == lines
        assert value(found, "run_journal_intact", run_id="run") == 1
        assert value(found, "runs", status="running") == 1
    assert value(before, "kill_switch_active") == 0
    assert value(after, "kill_switch_active") == 1
    assert value(after, "ready") == 1
    assert value(after, "run_reconciliation_rows", run_id="run", outcome="matched") == 1


def test_a_local_run_in_s3_that_no_process_has_has_died(tmp_path: Path, bucket: str) -> None:
    SampleRun(tmp_path, "run")
    upload(tmp_path, f"{bucket}/results")
    text = text_of(FolderCollector(open_store(f"{bucket}/results"), 50)).decode()

    assert value(values_of(text), "run_status", run_id="run", status="died") == 1
