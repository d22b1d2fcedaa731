"""One run id belongs to one process at a time, and to none when that process is gone."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.small_experiment import ROOT
from trading_runtime.errors import StorageError, UsageError
from trading_runtime.records.run_files import RunFiles
from trading_runtime.runs.lock import is_locked, locked

if TYPE_CHECKING:
    from pathlib import Path

HOLD = """
import sys
from pathlib import Path
from trading_runtime.records.run_files import RunFiles
from trading_runtime.runs.lock import locked
with locked(RunFiles(Path(sys.argv[1]))):
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def files(tmp_path: Path) -> RunFiles:
    """The files of a run that has none yet."""
    return RunFiles(tmp_path / "run")


def test_a_lock_is_held_within_its_block_only(files: RunFiles) -> None:
    assert not is_locked(files)
    with locked(files):
        assert is_locked(files)
        with pytest.raises(UsageError, match="run 'run' is running already"), locked(files):
            pytest.fail("two have the lock")
    assert not is_locked(files)
    with locked(files):
        pass


def test_a_lock_goes_with_its_process_however_that_ends(files: RunFiles) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(files.folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        assert is_locked(files)
        holder.kill()
        holder.wait()

    assert files.lock.exists()
    assert not is_locked(files)
    with locked(files):
        pass


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("in the way")
    files = RunFiles(tmp_path / "results" / "runs" / "run")

    with pytest.raises(StorageError, match="cannot be written"), locked(files):
        pytest.fail("it is locked all the same")
