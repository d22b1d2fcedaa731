"""The WorkflowTemplate `prepare`: plan, one pod per series, check, missing series, summary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hera.workflows import Parameter, Step, Steps

from argo.expressions import argument, parameter
from argo.names import PREPARE_TEMPLATE
from argo.steps import BATCH, output, step_pod, when_lost, work_pod
from argo.workflows import POD_PARAMETERS, output_of, two_rounds, workflow_template

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hera.workflows import Container, WorkflowTemplate, models

COMMAND = ["python", "-m", "trading_runtime.cli.main", "data", "part"]
PARAMETERS = (
    Parameter(name="config", description="The data file: s3://bucket/folder/name.data.json"),
    Parameter(name="to", description="Where the dataset goes: s3://bucket/prefix"),
    Parameter(name="image", description="The image, by digest: ghcr.io/owner/name@sha256:..."),
    *POD_PARAMETERS,
)


def prepare_template() -> WorkflowTemplate:
    """Return the template. A dataset needs a data file, an address and an image."""
    # A refused series does not end the workflow: the summary tells of all of them.
    plan, summary = (Step(name=name, template=name) for name in ("plan", "summary"))
    return workflow_template(
        PREPARE_TEMPLATE,
        "Prepare",
        "Makes a dataset from raw files in pods; it is that of a laptop, byte for byte.",
        parameters=PARAMETERS,
        templates=[
            Steps(
                name="make",
                sub_steps=[plan, *two_rounds(output_of("plan", "batches")), summary],
            ),
            _step("plan", checked=[str(item.name) for item in POD_PARAMETERS]),
            _series("batch", 1),
            _step("check"),
            _series("again", 2),
            _step("summary", "digest", retry=when_lost()),
        ],
        # Two workflows do not write to one address at the same time.
        mutex=f"sprig.sha256sum({parameter('to')})",
    )


def _arguments(step: str) -> list[str]:
    return [step, f"--config={argument('config')}", f"--to={argument('to')}"]


def _step(
    name: str,
    tells: str = "batches",
    *,
    retry: models.RetryStrategy | None = None,
    checked: Sequence[str] = (),
) -> Container:
    return step_pod(
        name,
        _arguments(name),
        [output(tells)],
        retry=retry,
        command=COMMAND,
        checked=checked,
    )


def _series(name: str, attempt: int) -> Container:
    """Return the pod that makes one series, in the first round or in the second."""
    arguments = [
        *_arguments("batch"),
        f"--round={attempt}",
        BATCH,
    ]
    return work_pod(name, arguments, attempt, command=COMMAND)
