"""The WorkflowTemplate `backtest`: plan, one pod a batch, check, what is missing, summary."""

from __future__ import annotations

from hera.workflows import Container, Parameter, Step, Steps, WorkflowTemplate, models

from argo.expressions import (
    RUN_ID,
    argument,
    json_text,
    json_value,
    literal,
    parameter,
    simple,
)
from argo.names import (
    ACCOUNT,
    BACKTEST_TEMPLATE,
    EXECUTOR,
    LABELS,
    PULL_SECRET,
    S3_SECRET,
)
from argo.pods import CONTAINER_SECURITY, POD_SECURITY, RESTRICTED, executor_patch, patch

type Output = Parameter | models.Artifact

OUTPUTS = "/tmp/outputs"  # noqa: S108 - in a volume of the pod's own
PARALLELISM = 100
MOST_BATCHES = 1_000

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
    Parameter(
        name="report-artifact",
        value="true",
        description="false: where Argo has no artifact repository",
    ),
)

# A pod that was lost, and no fault of what it ran. The message of an eviction says why.
_LOST = (
    "pod deleted|node was low on resource|exceeds the total limit|node shutdown|[Pp]reempt"
    "|is unresponsive|Evicted|didn.t have enough resource|can.t find failed message"
)
_LOST_OR_TRANSIENT = (
    "!(lastRetry.message contains 'deadline') && (lastRetry.exitCode in ['75', '143']"
    f" || lastRetry.message matches '{_LOST}'"
)
_BACKOFF = models.Backoff(duration="10s", factor="2", cap="5m")


def _retry(otherwise: str = "") -> models.RetryStrategy:
    return models.RetryStrategy(
        limit=simple("retries"),
        retry_policy="Always",
        expression=f"{_LOST_OR_TRANSIENT}{otherwise})",
        backoff=_BACKOFF,
    )


def backtest_template() -> WorkflowTemplate:
    """Return the template. An experiment and an image are all that a run has to be told."""
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
        templates=[_run(), _plan(), _batch("batch", 1), _check(), _batch("again", 2), _summary()],
        parallelism=PARALLELISM,
        active_deadline_seconds=7 * 86_400,
        synchronization=models.Synchronization(
            mutexes=[models.Mutex(name=f"{BACKTEST_TEMPLATE}-{{{{={RUN_ID}}}}}")]
        ),
        ttl_strategy=models.TTLStrategy(
            seconds_after_success=3 * 86_400, seconds_after_failure=14 * 86_400
        ),
        # Pods that failed stay for their logs until the workflow goes.
        pod_gc=models.PodGC(strategy="OnPodSuccess", delete_delay_duration="10s"),
        service_account_name=ACCOUNT,
        automount_service_account_token=False,
        executor=models.ExecutorConfig(service_account_name=EXECUTOR),
        image_pull_secrets=[models.LocalObjectReference(name=PULL_SECRET)],
        security_context=POD_SECURITY,
        pod_spec_patch=patch(
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
        ),
        volumes=[models.Volume(name="scratch", empty_dir=models.EmptyDirVolumeSource())],
    )


def _run() -> Steps:
    # A batch that fails is no end: what is missing is judged by the store, and sent once more.
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


def _plan() -> Container:
    allowed = parameter("allow-mutable-image")
    return _step(
        "plan",
        [
            f"--config={argument('experiment')}",
            f"--image={argument('image')}",
            f"--code={argument('code')}",
            # A flag that may be absent; in its absence the step is said a second time.
            f"{{{{={allowed} == 'true' ? '--allow-mutable-image' : '--step=plan'}}}}",
            f"--batch-seconds={argument('batch-seconds')}",
            f"--most-batches={argument('most-batches')}",
        ],
        outputs=[
            Parameter(
                name="results",
                global_name="results",
                value_from=models.ValueFrom(path=f"{OUTPUTS}/results"),
            ),
            Parameter(name="batches", value_from=models.ValueFrom(path=f"{OUTPUTS}/batches")),
        ],
    )


def _batch(name: str, attempt: int) -> Container:
    # A pod of the first round is not tried again by itself, which would double the nodes that Argo
    # keeps: what it leaves undone is the second round's, with twice the memory and further tries.
    return _container(
        name,
        [
            "--step=batch",
            f"--results={_RESULTS}",
            f"--round={attempt}",
            "--batch={{inputs.parameters.index}}",
            f"--image={argument('image')}",
        ],
        memory=f"asInt({parameter('memory-mib')}) * {attempt}",
        cpu="cpu",
        deadline="batch-deadline-seconds",
        inputs=[Parameter(name="index")],
        retry=_retry() if attempt > 1 else None,
    )


def _check() -> Container:
    return _step(
        "check",
        [f"--results={_RESULTS}"],
        outputs=[Parameter(name="batches", value_from=models.ValueFrom(path=f"{OUTPUTS}/batches"))],
    )


def _summary() -> Container:
    # Where the report is not to be an artifact, Argo is told of a place where there is none.
    place = (
        f"{{{{={parameter('report-artifact')} == 'true' ? '{OUTPUTS}/report' : '{OUTPUTS}/none'}}}}"
    )
    return _step(
        "summary",
        [f"--results={_RESULTS_OR_NOTHING}"],
        outputs=[
            *(
                Parameter(
                    name=name,
                    global_name=name,
                    value_from=models.ValueFrom(path=f"{OUTPUTS}/{name}", default=""),
                )
                for name in ("run_digest", "counts")
            ),
            models.Artifact(
                name="report",
                path=place,
                optional=True,
                archive=models.ArchiveStrategy(none=models.NoneStrategy()),
            ),
        ],
        # Its message becomes the workflow's, and must be the pod's own: where an expression decides
        # against a retry, Argo says only that. So what is tried again is a pod that was lost.
        retry=models.RetryStrategy(
            limit=simple("retries"), retry_policy="OnError", backoff=_BACKOFF
        ),
    )


# What plan says of where the results lie. Only the summary runs when plan did not get so far, and
# only it may have a way out: Argo fills the others in before plan has ended, with nothing.
_RESULTS = literal("workflow.outputs.parameters.results")
_RESULTS_OR_NOTHING = literal("(workflow?.outputs?.parameters?.results ?? '')")


def _step(
    name: str,
    arguments: list[str],
    outputs: list[Output],
    retry: models.RetryStrategy | None = None,
) -> Container:
    return _container(
        name,
        [f"--step={name}", *arguments],
        memory=f"asInt({parameter('step-memory-mib')}) * (lastRetry.exitCode == '137' ? 2 : 1)",
        cpu="step-cpu",
        deadline="step-deadline-seconds",
        outputs=outputs,
        # Out of memory: once more, with twice as much.
        retry=retry or _retry(" || (lastRetry.exitCode == '137' && asInt(retries) < 1)"),
    )


def _container(  # noqa: PLR0913 - a container is that much
    name: str,
    arguments: list[str],
    *,
    memory: str,
    cpu: str,
    deadline: str,
    inputs: list[Parameter] | None = None,
    outputs: list[Output] | None = None,
    retry: models.RetryStrategy | None = None,
) -> Container:
    return Container(
        name=name,
        image=simple("image"),
        command=["python", "trading_runtime/local/backtest.py"],
        args=[*arguments, f"--run-id={literal(RUN_ID)}"],
        env=[
            models.EnvVar(name="TRADING_RUNTIME_OUTPUTS", value=OUTPUTS),
            models.EnvVar(name="TRADING_RUNTIME_TERMINATION_LOG", value="/dev/termination-log"),
            *(_secret(key) for key in _S3_KEYS),
        ],
        inputs=inputs,
        outputs=outputs,
        active_deadline_seconds=simple(deadline),
        retry_strategy=retry,
        pod_spec_patch=patch(
            {
                "containers": [
                    {
                        "name": "main",
                        "resources": {
                            "requests": {"cpu": "@cpu", "memory": "@request"},
                            "limits": {"memory": "@limit"},
                        },
                    }
                ]
            },
            {
                "@cpu": json_text(cpu),
                "@request": f'"{{{{={memory}}}}}Mi"',
                "@limit": f'"{{{{={memory}}}}}Mi"',
            },
        ),
        security_context=CONTAINER_SECURITY,
        volume_mounts=[models.VolumeMount(name="scratch", mount_path="/tmp")],  # noqa: S108
        working_dir="/app",
    )


_S3_KEYS = (
    "AWS_ENDPOINT_URL",
    "AWS_DEFAULT_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
)


def _secret(key: str) -> models.EnvVar:
    # Optional: on a cluster whose pods have a role of their own there is no key to give.
    return models.EnvVar(
        name=key,
        value_from=models.EnvVarSource(
            secret_key_ref=models.SecretKeySelector(name=S3_SECRET, key=key, optional=True)
        ),
    )
