"""The command line says what is wrong in a line or two, and ends with the code of its kind."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest

from tests.small_experiment import ROOT
from trading_runtime.cli.main import COMMANDS, invoke, root
from trading_runtime.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

GROUPS = {
    "config": ["check", "schema"],
    "data": ["prepare", "inspect", "verify", "adopt"],
    "results": ["list", "show", "export"],
    "runs": ["list", "stop"],
}
PATHS = [
    [],
    *([name] for name in COMMANDS),
    *([group, name] for group, names in GROUPS.items() for name in names),
]


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_every_command_has_help(path: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(root, [*path, "--help"]) == 0
    shown = capsys.readouterr()
    assert " ".join(["Usage: trading-runtime", *path]) in shown.out
    assert shown.err == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rnu"], ["no command 'rnu'", "did you mean 'run'?"]),
        (["xyzzy"], ["no command 'xyzzy'; accepted are init, doctor, config"]),
        (["run", "--wrokers", "2", "x.json"], ["--wrokers", "--workers"]),
        (["run", "--workers", "0", "x.json"], ["--workers", "0"]),
        (["run", "--workers", "two", "x.json"], ["--workers", "two"]),
        (["run"], ["give the experiment file once"]),
        (["run", "a.json", "--config", "b.json"], ["give the experiment file once"]),
        (["plan"], ["FILE"]),
        (["runs", "stop"], ["RUN_ID"]),
        (["runs", "halt"], ["halt"]),
        (["plan", "not-there.json"], ["not-there.json", "no such file"]),
    ],
    ids=" ".join,
)
def test_a_bad_command_line_is_one_line_that_names_what_is_wrong(
    arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(root, arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert len(shown.err.splitlines()) == 1
    assert [word for word in words if word not in shown.err] == []


def failing(error: Callable[[], BaseException]) -> click.Command:
    """Return a command that ends with an error."""

    @click.command()
    def command() -> None:
        raise error()

    return command


def test_an_error_of_ours_is_its_message_and_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(failing(lambda: DataError("a.csv:3: is late\nsort it")), []) == 3
    assert capsys.readouterr().err == "error: a.csv:3: is late\nerror: sort it\n"


def test_an_error_that_nobody_expected_is_two_lines_and_asks_for_a_report(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert invoke(failing(lambda: ZeroDivisionError("by nought")), []) == 1
    lines = capsys.readouterr().err.splitlines()

    assert lines[0] == "error: internal error: ZeroDivisionError: by nought"
    assert "please report it" in lines[1]
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("error", "code"), [(UsageError("why"), 2), (ZeroDivisionError("why"), 1)], ids=["ours", "any"]
)
def test_debug_shows_the_traceback_and_keeps_message_and_code(
    error: Exception, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(failing(lambda: error), [], debug=True) == code
    shown = capsys.readouterr().err
    assert "Traceback (most recent call last)" in shown
    assert "error: " in shown.splitlines()[-1]


def test_ctrl_c_ends_with_130() -> None:
    assert invoke(failing(KeyboardInterrupt), []) == 130


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_leaves_early_is_no_error(unbuffered: str) -> None:
    ended = subprocess.run(  # noqa: S602 - the pipe is what is tested
        f"{sys.executable} -m trading_runtime.cli.main config schema | head -c 1 > /dev/null; "
        "exit ${PIPESTATUS[0]}",
        shell=True,
        executable="/bin/bash",
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (0, "")
