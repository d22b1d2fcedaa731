"""The script of the template `build-push-ghcr`, run with a stand-in for BuildKit's command."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from trading_runtime import __version__
from trading_runtime.project.scaffold import create_project

ROOT = Path(__file__).resolve().parent.parent.parent
RUNTIME = f"ghcr.io/owner/trading-runtime@sha256:{'ab' * 32}"
DIGEST = f"sha256:{'cd' * 32}"


@dataclass(frozen=True)
class Built:
    """How the script ended, and what BuildKit was asked for."""

    code: int
    message: str
    options: list[str]
    out: Path

    @property
    def build_arguments(self) -> dict[str, str]:
        found = [text.removeprefix("build-arg:") for text in self.options if "build-arg:" in text]
        return dict(text.split("=", 1) for text in found)


def build(repository: Path, folder: Path, runtime_image: str) -> Built:
    """Run the script over ``repository``, with its absolute paths moved into ``folder``."""
    for name in ("build", "out", "bin"):
        (folder / name).mkdir(parents=True)
    buildctl = folder / "bin" / "buildctl-daemonless.sh"
    buildctl.write_text(
        f'#!/bin/sh\nfor word in "$@"; do printf "%s\\n" "$word" >>{folder}/options; done\n'
        f'printf \'{{"containerimage.digest": "{DIGEST}"}}\' >{folder}/build/metadata.json\n'
    )
    buildctl.chmod(0o755)
    script = (ROOT / "argo" / "build-image.sh").read_text(encoding="utf-8")
    for place in ("/build/", "/out/", "/dev/termination-log"):
        script = script.replace(place, f"{folder}{place.replace('/dev', '')}")
    settings = {
        "REPOSITORY": str(repository),
        "REVISION": "main",
        "IMAGE": "ghcr.io/owner/mine",
        "PUSH_TO": "",
        "COMPRESSION": "zstd",
        "PYTHON_IMAGE": "",
        "RUNTIME_IMAGE": runtime_image,
        "PATH": f"{folder}/bin:{os.environ['PATH']}",
    }
    ended = subprocess.run(
        ["sh", "-c", script], env=settings, capture_output=True, text=True, check=False
    )
    options = folder / "options"
    told = options.read_text().splitlines() if options.exists() else []
    return Built(ended.returncode, ended.stderr, told, folder / "out")


def committed(folder: Path) -> Path:
    for words in (
        ["init", "--quiet", "--initial-branch", "main"],
        ["add", "--all"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message", "all"],
    ):
        subprocess.run(["git", "-C", str(folder), *words], check=True)
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    create_project(folder, "rsi")
    return committed(folder)


def test_a_project_of_ones_own_is_built_from_the_runtime_s_image(
    project: Path, tmp_path: Path
) -> None:
    built = build(project, tmp_path, RUNTIME)

    assert built.code == 0, built.message
    assert built.build_arguments["RUNTIME_IMAGE"] == RUNTIME
    assert (built.out / "image").read_text() == f"ghcr.io/owner/mine@{DIGEST}"
    dockerfile = (project / "Dockerfile").read_text()
    assert "\nARG RUNTIME_IMAGE\nFROM ${RUNTIME_IMAGE}\n" in dockerfile
    assert "--require-hashes" in dockerfile


def test_a_project_of_ones_own_without_the_runtime_s_image_is_refused(
    project: Path, tmp_path: Path
) -> None:
    built = build(project, tmp_path, "")

    assert built.code == 2
    assert "runtime-image: is missing" in built.message
    assert built.options == []


@pytest.mark.parametrize("name", ["--help", "a b", "$(touch x)"])
def test_an_image_whose_name_is_none_is_refused(project: Path, tmp_path: Path, name: str) -> None:
    built = build(project, tmp_path, name)

    assert built.code == 2
    assert "is not a name such as" in built.message


def test_the_runtime_s_own_image_states_its_version_and_its_engine(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "trading_runtime").mkdir(parents=True)
    for name in ("trading_runtime/__init__.py", "requirements.txt", "Dockerfile"):
        (source / name).write_bytes((ROOT / name).read_bytes())

    built = build(committed(source), tmp_path / "pod", "")

    assert built.code == 0, built.message
    given = built.build_arguments
    assert given["VERSION"] == __version__
    assert f"nautilus-trader=={given['ENGINE']} " in (ROOT / "requirements.txt").read_text()
    assert "RUNTIME_IMAGE" not in given
