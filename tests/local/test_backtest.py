"""The entrypoint runs from any folder, as a file, without the package being installed."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from tests.small_experiment import ENTRYPOINT

if TYPE_CHECKING:
    from pathlib import Path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ENTRYPOINT), *arguments],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_shows_its_options(tmp_path: Path) -> None:
    ended = run(tmp_path, "--help")

    assert ended.returncode == 0
    assert "--config" in ended.stdout


def test_a_file_that_is_nowhere_is_one_line_and_2(tmp_path: Path) -> None:
    ended = run(tmp_path, "--config", "none.json")

    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("error: none.json: there is no such file")
    assert len(ended.stderr.splitlines()) == 1


def test_debug_adds_the_traceback_and_keeps_the_code(tmp_path: Path) -> None:
    ended = run(tmp_path, "--config", "none.json", "--debug")

    assert ended.returncode == 2
    assert "Traceback" in ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("error: none.json")
