"""Decide when Python's garbage collector runs."""

from __future__ import annotations

import contextlib
import gc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the collector while many objects without cycles are made.

    It would scan all of them repeatedly.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextlib.contextmanager
def sparing_collector() -> Iterator[None]:
    """Collect nothing before ``start_collecting``, and everything again after the block.

    What a session makes at its start stays until its end. Scanning it takes a tenth of the start,
    and delays orders later.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.enable()


def start_collecting() -> None:
    """Collect what is made from now on; do nothing outside ``sparing_collector``."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
