"""The entrypoint's ``--step``: the steps of an experiment that a pod runs."""

from __future__ import annotations

import json
import math
import signal
import time
from typing import TYPE_CHECKING

import click

from trading_runtime.cli.options import Generation, batch_option
from trading_runtime.cli.run import Signals
from trading_runtime.cli.terminal import say
from trading_runtime.errors import Kind, StoppedError, UsageError, kind_of_error
from trading_runtime.planning.pod_batches import BATCH_SECONDS, MOST_BATCHES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from trading_runtime.argo.batch_step import BatchOrder
    from trading_runtime.argo.plan_step import PodSettings

_TERMINATED = 128 + signal.SIGTERM
_SOON = 0.7
"""Less than the shortest grace period of a pod, which is a second."""
_LATER = 20.0
"""Less than the usual grace period of a pod, which is half a minute."""
_SECONDS_TO_FINISH = {"plan": _LATER, "ask": _LATER, "check": _LATER}
"""How long a step goes on after SIGTERM, other than ``_SOON``: what is killed then is tried again.

A batch ends soon, since what it has finished is stored. So does the summary: see ``_ended_by``.
"""


class PodSignals(Signals):
    """Notes SIGINT, and the SIGTERM of a pod that is to end; the step may finish in some seconds.

    A pod that was lost is started again from the beginning, which the step may not need if it was
    almost done.
    """

    def __init__(self, seconds: float) -> None:
        """``seconds`` is how long a step goes on after SIGTERM."""
        super().__init__()
        self._seconds, self._until = seconds, math.inf
        self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._end)
        # One may have come while the step was still being imported.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

    def __exit__(self, *error: object) -> None:
        """Restore the previous signal handlers."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        super().__exit__(*error)

    def __call__(self) -> bool:
        """Return whether one of them came, and the step has had its time to finish."""
        return super().__call__() and (
            self.received != signal.SIGTERM or time.monotonic() >= self._until
        )

    def said_of(self, error: BaseException) -> str:
        """Return how the step ended that ``error`` stopped, in words."""
        if isinstance(error, KeyboardInterrupt):
            return "stopped: the pod was told to end; finished tasks are kept"
        return super().said_of(error)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if number != signal.SIGTERM or self.received is not None:
            super()._receive(number, frame)
        self.received = number
        self._until = time.monotonic() + self._seconds
        signal.setitimer(signal.ITIMER_REAL, self._seconds)

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        if not self._asked:
            raise KeyboardInterrupt


@click.command("backtest.py")
@click.option(
    "--step",
    "name",
    type=click.Choice(["plan", "ask", "batch", "check", "summary"]),
    required=True,
    help="plan: make the plan. ask: plan what a search tries next. batch: compute one batch of a "
    "plan. check: make batches of what is missing. summary: reduce and judge the run.",
)
@click.option("--run-id", required=True, help="Name of the run.")
@click.option("--config", help="plan, ask: the experiment file, or its address in S3.")
@click.option("--results", help="The results' folder or address, as plan gave it out.")
@click.option("--image", help="The image that the pods run, named by digest.")
@click.option("--allow-mutable-image", is_flag=True, help="plan: take an image named by a tag.")
@click.option("--code", help="plan, ask: sha256 of the archive with the strategy's code.")
@click.option("--workflow", help="plan, ask: namespace and name of the workflow.")
@click.option(
    "--batch-seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=BATCH_SECONDS,
    help="plan, ask: what a batch shall take.",
)
@click.option(
    "--most-batches",
    type=click.IntRange(1),
    default=MOST_BATCHES,
    help="plan, ask: more are never made; they get larger instead.",
)
@batch_option("batch: its number, counted from 0.")
@click.option(
    "--generation",
    type=Generation(),
    default="",
    help="batch, check: which run of a search, -g01; not given: the run itself.",
)
@click.option(
    "--round",
    "round_number",
    type=click.IntRange(1, 2),
    default=1,
    help="batch: 1 for the plan's batches, 2 for those of check.",
)
@click.option(
    "--asked", type=click.IntRange(0), default=0, help="ask: the rounds of the search so far."
)
@click.option("--workers", type=click.IntRange(1), default=1, help="batch: worker processes.")
@click.option(
    "--failures", default="", help="summary: the workflow's failed steps, as Argo lists them."
)
@click.option(
    "--allow-incomplete", is_flag=True, help="summary: name a best point though tasks failed."
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def step(  # noqa: PLR0913 - one argument per option
    *,
    name: str,
    run_id: str,
    config: str | None,
    results: str | None,
    image: str | None,
    allow_mutable_image: bool,
    code: str | None,
    workflow: str | None,
    batch_seconds: float,
    most_batches: int,
    batch: int | None,
    generation: str,
    round_number: int,
    asked: int,
    workers: int,
    failures: str,
    allow_incomplete: bool,
    debug: bool,  # noqa: ARG001 - read by the caller, which also shows errors of the options
) -> int:
    """Run one step of an experiment in a pod; outputs go to files, errors to Kubernetes as well."""
    with PodSignals(_SECONDS_TO_FINISH.get(name, _SOON)) as stopping:
        try:
            if name in {"plan", "ask"}:
                # Each step imports only what it needs: a pod's start-up is part of its work.
                from trading_runtime.argo.plan_step import PodSettings

                settings = PodSettings(
                    *(image, allow_mutable_image, code or None, batch_seconds, most_batches),
                    workflow=workflow,
                )
                given = _needed(config, "--config", name)
                if name == "ask":
                    return _ask(given, run_id, settings, asked)
                return _plan(given, run_id, settings)
            place = _needed(results, "--results", name)
            if name == "batch":
                from trading_runtime.argo.batch_step import BatchOrder

                if batch is None:
                    raise UsageError("--step batch: needs --batch")
                order = BatchOrder(batch, round_number, workers)
                return _batch(place, run_id + generation, order, stopping)
            if name == "check":
                return _check(place, run_id + generation)
            return _summarise(place, run_id, failures, allow_incomplete=allow_incomplete)
        except (StoppedError, KeyboardInterrupt) as error:
            from trading_runtime.argo.outputs import write_termination_message

            write_termination_message(stopping.said_of(error))
            return _ended_by(stopping.report(error), name)


def _ended_by(exit_code: int, name: str) -> int:
    """Return the exit code of a step that a signal ended.

    The summary's is 0, without its outputs, which Argo takes for an error of the pod. Any other
    code would be a failure: Argo tries no failure of the summary again, so that the words of a run
    that failed are the workflow's.
    """
    if name != "summary" or exit_code != _TERMINATED:
        return exit_code
    from trading_runtime.argo.outputs import remove_outputs

    # With them, a run whose tasks failed would have succeeded.
    remove_outputs()
    return Kind.OK.exit_code


def _plan(experiment: str, run_id: str, settings: PodSettings) -> int:
    from trading_runtime.argo.outputs import write_outputs
    from trading_runtime.argo.plan_step import run_plan_step

    planned = run_plan_step(experiment, run_id, settings)
    write_outputs(
        {
            "run_id": planned.run_id,
            "results": planned.results,
            **_counted(planned.batch_tasks),
            "rounds": str(planned.rounds),
            # Kubernetes replaces $(NAME) in a container's arguments, and $$ by $.
            "results_argument": planned.results.replace("$", "$$"),
        }
    )
    if planned.rounds:
        say(f"run {planned.run_id}: a search of {planned.rounds:,} rounds at most", err=True)
        return 0
    say(
        f"run {planned.run_id}: {planned.tasks:,} tasks, of which {planned.pending:,} are to be "
        f"computed, in {planned.batches:,} batches",
        err=True,
    )
    return 0


def _ask(experiment: str, run_id: str, settings: PodSettings, number: int) -> int:
    from trading_runtime.argo.ask_step import run_ask_step
    from trading_runtime.argo.outputs import write_outputs

    try:
        asked = run_ask_step(experiment, run_id, settings, number)
    except Exception as error:
        if kind_of_error(error) is not Kind.TRANSIENT:
            # What will not pass fails in every other round, too: none follows this one.
            write_outputs({"rounds": str(number + 1)})
        raise
    write_outputs(
        {
            "generation": asked.run_id.removeprefix(run_id),
            **_counted(asked.batch_tasks),
            "rounds": str(asked.rounds),
            "search": asked.ended,
        }
    )
    planned = f"{asked.batches:,} batches" if not asked.ended else asked.ended
    say(f"run {asked.run_id}: {asked.progress}; {planned}", err=True)
    return 0


def _batch(results: str, run_id: str, order: BatchOrder, stopping: Signals) -> int:
    from trading_runtime.argo.batch_step import OUT_OF_MEMORY_EXIT_CODE, run_batch_step
    from trading_runtime.argo.outputs import write_termination_message
    from trading_runtime.argo.pod_log import kept_log

    with kept_log(results, run_id, order.name) as note:
        exit_code = run_batch_step(results, run_id, order, stopping)
        text = f"run {run_id}: batch {order.number} of round {order.round_number}: "
        if exit_code == OUT_OF_MEMORY_EXIT_CODE:
            text += "a task ran out of memory"
            # By these words the template tells it from a pod that was killed.
            write_termination_message(text)
        else:
            text += "ended" if not exit_code else "a task met a fault that may pass"
        note(text)
        say(text, err=True)
    return exit_code


def _check(results: str, run_id: str) -> int:
    from trading_runtime.argo.check_step import run_check_step
    from trading_runtime.argo.outputs import write_outputs
    from trading_runtime.argo.pod_log import kept_log

    with kept_log(results, run_id, "check") as note:
        missing = run_check_step(results, run_id)
        text = f"run {run_id}: {len(missing):,} batches of tasks that are missing"
        note(text)
    write_outputs({"batches": str(len(missing)), "missing_tasks": _listed(missing)})
    say(text, err=True)
    return 0


def _counted(batch_tasks: Sequence[int]) -> dict[str, str]:
    """Return what Argo makes pods by: how many, and how many tasks each has."""
    return {"batches": str(len(batch_tasks)), "tasks": _listed(batch_tasks)}


def _listed(numbers: Sequence[int]) -> str:
    return " ".join(map(str, numbers))


def _summarise(results: str, run_id: str, failures: str, *, allow_incomplete: bool) -> int:
    from trading_runtime.argo.outputs import output_report, write_outputs
    from trading_runtime.argo.planned_run import NotPlannedError, why_not_planned
    from trading_runtime.argo.summary_step import run_summary_step

    try:
        summary = run_summary_step(results, run_id, allow_incomplete=allow_incomplete)
    except NotPlannedError as error:
        # This message becomes the workflow's.
        raise why_not_planned(failures) or error from error
    digest = summary.result.run_digest
    write_outputs({"run_digest": digest, "counts": json.dumps(summary.counts)})
    output_report(summary.files.folder)
    say(f"run {run_id}: digest {digest}", err=True)
    for warning in summary.result.warnings:
        say(f"run {run_id}: warning: {warning}", err=True)
    summary.check_complete()
    return 0


def _needed(value: str | None, option: str, name: str) -> str:
    if value is None:
        raise UsageError(f"--step {name}: needs {option}")
    return value
