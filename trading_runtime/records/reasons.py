"""Who did something by hand, and why: kept with what cannot be undone or must be explained."""

from __future__ import annotations

import contextlib
import getpass

from trading_runtime.errors import UsageError

_LONGEST_REASON = 500


def checked_reason(reason: str, kept_with: str, option: str = "--reason") -> str:
    """Return a reason as one line; ``kept_with`` is where others will read it.

    ``option`` is where it was given. Raises ``UsageError`` when it is empty or too long.
    """
    reason = " ".join(reason.split())
    if not 0 < len(reason) <= _LONGEST_REASON:
        raise UsageError(
            f"{option}: {len(reason)} characters; accepted are 1 to {_LONGEST_REASON}: say why, "
            f"for whoever reads the {kept_with}"
        )
    return reason


def user_name() -> str | None:
    """Return the name of the user who runs this process."""
    # A container's user may have no name.
    with contextlib.suppress(OSError, KeyError):
        return getpass.getuser()
    return None
