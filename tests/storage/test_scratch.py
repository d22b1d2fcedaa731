"""A temporary folder goes with its process: by itself, or when another process looks for it."""

from __future__ import annotations

import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

import pytest

from tests.small_experiment import ROOT
from trading_runtime.errors import StorageError
from trading_runtime.storage.scratch import (
    Scratch,
    remove_abandoned_scratch,
    remove_abandoned_staging,
    staging_prefix,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOLD = """
import sys
from pathlib import Path
from trading_runtime.storage.scratch import Scratch, staging_prefix
made = Scratch(), Scratch(Path(sys.argv[1]), staging_prefix(".new-"))
(made[1].path / "orders.parquet").touch()
print("made", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where temporary files go."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """A folder of stored results."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    return folder


@pytest.fixture
def holder(temporary: Path, tasks: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process, which has a folder in either place."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tasks)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(temporary)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "made\n"
        yield process
        process.kill()


def clean(tasks: Path) -> None:
    remove_abandoned_scratch()
    remove_abandoned_staging(tasks, ".new-")


def test_a_folder_is_there_within_its_block_only(temporary: Path) -> None:
    with Scratch() as scratch:
        assert scratch.path.parent == temporary
        (scratch.path / "file").touch()
        remove_abandoned_scratch()
        assert (scratch.path / "file").exists()
    assert list(temporary.iterdir()) == []


def test_folders_of_a_process_that_lives_are_left_and_those_of_a_killed_one_removed(
    holder: subprocess.Popen[str], temporary: Path, tasks: Path
) -> None:
    clean(tasks)
    assert len([*temporary.iterdir(), *tasks.iterdir()]) == 2

    holder.send_signal(signal.SIGKILL)
    holder.wait()
    clean(tasks)
    assert [*temporary.iterdir(), *tasks.iterdir()] == []


def test_what_another_machine_writes_is_left_until_it_is_old(tasks: Path) -> None:
    # Its lock is not seen here, on some shared file systems.
    theirs = tasks / ".new-another-machine-x7"
    theirs.mkdir()
    (tasks / "00").mkdir()
    remove_abandoned_staging(tasks, ".new-")
    assert theirs.is_dir()

    os.utime(theirs, (0, 0))
    remove_abandoned_staging(tasks, ".new-")
    assert [path.name for path in tasks.iterdir()] == ["00"]


def test_a_link_with_such_a_name_is_no_folder_of_ours(temporary: Path, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (temporary / "trading-runtime-scratch-x").symlink_to(tmp_path / "kept")
    remove_abandoned_scratch()

    assert (tmp_path / "kept").is_dir()


def test_names_hold_the_machine_and_nothing_that_a_path_could_be_made_of() -> None:
    letters = re.sub("[^A-Za-z0-9]", "-", platform.node())

    assert staging_prefix(".new-") == f".new-{letters}-"


def test_no_place_for_temporary_files_is_a_storage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/proc/no/such/folder")

    with pytest.raises(StorageError, match="set TMPDIR to a folder with more of it"):
        Scratch()


def test_temporary_folders_are_made_where_they_are_found_again() -> None:
    """Others are in a folder that is (``dir=``), or have to outlive the process."""
    made = re.compile(r"tempfile\.(TemporaryDirectory|mkdtemp|mkstemp|NamedTemporaryFile)\((.*)")
    elsewhere = [
        f"{path.name}: {found[0]}"
        for path in (ROOT / "trading_runtime").rglob("*.py")
        for found in made.finditer(path.read_text())
        if "dir=" not in found[2] and path.name != "session.py"
    ]

    assert elsewhere == []
