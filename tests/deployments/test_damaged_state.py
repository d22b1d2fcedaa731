"""What lies in a supervisor's folder is read or refused, and steers no terminal."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from trading_runtime.cli.main import invoke, root
from trading_runtime.deployments.desired import DesiredFiles
from trading_runtime.deployments.state import (
    FOLDER,
    DeploymentState,
    Phase,
    Request,
    SupervisorFolder,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.deployments.conftest import Supervised

RAW = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066]")
STEERS = "\x1b]0;title\x07\x9b31m\u202e[red]x[/red]"


@pytest.fixture
def folder(tmp_path: Path) -> SupervisorFolder:
    """A folder in which a supervisor has run."""
    found = SupervisorFolder(tmp_path / FOLDER)
    with found.held():
        return found


def state(**changes: object) -> str:
    """The document of a deployment."""
    sound = asdict(DeploymentState("one", "one.yaml", "program", Phase.RUNNING))
    return json.dumps(sound | changes)


def irregular(path: Path, kind: str) -> None:
    """Make what is no file."""
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")


KINDS = ["fifo", "device", "folder"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_that_is_no_file_is_named_and_read_by_no_command(
    kind: str, folder: SupervisorFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder.states / "one.json"
    irregular(path, kind)

    for command in ("list", "show one", "logs one", "stop one"):
        words = ["deployments", *command.split(), "--folder", str(folder.folder.parent)]
        assert invoke(root, words) == 3
        [said] = capsys.readouterr().err.splitlines()
        assert said.startswith(f"error: {path}: cannot be read: ")
        assert "remove it" in said


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["problems.json", "requests/one.json", "lock"])
def test_what_else_is_no_file_holds_nothing_up(
    kind: str, name: str, folder: SupervisorFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder.states / "one.json").write_text(state())
    (folder.folder / name).unlink(missing_ok=True)
    irregular(folder.folder / name, kind)

    assert invoke(root, ["deployments", "list", "--folder", str(folder.folder.parent)]) == 0
    assert "one" in capsys.readouterr().out
    assert folder.request("one") == Request()


@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_a_deployment_that_is_no_file_is_a_problem_of_its_own(kind: str, tmp_path: Path) -> None:
    irregular(tmp_path / "one.yaml", kind)
    files = DesiredFiles([tmp_path])

    files.look()

    [problem] = files.problems.values()
    assert "one.yaml: cannot be read: is a" in problem


@pytest.mark.parametrize(
    "content",
    [
        "", "[]", "[" * 100_000, "\0", state(since=1e300), state(since=float("nan")),
        state(history=[[-1, "x"]]), state(due=1e18), state(restarts=["x"]), state(phase="odd"),
    ],
)  # fmt: skip
def test_a_damaged_state_is_named(
    content: str, folder: SupervisorFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder.states / "one.json"
    path.write_text(content)

    assert invoke(root, ["deployments", "list", "--folder", str(folder.folder.parent)]) == 3
    [said] = capsys.readouterr().err.splitlines()
    assert said.startswith(f"error: {path}: damaged")


def test_a_document_that_cannot_be_stored_ends_no_supervisor(supervised: Supervised) -> None:
    supervised.write("steady", ["sleep", "1000"])
    supervised.up()
    steady = supervised.wait_for("steady", "running")
    problems = supervised.folder / FOLDER / "problems.json"
    supervised.wait(problems.is_file)
    problems.unlink()
    problems.mkdir()
    (supervised.folder / "other.yaml").write_text("name: [")
    supervised.wait(lambda: "problems.json: cannot be written: Is a directory" in supervised.said)
    problems.rmdir()

    supervised.wait(lambda: problems.is_file() and "other.yaml" in problems.read_text())
    assert supervised.said.count("problems.json: cannot be written") == 1
    assert supervised.state("steady") == steady


@pytest.mark.parametrize("content", ["", "[]", '{"wanted": 1, "turn": 1e999}', '{"turn": "x"}'])
def test_a_damaged_request_asks_for_nothing(content: str, folder: SupervisorFolder) -> None:
    (folder.requests / "one.json").write_text(content)

    assert folder.request("one") == Request()


@pytest.mark.parametrize(
    "command", ["list", "list --json", "show one", "show one --json", "logs one"]
)
def test_what_a_program_said_steers_no_terminal(
    command: str,
    folder: SupervisorFolder,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    log = tmp_path / "output.log"
    log.write_text(STEERS)
    (folder.states / "one.json").write_text(
        state(why=STEERS, problem=STEERS, run_id=STEERS, log=str(log), history=[[1, STEERS]])
    )
    folder.write_problems({"one.yaml": STEERS})
    words = ["deployments", *command.split(), "--folder", str(folder.folder.parent)]

    assert invoke(root, words) == 0

    shown = capfd.readouterr()
    assert "\\u001b]0;title\\u0007\\u009b31m\\u202e[red]x[/red]" in shown.out
    assert RAW.search(shown.out + shown.err) is None
