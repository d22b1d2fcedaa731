"""What holds for everything that is refused: its exit code, its words, and nothing else left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trading_runtime.cli.main import invoke, root

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pytest

MOST_LINES = 2


def contents(folder: Path) -> dict[str, bytes | None]:
    """Return every file and folder below ``folder``; caches of Python's own are left out."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if "__pycache__" not in path.parts
    }


def assert_said(words: Sequence[str], errors: str) -> None:
    """Check what was written to standard error: the words, in one or two lines, no traceback."""
    assert [word for word in words if word not in errors] == [], errors
    assert "Traceback" not in errors
    assert "internal error" not in errors
    assert 1 <= len(errors.splitlines()) <= MOST_LINES, errors
    assert all(line.startswith("error: ") for line in errors.splitlines()), errors
    assert all(len(line) < 500 for line in errors.splitlines()), errors


def assert_refused(
    command: Sequence[str],
    exit_code: int,
    words: Sequence[str],
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Run a command in this process, which stands in ``folder``; it must be refused."""
    before = contents(folder)
    capsys.readouterr()

    found = invoke(root, list(command))

    output, errors = capsys.readouterr()
    assert (found, output) == (exit_code, ""), errors
    assert_said(words, errors)
    assert contents(folder) == before
