"""The commands ``kill activate``, ``clear`` and ``status``: no order is sent while it is on."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trading_runtime.cli.options import JSON, RESULTS
from trading_runtime.cli.terminal import say
from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from trading_runtime.control.kill_switch import KillSwitch, Switching

_REDUCE = click.option(
    "--reduce", is_flag=True, help="Sessions may send orders that make a position smaller, only."
)
_RUN = click.option("--run", "run_id", help="This run only; otherwise all runs there.")


@click.group()
def kill() -> None:
    """Stop all trading, allow it again, or show the state of the kill switch."""


@kill.command()
@click.option("--reason", required=True, help="Why; kept in the history.")
@_RUN
@_REDUCE
@RESULTS
@JSON
def activate(reason: str, run_id: str | None, results: str, *, reduce: bool, as_json: bool) -> None:
    """Switch it on: tasks and sessions end within a second, and no run can start.

    With --reduce, sessions continue, but may only reduce their positions.
    """
    switch = _switch(results, run_id, reduce=reduce)
    switched = switch.activate(reason, run_id)
    switch.append_event(switched)
    what = "the reduce switch" if reduce else "the kill switch"
    _report(switched, f"{what} of {results} is {switched.shown}", as_json=as_json)


@kill.command()
@click.option("--reason", required=True, help="Why it is safe to resume.")
@_RUN
@_REDUCE
@RESULTS
@JSON
def clear(reason: str, run_id: str | None, results: str, *, reduce: bool, as_json: bool) -> None:
    """Switch it off; the history stays, and runs are restarted only by hand."""
    switch = _switch(results, run_id, reduce=reduce)
    switched = switch.clear(reason, run_id)
    switch.append_event(switched)
    what = "all runs" if run_id is None else f"run {run_id!r}"
    _report(switched, f"the kill switch of {results} is off for {what}", as_json=as_json)


@kill.command()
@RESULTS
@JSON
def status(results: str, *, as_json: bool) -> None:
    """Show whether it is on, for which runs, and who switched it, when and why."""
    switch = _switch(results, None)
    active = [*switch.active(), *_switch(results, None, reduce=True).active()]
    history = switch.history()
    if as_json:
        content = {
            "on": bool(active),
            "active": [asdict(item) for item in active],
            "history": [asdict(item) for item in history],
        }
        say(json.dumps(content, ensure_ascii=False))
        return
    say("\n".join(item.shown for item in active) or "off")
    for item in history:
        run = "all runs" if item.run_id is None else item.run_id
        say(f"{item.time}  {item.action:<8}  {run}  {item.user or '-'}  {item.reason}")


def _switch(results: str, run_id: str | None, *, reduce: bool = False) -> KillSwitch:
    from trading_runtime.control.kill_switch import KillSwitch
    from trading_runtime.results.store import open_store
    from trading_runtime.runs.opening import check_run_id
    from trading_runtime.storage.s3 import is_s3

    if run_id is not None:
        check_run_id(run_id)
    if not is_s3(results) and not Path(results).is_dir():
        # A switch in a place that nothing reads would stop nothing.
        raise UsageError(f"{results}: no such folder; give the folder of the results as --results")
    return KillSwitch(open_store(results), reduce=reduce)


def _report(switched: Switching, line: str, *, as_json: bool) -> None:
    if as_json:
        say(json.dumps(asdict(switched), ensure_ascii=False))
    else:
        say(line, err=True)
