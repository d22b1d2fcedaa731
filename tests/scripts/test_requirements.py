"""The committed requirements files: exact, hashed, in step with their sources and each other."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.scripts.machine import ROOT

NAMES = (
    "requirements",
    "requirements-build",
    "requirements-charts",
    "requirements-dev",
    "requirements-docs",
    "requirements-drills",
    "requirements-mlflow",
    "requirements-data",
    "requirements-sbom",
    "requirements-search",
    "requirements-terminal",
)


@pytest.mark.parametrize("name", NAMES)
def test_every_package_has_one_exact_version_and_hashes(name: str) -> None:
    entries = entries_of(name)

    assert entries
    for entry in entries:
        assert re.fullmatch(
            r"[a-z0-9-]+==([0-9]+!)?[0-9][0-9a-z.]*( ; [^;]+)?( --hash=sha256:[0-9a-f]{64})+", entry
        ), entry[:80]


@pytest.mark.parametrize("name", NAMES)
def test_no_trace_is_left_of_the_machine_that_resolved_them(name: str) -> None:
    text = (ROOT / f"{name}.txt").read_text()

    assert not re.search(r"://|^-|/tmp|/opt|/home|/root", text, re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_everything_asked_for_is_pinned(name: str) -> None:
    asked = {
        normal(re.split(r"[=<>~\[; ]", line)[0])
        for line in (ROOT / f"{name}.in").read_text().splitlines()
        if line and not line.startswith(("#", "-"))
    }

    assert asked <= pins_of(name).keys()


def test_the_engine_is_the_version_that_the_example_settings_name() -> None:
    (line,) = re.findall(
        r"^NAUTILUS_TRADER_VERSION=(.+)$", (ROOT / ".env.example").read_text(), re.MULTILINE
    )

    assert pins_of("requirements")["nautilus-trader"] == line


def test_tests_run_with_the_versions_that_runs_use() -> None:
    run, dev = pins_of("requirements"), pins_of("requirements-dev")

    assert {name: dev[name] for name in run.keys() & dev.keys()} == {
        name: run[name] for name in run.keys() & dev.keys()
    }


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("requirements-search", {"optuna", "cmaes"}),
        ("requirements-terminal", {"cronsim", "rich"}),
        ("requirements-mlflow", {"mlflow-skinny"}),
    ],
)
def test_what_some_commands_need_brings_no_other_version_of_what_runs_use(
    name: str, own: set[str]
) -> None:
    run, some = pins_of("requirements"), pins_of(name)

    assert {name: some[name] for name in run.keys() & some.keys()} == {
        name: run[name] for name in run.keys() & some.keys()
    }
    assert own <= some.keys() - run.keys()


@pytest.mark.parametrize(
    "name",
    [
        "requirements-data",
        "requirements-search",
        "requirements-drills",
        "requirements-charts",
        "requirements-docs",
        "requirements-mlflow",
        "requirements-terminal",
    ],
)
def test_tests_install_beside_what_some_commands_need(name: str) -> None:
    some, dev = pins_of(name), pins_of("requirements-dev")

    assert {name: dev[name] for name in some.keys() & dev.keys()} == {
        name: some[name] for name in some.keys() & dev.keys()
    }


def test_the_project_is_built_with_the_tool_that_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    pins = pins_of("requirements-build")

    assert [tool.replace("_", "-") for tool in project["build-system"]["requires"]] == [
        f"{name}=={version}" for name, version in pins.items()
    ]


def entries_of(name: str) -> list[str]:
    """The logical lines of a requirements file, comments left out."""
    text = (ROOT / f"{name}.txt").read_text().replace("\\\n", "")
    lines = (re.sub(r"\s+", " ", line).strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def pins_of(name: str) -> dict[str, str]:
    """The version of every package in a requirements file."""
    pins = (entry.split(" ")[0].partition("==") for entry in entries_of(name))
    return {package: version for package, _, version in pins}


def normal(name: str) -> str:
    """A package's name in its one normal spelling."""
    return re.sub(r"[-_.]+", "-", name.lower())
