"""A sequence whose entries are made during iteration, and batches of entries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import overload


class LazySequence[Entry](Sequence[Entry]):
    """Makes all its entries for a single one: iterate over it, or use what it is made from."""

    @overload
    def __getitem__(self, place: int) -> Entry: ...
    @overload
    def __getitem__(self, place: slice) -> list[Entry]: ...
    def __getitem__(self, place: int | slice) -> Entry | list[Entry]:  # noqa: D105 - as any sequence
        return list(self)[place]


def in_batches[Entry](
    entries: Iterable[Entry], weight: Callable[[Entry], int], most: int
) -> Iterator[list[Entry]]:
    """Yield lists of consecutive entries that weigh ``most`` together, or a little more."""
    batch: list[Entry] = []
    weighed = 0
    for entry in entries:
        batch.append(entry)
        weighed += weight(entry)
        if weighed >= most:
            yield batch
            batch, weighed = [], 0
    if batch:
        yield batch
