"""The package as ``pip install`` gets it: dependencies, pins, version, types."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from tests.wheel import build_wheel
from trading_runtime import __version__
from trading_runtime.cli.main import invoke, root
from trading_runtime.planning.distributions import normal_name

ROOT = Path(__file__).resolve().parent.parent
_NAME = re.compile(r"[A-Za-z0-9._-]+")


def test_dependencies_are_those_of_requirements_in_at_the_pinned_versions() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "requirements.in").read_text().splitlines()
    named = {
        normal_name(match[0])
        for line in lines
        if not line.startswith("#") and (match := _NAME.match(line))
    }
    pinned = {
        normal_name(line.split("==")[0]): line.split("==")[1].split()[0]
        for line in (ROOT / "requirements.txt").read_text().splitlines()
        if "==" in line and not line.startswith((" ", "#"))
    }

    declared = dict(item.split("==") for item in project["dependencies"])

    assert {normal_name(name): version for name, version in declared.items()} == {
        name: pinned[name] for name in named
    }


@pytest.mark.parametrize("extra", ["charts", "data", "mlflow", "search", "terminal"])
def test_an_extra_is_what_its_requirements_file_names(extra: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / f"requirements-{extra}.txt").read_text().splitlines()
    named = (ROOT / f"requirements-{extra}.in").read_text().splitlines()
    asked = {line for line in named if _NAME.match(line) and not line.startswith("-")}

    pinned = {line.split(" ")[0] for line in lines if line.split("==")[0] in asked}

    assert set(project["optional-dependencies"][extra]) == pinned
    assert len(pinned) == len(asked) > 0


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_the_command_says_its_version(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(root, [option]) == 0
    assert capsys.readouterr().out == f"trading-runtime, version {__version__}\n"


def test_a_command_that_is_almost_one_is_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(root, ["resluts"]) == 2
    assert "no command 'resluts'; did you mean 'results'?" in capsys.readouterr().err


def test_the_wheel_runs_outside_the_checkout(tmp_path: Path) -> None:
    """The dependencies come from this environment: only the package itself is installed anew."""
    wheel = build_wheel(tmp_path)
    with zipfile.ZipFile(wheel) as content:
        held = {name for name in content.namelist() if name.startswith("trading_runtime/")}
        pins = content.read("trading_runtime/requirements.txt")
    assert pins == (ROOT / "requirements.txt").read_bytes()
    assert {"trading_runtime/py.typed", "trading_runtime/report/templates/index.html"} <= held

    environment = tmp_path / "environment"
    venv.create(environment, symlinks=True)
    (site,) = environment.glob("lib/*/site-packages")
    # A .pth file is not read in a folder that another one names: the checkout stays out.
    (dependencies,) = Path(sys.prefix).glob("lib/*/site-packages")
    (site / "dependencies.pth").write_text(f"{dependencies}\n")
    with zipfile.ZipFile(wheel) as content:
        content.extractall(site)
    program = [str(environment / "bin" / "python"), "-P", "-m", "trading_runtime.cli.main"]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}

    folder = tmp_path / "mine"
    for arguments in (["init", str(folder), "--strategy", "bracket"], ["doctor"]):
        ended = subprocess.run(
            [*program, *arguments],
            cwd=tmp_path,
            env=clean,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
    assert f"in {site / 'trading_runtime'}" in ended.stdout
    ran = subprocess.run(
        [*program, "run", "experiment.yaml"],
        cwd=folder,
        env=clean,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "complete" in ran.stdout
