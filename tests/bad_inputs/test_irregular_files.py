"""What is no regular file is refused before it is opened, and size is known before reading."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trading_runtime.cli.main import invoke, root
from trading_runtime.config import strategy_code
from trading_runtime.execution.workers.processes import OUTPUT_KEPT_IN, StartedProcess
from trading_runtime.storage.files import read_bytes

if TYPE_CHECKING:
    from tests.small_experiment import SmallExperiment


def irregular(folder: Path, kind: str, name: str) -> Path:
    """Make what is no file under a name."""
    path = folder / name
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to({"device": "/dev/zero", "made up": "/proc/self/maps"}[kind])
    return path


KINDS = ["fifo", "device", "made up", "folder"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "command",
    [
        "plan {}", "config check {}", "run {}", "data prepare {}", "trade {}",
        "reconcile run --against {}", "evidence check {}.zip",
    ],
)  # fmt: skip
def test_an_argument_that_is_no_file_is_told_in_a_line(
    kind: str, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "x.json.zip" if ".zip" in command else "x.json"
    irregular(tmp_path, kind, name)
    started = time.monotonic()

    code = invoke(root, command.format(tmp_path / "x.json").split())

    said = capsys.readouterr().err
    assert code in {2, 3}, said
    assert "internal error" not in said
    assert said.startswith("error: ")
    assert time.monotonic() - started < 30


@pytest.mark.damages_journals
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("fifo", "metadata.json"), ("device", "plan.json"), ("made up", "result.json"),
        ("fifo", "journal.jsonl"), ("folder", "metadata.json"), ("fifo", "lock"),
    ],
)  # fmt: skip
def test_a_file_of_a_run_that_is_none_ends_no_command_as_our_defect(
    kind: str, name: str, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (results / "runs" / "whole" / name).unlink()
    irregular(results / "runs" / "whole", kind, name)

    for command in ("runs list", "runs show whole", "runs check whole", "results show whole"):
        invoke(root, [*command.split(), "--results", str(results)])
        assert "internal error" not in capsys.readouterr().err


def test_a_pipe_where_a_pod_leaves_its_words_holds_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("TRADING_RUNTIME_TERMINATION_LOG", OUTPUT_KEPT_IN):
        monkeypatch.setenv(name, str(tmp_path / "pipe"))

    assert invoke(root, ["plan", "nothere.json"]) == 2
    StartedProcess(1, tmp_path).end()


def test_size_is_known_before_bytes_are_read(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a terabyte of nothing

    with pytest.raises(OSError, match="at most 1,000 are accepted"):
        read_bytes(path, 1_000)


def test_a_long_value_is_quoted_shortly(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    small.write(name="a" * 100_000)

    assert invoke(root, ["config", "check", str(small.path)]) == 2
    [said] = capsys.readouterr().err.splitlines()
    assert "small.json:1:10: name: " in said
    assert "characters left out" in said
    assert len(said) < 3_000


def test_a_hundred_thousand_unknown_keys_are_refused_at_once(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads(small.path.read_text())
    small.path.write_text(json.dumps(content | {f"key_{n}_{'x' * 20}": n for n in range(100_000)}))
    started = time.process_time()

    assert invoke(root, ["config", "check", str(small.path)]) == 2
    assert time.process_time() - started < 20
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 51
    assert "more" in said[-1]


def test_the_code_of_a_strategy_is_not_the_whole_machine(
    small: SmallExperiment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(strategy_code, "_MOST_ENTRIES", 500)
    small.content["strategy"]["code"] = ["/"]
    small.write()

    assert invoke(root, ["plan", str(small.path)]) == 2
    assert "more than 500 files and folders" in capsys.readouterr().err


@pytest.mark.parametrize(("kind", "what"), [("fifo", "a FIFO"), ("device", "a device")])
@pytest.mark.parametrize("key", ["path", "config_path", "code"])
def test_code_that_is_no_file_is_called_what_it_is(
    kind: str, what: str, key: str, small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    irregular(small.folder, kind, "odd.py")
    value: object = ["odd.py"] if key == "code" else "odd.py:Odd"
    small.write(strategy=small.content["strategy"] | {key: value})

    for command in ("config check", "plan"):
        assert invoke(root, [*command.split(), str(small.path)]) == 2
        [said] = capsys.readouterr().err.splitlines()
        assert f"'odd.py' is {what}; name a file" in said


def test_code_below_a_folder_that_cannot_be_read_is_told(
    small: SmallExperiment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (small.folder / "closed" / "inner").mkdir(parents=True)
    is_dir = Path.is_dir

    def guarded(path: Path) -> bool:
        if path.name == "inner":
            raise PermissionError(13, "Permission denied", str(path))
        return is_dir(path)

    monkeypatch.setattr(Path, "is_dir", guarded)
    small.write(strategy=small.content["strategy"] | {"code": ["closed"]})

    assert invoke(root, ["plan", str(small.path)]) == 2
    assert "closed/inner: cannot be read: Permission denied" in capsys.readouterr().err


@pytest.mark.parametrize(
    "changes",
    [
        {"strategy": {"path": f"{'x' * 300}.py:X"}},
        {"strategy": {"path": "counting.py:Counting", "code": ["x" * 300]}},
        {"dataset": {"path": "x" * 300}},
        {"dataset": {"path": "x/" * 3_000}},
        {"results": "x" * 300},
    ],
)
def test_a_path_that_is_too_long_is_told_in_a_line(
    changes: dict[str, object], small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    small.write(**changes)

    assert invoke(root, ["plan", str(small.path)]) in {2, 3, 8}
    said = capsys.readouterr().err
    assert "internal error" not in said
    assert len(said.splitlines()) <= 2


def test_a_grid_is_bounded_before_it_is_expanded(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    small.write(
        parameters={"every": {"start": 1, "stop": 1000, "step": 1}, "size_step": list(range(1000))},
        constraints=[f"every > {n}" for n in range(100)],
    )
    started = time.process_time()

    assert invoke(root, ["plan", str(small.path)]) == 2
    assert time.process_time() - started < 10
    assert "combinations" in capsys.readouterr().err


@pytest.mark.parametrize("threads", ["0", "-1", "many", ""])
def test_no_threads_for_polars_are_told(
    threads: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POLARS_MAX_THREADS", threads)

    assert invoke(root, ["runs", "list"]) == 2
    assert "POLARS_MAX_THREADS" in capsys.readouterr().err
