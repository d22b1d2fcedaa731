"""Open a results folder, on disk or in S3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trading_runtime.results.store import Store
from trading_runtime.storage.s3 import is_s3, refuse_other_address

if TYPE_CHECKING:
    from pathlib import Path


def open_store(place: str | Path) -> Store:
    """Return the store at a folder's path, or at an address such as ``s3://bucket/prefix``.

    Raises ``UsageError`` for an invalid address.
    """
    if not is_s3(str(place)):
        refuse_other_address(str(place))
    return Store(place)
