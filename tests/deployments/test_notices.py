"""Webhooks: told of a failure and a crash loop, in two forms, by an address that no file holds."""

from __future__ import annotations

import json
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.deployments.conftest import Supervised


class Receiver:
    """A server that keeps what is posted to it."""

    def __init__(self) -> None:
        self.received: dict[str, list[dict[str, Any]]] = {}
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                received.setdefault(self.path, []).append(json.loads(body))
                self.send_response(500 if self.path == "/broken" else 200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.server.shutdown()
    found.server.server_close()


def test_both_forms_are_told_of_a_failure_and_of_a_crash_loop(
    supervised: Supervised, receiver: Receiver
) -> None:
    supervised.environment |= {
        "PLAIN_HOOK": f"{receiver.address}/plain",
        "SLACK_HOOK": f"{receiver.address}/slack",
    }
    supervised.script(
        "frail",
        "import sys; sys.exit('error: <no> key')",
        restart={"backoff": "100ms", "most_in_an_hour": 1},
        notify=[{"url_from": "PLAIN_HOOK"}, {"url_from": "SLACK_HOOK", "form": "slack"}],
    )
    supervised.up()
    run_id = supervised.wait_for("frail", "gave up")["run_id"]
    supervised.wait(lambda: all(len(receiver.received.get(p, [])) == 2 for p in PATHS))

    # The calls do not wait for one another.
    plain = {item["occasion"]: item for item in receiver.received["/plain"]}
    assert plain["failure"]["message"] == "exit code 1: <no> key"
    assert plain["crash loop"]["message"] == (
        "1 restarts within an hour; the last end: exit code 1: <no> key"
    )
    assert plain["crash loop"]["deployment"] == "frail"
    assert plain["crash loop"]["run_id"] == run_id
    assert {"text": "*frail*: failure: exit code 1: &lt;no&gt; key"} in receiver.received["/slack"]


PATHS = ("/plain", "/slack")


def told(supervised: Supervised, name: str) -> bool:
    return name in supervised.said


def test_a_webhook_that_fails_changes_nothing_but_the_log(
    supervised: Supervised, receiver: Receiver
) -> None:
    supervised.environment |= {
        "BROKEN_HOOK": f"{receiver.address}/broken",
        "DEAD_HOOK": "http://127.0.0.1:9/secret-path",
    }
    targets = [{"url_from": name} for name in ("BROKEN_HOOK", "DEAD_HOOK", "MISSING_HOOK")]
    supervised.write("frail", ["false"], notify=targets, restart={"most_in_an_hour": 0})
    supervised.write("steady", ["sleep", "1000"])
    supervised.up()
    supervised.wait_for("frail", "gave up")
    steady = supervised.wait_for("steady", "running")
    for name in ("BROKEN_HOOK", "DEAD_HOOK", "MISSING_HOOK"):
        supervised.wait(partial(told, supervised, name))

    assert supervised.state("steady") == steady
    assert "the webhook of BROKEN_HOOK was not notified" in supervised.said
    assert "the variable MISSING_HOOK holds no http(s) address" in supervised.said
    assert "secret-path" not in supervised.said
