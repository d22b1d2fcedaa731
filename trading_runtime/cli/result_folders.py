"""The folder of results that ``--results`` names, opened."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from trading_runtime.results.store import Store


def open_results(place: str) -> Store:
    """Return the store in a folder, there or not, or at an address in S3.

    Raises ``UsageError`` when it is a file, or no address.
    """
    from trading_runtime.object_storage import is_s3
    from trading_runtime.results.opening import open_store

    store = open_store(place)
    if not is_s3(place) and Path(place).is_file():
        raise UsageError(f"{place}: is a file; --results takes the folder of the results")
    return store
