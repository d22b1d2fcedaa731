"""The report of a run: what a person reads, made only from what the run stored."""

from __future__ import annotations

from trading_runtime.report.content import ReportInputs
from trading_runtime.report.write import write_report

__all__ = ["ReportInputs", "write_report"]
