"""Webhooks: who is notified of failures, crash loops and missed starts.

A webhook is called in a thread of its own, and a failure to call one changes nothing but the log.
"""

from __future__ import annotations

import json
import os
import platform
import threading
import time
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Self

from trading_runtime.redaction import declare, redact
from trading_runtime.units import format_instant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from trading_runtime.config.supervision import NotifySettings

_SECONDS = 10.0
_ATTEMPTS = 3
_ACCEPTED = 300


class Occasion(StrEnum):
    """What a webhook is notified of."""

    FAILURE = "failure"
    CRASH_LOOP = "crash loop"
    MISSED = "missed schedule"


@dataclass(frozen=True)
class Notice:
    """What a webhook is sent."""

    occasion: Occasion
    deployment: str
    message: str
    """Without secrets."""
    run_id: str | None
    host: str
    time: str
    """UTC."""

    @classmethod
    def now(
        cls, occasion: Occasion, deployment: str, message: str, run_id: str | None = None
    ) -> Self:
        """Return a notice of what has just happened on this machine."""
        time_now = format_instant(time.time_ns())
        return cls(occasion, deployment, redact(message), run_id, platform.node(), time_now)

    def body(self, form: str) -> bytes:
        """Return what is posted."""
        content = asdict(self)
        if form == "slack":
            text = f"*{self.deployment}*: {self.occasion}: {self.message}"
            content = {"text": text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")}
        return json.dumps(content, ensure_ascii=False).encode()


class Notices:
    """Sends notices, and says when one did not arrive."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._threads: list[threading.Thread] = []

    def send(self, targets: Iterable[NotifySettings], notice: Notice) -> None:
        """Tell each target, without waiting for it."""
        targets = tuple(targets)
        declare(target.url_from for target in targets)
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        for target in targets:
            thread = threading.Thread(target=self._send, args=(target, notice), daemon=True)
            thread.start()
            self._threads.append(thread)

    def finish(self) -> None:
        """Wait a moment for what is on its way."""
        deadline = time.monotonic() + _SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _send(self, target: NotifySettings, notice: Notice) -> None:
        import http.client
        import urllib.request

        address = os.environ.get(target.url_from, "")
        if not address.startswith(("https://", "http://")):
            self._report(f"notify: the variable {target.url_from} holds no http(s) address")
            return
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked
            address,
            notice.body(target.form),
            {"Content-Type": "application/json", "User-Agent": "trading-runtime"},
        )
        why = ""
        for attempt in range(_ATTEMPTS):
            try:
                with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
                    if answer.status < _ACCEPTED:
                        return
                    why = f"it answered {answer.status}"
            except (OSError, ValueError, http.client.HTTPException) as error:
                # The address may be a secret, and some errors repeat it.
                why = type(error).__name__
            time.sleep(attempt)
        self._report(f"notify: the webhook of {target.url_from} was not notified: {why}")
