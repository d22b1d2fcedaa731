"""The WorkflowTemplate `backtest`: plan, one pod per batch, check, missing tasks, summary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hera.workflows import Parameter, Steps

from argo.expressions import RUN_ID
from argo.names import BACKTEST_TEMPLATE
from argo.steps import batch, check, plan, summary
from argo.workflows import POD_PARAMETERS, template_of_batches, two_rounds

if TYPE_CHECKING:
    from hera.workflows import WorkflowTemplate

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
    *POD_PARAMETERS,
    Parameter(
        name="report-artifact",
        value="true",
        description="false: where Argo has no artifact repository",
    ),
)


def backtest_template() -> WorkflowTemplate:
    """Return the template. A run needs only an experiment and an image."""
    return template_of_batches(
        BACKTEST_TEMPLATE,
        "Backtest",
        "Runs an experiment in pods; the results are those of a laptop, byte for byte.",
        parameters=PARAMETERS,
        steps=Steps(name="run", sub_steps=[*two_rounds()]),
        pods=[plan(), batch("batch", 1), check(), batch("again", 2), summary()],
        mutex=RUN_ID,
        on_exit="summary",
    )
