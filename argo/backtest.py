"""The WorkflowTemplate `backtest`: plan, one pod per batch, check, missing tasks, summary.

A search comes between plan and batches: rounds, one after the other, each of which asks for points
and runs them. What is left to do after the last one is to run its failed tasks once more, as on a
laptop. The number of rounds is fixed before the first one; those that are not needed are skipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hera.workflows import Parameter, Step, Steps, models

from argo.expressions import RUN_ID
from argo.names import BACKTEST_TEMPLATE
from argo.steps import ask, batch, check, plan, summary
from argo.workflows import POD_PARAMETERS, output_of, two_rounds, workflow_template

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
    return workflow_template(
        BACKTEST_TEMPLATE,
        "Backtest",
        "Runs an experiment in pods; the results are those of a laptop, byte for byte.",
        parameters=PARAMETERS,
        templates=[
            *(_run(), _rounds(), _round(), _work()),
            *(plan(), ask(), batch("batch", 1), check(), batch("again", 2), summary()),
        ],
        mutex=RUN_ID,
        on_exit="summary",
    )


def _run() -> Steps:
    return Steps(
        name="run",
        sub_steps=[
            Step(name="plan", template="plan"),
            Step(
                name="search",
                template="rounds",
                when=f"{output_of('plan', 'rounds')} != 0",
                arguments=[Parameter(name="count", value=output_of("plan", "rounds"))],
            ),
            _working("plan"),
        ],
    )


def _rounds() -> Steps:
    # One at a time, in order. Argo looks at the condition of every round again and again, also of
    # the one that runs: it may become false only of those that follow.
    return Steps(
        name="rounds",
        inputs=[Parameter(name="count")],
        parallelism=1,
        sub_steps=[
            Step(
                name="round",
                template="round",
                with_sequence=models.Sequence(count="{{inputs.parameters.count}}"),
                when="{{item}} < {{workflow.outputs.parameters.rounds}}",
                arguments=[Parameter(name="number", value="{{item}}")],
            )
        ],
    )


def _round() -> Steps:
    work = _working("ask", when=f"{output_of('ask', 'batches')} != 0")
    number = Parameter(name="number", value="{{inputs.parameters.number}}")
    return Steps(
        name="round",
        inputs=[Parameter(name="number")],
        sub_steps=[Step(name="ask", template="ask", arguments=[number]), work],
    )


def _working(planned_by: str, when: str | None = None) -> Step:
    """Return the step that runs the batches that another one has planned."""
    return Step(
        name="work",
        template="work",
        when=when,
        arguments=[
            Parameter(name="run", value=output_of(planned_by, "run_id")),
            Parameter(name="batches", value=output_of(planned_by, "batches")),
        ],
    )


def _work() -> Steps:
    run = Parameter(name="run", value="{{inputs.parameters.run}}")
    return Steps(
        name="work",
        inputs=[Parameter(name="run"), Parameter(name="batches")],
        sub_steps=[*two_rounds("{{inputs.parameters.batches}}", [run])],
    )
