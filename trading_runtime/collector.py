"""When Python's garbage collector runs."""

from __future__ import annotations

import contextlib
import gc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Pause it while much is made that has no cycles: it would look at all that again and again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextlib.contextmanager
def sparing_collector() -> Iterator[None]:
    """Collect nothing before ``start_collecting``, and everything again afterwards.

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
    """Collect from now on, but nothing of what there is; if the collector was spared until now."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
