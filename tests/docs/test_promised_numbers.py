"""Numbers that pages promise are those of the code; what they mean is tested where it is."""

from __future__ import annotations

import pytest

from tests.small_experiment import ROOT
from trading_runtime import redaction, text
from trading_runtime.evidence import bundle
from trading_runtime.execution.workers import processes
from trading_runtime.metrics import server
from trading_runtime.runs import heartbeat, lock


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("runs", f"at most the last {processes.KEPT_OUTPUT >> 10} KiB of its workers"),
        ("runs", {120: "have a lease of two minutes"}.get(int(lock._LEASE_SECONDS))),
        ("runs", f"When none has for {heartbeat.SILENT_SECONDS:.0f} s"),
        ("runs", f"more than {bundle.MOST_FILES:,} files or {bundle.MOST_BYTES >> 30} GiB"),
        ("runs", f"about {text.MOST_MESSAGE:,} characters of its message"),
        ("runs", f"and {text.MOST_TRACEBACK:,} of its traceback"),
        ("runs", f"A value of fewer than {redaction._SHORTEST} characters"),
        ("runs", f"from {redaction._LEAST_DERIVED} characters on, halves"),
        ("operations", f"answers in {server._THREADS} threads"),
        ("operations", f"says nothing for {server._IDLE_SECONDS:.0f} s"),
        ("operations", f"takes more than {server._MOST_SECONDS:.0f} s"),
        ("architecture", f"strategy may take {processes.IMPORT_SECONDS:.0f} s"),
    ],
)
def test_a_page_states_the_number(page: str, words: str | None) -> None:
    content = " ".join((ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8").split())

    assert words is not None
    assert words in content
