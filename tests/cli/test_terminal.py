"""What a terminal gets that a file does not."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from trading_runtime import cli
from trading_runtime.cli.terminal import print_table

ROWS = [["run", "net profit"], ["first", "-12.50"], ["a longer one", "1,000.00"], ["x", "0-1"]]
PLAIN = """\
run           net profit
first             -12.50
a longer one    1,000.00
x                    0-1
"""


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def printed(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO) -> str:
    """Return the table as it is printed to a stream."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "16")
    monkeypatch.setattr(sys, "stdout", stream)
    print_table(ROWS, "lr")
    return stream.getvalue()


def test_a_terminal_gets_bold_heads_and_red_losses_and_nothing_is_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("rich")
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = printed(monkeypatch, Terminal())
    words = re.sub(r"\x1b\[[0-9;]*m", "", text)

    assert [line.split() for line in words.splitlines()] == [
        line.split() for line in PLAIN.splitlines()
    ]
    assert re.findall(r"\x1b\[31m *([^\x1b]+)", text) == ["-12.50"]
    assert "\x1b[1mrun" in text


def test_no_color_leaves_colours_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    assert "\x1b[31m" not in printed(monkeypatch, Terminal())


def test_a_file_gets_plain_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    assert printed(monkeypatch, io.StringIO()) == PLAIN


def test_a_terminal_without_rich_gets_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    assert printed(monkeypatch, Terminal()) == PLAIN


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("trading-runtime res", "results"), ("trading-runtime results export --to ml", "mlflow")],
)
def test_commands_and_values_are_completed_as_the_documentation_says(
    typed: str, offered: str
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "from trading_runtime.cli.main import main; main()"],
        env=os.environ
        | {"_TRADING_RUNTIME_COMPLETE": "bash_complete", "COMP_WORDS": typed}
        | {"COMP_CWORD": str(len(typed.split()) - 1)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.stdout.split() == [f"plain,{offered}"]


def test_commands_print_in_no_other_way() -> None:
    raw = re.compile(r"click\.echo\(|[^_\w.]print\(|stdout\.(buffer\.)?write\(")
    there = {
        path.name for path in Path(cli.__file__).parent.glob("*.py") if raw.search(path.read_text())
    }

    assert there == {"terminal.py"}
