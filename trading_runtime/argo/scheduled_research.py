"""Research on a schedule: an experiment that a CronWorkflow submits repeatedly."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hera.workflows import CronWorkflow, models

from trading_runtime.argo.argo_command import TEMPLATE
from trading_runtime.argo.cluster_names import labels_of
from trading_runtime.deployments.times import time_after
from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    import datetime as dt

    from trading_runtime.argo.submitting import Submission

RESEARCH = "research"
KEPT_WORKFLOWS = 5


@dataclass(frozen=True)
class ScheduleSight:
    """A schedule on a cluster at one moment."""

    name: str
    cron: str
    time_zone: str
    suspended: bool
    last: str | None
    """When it last submitted a run."""
    active: list[str]
    """Workflows that are running."""
    succeeded: int
    failed: int
    experiment: str
    problem: str


def research_schedule(
    submission: Submission, deadline_seconds: int, now: dt.datetime
) -> dict[str, Any]:
    """Return the CronWorkflow that submits an experiment at its times.

    A run that is still going when the next one is due continues, and that one is left out. What the
    controller misses is not made up. Raises ``UsageError`` for an experiment without a schedule.
    """
    experiment = submission.prepared.loaded.experiment
    times = experiment.schedule
    if times is None:
        raise UsageError(
            f"{submission.prepared.loaded.shown}: schedule: is missing; add "
            "'schedule: {cron: \"0 6 * * *\", time_zone: UTC}' to the experiment"
        )
    time_after(times.cron, times.time_zone, now)  # it raises for what makes no sense
    # Each run is named after its workflow.
    given = {key: value for key, value in submission.parameters.items() if key != "run-id"}
    workflow = CronWorkflow(
        name=experiment.name,
        labels=labels_of(RESEARCH, experiment.name),
        schedules=[times.cron],
        timezone=times.time_zone,
        concurrency_policy="Forbid",
        starting_deadline_seconds=0,
        successful_jobs_history_limit=KEPT_WORKFLOWS,
        failed_jobs_history_limit=KEPT_WORKFLOWS,
        cron_suspend=False,
        workflow_template_ref=models.WorkflowTemplateRef(name=TEMPLATE.rpartition("/")[2]),
        active_deadline_seconds=deadline_seconds,
        arguments=given,
    )
    content: dict[str, Any] = json.loads(json.dumps(workflow.to_dict()))
    return content


def sight_of_schedule(item: dict[str, Any]) -> ScheduleSight:
    """Return how a schedule is, from its document."""
    spec, status = item["spec"], item.get("status") or {}
    parameters = spec["workflowSpec"].get("arguments", {}).get("parameters", [])
    given = {parameter["name"]: parameter.get("value", "") for parameter in parameters}
    conditions = status.get("conditions") or []
    return ScheduleSight(
        item["metadata"]["name"],
        ", ".join(spec["schedules"]),
        spec.get("timezone", "UTC"),
        bool(spec.get("suspend")),
        status.get("lastScheduledTime"),
        [str(active["name"]) for active in status.get("active") or []],
        int(status.get("succeeded") or 0),
        int(status.get("failed") or 0),
        given.get("experiment", ""),
        "; ".join(str(item.get("message", "")) for item in conditions),
    )
