"""A sequence whose entries are made while it is gone through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload


class LazySequence[Entry](Sequence[Entry]):
    """Makes all its entries for a single one: go through it, or ask for what it is made from."""

    @overload
    def __getitem__(self, place: int) -> Entry: ...
    @overload
    def __getitem__(self, place: slice) -> list[Entry]: ...
    def __getitem__(self, place: int | slice) -> Entry | list[Entry]:  # noqa: D105 - as any sequence
        return list(self)[place]
