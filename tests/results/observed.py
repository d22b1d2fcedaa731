"""Windows whose data goes from the first instant to the last, for tests of statistics."""

from __future__ import annotations

from decimal import Decimal

from trading_runtime.datasets.observed_days import Observed, stretches
from trading_runtime.results.calendar import Calendar
from trading_runtime.units import DAY

YEAR = Calendar(periods_per_year=365)
THREE = Calendar(periods_per_year=3)
PER_YEAR = Decimal(365)


def throughout(start: int, end: int) -> Observed:
    """Rows on every day, the first at ``start`` and the last at ``end``."""
    return Observed(start, end, stretches(range(start // DAY, -(-end // DAY))))
