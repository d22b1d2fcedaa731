"""What a run writes before its first task: the experiment, the plan, and who runs it on what."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from trading_runtime.canonical import digest
from trading_runtime.config.loading import explicit
from trading_runtime.planning.environment import installed_version
from trading_runtime.redaction import redacted
from trading_runtime.results.files import write_file
from trading_runtime.results.run_records import read_metadata
from trading_runtime.results.stored_plan import refuse_other_plan
from trading_runtime.runs.metadata import Metadata

if TYPE_CHECKING:
    from trading_runtime.execution.preparation import Prepared
    from trading_runtime.results.store import RunFiles
    from trading_runtime.runs.events import Executor


def begin_run(
    files: RunFiles, prepared: Prepared, run_id: str, executor: Executor, **facts: Any
) -> Metadata:
    """Write the files that a run begins with; the same id with the same plan goes on.

    ``facts`` go into the metadata, such as the ``image`` by digest. Raises ``UsageError`` when the
    id belongs to another plan, and ``StorageError`` when nothing can be written.
    """
    plan, experiment = prepared.plan, prepared.loaded.experiment
    refuse_other_plan(read_metadata(files), plan.digest, run_id)
    content = redacted(explicit(experiment))
    write_file(files.experiment, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    write_file(files.plan, plan.to_json())
    common = plan.document["common"]
    return Metadata.begin(
        files,
        run_id=run_id,
        executor=executor,
        experiment_name=experiment.name,
        labels=experiment.labels,
        experiment_file=prepared.loaded.shown,
        dataset=prepared.loaded.dataset_place,
        plan_digest=plan.digest,
        dataset_digest=plan.document["dataset_digest"],
        config_digest=digest(content),
        code=common["code"],
        engine=common["engine"],
        python=common["python"],
        versions={
            "trading-runtime": str(installed_version("trading-runtime")),
            "system": common["system"],
            "machine": common["machine"],
            **{name: str(version) for name, version in common["packages"].items()},
        },
        **facts,
    )
