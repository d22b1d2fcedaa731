"""Progress is a line that renews itself on a terminal, and a line now and then elsewhere."""

from __future__ import annotations

import io
import re
import sys

import pytest

from trading_runtime.execution.progress import Progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_elsewhere_the_end_is_one_plain_line() -> None:
    stream = io.StringIO()
    progress = Progress(planned=5, cached=2, stream=stream)
    for ok in (True, False, True):
        progress.task_ended(ok=ok)
    lines = stream.getvalue().splitlines()

    assert lines[0] == "2 of 5 tasks are stored already"
    assert lines[-1].startswith("3/3 tasks, 1 failed, ")
    assert lines[-1].endswith(" tasks/s, 0 s left")
    assert len(lines) == 2
    assert "\x1b" not in stream.getvalue()


def test_a_terminal_gets_a_bar_that_ends_with_a_new_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    stream = Terminal()
    progress = Progress(planned=2, cached=0, stream=stream)
    progress.task_ended(ok=True)
    progress.task_ended(ok=True)
    last = stream.getvalue().rpartition("\r")[2]

    assert last.startswith("\x1b[K[" + "#" * 24 + "] 2/2 tasks, ")
    assert last.endswith("\n")


def test_nothing_is_said_when_nothing_is_stored_and_nothing_ended() -> None:
    stream = io.StringIO()
    Progress(planned=3, cached=0, stream=stream)

    assert stream.getvalue() == ""


@pytest.mark.parametrize("colours", [True, False])
def test_rich_draws_the_bar_where_it_is_installed(
    monkeypatch: pytest.MonkeyPatch, *, colours: bool
) -> None:
    pytest.importorskip("rich")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if not colours:
        monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    progress = Progress(planned=2, cached=0, stream=stream)
    progress.task_ended(ok=True)
    progress.task_ended(ok=False)
    last = stream.getvalue().rpartition("\r")[2]
    plain = re.sub(r"\x1b\[[0-9;]*[mK]", "", last)

    assert plain.startswith("\N{BOX DRAWINGS HEAVY HORIZONTAL}" * 24 + " 2/2 tasks, 1 failed, ")
    assert plain.endswith("\n")
    assert len(plain.rstrip("\n")) <= 60
    assert ("\x1b[31m" in last) == colours
