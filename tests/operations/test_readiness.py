"""Readiness: each thing that is missing is found, named and has its exit code."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.sessions.live_session import LiveSession
from tests.sessions.small_session import SmallSession
from trading_runtime.cli.main import invoke, root
from trading_runtime.config.loading import load_experiment
from trading_runtime.operations.readiness import CheckState, Readiness, check_readiness

if TYPE_CHECKING:
    from tests.small_experiment import SmallExperiment

CANARY = "canary-5f0e3c77a1"


def checked(experiment: SmallExperiment, **operations: Any) -> Readiness:
    experiment.write(operations=operations)
    return check_readiness(load_experiment(experiment.path))


def state_of(found: Readiness, name: str) -> tuple[CheckState, str]:
    [check] = [item for item in found.checks if item.name == name]
    return check.state, check.message


def test_an_experiment_that_could_run_is_ready(small: SmallExperiment) -> None:
    found = checked(small, min_free_disk_mb=1, min_free_memory_mb=1)

    assert found.is_ready, found.checks
    assert [item.name for item in found.checks] == [
        "variables", "data", "engine", "plan", "disk_scratch", "disk_results", "memory",
        "storage", "clock", "kill_switch",
    ]  # fmt: skip
    assert state_of(found, "plan")[1] == "12 tasks, 12 of them to compute"


def test_a_required_variable_that_is_missing_or_empty_fails(
    small: SmallExperiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VENUE_KEY", CANARY)
    monkeypatch.setenv("VENUE_USER", "")
    names = ["VENUE_KEY", "VENUE_USER", "VENUE_PASSPHRASE"]
    found = checked(small, required_variables=names)

    expected = (CheckState.FAILED, "not set: VENUE_USER, VENUE_PASSPHRASE")
    assert state_of(found, "variables") == expected
    assert found.kind.exit_code == 2


def test_an_optional_variable_that_is_missing_is_a_warning(small: SmallExperiment) -> None:
    found = checked(small, optional_variables=["VENUE_REGION"])

    assert state_of(found, "variables")[0] is CheckState.WARNING
    assert found.is_ready


def test_no_value_is_in_anything_that_is_left_or_said(
    small: SmallExperiment, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VENUE_KEY", CANARY)
    monkeypatch.setenv("VENUE_REGION", CANARY)
    small.write(
        operations={"required_variables": ["VENUE_KEY"], "optional_variables": ["VENUE_REGION"]}
    )
    target = small.folder / "readiness.json"
    assert invoke(root, ["readiness", "check", str(small.path), "--to", str(target)]) == 0

    assert target.exists()
    assert CANARY not in "".join(capfd.readouterr())
    left = [path for path in small.folder.rglob("*") if path.is_file()]
    assert [path for path in left if CANARY.encode() in path.read_bytes()] == []


def test_a_value_written_in_place_of_a_name_is_not_repeated(
    small: SmallExperiment, capfd: pytest.CaptureFixture[str]
) -> None:
    small.write(operations={"required_variables": [f"VENUE_KEY={CANARY}"]})

    assert invoke(root, ["readiness", "check", str(small.path)]) == 2
    errors = capfd.readouterr().err
    assert "is not the name of an environment variable" in errors
    assert CANARY not in errors


def test_a_changed_file_of_the_dataset_fails(small: SmallExperiment, tmp_path: Path) -> None:
    dataset = tmp_path / "copy"
    shutil.copytree(small.content["dataset"]["path"], dataset)
    victim = next(dataset.rglob("data/bars/**/*.parquet"))
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    small.write(dataset={"path": str(dataset)})
    found = checked(small)

    state, message = state_of(found, "data")
    assert state is CheckState.FAILED
    assert victim.name in message
    assert found.kind.exit_code == 3


def test_a_strategy_that_cannot_be_loaded_fails(small: SmallExperiment) -> None:
    (small.folder / "counting.py").write_text("raise ValueError('not today')\n")
    found = checked(small)

    assert state_of(found, "plan")[0] is CheckState.FAILED
    assert found.kind.exit_code == 4


@pytest.mark.parametrize(
    ("setting", "check", "code"),
    [("min_free_disk_mb", "disk_scratch", 8), ("min_free_memory_mb", "memory", 7)],
)
def test_too_little_of_what_the_machine_has_fails(
    small: SmallExperiment, setting: str, check: str, code: int
) -> None:
    found = checked(small, **{setting: 10**12})

    assert state_of(found, check)[0] is CheckState.FAILED
    assert found.kind.exit_code == code


def test_results_that_cannot_be_written_fail(small: SmallExperiment) -> None:
    small.write(results="occupied")
    (small.folder / "occupied").write_text("a file, and no folder")
    found = checked(small)

    assert state_of(found, "storage")[0] is CheckState.FAILED
    assert found.kind.exit_code == 8


def test_a_clock_that_differs_from_the_storages_fails(
    small: SmallExperiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 90)
    found = checked(small, max_clock_skew_seconds=60)

    state, message = state_of(found, "clock")
    assert state is CheckState.FAILED
    assert message.startswith("-90.")
    assert found.kind.exit_code == 75


def test_a_kill_switch_that_is_on_fails(small: SmallExperiment) -> None:
    small.results.mkdir()
    command = ["kill", "activate", "--reason", "a trial", "--results", str(small.results)]
    assert invoke(root, command) == 0
    found = checked(small)

    assert state_of(found, "kill_switch")[0] is CheckState.FAILED
    assert found.kind.exit_code == 10


def test_the_command_leaves_its_findings_for_metrics_and_journal(
    small: SmallExperiment, capfd: pytest.CaptureFixture[str]
) -> None:
    assert invoke(root, ["readiness", "check", str(small.path), "--json"]) == 0
    said = json.loads(capfd.readouterr().out)

    left = json.loads((small.results / "operations" / "readiness.json").read_text())
    assert left == {"format": 1} | said
    [journal] = (small.results / "operations" / "journal").glob("*/*.jsonl")
    entry = json.loads(journal.read_text())
    assert entry["event"] == "readiness_checked"
    assert entry["payload"]["checks"]["data"] == "passed"
    names = {path.name for path in (small.results / "operations").iterdir()}
    assert names == {"journal", "readiness.json"}


def test_a_check_runs_nothing(small: SmallExperiment) -> None:
    assert invoke(root, ["readiness", "check", str(small.path)]) == 0

    assert not (small.results / "tasks").exists()
    assert not (small.results / "runs").exists()
    assert not Path(small.folder / "readiness.json").exists()


def test_readiness_checks_what_a_paper_session_needs(
    tmp_path: Path, small_dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = SmallSession(tmp_path, small_dataset)
    code = invoke(root, ["readiness", "check", str(session.path)])
    said = capsys.readouterr().out
    session.write(data=session.content["data"] | {"dataset": "elsewhere"})
    broken = invoke(root, ["readiness", "check", str(session.path)])

    assert code == 0, said
    assert "a paper session of it can be prepared" in said
    assert broken == 3
    assert "keys" not in said


def test_readiness_names_the_keys_that_a_live_session_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret, key = "BYBIT_TESTNET_API_SECRET", "BYBIT_TESTNET_API_KEY"
    monkeypatch.setenv(key, CANARY)
    monkeypatch.delenv(secret, raising=False)
    with LiveSession(tmp_path) as live:
        code = invoke(root, ["readiness", "check", str(live.path)])
    said = capsys.readouterr().out

    assert code == 2
    assert f"failed   keys          not set: {secret}\n" in said
    assert "comes from bybit, which is not asked here" in said
    assert CANARY not in said
