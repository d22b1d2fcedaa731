"""The memory that counts is the container's where it has a limit, else the machine's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from trading_runtime.execution.workers.memory import memory_limit

if TYPE_CHECKING:
    from pathlib import Path

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("1048576\n", 1_048_576),
        ("max\n", MACHINE),
        ("9223372036854771712\n", MACHINE),
        ("", MACHINE),
    ],
)
def test_a_limit_below_the_machines_memory_counts(
    tmp_path: Path, content: str, expected: int
) -> None:
    (tmp_path / "memory.max").write_text(content)

    assert memory_limit((str(tmp_path / "memory.max"), str(tmp_path / "none"))) == expected
