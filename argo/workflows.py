"""What the WorkflowTemplates `backtest`, `prepare` and `import` share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hera.workflows import Parameter, Step, Steps, WorkflowTemplate, models

from argo.names import EXECUTOR
from argo.pods import executor_patch, patch
from trading_runtime.argo.cluster_names import ACCOUNT, LABELS, PULL_SECRET
from trading_runtime.argo.cluster_objects import RESTRICTED, USER, pod_security

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hera.workflows import Container, Suspend

_PARALLELISM = 100
_DAY = 86_400

POD_PARAMETERS = (
    Parameter(name="retries", value="10", description="Of a pod that was lost, or met a fault"),
    Parameter(name="cpu", value="1", description="Request of a pod of work"),
    Parameter(
        name="memory-mib",
        value="2048",
        description="Request and limit of a pod of work; doubled once after out of memory",
    ),
    Parameter(name="step-cpu", value="500m", description="Request of plan, check and summary"),
    Parameter(
        name="step-memory-mib",
        value="2048",
        description="Request and limit of plan, check and summary; doubled after out of memory",
    ),
    Parameter(name="scratch-size", value="10Gi", description="Disk that a pod may fill"),
    Parameter(name="batch-deadline-seconds", value="7200", description="For one pod of work"),
    Parameter(
        name="step-deadline-seconds",
        value="900",
        description="For plan, check and summary each, the pull of the image included",
    ),
    Parameter(name="node-selector", value="{}", description="JSON"),
    Parameter(name="tolerations", value="[]", description="JSON"),
    Parameter(name="priority-class", value="", description="Of all pods"),
)
"""What is said about the pods of a workflow, whatever they do."""


def workflow_template(  # noqa: PLR0913 - what workflows differ in
    name: str,
    title: str,
    description: str,
    *,
    parameters: Sequence[Parameter],
    templates: Sequence[Steps | Container | Suspend],
    mutex: str,
    on_exit: str | None = None,
) -> WorkflowTemplate:
    """Return a WorkflowTemplate; of two workflows with the same ``mutex``, one waits.

    It begins with the first of ``templates``.
    """
    return WorkflowTemplate(
        name=name,
        labels=LABELS,
        annotations={
            "workflows.argoproj.io/title": title,
            "workflows.argoproj.io/description": description,
        },
        workflow_metadata=models.WorkflowMetadata(labels=LABELS),
        pod_metadata=models.Metadata(labels=LABELS),
        entrypoint=templates[0].name,
        on_exit=on_exit,
        arguments=list(parameters),
        templates=list(templates),
        parallelism=_PARALLELISM,
        active_deadline_seconds=7 * _DAY,
        synchronization=models.Synchronization(
            mutexes=[models.Mutex(name=f"{name}-{{{{={mutex}}}}}")]
        ),
        ttl_strategy=models.TTLStrategy(
            seconds_after_success=3 * _DAY, seconds_after_failure=14 * _DAY
        ),
        # Failed pods are kept for their logs until the workflow is deleted.
        pod_gc=models.PodGC(strategy="OnPodSuccess", delete_delay_duration="10s"),
        service_account_name=ACCOUNT,
        automount_service_account_token=False,
        executor=models.ExecutorConfig(service_account_name=EXECUTOR),
        image_pull_secrets=[models.LocalObjectReference(name=PULL_SECRET)],
        security_context=pod_security(USER),
        pod_spec_patch=patch(executor_patch(RESTRICTED), {}),
        volumes=[models.Volume(name="scratch", empty_dir=models.EmptyDirVolumeSource())],
    )


PASSED_OVER = models.ContinueOn(error=True, failed=True)
"""Of a step: its failure does not end the workflow."""


def two_rounds(batches: str, generation: str = "") -> list[Step]:
    """Return the steps that run each batch of a plan, and once more what is then missing.

    ``batches`` is their number. A pod knows its own by the name of its step, ``batch(7:7)``: Argo
    keeps what a pod is given, and would keep it a thousand times. In a search, the name also ends
    with its ``generation``.
    """
    given = [Parameter(name="generation", value=generation)] if generation else None
    names = f"%d{generation}" if generation else None
    return [
        _each("batch", batches, names),
        Step(name="check", template="check", arguments=given),
        _each("again", output_of("check", "batches"), names),
    ]


def output_of(step: str, name: str) -> str:
    """Return the placeholder for an output parameter of a step before."""
    return f"{{{{steps.{step}.outputs.parameters.{name}}}}}"


def _each(name: str, count: str, names: str | None) -> Step:
    return Step(
        name=name,
        template=name,
        with_sequence=models.Sequence(count=count, format=names),
        # What is missing is run once more.
        continue_on=PASSED_OVER,
    )
