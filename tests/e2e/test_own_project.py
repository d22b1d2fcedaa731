"""A user's own repository, outside this checkout: from an empty folder to a run in pods."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import venv
from typing import TYPE_CHECKING

from tests.e2e.conftest import submit_build
from tests.wheel import ROOT, build_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.servers import GitServer
    from tests.e2e.site import Site

PACKAGE = "sortedcontainers"
"""A package that the runtime does not need, so that no image of it has it."""


class Laptop:
    """A user's folder, and an environment with nothing but what was installed into it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = folder / ".venv" / "bin"
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        self.environment["PATH"] = f"{self.programs}{os.pathsep}{os.environ['PATH']}"
        venv.create(folder / ".venv", with_pip=True, symlinks=True)

    def run(self, *command: str, **environment: str) -> str:
        """Run a program of the environment in the folder; return what it printed."""
        ended = subprocess.run(
            [str(self.programs / command[0]), *command[1:]],
            cwd=self.folder,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert ended.returncode == 0, f"{' '.join(command)}\n{ended.stdout}{ended.stderr}"
        return ended.stdout


def commands_of_the_page() -> list[list[str]]:
    """Return the commands that docs/cluster.md tells the owner of a project to type."""
    page = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    section = page.partition("## A project of your own\n")[2].partition("\n## ")[0]
    return [
        shlex.split(line)
        for line in re.findall(r"^ *\$ (trading-runtime .*)$", section, re.MULTILINE)
    ]


def pinned(package: str) -> str:
    """Return the lines of the development requirements that pin a package with hashes."""
    text = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8")
    found = re.search(rf"^{package}==.*\n(?: +--hash=.*\n)+", text, re.MULTILINE)
    assert found is not None
    return found[0]


def replaced(path: Path, before: str, after: str) -> None:
    """Edit a file, as its owner does."""
    text = path.read_text(encoding="utf-8")
    assert before in text, path.name
    path.write_text(text.replace(before, after), encoding="utf-8")


def test_a_project_outside_the_checkout_runs_in_an_image_of_its_own_as_on_its_laptop(
    site: Site, image: str, git_server: GitServer, tmp_path: Path
) -> None:
    laptop = Laptop(tmp_path)
    laptop.run("pip", "install", "--quiet", str(build_wheel(tmp_path)))
    laptop.run("trading-runtime", "init", "mine", "--strategy", "rsi")
    laptop.folder = project = tmp_path / "mine"
    data, results = f"{site.place}/mine/data", f"{site.place}/mine/results"
    replaced(project / "experiment.yaml", "path: data/example", f"path: {data}")
    replaced(project / "trading-runtime.toml", '"results"', f'"{results}"')
    replaced(
        project / "strategies" / "rsi.py",
        "\nfrom nautilus_trader.indicators",
        f"\nimport {PACKAGE}\nfrom nautilus_trader.indicators",
    )
    (project / "packages.txt").write_text(pinned(PACKAGE))
    # Nodes and builds may know the registry by different names.
    runtime_image = f"{site.settings.push_to}@{image.partition('@')[2]}"
    building = submit_build(
        site, git_server.publish(project, "mine"), name="-mine", runtime_image=runtime_image
    )
    laptop.run("pip", "install", "--quiet", "--require-hashes", "-r", "packages.txt")
    mine = site.builds.succeeded(building).outputs["image"]

    words = {
        "s3://research/example": data,
        "ghcr.io/owner/mine@sha256:…": mine,
        "backtests": site.backtests.name,
    }
    for command in commands_of_the_page():
        laptop.run(*(words.get(word, word) for word in command))
    shown = json.loads(laptop.run("trading-runtime", "results", "show", "latest", "--json"))
    here = json.loads(
        laptop.run(
            "trading-runtime", "run", "experiment.yaml", "--json", TRADING_RUNTIME_RESULTS="results"
        )
    )

    assert here["counts"]["ok"] == here["counts"]["planned"] > 0
    assert shown["run_digest"] == here["run_digest"]
    assert list((project / "results" / "runs").iterdir()), "computed here, not read from S3"
