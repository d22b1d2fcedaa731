"""`.env.example` documents every variable that the project reads, and no other."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from tests.scripts.machine import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Set by the shell, the machine or the tools, and not by a user for this project.
OF_THE_MACHINE = {
    "CI",
    "COLUMNS",
    "HOME",
    "LANG",
    "PATH",
    "POLARS_MAX_THREADS",
    "PYTHON",
    "PYTHONHASHSEED",
    "PYTHONPATH",
    "TZ",
}


def test_every_variable_that_is_read_is_documented() -> None:
    read = {
        variable
        for folder in ("trading_runtime", "tests")
        for path in sorted((ROOT / folder).rglob("*.py"))
        # What these read, tests hand to them and nobody sets.
        if path.parent.name not in {"knobs", "strategies"} or folder == "trading_runtime"
        for variable in variables_read_by(path)
    }

    assert read - OF_THE_MACHINE - documented() == set()


def test_every_variable_that_is_documented_is_read() -> None:
    sources = [
        path.read_text()
        for folder in ("trading_runtime", "tests", "scripts", "deploy")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in {".py", ".sh"} or path.name == "compose.yaml"
    ]

    assert {
        variable for variable in documented() if not any(variable in text for text in sources)
    } == set()


def test_every_variable_has_a_comment_with_its_default_and_its_reader() -> None:
    blocks = (ROOT / ".env.example").read_text().strip().split("\n\n")[1:]

    for block in blocks:
        assert "Default: " in block, block
        assert "ead by" in block, block


def documented() -> set[str]:
    """The variables of `.env.example`; those that have no default are commented out."""
    return set(
        re.findall(r"^#?\s?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    )


def variables_read_by(path: Path) -> Iterator[str]:
    """Yield the names in ``os.environ["X"]``, ``os.environ.get("X")`` and ``os.getenv("X")``."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Subscript(
                value=ast.Attribute(attr="environ"),
                slice=ast.Constant(value=str(variable)),
                ctx=ast.Load(),
            ):
                yield variable
            case ast.Call(
                func=ast.Attribute(value=ast.Attribute(attr="environ"), attr="get"),
                args=[ast.Constant(value=str(variable)), *_],
            ):
                yield variable
            case ast.Call(
                func=ast.Attribute(attr="getenv"), args=[ast.Constant(value=str(variable)), *_]
            ):
                yield variable
