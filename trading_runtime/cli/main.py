"""The ``trading-runtime`` command: its groups, and how errors become messages and exit codes."""

from __future__ import annotations

import difflib
import errno
import importlib
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any

import click

from trading_runtime import __version__
from trading_runtime.cli.terminal import say
from trading_runtime.errors import (
    Kind,
    TradingRuntimeError,
    UsageError,
    refuse_other_than_utf8,
)
from trading_runtime.redaction import redact
from trading_runtime.text import abridged, for_terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHOWN_PATH = 100
_NO_FILES = {errno.EINVAL, errno.EISDIR, errno.ENOTDIR, errno.EFBIG, errno.ENXIO, errno.ELOOP}
"""How the system, and ``storage.files``, say that something is no file that can be read."""
_OUTPUT_FAULTS = {errno.EBADF, errno.EIO, errno.ENOSPC}
COMMANDS = {
    "init": ("trading_runtime.cli.project", "init", "Begin a project of your own."),
    "doctor": ("trading_runtime.cli.project", "doctor", "Say what is wrong with an installation."),
    "config": (
        "trading_runtime.cli.config",
        "config_group",
        "Check experiment files; print their schema.",
    ),
    "data": ("trading_runtime.cli.data", "data", "Prepare, inspect, verify and adopt datasets."),
    "plan": ("trading_runtime.cli.run", "plan", "Show what a run would compute; start nothing."),
    "run": ("trading_runtime.cli.run", "run", "Run an experiment on this machine."),
    "trade": ("trading_runtime.cli.trade", "trade", "Trade as a deployment says: one session."),
    "deployments": (
        "trading_runtime.cli.deployments",
        "deployments",
        "Keep deployments up on this machine; see and steer them.",
    ),
    "schedule": (
        "trading_runtime.cli.schedule",
        "schedule",
        "Run experiments again at times, on a cluster.",
    ),
    "promote": (
        "trading_runtime.cli.trade",
        "promote",
        "Make a deployment of a run's point, through its gates.",
    ),
    "record": ("trading_runtime.cli.trade", "record", "Record data as it comes, without trading."),
    "parity": (
        "trading_runtime.cli.trade",
        "parity",
        "Compare a session's fills with a backtest's.",
    ),
    "submit": ("trading_runtime.cli.submit", "submit", "Run an experiment on a cluster."),
    "results": ("trading_runtime.cli.results", "results", "List, show and export results."),
    "runs": ("trading_runtime.cli.runs", "runs", "List, show, watch, check runs; stop one."),
    "metrics": (
        "trading_runtime.cli.metrics",
        "metrics",
        "Export, serve and push metrics of runs.",
    ),
    "evidence": (
        "trading_runtime.cli.evidence",
        "evidence",
        "Bundle all that proves a run; check and compare bundles.",
    ),
    "kill": ("trading_runtime.cli.kill", "kill", "Stop all trading; allow it again."),
    "readiness": (
        "trading_runtime.cli.operations",
        "readiness",
        "Tell whether an experiment may run here and now.",
    ),
    "probe": ("trading_runtime.cli.operations", "probe", "Ask an address whether it answers."),
    "reconcile": (
        "trading_runtime.cli.operations",
        "reconcile",
        "Compare a run's books with a venue's snapshot.",
    ),
    "drill": (
        "trading_runtime.cli.operations",
        "drill",
        "Make a fault on purpose; see whether the safeguard holds.",
    ),
    "verify": (
        "trading_runtime.cli.verification",
        "verify",
        "Compute stored tasks again; compare bytes.",
    ),
    "why": ("trading_runtime.cli.verification", "why", "Say why two tasks or two runs differ."),
    "replay": (
        "trading_runtime.cli.verification",
        "replay",
        "Run one task again with the engine's log.",
    ),
    "holdout": (
        "trading_runtime.cli.holdout",
        "holdout",
        "Open rows that are held out; list them.",
    ),
    "lookahead": (
        "trading_runtime.cli.data_checks",
        "lookahead",
        "Tell whether orders depend on later rows.",
    ),
    "warmup": (
        "trading_runtime.cli.data_checks",
        "warmup",
        "Tell whether orders depend on the length of the warm-up.",
    ),
    "gc": (
        "trading_runtime.cli.verification",
        "gc",
        "Remove what no run refers to; a dry run first.",
    ),
}
"""Each command with its module, its name there and its help: none is imported before it is used."""


class _LazyGroup(click.Group):
    """Imports a command's module only when that command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, name, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"accepted are {', '.join(COMMANDS)}"
            raise click.UsageError(f"no command {args[0]!r}; {hint}", ctx) from error

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # The reader of our output closed the pipe, as 'head' does; nothing is wrong. Click
            # would end with 1.
            _drop_output()
            return Kind.OK.exit_code

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry[2]) for name, entry in COMMANDS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(__version__, "-V", "--version", package_name="trading-runtime")
def root(*, debug: bool) -> None:
    """Backtests of NautilusTrader strategies that can be trusted and repeated, byte for byte."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with the exit code of what happened."""
    _open_closed_streams()
    given = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(invoke(root, given, debug="--debug" in given))


def invoke(command: click.Command, arguments: Sequence[str], *, debug: bool = False) -> int:
    """Run a command, show an error as its one or two lines on standard error, return the code."""
    # Pydantic would search all installed packages for plugins; there are none here.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        _refuse_no_threads()
        for argument in arguments:
            refuse_other_than_utf8(argument)
        outcome: Any = command.main(
            list(arguments), prog_name=_name(command), standalone_mode=False
        )
    except TradingRuntimeError as error:
        if debug:
            say(redact(traceback.format_exc()), err=True, nl=False)
        _report(str(error))
        return error.exit_code
    except click.ClickException as error:
        _report(_usage(error))
        return Kind.USAGE.exit_code
    except (click.Abort, KeyboardInterrupt):
        return Kind.STOPPED.exit_code
    except Exception as error:  # noqa: BLE001 - every error gets its line and its code
        return _unexpected(error, debug=debug)
    return outcome if isinstance(outcome, int) else Kind.OK.exit_code


def _refuse_no_threads() -> None:
    """Raise ``UsageError`` for a number of threads with which polars would not even start."""
    text = os.environ.get("POLARS_MAX_THREADS", "1")
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise UsageError(
            f"POLARS_MAX_THREADS is {text[:20]!r}; set it to a number above 0, or leave it out"
        )


def _unexpected(error: Exception, *, debug: bool) -> int:
    if isinstance(error, OSError) and not error.filename and error.errno in _OUTPUT_FAULTS:
        _drop_output()
        _report(f"standard output cannot be written: {error.strerror}")
        return Kind.STORAGE.exit_code
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        shown = str(error.filename)
        _report(f"{shown[:_SHOWN_PATH]}…: the path is too long ({len(shown):,} characters)")
        return Kind.USAGE.exit_code
    if isinstance(error, OSError) and error.filename and error.errno in _NO_FILES:
        _report(f"{error.filename}: {error.strerror}; give the path of a file")
        return Kind.DATA.exit_code
    if isinstance(error, MemoryError):
        _report("there is not enough memory for this; give it more (ulimit -v, the machine's)")
        return Kind.CRASH.exit_code
    if debug:
        say(redact(traceback.format_exc()), err=True, nl=False)
    _report(
        f"internal error: {type(error).__name__}: {error}\n"
        "this is a defect of trading-runtime; please report it with what --debug shows"
    )
    return Kind.INTERNAL.exit_code


def _drop_output() -> None:
    """Discard what is still to be printed, so that Python can exit without complaint."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _open_closed_streams() -> None:
    """Give a process that was started without standard streams some on the null device.

    Otherwise the next file that is opened gets their number, and printed text goes into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def _usage(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        # Its message is the whole help.
        group = error.ctx.command
        names = group.list_commands(error.ctx) if isinstance(group, click.Group) else []
        return (
            f"no command given; accepted are {', '.join(names)}; see "
            f"'{error.ctx.command_path} --help'"
        )
    hint = f"; see '{context.command_path} --help'" if context is not None else ""
    return " ".join(error.format_message().split()).rstrip(".") + hint


def _name(command: click.Command) -> str:
    return "trading-runtime" if command is root else (command.name or "trading-runtime")


_LONGEST_LINE = 2_000
"""Characters of an error's line: a value that is quoted in it may have any length."""


def _report(text: str) -> None:
    text = for_terminal(redact(text))
    if os.environ.get("TRADING_RUNTIME_TERMINATION_LOG"):
        from trading_runtime.argo.outputs import write_termination_message

        write_termination_message(text)
    for line in text.split("\n"):
        say(f"error: {abridged(line, _LONGEST_LINE)}", err=True)


if __name__ == "__main__":
    main()
