"""Whether a session trades what the tasks of its research tested."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trading_runtime.canonical import digest
from trading_runtime.errors import UsageError
from trading_runtime.records.reasons import checked_reason
from trading_runtime.records.session_events import OriginOverridden

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trading_runtime.records.plan import Plan
    from trading_runtime.sessions.preparation import PreparedSession

_SHOWN = 12


def config_digest(deployment: Mapping[str, Any]) -> str:
    """Return the digest of the strategy's config in a deployment."""
    return digest(deployment["strategy"].get("config", {}))


def check_origin(
    prepared: PreparedSession, plan: Plan, despite: str | None
) -> OriginOverridden | None:
    """Compare a session with what its tasks tested; return what was overridden, for its journal.

    ``despite`` is the reason given on the command line. Raises ``UsageError`` when code, config or
    engine are no longer theirs and no reason is given.
    """
    deployment = prepared.deployment
    origin = deployment.origin
    if origin is None or origin.tested is None:
        return None
    ours = {
        "engine": plan.common.engine_version,
        "strategy": plan.common.strategy_code,
        "config": config_digest(deployment.plain(by_alias=True)),
    }
    names = {"engine": "the engine", "strategy": "the strategy's code", "config": "strategy.config"}
    theirs = origin.tested.model_dump()
    changed = [
        f"{names[key]} was {str(theirs[key])[:_SHOWN]} and is {str(ours[key])[:_SHOWN]}"
        for key in names
        if theirs[key] != ours[key]
    ]
    if not changed:
        return None
    if despite is not None:
        despite = checked_reason(despite, "session's journal", "--despite")
    reason = despite or origin.despite
    if reason is None:
        raise UsageError(
            f"{prepared.loaded.shown}: this is not what run {origin.run!r} tested: "
            f"{'; '.join(changed)}; test it and promote it again, or give the reason to trade it "
            "all the same with --despite or 'from.despite'"
        )
    return OriginOverridden(run=origin.run, changed=changed, reason=reason)
