"""What is checked before a session starts anything."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from trading_runtime.canonical import digest
from trading_runtime.config.adapters import AdapterData, AdapterExecution
from trading_runtime.engine.live.adapters import TESTED
from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from trading_runtime.config.deployment import Deployment

_KEYS = {
    ("bybit", None): ("BYBIT_API_KEY", "BYBIT_API_SECRET"),
    ("bybit", "mainnet"): ("BYBIT_API_KEY", "BYBIT_API_SECRET"),
    ("bybit", "testnet"): ("BYBIT_TESTNET_API_KEY", "BYBIT_TESTNET_API_SECRET"),
    ("bybit", "demo"): ("BYBIT_DEMO_API_KEY", "BYBIT_DEMO_API_SECRET"),
}
"""The variables that adapters of venues read, where tests have shown it."""


def key_variables(execution: AdapterExecution) -> tuple[str, ...]:
    """Return the variables with the keys of a venue, as far as they are known."""
    environment = execution.environment and execution.environment.lower()
    return _KEYS.get((execution.adapter, environment), ())


def missing_keys(execution: AdapterExecution) -> list[str]:
    """Return those of these variables that are not set."""
    return [name for name in key_variables(execution) if not os.environ.get(name)]


def check_mode(deployment: Deployment, *, is_live: bool) -> None:
    """Raise ``UsageError`` unless orders to a venue were both written and asked for, or neither."""
    execution = deployment.execution
    if not isinstance(execution, AdapterExecution):
        if is_live:
            raise UsageError(
                "--live: the deployment has 'mode: paper', whose orders are simulated; leave "
                "--live out, or write 'mode: live'"
            )
        return
    if not is_live:
        raise UsageError(
            f"mode: live sends orders to {execution.adapter} ({execution.environment or 'its own'} "
            "environment); give --live as well when you mean it"
        )


def check_start(deployment: Deployment, *, is_live: bool) -> None:
    """Raise ``UsageError`` unless the deployment may start as it was asked to."""
    check_mode(deployment, is_live=is_live)
    execution = deployment.execution
    if not isinstance(execution, AdapterExecution):
        return
    if missing := missing_keys(execution):
        raise UsageError(
            f"{', '.join(missing)}: not set; keys come from the environment alone, never from a "
            "file"
        )


def untested_adapters(deployment: Deployment) -> list[str]:
    """Return a line for each adapter of the deployment that no test of this project runs."""
    return [
        f"{section}.adapter: {part.adapter} is untested here; try it on the venue's test "
        "environment first"
        for section in ("data", "execution")
        if isinstance(part := getattr(deployment, section), (AdapterData, AdapterExecution))
        and part.adapter not in TESTED[section]
    ]


def venue_account(deployment: Deployment) -> str | None:
    """Return the name of the account at a venue, the same for all deployments that share it.

    It is identified by ``account_id``, or by a digest of the key: whoever has another key for the
    same account gives both deployments the same ``account_id``.
    """
    execution = deployment.execution
    if not isinstance(execution, AdapterExecution):
        return None
    environment = (execution.environment or "default").lower()
    account = execution.config.get("account_id")
    if account is None:
        keys = [os.environ.get(name, "") for name in key_variables(execution)[:1]]
        account = digest(keys)[:12]
    return f"{execution.adapter}-{environment}-{str(account).lower()}"
