"""The WorkflowTemplate `prepare`: plan, one pod per series, check, missing series, summary."""

from __future__ import annotations

from hera.workflows import Container, Parameter, Step, Steps, WorkflowTemplate, models

from argo.backtest import PARALLELISM, POD_PARAMETERS, placed_pods
from argo.expressions import argument, parameter
from argo.names import ACCOUNT, EXECUTOR, LABELS, PREPARE_TEMPLATE, PULL_SECRET
from argo.pods import POD_SECURITY
from argo.steps import (
    ONCE_MORE_WITH_MEMORY,
    OUTPUTS,
    STEP_MEMORY,
    container,
    retried,
    when_lost,
)

COMMAND = ["python", "-m", "trading_runtime.cli.main", "data", "part"]
_PLACE = f"sprig.sha256sum({parameter('to')})"
PARAMETERS = (
    Parameter(name="config", description="The data file: s3://bucket/folder/name.data.json"),
    Parameter(name="to", description="Where the dataset goes: s3://bucket/prefix"),
    Parameter(name="image", description="The image, by digest: ghcr.io/owner/name@sha256:..."),
    *POD_PARAMETERS,
)


def prepare_template() -> WorkflowTemplate:
    """Return the template. A dataset needs a data file, an address and an image."""
    return WorkflowTemplate(
        name=PREPARE_TEMPLATE,
        labels=LABELS,
        annotations={
            "workflows.argoproj.io/title": "Prepare",
            "workflows.argoproj.io/description": (
                "Makes a dataset from raw files in pods; it is that of a laptop, byte for byte."
            ),
        },
        workflow_metadata=models.WorkflowMetadata(labels=LABELS),
        pod_metadata=models.Metadata(labels=LABELS),
        entrypoint="make",
        arguments=list(PARAMETERS),
        templates=[_make(), _step("plan"), _series("batch", 1), _step("check"),
                   _series("again", 2), _step("summary")],
        parallelism=PARALLELISM,
        active_deadline_seconds=7 * 86_400,
        # Two workflows do not write to one address at the same time.
        synchronization=models.Synchronization(
            mutexes=[models.Mutex(name=f"{PREPARE_TEMPLATE}-{{{{={_PLACE}}}}}")]
        ),
        ttl_strategy=models.TTLStrategy(
            seconds_after_success=3 * 86_400, seconds_after_failure=14 * 86_400
        ),
        pod_gc=models.PodGC(strategy="OnPodSuccess", delete_delay_duration="10s"),
        service_account_name=ACCOUNT,
        automount_service_account_token=False,
        executor=models.ExecutorConfig(service_account_name=EXECUTOR),
        image_pull_secrets=[models.LocalObjectReference(name=PULL_SECRET)],
        security_context=POD_SECURITY,
        pod_spec_patch=placed_pods(),
        volumes=[models.Volume(name="scratch", empty_dir=models.EmptyDirVolumeSource())],
    )  # fmt: skip


def _make() -> Steps:
    # A refused series does not end the workflow: the summary tells of all of them.
    goes_on = models.ContinueOn(error=True, failed=True)

    def each(name: str, of: str) -> Step:
        return Step(
            name=name,
            template=name,
            with_sequence=models.Sequence(count=f"{{{{steps.{of}.outputs.parameters.batches}}}}"),
            arguments=[Parameter(name="index", value="{{item}}")],
            continue_on=goes_on,
        )

    return Steps(
        name="make",
        sub_steps=[
            Step(name="plan", template="plan"),
            each("batch", "plan"),
            Step(name="check", template="check"),
            each("again", "check"),
            Step(name="summary", template="summary"),
        ],
    )


def _arguments(step: str) -> list[str]:
    return [step, f"--config={argument('config')}", f"--to={argument('to')}"]


def _step(name: str) -> Container:
    output = "digest" if name == "summary" else "batches"
    return container(
        name,
        _arguments(name),
        command=COMMAND,
        memory=STEP_MEMORY,
        cpu="step-cpu",
        deadline="step-deadline-seconds",
        outputs=[Parameter(name=output, value_from=models.ValueFrom(path=f"{OUTPUTS}/{output}"))],
        retry=when_lost() if name == "summary" else retried(ONCE_MORE_WITH_MEMORY),
    )


def _series(name: str, attempt: int) -> Container:
    """Return the pod that makes one series, in the first round or in the second."""
    return container(
        name,
        [*_arguments("batch"), f"--round={attempt}", "--batch={{inputs.parameters.index}}"],
        command=COMMAND,
        memory=f"asInt({parameter('memory-mib')}) * {attempt}",
        cpu="cpu",
        deadline="batch-deadline-seconds",
        inputs=[Parameter(name="index")],
        retry=retried() if attempt > 1 else None,
    )
