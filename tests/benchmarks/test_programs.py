"""The programs that are measured: they can be imported, and the figures name those there are."""

from __future__ import annotations

import importlib
import re

import pytest

from benchmarks.bench import ROOT

PROGRAMS = {path.stem for path in (ROOT / "benchmarks" / "programs").glob("[a-z]*.py")}
SCRIPT = "first_event_script"
"""Written as a user writes a script: it runs when it is imported."""


@pytest.mark.parametrize("name", sorted(PROGRAMS - {SCRIPT}))
def test_a_program_imports_what_there_is(name: str) -> None:
    importlib.import_module(f"benchmarks.programs.{name}")


def test_the_figures_name_programs_that_there_are() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "benchmarks").glob("*.py"))

    named = set(re.findall(r"benchmarks\.programs\.(\w+)", sources))
    assert {"stored_results", "task_against_node"} <= named <= PROGRAMS
