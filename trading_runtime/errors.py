"""The family of errors: what went wrong, of which kind, and the exit code of the kind.

The kinds and their codes are the table "Failures and exit codes" of docs/reference/exit-codes.md.
"""

from __future__ import annotations

import enum
from typing import ClassVar


class Kind(enum.StrEnum):
    """Why a command, a run or a task ended as it did."""

    OK = "ok"
    INTERNAL = "internal"
    USAGE = "usage"
    DATA = "data"
    STRATEGY = "strategy"
    INCOMPLETE = "incomplete"
    NONDETERMINISTIC = "nondeterministic"
    CRASH = "crash"
    STORAGE = "storage"
    TIMEOUT = "timeout"
    KILLED = "killed"
    DIFFERS = "differs"
    TRANSIENT = "transient"
    STOPPED = "stopped"

    @property
    def exit_code(self) -> int:
        """The process exit code that reports this kind."""
        return _EXIT_CODES[self]


_EXIT_CODES = {
    Kind.OK: 0,
    Kind.INTERNAL: 1,
    Kind.USAGE: 2,
    Kind.DATA: 3,
    Kind.STRATEGY: 4,
    Kind.INCOMPLETE: 5,
    Kind.NONDETERMINISTIC: 6,
    Kind.CRASH: 7,
    Kind.STORAGE: 8,
    Kind.TIMEOUT: 9,
    Kind.KILLED: 10,
    Kind.DIFFERS: 11,
    Kind.TRANSIENT: 75,
    Kind.STOPPED: 130,
}


class TradingRuntimeError(Exception):
    """Base of every error that this project raises on purpose.

    The message is what the user reads: it names the file and the key or row at fault, the value
    found, what is accepted, and how to fix it, in one or two lines.
    """

    kind: ClassVar[Kind] = Kind.INTERNAL

    @property
    def exit_code(self) -> int:
        """The process exit code that reports this error."""
        return self.kind.exit_code


class UsageError(TradingRuntimeError):
    """A bad command line, experiment file or run id; nothing was started."""

    kind = Kind.USAGE


class DataError(TradingRuntimeError):
    """Missing, corrupt, unordered or changed data."""

    kind = Kind.DATA


class StrategyError(TradingRuntimeError):
    """The strategy's own code raised, or exited early."""

    kind = Kind.STRATEGY


class IncompleteError(TradingRuntimeError):
    """The run ended with tasks missing or failed."""

    kind = Kind.INCOMPLETE


class NondeterministicError(TradingRuntimeError):
    """A repeat gave bytes that differ from the stored result."""

    kind = Kind.NONDETERMINISTIC


class CrashError(TradingRuntimeError):
    """The task's process died, or ran out of memory."""

    kind = Kind.CRASH


class StorageError(TradingRuntimeError):
    """Access denied, no such place, disk full or read-only."""

    kind = Kind.STORAGE


class TaskTimeoutError(TradingRuntimeError):
    """A task ran past ``limits.task_seconds``."""

    kind = Kind.TIMEOUT


class KilledError(TradingRuntimeError):
    """Stopped or refused by the kill switch."""

    kind = Kind.KILLED


class DiffersError(TradingRuntimeError):
    """A comparison or reconciliation found differences."""

    kind = Kind.DIFFERS


class TransientError(TradingRuntimeError):
    """Storage or network failed despite retries; it may work later."""

    kind = Kind.TRANSIENT


class LeaseLostError(TransientError):
    """Another process has taken over the run; this one stores nothing more of it."""


class StoppedError(TradingRuntimeError):
    """The run was stopped by a signal or by ``runs stop``; finished tasks were kept."""

    kind = Kind.STOPPED


def error_of(kind: Kind, message: str) -> TradingRuntimeError:
    """Return the error that another process raised, from its report."""
    classes = {found.kind: found for found in TradingRuntimeError.__subclasses__()}
    return classes.get(kind, TradingRuntimeError)(message)


def kind_of_error(error: BaseException) -> Kind:
    """Return the kind of an error: ``internal`` when this project did not raise it."""
    return error.kind if isinstance(error, TradingRuntimeError) else Kind.INTERNAL


def error_text(error: BaseException) -> str:
    """Return the text of any error, whose class may be one of a strategy that cannot be shown."""
    try:
        return str(error)
    except BaseException as another:  # noqa: BLE001 - code of others
        return f"its text cannot be shown: {type(another).__name__}"


def refuse_other_than_utf8(text: str) -> None:
    """Raise ``UsageError`` when a name or argument contains bytes that are not UTF-8.

    Python keeps such bytes as lone surrogates, which neither JSON nor a report can contain.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        shown = text.encode(errors="backslashreplace").decode()
        raise UsageError(
            f"{shown!r}: is not UTF-8; rename the file or folder, or set LANG to a UTF-8 locale"
        ) from error
