"""The pods of the WorkflowTemplate `backtest`: each a step of a run, and when it is retried.

`step_pod` and `work_pod` serve other workflows as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hera.workflows import Container, Parameter, models

from argo.expressions import (
    RUN_ID,
    argument,
    json_text,
    json_value,
    literal,
    parameter,
    refused_unless_right,
    simple,
)
from argo.pods import patch
from trading_runtime.argo.cluster_names import S3_KEYS, S3_SECRET
from trading_runtime.argo.cluster_objects import CONTAINER_SECURITY, secret_variable
from trading_runtime.argo.parameters import CHECKS
from trading_runtime.execution.workers.processes import FIXED_ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CHECKED = tuple(CHECKS)
"""The parameters that are checked before the first pod is made."""

type Output = Parameter | models.Artifact

_BACKTEST = ("python", "trading_runtime/local/backtest.py")
_OUTPUTS = "/tmp/outputs"  # noqa: S108 - in the pod's own volume

# Where the results are, as plan reports it, with every $ already doubled. Only the summary also
# runs when plan did not get that far, and only it may have a fallback: Argo would fill in the
# others before plan has ended, as empty.
_RESULTS = "{{workflow.outputs.parameters.results_argument}}"
_RESULTS_OR_NOTHING = literal("(workflow?.outputs?.parameters?.results ?? '')")

_RUN = f"--run-id={literal(RUN_ID)}"
_RUN_AS_PLANNED = "--run-id={{workflow.outputs.parameters.run_id}}"

BATCH = "--batch={{steps.name}}"
"""By the name of its step, ``batch(7:7-g01)``, a pod knows its number."""
_GENERATION = "--generation={{steps.name}}"
"""And of which generation of a search it is: ``argo retry`` may go back to an earlier one."""
_INDEX = "int(split(split(steps.name, '(')[1], ':')[0])"

# Why nothing was planned, from which the summary takes the words. Of many failures only the first
# letters: it asks only where there are few.
_FAILURES = literal("sprig.trunc(16000, workflow.failures)")

# A pod that was lost through no fault of what it ran. The message of an eviction says why. With 2
# and no words, Argo's executor was told to end before it began: what a step ends with 2 has words.
_LOST = (
    "pod deleted|node was low on resource|exceeds the total limit|node shutdown|[Pp]reempt"
    "|is unresponsive|Evicted|didn.t have enough resource|can.t find failed message|exit code 2.$"
)
_TELLS_MEMORY = "lastRetry.message matches 'OOMKilled|out of memory'"
# Killed without a word: its grace period was too short. Out of memory is told, by the kernel or by
# the batch itself, and would happen again.
_KILLED = f"(lastRetry.exitCode == '137' && !({_TELLS_MEMORY}))"
_LOST_OR_TRANSIENT = (
    "!(lastRetry.message contains 'deadline') && (lastRetry.exitCode in ['75', '143']"
    f" || {_KILLED} || lastRetry.message matches '{_LOST}'"
)
# The first wait is short: Argo waits before it decides whether to try again, so every failure is
# reported that much later. Ten tries wait for two and a half minutes in all, which a storage may
# need, and none of them for long, since a pod that was lost need not wait.
_BACKOFF = models.Backoff(duration="2s", factor="2", cap="20s")


_RAN_OUT = f"(lastRetry.exitCode == '137' && {_TELLS_MEMORY})"
_TWICE_AFTER_IT_RAN_OUT = f"({_RAN_OUT} ? 2 : 1)"
"""Factor for the memory of a pod that no second round repeats."""
_ONCE_MORE_WITH_MEMORY = f" || ({_RAN_OUT} && asInt(retries) < 1)"
"""Out of memory: once more, with twice as much."""


def _retried(otherwise: str = "") -> models.RetryStrategy:
    """Return when a pod is tried again: when it was lost, met a fault, or ``otherwise``."""
    return models.RetryStrategy(
        limit=simple("retries"),
        retry_policy="Always",
        expression=f"{_LOST_OR_TRANSIENT}{otherwise})",
        backoff=_BACKOFF,
    )


def when_lost() -> models.RetryStrategy:
    """Return that only a lost pod is tried again, so that the pod's message is the workflow's."""
    return models.RetryStrategy(limit=simple("retries"), retry_policy="OnError", backoff=_BACKOFF)


def plan() -> Container:
    """Return the pod that makes the plan and reports the number of batches, or of rounds."""
    return _planning(
        "plan",
        [
            *map(_global_output, ("run_id", "results", "results_argument", "rounds")),
            # Each step ask says anew how many rounds there are.
            _global_output("rounds", "most_rounds"),
            *_to_run("batches"),
        ],
        checked=CHECKED,
    )


def ask() -> Container:
    """Return the pod that plans what a search tries next, or says that it ended.

    The step ``plan`` of the same workflow has checked the parameters.
    """
    return _planning(
        "ask",
        [
            *map(_global_output, ("rounds", "search")),
            *_to_run("asked_batches"),
            output("generation"),
        ],
        inputs=[Parameter(name="number")],
        further=["--asked={{inputs.parameters.number}}"],
    )


def _planning(
    name: str,
    outputs: list[Output],
    inputs: list[Parameter] | None = None,
    further: Sequence[str] = (),
    checked: Sequence[str] = (),
) -> Container:
    allowed = parameter("allow-mutable-image")
    return _step(
        name,
        [
            f"--config={argument('experiment')}",
            f"--image={argument('image')}",
            f"--code={argument('code')}",
            # A flag that may be absent; when it is, the step is given a second time instead.
            f"{{{{={allowed} == 'true' ? '--allow-mutable-image' : '--step={name}'}}}}",
            f"--batch-seconds={argument('batch-seconds')}",
            f"--most-batches={argument('most-batches')}",
            "--workflow={{workflow.namespace}}/{{workflow.name}}",
            _RUN,
            *further,
        ],
        outputs=outputs,
        inputs=inputs,
        checked=checked,
    )


def batch(name: str, attempt: int) -> Container:
    """Return the pod that computes one batch, in the first round or in the second."""
    # The parameters are inserted as plan wrote them, so that no expression has to be evaluated.
    return work_pod(
        name,
        [
            "--step=batch",
            f"--results={_RESULTS}",
            f"--round={attempt}",
            BATCH,
            _GENERATION,
            _RUN_AS_PLANNED,
        ],
        attempt,
        environment=FIXED_ENVIRONMENT,
        tasks="tasks" if attempt == 1 else "missing_tasks",
    )


def check() -> Container:
    """Return the pod that makes batches of the tasks missing from the store."""
    return _step(
        "check",
        [
            f"--results={_RESULTS}",
            _RUN_AS_PLANNED,
            "--generation={{inputs.parameters.generation}}",
        ],
        outputs=[output("batches"), _global_output("missing_tasks")],
        inputs=[Parameter(name="generation")],
    )


def summary() -> Container:
    """Return the pod that reduces and judges the run, whatever happened before."""
    # When the report should not be an artifact, Argo gets a path that does not exist.
    places = f"'{_OUTPUTS}/report' : '{_OUTPUTS}/none'"
    place = f"{{{{={parameter('report-artifact')} == 'true' ? {places}}}}}"
    return _step(
        "summary",
        [f"--results={_RESULTS_OR_NOTHING}", _RUN, f"--failures={_FAILURES}"],
        outputs=[
            # Without them a pod has an error, if it did not fail.
            *map(_global_output, ("run_digest", "counts")),
            models.Artifact(
                name="report",
                path=place,
                optional=True,
                archive=models.ArchiveStrategy(none=models.NoneStrategy()),
            ),
        ],
        # Its message becomes the workflow's, and must be the pod's own: when an expression rules
        # out a retry, Argo reports only that. So only a lost pod is retried.
        retry=when_lost(),
        # It runs when plan was refused, too, and its message becomes the workflow's.
        checked=CHECKED,
    )


def _step(  # noqa: PLR0913 - what pods differ in
    name: str,
    arguments: list[str],
    outputs: list[Output],
    *,
    inputs: list[Parameter] | None = None,
    retry: models.RetryStrategy | None = None,
    checked: Sequence[str] = (),
) -> Container:
    return step_pod(
        name,
        [f"--step={name}", *arguments],
        outputs,
        inputs=inputs,
        retry=retry,
        checked=checked,
    )


def output(name: str) -> Parameter:
    """Return the output parameter that a step writes into a file of that name."""
    return Parameter(name=name, value_from=models.ValueFrom(path=f"{_OUTPUTS}/{name}"))


def _to_run(batches: str) -> list[Output]:
    """Return what the pods of batches go by: how many there are, and the tasks of each."""
    return [_global_output("tasks"), _global_output("batches", batches)]


def _global_output(name: str, global_name: str = "") -> Parameter:
    """Return the output ``name`` of a step as an output of the workflow, maybe of another name."""
    given = global_name or name
    return Parameter(
        name=given, global_name=given, value_from=models.ValueFrom(path=f"{_OUTPUTS}/{name}")
    )


def workflow_output(name: str) -> str:
    """Return the placeholder for an output of the workflow, as a step left it last."""
    return f"{{{{workflow.outputs.parameters.{name}}}}}"


def step_pod(  # noqa: PLR0913 - what pods differ in
    name: str,
    arguments: list[str],
    outputs: list[Output],
    *,
    inputs: list[Parameter] | None = None,
    retry: models.RetryStrategy | None = None,
    command: Sequence[str] = _BACKTEST,
    checked: Sequence[str] = (),
) -> Container:
    """Return a pod that plans, checks or summarises; ``retry`` says when it is tried again.

    The step fails, without a pod, when one of the parameters ``checked`` is not accepted.
    """
    return _container(
        name,
        arguments,
        memory=f"asInt({parameter('step-memory-mib')}) * {_TWICE_AFTER_IT_RAN_OUT}",
        cpu="step-cpu",
        deadline="step-deadline-seconds",
        inputs=inputs,
        outputs=outputs,
        retry=retry or _retried(_ONCE_MORE_WITH_MEMORY),
        command=command,
        checks=refused_unless_right(checked) if checked else "",
    )


def work_pod(  # noqa: PLR0913 - what pods differ in
    name: str,
    arguments: list[str],
    attempt: int,
    *,
    environment: Mapping[str, str] | None = None,
    command: Sequence[str] = _BACKTEST,
    tasks: str = "",
) -> Container:
    """Return a pod that does one part of the work, in the first round or in the second.

    ``tasks`` is the output of the workflow that lists how many tasks each pod has, for Argo's count
    of what is done. Without it, a pod counts as one.
    """
    # A pod of the first round is not retried on its own, which would double the nodes that Argo
    # keeps: what it leaves undone is left to the second round, with twice the memory and more
    # tries. Argo evaluates these for each batch whenever it processes the workflow.
    return _container(
        name,
        arguments,
        environment=environment,
        memory=f"asInt({parameter('memory-mib')}) * {attempt}",
        cpu="cpu",
        deadline="batch-deadline-seconds",
        retry=_retried() if attempt > 1 else None,
        command=command,
        annotations=_progress(tasks) if tasks else None,
    )


def _progress(tasks: str) -> dict[str, str]:
    """Return the annotation by which Argo counts a pod's tasks, also where it ends at once."""
    # Argo fills it in again for pods of earlier rounds, whose numbers may not be listed any more.
    listed = f"split(workflow.outputs.parameters.{tasks}, ' ')"
    return {"workflows.argoproj.io/progress": f"0/{{{{=get({listed}, {_INDEX}) ?? '1'}}}}"}


def only_pod(
    name: str, arguments: list[str], *, command: Sequence[str], checked: Sequence[str]
) -> Container:
    """Return the pod that does all the work of a workflow; ``checked`` as for ``step_pod``."""
    return _container(
        name,
        arguments,
        memory=f"asInt({parameter('memory-mib')}) * {_TWICE_AFTER_IT_RAN_OUT}",
        cpu="cpu",
        deadline="batch-deadline-seconds",
        retry=_retried(_ONCE_MORE_WITH_MEMORY),
        command=command,
        checks=refused_unless_right(checked),
    )


def _container(  # noqa: PLR0913 - a container needs this much
    name: str,
    arguments: list[str],
    *,
    memory: str,
    cpu: str,
    deadline: str,
    environment: Mapping[str, str] | None = None,
    inputs: list[Parameter] | None = None,
    outputs: list[Output] | None = None,
    retry: models.RetryStrategy | None = None,
    command: Sequence[str],
    checks: str = "",
    annotations: dict[str, str] | None = None,
) -> Container:
    return Container(
        name=name,
        annotations=annotations,
        image=simple("image"),
        command=list(command),
        args=arguments,
        env=[
            *(models.EnvVar(name=name, value=value) for name, value in (environment or {}).items()),
            models.EnvVar(name="TRADING_RUNTIME_OUTPUTS", value=_OUTPUTS),
            models.EnvVar(name="TRADING_RUNTIME_TERMINATION_LOG", value="/dev/termination-log"),
            *(secret_variable(S3_SECRET, key, optional=True) for key in S3_KEYS),
        ],
        inputs=inputs,
        outputs=outputs,
        active_deadline_seconds=simple(deadline),
        retry_strategy=retry,
        pod_spec_patch=checks
        + patch(
            {
                "nodeSelector": "@node-selector",
                "priorityClassName": "@priority-class",
                "tolerations": "@tolerations",
                "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "@scratch-size"}}],
                "containers": [
                    {
                        "name": "main",
                        "resources": {
                            "requests": {"cpu": "@cpu", "memory": "@request"},
                            "limits": {"memory": "@limit"},
                        },
                    }
                ],
            },
            {
                "@node-selector": json_value("node-selector"),
                "@priority-class": json_text("priority-class"),
                "@tolerations": json_value("tolerations"),
                "@scratch-size": json_text("scratch-size"),
                "@cpu": json_text(cpu),
                "@request": f'"{{{{={memory}}}}}Mi"',
                "@limit": f'"{{{{={memory}}}}}Mi"',
            },
        ),
        security_context=CONTAINER_SECURITY,
        volume_mounts=[models.VolumeMount(name="scratch", mount_path="/tmp")],  # noqa: S108
        working_dir="/app",
    )
