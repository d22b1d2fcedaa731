"""The commands of the kill switch: what they say, and what they refuse."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from trading_runtime.cli.main import invoke, root

if TYPE_CHECKING:
    from pathlib import Path


def kill(place: Path, *words: str) -> int:
    return invoke(root, ["kill", *words, "--results", str(place)])


def test_status_tells_on_off_and_the_history(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kill(tmp_path, "status")
    assert capsys.readouterr().out == "off\n"

    kill(tmp_path, "activate", "--reason", "the feed\nlies", "--run", "one")
    kill(tmp_path, "status")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("on for run 'one' since 2")
    assert lines[0].endswith("(the feed lies)")
    assert lines[1].split()[1:3] == ["activate", "one"]


def test_machines_read_it_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kill(tmp_path, "activate", "--reason", "the feed lies", "--json")
    switched = json.loads(capsys.readouterr().out)
    assert (switched["action"], switched["run_id"]) == ("activate", None)

    kill(tmp_path, "status", "--json")
    content = json.loads(capsys.readouterr().out)
    assert content["on"] is True
    assert content["active"] == content["history"] == [switched]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["activate"], "'--reason'"),
        (["clear", "--reason", "x"], "is not on for all runs"),
        (["activate", "--reason", "x", "--run", "../../x"], "run id '../../x'"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert kill(tmp_path, *words) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_refused_since_nobody_looks_at_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert kill(tmp_path / "resluts", "activate", "--reason", "x") == 2
    assert "no such folder" in capsys.readouterr().err
