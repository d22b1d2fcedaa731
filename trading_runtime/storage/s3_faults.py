"""What an error of obstore means: the service's answer, or why there was none.

The errors are a class and a text, which may contain what the service sends back: key ids, tokens.
The facts named here are therefore extracted from the text, and the text itself is not passed on.
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
"""Errors of botocore meaning that it could not reach the service that gives credentials."""


@dataclass(frozen=True)
class S3Fault:
    """Why a request failed."""

    kind: str
    """The name of the error's class."""
    status: int
    """The HTTP status; 0 when there was no answer."""
    code: str
    """The service's error code, or empty."""
    lost: str
    """How the connection was lost, or empty."""
    provider: str
    """The error raised by the credential provider, or empty."""
    unattended: bool
    """Whether credentials are missing, or were requested from a machine that gives none."""
    redirected: bool
    """Whether the service answered from a region other than the bucket's."""
    untagged: bool
    """Whether the answer lacks the object's tag: something in between gave it."""

    @classmethod
    def of(cls, error: BaseException) -> S3Fault:
        """Extract the facts from an error of obstore."""
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
            untagged="source: MissingEtag" in text,
        )

    @property
    def passing(self) -> bool:
        """Whether the same request may succeed when repeated."""
        return (
            bool(self.lost)
            or self.untagged
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
        """The shortest name for it that is informative."""
        answer = self.code or (f"HTTP {self.status}" if self.status else "")
        if self.untagged:
            return "an answer without ETag, which is no storage's"
        return answer or self.lost or self.provider or self.kind
