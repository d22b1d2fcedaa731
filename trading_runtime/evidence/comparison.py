"""Compare two runs, each stored or in a bundle: inputs, environment and results side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trading_runtime.records.plan import read_plan
from trading_runtime.runs.overview import stored_metadata, stored_result
from trading_runtime.verification.why import RunComparison, RunSide, compare_runs
from trading_runtime.verification.why import comparison_document as runs_document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trading_runtime.records.plan import Plan
    from trading_runtime.results.store import Store


@dataclass(frozen=True)
class Side:
    """One of two runs, with the store that contains its results."""

    name: str
    """A run id, or the path of a bundle."""
    store: Store
    run_id: str


@dataclass(frozen=True)
class Row:
    """One property of two runs, side by side."""

    part: str
    """``inputs``, ``environment`` or ``results``; ``record`` for what may differ."""
    what: str
    first: str
    second: str

    @property
    def same(self) -> bool:
        """Whether both are the same."""
        return self.first == self.second


@dataclass(frozen=True)
class EvidenceComparison:
    """Two runs side by side."""

    rows: list[Row]
    runs: RunComparison

    @property
    def same(self) -> bool:
        """Whether inputs, environment and results are the same, wherever and by whom they ran."""
        return self.runs.same and all(row.same for row in self.rows if row.part != "record")


def compare_evidence(first: Side, second: Side) -> EvidenceComparison:
    """Compare two runs by their plans, their results and their records.

    Raises ``UsageError`` when one has no plan, ``DataError`` when a file that is needed is damaged.
    """
    plans = [read_plan(side.store.run(side.run_id).plan) for side in (first, second)]
    found = [dict(_facts(side, plan)) for side, plan in zip((first, second), plans, strict=True)]
    keys = dict.fromkeys([*found[0], *found[1]])
    rows = [Row(*key, *(facts.get(key, "absent") for facts in found)) for key in keys]
    planned = [RunSide(side.store, plan) for side, plan in zip((first, second), plans, strict=True)]
    return EvidenceComparison(rows, compare_runs(planned[0], planned[1]))


def evidence_document(comparison: EvidenceComparison) -> dict[str, Any]:
    """Return a comparison as JSON content."""
    return {
        "same": comparison.same,
        "rows": [{**vars(row), "same": row.same} for row in comparison.rows],
        "runs": runs_document(comparison.runs),
    }


def _facts(side: Side, plan: Plan) -> Iterator[tuple[tuple[str, str], str]]:
    metadata = stored_metadata(side.store, side.run_id)
    result = stored_result(side.store, side.run_id)
    common = plan.common
    yield ("inputs", "tasks"), str(len(plan.tasks))
    yield ("inputs", "plan digest"), str(metadata and metadata.plan_digest)
    yield ("inputs", "dataset digest"), str(plan.dataset_digest)
    yield ("inputs", "strategy code"), common.strategy_code
    yield ("environment", "runtime code"), common.runtime_code
    for name, version in common.engine.items():
        yield ("environment", name), str(version)
    yield ("environment", "Python"), common.python
    yield ("environment", "system"), f"{common.system} {common.machine}"
    for name, installed in common.packages.items():
        yield ("environment", f"package {name}"), str(installed)
    counts = None if result is None else result.counts
    yield ("results", "run digest"), str(result and result.run_digest)
    for key in ("planned", "ok", "failed", "missing"):
        yield ("results", key), str(getattr(counts, key, None))
    best = None if result is None else result.best
    yield ("results", "best"), str(getattr(best, "point", None))
    for key in ("run_id", "status", "started", "ended", "user", "host", "executor", "image"):
        yield ("record", key), str(getattr(metadata, key, None))
    yield ("record", "config digest"), str(metadata and metadata.config_digest)
