"""The clock of a storage, by which leases and signs of life are judged.

The clocks of machines differ by minutes. Both ends of an age have to come from one clock, and all
that use a storage share the storage's.
"""

from __future__ import annotations

import email.utils
import os
import ssl
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import TYPE_CHECKING, override

if TYPE_CHECKING:
    from email.message import Message

_SECONDS = 20.0


class _SamePlace(urllib.request.HTTPRedirectHandler):
    """Follows no redirection: the answer that redirects has the time as well."""

    @override
    def redirect_request(self, *_: object) -> None:
        return None


def storage_time(address: str) -> float:
    """Return the time at the server of ``address``, in whole seconds since the epoch.

    It is part of any answer, even of a refusal: no right is needed. Raises ``OSError`` when there
    is no answer, or none with a time.
    """
    request = urllib.request.Request(  # noqa: S310 - the settings allow only http and https
        address, method="HEAD", headers={"Cache-Control": "no-cache"}
    )
    trusted = ssl.create_default_context()
    if bundle := os.environ.get("AWS_CA_BUNDLE"):
        trusted.load_verify_locations(bundle)
    opener = urllib.request.build_opener(_SamePlace, urllib.request.HTTPSHandler(context=trusted))
    try:
        with opener.open(request, timeout=_SECONDS) as answer:
            return _time_in(answer.headers)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return _time_in(refusal.headers)
    except HTTPException as error:
        raise OSError("the answer is none of HTTP") from error


def _time_in(headers: Message) -> float:
    try:
        return email.utils.parsedate_to_datetime(headers["Date"]).timestamp()
    except (TypeError, ValueError) as error:
        raise OSError("the answer has no Date") from error
