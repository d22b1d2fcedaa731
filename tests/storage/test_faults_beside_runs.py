"""Whatever goes wrong at any change to what is kept beside runs, it is the old or the new one."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.disk_faults import lines_of
from tests.storage.faults_beside_runs import FAULTS
from trading_runtime.errors import Kind

MEMORY = Path("/dev/shm")  # noqa: S108 - of Linux
EXPECTED: dict[str, list[object]] = {
    "state": [{"one": "running"}, {"one": "stopped"}],
    "request": [[True, 1], [False, 2]],
    "problems": [{"a": "x"}, {"a": "y"}],
    "forgotten": [[{"one": "running"}, [False, 1]], [{}, [False, 1]], [{}, [True, 0]]],
    "program": [{}, {"one": "running"}, {"one": "backing off"}],
    "log": [True],
    "account": [["s-1", 0], ["s-2", 0], ["s-2", 1]],
    "ledger": [["a"], ["a", "b"]],
    "hold-out": [[], [None], ["the last test"]],
    "kill switch": [[], ["danger"]],
    "cleared": [["danger"], []],
}
"""What is there before, after some of the change, and after it."""


@pytest.fixture(scope="module")
def faults() -> list[dict[str, Any]]:
    """What came of each fault at each change."""
    # A disk would take its time for some thousand syncs, which the faults count themselves.
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as kept:
        return lines_of("tests.storage.faults_beside_runs", kept)


@pytest.mark.parametrize("thing", EXPECTED)
@pytest.mark.parametrize("fault", FAULTS)
def test_it_is_as_before_or_as_after_and_can_be_changed_again(
    faults: list[dict[str, Any]], thing: str, fault: str
) -> None:
    tried = [each for each in faults if (each["thing"], each["fault"]) == (thing, fault)]

    assert tried
    assert [each for each in tried if each["then"] not in EXPECTED[thing]] == []
    assert [each for each in tried if each["again"] != EXPECTED[thing][-1]] == []


@pytest.mark.parametrize("thing", EXPECTED)
def test_a_disk_that_fails_is_told_unless_the_change_was_made(
    faults: list[dict[str, Any]], thing: str
) -> None:
    failed = [
        each for each in faults if each["thing"] == thing and each["fault"] in {"full", "broken"}
    ]

    assert [
        each
        for each in failed
        if each["ended"] != Kind.STORAGE.exit_code
        and not (each["ended"] == 0 and each["then"] == EXPECTED[thing][-1])
    ] == []
