"""Two writers of one object, and a judge of what each of them was told: on disk and in S3.

Each writer reads the object and replaces what it read, again and again; some answers are lost. The
history is one of a register with compare-and-set if the values that were written form one chain.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.s3.servers import LOST_ANSWER, Proxy, S3Server
from trading_runtime.storage import s3
from trading_runtime.storage.folders import open_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trading_runtime.storage.object_store import ObjectStore

WRITERS, ROUNDS = 2, 12
FIRST = b"first"


@dataclass(frozen=True)
class Step:
    """One round of a writer: what it read, and what it wrote instead if it was told so."""

    read: bytes
    written: bytes
    is_stored: bool


def stored(read: bytes, written: bytes) -> Step:
    return Step(read, written, is_stored=True)


def refused(read: bytes, written: bytes) -> Step:
    return Step(read, written, is_stored=False)


def work(place: ObjectStore, writer: int, begin: threading.Barrier) -> list[Step]:
    """Replace the object by a value of this writer's and this round's."""
    begin.wait()
    steps = []
    for number in range(ROUNDS):
        found, version = place.read_version("value")
        wanted = f"{writer}.{number}".encode()
        is_stored = place.replace("value", wanted, version) is not None
        steps.append(Step(found, wanted, is_stored))
    return steps


def faults(
    histories: Sequence[Sequence[Step]], last: bytes, *, are_lost: bool = False
) -> list[str]:
    """What cannot have happened to a register with compare-and-set.

    Where answers ``are_lost``, a writer cannot tell a write of its own that was replaced at once
    from one that was refused: it may have been stored.
    """
    steps = [step for history in histories for step in history]
    after: dict[bytes, bytes] = {}
    found = [
        f"{step.read!r} was replaced twice"
        for step in steps
        if step.is_stored and after.setdefault(step.read, step.written) != step.written
    ]
    seen = {step.read for step in steps} | {last}
    for step in steps if are_lost else ():
        if not step.is_stored and step.written in seen:
            after.setdefault(step.read, step.written)
    chain = [FIRST]
    while chain[-1] in after and len(chain) <= len(steps):
        chain.append(after[chain[-1]])
    if chain[-1] != last:
        found.append(f"the chain ends with {chain[-1]!r}, and {last!r} is there")
    found += [f"{step.read!r} was read and never written" for step in steps
              if step.read not in chain]  # fmt: skip
    found += [f"{step.written!r} was stored and is in no chain" for step in steps
              if step.is_stored and step.written not in chain]  # fmt: skip
    for history in histories:
        places = [chain.index(step.read) for step in history if step.read in chain]
        if places != sorted(places):
            found.append("a writer read an older value after a newer one")
    return found


def history_of(place: ObjectStore, *, are_lost: bool = False) -> list[str]:
    """Let the writers work side by side, and judge."""
    place.write("value", FIRST)
    begin = threading.Barrier(WRITERS)
    with ThreadPoolExecutor(WRITERS) as threads:
        histories = list(threads.map(lambda writer: work(place, writer, begin), range(WRITERS)))
    assert any(step.is_stored for history in histories for step in history)
    return faults(histories, place.read("value"), are_lost=are_lost)


def test_two_writers_on_disk(tmp_path: Path) -> None:
    assert history_of(open_folder(str(tmp_path))) == []


def test_two_writers_in_s3(bucket: str) -> None:
    assert history_of(open_folder(bucket)) == []


def test_two_writers_in_s3_whose_answers_are_lost(
    bucket: str, storage: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "_FIRST_WAIT_SECONDS", 0.0)
    with Proxy(storage.port, lambda n: LOST_ANSWER if n > 1 and n % 4 == 0 else None) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        s3._opened.cache_clear()
        assert history_of(open_folder(bucket), are_lost=True) == []
        assert proxy.faults >= WRITERS * ROUNDS // 4


@pytest.mark.parametrize(
    ("histories", "last", "fault"),
    [
        ([[stored(FIRST, b"a")], [stored(FIRST, b"b")]], b"a", "replaced twice"),
        ([[stored(FIRST, b"a")]], FIRST, "the chain ends with b'a'"),
        ([[refused(b"x", b"a")]], FIRST, "never written"),
        ([[stored(FIRST, b"a"), refused(FIRST, b"b")],
          [stored(b"a", b"c"), refused(b"a", b"d")]], b"a", "the chain ends with b'c'"),
        ([[stored(FIRST, b"a"), refused(b"a", b"b"), refused(FIRST, b"c")]], b"a",
         "an older value after a newer one"),
    ],
)  # fmt: skip
def test_the_judge_sees_what_cannot_be(
    histories: list[list[Step]], last: bytes, fault: str
) -> None:
    assert any(fault in each for each in faults(histories, last))
