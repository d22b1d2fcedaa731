"""The environment is made once, from hashed files only, and again when they change."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.scripts.machine import ROOT, Machine

if TYPE_CHECKING:
    from pathlib import Path

REQUIREMENTS = (
    "requirements.txt",
    "requirements-build.txt",
    "requirements-charts.txt",
    "requirements-dev.txt",
    "requirements-docs.txt",
    "requirements-drills.txt",
    "requirements-mlflow.txt",
    "requirements-data.txt",
    "requirements-search.txt",
    "requirements-terminal.txt",
)


class Checkout:
    """A checkout with the real scripts, on a machine whose Python only notes what it is told."""

    def __init__(self, folder: Path, machine: Machine) -> None:
        self.folder = folder
        self.machine = machine
        self.log = machine.programs / "calls"
        for file in (*REQUIREMENTS, "pyproject.toml"):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(f"the {file}\n")
        shutil.copytree(ROOT / "scripts", folder / "scripts")
        self.has_python()

    def has_python(self, *, whose_installs: str = "exit 0") -> None:
        """Give the machine a Python that makes environments, and whose pip does as told."""
        made = self.machine.has(
            "python-of-environment", f'echo "$*" >>"{self.log}"\n{whose_installs}'
        )
        self.machine.has(
            "python3.13",
            'case "$*" in\n'
            '"-m venv .venv") mkdir -p .venv/bin\n'
            f'  printf \'#!%s\\nexec %s "$@"\\n\' "{self.machine.programs}/bash" {made}'
            " >.venv/bin/python\n"
            "  chmod +x .venv/bin/python ;;\n"
            "--version) echo Python 3.13.0 ;;\n"
            "*ensurepip*) ;;\n"
            '*) echo "$0" ;;\n'
            "esac",
        )

    def make(self, kind: str = "run") -> list[str]:
        """Make the environment; return the calls of its Python."""
        self.log.write_text("")
        result = self.machine.run(self.folder / "scripts/environment.sh", kind)
        assert result.returncode == 0, result.stderr
        return self.log.read_text().splitlines()


@pytest.fixture
def checkout(tmp_path: Path, machine: Machine) -> Checkout:
    return Checkout(tmp_path / "checkout", machine)


def test_a_new_environment_holds_what_a_run_needs_and_the_project(checkout: Checkout) -> None:
    requirements, project = checkout.make()

    assert "-r requirements.txt -r requirements-build.txt" in requirements
    assert "--editable ." in project


def test_nothing_without_a_hash_and_nothing_that_must_be_built_is_installed(
    checkout: Checkout,
) -> None:
    *requirements, project, dev = checkout.make("dev")

    assert all("--require-hashes --only-binary :all:" in call for call in [*requirements, dev])
    assert "--no-index --no-deps --no-build-isolation" in project


def test_a_second_call_starts_nothing(checkout: Checkout) -> None:
    checkout.make("dev")

    assert checkout.make("dev") == []
    assert checkout.make("run") == []


def test_what_tests_need_is_added_to_an_environment_that_is_there(checkout: Checkout) -> None:
    checkout.make()

    (added,) = checkout.make("dev")

    files = ("", "-search", "-data", "-drills", "-charts", "-docs", "-terminal", "-mlflow", "-dev")
    assert " ".join(f"-r requirements{name}.txt" for name in files) in added


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-build.txt"])
def test_changed_requirements_make_it_anew(checkout: Checkout, file: str) -> None:
    checkout.make("dev")
    left_over = checkout.folder / ".venv/left-over"
    left_over.touch()

    (checkout.folder / file).write_text("other\n")

    assert len(checkout.make()) == 2
    assert not left_over.exists()


def test_a_folder_that_was_moved_makes_it_anew(checkout: Checkout, tmp_path: Path) -> None:
    checkout.make()

    checkout.folder = checkout.folder.rename(tmp_path / "moved")

    assert len(checkout.make()) == 2


def test_an_install_that_failed_is_tried_again(checkout: Checkout) -> None:
    checkout.has_python(whose_installs="exit 1")
    script = checkout.folder / "scripts/environment.sh"

    assert checkout.machine.run(script).returncode == 1
    checkout.has_python()

    assert len(checkout.make()) == 2


def test_an_unknown_kind_is_refused(checkout: Checkout) -> None:
    result = checkout.machine.run(checkout.folder / "scripts/environment.sh", "production")

    assert result.returncode == 2
    assert "'production'" in result.stderr
