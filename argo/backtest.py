"""The WorkflowTemplate `backtest`: plan, one pod per batch, check, missing tasks, summary."""

from __future__ import annotations

from hera.workflows import Parameter, Step, Steps, WorkflowTemplate, models

from argo.expressions import RUN_ID, json_text, json_value
from argo.names import ACCOUNT, BACKTEST_TEMPLATE, EXECUTOR, LABELS, PULL_SECRET
from argo.pods import POD_SECURITY, RESTRICTED, executor_patch, patch
from argo.steps import batch, check, plan, summary

PARALLELISM = 100
MOST_BATCHES = 1_000

POD_PARAMETERS = (
    Parameter(name="retries", value="4", description="Of a pod that was lost, or met a fault"),
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

PARAMETERS = (
    Parameter(name="experiment", description="The experiment file: s3://bucket/folder/name.json"),
    Parameter(name="image", description="The image, by digest: ghcr.io/owner/name@sha256:..."),
    Parameter(name="run-id", value="", description="Default: the workflow's name"),
    Parameter(
        name="code",
        value="",
        description="sha256 of the strategy's code in the results, where the image lacks it",
    ),
    Parameter(
        name="allow-mutable-image",
        value="false",
        description="true: an image without a digest is taken",
    ),
    Parameter(name="batch-seconds", value="420", description="What a pod shall work for"),
    Parameter(
        name="most-batches", value=str(MOST_BATCHES), description="Pods of work, 1000 at most"
    ),
    *POD_PARAMETERS,
    Parameter(
        name="report-artifact",
        value="true",
        description="false: where Argo has no artifact repository",
    ),
)


def backtest_template() -> WorkflowTemplate:
    """Return the template. A run needs only an experiment and an image."""
    return WorkflowTemplate(
        name=BACKTEST_TEMPLATE,
        labels=LABELS,
        annotations={
            "workflows.argoproj.io/title": "Backtest",
            "workflows.argoproj.io/description": (
                "Runs an experiment in pods; the results are those of a laptop, byte for byte."
            ),
        },
        workflow_metadata=models.WorkflowMetadata(labels=LABELS),
        pod_metadata=models.Metadata(labels=LABELS),
        entrypoint="run",
        on_exit="summary",
        arguments=list(PARAMETERS),
        templates=[_run(), plan(), batch("batch", 1), check(), batch("again", 2), summary()],
        parallelism=PARALLELISM,
        active_deadline_seconds=7 * 86_400,
        synchronization=models.Synchronization(
            mutexes=[models.Mutex(name=f"{BACKTEST_TEMPLATE}-{{{{={RUN_ID}}}}}")]
        ),
        ttl_strategy=models.TTLStrategy(
            seconds_after_success=3 * 86_400, seconds_after_failure=14 * 86_400
        ),
        # Failed pods are kept for their logs until the workflow is deleted.
        pod_gc=models.PodGC(strategy="OnPodSuccess", delete_delay_duration="10s"),
        service_account_name=ACCOUNT,
        automount_service_account_token=False,
        executor=models.ExecutorConfig(service_account_name=EXECUTOR),
        image_pull_secrets=[models.LocalObjectReference(name=PULL_SECRET)],
        security_context=POD_SECURITY,
        pod_spec_patch=placed_pods(),
        volumes=[models.Volume(name="scratch", empty_dir=models.EmptyDirVolumeSource())],
    )


def placed_pods() -> str:
    """Return where the pods of a workflow run, and the disk that they may fill."""
    return patch(
        executor_patch(RESTRICTED)
        | {
            "nodeSelector": "@node-selector",
            "priorityClassName": "@priority-class",
            "tolerations": "@tolerations",
            "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "@scratch-size"}}],
        },
        {
            "@node-selector": json_value("node-selector"),
            "@priority-class": json_text("priority-class"),
            "@tolerations": json_value("tolerations"),
            "@scratch-size": json_text("scratch-size"),
        },
    )


def _run() -> Steps:
    # A failed batch does not end the run: the store shows which results are missing, and those are
    # run once more.
    goes_on = models.ContinueOn(error=True, failed=True)
    return Steps(
        name="run",
        sub_steps=[
            Step(name="plan", template="plan"),
            Step(
                name="batch",
                template="batch",
                with_sequence=models.Sequence(count="{{steps.plan.outputs.parameters.batches}}"),
                arguments=[Parameter(name="index", value="{{item}}")],
                continue_on=goes_on,
            ),
            Step(name="check", template="check"),
            Step(
                name="again",
                template="again",
                with_sequence=models.Sequence(count="{{steps.check.outputs.parameters.batches}}"),
                arguments=[Parameter(name="index", value="{{item}}")],
                continue_on=goes_on,
            ),
        ],
    )
