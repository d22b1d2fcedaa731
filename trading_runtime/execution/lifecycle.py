"""The beginning and the end of a run: what is written before its first and after its last task."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from trading_runtime.canonical import digest
from trading_runtime.config.loading import explicit
from trading_runtime.planning.distributions import installed_version
from trading_runtime.planning.environment import pinned_packages
from trading_runtime.redaction import redacted
from trading_runtime.results.run_records import read_metadata
from trading_runtime.results.stored_plan import refuse_other_plan
from trading_runtime.runs.metadata import Metadata, Status, reopen_run
from trading_runtime.runs.progress import timeline
from trading_runtime.storage.files import read_json, write_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trading_runtime.execution.preparation import Prepared
    from trading_runtime.records.events import Executor
    from trading_runtime.records.plan import Plan
    from trading_runtime.records.run_files import RunFiles
    from trading_runtime.results.reduction import Reduction
    from trading_runtime.results.store import Store


def begin_run(
    files: RunFiles, prepared: Prepared, run_id: str, executor: Executor, **facts: Any
) -> Metadata:
    """Write the files that a run begins with; the same id with the same plan goes on.

    ``facts`` go into the metadata, such as the ``image`` by digest. Raises ``UsageError`` when the
    id belongs to another plan, and ``StorageError`` when nothing can be written.
    """
    plan, experiment = prepared.plan, prepared.loaded.experiment
    refuse_other_plan(read_metadata(files), plan.digest, run_id)
    # First of all: killed in between, the run has died, and is no damaged one that has ended.
    reopen_run(files)
    content = redacted(explicit(experiment))
    write_file(files.experiment, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    write_file(files.plan, plan.to_json())
    common = plan.common
    return Metadata.begin(
        files,
        run_id=run_id,
        executor=executor,
        experiment_name=experiment.name,
        labels=experiment.labels,
        experiment_file=prepared.loaded.shown,
        dataset=prepared.loaded.dataset_place,
        plan_digest=plan.digest,
        dataset_digest=plan.dataset_digest,
        config_digest=digest(content),
        code=common.code,
        engine=common.engine,
        python=common.python,
        versions={
            "trading-runtime": str(installed_version("trading-runtime")),
            "system": common.system,
            "machine": common.machine,
            **{name: str(installed_version(name)) for name in pinned_packages()},
            **{name: str(version) for name, version in common.packages.items()},
        },
        **facts,
    )


def summarise_run(  # noqa: PLR0913 - what a summary is made from
    plan: Plan,
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
    from trading_runtime.report import ReportInputs, write_report
    from trading_runtime.results.reduction import reduce_run

    reduced = reduce_run(plan, store, files, allow_incomplete=allow_incomplete, verified=verified)
    metadata.set(Status.COMPLETE if reduced.result["complete"] else Status.INCOMPLETE)
    write_report(
        ReportInputs(
            run_id=metadata.content["run_id"],
            experiment=read_json(files.experiment),
            plan=plan,
            result=reduced.result,
            results=reduced.results,
            points=reduced.points,
            curve=reduced.curve,
            failures=reduced.failures,
            data_types=_data_types(plan),
            identities=_identities(plan, reduced),
            packages={name: str(version) for name, version in plan.common.packages.items()},
            metadata=metadata.content,
            timeline=timeline(files.journals, metadata.content),
        ),
        files.folder,
    )
    return reduced


def _identities(plan: Plan, reduced: Reduction) -> dict[str, str]:
    common = plan.common
    return {
        "run digest": reduced.result["run_digest"],
        "plan digest": plan.digest,
        "dataset digest": plan.dataset_digest,
        "strategy": common.strategy_path,
        "strategy code digest": common.strategy_code,
        "runtime code digest": common.runtime_code,
        "engine": f"nautilus_trader {common.engine_version}",
        "Python": common.python,
        "platform": f"{common.system} {common.machine}",
    }


def _data_types(plan: Plan) -> list[str]:
    return sorted({series.type for item in plan.partitions for series in item.data})
