"""What an error of obstore means: the answer of the service, or why there was none.

Its errors are a class and a text, which may hold what the service sends back: key ids, tokens. So
the facts named here are read out of the text, and the text itself goes nowhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_STATUS = re.compile(r"inner: (?:Status|Response) \{\s*status: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z][A-Za-z0-9.]*)</Code>")
_LOST = re.compile(r"HttpError \{\s*kind: (\w+)")
_METADATA = re.compile(r"https?://[^/\s]+/latest/(?:api/token|meta-data/)")
_PROVIDER = re.compile(r"External AWS credential provider: (\w+)")
_MISSING = re.compile(r"source: Missing(?:AccessKeyId|SecretAccessKey)\b")

_SERVER_FAULTS = 500
_TOO_MANY_REQUESTS = 429
_PASSING_CODES = {
    "ConditionalRequestConflict",
    "InternalError",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
}
_DENIED_CODES = {
    "AccessDenied",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
}
_DENIED_STATUSES = {401, 403}
_REGION_CODES = {"AuthorizationHeaderMalformed", "PermanentRedirect"}
_LOST_PROVIDERS = {
    "ConnectTimeoutError",
    "ConnectionClosedError",
    "ConnectionError",
    "EndpointConnectionError",
    "HTTPClientError",
    "ReadTimeoutError",
}
"""Errors of botocore which say that it did not reach the service that gives credentials."""


@dataclass(frozen=True)
class S3Fault:
    """Why a request came to nothing."""

    kind: str
    """The name of the error's class."""
    status: int
    """Of HTTP; 0 when there was no answer."""
    code: str
    """What the service calls it, or nothing."""
    lost: str
    """In which way the connection was lost, or nothing."""
    provider: str
    """What the giver of credentials raised, or nothing."""
    unattended: bool
    """Whether credentials are missing, or were asked of a machine that gives none."""
    redirected: bool
    """Whether the service answered from another region than the bucket's."""

    @classmethod
    def of(cls, error: BaseException) -> S3Fault:
        """Read the facts out of an error of obstore."""
        text = str(error)
        status, code, lost, provider = (
            found[1] if (found := pattern.search(text)) else ""
            for pattern in (_STATUS, _CODE, _LOST, _PROVIDER)
        )
        return cls(
            type(error).__name__,
            int(status or 0),
            code,
            lost,
            provider,
            unattended=bool(_METADATA.search(text) or _MISSING.search(text)),
            redirected="BareRedirect" in text or code in _REGION_CODES,
        )

    @property
    def passing(self) -> bool:
        """Whether the same request may succeed when it is made again."""
        return (
            bool(self.lost)
            or self.status >= _SERVER_FAULTS
            or self.status == _TOO_MANY_REQUESTS
            or self.code in _PASSING_CODES
            or self.provider in _LOST_PROVIDERS
        )

    @property
    def denied(self) -> bool:
        """Whether the service refused this key, or refuses it this bucket."""
        return self.status in _DENIED_STATUSES or self.code in _DENIED_CODES

    @property
    def shown(self) -> str:
        """The shortest name for it that says something."""
        answer = self.code or (f"HTTP {self.status}" if self.status else "")
        return answer or self.lost or self.provider or self.kind
