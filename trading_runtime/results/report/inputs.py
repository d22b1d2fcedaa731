"""Everything a report is made from: what the run stored, in plain structures."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

    from trading_runtime.results.points import CurvePoint


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ReportInputs:
    """What the report of one run is made from."""

    run_id: str
    experiment: Mapping[str, Any]
    """Content of ``experiment.json``: the experiment with every default made explicit."""
    plan: Mapping[str, Any]
    """Content of ``plan.json``."""
    result: Mapping[str, Any]
    """Content of ``result.json``."""
    results: pl.DataFrame
    """Content of ``results.parquet``."""
    points: pl.DataFrame
    """Content of ``points.parquet``."""
    curve: Sequence[CurvePoint] = ()
    """``chained_curve`` of the best point; empty when there is none."""
    failures: Sequence[Mapping[str, Any]] = ()
    """Content of the files under ``failures/``."""
    data_types: Sequence[str] = ()
    """Types of data that were fed, such as ``bars``; empty when not known."""
    identities: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """What was used, by a name for people: digests, versions; shown in this order."""
    packages: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Installed version of each package whose version can change a result."""
    metadata: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Content of ``metadata.json``; ``started`` and ``ended`` are shown when they are there."""
    timeline: Sequence[tuple[str, str]] = ()
    """Times and what happened then, the earliest first."""
