"""The WorkflowTemplate `backtest`: plan, one pod per batch, check, missing tasks, summary.

A search comes between plan and batches: rounds, one after the other, each of which asks for points
and runs them. What is left to do after the last one is to run its failed tasks once more, as on a
laptop. The number of rounds is fixed before the first one; those that are not needed are skipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hera.workflows import Parameter, Step, Steps, Suspend, models

from argo.expressions import RUN_ID
from argo.names import BACKTEST_TEMPLATE
from argo.steps import ask, batch, check, plan, summary, workflow_output
from argo.workflows import PASSED_OVER, POD_PARAMETERS, output_of, two_rounds, workflow_template

if TYPE_CHECKING:
    from hera.workflows import WorkflowTemplate

MOST_BATCHES = 1_000

_PLANNED = "steps.plan.status == 'Succeeded'"
_GOOD = "['Succeeded', 'Skipped']"

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
            *(_run(), _rounds(), _round(), _work(), _unplanned()),
            *(plan(), ask(), batch("batch", 1), check(), batch("again", 2), summary()),
        ],
        mutex=RUN_ID,
        on_exit="summary",
    )


def _run() -> Steps:
    # Where the plan or a search's asking failed, nothing else is done, and the summary repeats why:
    # its message becomes the workflow's only if all that came before it did not fail. So the
    # failure is passed over. What follows it is left out by expressions that do not ask for outputs
    # of a step that has none, for which Argo would wait for ever.
    asked = f"steps.search.status in {_GOOD}"
    return Steps(
        name="run",
        sub_steps=[
            Step(name="plan", template="plan", continue_on=PASSED_OVER),
            Step(
                name="search",
                template="rounds",
                when=f"{{{{={_PLANNED} && workflow.outputs.parameters.rounds != '0'}}}}",
                # Of the plan: each step ask says anew how many rounds there are.
                arguments=[Parameter(name="count", value=workflow_output("most_rounds"))],
                continue_on=PASSED_OVER,
            ),
            # After a search, without batches: what it left undone is run once more.
            _working("batches", when=f"{{{{={_PLANNED} && {asked}}}}}"),
            Step(name="unplanned", template="unplanned", when=f"{{{{=!({_PLANNED} && {asked})}}}}"),
        ],
    )


def _unplanned() -> Suspend:
    """Return the step that ends a workflow without a plan; it needs no pod.

    It waits for a moment, since Argo fails what waits when a workflow is stopped or terminated. So
    one that was terminated while it planned has failed.
    """
    return Suspend(name="unplanned", duration="1s")


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
                when=f"{{{{item}}}} < {workflow_output('rounds')}",
                arguments=[Parameter(name="number", value="{{item}}")],
            )
        ],
    )


def _round() -> Steps:
    number = Parameter(name="number", value="{{inputs.parameters.number}}")
    return Steps(
        name="round",
        inputs=[Parameter(name="number")],
        sub_steps=[
            Step(name="ask", template="ask", arguments=[number]),
            _working(
                "asked_batches",
                when=f"{workflow_output('asked_batches')} != 0",
                generation=output_of("ask", "generation"),
            ),
        ],
    )


def _working(batches: str, when: str, generation: str = "") -> Step:
    """Return the step that runs as many batches as an output of the workflow says."""
    given = [
        Parameter(name="batches", value=workflow_output(batches)),
        Parameter(name="generation", value=generation),
    ]
    return Step(name="work", template="work", when=when, arguments=given)


def _work() -> Steps:
    return Steps(
        name="work",
        inputs=[Parameter(name="batches"), Parameter(name="generation")],
        sub_steps=[
            *two_rounds("{{inputs.parameters.batches}}", "{{inputs.parameters.generation}}")
        ],
    )
