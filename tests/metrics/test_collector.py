"""The numbers say what journal and metadata say, of running runs and ended ones."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from tests.metrics.sample_folder import (
    NEW_YEAR,
    SampleRun,
    collected,
    value,
    values_of,
)
from trading_runtime.metrics import run_reader
from trading_runtime.metrics.collector import FolderCollector
from trading_runtime.metrics.definitions import OF_FOLDER, OF_RUN, VALUES
from trading_runtime.metrics.exposition import text_of
from trading_runtime.records.run_files import RunFiles
from trading_runtime.results.store import open_store
from trading_runtime.runs.lock import locked

if TYPE_CHECKING:
    from collections.abc import Callable

# Records written by hand: with no more in them than the collector reads, and some damaged.
pytestmark = pytest.mark.damages_journals


STORED = (
    "runs/run/metadata.json",
    "runs/run/experiment.json",
    "runs/run/result.json",
    "runs/run/reconciliation.json",
    "operations/readiness.json",
    "operations/probe.json",
    "drills/kill-switch.json",
    "deployments/ema.json",
)
KEYS = st.sampled_from(
    [
        "status",
        "started",
        "ended",
        "engine",
        "executor",
        "journal",
        "limits",
        "task_seconds",
        "counts",
        "ok",
        "failed_by_kind",
        "time",
        "matched",
        "ready",
        "state",
        "seconds",
        "verdict",
        "tasks",
        "pending",
        "task_id",
        "rows",
        "memory_limit_bytes",
        "memory_bytes",
        "fetched_bytes",
        "worker",
        "experiment_name",
        "local-1",
        "lines",
        "last",
        "nautilus_trader",
    ]
)


@pytest.fixture
def ten(tmp_path: Path) -> SampleRun:
    """A run of ten tasks, two of them stored before; after 20 s three have ended, two run."""
    run = SampleRun(tmp_path, "ten")
    run.say(0, "run_started", tasks=10, pending=8, memory_limit_bytes=8_000)
    for number, worker in enumerate((0, 1)):
        run.say(1, "task_started", task_id=f"t{number}", worker=worker)
    run.say(
        8,
        "task_completed",
        task_id="t0",
        seconds=7.0,
        rows=1_000,
        worker=0,
        memory_bytes=2_000,
        fetched_bytes=500,
    )
    run.say(8, "task_started", task_id="t2", worker=0)
    run.say(
        10,
        "task_failed",
        task_id="t1",
        seconds=9.0,
        kind="strategy",
        worker=1,
        memory_bytes=1_500,
        fetched_bytes=0,
    )
    run.say(10, "task_started", task_id="t3", worker=1)
    run.say(12, "batch_retried", batch=0, tasks=2)
    run.say(
        20,
        "task_completed",
        task_id="t2",
        seconds=12.5,
        rows=3_000,
        worker=0,
        memory_bytes=2_500,
        fetched_bytes=250,
    )
    run.say(20, "task_started", task_id="t4", worker=0)
    return run


def test_a_running_run_tells_how_far_it_is_and_how_fast(tmp_path: Path, ten: SampleRun) -> None:
    with locked(RunFiles(ten.folder)):
        found = collected(tmp_path, now=NEW_YEAR + 30)

    expected = {
        "run_tasks_planned": 10,
        "run_tasks_cached": 2,
        "run_tasks_running": 2,
        # Ten, less two stored, three ended and two running.
        "run_tasks_waiting": 3,
        "run_tasks_completed_total": 2,
        "run_rows_total": 4_000,
        "run_task_seconds_total": 28.5,
        "run_fetched_bytes_total": 750,
        # Three tasks in 30 s.
        "run_tasks_per_second": 0.1,
        "run_rows_per_second": 4_000 / 30,
        # Five are left, at one in ten seconds.
        "run_time_left_seconds": 50,
        "run_last_event_timestamp_seconds": NEW_YEAR + 20,
        "run_last_event_age_seconds": 10,
        "run_last_progress_timestamp_seconds": NEW_YEAR + 20,
        "run_task_limit_seconds": 600,
        # Worker 0 has 2,500 and worker 1 has 1,500.
        "run_memory_bytes": 4_000,
        "run_memory_limit_bytes": 8_000,
        "run_journal_intact": 1,
        "run_journal_lines": 10,
    }
    assert {name: value(found, name, run_id="ten") for name in expected} == pytest.approx(expected)
    assert value(found, "run_status", run_id="ten", status="running") == 1
    assert value(found, "run_tasks_failed_total", run_id="ten", kind="strategy") == 1
    assert value(found, "run_tasks_failed_total", run_id="ten", kind="data") == 0
    assert value(found, "run_retries_total", run_id="ten", what="batch") == 1
    assert value(found, "run_retries_total", run_id="ten", what="task") == 0
    assert value(found, "run_ended_timestamp_seconds", run_id="ten") is None


def test_a_run_whose_process_is_gone_has_died_and_computes_nothing(
    tmp_path: Path, ten: SampleRun
) -> None:
    assert ten.metadata["status"] == "running"
    found = collected(tmp_path)

    assert value(found, "run_status", run_id="ten", status="died") == 1
    assert value(found, "run_status", run_id="ten", status="running") == 0
    assert value(found, "runs", status="died") == 1
    assert value(found, "run_tasks_running", run_id="ten") == 0
    assert value(found, "run_last_event_age_seconds", run_id="ten") is None


def test_a_run_that_goes_on_counts_on_and_its_queue_starts_anew(
    tmp_path: Path, ten: SampleRun
) -> None:
    ten.say(100, "run_started", tasks=10, pending=6)
    ten.say(101, "task_started", task_id="t1", worker=0)
    ten.say(110, "task_completed", task_id="t1", seconds=9.0, rows=500, worker=0)
    with locked(RunFiles(ten.folder)):
        found = collected(tmp_path, now=NEW_YEAR + 120)

    expected = {
        "run_tasks_cached": 4,
        "run_tasks_running": 0,
        "run_tasks_waiting": 5,
        "run_tasks_completed_total": 3,
        "run_rows_total": 4_500,
        # One task and 500 rows in the 20 s of this attempt.
        "run_tasks_per_second": 0.05,
        "run_rows_per_second": 25,
        "run_time_left_seconds": 100,
    }
    assert {name: value(found, name, run_id="ten") for name in expected} == pytest.approx(expected)


def test_a_run_of_pods_is_running_though_no_process_has_it(tmp_path: Path) -> None:
    run = SampleRun(tmp_path, "run", executor="argo")
    (tmp_path / "runs" / "run" / "alive").touch()  # a pod has just written it
    run.say(0, "run_started", tasks=4, pending=4)
    used = {"rows": 1, "worker": 0, "memory_bytes": 100, "fetched_bytes": 5}
    # The first pod was killed after its first task, and the second one did it again.
    for _ in range(2):
        run.say(1, "batch_started", batch=0, tasks=2, memory_limit_bytes=1_000)
        run.say(1, "task_started", task_id="a", worker=0)
        run.say(2, "task_completed", task_id="a", seconds=1.0, **used)
        run.say(3, "task_started", task_id="b", worker=0)
    found = collected(tmp_path, now=NEW_YEAR + 10)
    run.say(4, "task_completed", task_id="b", seconds=1.0, **used)
    run.say(4, "batch_completed", batch=0)
    after = collected(tmp_path, now=NEW_YEAR + 10)

    assert value(found, "run_status", run_id="run", status="running") == 1
    assert value(found, "run_tasks_running", run_id="run") == 1
    # Four, less one that ended, twice, and one that runs.
    assert value(found, "run_tasks_waiting", run_id="run") == 2
    assert value(found, "run_tasks_per_second", run_id="run") == 0.1
    assert value(found, "run_memory_bytes", run_id="run") == 100
    assert value(found, "run_memory_limit_bytes", run_id="run") == 1_000
    # A pod gives its memory back.
    assert value(after, "run_memory_bytes", run_id="run") is None
    assert value(after, "run_tasks_waiting", run_id="run") == 2


@pytest.mark.damages_journals
def test_times_keep_their_fractions(tmp_path: Path) -> None:
    run = SampleRun(tmp_path, "run", "complete", started="2024-01-01T00:00:00.123456Z")
    run.say(1.654321, "run_completed", run_digest="x")
    found = collected(tmp_path)

    assert value(found, "run_started_timestamp_seconds", run_id="run") == 1_704_067_200.123456
    assert value(found, "run_ended_timestamp_seconds", run_id="run") == 1_704_070_800.25
    assert value(found, "run_last_event_timestamp_seconds", run_id="run") == 1_704_067_201.654321


@pytest.mark.damages_journals
def test_runs_are_counted_by_status_and_their_tasks_by_what_became_of_them(tmp_path: Path) -> None:
    first = SampleRun(tmp_path, "first", "complete")
    first.summarise(ok=7)
    second = SampleRun(tmp_path, "second", "incomplete")
    second.summarise(ok=1, missing=2, failed={"strategy": 3, "crash": 1})
    damaged = SampleRun(tmp_path, "damaged", "complete")
    (damaged.folder / "metadata.json").write_text("{")
    found = collected(tmp_path)

    assert {status: value(found, "runs", status=status) for status in VALUES["status"]} == {
        "running": 0,
        "complete": 1,
        "incomplete": 1,
        "stopped": 0,
        "failed": 0,
        "killed": 0,
        "died": 0,
        "unknown": 1,
    }
    tasks = {result: value(found, "tasks", result=result) for result in VALUES["result"]}
    assert {result: count for result, count in tasks.items() if count} == {
        "ok": 8,
        "missing": 2,
        "strategy": 3,
        "crash": 1,
    }


def test_running_runs_are_shown_first_then_the_latest_and_the_rest_is_counted(
    tmp_path: Path,
) -> None:
    for day in (1, 2, 3):
        SampleRun(tmp_path, f"run-{day}", "complete", started=f"2024-01-0{day}T00:00:00Z")
    oldest = SampleRun(tmp_path, "oldest", started="2023-01-01T00:00:00Z")
    with locked(RunFiles(oldest.folder)):
        found = collected(tmp_path, most_runs=2)

    shown = {dict(labels)["run_id"] for name, labels in found if name == "run_info"}
    assert shown == {"oldest", "run-3"}
    assert value(found, "runs_not_shown") == 2
    assert value(found, "runs", status="complete") == 3


@pytest.mark.damages_journals
def test_labels_have_no_values_but_their_own(tmp_path: Path, ten: SampleRun) -> None:
    ten.say(21, "task_failed", task_id="t3", seconds=1.0, kind="a new kind")
    ten.say(22, "order_refused", task_id="t3", rule="a new rule", count=4)
    ten.say(22, "order_refused", task_id="t3", rule="stale_after", count=2)
    SampleRun(tmp_path, "strange", "a new status")
    SampleRun(tmp_path, "long", experiment_name="x" * 1_000)
    found = collected(tmp_path)

    assert value(found, "run_tasks_failed_total", run_id="ten", kind="other") == 1
    assert value(found, "run_orders_refused_total", run_id="ten", rule="other") == 4
    assert value(found, "run_orders_refused_total", run_id="ten", rule="stale_after") == 2
    assert value(found, "run_status", run_id="strange", status="unknown") == 1
    for _, labels in found:
        for label, text in labels:
            assert text in VALUES.get(label, (text,))
            assert len(text) <= 200


@pytest.mark.damages_journals
def test_lines_that_come_later_are_read_on(tmp_path: Path, ten: SampleRun) -> None:
    collector = FolderCollector(open_store(tmp_path), 50, lambda: NEW_YEAR + 60.0)
    with locked(RunFiles(ten.folder)):
        before = values_of(text_of(collector).decode())
        ten.say(30, "task_completed", task_id="t4", seconds=10.0, rows=7, worker=0)
        with ten.chain.open("ab") as file:
            file.write(b'{"sequence": 11, "ti')
        after = values_of(text_of(collector).decode())

    assert value(before, "run_tasks_completed_total", run_id="ten") == 2
    assert value(after, "run_tasks_completed_total", run_id="ten") == 3
    assert value(after, "run_journal_lines", run_id="ten") == 11
    # What is half written is being written.
    assert value(after, "run_journal_intact", run_id="ten") == 1


@pytest.mark.parametrize("status", ["running", "complete"])
def test_the_rest_of_a_long_journal_is_read_by_the_next_collections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    monkeypatch.setattr(run_reader, "_MOST_BYTES", 700)
    run = SampleRun(tmp_path, "run", status)
    run.say(0, "run_started", tasks=9, pending=9)
    for number in range(4):
        run.say(number + 1, "task_completed", task_id=str(number), seconds=1.0, rows=7, worker=0)
    run.chain = run.chain.with_name("000002.jsonl")
    run.say(5, "task_completed", task_id="5", seconds=1.0, rows=7, worker=0)
    collector = FolderCollector(open_store(tmp_path), 50, lambda: NEW_YEAR + 60.0)
    lines = [
        value(values_of(text_of(collector).decode()), "run_journal_lines", run_id="run")
        for _ in range(6)
    ]

    assert 0 < (lines[0] or 0) < 6
    assert lines == sorted(lines, key=lambda count: count or 0)
    assert lines[-1] == 6


def altered(lines: list[bytes]) -> list[bytes]:
    return [line.replace(b'"rows": 1000', b'"rows": 9000') for line in lines]


def without_the_third(lines: list[bytes]) -> list[bytes]:
    return lines[:2] + lines[3:]


def with_rubbish(lines: list[bytes]) -> list[bytes]:
    return [*lines, b"[]\n"]


@pytest.mark.parametrize("change", [altered, without_the_third, with_rubbish])
@pytest.mark.damages_journals
def test_a_journal_that_was_changed_is_not_intact(
    tmp_path: Path, ten: SampleRun, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    lines = ten.chain.read_bytes().splitlines(keepends=True)
    changed = change(lines)
    assert changed != lines
    ten.chain.write_bytes(b"".join(changed))

    assert value(collected(tmp_path), "run_journal_intact", run_id="ten") == 0


def test_a_journal_is_intact_up_to_the_end_that_the_metadata_name(tmp_path: Path) -> None:
    run = SampleRun(tmp_path, "run", "complete")
    run.say(0, "run_started", tasks=1, pending=0)
    run.say(1, "run_completed", run_digest="x")
    last = hashlib.sha256(run.chain.read_bytes().splitlines()[-1]).hexdigest()
    run.write("metadata.json", run.metadata | {"journal": {"local-1": {"lines": 2, "last": last}}})
    collector = FolderCollector(open_store(tmp_path), 50)
    whole = values_of(text_of(collector).decode())
    run.chain.write_bytes(run.chain.read_bytes().splitlines(keepends=True)[0])
    cut = values_of(text_of(collector).decode())

    assert value(whole, "run_journal_intact", run_id="run") == 1
    assert value(cut, "run_journal_intact", run_id="run") == 0
    assert value(cut, "run_journal_lines", run_id="run") == 1


def test_the_kill_switch_shows_for_all_runs_or_for_its_own(tmp_path: Path) -> None:
    SampleRun(tmp_path, "a", "complete")
    SampleRun(tmp_path, "b", "complete")
    switches = tmp_path / "kill-switch" / "on"
    switches.mkdir(parents=True)

    def shown() -> list[float | None]:
        found = collected(tmp_path)
        return [
            value(found, "kill_switch_active"),
            value(found, "kill_switch_runs"),
            value(found, "run_kill_switch_active", run_id="a"),
            value(found, "run_kill_switch_active", run_id="b"),
        ]

    assert shown() == [0, 0, 0, 0]
    (switches / "run.a.json").touch()
    assert shown() == [0, 1, 1, 0]
    (switches / "all.json").touch()
    assert shown() == [1, 1, 1, 1]
    (switches / "run.a.json").unlink()
    assert shown() == [1, 0, 1, 1]


def test_readiness_probe_reconciliation_and_drills_show_as_they_came_out_last(
    tmp_path: Path,
) -> None:
    run = SampleRun(tmp_path, "run", "complete")
    at = "2024-01-01T00:00:05.500000Z"
    states: dict[str, dict[str, object]] = {
        "operations/readiness.json": {"ready": False},
        "operations/probe.json": {"state": "up", "seconds": 0.125},
        "drills/kill-switch.json": {"verdict": "passed", "sabotage": False},
        "drills/disk-full.json": {"verdict": "failed", "sabotage": False},
        "drills/corrupt-result.json": {"verdict": "failed", "sabotage": True},
    }
    for name, content in states.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"time": at, **content}))
    counts = {"matched": 5, "mismatched": 2, "unknown": 1}
    run.write("reconciliation.json", {"time": at, "counts": counts})
    found = collected(tmp_path)

    assert value(found, "ready") == 0
    assert value(found, "readiness_checked_timestamp_seconds") == 1_704_067_205.5
    assert value(found, "probe_up") == 1
    assert value(found, "probe_duration_seconds") == 0.125
    assert value(found, "drill_passed", drill="kill-switch") == 1
    assert value(found, "drill_passed", drill="disk-full") == 0
    # With the safeguard off it has to fail: that is no news.
    assert value(found, "drill_passed", drill="corrupt-result") is None
    assert value(found, "run_reconciled_timestamp_seconds", run_id="run") == 1_704_067_205.5
    assert {
        outcome: value(found, "run_reconciliation_rows", run_id="run", outcome=outcome)
        for outcome in counts
    } == counts


def test_every_metric_has_help_type_and_a_name_of_the_form_that_is_usual(
    tmp_path: Path, ten: SampleRun
) -> None:
    assert ten.folder.exists()
    text = text_of(FolderCollector(open_store(tmp_path), 50)).decode()
    types = {"trading_runtime_" + item.name: item.type for item in (*OF_FOLDER, *OF_RUN)}

    for family in text_string_to_metric_families(text):
        assert family.documentation.endswith(".")
        name = family.name + ("_total" if family.type == "counter" else "")
        assert types[name] == family.type
    assert "_created" not in text


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=6,
)


@given(name=st.sampled_from(STORED), content=st.dictionaries(KEYS, ANYTHING, max_size=8))
def test_no_document_however_damaged_keeps_the_numbers_from_coming(
    name: str, content: dict[str, object]
) -> None:
    with TemporaryDirectory() as folder:
        results = Path(folder)
        run = SampleRun(results, "run", "complete")
        run.say(0, "run_started", **content)
        run.say(1, "task_completed", **content)
        path = results / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))

        assert value(collected(results), "kill_switch_active") == 0


def test_an_empty_folder_has_numbers_too(tmp_path: Path) -> None:
    found = collected(tmp_path)

    assert value(found, "runs", status="running") == 0
    assert value(found, "kill_switch_active") == 0


def test_a_thousand_runs_are_collected_in_less_than_half_a_second(tmp_path: Path) -> None:
    run = SampleRun(tmp_path, "run-0", "complete")
    run.summarise(ok=20)
    for task in range(20):
        run.say(task, "task_started", task_id=f"t{task}")
        run.say(task, "task_completed", task_id=f"t{task}", seconds=1.0, rows=10)
    for number in range(1, 1_000):
        shutil.copytree(run.folder, run.folder.with_name(f"run-{number}"))

    def seconds() -> tuple[float, float]:
        collector = FolderCollector(open_store(tmp_path), 50)
        # Of the processor: the machine may be busy with other tests.
        began = time.process_time()
        text_of(collector)
        first = time.process_time() - began
        text_of(collector)
        return first, time.process_time() - began - first

    first, second = seconds()
    assert value(collected(tmp_path), "runs", status="complete") == 1_000
    assert first < 0.5
    assert second < 0.5


def test_deployments_are_told_as_their_supervisor_told_them(tmp_path: Path) -> None:
    (tmp_path / "deployments").mkdir()
    told = {"wanted": True, "running": False, "gave_up": True, "restarts": 7, "missed": 2}
    (tmp_path / "deployments" / "ema.json").write_text(json.dumps({**told, "time": 1_700_000_000}))
    text = text_of(FolderCollector(open_store(tmp_path), 5)).decode()

    for line in (
        'trading_runtime_deployment_wanted{deployment="ema"} 1.0',
        'trading_runtime_deployment_running{deployment="ema"} 0.0',
        'trading_runtime_deployment_gave_up{deployment="ema"} 1.0',
        'trading_runtime_deployment_restarts_total{deployment="ema"} 7.0',
        'trading_runtime_deployment_missed_total{deployment="ema"} 2.0',
        'trading_runtime_deployment_seen_timestamp_seconds{deployment="ema"} 1.7e+09',
    ):
        assert line in text
