"""Whatever a strategy does to its process is one failed task at most, and ends with it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from tests.execution.disks import bound_to_own_processes
from tests.execution.processes import wait_for
from tests.small_experiment import BAR_TYPE, SmallExperiment
from trading_runtime.errors import UsageError
from trading_runtime.execution.workers import processes
from trading_runtime.execution.workers.answers import GarbledError, read_answer
from trading_runtime.execution.workers.fence import WITH_MOVES, WITH_SIGNALS, landlock_version
from trading_runtime.execution.workers.processes import worker_environment

if TYPE_CHECKING:
    from collections.abc import Mapping

EXPECTED: Mapping[str, set[str]] = {
    "sound": {"ok"},
    "garbage": {"crash"},
    "lies": {"crash"},
    "endless_line": {"crash"},
    "deep": {"crash"},
    "patched": {"ok", "crash", "strategy"},
    "mask": {"ok"},
    "gutted": {"strategy"},
    "undermined": {"ok"},
    "unharmed": {"ok"},
    "closed": {"crash", "strategy"},
    "folder": {"crash", "data", "ok"},
    "limits": {"crash"},
    "forked": {"ok"},
    "daemon": {"ok"},
    "thread": {"ok"},
    "killed_once": {"ok"},
    "environment": {"strategy"},
    "spying": {"strategy"},
}
SECRET = "CaNaRy-s3cr3t-0123456789"  # noqa: S105 - made up


@pytest.fixture(scope="module")
def sabotaged(tmp_path_factory: pytest.TempPathFactory, small_dataset: Path) -> SmallExperiment:
    """A run of one task for each way to go wrong, by one worker after the other."""
    experiment = SmallExperiment(tmp_path_factory.mktemp("sabotaged"), small_dataset)
    experiment.use("sabotaging.py:Sabotaging", way=list(EXPECTED))
    notes = str(experiment.folder / "notes")
    experiment.content["strategy"]["config"] = {"bar_type": BAR_TYPE, "notes": notes}
    experiment.write()
    variables = {"AWS_SECRET_ACCESS_KEY": SECRET, "DB_PASS": SECRET, "MINE": "of the user"}
    words = ("--run-id", "x", "--workers", "1", "--json")
    ended = experiment.run(*words, environment=variables, before=bound_to_own_processes)
    assert ended.returncode == 5, ended.stderr
    return experiment


def ways(experiment: SmallExperiment) -> dict[str, str]:
    """Return the way in which each task goes wrong."""
    rows = pl.read_parquet(experiment.run_file("x", "results.parquet"))
    return dict(rows.select("task_id", "param.way").iter_rows())


def message_of(experiment: SmallExperiment, words: str) -> str:
    """Return the only message of a failure with these words."""
    documents = [
        json.loads(path.read_text()) for path in experiment.run_file("x", "failures").glob("*.json")
    ]
    [message] = [item["message"] for item in documents if words in item["message"]]
    return str(message)


def outcomes(experiment: SmallExperiment) -> dict[str, str]:
    """Return ``ok`` or the kind of failure by the way in which a task went wrong."""
    names = ways(experiment)
    kinds = dict.fromkeys(names.values(), "ok")
    for path in experiment.run_file("x", "failures").glob("*.json"):
        kinds[names[path.stem]] = json.loads(path.read_text())["kind"]
    return kinds


def test_each_way_is_one_task_and_never_the_run(sabotaged: SmallExperiment) -> None:
    found = outcomes(sabotaged)

    assert {way: kind for way, kind in found.items() if kind not in EXPECTED[way]} == {}
    assert found.keys() == EXPECTED.keys()


def test_what_a_task_started_ends_with_it(sabotaged: SmallExperiment) -> None:
    noted = [int(line) for line in (sabotaged.folder / "notes").read_text().split()]

    assert len(noted) == 3
    wait_for(lambda: not any(Path(f"/proc/{process}").exists() for process in noted))


def test_a_worker_that_was_killed_from_outside_is_tried_again(sabotaged: SmallExperiment) -> None:
    [killed] = [task for task, way in ways(sabotaged).items() if way == "killed_once"]
    lines = sabotaged.run_file("x", "journal.jsonl").read_text().splitlines()
    events = [
        entry["event"]
        for entry in map(json.loads, lines)
        if entry["payload"].get("task_id") == killed
    ]

    assert events == ["task_started", "task_started", "task_completed"]


def test_a_strategy_is_given_no_secret_and_nothing_that_is_not_allowed(
    sabotaged: SmallExperiment,
) -> None:
    told = message_of(sabotaged, "given: ")

    assert "'PYTHONHASHSEED', '0'" in told
    for word in ("AWS_", "DB_PASS", "MINE", "hidden", SECRET[:8]):
        assert word not in told


def test_a_strategy_sees_into_no_other_process_and_can_end_none(
    sabotaged: SmallExperiment,
) -> None:
    version = landlock_version()
    if version < WITH_MOVES:
        pytest.skip("this kernel has no Landlock")
    told = message_of(sabotaged, "seen: ")

    assert "seen: [], reached: [" in told
    if version >= WITH_SIGNALS:
        assert "reached: [], parent: " in told


@pytest.mark.parametrize("version", [WITH_MOVES, WITH_SIGNALS])
def test_a_fenced_process_moves_files_between_folders(version: int, tmp_path: Path) -> None:
    if landlock_version() < version:
        pytest.skip("this kernel has an older Landlock")
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "one" / "file").touch()

    # The first as that of a sandbox around the run.
    code = f"""
import os
from trading_runtime.execution.workers import fence
for version in ({WITH_MOVES}, {version}):
    fence.landlock_version = lambda: version
    assert fence.fence_in()
os.rename("one/file", "other/file")
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert (tmp_path / "other" / "file").exists()


def test_results_of_a_task_that_masked_its_files_can_be_read(sabotaged: SmallExperiment) -> None:
    modes = {path.stat().st_mode & 0o777 for path in sabotaged.results.rglob("summary.json")}

    assert modes == {0o644}


def test_variables_are_passed_when_they_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LICENCE", "of a library")
    assert "LICENCE" not in worker_environment()

    monkeypatch.setenv("TRADING_RUNTIME_PASS", "OTHER, LICENCE")
    assert worker_environment()["LICENCE"] == "of a library"


def test_too_little_address_space_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (600 << 20, -1))

    with pytest.raises(UsageError, match=r"limited to 600 MiB .*ulimit -v"):
        processes.refuse_little_address_space()


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"event": "task_started"}',
        b'{"event": "task_started", "task": -1}', b'{"event": "task_started", "task": true}',
        b'{"event": "task_started", "task": 1e400}', b'{"event": {}}',
        b'{"event": "task_ended", "task": 1, "status": "fine", "seconds": 1, "rows": 1}',
        b'{"event": "task_ended", "task": 1, "status": "ok", "seconds": "NaNa", "rows": 1}',
        b'{"event": "needs", "partition": 1, "ahead": ["x"]}',
    ],
)  # fmt: skip
def test_what_no_worker_answers_is_refused(content: bytes) -> None:
    with pytest.raises(GarbledError):
        read_answer(content)


def put_first(small: SmallExperiment, line: str) -> None:
    """Put a line in front of the strategy's module."""
    path = small.folder / "counting.py"
    path.write_text(path.read_text().replace("import random", f"{line}\nimport random", 1))


def refusal(small: SmallExperiment) -> tuple[int, str]:
    ended: Any = small.run("--run-id", "x", "--workers", "1")
    return ended.returncode, ended.stderr


def test_importing_a_strategy_comes_to_an_end(
    small: SmallExperiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trading_runtime import api
    from trading_runtime.errors import TaskTimeoutError

    monkeypatch.setattr(processes, "IMPORT_SECONDS", 0.5)
    put_first(small, "while True: pass")

    with pytest.raises(TaskTimeoutError, match=r"counting\.py: importing the strategy took longer"):
        api.plan(small.path)


def test_a_strategy_that_answers_while_it_is_imported_is_told(small: SmallExperiment) -> None:
    put_first(
        small,
        "import os\n"
        "for n in range(3, 64):\n try: os.write(n, b'nonsense\\n')\n except OSError: pass",
    )

    code, said = refusal(small)
    assert code == 7
    assert "answer nonsense" in said
    assert not (small.results / "runs").exists()
