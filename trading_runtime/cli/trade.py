"""The command ``trade``: one session of a deployment, in the foreground."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trading_runtime.cli.options import JSON, RESULTS, find_run
from trading_runtime.cli.terminal import say
from trading_runtime.collector import sparing_collector
from trading_runtime.errors import Kind, TransientError
from trading_runtime.units import format_instant, parse_duration

if TYPE_CHECKING:
    from trading_runtime.results.store import Store
    from trading_runtime.sessions.session import SessionOutcome

_MOST_SHOWN = 10
_BESIDE_ENTRYPOINT = Path(__file__).resolve().parent.parent / "local"


@click.command()
@click.argument("file", required=False)
@click.option("--config", "config", help="The deployment file; the same as FILE.")
@click.option("--run-id", help="Name of the session; made from the deployment's and the time.")
@click.option("--fresh", is_flag=True, help="Open a new account, whatever an earlier session left.")
@click.option("--live", is_flag=True, help="Let orders go to a venue; for 'mode: live'.")
@click.option("--despite", help="Why it may trade what its research did not test; kept.")
@click.option("--wait", help="Wait so long for another session to leave the account: '1m'.")
@click.option("--code", help="sha256 of the strategy's code in the results, as pods are given it.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def trade(  # noqa: PLR0913, PLR0917 - one argument per option
    file: str | None,
    config: str | None,
    run_id: str | None,
    despite: str | None,
    wait: str | None,
    code: str | None,
    *,
    fresh: bool,
    live: bool,
    as_json: bool,
    debug: bool,  # noqa: ARG001 - read by the caller, which also shows errors of the options
) -> int:
    """Trade as the deployment in FILE says, until the data ends or it is stopped.

    The account continues from where the previous session left it: balances, positions, resting
    orders, and what the strategy saved.
    """
    if (file is None) == (config is None):
        raise click.UsageError("give the deployment file once, as FILE or as --config FILE")
    patience = _seconds(wait)
    with contextlib.ExitStack() as stack:
        stack.enter_context(sparing_collector())
        from trading_runtime.config.loading import find_experiment
        from trading_runtime.runs.opening import check_run_id, new_run_id
        from trading_runtime.sessions.preparation import prepare_session
        from trading_runtime.sessions.session import Session
        from trading_runtime.sessions.starting import untested_adapters

        path, note = find_experiment(config or file or "", _BESIDE_ENTRYPOINT)
        if note:
            say(note, err=True)
        prepared = prepare_session(path, None if code is None else _unpacked(path, code, stack))
        for line in untested_adapters(prepared.deployment):
            say(f"warning: {line}", err=True)
        if run_id is None:
            taken = set(prepared.store.run_ids())
            run_id = new_run_id(prepared.deployment.name, dt.datetime.now(dt.UTC), taken)
        session = Session(
            prepared,
            check_run_id(run_id),
            is_fresh=fresh,
            is_live=live,
            despite=despite,
            patience=patience,
        )
        say(f"session {run_id}: results in {prepared.store.place}", err=True)
        ended = session.execute()
    if as_json:
        say(json.dumps(_summary(ended), ensure_ascii=False))
    else:
        say("\n".join(_lines(ended)))
    advice = _advice(ended, prepared.store)
    if advice and ended.ending.is_orderly:
        raise TransientError("; ".join(advice))
    for line in advice:
        say(f"warning: {line}", err=True)
    if not ended.ending.is_orderly:
        raise ended.ending.error or RuntimeError(ended.ending.why)
    if ended.ending.kind is Kind.STOPPED and ended.received == signal.SIGTERM:
        return 128 + signal.SIGTERM
    return ended.ending.kind.exit_code


def _unpacked(path: Path, code: str, stack: contextlib.ExitStack) -> Path:
    """Unpack the strategy's code out of the results for as long as ``stack`` is open."""
    from trading_runtime.config.code_archive import unpacked_code
    from trading_runtime.config.loading import results_place_of
    from trading_runtime.storage.folders import open_folder

    results = results_place_of(path, str(path.absolute()))
    return stack.enter_context(unpacked_code(open_folder(results), code))


def _advice(ended: SessionOutcome, store: Store) -> list[str]:
    """Return what to do about what the end of the session could not do."""
    from trading_runtime.sessions.session import kept_advice
    from trading_runtime.sessions.trading import left_advice

    advice = [left_advice(ended.left)] if ended.left else []
    if ended.kept is not None:
        advice.append(kept_advice(store, ended.run_id, ended.kept))
    return advice


def _seconds(text: str | None) -> float:
    """Return the seconds of a duration, 0 without one."""
    try:
        return 0.0 if text is None else parse_duration(text) / 1e9
    except ValueError as error:
        raise click.UsageError(f"--wait: {error}") from error


def _summary(ended: SessionOutcome) -> dict[str, Any]:
    return {
        "run_id": ended.run_id,
        "ending": ended.ending.kind,
        "why": ended.ending.why,
        "rows": ended.rows,
        "orders": ended.orders,
        "fills": ended.fills,
        "seconds": round(ended.seconds, 3),
        "left": list(ended.left),
        "kept": None if ended.kept is None else str(ended.kept),
        "report": str(ended.files.report_page) if ended.result is not None else None,
    }


def _lines(ended: SessionOutcome) -> list[str]:
    lines = [
        f"session  {ended.run_id}",
        f"ended    {ended.ending.why}",
        f"saw      {ended.rows:,} rows in {ended.seconds:,.1f} s",
        f"traded   {ended.orders:,} orders, {ended.fills:,} fills",
    ]
    if ended.result is not None:
        queued = ended.result.incidents.get("queued_requests", {})
        if queued:
            what = ", ".join(f"{count:,} {kind}" for kind, count in queued.items())
            lines.append(f"queued   {what}")
        if missing := ended.result.incidents.get("unfed_subscriptions"):
            lines.append(f"not fed  {', '.join(missing)}")
        lines.append(f"report   {ended.files.report_page}")
    return lines


@click.command()
@click.argument("file")
@click.option("--seconds", type=click.FloatRange(min=0.1), help="Stop after so long.")
@JSON
def record(file: str, seconds: float | None, *, as_json: bool) -> int:
    """Add the data of the deployment in FILE to its dataset ('record:'), until stopped.

    Nothing is traded. What was flushed survives a kill; the next start puts it into the manifest.
    """
    from trading_runtime.sessions.data_recording import record_data

    found = record_data(file, seconds)
    if as_json:
        content = {"folder": str(found.folder), "rows": found.rows, "seconds": found.seconds}
        say(json.dumps(content, ensure_ascii=False))
    else:
        say(f"recorded {found.rows:,} rows in {found.seconds:,.1f} s to {found.folder}")
    return 128 + signal.SIGTERM if found.received == signal.SIGTERM else Kind.OK.exit_code


@click.command()
@click.argument("session")
@RESULTS
@JSON
def parity(session: str, results: str, *, as_json: bool) -> int:
    """Backtest what SESSION (a run id, or 'latest') saw, and compare fill by fill.

    Exit code 11 when some fills cannot be explained.
    """
    from trading_runtime.sessions.parity import compare_session, write_parity

    store, run_id = find_run(session, results)
    compared = compare_session(store, run_id)
    picture = write_parity(store, compared)
    found = compared.parity
    if as_json:
        say(json.dumps({"run_id": run_id, **found.document()}, ensure_ascii=False))
    else:
        say(f"{run_id}: {found.verdict}")
        for mine, other in found.one_row_apart[:_MOST_SHOWN]:
            say(f"one row apart  {mine.shown} (backtest {format_instant(other.ts)})")
        for where, fills in (("session", found.only_session), ("backtest", found.only_backtest)):
            for fill in fills[:_MOST_SHOWN]:
                say(f"only {where}  {fill.shown}")
        say(f"equity of both: {picture.absolute()}", err=True)
    return (Kind.OK if found.holds else Kind.DIFFERS).exit_code


@click.command()
@click.argument("run")
@click.option("--point", type=click.IntRange(min=0), required=True, help="The point to promote.")
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The deployment file to write, .yaml or .json; the evidence goes beside it.",
)
@click.option("--override", help="Promote though gates refuse; why, for the run's journal.")
@RESULTS
@JSON
def promote(  # noqa: PLR0913 - one argument per option
    run: str, point: int, target: Path, override: str | None, results: str, *, as_json: bool
) -> None:
    """Write a paper deployment for a point of RUN (a run id, or 'latest'), with its parameters.

    The experiment's section 'promotion' sets the gates; a point that fails one is refused, with
    reasons. The run's evidence is bundled beside the deployment, which names run, digest and
    bundle.
    """
    from trading_runtime.sessions.promotion import promote as write

    store, run_id = find_run(run, results)

    def fragile() -> list[str]:
        from trading_runtime.search.continuous import Source
        from trading_runtime.search.robustness import check_robustness

        found = check_robustness(Source.of(store, run_id), point)
        return [each.name for each in found.findings if each.holds is not True]

    written = write(store, run_id, point, target, override, fragile=fragile)
    if as_json:
        content = {
            "run_id": run_id,
            "point": point,
            "deployment": str(written.deployment),
            "evidence": str(written.evidence),
            "sha256": written.sha256,
            "overridden": written.failed_gates,
        }
        say(json.dumps(content, ensure_ascii=False))
        return
    say(f"deployment  {written.deployment}")
    say(f"evidence    {written.evidence} ({written.sha256})")
    for gate in written.failed_gates:
        say(f"overridden  {gate}")
