"""Whether the engine takes an experiment: its venue, and its strategy with each point's config."""

from __future__ import annotations

from decimal import Context, localcontext
from typing import TYPE_CHECKING, Any

from trading_runtime.engine.strategy_loading import check_configs
from trading_runtime.engine.venue import check_venue
from trading_runtime.errors import StrategyError
from trading_runtime.planning.identity import decode_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trading_runtime.config.strategy_code import StrategyCode


def check_settings(
    code: StrategyCode, common: Mapping[str, Any], configs: Iterable[Mapping[str, Any]]
) -> None:
    """Make the venue, and the strategy's config for every point, as a task would.

    ``common`` are the inputs that all tasks share, ``configs`` the encoded values of each point.
    Raises ``UsageError`` when the engine or the strategy refuses them, ``StrategyError`` when the
    strategy's modules raise while they are imported, or its config leaves while it is made.
    """
    check_venue(common)
    decoded = [decode_values(values) for values in configs]
    try:
        # A strategy that sets a decimal context while it is imported sets it for nobody else.
        with localcontext(Context()):
            check_configs(code, common["strategy"]["config_path"], decoded)
    except SystemExit as error:
        raise StrategyError(
            f"{code.file}: the strategy's config called sys.exit() while it was made"
        ) from error
