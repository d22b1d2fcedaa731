"""Every command of docs/operations.md is run, one after the other as they stand there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.metrics.test_push import Gateway
from tests.small_experiment import ROOT, SmallExperiment

if TYPE_CHECKING:
    from pathlib import Path

PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
PROGRAM = [sys.executable, "-m", "trading_runtime.cli.main"]


def commands() -> list[tuple[str, int]]:
    """Return each command once, with the exit code that the page names, or 0."""
    found: dict[str, int] = {}
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL):
        for line in block.splitlines():
            command, _, remark = line.removeprefix("$ trading-runtime ").partition("#")
            code = re.search(r"exit (\d+)", remark)
            found[command.strip()] = int(code[1]) if code else 0
    return list(found.items())


@pytest.fixture
def place(tmp_path: Path, small_dataset: Path) -> Path:
    """A folder as the page takes it for granted: experiment, data, and a run that has ended."""
    folder = tmp_path / "operations"
    folder.mkdir()
    shutil.copytree(small_dataset, folder / "data")
    experiment = SmallExperiment(folder, folder / "data")
    one_day = {"by": "day", "end": "2024-01-02"}
    experiment.write(dataset={"path": "data"}, parameters={"every": [20]}, partitions=one_day)
    experiment.path.rename(folder / "experiment.json")
    # A venue that knows of no order, while the run has twelve.
    (folder / "snapshot.json").write_text('{"orders": []}')
    command = [*PROGRAM, "run", "experiment.json", "--run-id", "my-run"]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return folder


def test_every_command_does_what_the_page_says(place: Path, subtests: pytest.Subtests) -> None:
    assert len(commands()) > 10
    for command, code in commands():
        with subtests.test(command):
            run_as_the_page_says(place, command, code)


def run_as_the_page_says(place: Path, command: str, code: int) -> None:
    words = shlex.split(command)
    if words[:2] == ["metrics", "serve"]:
        serve(place, words)
        return
    with Gateway().listening() as gateway:
        words = [gateway.url if word == "http://127.0.0.1:9091" else word for word in words]
        ended = subprocess.run(
            [*PROGRAM, *words], cwd=place, capture_output=True, text=True, check=False, timeout=120
        )
    assert ended.returncode == code, ended.stderr
    assert ended.stdout or ended.stderr or words[1] == "push"


def serve(place: Path, words: list[str]) -> None:
    """Start the server at a port that is free, and end it when it says where it listens."""
    command = [*PROGRAM, *words, "--port", "0"]
    with subprocess.Popen(command, cwd=place, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().endswith("/metrics\n")
        process.terminate()
        assert process.wait(30) == 0
