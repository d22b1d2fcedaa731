"""The garbage collector in the process of a session.

What a start makes stays until the end. Scanning it takes a tenth of the start, and holds up whoever
waits for an order later.
"""

from __future__ import annotations

import contextlib
import gc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def sparing_collector() -> Iterator[None]:
    """Collect nothing before ``start_collecting``, and everything again afterwards."""
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
