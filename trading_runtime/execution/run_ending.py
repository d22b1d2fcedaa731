"""Summarise a run: plan against store gives tables, counts, digest and report."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from trading_runtime.canonical import digest
from trading_runtime.results.files import read_json
from trading_runtime.runs.metadata import Metadata, Status
from trading_runtime.runs.timeline import timeline

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trading_runtime.results.reduction import Reduction
    from trading_runtime.results.store import RunFiles, Store


def summarise_run(  # noqa: PLR0913 - what a summary is made from
    plan: Mapping[str, Any],
    store: Store,
    files: RunFiles,
    metadata: Metadata,
    *,
    allow_incomplete: bool = False,
    verified: Mapping[str, str] = MappingProxyType({}),
) -> Reduction:
    """Reduce the run over its tasks, and write its tables, ``result.json`` and report.

    The metadata say afterwards whether the run is complete. ``verified`` has the sha256 of
    manifests that this run has verified just before, by task id. Raises ``StorageError`` when
    nothing can be written.
    """
    from trading_runtime.results.reduction import reduce_run
    from trading_runtime.results.report import ReportInputs, write_report

    reduced = reduce_run(plan, store, files, allow_incomplete=allow_incomplete, verified=verified)
    metadata.set(Status.COMPLETE if reduced.result["complete"] else Status.INCOMPLETE)
    write_report(
        ReportInputs(
            run_id=metadata.content["run_id"],
            experiment=read_json(files.experiment),
            plan=dict(plan),
            result=reduced.result,
            results=reduced.results,
            points=reduced.points,
            curve=reduced.curve,
            failures=reduced.failures,
            data_types=_data_types(plan),
            identities=_identities(plan, reduced),
            packages={name: str(version) for name, version in plan["common"]["packages"].items()},
            metadata=metadata.content,
            timeline=timeline(files.journals, metadata.content),
        ),
        files.folder,
    )
    return reduced


def _identities(plan: Mapping[str, Any], reduced: Reduction) -> dict[str, str]:
    common = plan["common"]
    return {
        "run digest": reduced.result["run_digest"],
        "plan digest": digest(sorted(task["task_id"] for task in plan["tasks"])),
        "dataset digest": plan["dataset_digest"],
        "strategy": common["strategy"]["path"],
        "strategy code digest": common["code"]["strategy"],
        "runtime code digest": common["code"]["runtime"],
        "engine": f"nautilus_trader {common['engine']['nautilus_trader']}",
        "Python": common["python"],
        "platform": f"{common['system']} {common['machine']}",
    }


def _data_types(plan: Mapping[str, Any]) -> list[str]:
    return sorted({series["type"] for item in plan["partitions"] for series in item["data"]})
