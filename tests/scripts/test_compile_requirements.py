"""The engine's pin comes from `.env`, else from `.env.example`; nothing is resolved here."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.scripts.machine import ROOT, Machine

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    (tmp_path / ".env.example").write_text("# The engine.\nNAUTILUS_TRADER_VERSION=2.0.0rc7\n")
    return tmp_path


def test_without_a_file_of_ones_own_the_example_counts(machine: Machine, folder: Path) -> None:
    assert engine(machine, folder).stdout == "nautilus_trader==2.0.0rc7 (.env.example)\n"


@pytest.mark.parametrize(
    "line",
    [
        "NAUTILUS_TRADER_VERSION=2.0.1",
        'NAUTILUS_TRADER_VERSION="2.0.1"',
        "NAUTILUS_TRADER_VERSION='2.0.1'  # the first fixed one",
        "export NAUTILUS_TRADER_VERSION=2.0.1",
        "OTHER=1\nNAUTILUS_TRADER_VERSION=2.0.0\nNAUTILUS_TRADER_VERSION=2.0.1",
    ],
)
def test_a_file_of_ones_own_comes_before_the_example(
    machine: Machine, folder: Path, line: str
) -> None:
    (folder / ".env").write_text(f"{line}\n")

    assert engine(machine, folder).stdout == "nautilus_trader==2.0.1 (.env)\n"


def test_a_file_of_ones_own_that_sets_other_things_leaves_the_example_in_force(
    machine: Machine, folder: Path
) -> None:
    (folder / ".env").write_text("# NAUTILUS_TRADER_VERSION=9.9.9\nAWS_REGION=eu-west-1\n")

    assert engine(machine, folder).stdout == "nautilus_trader==2.0.0rc7 (.env.example)\n"


def test_a_file_of_ones_own_is_read_and_never_run(machine: Machine, folder: Path) -> None:
    (folder / ".env").write_text("$(cat /dev/null >ran)\nNAUTILUS_TRADER_VERSION=2.0.1\n")

    engine(machine, folder)

    assert not list(folder.rglob("ran"))


@pytest.mark.parametrize("version", [">=2.0.0", "2.*", "latest", "2.0.0;sys_platform"])
def test_what_is_not_one_exact_version_is_refused(
    machine: Machine, folder: Path, version: str
) -> None:
    (folder / ".env").write_text(f"NAUTILUS_TRADER_VERSION={version}\n")

    result = engine(machine, folder)

    assert result.returncode == 2
    assert f".env: NAUTILUS_TRADER_VERSION is '{version}'" in result.stderr


def engine(machine: Machine, folder: Path) -> subprocess.CompletedProcess[str]:
    """Ask the script for the pin, without network."""
    return machine.run(folder / "scripts/compile-requirements.sh", "--print-engine")
