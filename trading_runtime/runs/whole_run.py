"""All files of a run at hand, also where they lie in S3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trading_runtime.results.s3_store import S3Store

if TYPE_CHECKING:
    from trading_runtime.results.store import RunFiles, Store


def whole_run(store: Store, run_id: str) -> RunFiles:
    """Return the files of a run, with the pictures of its report, which are not fetched else."""
    files = store.run(run_id)
    if isinstance(store, S3Store):
        store.fetch(f"runs/{run_id}/")
    return files
