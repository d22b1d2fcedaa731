"""Every way in which S3 can say no has its own kind and sentence, and shows no secret."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

import pytest

from tests.s3.conftest import SECRET
from tests.s3.servers import CUT, Teller
from trading_runtime.errors import StorageError, TransientError
from trading_runtime.storage import s3
from trading_runtime.storage.s3 import S3Folder

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("storage")

READ, WRITE, LIST = (
    lambda folder: folder.read("a"),
    lambda folder: folder.create("a", b"1"),
    lambda folder: folder.sizes(),
)


def error(code: str) -> bytes:
    """The body of an answer, in which the service sends back what it was given."""
    return (
        f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message>"
        f"<AWSAccessKeyId>canary-key-id</AWSAccessKeyId><Token-0>{SECRET}</Token-0></Error>"
    ).encode()


def at(server: Teller, monkeypatch: pytest.MonkeyPatch) -> S3Folder:
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    s3._opened.cache_clear()
    return S3Folder("s3://research/x")


@pytest.mark.parametrize("request_", [READ, WRITE, LIST])
@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, "AccessDenied", "s3://research/x: access denied; check AWS_ACCESS_KEY_ID"),
        (403, "SignatureDoesNotMatch", "access denied"),
        (401, "Unauthorized", "access denied"),
        (400, "ExpiredToken", "access denied"),
        (400, "InvalidToken", "access denied"),
        (404, "NoSuchBucket", "s3://research: no such bucket"),
        (301, "PermanentRedirect", "the bucket is in another region; set AWS_DEFAULT_REGION"),
        (400, "AuthorizationHeaderMalformed", "the bucket is in another region"),
        (400, "InvalidRequest", r"s3://research/x/a?.*: InvalidRequest"),
        (418, "", r"s3://research/x/a?.*: HTTP 418"),
    ],
)
def test_what_stays_is_told_at_once(
    request_: Callable[[S3Folder], object],
    status: int,
    code: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Teller((status, error(code))) as server:
        with pytest.raises(StorageError, match=words) as raised:
            request_(at(server, monkeypatch))

        assert len(server.asked) == 1
    shown = "".join(traceback.format_exception(raised.value))
    assert SECRET not in shown
    assert "canary-key-id" not in shown


@pytest.mark.parametrize("request_", [READ, WRITE, LIST])
@pytest.mark.parametrize(
    ("status", "code", "shown"),
    [
        (503, "SlowDown", "SlowDown"),
        (500, "InternalError", "InternalError"),
        (502, "", "HTTP 502"),
        (429, "TooManyRequests", "TooManyRequests"),
        (400, "RequestTimeout", "RequestTimeout"),
    ],
)
def test_what_passes_is_tried_again_and_then_given_up(
    request_: Callable[[S3Folder], object],
    status: int,
    code: str,
    shown: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(s3, "_ATTEMPTS", 3)
    with Teller((status, error(code))) as server:
        words = rf"could not be reached in 3 tries \({shown}\); try again later"
        with pytest.raises(TransientError, match=words):
            request_(at(server, monkeypatch))

        assert len(server.asked) == 3


def test_an_object_that_comes_half_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with Teller((200, b"whole" + CUT), (200, b"whole")) as server:
        assert at(server, monkeypatch).read("a") == b"whole"
        assert len(server.asked) == 2


def test_a_server_that_is_not_there_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "_ATTEMPTS", 2)
    with Teller((200, b"")) as server:
        folder = at(server, monkeypatch)

    with pytest.raises(TransientError, match=r"in 2 tries \(Connect\)"):
        folder.read("a")


@pytest.mark.parametrize("status", [409, 412])
def test_an_object_that_is_there_is_not_created(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Teller((status, error("PreconditionFailed"))) as server:
        assert at(server, monkeypatch).create("a", b"1") is None
        assert server.asked[0]["if-none-match"] == "*"
        assert len(server.asked) == 1
