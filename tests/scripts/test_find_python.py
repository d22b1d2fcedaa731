"""Where Python 3.13 is looked for, in which order, and what is said when there is none."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.scripts.machine import ROOT, Machine

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = ROOT / "scripts/find-python.sh"


def test_the_python_of_uv_comes_first(machine: Machine) -> None:
    python = machine.has_python("python3.13", below="of-uv")
    machine.has("uv", f'[[ "$*" == "python find"* ]] && echo "{python}"')
    machine.has_python("python3.13")

    assert found(machine) == python


def test_python3_13_comes_next(machine: Machine) -> None:
    python = machine.has_python("python3.13")
    machine.has("pyenv", 'echo "pyenv is not asked" >&2; exit 1')
    machine.has_python("python3")

    assert found(machine) == python


def test_uv_that_knows_no_such_python_is_passed_over(machine: Machine) -> None:
    machine.has("uv", "exit 2")
    python = machine.has_python("python3.13")

    assert found(machine) == python


def test_a_shim_of_pyenv_that_does_not_run_is_passed_over_for_its_newest_version(
    machine: Machine,
) -> None:
    machine.has("python3.13", 'echo "pyenv: python3.13: command not found" >&2; exit 127')
    machine.has_python("python", below="3.13.9")
    newest = machine.has_python("python", below="3.13.10")
    machine.has(
        "pyenv",
        'case "$1" in\n'
        "versions) printf '%s\\n' 3.11.7 3.13.10 3.13.9 3.13.9/envs/other 3.13t-dev ;;\n"
        f'which) echo "{machine.programs}/$PYENV_VERSION/python" ;;\n'
        "esac",
    )

    assert found(machine) == newest


def test_the_python_of_the_system_is_taken_when_it_is_3_13(machine: Machine) -> None:
    python = machine.has_python("python3")

    assert found(machine) == python


def test_uv_is_asked_to_download_one_when_nothing_else_is_there(machine: Machine) -> None:
    python = machine.has_python("python3.13", below="of-uv")
    machine.has("uv", uv_that_downloads(python))
    machine.has_python("python3", usable=False)

    assert found(machine) == python


def test_nothing_is_downloaded_when_this_machine_has_one(machine: Machine) -> None:
    machine.has("uv", uv_that_downloads(machine.has_python("python3.13", below="of-uv")))
    python = machine.has_python("python3")

    assert found(machine) == python


def test_without_any_one_line_says_what_to_install(machine: Machine) -> None:
    machine.has_python("python3", usable=False)

    result = machine.run(SCRIPT)

    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert "Python 3.13" in result.stderr
    assert "install" in result.stderr


def test_what_is_found_on_this_machine_is_python_3_13() -> None:
    path = subprocess.run(
        ["/usr/bin/env", "bash", SCRIPT], check=True, capture_output=True, text=True
    ).stdout.strip()

    version = subprocess.run([path, "--version"], check=True, capture_output=True, text=True)

    assert version.stdout.startswith("Python 3.13.")


def found(machine: Machine) -> Path:
    """The path that the script prints; it says nothing else."""
    result = machine.run(SCRIPT)
    assert (result.returncode, result.stderr) == (0, "")
    return machine.programs / result.stdout.strip()


def uv_that_downloads(python: Path) -> str:
    """A uv that finds this Python once it was asked to install it."""
    mark = python.with_name("installed")
    return (
        'case "$2" in\n'
        f'find) [[ -e "{mark}" ]] && echo "{python}" ;;\n'
        f'install) : >"{mark}" ;;\n'
        "esac"
    )
